/*
 * One packet's way: read (which flow, may it join at all) -> find the flow's open frame -> fits?
 * (what the kernel's GRO compares) -> verify (checksums, only now that they matter) -> join, or
 * close that frame and open a new one. Frames are built when they are handed out.
 */
#include "coalesce.h"

#include <string.h>

#include "checksum.h"
#include "packet.h"
#include "segment.h"

#define TCP 6u
#define UDP 17u
#define TCP_HEADER 20u
#define UDP_HEADER 8u
#define TCP_CHECKSUM 16u
#define UDP_CHECKSUM 6u
#define TOTAL_MAX 65535u

#define FIN 0x01u
#define SYN 0x02u
#define RST 0x04u
#define PSH 0x08u
#define URG 0x20u
#define CWR 0x80u

#define IPV4_DF 0x40u /* in byte 6 */

/** What is read of a packet before anything is compared. */
struct candidate {
    const uint8_t *data;
    uint32_t length;
    uint32_t payload;
    uint32_t sequence;
    uint32_t hash;
    uint16_t id;
    uint8_t l4;
    uint8_t headers;
    uint8_t kind;  /* gso_type when it may join others, else 0 */
    uint8_t flags; /* TCP */
    bool flow;     /* hash and l4 tell its flow */
    bool barrier;  /* its flow cannot be told: nothing may overtake it */
};

static uint32_t read16(const uint8_t *at) { return (uint32_t)(at[0] << 8 | at[1]); }

static uint32_t read32(const uint8_t *at) { return read16(at) << 16 | read16(at + 2); }

