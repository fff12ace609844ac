#include "forward.h"

#include <string.h>

#include "aead.h"
#include "checksum.h"
#include "foreign.h"
#include "icmp.h"
#include "pass.h"
#include "segment.h"

#define IPV4_TTL 8u
#define IPV4_CHECKSUM 10u
#define IPV4_FLAGS 6u
#define IPV4_DF 0x40u
#define IPV6_HOP_LIMIT 7u

_Static_assert(AEAD_TAG_SIZE >= SEGMENT_SLACK, "the tag makes room for padding");

bool forward_holds(const struct shoal_prefix *prefix, const uint8_t *address) {
    uint32_t bytes = prefix->length / 8u, bits = prefix->length % 8u;
    if (memcmp(prefix->ip, address, bytes) != 0)
        return false;
    return bits == 0 || ((prefix->ip[bytes] ^ address[bytes]) & (0xff00u >> bits)) == 0;
}

void forward_set_inner(struct forward *forward, const struct shoal_prefix *address) {
    forward->inner[address->family == SHOAL_AF_INET6] = *address;
}

/* As it is now: congestion outside may have been marked inside since it was parsed (R52). */
static uint8_t tos_of(const struct packet *packet, const uint8_t *plain) {
    return (uint8_t)(packet->version == 4 ? plain[1] : plain[0] << 4 | plain[1] >> 4);
}

/* Does its socket have to have room? Another worker's is that worker's to know. */
static bool is_blocked(const struct pass *pass, const struct peer *to) {
    return to->worker == pass->worker && tx_is_blocked(&pass->tx);
}

/* Tells the sender why its packet does not go on. It has just sent something, so it is there. */
static void answer(struct pass *pass, struct peer *to, const struct packet *packet,
                   const uint8_t *plain, enum icmp_kind kind) {
    struct plane *plane = pass->plane;
    const struct shoal_prefix *inner = &plane->forward.inner[packet->version == 6];
    struct icmp_error error = {
        .kind = kind,
        .mtu = atomic_load_explicit(&plane->mtu, memory_order_relaxed),
        .source = inner->family == SHOAL_AF_NONE ? NULL : inner->ip,
    };
    uint8_t frame[SEGMENT_VNET_SIZE + ICMP_MAX + SEGMENT_SLACK] = {0};
    size_t length = icmp_answer(frame + SEGMENT_VNET_SIZE, packet, plain, &error);
    if (!length || is_blocked(pass, to) || !icmp_take(&pass->forward_pace, pass->now))
        return;
    uint32_t size = (uint32_t)(SEGMENT_VNET_SIZE + length);
    uint8_t tos = tos_of(packet, frame + SEGMENT_VNET_SIZE);
    if (to->worker != pass->worker) /* no error is answered by another: nobody has to be told */
        foreign_frame(pass, to, NULL, frame, size, tos, false);
    else if (!tx_frame(pass, to, frame, size, tos, false))
        return;
    stats_add(&pass->stats, COUNT_forward_errors, 1);
}

static uint8_t hops_left(const struct packet *packet, const uint8_t *plain) {
    return plain[packet->version == 4 ? IPV4_TTL : IPV6_HOP_LIMIT];
}

static void lower_hops(const struct packet *packet, uint8_t *plain) {
    if (packet->version == 6) {
        plain[IPV6_HOP_LIMIT]--;
        return;
    }
    uint16_t before, after, checksum;
    memcpy(&before, plain + IPV4_TTL, sizeof(before));
    plain[IPV4_TTL]--;
    memcpy(&after, plain + IPV4_TTL, sizeof(after));
    memcpy(&checksum, plain + IPV4_CHECKSUM, sizeof(checksum));
    checksum = checksum_update(checksum, before, after);
    memcpy(plain + IPV4_CHECKSUM, &checksum, sizeof(checksum));
}

/* A packet that must not be cut is told of (RFC 1191, RFC 8201); nothing here cuts the others. */
static bool wants_to_know_size(const struct packet *packet, const uint8_t *plain) {
    return packet->version == 6 || plain[IPV4_FLAGS] & IPV4_DF;
}

