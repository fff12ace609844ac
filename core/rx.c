#include "rx.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "codel.h"
#include "edge.h"
#include "foreign.h"
#include "forward.h"
#include "packet.h"
#include "pass.h"
#include "segment.h"
#include "steering.h"
#include "wire.h"

void rx_init(struct rx *rx, const uint8_t seed[16]) { stray_init(&rx->stray, seed); }

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

static void demote(struct pass *pass, uint32_t which, int error) {
    struct plane *plane = pass->plane;
    if (!offload_demote(&plane->offload, which))
        return;
    uint32_t on = atomic_load_explicit(&plane->offload.on, memory_order_relaxed);
    tun_set_offloads(&pass->tun, on);
    struct shoal_mail mail = {.kind = SHOAL_MAIL_OFFLOAD_DEMOTED,
                              .value = which,
                              .index = (uint32_t)error,
                              .time = pass->now};
    pass_news(pass, &mail);
}

/* The kernel refused a super-packet: its packets again, each by itself, each once (T26). */
static void write_singly(struct pass *pass, const struct coalesce_frame *frame) {
    stats_add(&pass->stats, COUNT_tun_gso_refused, 1);
    for (uint32_t i = 0; i < frame->packets; i++) {
        struct iovec parts[2];
        coalesce_original(frame, i, parts);
        int error = tun_write(&pass->tun, parts, 2);
        if (error)
            pass_drop(pass, NULL, reason(error), 1);
        else
            stats_add(&pass->stats, COUNT_tun_writes, 1);
    }
}

static void write_frame(struct pass *pass, struct coalesce_frame *frame) {
    if (pass->tun.fd < 0) {
        stats_add(&pass->stats, COUNT_drop_rx_no_tun, frame->packets);
        return;
    }
    uint32_t offload = offload_of(frame);
    int error = tun_write(&pass->tun, frame->iov, frame->iov_count);
    if (!error) {
        stats_add(&pass->stats, COUNT_tun_writes, 1);
    } else if (error == EINVAL && frame->packets > 1) {
        write_singly(pass, frame);
        demote(pass, offload, error);
    } else if (error == EBADFD) {
        stats_add(&pass->stats, COUNT_drop_rx_no_tun, frame->packets);
        pass_lose_tun(pass, false);
    } else {
        stats_add(&pass->stats, reason(error), frame->packets);
    }
}

void rx_deliver(struct pass *pass) {
    struct rx *rx = &pass->rx;
    while (coalesce_next(&rx->coalesce, &rx->frame))
        write_frame(pass, &rx->frame);
    /* A demotion counts from the next packet on; while packets wait the coalescer has its mind. */
    const struct offload *offload = &pass->plane->offload;
    rx->coalesce.tcp = pass->tun.vnet && offload_has(offload, SHOAL_OFFLOAD_TUN_TSO);
    rx->coalesce.udp = pass->tun.vnet && offload_has(offload, SHOAL_OFFLOAD_TUN_USO);
}

/* ---- Data messages ----------------------------------------------------------------------- */

/* How often the caller is told that a peer that stays is heard elsewhere: it asks there, and a lost
 * answer is asked for again. */
#define ELSEWHERE_PACE (100 * UINT64_C(1000000))

static void tell_moved(struct pass *pass, const struct peer *peer,
                       const struct shoal_endpoint *endpoint) {
    struct shoal_mail mail = {.kind = SHOAL_MAIL_ENDPOINT_MOVED,
                              .tag = peer->tag,
                              .time = pass->now,
                              .endpoint = *endpoint};
    post_frequent_news(&pass->plane->post, &pass->stats, &mail); /* facts know the endpoint, too */
}

/* The endpoint is the outer source of the latest authenticated packet (R53), and we answer from the
 * address that it came to (R55). Only another remote is news, and a peer that stays is not followed
 * there. */
