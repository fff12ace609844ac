#include "rx.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "device.h"
#include "edge.h"
#include "forward.h"
#include "packet.h"
#include "segment.h"
#include "wire.h"
#include "worker.h"

bool rx_init(struct rx *rx, const uint8_t seed[16]) {
    stray_init(&rx->stray, seed);
    rx->arena = aligned_alloc(4096, RX_ARENA_SIZE);
    return rx->arena != NULL;
}

void rx_free(struct rx *rx) { free(rx->arena); }

static void drop(struct worker *worker, struct peer *peer, enum counter why) {
    stats_add(&worker->stats, why, 1);
    if (peer)
        facts_add(&peer->facts.dropped, 1);
}

/* ---- To the TUN -------------------------------------------------------------------------- */

static enum counter reason(int error) {
    return error == EIO ? COUNT_drop_rx_link_down : COUNT_drop_rx_tun;
}

/* The offload that a frame's virtio header makes use of; 0 for a single packet. */
static uint32_t offload_of(const struct coalesce_frame *frame) {
    const uint8_t *header = frame->iov[0].iov_base;
    switch (header[1] & ~SEGMENT_GSO_ECN) {
    case SEGMENT_GSO_TCPV4:
    case SEGMENT_GSO_TCPV6:
        return SHOAL_OFFLOAD_TUN_TSO;
    case SEGMENT_GSO_UDP_L4:
        return SHOAL_OFFLOAD_TUN_USO;
    default:
        return 0;
    }
}

static void demote(struct worker *worker, uint32_t which, int error) {
    struct device *device = worker->device;
    if (!offload_demote(&device->offload, which))
        return;
    uint32_t on = atomic_load_explicit(&device->offload.on, memory_order_relaxed);
    tun_set_offloads(&worker->tun, on);
    struct shoal_mail mail = {.kind = SHOAL_MAIL_OFFLOAD_DEMOTED,
                              .value = which,
                              .index = (uint32_t)error,
                              .time = worker->now};
    post_news(&device->post, &worker->stats, &mail);
}

/* The kernel refused a super-packet: its packets again, each by itself, each once (T26). */
static void write_singly(struct worker *worker, const struct coalesce_frame *frame) {
    stats_add(&worker->stats, COUNT_tun_gso_refused, 1);
    for (uint32_t i = 0; i < frame->packets; i++) {
        struct iovec parts[2];
        coalesce_original(frame, i, parts);
        int error = tun_write(&worker->tun, parts, 2);
        if (error)
            drop(worker, NULL, reason(error));
        else
            stats_add(&worker->stats, COUNT_tun_writes, 1);
    }
}

static void write_frame(struct worker *worker, struct coalesce_frame *frame) {
    if (worker->tun.fd < 0) {
        stats_add(&worker->stats, COUNT_drop_rx_no_tun, frame->packets);
        return;
    }
    uint32_t offload = offload_of(frame);
    int error = tun_write(&worker->tun, frame->iov, frame->iov_count);
    if (!error) {
        stats_add(&worker->stats, COUNT_tun_writes, 1);
    } else if (error == EINVAL && frame->packets > 1) {
        write_singly(worker, frame);
        demote(worker, offload, error);
    } else if (error == EBADFD) {
        stats_add(&worker->stats, COUNT_drop_rx_no_tun, frame->packets);
        worker_tun_gone(worker);
    } else {
        stats_add(&worker->stats, reason(error), frame->packets);
    }
}

void rx_deliver(struct worker *worker) {
    struct rx *rx = &worker->rx;
    while (coalesce_next(&rx->coalesce, &rx->frame))
        write_frame(worker, &rx->frame);
    /* A demotion counts from the next packet on; while packets wait the coalescer has its mind. */
    const struct offload *offload = &worker->device->offload;
    rx->coalesce.tcp = worker->tun.vnet && offload_has(offload, SHOAL_OFFLOAD_TUN_TSO);
    rx->coalesce.udp = worker->tun.vnet && offload_has(offload, SHOAL_OFFLOAD_TUN_USO);
}

/* ---- Data messages ----------------------------------------------------------------------- */

