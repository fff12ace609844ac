/*
 * Inner IP packets: what the tunnel must know of them, checked against the bytes that are there
 * (R49), and what it changes in them: the ECN field on decapsulation (R52) and padding (R18).
 */
#ifndef SHOAL_PACKET_H
#define SHOAL_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_PADDING 16u /* R18 */

enum packet_status {
    PACKET_OK = 0,
    PACKET_SHORT,       /* shorter than the fixed header of its version */
    PACKET_BAD_VERSION, /* version nibble is neither 4 nor 6 */
    PACKET_BAD_HEADER,  /* IPv4 header length below 20 bytes or beyond the packet */
    PACKET_BAD_LENGTH, /* stated total length below the header or beyond the bytes that are there */
};

/** A view of one packet; the pointers borrow from the parsed buffer. */
struct packet {
    const uint8_t *source;      /* 4 or 16 bytes */
    const uint8_t *destination; /* 4 or 16 bytes */
    uint32_t length;            /* as its header states: header and payload, without padding */
    uint16_t header_length;     /* IPv4 with options; IPv6: 40, extension headers not counted */
    uint8_t version;            /* 4 or 6 */
    uint8_t protocol;           /* IPv4 protocol, IPv6 first next header */
    uint8_t tos;                /* DSCP and ECN (IPv6 traffic class) */
    bool fragment;              /* IPv4: MF or an offset; IPv6: the first next header is 44 */
};

/** Reads the IP header in `bytes`. *packet is written only with PACKET_OK. */
enum packet_status packet_parse(struct packet *packet, const uint8_t *bytes, size_t length);

#define PACKET_ECN_MASK 0x03u
#define PACKET_ECN_CE 0x03u

/**
 * Combines the ECN field of the outer header into the inner packet as RFC 6040 section 4.2 says;
 * the IPv4 header checksum follows. `bytes` is a packet that packet_parse accepted.
 * @return false, and nothing changed, for congestion experienced outside on an inner packet that
 *         cannot carry it: RFC 6040 drops it. Linux WireGuard delivers it (it ignores the result).
 */
bool packet_ecn_decapsulate(uint8_t *bytes, uint8_t outer_tos);

/** The length to seal (R18): a multiple of 16, but never above the MTU unless the packet itself is.
 */
static inline size_t packet_padded(size_t length, size_t mtu) {
    size_t padded = (length + PACKET_PADDING - 1) & ~(size_t)(PACKET_PADDING - 1);
    if (padded <= mtu)
        return padded;
    return length > mtu ? length : mtu;
}

#endif
