#include "segment.h"

#include <string.h>

#include "checksum.h"
#include "packet.h"

#define TCP 6u
#define UDP 17u
#define TCP_HEADER 20u
#define UDP_HEADER 8u
#define TCP_CHECKSUM 16u /* csum_offset */
#define UDP_CHECKSUM 6u
#define TCP_FIN 0x01u
#define TCP_PSH 0x08u
#define TCP_CWR 0x80u

/** struct virtio_net_hdr, in host byte order as a TUN without TUNSETVNETLE/BE writes it. */
struct vnet {
    uint8_t flags;
    uint8_t gso_type;
    uint16_t hdr_len;
    uint16_t gso_size;
    uint16_t csum_start;
    uint16_t csum_offset;
};
_Static_assert(sizeof(struct vnet) == SEGMENT_VNET_SIZE, "linux/virtio_net.h");

static void write16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void write32(uint8_t *at, uint32_t value) {
    write16(at, value >> 16);
    write16(at + 2, value);
}

static uint32_t read32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint16_t checksum_field(const uint8_t *at) {
    uint16_t checksum;
    memcpy(&checksum, at, 2);
    return checksum;
}

static enum segment_status begin_single(struct segmenter *s, uint8_t *packet, size_t length,
                                        const struct vnet *vnet) {
    if (vnet->flags & SEGMENT_NEEDS_CSUM &&
        !checksum_complete(packet, length, vnet->csum_start, vnet->csum_offset))
        return SEGMENT_BAD_CHECKSUM;
    s->kind = SEGMENT_GSO_NONE;
    s->payload = packet;
    s->remaining = (uint32_t)length;
    s->count = 1;
    return SEGMENT_OK;
}

/**
 * Where TCP or UDP starts, 0 if the virtio header contradicts the packet. The chain of IPv6
 * extension headers is not walked: behind one, the kernel's csum_start is the only word for it.
 */
static uint32_t transport_offset(const struct packet *packet, const struct vnet *vnet,
                                 uint8_t protocol) {
    bool stated = vnet->flags & SEGMENT_NEEDS_CSUM;
    uint32_t fixed = packet->header_length;
    if (!stated || vnet->csum_start == fixed)
        return packet->protocol == protocol ? fixed : 0;
    bool chain = packet->version == 6 && packet->protocol != TCP && packet->protocol != UDP;
    return chain && vnet->csum_start > fixed ? vnet->csum_start : 0;
}

/** The header sums of a segment, with everything that changes between segments left out. */
static void prepare_sums(struct segmenter *s, const struct packet *packet, uint8_t protocol,
                         size_t length) {
    uint8_t *header = s->template;
    uint8_t *transport = header + s->l4;
    bool udp = protocol == UDP;
    uint8_t *checksum = transport + (udp ? UDP_CHECKSUM : TCP_CHECKSUM);

    if (s->l4 != packet->header_length) {
        /* A routing header among the extensions changes whose address counts. The kernel put the
         * right one into the partial checksum; only its length has to go. */
        uint16_t total = checksum_fold(checksum_length((uint32_t)length - s->l4));
        s->pseudo = (uint64_t)checksum_field(checksum) + (uint16_t)~total;
    } else if (s->ipv4) {
        s->pseudo = checksum_pseudo4(packet->source, packet->destination, protocol);
    } else {
        s->pseudo = checksum_pseudo6(packet->source, packet->destination, protocol);
    }

    write16(checksum, 0);
    if (udp) {
        write16(transport + 4, 0);
    } else {
        s->sequence = read32(transport + 4);
        s->flags = transport[13];
        write32(transport + 4, 0);
        transport[13] = 0;
    }
    s->l4_sum = checksum_sum(transport, s->headers - s->l4);

    if (s->ipv4) {
        s->id = (uint16_t)(header[4] << 8 | header[5]);
        write32(header + 2, 0); /* total length and ID */
        write16(header + 10, 0);
        s->ip_sum = checksum_sum(header, packet->header_length);
    }
}

static enum segment_status begin_super(struct segmenter *s, uint8_t *bytes, size_t length,
                                       const struct vnet *vnet) {
    bool udp = s->kind == SEGMENT_GSO_UDP_L4;
    uint8_t protocol = udp ? UDP : TCP;
    struct packet packet;
    if (packet_parse(&packet, bytes, length) != PACKET_OK || packet.length != length ||
        packet.fragment)
        return SEGMENT_BAD_PACKET;
    s->ipv4 = packet.version == 4;
    if (!udp && s->ipv4 != (s->kind == SEGMENT_GSO_TCPV4))
        return SEGMENT_BAD_GSO;

    uint32_t l4 = transport_offset(&packet, vnet, protocol);
    uint32_t header = udp ? UDP_HEADER : TCP_HEADER;
    if (l4 == 0 || l4 + header > length)
        return SEGMENT_BAD_TRANSPORT;
    if (!udp) {
        header = (bytes[l4 + 12] >> 4) * 4u;
        if (header < TCP_HEADER)
            return SEGMENT_BAD_TRANSPORT;
    }
    if (l4 + header > length || l4 + header > SEGMENT_HEADERS_MAX)
        return SEGMENT_BAD_TRANSPORT;
    uint32_t offset = udp ? UDP_CHECKSUM : TCP_CHECKSUM;
    if (vnet->flags & SEGMENT_NEEDS_CSUM) {
        if (vnet->csum_offset != offset)
            return SEGMENT_BAD_CHECKSUM;
    } else {
        s->unsummed = udp && s->ipv4 && checksum_field(bytes + l4 + offset) == 0;
    }

    s->l4 = (uint16_t)l4;
    s->headers = (uint16_t)(l4 + header);
    s->gso_size = vnet->gso_size;
    s->payload = bytes + s->headers;
    s->remaining = (uint32_t)length - s->headers;
    s->count = s->remaining ? (s->remaining + s->gso_size - 1) / s->gso_size : 1;
    memcpy(s->template, bytes, s->headers);
    prepare_sums(s, &packet, protocol, length);
    return SEGMENT_OK;
}

