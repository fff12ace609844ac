/*
 * Keeps packets that did not come by the tunnel away from our own inner addresses. Linux takes what
 * is for any address of the machine by any interface (a weak host, RFC 1122 3.3.4.2), and looks at
 * sources at most by rp_filter, which IPv6 has not: whoever is on the same wire would speak to our
 * programs in the name of a peer, in the clear.
 *
 * A table of nf_tables of our own drops, before connection tracking, what has a source in the inner
 * network and one of our own inner addresses for its destination, or one of these for its source,
 * and came by another interface than ours and loopback. A VRF hands on what its ports received, and
 * that was looked at by the port. Nothing else is touched: the datagrams of the underlay whose
 * addresses lie in the inner network are for another address of this machine, and containers speak
 * from other ones.
 *
 * The table belongs to the socket that made it (NFT_TABLE_F_OWNER, Linux 5.12): the kernel removes
 * it when that closes, however the process ends, and nobody else can change it ("nft flush ruleset"
 * passes it over). It lives in the namespace in which the socket was opened.
 */
#ifndef SHOAL_GUARD_H
#define SHOAL_GUARD_H

#include <stdint.h>

#include "shoal.h"

/* Owner: the control thread. */
struct guard;

/** Touches nothing yet. NULL with errno. @param ifname by which people know the table */
struct guard *guard_open(const char *ifname);

/** The table goes with it. */
void guard_close(struct guard *guard);

/**
 * Guards these addresses from now on, and no others, in one transaction.
 * @param ifindex    of our interface; a rename does not change it
 * @param addresses  SHOAL_GUARDED_MAX at most, host bits included, with the inner network's length
 * @return 0 or an errno; then all is as before. EPERM: no right; EOPNOTSUPP, EPROTONOSUPPORT and
 *         EINVAL: the kernel has no nf_tables, or no tables with an owner
 */
int guard_set(struct guard *guard, uint32_t ifindex, const struct shoal_prefix *addresses,
              uint32_t count);

/** Packets dropped since the table was made; as far as known when the kernel does not say. */
uint64_t guard_drops(struct guard *guard);

#endif