static void move_endpoint(struct pass *pass, struct peer *peer,
                          const struct shoal_endpoint *endpoint) {
    if (memcmp(&peer->endpoint, endpoint, sizeof(*endpoint)) == 0)
        return;
    bool moved = memcmp(&peer->endpoint.remote, &endpoint->remote, sizeof(endpoint->remote)) != 0;
    if (moved && peer->staying && peer->endpoint.remote.family) {
        if (peer->elsewhere_told && pass->now - peer->elsewhere_told < ELSEWHERE_PACE)
            return;
        peer->elsewhere_told = pass->now;
        tell_moved(pass, peer, endpoint);
        return;
    }
    pass_set_endpoint(pass, peer, endpoint);
    peer->routes_seen = atomic_load_explicit(&pass->plane->route_changes, memory_order_relaxed);
    if (moved)
        tell_moved(pass, peer, endpoint);
}

static void confirm(struct pass *pass, struct peer *peer, const struct session *session) {
    turns_lock(&pass->turns); /* a session goes */
    sealing_lock(&pass->sealing);
    peer_confirm(peer, &pass->sessions);
    sealing_unlock(&pass->sealing);
    turns_unlock(&pass->turns);
    struct shoal_mail mail = {.kind = SHOAL_MAIL_SESSION_CONFIRMED,
                              .tag = peer->tag,
                              .index = session->local_index,
                              .time = pass->now};
    pass_news(pass, &mail);
    flush_add(&pass->flush, peer);
}

static void check_rekey(struct pass *pass, struct peer *peer, struct session *session) {
    if (session->rekey_mailed || !session->rekey_on_receive ||
        pass->now < session->rekey_on_receive)
        return;
    struct shoal_mail mail = {.kind = SHOAL_MAIL_REKEY_DUE,
                              .tag = peer->tag,
                              .index = session->local_index,
                              .value = SHOAL_REKEY_RECEIVE,
                              .time = pass->now};
    session->rekey_mailed = pass_news(pass, &mail);
}

static void account(struct pass *pass, struct peer *peer, uint32_t length) {
    struct facts *facts = &peer->facts;
    stats_add(&pass->stats, COUNT_rx_packets, 1);
    stats_add(&pass->stats, COUNT_rx_bytes, length);
    facts_add(&facts->rx_packets, 1);
    connected_note(pass, peer, 1);
    facts_add(&facts->rx_bytes, length);
    facts_set(&facts->last_authenticated_receive, pass->now);
    facts_set(&facts->first_unanswered_data, 0);
    if (length == WIRE_DATA_OVERHEAD) {
        stats_add(&pass->stats, COUNT_rx_keepalives, 1);
        return;
    }
    facts_set(&facts->last_data_receive, pass->now);
    if (!facts_get(&facts->first_unsent_reply))
        facts_set(&facts->first_unsent_reply, pass->now);
    edge_raise(pass, peer, SHOAL_EDGE_UNSENT_REPLY, facts_get(&facts->first_unsent_reply));
}

/* What opened goes to the TUN, or on to another peer, if it is a packet (R49), its own (R50), and
 * can say what the outer header has to tell (R52). */
static void inner(struct pass *pass, struct peer *peer, uint8_t *plain, uint32_t length,
                  uint8_t outer_tos) {
    struct plane *plane = pass->plane;
    struct rx *rx = &pass->rx;
    struct packet packet;
    if (packet_parse(&packet, plain, length) != PACKET_OK) {
        pass_drop(pass, peer, COUNT_drop_rx_malformed, 1);
        return;
    }
    uint32_t owner = packet.version == 4 ? route_lookup4(plane->routes, packet.source)
                                         : route_lookup6(plane->routes, packet.source);
    if (owner != peer->speaks_for) {
        pass_drop(pass, peer, COUNT_drop_rx_source, 1);
        return;
    }
    if ((outer_tos & PACKET_ECN_MASK) && !packet_ecn_decapsulate(plain, outer_tos)) {
        pass_drop(pass, peer, COUNT_drop_rx_ecn, 1);
        return;
    }
    if (forward_packet(pass, peer, &packet, plain))
        return;
    if (!coalesce_add(&rx->coalesce, plain, packet.length)) {
        rx_deliver(pass);
        coalesce_add(&rx->coalesce, plain, packet.length);
    }
}

static void tell_stray(struct pass *pass, const struct shoal_endpoint *from) {
    if (!stray_tell(&pass->rx.stray, &from->remote, pass->now))
        return;
    struct shoal_mail mail = {.kind = SHOAL_MAIL_STRAY, .time = pass->now, .endpoint = *from};
    post_frequent_news(&pass->plane->post, &pass->stats, &mail);
}

