#include "tx.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "edge.h"
#include "foreign.h"
#include "packet.h"
#include "pass.h"
#include "segment.h"
#include "tun.h"
#include "wire.h"

#define LOOP_QUIET_NS 60000000000ull /* after so much quiet a loop is news again */
#define ANSWER_MAX_NS 11000000000ull /* KEEPALIVE_TIMEOUT, and a second on the way */
#define UDP_HEADER 8u
#define FRAGMENT_HEADER 8u

enum { PROTOCOL_UDP = 17, PROTOCOL_FRAGMENT = 44 };

bool tx_init(struct tx *tx, const uint8_t seed[16]) {
    uint64_t number;
    memcpy(&number, seed, sizeof(number));
    return fq_init(&tx->fq, number) && train_init(&tx->train) && train_init(&tx->waiting);
}

void tx_free(struct tx *tx) {
    fq_free(&tx->fq);
    train_free(&tx->train);
    train_free(&tx->waiting);
}

void tx_begin(struct pass *pass) { pass->tx.bytes = pass->tx.messages = 0; }

bool tx_is_used_up(const struct tx *tx) {
    return tx->bytes >= TX_BATCH_BYTES || tx->messages >= TX_BATCH_MESSAGES;
}

void tx_use(struct tx *tx, uint32_t bytes, uint32_t messages) {
    tx->bytes += bytes;
    tx->messages += messages;
}

/* ---- Sending trains ---------------------------------------------------------------------- */

static void wait_for_room(struct pass *pass) { stats_add(&pass->stats, COUNT_tx_blocked, 1); }

static void send_current(struct pass *pass) {
    struct tx *tx = &pass->tx;
    if (!tx->train.count)
        return;
    if (!train_send(pass, &tx->train, true)) {
        struct train swap = tx->waiting;
        tx->waiting = tx->train;
        tx->train = swap;
        wait_for_room(pass);
    }
    train_empty(&tx->train);
}

void tx_send_train(struct pass *pass, struct train *train) {
    struct train *waiting = &pass->tx.waiting;
    if (train_send(pass, train, true))
        return;
    uint8_t *arena = waiting->arena;
    memcpy(arena, train->arena + train->at, train->bytes - train->at);
    *waiting = *train;
    waiting->arena = arena;
    waiting->bytes -= train->at;
    waiting->at = 0;
    wait_for_room(pass);
}

void tx_resume(struct pass *pass) {
    struct tx *tx = &pass->tx;
    if (tx_is_blocked(tx)) {
        train_send(pass, &tx->waiting, false);
        train_empty(&tx->waiting);
    }
    send_current(pass);
}

void tx_flush(struct pass *pass) {
    if (!tx_is_blocked(&pass->tx))
        send_current(pass);
}

static void forget(struct pass *pass, struct train *train, const struct peer *peer) {
    if (!train->count || train->peer != peer)
        return;
    pass_drop(pass, train->peer, COUNT_drop_tx_buffer, train->count);
    train_empty(train);
}

void tx_forget(struct pass *pass, const struct peer *peer) {
    forget(pass, &pass->tx.waiting, peer);
    forget(pass, &pass->tx.train, peer);
}

/* ---- Filling a train --------------------------------------------------------------------- */

/* A library that failed has perhaps sealed some of them; which ones nobody knows. */
static void seal_bundle(struct pass *pass, struct peer *peer, const struct session *session) {
    struct tx *tx = &pass->tx;
    uint32_t count = tx->bundle.count;
    if (!count || bundle_seal(&tx->bundle, pass->aead, &session->send))
        return;
    tx->train = tx->sealed;
    pass_drop(pass, peer, COUNT_drop_tx_seal, count);
}

/* The caller calls seal_bundle in the end. */
static void append(struct pass *pass, struct peer *peer, struct session *session, uint64_t counter,
                   const uint8_t *plain, uint32_t padded, uint8_t tos) {
    struct tx *tx = &pass->tx;
    uint32_t size = WIRE_DATA_OVERHEAD + padded;
    if (!train_fits(&tx->train, peer, size, tos)) {
        seal_bundle(pass, peer, session);
        tx_resume(pass);
    }
    if (!tx->bundle.count)
        tx->sealed = tx->train;
    bool now =
        bundle_add(&tx->bundle, pass->aead, &session->send, tx->train.arena + tx->train.bytes,
                   session->remote_index, counter, plain, padded);
    train_add(&tx->train, peer, size, tos);
    if (now)
        seal_bundle(pass, peer, session);
}