static void write16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint64_t load64(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

static uint32_t load32(const uint8_t *at) {
    uint32_t word;
    memcpy(&word, at, 4);
    return word;
}

/* ---- Reading ---- */

/** Not secret: who collides with a flow is compared in full and found different. */
static uint32_t flow_hash(const uint8_t *packet, uint32_t l4, bool ipv4) {
    uint64_t h = load32(packet + l4);
    if (ipv4) {
        h = (h ^ load64(packet + 12)) * UINT64_C(0x9e3779b97f4a7c15);
    } else {
        uint64_t a = load64(packet + 8) ^ load64(packet + 16) << 1;
        uint64_t b = load64(packet + 24) ^ load64(packet + 32) << 1;
        h = ((h ^ a) * UINT64_C(0x9e3779b97f4a7c15) ^ b) * UINT64_C(0xbf58476d1ce4e5b9);
    }
    return (uint32_t)(h >> 32);
}

static void read_tcp(struct candidate *c, bool ipv4) {
    const uint8_t *tcp = c->data + c->l4;
    uint32_t available = c->length - c->l4;
    uint32_t header = (tcp[12] >> 4) * 4u;
    if (header < TCP_HEADER || header > available)
        return;
    c->headers = (uint8_t)(c->l4 + header);
    c->payload = available - header;
    c->sequence = read32(tcp + 4);
    c->flags = tcp[13];
    if (c->payload != 0 && !(c->flags & (SYN | RST | URG)))
        c->kind = ipv4 ? SEGMENT_GSO_TCPV4 : SEGMENT_GSO_TCPV6;
}

static void read_udp(struct candidate *c) {
    const uint8_t *udp = c->data + c->l4;
    uint32_t available = c->length - c->l4;
    c->headers = (uint8_t)(c->l4 + UDP_HEADER);
    c->payload = available - UDP_HEADER;
    if (c->payload != 0 && read16(udp + 4) == available && read16(udp + UDP_CHECKSUM) != 0)
        c->kind = SEGMENT_GSO_UDP_L4;
}

/** IPv6 headers behind which TCP or UDP may still come. */
static bool is_extension(uint8_t next_header) {
    switch (next_header) {
    case 0:   /* hop-by-hop */
    case 43:  /* routing */
    case 44:  /* fragment */
    case 51:  /* authentication */
    case 60:  /* destination options */
    case 135: /* mobility */
        return true;
    default:
        return false;
    }
}

static struct candidate read_packet(const struct coalesce *coalesce, const uint8_t *data,
                                    uint32_t length) {
    struct candidate c = {.data = data, .length = length};
    struct packet packet;
    if (packet_parse(&packet, data, length) != PACKET_OK || packet.length != length) {
        c.barrier = true;
        return c;
    }
    bool ipv4 = packet.version == 4;
    if (packet.fragment || (!ipv4 && is_extension(packet.protocol))) {
        c.barrier = true;
        return c;
    }
    if (packet.protocol != TCP && packet.protocol != UDP)
        return c;
    uint32_t l4 = packet.header_length;
    if (length - l4 < (packet.protocol == TCP ? TCP_HEADER : UDP_HEADER)) {
        c.barrier = true;
        return c;
    }
    c.flow = true;
    c.l4 = (uint8_t)l4;
    c.hash = flow_hash(data, l4, ipv4);
    /* As the kernel's GRO: options and the reserved bit are not for joining. */
    if (ipv4 && (l4 != 20 || (data[6] & ~IPV4_DF) != 0))
        return c;
    if (ipv4)
        c.id = (uint16_t)read16(data + 4);
    if (packet.protocol == TCP && coalesce->tcp)
        read_tcp(&c, ipv4);
    else if (packet.protocol == UDP && coalesce->udp)
        read_udp(&c);
    return c;
}

/* ---- Comparing ---- */

static const uint8_t *first_of(const struct coalesce *c, const struct coalesce_entry *entry) {
    return c->packets[entry->first].data;
}

/** Same addresses, protocol and ports? `a_l4` and `b_l4` are where the ports stand. */
static bool same_flow(const uint8_t *a, uint32_t a_l4, const uint8_t *b, uint32_t b_l4) {
    if (a[0] >> 4 != b[0] >> 4 || load32(a + a_l4) != load32(b + b_l4))
        return false;
    if (a[0] >> 4 == 4)
        return a[9] == b[9] && load64(a + 12) == load64(b + 12);
    return a[6] == b[6] && memcmp(a + 8, b + 8, 32) == 0;
}

static bool ip_fits(const struct coalesce_entry *entry, const uint8_t *first,
                    const struct candidate *c) {
    const uint8_t *data = c->data;
    if (first[0] >> 4 == 6) /* traffic class, flow label and hop limit */
        return load32(first) == load32(data) && first[7] == data[7];
    if (first[1] != data[1] || first[8] != data[8] || first[6] != data[6])
        return false;
    /* IDs count up by one. With DF set they mean nothing (RFC 6864) and may also stand still; the
     * second packet decides which it is. */
    uint16_t step = (uint16_t)(c->id - entry->id);
    if (entry->count == 1)
        return step == 1 || (step == 0 && data[6] & IPV4_DF);
    return step == (entry->fixed_id ? 0 : 1);
}

static bool tcp_fits(const struct coalesce_entry *entry, const uint8_t *first,
                     const struct candidate *c) {
    const uint8_t *a = first + entry->l4, *b = c->data + entry->l4;
    if (c->sequence != entry->sequence || c->flags & CWR)
        return false;
    if ((a[13] ^ b[13]) & ~(CWR | FIN | PSH) & 0xff)
        return false;
    /* Acknowledgement; data offset with the reserved bits; window; urgent pointer and options. */
    return load32(a + 8) == load32(b + 8) && a[12] == b[12] && a[14] == b[14] && a[15] == b[15] &&
           memcmp(a + 18, b + 18, entry->headers - entry->l4 - 18) == 0;
}

static bool fits(const struct coalesce_entry *entry, const uint8_t *first,
                 const struct candidate *c) {
    return c->kind == entry->kind && c->headers == entry->headers && c->payload <= entry->size &&
           entry->count < COALESCE_SEGMENTS && entry->total + c->payload <= TOTAL_MAX &&
           ip_fits(entry, first, c) && (c->kind == SEGMENT_GSO_UDP_L4 || tcp_fits(entry, first, c));
}

static bool verify(const uint8_t *data, uint32_t length, uint32_t l4, uint64_t pseudo) {
    if (data[0] >> 4 == 4 && !checksum_ipv4_valid(data, l4))
        return false;
    return checksum_valid(data + l4, length - l4, pseudo + checksum_length(length - l4));
}

/* ---- Frames ---- */

static void close_at(struct coalesce *c, uint32_t slot) {
    c->open_count--;
    for (uint32_t i = slot; i < c->open_count; i++) {
        c->open[i] = c->open[i + 1];
        c->open_hash[i] = c->open_hash[i + 1];
    }
}

/** The slot of the flow's open frame, or COALESCE_FLOWS. The newest is the likeliest. */
static uint32_t find_open(const struct coalesce *coalesce, const struct candidate *c) {
    for (uint32_t i = coalesce->open_count; i-- > 0;) {
        if (coalesce->open_hash[i] != c->hash)
            continue;
        const struct coalesce_entry *entry = &coalesce->entries[coalesce->open[i]];
        if (same_flow(first_of(coalesce, entry), entry->l4, c->data, c->l4))
            return i;
    }
    return COALESCE_FLOWS;
}

static void open_frame(struct coalesce *coalesce, const struct candidate *c, uint16_t packet) {
    uint16_t index = coalesce->entry_count++;
    struct coalesce_entry *entry = &coalesce->entries[index];
    *entry = (struct coalesce_entry){
        .sequence = c->sequence + c->payload,
        .total = c->length,
        .first = packet,
        .last = packet,
        .count = 1,
        .size = (uint16_t)c->payload,
        .id = c->id,
        .l4 = c->l4,
        .headers = c->headers,
        .kind = c->kind,
    };
    if (c->kind == 0 || c->flags & (PSH | FIN))
        return;
    if (coalesce->open_count == COALESCE_FLOWS) {
        close_at(coalesce, 0);
        coalesce->stats.evicted++;
    }
    coalesce->open[coalesce->open_count] = index;
    coalesce->open_hash[coalesce->open_count] = c->hash;
    coalesce->open_count++;
}

/** Are the checksums right of this packet and, looked at once, of the frame's first? */
static bool verified(struct coalesce *coalesce, struct coalesce_entry *entry,
                     const struct candidate *c) {
    const struct coalesce_packet *first = &coalesce->packets[entry->first];
    if (entry->count == 1) {
        uint8_t protocol = entry->kind == SEGMENT_GSO_UDP_L4 ? UDP : TCP;
        entry->pseudo = first->data[0] >> 4 == 4
                            ? checksum_pseudo4(first->data + 12, first->data + 16, protocol)
                            : checksum_pseudo6(first->data + 8, first->data + 24, protocol);
        if (!verify(first->data, first->length, entry->l4, entry->pseudo)) {
            coalesce->stats.bad_checksum++;
            return false;
        }
    }
    if (!verify(c->data, c->length, c->l4, entry->pseudo)) {
        coalesce->stats.bad_checksum++;
        return false;
    }
    return true;
}

/** Appends the packet to the frame in this slot if it may; false when the frame must be closed. */
static bool join(struct coalesce *coalesce, uint32_t slot, const struct candidate *c,
                 uint16_t packet) {
    struct coalesce_entry *entry = &coalesce->entries[coalesce->open[slot]];
    if (!fits(entry, first_of(coalesce, entry), c) || !verified(coalesce, entry, c))
        return false;
    entry->fixed_id = entry->count == 1 ? c->id == entry->id : entry->fixed_id;
    coalesce->packets[entry->last].next = packet;
    entry->last = packet;
    entry->count++;
    entry->id = c->id;
    entry->sequence += c->payload;
    entry->total += c->payload;
    entry->flags |= c->flags & (PSH | FIN);
    coalesce->stats.merged++;
    if (c->payload < entry->size || c->flags & (PSH | FIN))
        close_at(coalesce, slot);
    return true;
}

void coalesce_init(struct coalesce *coalesce, bool tcp, bool udp) {
    memset(coalesce, 0, sizeof(*coalesce));
    coalesce->tcp = tcp;
    coalesce->udp = udp;
}

bool coalesce_add(struct coalesce *coalesce, const uint8_t *packet, size_t length) {
    if (coalesce->packet_count == COALESCE_PACKETS || coalesce->next_entry != 0)
        return false;
    uint16_t index = coalesce->packet_count++;
    coalesce->packets[index] = (struct coalesce_packet){packet, (uint32_t)length, 0};
    coalesce->stats.packets++;

    struct candidate c = read_packet(coalesce, packet, (uint32_t)length);
    if (c.barrier)
        coalesce->open_count = 0;
    uint32_t slot = c.flow ? find_open(coalesce, &c) : COALESCE_FLOWS;
    if (slot != COALESCE_FLOWS) {
        if (c.kind != 0 && join(coalesce, slot, &c, index))
            return true;
        close_at(coalesce, slot);
    }
    open_frame(coalesce, &c, index);
    return true;
}

/* ---- Handing out ---- */

/** iovec has no const; nothing is written through it. */
static struct iovec piece(const uint8_t *at, size_t length) {
    return (struct iovec){.iov_base = (void *)(uintptr_t)at, .iov_len = length};
}

static const uint8_t empty_vnet[SEGMENT_VNET_SIZE];

static void build_single(struct coalesce_frame *frame, const struct coalesce_packet *packet) {
    frame->iov[0] = piece(empty_vnet, SEGMENT_VNET_SIZE);
    frame->iov[1] = piece(packet->data, packet->length);
    frame->iov_count = 2;
    frame->packets = 1;
    frame->length = SEGMENT_VNET_SIZE + packet->length;
    frame->stripped = 0;
}

static void write_vnet(uint8_t *at, const struct coalesce_entry *entry, bool cwr) {
    uint16_t words[4] = {entry->headers, entry->size, entry->l4,
                         entry->kind == SEGMENT_GSO_UDP_L4 ? UDP_CHECKSUM : TCP_CHECKSUM};
    at[0] = SEGMENT_NEEDS_CSUM;
    at[1] = (uint8_t)(entry->kind | (cwr ? SEGMENT_GSO_ECN : 0));
    memcpy(at + 2, words, 8);
}

/** The first packet's headers with what is different for the whole. */
static void write_headers(struct coalesce_frame *frame, const struct coalesce_entry *entry,
                          const uint8_t *first) {
    uint8_t *ip = frame->header + SEGMENT_VNET_SIZE;
    uint8_t *l4 = ip + entry->l4;
    bool udp = entry->kind == SEGMENT_GSO_UDP_L4;
    memcpy(ip, first, entry->headers);
    if (ip[0] >> 4 == 4) {
        write16(ip + 2, entry->total);
        checksum_ipv4_write(ip, entry->l4);
    } else {
        write16(ip + 4, entry->total - 40);
    }
    uint32_t l4_length = entry->total - entry->l4;
    if (udp)
        write16(l4 + 4, l4_length);
    else
        l4[13] = (uint8_t)(l4[13] | entry->flags);
    uint16_t partial = checksum_fold(entry->pseudo + checksum_length(l4_length));
    memcpy(l4 + (udp ? UDP_CHECKSUM : TCP_CHECKSUM), &partial, 2);
    write_vnet(frame->header, entry, !udp && l4[13] & CWR);
}

static void build_super(struct coalesce_frame *frame, const struct coalesce *coalesce,
                        const struct coalesce_entry *entry) {
    write_headers(frame, entry, first_of(coalesce, entry));
    frame->iov[0] = piece(frame->header, SEGMENT_VNET_SIZE + entry->headers);
    uint32_t at = entry->first;
    for (uint32_t i = 1; i <= entry->count; i++) {
        const struct coalesce_packet *packet = &coalesce->packets[at];
        frame->iov[i] = piece(packet->data + entry->headers, packet->length - entry->headers);
        at = packet->next;
    }
    frame->iov_count = 1u + entry->count;
    frame->packets = entry->count;
    frame->length = SEGMENT_VNET_SIZE + entry->total;
    frame->stripped = entry->headers;
}

bool coalesce_next(struct coalesce *coalesce, struct coalesce_frame *frame) {
    if (coalesce->next_entry == coalesce->entry_count) {
        coalesce->packet_count = 0;
        coalesce->entry_count = 0;
        coalesce->next_entry = 0;
        coalesce->open_count = 0;
        return false;
    }
    const struct coalesce_entry *entry = &coalesce->entries[coalesce->next_entry++];
    if (entry->count == 1)
        build_single(frame, &coalesce->packets[entry->first]);
    else
        build_super(frame, coalesce, entry);
    coalesce->stats.frames++;
    return true;
}

void coalesce_original(const struct coalesce_frame *frame, uint32_t i, struct iovec iov[2]) {
    const struct iovec *share = &frame->iov[1 + i];
    const uint8_t *at = share->iov_base;
    iov[0] = piece(empty_vnet, SEGMENT_VNET_SIZE);
    iov[1] = piece(at - frame->stripped, share->iov_len + frame->stripped);
}