/* The endpoint is the outer source of the latest authenticated packet (R53), and we answer from the
 * address that it came to (R55). Only another remote is news. */
static void move_endpoint(struct worker *worker, struct peer *peer,
                          const struct shoal_endpoint *endpoint) {
    if (memcmp(&peer->endpoint, endpoint, sizeof(*endpoint)) == 0)
        return;
    bool moved = memcmp(&peer->endpoint.remote, &endpoint->remote, sizeof(endpoint->remote)) != 0;
    peer_set_endpoint(peer, endpoint);
    peer->routes_seen = atomic_load_explicit(&worker->device->route_changes, memory_order_relaxed);
    if (!moved)
        return;
    struct shoal_mail mail = {.kind = SHOAL_MAIL_ENDPOINT_MOVED,
                              .tag = peer->tag,
                              .time = worker->now,
                              .endpoint = *endpoint};
    post_frequent_news(&worker->device->post, &worker->stats,
                       &mail); /* facts know the endpoint, too */
}

static void confirm(struct worker *worker, struct peer *peer, const struct session *session) {
    peer_confirm(peer, &worker->device->sessions);
    struct shoal_mail mail = {.kind = SHOAL_MAIL_SESSION_CONFIRMED,
                              .tag = peer->tag,
                              .index = session->local_index,
                              .time = worker->now};
    post_news(&worker->device->post, &worker->stats, &mail);
    worker_list_flush(worker, peer);
}

static void check_rekey(struct worker *worker, struct peer *peer, struct session *session) {
    if (session->rekey_mailed || !session->rekey_on_receive ||
        worker->now < session->rekey_on_receive)
        return;
    struct shoal_mail mail = {.kind = SHOAL_MAIL_REKEY_DUE,
                              .tag = peer->tag,
                              .index = session->local_index,
                              .value = SHOAL_REKEY_RECEIVE,
                              .time = worker->now};
    session->rekey_mailed = post_news(&worker->device->post, &worker->stats, &mail);
}

static void account(struct worker *worker, struct peer *peer, uint32_t length) {
    struct facts *facts = &peer->facts;
    stats_add(&worker->stats, COUNT_rx_packets, 1);
    stats_add(&worker->stats, COUNT_rx_bytes, length);
    facts_add(&facts->rx_packets, 1);
    facts_add(&facts->rx_bytes, length);
    facts_set(&facts->last_authenticated_receive, worker->now);
    facts_set(&facts->first_unanswered_data, 0);
    if (length == WIRE_DATA_OVERHEAD) {
        stats_add(&worker->stats, COUNT_rx_keepalives, 1);
        return;
    }
    facts_set(&facts->last_data_receive, worker->now);
    if (!facts_get(&facts->first_unsent_reply))
        facts_set(&facts->first_unsent_reply, worker->now);
    edge_raise(worker, peer, SHOAL_EDGE_UNSENT_REPLY, facts_get(&facts->first_unsent_reply));
}

/* What opened goes to the TUN, or on to another peer, if it is a packet (R49), its own (R50), and
 * can say what the outer header has to tell (R52). */
static void inner(struct worker *worker, struct peer *peer, uint8_t *plain, uint32_t length,
                  uint8_t outer_tos) {
    struct device *device = worker->device;
    struct rx *rx = &worker->rx;
    struct packet packet;
    if (packet_parse(&packet, plain, length) != PACKET_OK) {
        drop(worker, peer, COUNT_drop_rx_malformed);
        return;
    }
    uint32_t owner = packet.version == 4 ? route_lookup4(device->routes, packet.source)
                                         : route_lookup6(device->routes, packet.source);
    if (owner != peer->slot) {
        drop(worker, peer, COUNT_drop_rx_source);
        return;
    }
    if ((outer_tos & PACKET_ECN_MASK) && !packet_ecn_decapsulate(plain, outer_tos)) {
        drop(worker, peer, COUNT_drop_rx_ecn);
        return;
    }
    if (device->forward.guests && forward_packet(worker, peer, &packet, plain))
        return;
    if (!coalesce_add(&rx->coalesce, plain, packet.length)) {
        rx_deliver(worker);
        coalesce_add(&rx->coalesce, plain, packet.length);
    }
}