/* Sending on this session at or after these marks asks for a new one, once (R1, R3). */
void tx_check_rekey(struct pass *pass, struct peer *peer, struct session *session,
                    uint64_t counter) {
    if (session->rekey_mailed)
        return;
    enum shoal_rekey_why why = 0;
    if (session->rekey_after_time && pass->now >= session->rekey_after_time)
        why = SHOAL_REKEY_AGE;
    else if (session_is_worn(session, counter))
        why = SHOAL_REKEY_MESSAGES;
    if (!why)
        return;
    struct shoal_mail mail = {.kind = SHOAL_MAIL_REKEY_DUE,
                              .tag = peer->tag,
                              .index = session->local_index,
                              .value = why,
                              .time = pass->now};
    session->rekey_mailed = pass_news(pass, &mail);
}

bool tx_keepalive(struct pass *pass, struct peer *peer, struct session *session) {
    uint64_t counter;
    if (!session_reserve(session, 1, WIRE_DATA_OVERHEAD, &counter))
        return false;
    append(pass, peer, session, counter, (const uint8_t *)"", 0, 0);
    seal_bundle(pass, peer, session);
    tx_check_rekey(pass, peer, session, counter + 1);
    return true;
}

/* ---- From frames to segments ------------------------------------------------------------- */

/* The outer ECN of what carries an inner packet: its own, but congestion that it met before the
 * tunnel is not repeated outside (RFC 3168 section 9.1.1, as the Linux driver does). */
uint8_t tx_outer_tos(uint8_t inner) {
    uint8_t ecn = inner & PACKET_ECN_MASK;
    return ecn == PACKET_ECN_CE ? 2 /* ECT(0) */ : ecn;
}

static enum counter reason_segment(enum segment_status status) {
    return status == SEGMENT_SHORT || status == SEGMENT_BAD_PACKET ? COUNT_drop_tx_malformed
                                                                   : COUNT_drop_tx_offload;
}

/* No more segments than this will come of a frame: known before it is touched. */
uint32_t tx_segments_at_most(const uint8_t *frame, uint32_t length) {
    uint32_t gso_size = frame[4] | (uint32_t)frame[5] << 8; /* virtio_net_hdr, little-endian host */
    if ((frame[1] & ~SEGMENT_GSO_ECN) == SEGMENT_GSO_NONE || gso_size == 0)
        return 1;
    return length / gso_size + 1;
}

/* Seals a frame into trains; `frame` is used up. @param lossy  all but its first packet, whose loss
 * tells its sender to slow down. */
static void seal(struct pass *pass, struct peer *peer, struct session *session, uint8_t *frame,
                 uint32_t length, uint8_t tos, bool lossy) {
    struct segmenter segmenter;
    uint32_t mtu = atomic_load_explicit(&pass->plane->mtu, memory_order_relaxed);
    enum segment_status status = segment_begin(&segmenter, frame, length, mtu);
    if (status != SEGMENT_OK) {
        pass_drop(pass, peer, reason_segment(status), 1);
        return;
    }
    uint32_t count = segment_count(&segmenter);
    if (count > TX_SEGMENTS_MAX) {
        pass_drop(pass, peer, COUNT_drop_tx_segments, 1);
        return;
    }
    tx_use(&pass->tx, 0, count - 1);
    uint64_t counter;
    uint32_t size = segment_longest(&segmenter, length) + PACKET_PADDING + WIRE_DATA_OVERHEAD;
    if (!session_reserve(session, count, size, &counter)) {
        pass_drop(pass, peer, COUNT_drop_tx_seal, count);
        return;
    }
    tx_check_rekey(pass, peer, session, counter + count);
    struct segment segment;
    while (segment_next(&segmenter, &segment)) {
        if (lossy)
            pass_drop(pass, peer, COUNT_drop_tx_standing, 1);
        else if (segment.padded + WIRE_DATA_OVERHEAD > SOCKET_PAYLOAD_MAX)
            pass_drop(pass, peer, COUNT_drop_tx_too_big, 1);
        else
            append(pass, peer, session, counter, segment.data, segment.padded, tos);
        lossy = false;
        counter++;
    }
    seal_bundle(pass, peer, session);
}