/* Its tag, as found out ahead or now. */
static bool opens(struct pass *pass, const struct session *session, uint8_t *message,
                  uint32_t length, const struct turn_verdict *ahead) {
    if (ahead && ahead->serial)
        return ahead->right;
    uint8_t *plain = message + WIRE_DATA_HEADER;
    struct aead_packet packet = {.out = plain,
                                 .in = plain,
                                 .counter = wire_get_le64(message + WIRE_DATA_COUNTER),
                                 .length = length - WIRE_DATA_HEADER};
    return aead_open(pass->aead, &session->receive, &packet, 1) == 1;
}

/* @param ahead  what is known of it already; NULL: nothing */
static void data(struct pass *pass, uint8_t *message, uint32_t length,
                 const struct socket_received *received, const struct turn_verdict *ahead) {
    if (length < WIRE_DATA_OVERHEAD) {
        pass_drop(pass, NULL, COUNT_drop_rx_short, 1);
        return;
    }
    uint32_t index = wire_get_le32(message + WIRE_DATA_INDEX);
    uint32_t owner = steering_owner(index, pass->plane->workers);
    if (owner != pass->worker) {
        foreign_message(pass, owner, message, length, received);
        return;
    }
    struct session *session = session_table_find(&pass->sessions, index);
    /* One that was opened for a session which has gone since is nobody's, whoever has its index. */
    if (!session || (ahead && ahead->serial && ahead->serial != session->receive.serial)) {
        pass_drop(pass, NULL, COUNT_drop_rx_index, 1);
        tell_stray(pass, &received->endpoint);
        return;
    }
    struct peer *peer = session->peer;
    uint64_t counter = wire_get_le64(message + WIRE_DATA_COUNTER);
    if (session_expired(session, pass->now)) {
        pass_drop(pass, peer, COUNT_drop_rx_expired, 1);
        return;
    }
    if (counter >= session_counter_limit(session)) {
        pass_drop(pass, peer, COUNT_drop_rx_counter_limit, 1);
        return;
    }
    if (!replay_check(&session->replay, counter)) {
        pass_drop(pass, peer, COUNT_drop_rx_replay, 1);
        return;
    }
    if (!opens(pass, session, message, length, ahead)) {
        pass_drop(pass, peer, COUNT_drop_rx_authentication, 1);
        return;
    }
    if (!replay_commit(&session->replay, counter)) {
        pass_drop(pass, peer, COUNT_drop_rx_replay, 1);
        return;
    }
    move_endpoint(pass, peer, &received->endpoint);
    if (session == peer->sessions[PEER_NEXT])
        confirm(pass, peer, session);
    check_rekey(pass, peer, session);
    account(pass, peer, length);
    if (length > WIRE_DATA_OVERHEAD)
        inner(pass, peer, message + WIRE_DATA_HEADER, length - WIRE_DATA_OVERHEAD, received->tos);
}

void rx_data(struct pass *pass, uint8_t *message, uint32_t length,
             const struct socket_received *received) {
    data(pass, message, length, received, NULL);
}

/* ---- Everything else --------------------------------------------------------------------- */

static void mail_datagram(struct pass *pass, enum mailbox_lane lane, const uint8_t *bytes,
                          uint32_t length, const struct shoal_endpoint *from) {
    struct shoal_mail mail = {.kind = SHOAL_MAIL_DATAGRAM,
                              .length = (uint16_t)length,
                              .time = pass->now,
                              .endpoint = *from};
    enum mailbox_result result = post_mail(&pass->plane->post, lane, &mail, bytes);
    if (result == MAILBOX_POSTED)
        stats_add(&pass->stats, COUNT_control_received, 1);
    else
        pass_drop(
            pass, NULL,
            result == MAILBOX_SHARE_FULL ? COUNT_drop_rx_mailbox_share : COUNT_drop_rx_mailbox, 1);
}