static void tell_stray(struct worker *worker, const struct shoal_endpoint *from) {
    if (!stray_tell(&worker->rx.stray, &from->remote, worker->now))
        return;
    struct shoal_mail mail = {.kind = SHOAL_MAIL_STRAY, .time = worker->now, .endpoint = *from};
    post_frequent_news(&worker->device->post, &worker->stats, &mail);
}

static void data(struct worker *worker, uint8_t *message, uint32_t length,
                 const struct socket_received *received) {
    struct device *device = worker->device;
    if (length < WIRE_DATA_OVERHEAD) {
        drop(worker, NULL, COUNT_drop_rx_short);
        return;
    }
    struct session *session =
        session_table_find(&device->sessions, wire_get_le32(message + WIRE_DATA_INDEX));
    if (!session) {
        drop(worker, NULL, COUNT_drop_rx_index);
        tell_stray(worker, &received->endpoint);
        return;
    }
    struct peer *peer = session->peer;
    uint64_t counter = wire_get_le64(message + WIRE_DATA_COUNTER);
    if (session_expired(session, worker->now)) {
        drop(worker, peer, COUNT_drop_rx_expired);
        return;
    }
    if (counter >= SESSION_COUNTER_LIMIT) {
        drop(worker, peer, COUNT_drop_rx_counter_limit);
        return;
    }
    if (!replay_check(&session->replay, counter)) {
        drop(worker, peer, COUNT_drop_rx_replay);
        return;
    }
    uint8_t *plain = message + WIRE_DATA_HEADER;
    struct aead_packet packet = {
        .out = plain, .in = plain, .counter = counter, .length = length - WIRE_DATA_HEADER};
    if (aead_open(session->receive, &packet, 1) != 1) {
        drop(worker, peer, COUNT_drop_rx_authentication);
        return;
    }
    if (!replay_commit(&session->replay, counter)) {
        drop(worker, peer, COUNT_drop_rx_replay);
        return;
    }
    move_endpoint(worker, peer, &received->endpoint);
    if (session == peer->sessions[PEER_NEXT])
        confirm(worker, peer, session);
    check_rekey(worker, peer, session);
    account(worker, peer, length);
    if (length > WIRE_DATA_OVERHEAD)
        inner(worker, peer, plain, length - WIRE_DATA_OVERHEAD, received->tos);
}

/* ---- Everything else --------------------------------------------------------------------- */

static void mail_datagram(struct worker *worker, enum mailbox_lane lane, const uint8_t *bytes,
                          uint32_t length, const struct shoal_endpoint *from) {
    struct shoal_mail mail = {.kind = SHOAL_MAIL_DATAGRAM,
                              .length = (uint16_t)length,
                              .time = worker->now,
                              .endpoint = *from};
    enum mailbox_result result = post_mail(&worker->device->post, lane, &mail, bytes);
    if (result == MAILBOX_POSTED)
        stats_add(&worker->stats, COUNT_control_received, 1);
    else
        drop(worker, NULL,
             result == MAILBOX_SHARE_FULL ? COUNT_drop_rx_mailbox_share : COUNT_drop_rx_mailbox);
}

static void handshake(struct worker *worker, const struct udp_socket *udp, const uint8_t *message,
                      uint32_t length, const struct shoal_endpoint *from) {
    static const enum counter reasons[GATE_VERDICTS] = {
        [GATE_REPLY] = COUNT_drop_handshake_cookie,
        [GATE_DROP_LENGTH] = COUNT_drop_handshake_length,
        [GATE_DROP_TYPE] = COUNT_drop_handshake_type,
        [GATE_DROP_MAC1] = COUNT_drop_handshake_mac1,
        [GATE_DROP_RATE] = COUNT_drop_handshake_rate,
        [GATE_DROP_FULL] = COUNT_drop_handshake_full,
    };
    struct device *device = worker->device;
    struct gate_load load = {.queued = mailbox_fill(device->post.mailbox, MAILBOX_HANDSHAKES),
                             .capacity = MAILBOX_HANDSHAKES_MAX};
    uint8_t reply[WIRE_COOKIE_REPLY_SIZE];
    enum gate_verdict verdict =
        gate_admit(device->gate, message, length, &from->remote, load, worker->now, reply);
    if (verdict == GATE_ACCEPT) {
        mail_datagram(worker, MAILBOX_HANDSHAKES, message, length, from);
        return;
    }
    drop(worker, NULL, reasons[verdict]);
    if (verdict == GATE_REPLY &&
        socket_send(udp, from, WIRE_HANDSHAKE_TOS, reply, sizeof(reply), sizeof(reply)) == 0)
        stats_add(&worker->stats, COUNT_cookies_sent, 1);
}