static void victim_dropped(struct peer *victim) {
    facts_add(&victim->facts.dropped, 1);
    peer_publish_staged(victim);
}

static void stage(struct pass *pass, struct peer *peer, const uint8_t *frame, uint32_t length,
                  bool session_needed) {
    struct staging_drops drops = {0};
    if (staging_push(&pass->staging, &peer->staging, peer, frame, length, &drops, victim_dropped))
        stats_add(&pass->stats, COUNT_tx_staged, 1);
    else
        pass_drop(pass, peer, COUNT_drop_tx_memory, 1);
    pass_drop(pass, peer, COUNT_drop_tx_staging_peer, drops.peer);
    stats_add(&pass->stats, COUNT_drop_tx_staging_total, drops.total);
    peer_publish_staged(peer);
    if (session_needed)
        edge_raise(pass, peer, SHOAL_EDGE_SESSION_NEEDED, pass->now);
}

void tx_flush_staged(struct pass *pass, struct peer *peer) {
    struct staged *staged;
    while ((staged = staging_first(&peer->staging))) {
        /* Sealed while the socket is full they would only be dropped. */
        if (tx_is_blocked(&pass->tx) || tx_is_used_up(&pass->tx)) {
            flush_add(&pass->flush, peer);
            break;
        }
        struct session *session = peer->sessions[PEER_CURRENT];
        if (!session_can_send(session, pass->now,
                              tx_segments_at_most(staged->frame, staged->length)))
            break;
        struct packet packet;
        if (packet_parse(&packet, staged->frame + SEGMENT_VNET_SIZE,
                         staged->length - SEGMENT_VNET_SIZE) == PACKET_OK)
            seal(pass, peer, session, staged->frame, staged->length, tx_outer_tos(packet.tos),
                 false);
        tx_use(&pass->tx, staged->length, 1);
        staging_drop_first(&pass->staging, &peer->staging);
    }
    peer_publish_staged(peer);
}

void tx_flush_listed(struct pass *pass) {
    struct peer *peer;
    while ((peer = pass->flush.first) && !tx_is_blocked(&pass->tx)) {
        flush_remove(&pass->flush, peer);
        tx_flush_staged(pass, peer);
        if (peer->flush_listed) /* the budget is used up: the next batch goes on */
            break;
    }
    tx_flush(pass);
}

/* ---- What reaches nobody ----------------------------------------------------------------- */

/* Tells the sender so, unless it may not be answered or was told of too many. */
static void answer_unreachable(struct pass *pass, const struct packet *packet,
                               const uint8_t *bytes) {
    static const struct icmp_error unreachable = {.kind = ICMP_UNREACHABLE};
    uint8_t header[SEGMENT_VNET_SIZE] = {0}, answer[ICMP_MAX];
    size_t length = icmp_answer(answer, packet, bytes, &unreachable);
    if (!length || !icmp_take(&pass->tx.icmp_pace, pass->now))
        return;
    struct iovec parts[] = {{header, sizeof(header)}, {answer, length}};
    if (tun_write(&pass->tun, parts, 2) == 0)
        stats_add(&pass->stats, COUNT_tun_unreachable, 1);
}

/* Where the UDP header of a packet is; NULL: it has none, or it is in an earlier fragment. */
static const uint8_t *udp_header(const struct packet *packet, const uint8_t *bytes) {
    uint32_t at = packet->header_length;
    uint8_t protocol = packet->protocol;
    if (packet->version == 4 && ((bytes[6] & 0x1f) || bytes[7]))
        return NULL;
    if (packet->version == 6 && protocol == PROTOCOL_FRAGMENT) {
        if (packet->length < at + FRAGMENT_HEADER || bytes[at + 2] || (bytes[at + 3] & 0xf8))
            return NULL;
        protocol = bytes[at];
        at += FRAGMENT_HEADER;
    }
    return protocol == PROTOCOL_UDP && packet->length >= at + UDP_HEADER ? bytes + at : NULL;
}

bool tx_has_our_port(const struct plane *plane, const struct packet *packet, const uint8_t *bytes) {
    const uint8_t *udp = udp_header(packet, bytes);
    uint16_t port = atomic_load_explicit(&plane->port, memory_order_relaxed);
    return udp && port && wire_get_be16(udp) == port;
}

