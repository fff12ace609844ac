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