/* Seals it for a peer of ours. */
static void send_on(struct pass *pass, struct peer *from, struct peer *to,
                    const struct packet *packet, uint8_t *frame, uint32_t size) {
    const uint8_t *plain = frame + SEGMENT_VNET_SIZE;
    if (tx_is_blocked(&pass->tx)) /* sealed now, it would only be dropped */
        pass_drop(pass, to, COUNT_drop_forward_buffer, 1);
    else if (tx_frame(pass, to, frame, size, tos_of(packet, plain), false))
        stats_add(&pass->stats, COUNT_forwarded, 1);
    else
        answer(pass, from, packet, plain, ICMP_UNREACHABLE);
}

static void carry(struct pass *pass, struct peer *from, struct peer *to,
                  const struct packet *packet, uint8_t *plain) {
    if (hops_left(packet, plain) <= 1) {
        pass_drop(pass, from, COUNT_drop_forward_hops, 1);
        answer(pass, from, packet, plain, ICMP_TIME_EXCEEDED);
        return;
    }
    if (packet->length > atomic_load_explicit(&pass->plane->mtu, memory_order_relaxed)) {
        pass_drop(pass, from, COUNT_drop_forward_too_big, 1);
        if (wants_to_know_size(packet, plain))
            answer(pass, from, packet, plain, ICMP_TOO_BIG);
        return;
    }
    /* In place: the virtio header lies on the message header, the padding on the tag. */
    uint8_t *frame = plain - SEGMENT_VNET_SIZE;
    memset(frame, 0, SEGMENT_VNET_SIZE);
    lower_hops(packet, plain);
    uint32_t size = SEGMENT_VNET_SIZE + packet->length;
    if (to->worker == pass->worker)
        send_on(pass, from, to, packet, frame, size);
    else
        foreign_frame(pass, to, from, frame, size, tos_of(packet, plain), false);
}

void forward_frame(struct pass *pass, struct peer *from, struct peer *to, uint8_t *frame,
                   uint32_t size) {
    struct packet packet;
    if (size > SEGMENT_VNET_SIZE &&
        packet_parse(&packet, frame + SEGMENT_VNET_SIZE, size - SEGMENT_VNET_SIZE) == PACKET_OK)
        send_on(pass, from, to, &packet, frame, size);
    else
        pass_drop(pass, from, COUNT_drop_rx_malformed, 1);
}

/* For nobody here and nobody else: the kernel behind the TUN would carry it into networks that its
 * sender was never let into, where forwarding is on. */
static void refuse(struct pass *pass, struct peer *from, const struct packet *packet,
                   const uint8_t *plain) {
    const struct shoal_prefix *inner = &pass->plane->forward.inner[packet->version == 6];
    bool guests = from->guest && forward_holds(inner, packet->destination);
    pass_drop(pass, from, guests ? COUNT_drop_forward_no_route : COUNT_drop_rx_destination, 1);
    answer(pass, from, packet, plain, ICMP_UNREACHABLE);
}

bool forward_packet(struct pass *pass, struct peer *from, const struct packet *packet,
                    uint8_t *plain) {
    struct plane *plane = pass->plane;
    bool v4 = packet->version == 4;
    const struct shoal_prefix *inner = &plane->forward.inner[!v4];
    bool bounded = inner->family != SHOAL_AF_NONE;
    /* Nearly everything is for ourselves, and costs no look-up. */
    if (bounded && memcmp(inner->ip, packet->destination, v4 ? 4 : 16) == 0)
        return false;
    if (!bounded && !plane->forward.guests)
        return false;
    uint32_t slot = v4 ? route_lookup4(plane->routes, packet->destination)
                       : route_lookup6(plane->routes, packet->destination);
    struct peer *to = slot == ROUTE_NONE ? NULL : plane->peers.entries[slot].peer;
    if (!to || (!from->guest && !to->guest)) {
        if (bounded)
            refuse(pass, from, packet, plain);
        return bounded;
    }
    if (from->lanes[0] == to) {
        pass_drop(pass, from, COUNT_drop_forward_back, 1);
        return true;
    }
    carry(pass, from, to, packet, plain);
    return true;
}