/* A route has led a datagram of ours into the tunnel: sealed it would come out again, and so on.
 * The port alone does not tell: machines behind us may use the same one. */
static bool is_loop(struct pass *pass, const struct packet *packet, const uint8_t *bytes) {
    struct plane *plane = pass->plane;
    const uint8_t *udp = udp_header(packet, bytes);
    if (!tx_has_our_port(plane, packet, bytes))
        return false;
    uint32_t changes = atomic_load_explicit(&plane->route_changes, memory_order_relaxed);
    uint16_t family = packet->version == 4 ? SHOAL_AF_INET : SHOAL_AF_INET6;
    if (!routes_is_local(&pass->routes, family, packet->source, changes))
        return false;
    bool news = !pass->tx.loop_seen || pass->now - pass->tx.loop_seen > LOOP_QUIET_NS;
    pass->tx.loop_seen = pass->now;
    if (news) {
        struct shoal_mail mail = {.kind = SHOAL_MAIL_LOOP, .time = pass->now};
        mail.endpoint.remote.family = family;
        mail.endpoint.remote.port = wire_get_be16(udp + 2);
        memcpy(mail.endpoint.remote.ip, packet->destination, packet->version == 4 ? 4 : 16);
        pass_news(pass, &mail);
    }
    return true;
}

/* Who gets data answers within 10 s, by a keepalive at the latest (R57). */
static bool is_answered(const struct pass *pass, const struct peer *peer) {
    uint64_t first = facts_get(&peer->facts.first_unanswered_data);
    return !first || pass->now - first < ANSWER_MAX_NS;
}

/* Congestion is marked on a packet that can say so (RFC 3168); another one is lost for it. */
bool tx_loses(struct pass *pass, uint8_t *frame) {
    if (!packet_ecn_decapsulate(frame + SEGMENT_VNET_SIZE, PACKET_ECN_CE))
        return true;
    stats_add(&pass->stats, COUNT_tx_marked, 1);
    return false;
}

bool tx_frame(struct pass *pass, struct peer *peer, uint8_t *frame, uint32_t length, uint8_t tos,
              bool congested) {
    if (peer->endpoint.remote.family == SHOAL_AF_NONE) {
        pass_drop(pass, peer, COUNT_drop_tx_no_endpoint, 1);
        return false;
    }
    if (peer->staging.count)
        tx_flush_staged(pass, peer);
    struct session *session = peer->sessions[PEER_CURRENT];
    bool can_send = session_can_send(session, pass->now, tx_segments_at_most(frame, length));
    if (peer->offline && !(can_send && is_answered(pass, peer))) {
        pass_drop(pass, peer, COUNT_drop_tx_offline, 1);
        edge_raise(pass, peer, SHOAL_EDGE_SESSION_NEEDED, pass->now); /* it may be back */
        return false;
    }
    if (peer->staging.count || !can_send)
        stage(pass, peer, frame, length, !can_send || !peer->flush_listed);
    else
        seal(pass, peer, session, frame, length, tx_outer_tos(tos),
             congested && tx_loses(pass, frame));
    return true;
}

void tx_from_tun(struct pass *pass, struct peer *peer, uint8_t *frame, uint32_t length, uint8_t tos,
                 bool congested) {
    struct packet packet;
    if (!tx_frame(pass, peer, frame, length, tos, congested) &&
        packet_parse(&packet, frame + SEGMENT_VNET_SIZE, length - SEGMENT_VNET_SIZE) == PACKET_OK)
        answer_unreachable(pass, &packet, frame + SEGMENT_VNET_SIZE);
}

/*
 * Has a packet of the TUN another source than our own address? Then this machine forwards for
 * somebody who is no member, and whoever got it would refuse it (R50) or take it for a packet of
 * our guest: guests' packets do not come by the TUN.
 */
static bool is_of_others(const struct plane *plane, const struct packet *packet) {
    bool v4 = packet->version == 4;
    const struct shoal_prefix *inner = &plane->forward.inner[!v4];
    return inner->family != SHOAL_AF_NONE && memcmp(inner->ip, packet->source, v4 ? 4 : 16) != 0;
}