enum segment_status segment_begin(struct segmenter *segmenter, uint8_t *frame, size_t length,
                                  uint32_t mtu) {
    struct segmenter *s = segmenter;
    if (length <= SEGMENT_VNET_SIZE || length > UINT32_MAX)
        return SEGMENT_SHORT;
    struct vnet vnet;
    memcpy(&vnet, frame, sizeof(vnet));
    uint8_t *packet = frame + SEGMENT_VNET_SIZE;
    length -= SEGMENT_VNET_SIZE;

    s->mtu = mtu;
    s->index = 0;
    s->count = 0;
    s->remaining = 0;
    s->saved_length = 0;
    s->unsummed = false;
    /* ECN only tells that CWR may be set; what CWR means for segments holds without being told. */
    s->kind = vnet.gso_type & (uint8_t)~SEGMENT_GSO_ECN;
    switch (s->kind) {
    case SEGMENT_GSO_NONE:
        return begin_single(s, packet, length, &vnet);
    case SEGMENT_GSO_TCPV4:
    case SEGMENT_GSO_TCPV6:
    case SEGMENT_GSO_UDP_L4:
        return vnet.gso_size ? begin_super(s, packet, length, &vnet) : SEGMENT_BAD_GSO;
    default:
        return SEGMENT_BAD_GSO;
    }
}

static void stamp_ip(struct segmenter *s, uint8_t *header, uint32_t total) {
    if (!s->ipv4) {
        write16(header + 4, total - 40);
        return;
    }
    write16(header + 2, total);
    write16(header + 4, s->id++);
    uint32_t changed;
    memcpy(&changed, header + 2, 4);
    uint16_t checksum = (uint16_t)~checksum_fold(s->ip_sum + changed);
    memcpy(header + 10, &checksum, 2);
}

/** Writes the checksum of a segment whose other fields stand, `changed` being their sum. */
static void stamp_checksum(const struct segmenter *s, uint8_t *at, uint64_t changed,
                           uint32_t share) {
    uint64_t sum = s->pseudo + checksum_length(s->headers - s->l4 + share) + s->l4_sum + changed +
                   checksum_sum(s->payload, share);
    uint16_t checksum = (uint16_t)~checksum_fold(sum);
    if (checksum == 0 && s->kind == SEGMENT_GSO_UDP_L4)
        checksum = 0xffff; /* 0 would say "none" */
    memcpy(at, &checksum, 2);
}

static void stamp_tcp(struct segmenter *s, uint8_t *transport, uint32_t share) {
    uint8_t flags = s->flags;
    if (s->index != 0)
        flags &= (uint8_t)~TCP_CWR;
    if (s->index + 1 != s->count)
        flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    write32(transport + 4, s->sequence);
    transport[13] = flags;
    s->sequence += share;

    uint32_t sequence;
    memcpy(&sequence, transport + 4, 4);
    uint8_t flags_word[2] = {0, flags};
    stamp_checksum(s, transport + TCP_CHECKSUM, (uint64_t)sequence + checksum_field(flags_word),
                   share);
}

static void stamp_udp(const struct segmenter *s, uint8_t *transport, uint32_t share) {
    write16(transport + 4, UDP_HEADER + share);
    if (!s->unsummed)
        stamp_checksum(s, transport + UDP_CHECKSUM, checksum_field(transport + 4), share);
}

/** Zeros behind the segment, remembering what they replace. */
static void pad(struct segmenter *s, struct segment *segment) {
    segment->padded = (uint32_t)packet_padded(segment->length, s->mtu);
    s->saved_length = (uint16_t)(segment->padded - segment->length);
    s->patched = segment->data + segment->length;
    memcpy(s->saved, s->patched, s->saved_length);
    memset(s->patched, 0, s->saved_length);
}

bool segment_next(struct segmenter *segmenter, struct segment *segment) {
    struct segmenter *s = segmenter;
    if (s->index >= s->count)
        return false;
    if (s->saved_length)
        memcpy(s->patched, s->saved, s->saved_length);
    if (s->kind == SEGMENT_GSO_NONE) {
        *segment = (struct segment){.data = s->payload, .length = s->remaining};
    } else {
        uint32_t share = s->remaining < s->gso_size ? s->remaining : s->gso_size;
        uint8_t *header = s->payload - s->headers;
        memcpy(header, s->template, s->headers);
        stamp_ip(s, header, s->headers + share);
        if (s->kind == SEGMENT_GSO_UDP_L4)
            stamp_udp(s, header + s->l4, share);
        else
            stamp_tcp(s, header + s->l4, share);
        *segment = (struct segment){.data = header, .length = s->headers + share};
        s->payload += share;
        s->remaining -= share;
    }
    s->index++;
    pad(s, segment);
    return true;
}
