#include "icmp.h"

#include <string.h>

#include "checksum.h"
#include "wire.h"

#define IPV4_HEADER 20u
#define IPV6_HEADER 40u
#define ICMP_HEADER 8u
#define IPV4_MAX 576u /* RFC 1812, 4.3.2.3 */
#define TTL 64u
#define CLASS_INTERNETWORK 0xc0u /* the precedence of errors (RFC 1812, 4.3.2.5) */

enum {
    PROTOCOL_ICMP = 1,
    PROTOCOL_HOP_BY_HOP = 0,
    PROTOCOL_ROUTING = 43,
    PROTOCOL_FRAGMENT = 44,
    PROTOCOL_ICMPV6 = 58,
    PROTOCOL_OPTIONS = 60,
};

bool icmp_take(struct icmp_pace *pace, uint64_t now) {
    uint64_t from = pace->full_at > now ? pace->full_at : now;
    if (from - now > (ICMP_BURST - 1) * ICMP_EVERY_NS)
        return false;
    pace->full_at = from + ICMP_EVERY_NS;
    return true;
}

static void finish_checksum(uint8_t *icmp, uint64_t sum) {
    uint16_t checksum = (uint16_t)~checksum_fold(sum);
    memcpy(icmp + 2, &checksum, sizeof(checksum));
}

static bool is_zero(const uint8_t *bytes, size_t length) {
    for (size_t i = 0; i < length; i++)
        if (bytes[i])
            return false;
    return true;
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* ---- IPv4 -------------------------------------------------------------------------------- */

static bool is_host4(const uint8_t *address) {
    return address[0] != 0 && address[0] != 127 && address[0] < 224;
}

static bool is_error4(uint8_t type) {
    return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

static bool may_answer4(const struct packet *packet, const uint8_t *bytes) {
    bool later_fragment = (bytes[6] & 0x1f) || bytes[7];
    if (later_fragment || !is_host4(packet->source) || !is_host4(packet->destination))
        return false;
    if (packet->protocol != PROTOCOL_ICMP)
        return true;
    return packet->length > packet->header_length && !is_error4(bytes[packet->header_length]);
}

static void put_type4(uint8_t *icmp, const struct icmp_error *error) {
    switch (error->kind) {
    case ICMP_UNREACHABLE:
        icmp[0] = 3; /* destination unreachable */
        icmp[1] = 1; /* host */
        break;
    case ICMP_TIME_EXCEEDED:
        icmp[0] = 11;
        break;
    case ICMP_TOO_BIG:
        icmp[0] = 3;
        icmp[1] = 4; /* fragmentation needed and DF set */
        wire_put_be16(icmp + 6,
                      (uint16_t)(error->mtu < UINT16_MAX ? error->mtu : UINT16_MAX)); /* RFC 1191 */
        break;
    }
}

static size_t answer4(uint8_t *out, const struct packet *packet, const uint8_t *bytes,
                      const struct icmp_error *error) {
    size_t quoted = smaller(packet->length, IPV4_MAX - IPV4_HEADER - ICMP_HEADER);
    size_t length = IPV4_HEADER + ICMP_HEADER + quoted;
    uint8_t *icmp = out + IPV4_HEADER;
    memset(out, 0, IPV4_HEADER + ICMP_HEADER);
    out[0] = 0x45;
    out[1] = CLASS_INTERNETWORK;
    wire_put_be16(out + 2, (uint16_t)length);
    out[8] = TTL;
    out[9] = PROTOCOL_ICMP;
    memcpy(out + 12, error->source ? error->source : packet->destination, 4);
    memcpy(out + 16, packet->source, 4);
    checksum_ipv4_write(out, IPV4_HEADER);
    put_type4(icmp, error);
    memcpy(icmp + ICMP_HEADER, bytes, quoted);
    finish_checksum(icmp, checksum_sum(icmp, ICMP_HEADER + quoted));
    return length;
}

/* ---- IPv6 -------------------------------------------------------------------------------- */

static bool may_answer6(const struct packet *packet, const uint8_t *bytes) {
    if (packet->source[0] == 0xff || packet->destination[0] == 0xff ||
        is_zero(packet->source, 16) || is_zero(packet->destination, 16))
        return false;
    switch (packet->protocol) {
    case PROTOCOL_HOP_BY_HOP: /* what is behind these may be an error; nobody waits for an answer */
    case PROTOCOL_ROUTING:
    case PROTOCOL_FRAGMENT:
    case PROTOCOL_OPTIONS:
        return false;
    case PROTOCOL_ICMPV6:
        return packet->length > IPV6_HEADER && (bytes[IPV6_HEADER] & 0x80); /* errors: below 128 */
    default:
        return true;
    }
}

static void put_type6(uint8_t *icmp, const struct icmp_error *error) {
    switch (error->kind) {
    case ICMP_UNREACHABLE:
        icmp[0] = 1; /* destination unreachable */
        icmp[1] = 3; /* address */
        break;
    case ICMP_TIME_EXCEEDED:
        icmp[0] = 3;
        break;
    case ICMP_TOO_BIG:
        icmp[0] = 2;
        wire_put_be32(icmp + 4, error->mtu);
        break;
    }
}

static size_t answer6(uint8_t *out, const struct packet *packet, const uint8_t *bytes,
                      const struct icmp_error *error) {
    size_t quoted = smaller(packet->length, ICMP_MAX - IPV6_HEADER - ICMP_HEADER);
    uint8_t *icmp = out + IPV6_HEADER;
    memset(out, 0, IPV6_HEADER + ICMP_HEADER);
    out[0] = 0x60;
    wire_put_be16(out + 4, (uint16_t)(ICMP_HEADER + quoted));
    out[6] = PROTOCOL_ICMPV6;
    out[7] = TTL;
    memcpy(out + 8, error->source ? error->source : packet->destination, 16);
    memcpy(out + 24, packet->source, 16);
    put_type6(icmp, error);
    memcpy(icmp + ICMP_HEADER, bytes, quoted);
    finish_checksum(icmp, checksum_pseudo6(out + 8, out + 24, PROTOCOL_ICMPV6) +
                              checksum_length((uint32_t)(ICMP_HEADER + quoted)) +
                              checksum_sum(icmp, ICMP_HEADER + quoted));
    return IPV6_HEADER + ICMP_HEADER + quoted;
}

size_t icmp_answer(uint8_t out[ICMP_MAX], const struct packet *packet, const uint8_t *bytes,
                   const struct icmp_error *error) {
    if (packet->version == 4)
        return may_answer4(packet, bytes) ? answer4(out, packet, bytes, error) : 0;
    return may_answer6(packet, bytes) ? answer6(out, packet, bytes, error) : 0;
}
