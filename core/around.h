/*
 * The way around our own interface. A mesh takes its addresses from a network (the pool), and the
 * kernel leads all of that network into our interface. Where the machine's own network uses the
 * same addresses (a provider's NAT, a cloud's inside), a peer or a seed may have one of them, and
 * what we send to it would come out of our own TUN: a loop. So for a place in the mesh's network
 * the kernel is asked, and where it answers with our interface, the datagram names another one
 * (IP_PKTINFO, IPV6_PKTINFO). A look-up with an interface passes over all routes that leave by
 * others (fib_lookup_good_nhc in net/ipv4/fib_trie.c, RT6_LOOKUP_F_IFACE in net/ipv6/route.c), so
 * our own sockets never see our own route, and everybody else's packets still do. No route, rule or
 * mark of the machine is changed for it.
 *
 * Which interface: the one with the best route there, as the kernel itself would choose: a table of
 * a rule before the main one, the longer prefix, the smaller metric.
 *
 * IPv4 keeps the sticky source (R55). IPv6 gives it up: with a source the kernel takes the named
 * interface for a wish and not for a condition (ip6_route_output_flags), and would loop again.
 *
 * A device that was told of no inner network (shoal_device_set_inner), as in WireGuard mode, looks
 * around nothing.
 */
#ifndef SHOAL_AROUND_H
#define SHOAL_AROUND_H

#include <stdint.h>

#include "routes.h"
#include "shoal.h"
#include "stats.h"

struct plane;

/* Places of which the way is known; the oldest makes room. Peers remember their own (peer.h). */
#define AROUND_PLACES 64u
/* Interfaces that are asked about; those beyond are not, and counted (around_cut). */
#define AROUND_INTERFACES 64u

/* A way is an interface index, or one of these. */
#define AROUND_UNKNOWN 0u        /* not asked yet */
#define AROUND_PLAIN 0xfffffffeu /* what the kernel chooses is right */
#define AROUND_NONE 0xffffffffu  /* nothing but our own interface leads there */

/* Owner: a worker; the device has one more, of the control thread. */
struct around {
    struct around_place {
        struct shoal_address to; /* without port; family NONE: free */
        uint32_t changes;        /* the device's `route_changes` when the kernel was asked */
        uint32_t way;
    } places[AROUND_PLACES];
    uint32_t next;                          /* the entry that goes first */
    uint32_t interfaces[AROUND_INTERFACES]; /* those that are asked about */
    uint32_t count;
    uint32_t listed; /* the device's `route_changes` when they were listed; 0: never, since an inner
                        network comes with a change */
};

/** The way to a place: never AROUND_UNKNOWN. */
uint32_t around_way(struct around *around, const struct routes *routes, struct stats *stats,
                    const struct plane *plane, const struct shoal_address *to);

/**
 * The way of an answer that leaves at once: back by where it came from, without a question, since
 * anybody can make us answer. What came by our own interface is dropped before (rx.c).
 */
uint32_t around_back(const struct plane *plane, const struct shoal_endpoint *from);

/** Did it come by our own interface, out of the mesh? True for no device without inner networks. */
bool around_came_from_inside(const struct plane *plane, const struct shoal_endpoint *from);

#endif
