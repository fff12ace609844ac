/*
 * Forwarding between a guest and the other peers. A guest (a stock WireGuard device) knows nobody
 * but us, so what it sends to another peer's inner address, and what others send to its own, is
 * opened here, its hop limit lowered, and sealed for the other one: without the TUN, without the
 * kernel's forwarding and its filters.
 *
 * Between two peers of which none is a guest nothing is forwarded, and once our own inner address
 * is known, what is for no peer and not for us ends here: what lies behind this machine is not the
 * mesh's, and a peer must not reach it because the kernel forwards for other reasons. So a packet
 * goes through at most two hosts (guest, its host, the other guest's host, the other guest), and
 * never in a circle: a host sends on only what it got from its own guest or has for its own guest.
 * Should two hosts both hold the other one for the host of an address, the hop limit ends it.
 */
#ifndef SHOAL_FORWARD_H
#define SHOAL_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include "packet.h"
#include "shoal.h"

/* Owner: the control thread at a standstill; workers read it between. */
struct forward {
    uint32_t guests;              /* peers that are guests */
    struct shoal_prefix inner[2]; /* our own inner addresses (IPv4, IPv6) with the length of the
                                     mesh's network; family NONE: not known */
};

struct pass;
struct peer;

/** Takes our own address of one family, host bits included, in place of an earlier one. */
void forward_set_inner(struct forward *forward, const struct shoal_prefix *address);

/** Is an address (4 or 16 bytes) one of this network? */
bool forward_holds(const struct shoal_prefix *prefix, const uint8_t *address);

/**
 * Sends an inner packet on that a peer sent and may send (R50).
 * @param plain  what `packet` was parsed from, opened in place: behind it lies its tag, before it
 *               its message header. Used up when the packet was taken.
 * @return false when it is for the TUN
 */
bool forward_packet(struct pass *pass, struct peer *from, const struct packet *packet,
                    uint8_t *plain);

/**
 * The second half of that for a peer of ours, where another worker did the first: the hop limit is
 * lowered already.
 * @param frame  virtio header first; used up
 */
void forward_frame(struct pass *pass, struct peer *from, struct peer *to, uint8_t *frame,
                   uint32_t size);

#endif
