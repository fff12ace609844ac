/*
 * The internet checksum (RFC 1071) and what the kernel leaves partial of it.
 *
 * A sum here is a 64-bit accumulator of 16-bit words as they lie in memory (the checksum does not
 * care for byte order as long as nobody swaps half-way), not yet folded. Sums of pieces add up when
 * every piece but the last has an even length.
 */
#ifndef SHOAL_CHECKSUM_H
#define SHOAL_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The sum of the bytes; an odd last byte counts as if a zero followed. At most 1 MiB a call. */
uint64_t checksum_sum(const void *data, size_t length);

/** Folds to 16 bits, not inverted, in memory order: `uint16_t c = ~checksum_fold(sum)` is stored as
 * is. */
static inline uint16_t checksum_fold(uint64_t sum) {
    sum = (sum & 0xffffffffu) + (sum >> 32);
    sum = (sum & 0xffffffffu) + (sum >> 32);
    sum = (sum & 0xffffu) + (sum >> 16);
    sum = (sum & 0xffffu) + (sum >> 16);
    return (uint16_t)((sum & 0xffffu) + (sum >> 16));
}

/** Sum of a pseudo-header's addresses (4 or 16 bytes each) and protocol, without its length. */
uint64_t checksum_pseudo4(const uint8_t *source, const uint8_t *destination, uint8_t protocol);
uint64_t checksum_pseudo6(const uint8_t *source, const uint8_t *destination, uint8_t protocol);

/** What a layer-4 length adds to the pseudo-header's sum. */
uint64_t checksum_length(uint32_t length);

/** Is the checksum right of an IPv4 header of `length` bytes? */
bool checksum_ipv4_valid(const uint8_t *header, size_t length);

/** Writes the checksum of an IPv4 header of `length` bytes. */
void checksum_ipv4_write(uint8_t *header, size_t length);

/** Is the checksum of this TCP or UDP part right, given the pseudo-header with its length? */
bool checksum_valid(const uint8_t *part, size_t length, uint64_t pseudo);

/**
 * Completes a checksum that the kernel left partial (VIRTIO_NET_HDR_F_NEEDS_CSUM): the field at
 * start + offset holds the pseudo-header's sum. 0 is written as 0xffff, as the kernel does.
 * @return false, and nothing written, when the field does not lie within the packet.
 */
bool checksum_complete(uint8_t *packet, size_t length, size_t start, size_t offset);

/** The checksum `old` after one 16-bit word that it covers changed (RFC 1624); all in memory order.
 */
uint16_t checksum_update(uint16_t old, uint16_t word_before, uint16_t word_after);

#endif
