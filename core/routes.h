/*
 * News of the machine's addresses, routes, rules and links: where the kernel sends to changes
 * without a word on the sockets. A source address that sticks to a peer (R54) is good as long as
 * the kernel, asked with it, sends by the interface at which it was heard; the Linux driver asks
 * the same whenever its cached route has become stale (drivers/net/wireguard/socket.c, send4).
 */
#ifndef SHOAL_ROUTES_H
#define SHOAL_ROUTES_H

#include <stdbool.h>
#include <stdint.h>

#include "shoal.h"

/* A routing daemon changes thousands in a second: they are looked at once in this time. */
#define ROUTES_PACE_NS 100000000ull

/* Addresses of which is known whether they are the machine's own. */
#define ROUTES_ASKED 8u

/* Owner: a worker. The first one hears the news for all. */
struct routes {
    int news;    /* rtnetlink, subscribed, non-blocking; -1: nobody tells it anything */
    int queries; /* the same for questions */
    bool paused; /* news came just now: not polled before the pace allows it */
    uint64_t last;
    struct routes_locality {
        struct shoal_address address; /* without port */
        uint32_t changes;             /* the device's `route_changes` when the kernel was asked */
        bool local;
    } asked[ROUTES_ASKED]; /* family 0: free */
    uint32_t next;         /* the entry that goes first */
};

/** Opens in the calling thread's namespace. 0 or an errno; then it is as if no news ever came. */
int routes_open(struct routes *routes, bool hears_news);
void routes_close(struct routes *routes);

/** Reads what has come, or as much as is read at once. Were there news? What was lost is some, too.
 */
bool routes_read(struct routes *routes);

/** What the kernel is asked about one way. */
struct routes_question {
    uint16_t family;
    const uint8_t *to;   /* 4 or 16 bytes, by the family */
    const uint8_t *from; /* NULL: whatever the kernel chooses */
    uint32_t ifindex;    /* by this interface alone; 0: by any */
    uint32_t fwmark;     /* as it stands on the socket, since rules look at it */
    bool wants_route;    /* the route itself; IPv4 takes each address for a neighbour otherwise,
                            where an interface is named and no route leads there by it */
};

/** What it says. */
struct routes_way {
    uint8_t type;     /* RTN_UNICAST, RTN_LOCAL and so on; RTN_UNSPEC: no way */
    uint8_t length;   /* of the route's prefix; with wants_route */
    uint32_t ifindex; /* where it leaves; 0: no way, or by several */
    uint32_t table;
    uint32_t metric;
};

/** False when nobody can tell. */
bool routes_ask(const struct routes *routes, const struct routes_question *question,
                struct routes_way *way);

/**
 * Lists the interfaces by which a route may lead: those that are up, without loopback and `except`,
 * and without ports of a bridge or a bond, which carry no IP of their own.
 * @return how many there are; the first `most` stand in `out`
 */
uint32_t routes_interfaces(const struct routes *routes, uint32_t except, uint32_t *out,
                           uint32_t most);

/**
 * Would the kernel send from this source by the interface at which it was heard? True as well when
 * nobody can tell.
 * @param fwmark as it stands on the socket, since rules look at it
 */
bool routes_keep_source(const struct routes *routes, const struct shoal_endpoint *endpoint,
                        uint32_t fwmark);

/**
 * Is this an address of the machine? False as well when nobody can tell.
 * @param address  4 or 16 bytes, by the family
 * @param changes  the device's `route_changes`: what was known before is asked again
 */
bool routes_is_local(struct routes *routes, uint16_t family, const uint8_t *address,
                     uint32_t changes);

#endif
