/*
 * rtnetlink requests about the interface: MTU, up and down, addresses. The socket belongs to the
 * namespace in which it was opened.
 */
#ifndef SHOAL_NETLINK_H
#define SHOAL_NETLINK_H

#include <stdbool.h>
#include <stdint.h>

#include "shoal.h"

/* Owner: the control thread. */
struct netlink;

/** NULL with errno. */
struct netlink *netlink_open(void);
void netlink_close(struct netlink *netlink);

/** All: 0 or an errno. mtu 0 leaves it, up 2 leaves it. */
int netlink_link_set(struct netlink *netlink, uint32_t ifindex, uint32_t mtu, uint32_t up);

/** Most packets that the kernel puts into one super-packet for this interface. */
int netlink_segments_max(struct netlink *netlink, uint32_t ifindex, uint32_t segments);

/**
 * Keeps the kernel from talking on the interface by itself, where nobody is to be discovered: no
 * IFF_MULTICAST and no link-local address of its making (IN6_ADDR_GEN_MODE_NONE), so no router
 * solicitations and no MLD reports, as wg_setup of the Linux driver has it. The second is refused
 * where there is no IPv6 (EAFNOSUPPORT).
 */
int netlink_quieten(struct netlink *netlink, uint32_t ifindex);

int netlink_address(struct netlink *netlink, uint32_t ifindex, const struct shoal_prefix *address,
                    bool add);

/**
 * The route that the kernel makes of an address (fib_add_ifaddr, addrconf_prefix_route), as it was.
 * EEXIST: it is there, or another one to the same network.
 */
int netlink_route(struct netlink *netlink, uint32_t ifindex, const struct shoal_prefix *address);

/** What an interface is called now. ENODEV: there is none with this index. */
int netlink_name(struct netlink *netlink, uint32_t ifindex, char name[SHOAL_IFNAME_SIZE]);

/**
 * Does the kernel drop IPv4 packets that come by this interface from where the route leads to
 * another one? (net.ipv4.conf.*.rp_filter is 1, or 1 for all and 0 here.) False as well where it
 * does not say.
 */
bool netlink_filters_paths(struct netlink *netlink, uint32_t ifindex);

/**
 * By which interface the kernel sends to an address now; its length is not looked at. ENETUNREACH:
 * by none; EHOSTUNREACH, EACCES and EINVAL: a route says that it is unreachable, prohibited, a
 * black hole.
 */
int netlink_way(struct netlink *netlink, const struct shoal_prefix *address, uint32_t *ifindex);

#endif