static void handshake(struct pass *pass, const struct udp_socket *udp, const uint8_t *message,
                      uint32_t length, const struct shoal_endpoint *from) {
    static const enum counter reasons[GATE_VERDICTS] = {
        [GATE_REPLY] = COUNT_drop_handshake_cookie,
        [GATE_DROP_LENGTH] = COUNT_drop_handshake_length,
        [GATE_DROP_TYPE] = COUNT_drop_handshake_type,
        [GATE_DROP_MAC1] = COUNT_drop_handshake_mac1,
        [GATE_DROP_RATE] = COUNT_drop_handshake_rate,
        [GATE_DROP_FULL] = COUNT_drop_handshake_full,
    };
    struct plane *plane = pass->plane;
    struct gate_load load = {.queued = mailbox_fill(plane->post.mailbox, MAILBOX_HANDSHAKES),
                             .capacity = MAILBOX_HANDSHAKES_MAX};
    uint8_t reply[WIRE_COOKIE_REPLY_SIZE];
    enum gate_verdict verdict =
        gate_admit(plane->gate, message, length, &from->remote, load, pass->now, reply);
    if (verdict == GATE_ACCEPT) {
        mail_datagram(pass, MAILBOX_HANDSHAKES, message, length, from);
        return;
    }
    pass_drop(pass, NULL, reasons[verdict], 1);
    uint32_t back = around_back(plane, from);
    if (verdict == GATE_REPLY &&
        socket_send(udp, from, back == AROUND_PLAIN ? 0 : back, WIRE_HANDSHAKE_TOS, reply,
                    sizeof(reply), sizeof(reply)) == 0)
        stats_add(&pass->stats, COUNT_cookies_sent, 1);
}

static void other(struct pass *pass, const struct udp_socket *udp, const uint8_t *bytes,
                  uint32_t length, const struct shoal_endpoint *from) {
    if (length == 0) {
        pass_drop(pass, NULL, COUNT_drop_rx_short, 1);
        return;
    }
    if (length > SHOAL_DATAGRAM_MAX) {
        pass_drop(pass, NULL, COUNT_drop_rx_oversized, 1);
        return;
    }
    /* The type with its reserved bytes (R21). What has these set is no WireGuard message; a STUN
     * response starts with 01 01, so it is not dropped here unless nothing but WireGuard is. */
    uint32_t type = length >= 4 ? wire_get_le32(bytes) : 0;
    if (type >= WIRE_INITIATION && type <= WIRE_COOKIE_REPLY) {
        handshake(pass, udp, bytes, length, from);
        return;
    }
    if (pass->plane->wireguard_only) {
        pass_drop(pass, NULL, COUNT_drop_rx_unknown_type, 1);
        return;
    }
    mail_datagram(pass, MAILBOX_CONTROL, bytes, length, from);
}

static uint32_t datagrams_in(const struct socket_received *received) {
    if (received->segment >= received->length)
        return 1;
    return (received->length + received->segment - 1) / received->segment;
}

void rx_buffer(struct pass *pass, struct udp_socket *udp, uint8_t *buffer,
               const struct socket_received *received) {
    rx_opened_buffer(pass, udp, buffer, received, NULL, 0);
}

void rx_opened_buffer(struct pass *pass, struct udp_socket *udp, uint8_t *buffer,
                      const struct socket_received *received, const struct turn_verdict *verdicts,
                      uint32_t known) {
    stats_add(&pass->stats, COUNT_rx_buffers, 1);
    stats_add(&pass->stats, COUNT_drop_rx_queue, received->overflow);
    if (received->control_truncated)
        stats_add(&pass->stats, COUNT_rx_control_truncated, 1);
    if (received->truncated ||
        (received->control_truncated && received->segment == received->length)) {
        pass_drop(pass, NULL, COUNT_drop_rx_truncated, 1);
        return;
    }
    /* Before everything that could answer (mail, the gate's cookie) or remember the place (R53). */
    if (!address_takes_datagrams(&received->endpoint.remote)) {
        stats_add(&pass->stats, COUNT_drop_rx_unanswerable, datagrams_in(received));
        return;
    }
    if (around_came_from_inside(pass->plane, &received->endpoint)) {
        stats_add(&pass->stats, COUNT_drop_rx_inside, datagrams_in(received));
        return;
    }
    bool is_data = received->length >= WIRE_DATA_HEADER && wire_get_le32(buffer) == WIRE_DATA;
    pass->rx.leads =
        is_data ? steering_owner(wire_get_le32(buffer + WIRE_DATA_INDEX), pass->plane->workers)
                : pass->worker;
    uint32_t at = 0, number = 0;
    do {
        uint32_t left = received->length - at;
        uint32_t length = left < received->segment ? left : received->segment;
        uint8_t *datagram = buffer + at;
        const struct turn_verdict *ahead = number < known ? &verdicts[number] : NULL;
        number++;
        if (length >= 4 && wire_get_le32(datagram) == WIRE_DATA)
            data(pass, datagram, length, received, ahead);
        else
            other(pass, udp, datagram, length, &received->endpoint);
        at += length;
    } while (at < received->length);
}

