#include "packet.h"

#include <string.h>

#include "checksum.h"

#define IPV4_HEADER 20u
#define IPV6_HEADER 40u
#define IPV6_FRAGMENT 44u
#define IPV4_FRAGMENT_BITS 0x3fffu /* MF and the offset; not DF, not the reserved bit */

static uint32_t read16(const uint8_t *at) { return (uint32_t)(at[0] << 8 | at[1]); }

static enum packet_status parse4(struct packet *packet, const uint8_t *bytes, size_t length) {
    if (length < IPV4_HEADER)
        return PACKET_SHORT;
    uint32_t header = (bytes[0] & 0x0fu) * 4u;
    uint32_t total = read16(bytes + 2);
    if (header < IPV4_HEADER || header > length)
        return PACKET_BAD_HEADER;
    if (total < header || total > length)
        return PACKET_BAD_LENGTH;
    *packet = (struct packet){
        .source = bytes + 12,
        .destination = bytes + 16,
        .length = total,
        .header_length = (uint16_t)header,
        .version = 4,
        .protocol = bytes[9],
        .tos = bytes[1],
        .fragment = (read16(bytes + 6) & IPV4_FRAGMENT_BITS) != 0,
    };
    return PACKET_OK;
}

static enum packet_status parse6(struct packet *packet, const uint8_t *bytes, size_t length) {
    if (length < IPV6_HEADER)
        return PACKET_SHORT;
    uint32_t total = read16(bytes + 4) + IPV6_HEADER; /* 32 bits: cannot wrap */
    if (total > length)
        return PACKET_BAD_LENGTH;
    *packet = (struct packet){
        .source = bytes + 8,
        .destination = bytes + 24,
        .length = total,
        .header_length = IPV6_HEADER,
        .version = 6,
        .protocol = bytes[6],
        .tos = (uint8_t)((bytes[0] << 4 | bytes[1] >> 4) & 0xff),
        .fragment = bytes[6] == IPV6_FRAGMENT,
    };
    return PACKET_OK;
}

enum packet_status packet_parse(struct packet *packet, const uint8_t *bytes, size_t length) {
    if (length == 0)
        return PACKET_SHORT;
    switch (bytes[0] >> 4) {
    case 4:
        return parse4(packet, bytes, length);
    case 6:
        return parse6(packet, bytes, length);
    default:
        return PACKET_BAD_VERSION;
    }
}

static void set_ecn4(uint8_t *bytes, uint8_t ecn) {
    uint16_t before, after, checksum;
    memcpy(&before, bytes, 2);
    bytes[1] = (uint8_t)((bytes[1] & ~PACKET_ECN_MASK) | ecn);
    memcpy(&after, bytes, 2);
    memcpy(&checksum, bytes + 10, 2);
    checksum = checksum_update(checksum, before, after);
    memcpy(bytes + 10, &checksum, 2);
}

static void set_ecn6(uint8_t *bytes, uint8_t ecn) {
    bytes[1] = (uint8_t)((bytes[1] & ~(PACKET_ECN_MASK << 4)) | ecn << 4);
}

bool packet_ecn_decapsulate(uint8_t *bytes, uint8_t outer_tos) {
    const uint8_t not_ect = 0, ect1 = 1, ect0 = 2, ce = PACKET_ECN_CE;
    bool ipv4 = bytes[0] >> 4 == 4;
    uint8_t inner = (ipv4 ? bytes[1] : bytes[1] >> 4) & PACKET_ECN_MASK;
    uint8_t outer = outer_tos & PACKET_ECN_MASK;

    /* Figure 4 of RFC 6040: outside of these three cells the inner field stays. */
    if (outer == ce && inner == not_ect)
        return false;
    bool marked = outer == ce && inner != ce;
    bool threshold = outer == ect1 && inner == ect0; /* L4S and pre-congestion marking */
    if (marked || threshold) {
        if (ipv4)
            set_ecn4(bytes, outer);
        else
            set_ecn6(bytes, outer);
    }
    return true;
}