/* The lane by which a frame for a peer leaves that this worker has read: its own, if it can send;
 * else the peer itself, which lets frames wait where it cannot send either. */
static struct peer *lane_for(struct pass *pass, struct peer *peer, const uint8_t *frame,
                             uint32_t length) {
    struct peer *lane = peer_lane_at(peer, pass->worker, pass->plane->workers);
    if (lane == peer)
        return peer;
    const struct session *session = lane->sessions[PEER_CURRENT];
    bool can_send = session_can_send(session, pass->now, tx_segments_at_most(frame, length));
    if (can_send && !lane->offline && lane->endpoint.remote.family != SHOAL_AF_NONE)
        return lane;
    if (!can_send)
        edge_raise(pass, lane, SHOAL_EDGE_SESSION_NEEDED, pass->now);
    return peer;
}

void tx_frame_in(struct pass *pass, const struct fq_frame *from) {
    uint8_t *frame = from->bytes;
    uint32_t length = from->length;
    struct plane *plane = pass->plane;
    struct packet packet;
    if (length <= SEGMENT_VNET_SIZE ||
        packet_parse(&packet, frame + SEGMENT_VNET_SIZE, length - SEGMENT_VNET_SIZE) != PACKET_OK) {
        pass_drop(pass, NULL, COUNT_drop_tx_malformed, 1);
        return;
    }
    const uint8_t *bytes = frame + SEGMENT_VNET_SIZE;
    if (is_loop(pass, &packet, bytes)) {
        pass_drop(pass, NULL, COUNT_drop_tx_loop, 1);
        return;
    }
    uint32_t slot = packet.version == 4 ? route_lookup4(plane->routes, packet.destination)
                                        : route_lookup6(plane->routes, packet.destination);
    if (slot == ROUTE_NONE) {
        pass_drop(pass, NULL, COUNT_drop_tx_no_route, 1);
        answer_unreachable(pass, &packet, bytes);
        return;
    }
    if (is_of_others(plane, &packet)) {
        pass_drop(pass, NULL, COUNT_drop_tx_source, 1);
        return;
    }
    struct peer *peer = lane_for(pass, plane->peers.entries[slot].peer, frame, length);
    if (peer->worker != pass->worker)
        foreign_frame(pass, peer, NULL, frame, length, packet.tos, from->congested);
    else
        tx_from_tun(pass, peer, frame, length, packet.tos, from->congested);
}

/* Empties the TUN into the queues, as far as there is room. */
static void gather(struct pass *of, struct pass *by, uint32_t most) {
    struct fq *fq = &of->tx.fq;
    uint8_t *room;
    while (of->reads_tun && fq->count < most && of->tun.fd >= 0 && (room = fq_room(fq))) {
        ssize_t length = tun_read(&of->tun, room, TUN_FRAME_MAX);
        if (length == -EBADFD || (length == 0 && !of->tun.real)) {
            if (of == by)
                pass_lose_tun(of, of->sealing.ring !=
                                      NULL); /* deleted; of a socketpair, the far end has closed */
            return;
        }
        if (length < 0) /* dry */
            return;
        stats_add(&by->stats, COUNT_tun_reads, 1);
        fq_push(fq, (uint32_t)length, by->now);
    }
}

static uint32_t most_waiting(const struct pass *pass) {
    return offload_has(&pass->plane->offload, SHOAL_OFFLOAD_QUEUE_CONTROL) ? UINT32_MAX : 1;
}

struct fq_frame *tx_next_frame(struct pass *of, struct pass *by) {
    gather(of, by, most_waiting(of));
    return fq_pop(&of->tx.fq, by->now);
}

void tx_drain(struct pass *pass) {
    struct fq *fq = &pass->tx.fq;
    if (pass->sealing.ring) {
        sealing_drain(pass);
        return;
    }
    for (bool begin = true; !tx_is_blocked(&pass->tx) && !tx_is_used_up(&pass->tx); begin = false) {
        if (begin || !fq->count)
            gather(pass, pass, most_waiting(pass));
        struct fq_frame *frame = fq_pop(fq, pass->now);
        if (!frame)
            break;
        tx_use(&pass->tx, frame->length, 1);
        tx_frame_in(pass, frame);
        fq_release(fq, frame);
    }
    tx_flush(pass);
}
