/*
 * "Destination unreachable" (RFC 792, RFC 4443) for what comes out of the TUN and reaches nobody,
 * as the Linux driver answers it (drivers/net/wireguard/device.c, wg_xmit). Without it a program
 * waits for minutes until it gives up.
 */
#ifndef SHOAL_UNREACHABLE_H
#define SHOAL_UNREACHABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "packet.h"

/** The longest answer: what every IPv6 link carries (RFC 4443, 2.4 c). */
#define UNREACHABLE_MAX 1280u

/* So many at once, and one more in so much time. Owner: the worker. */
#define UNREACHABLE_BURST 50u
#define UNREACHABLE_EVERY_NS 20000000ull

struct unreachable_pace {
    uint64_t full_at; /* when the burst is whole again */
};

/** Is one more allowed now? If so it is taken. */
bool unreachable_take(struct unreachable_pace *pace, uint64_t now);

/**
 * Writes the answer to a packet: host unreachable, for IPv6 address unreachable. It comes from the
 * address that does not answer, since the kernel takes nothing that claims to be from an address of
 * its own.
 * @param bytes  what `packet` was parsed from
 * @return its length; 0 for what must not be answered: errors, multicast, later fragments, what has
 *         no single sender (RFC 1122, 3.2.2; RFC 4443, 2.4 e)
 */
size_t unreachable_answer(uint8_t out[UNREACHABLE_MAX], const struct packet *packet,
                          const uint8_t *bytes);

#endif