/* ---- A queue that stands ----------------------------------------------------------------- */

/* How long it was in the socket; 0 where nobody can say, or somebody has set the clock. */
static uint64_t sojourn_of(const struct pass *by, const struct socket_received *received) {
    uint64_t from = received->arrived;
    if (!from || by->realtime <= from || by->realtime - from > RX_SOJOURN_MAX)
        return 0;
    return by->realtime - from;
}

/* Whoever sends little is known by datagrams that are small and come alone. While nobody does, the
 * queue is that of its own stream and harms no other. On a busy machine the worker itself waits
 * longer than CoDel's target, again and again: then each datagram is old and none stands behind
 * another. Whether one does is asked only when something would be lost, since it costs a call. */
static bool queue_stands(struct rx *rx, struct udp_socket *udp, const struct pass *by,
                         const struct socket_received *received) {
    if (received->segment == received->length && received->length <= RX_SPARSE_SIZE) {
        rx->sparse_at = by->now;
        return false;
    }
    if (!offload_has(&by->plane->offload, SHOAL_OFFLOAD_QUEUE_CONTROL))
        return false;
    bool others_wait = rx->sparse_at && by->now < rx->sparse_at + RX_SPARSE_NS;
    uint64_t sojourn = others_wait ? sojourn_of(by, received) : 0;
    if (!codel_leave(&udp->codel, &codel_of_worker, sojourn, by->now))
        return false;
    if (socket_waits(udp))
        return true;
    codel_dry(&udp->codel);
    return false;
}

/* The last data message of a buffer goes before it costs an opening; its flow slows down for it.
 * Nothing but data is lost so. */
bool rx_shorten(struct pass *of, struct pass *by, struct udp_socket *udp, const uint8_t *buffer,
                struct socket_received *received) {
    if (!queue_stands(&of->rx, udp, by, received))
        return true;
    uint32_t last = received->length ? (received->length - 1) / received->segment : 0;
    uint32_t at = last * received->segment;
    if (received->length - at < 4 || wire_get_le32(buffer + at) != WIRE_DATA)
        return true;
    pass_drop(by, NULL, COUNT_drop_rx_standing, 1);
    received->length = at;
    return at > 0;
}

/* ---- Draining ---------------------------------------------------------------------------- */

/* Two full turns in one drain: there is more than one thread's work, and whoever is idle helps. */
bool rx_drain(struct pass *pass, struct udp_socket *udp) {
    struct turns *turns = &pass->turns;
    enum turn_taken taken = TURN_FILLED;
    uint32_t filled = 0, held = udp->held;
    bool any = false;
    atomic_store(&turns->draining, true);
    /* By what was read a connected socket may have begun to leave: from then on its peer's messages
     * come here, and those that lie there are older. */
    for (uint32_t i = 0;
         i < RX_TURNS && (taken == TURN_FILLED || taken == TURN_OPENED) && udp->held == held; i++) {
        taken = turns_take(pass, pass, udp);
        filled += taken == TURN_FILLED;
        pass->rx.units += taken == TURN_FILLED ? 16 : 1;
        if (filled == 2) {
            atomic_store_explicit(&turns->busy, udp, memory_order_relaxed);
            pass_call_help(pass);
        }
        any |= turns_put_out(pass);
    }
    atomic_store(&turns->draining, false);
    any |= turns_put_out(pass); /* what a helper was done with meanwhile; a later one rings */
    pass_note_stall(pass, &turns->stalled, taken == TURN_NO_ROOM && !any);
    return taken != TURN_DRY;
}