static void other(struct worker *worker, const struct udp_socket *udp, const uint8_t *bytes,
                  uint32_t length, const struct shoal_endpoint *from) {
    if (length == 0) {
        drop(worker, NULL, COUNT_drop_rx_short);
        return;
    }
    if (length > SHOAL_DATAGRAM_MAX) {
        drop(worker, NULL, COUNT_drop_rx_oversized);
        return;
    }
    /* The type with its reserved bytes (R21). What has these set is no WireGuard message; a STUN
     * response starts with 01 01, so it is not dropped here unless nothing but WireGuard is. */
    uint32_t type = length >= 4 ? wire_get_le32(bytes) : 0;
    if (type >= WIRE_INITIATION && type <= WIRE_COOKIE_REPLY) {
        handshake(worker, udp, bytes, length, from);
        return;
    }
    if (worker->device->flags & SHOAL_DEVICE_WIREGUARD_ONLY) {
        drop(worker, NULL, COUNT_drop_rx_unknown_type);
        return;
    }
    mail_datagram(worker, MAILBOX_CONTROL, bytes, length, from);
}

static uint32_t datagrams_in(const struct socket_received *received) {
    if (received->segment >= received->length)
        return 1;
    return (received->length + received->segment - 1) / received->segment;
}

void rx_buffer(struct worker *worker, struct udp_socket *udp, uint8_t *buffer,
               const struct socket_received *received) {
    stats_add(&worker->stats, COUNT_rx_buffers, 1);
    stats_add(&worker->stats, COUNT_drop_rx_queue, received->overflow);
    if (received->control_truncated)
        stats_add(&worker->stats, COUNT_rx_control_truncated, 1);
    if (received->truncated ||
        (received->control_truncated && received->segment == received->length)) {
        drop(worker, NULL, COUNT_drop_rx_truncated);
        return;
    }
    /* Before everything that could answer (mail, the gate's cookie) or remember the place (R53). */
    if (!address_takes_datagrams(&received->endpoint.remote)) {
        stats_add(&worker->stats, COUNT_drop_rx_unanswerable, datagrams_in(received));
        return;
    }
    uint32_t at = 0;
    do {
        uint32_t left = received->length - at;
        uint32_t length = left < received->segment ? left : received->segment;
        uint8_t *datagram = buffer + at;
        if (length >= 4 && wire_get_le32(datagram) == WIRE_DATA)
            data(worker, datagram, length, received);
        else
            other(worker, udp, datagram, length, &received->endpoint);
        at += length;
    } while (at < received->length);
}

bool rx_drain(struct worker *worker, struct udp_socket *udp) {
    struct rx *rx = &worker->rx;
    uint32_t used = 0, messages = 0;
    bool more = true;
    for (uint32_t i = 0;
         i < RX_DATAGRAMS && messages < RX_MESSAGES && used + SOCKET_RECEIVE_MAX <= RX_ARENA_SIZE;
         i++) {
        struct socket_received received;
        int error = socket_receive(udp, rx->arena + used, SOCKET_RECEIVE_MAX, &received);
        if (error == EAGAIN) {
            more = false;
            break;
        }
        if (error) { /* an error queued on the socket; reading took it away */
            stats_add(&worker->stats, COUNT_rx_errors, 1);
            continue;
        }
        rx_buffer(worker, udp, rx->arena + used, &received);
        used += (received.length + 63) & ~63u;
        messages += received.segment ? received.length / received.segment + 1 : 1;
    }
    rx_deliver(worker);
    tx_flush(worker); /* what was forwarded */
    return more;
}
