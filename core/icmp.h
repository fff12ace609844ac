/*
 * ICMP errors (RFC 792, RFC 4443) about packets that core does not carry on: what comes out of the
 * TUN and reaches nobody, as the Linux driver answers it (drivers/net/wireguard/device.c, wg_xmit),
 * and what is forwarded and cannot be. Without them a program waits for minutes until it gives up.
 */
#ifndef SHOAL_ICMP_H
#define SHOAL_ICMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "packet.h"

/** The longest answer: what every IPv6 link carries (RFC 4443, 2.4 c). */
#define ICMP_MAX 1280u

/* So many at once, and one more in so much time. Owner: the worker. */
#define ICMP_BURST 50u
#define ICMP_EVERY_NS 20000000ull

struct icmp_pace {
    uint64_t full_at; /* when the burst is whole again */
};

/** Is one more allowed now? If so it is taken. */
bool icmp_take(struct icmp_pace *pace, uint64_t now);

enum icmp_kind {
    ICMP_UNREACHABLE,   /* host unreachable; IPv6: address unreachable */
    ICMP_TIME_EXCEEDED, /* the hop limit ran out on the way */
    ICMP_TOO_BIG,       /* fragmentation needed; IPv6: packet too big */
};

struct icmp_error {
    enum icmp_kind kind;
    uint32_t mtu;          /* of ICMP_TOO_BIG */
    const uint8_t *source; /* 4 or 16 bytes: who says so. NULL: the address that was sent to */
};

/**
 * Writes the answer to a packet. What goes to the TUN has no source of its own, since the kernel
 * takes nothing that claims to be from an address of its own: then the address answers that was
 * sent to.
 * @param bytes  what `packet` was parsed from
 * @return its length; 0 for what must not be answered: errors, multicast, later fragments, what has
 *         no single sender (RFC 1122, 3.2.2; RFC 4443, 2.4 e)
 */
size_t icmp_answer(uint8_t out[ICMP_MAX], const struct packet *packet, const uint8_t *bytes,
                   const struct icmp_error *error);

#endif
