#include "tx.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "edge.h"
#include "packet.h"
#include "segment.h"
#include "tun.h"
#include "wire.h"
#include "worker.h"

#define GSO_REST_NS 1000000000ull
#define LOOP_QUIET_NS 60000000000ull /* after so much quiet a loop is news again */
#define ANSWER_MAX_NS 11000000000ull /* KEEPALIVE_TIMEOUT, and a second on the way */
#define UDP_HEADER 8u
#define FRAGMENT_HEADER 8u

enum { PROTOCOL_UDP = 17, PROTOCOL_FRAGMENT = 44 };

bool tx_init(struct tx *tx) {
    tx->frame = aligned_alloc(64, (TUN_FRAME_MAX + SEGMENT_SLACK + 63) & ~63u);
    tx->train.arena = aligned_alloc(64, TX_ARENA_SIZE);
    tx->waiting.arena = aligned_alloc(64, TX_ARENA_SIZE);
    return tx->frame && tx->train.arena && tx->waiting.arena;
}

void tx_free(struct tx *tx) {
    free(tx->frame);
    free(tx->train.arena);
    free(tx->waiting.arena);
}

void tx_begin(struct worker *worker) { worker->tx.bytes = worker->tx.messages = 0; }

static bool used_up(const struct tx *tx) {
    return tx->bytes >= TX_BATCH_BYTES || tx->messages >= TX_BATCH_MESSAGES;
}

static void use(struct tx *tx, uint32_t bytes, uint32_t messages) {
    tx->bytes += bytes;
    tx->messages += messages;
}

static void drop(struct worker *worker, struct peer *peer, enum counter why, uint32_t n) {
    stats_add(&worker->stats, why, n);
    if (peer)
        facts_add(&peer->facts.dropped, n);
}

/* ---- Sending a train --------------------------------------------------------------------- */

static enum counter reason(int error) {
    switch (error) {
    case EMSGSIZE:
        return COUNT_drop_tx_too_big;
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
        return COUNT_drop_tx_buffer;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL:
    case ENETDOWN:
        return COUNT_drop_tx_unreachable;
    case EPERM:
    case EACCES:
        return COUNT_drop_tx_denied;
    default:
        return COUNT_drop_tx_error;
    }
}

static void clear_source(struct worker *worker, struct peer *peer) {
    struct shoal_endpoint endpoint = peer->endpoint;
    memset(&endpoint.local, 0, sizeof(endpoint.local));
    endpoint.ifindex = 0;
    peer_set_endpoint(peer, &endpoint);
    stats_add(&worker->stats, COUNT_tx_source_cleared, 1);
}

/* EIO is the egress device's word (no checksum offload, or IPsec on the way): off for all until
 * routes change, which may lead out by another device. EINVAL and EMSGSIZE are the path's (segments
 * above its MTU): off for this endpoint until the rest is over. A trial costs one system call. */
static void demote(struct worker *worker, struct peer *peer, int error) {
    struct shoal_mail mail = {.kind = SHOAL_MAIL_OFFLOAD_DEMOTED,
                              .value = SHOAL_OFFLOAD_UDP_GSO,
                              .index = (uint32_t)error,
                              .time = worker->now};
    if (error == EIO) {
        if (!offload_demote(&worker->device->offload, SHOAL_OFFLOAD_UDP_GSO))
            return;
    } else {
        peer->gso_again = worker->now + GSO_REST_NS;
        if (peer->gso_told)
            return;
        peer->gso_told = true;
        mail.tag = peer->tag;
    }
    post_news(&worker->device->post, &worker->stats, &mail);
}

/* News of routes came since the last send: is the source still one that leaves where it was heard?
 */
static void reconsider_source(struct worker *worker, struct peer *peer) {
    struct device *device = worker->device;
    uint32_t changes = atomic_load_explicit(&device->route_changes, memory_order_relaxed);
    if (peer->routes_seen == changes)
        return;
    peer->routes_seen = changes;
    if (!routes_keep_source(&worker->routes, &peer->endpoint, device->fwmark))
        clear_source(worker, peer);
}

static int send_once(struct worker *worker, const struct train *train, uint32_t from,
                     uint32_t length, uint32_t segment) {
    struct peer *peer = train->peer;
    struct udp_socket *udp = worker_socket_for(worker, peer->endpoint.remote.family);
    reconsider_source(worker, peer);
    int error = socket_send(udp, &peer->endpoint, train->tos, train->arena + from, length, segment);
    if (!socket_source_suspect(error) || peer->endpoint.local.family == SHOAL_AF_NONE)
        return error;
    /* The same answer without a source: something else is to blame (the segments' size, no route at
     * all), and we go on answering from where we were addressed (R55). */
    struct shoal_endpoint anywhere = {.remote = peer->endpoint.remote};
    int without = socket_send(udp, &anywhere, train->tos, train->arena + from, length, segment);
    if (without != error)
        clear_source(worker, peer);
    return without;
}

/* What has left counts for the peer's clocks: keepalives answer, data also asks (R57, R60). */
static void account(struct worker *worker, struct peer *peer, uint32_t messages, uint32_t bytes,
                    uint32_t keepalives) {
    struct facts *facts = &peer->facts;
    stats_add(&worker->stats, COUNT_tx_packets, messages);
    stats_add(&worker->stats, COUNT_tx_bytes, bytes);
    stats_add(&worker->stats, COUNT_tx_keepalives, keepalives);
    facts_add(&facts->tx_packets, messages);
    facts_add(&facts->tx_bytes, bytes);
    facts_set(&facts->last_authenticated_send, worker->now);
    facts_set(&facts->first_unsent_reply, 0);
    if (messages == keepalives)
        return;
    facts_set(&facts->last_data_send, worker->now);
    if (!facts_get(&facts->first_unanswered_data))
        facts_set(&facts->first_unanswered_data, worker->now);
    edge_raise(worker, peer, SHOAL_EDGE_UNANSWERED_DATA, facts_get(&facts->first_unanswered_data));
}

/* The messages of a train each by itself, each once. @return false when the socket is full: what
 * has not left stays in the train and may wait. */
static bool send_singly(struct worker *worker, struct train *train, bool may_wait) {
    while (train->at < train->bytes) {
        uint32_t left = train->bytes - train->at;
        uint32_t length = left < train->stride ? left : train->stride;
        bool keepalive = length == WIRE_DATA_OVERHEAD;
        int error = send_once(worker, train, train->at, length, length);
        if (error == EAGAIN && may_wait)
            return false;
        if (error)
            drop(worker, train->peer, reason(error), 1);
        else
            account(worker, train->peer, 1, length, keepalive);
        train->at += length;
        train->count--;
        train->keepalives -= keepalive;
    }
    return true;
}

/* @return false when the socket is full and `train` may wait. */
static bool send_train(struct worker *worker, struct train *train, bool may_wait) {
    struct peer *peer = train->peer;
    if (peer->endpoint.remote.family == SHOAL_AF_NONE) { /* taken away since */
        drop(worker, peer, COUNT_drop_tx_no_endpoint, train->count);
        return true;
    }
    struct udp_socket *udp = worker_socket_for(worker, peer->endpoint.remote.family);
    if (!udp) {
        drop(worker, peer, COUNT_drop_tx_no_socket, train->count);
        return true;
    }
    bool whole = train->count == 1;
    if (!whole && (worker->now < peer->gso_again ||
                   !offload_has(&worker->device->offload, SHOAL_OFFLOAD_UDP_GSO)))
        return send_singly(worker, train, may_wait);
    uint32_t left = train->bytes - train->at;
    int error = send_once(worker, train, train->at, left, whole ? left : train->stride);
    if (!error) {
        stats_add(&worker->stats, COUNT_tx_trains, 1);
        account(worker, peer, train->count, left, train->keepalives);
    } else if (error == EAGAIN && may_wait) {
        return false;
    } else if (!whole && (error == EIO || error == EINVAL || error == EMSGSIZE)) {
        demote(worker, peer, error);
        stats_add(&worker->stats, COUNT_tx_gso_refused, 1);
        return send_singly(worker, train, may_wait);
    } else {
        drop(worker, peer, reason(error), train->count);
    }
    return true;
}

static void empty(struct train *train) { *train = (struct train){.arena = train->arena}; }

static void flush_now(struct worker *worker) {
    struct tx *tx = &worker->tx;
    if (tx->waiting.count) {
        send_train(worker, &tx->waiting, false);
        empty(&tx->waiting);
    }
    if (!tx->train.count)
        return;
    if (!send_train(worker, &tx->train, true)) {
        struct train swap = tx->waiting;
        tx->waiting = tx->train;
        tx->train = swap;
        stats_add(&worker->stats, COUNT_tx_blocked, 1);
        worker_wait_for_socket(worker,
                               worker_socket_for(worker, tx->waiting.peer->endpoint.remote.family));
    }
    empty(&tx->train);
}

void tx_flush(struct worker *worker) {
    if (!worker->waiting_for_socket)
        flush_now(worker);
}

static void forget(struct worker *worker, struct train *train, const struct peer *peer) {
    if (!train->count || train->peer != peer)
        return;
    drop(worker, train->peer, COUNT_drop_tx_buffer, train->count);
    empty(train);
}

void tx_forget(struct worker *worker, const struct peer *peer) {
    forget(worker, &worker->tx.waiting, peer);
    forget(worker, &worker->tx.train, peer);
}

/* ---- Filling a train --------------------------------------------------------------------- */

static bool fits(const struct train *train, const struct peer *peer, uint32_t size, uint8_t tos) {
    return train->peer == peer && !train->closed && train->tos == tos && size <= train->stride &&
           train->count < SOCKET_SEGMENTS_MAX && train->bytes + size <= SOCKET_PAYLOAD_MAX;
}

static void append(struct worker *worker, struct peer *peer, struct session *session,
                   uint64_t counter, const uint8_t *plain, uint32_t padded, uint8_t tos) {
    struct train *train = &worker->tx.train;
    uint32_t size = WIRE_DATA_OVERHEAD + padded;
    if (train->count && !fits(train, peer, size, tos))
        flush_now(worker);
    uint8_t *message = train->arena + train->bytes;
    wire_put_le32(message, WIRE_DATA);
    wire_put_le32(message + WIRE_DATA_INDEX, session->remote_index);
    wire_put_le64(message + WIRE_DATA_COUNTER, counter);
    struct aead_packet packet = {
        .out = message + WIRE_DATA_HEADER, .in = plain, .counter = counter, .length = padded};
    if (!aead_seal(session->send, &packet, 1)) {
        drop(worker, peer, COUNT_drop_tx_seal, 1);
        return;
    }
    if (!train->count) {
        train->peer = peer;
        train->stride = size;
        train->tos = tos;
    }
    train->bytes += size;
    train->count++;
    train->keepalives += padded == 0;
    train->closed = size < train->stride;
}

/* Sending on this session at or after these marks asks for a new one, once (R1, R3). */
static void check_rekey(struct worker *worker, struct peer *peer, struct session *session,
                        uint64_t counter) {
    if (session->rekey_mailed)
        return;
    enum shoal_rekey_why why = 0;
    if (session->rekey_after_time && worker->now >= session->rekey_after_time)
        why = SHOAL_REKEY_AGE;
    else if (session->rekey_after_messages && counter >= session->rekey_after_messages)
        why = SHOAL_REKEY_MESSAGES;
    if (!why)
        return;
    struct shoal_mail mail = {.kind = SHOAL_MAIL_REKEY_DUE,
                              .tag = peer->tag,
                              .index = session->local_index,
                              .value = why,
                              .time = worker->now};
    session->rekey_mailed = post_news(&worker->device->post, &worker->stats, &mail);
}

bool tx_keepalive(struct worker *worker, struct peer *peer, struct session *session) {
    uint64_t counter;
    if (!session_reserve(session, 1, &counter))
        return false;
    append(worker, peer, session, counter, (const uint8_t *)"", 0, 0);
    check_rekey(worker, peer, session, counter + 1);
    return true;
}

/* ---- From frames to segments ------------------------------------------------------------- */

/* The outer ECN of what carries an inner packet: its own, but congestion that it met before the
 * tunnel is not repeated outside (RFC 3168 section 9.1.1, as the Linux driver does). */
static uint8_t outer_tos(uint8_t inner) {
    uint8_t ecn = inner & PACKET_ECN_MASK;
    return ecn == PACKET_ECN_CE ? 2 /* ECT(0) */ : ecn;
}

static enum counter reason_segment(enum segment_status status) {
    return status == SEGMENT_SHORT || status == SEGMENT_BAD_PACKET ? COUNT_drop_tx_malformed
                                                                   : COUNT_drop_tx_offload;
}

/* No more segments than this will come of a frame: known before it is touched. */
static uint32_t segments_at_most(const uint8_t *frame, uint32_t length) {
    uint32_t gso_size = frame[4] | (uint32_t)frame[5] << 8; /* virtio_net_hdr, little-endian host */
    if ((frame[1] & ~SEGMENT_GSO_ECN) == SEGMENT_GSO_NONE || gso_size == 0)
        return 1;
    return length / gso_size + 1;
}

/* Seals a frame into trains; `frame` is used up. */
static void seal(struct worker *worker, struct peer *peer, struct session *session, uint8_t *frame,
                 uint32_t length, uint8_t tos) {
    struct segmenter segmenter;
    uint32_t mtu = atomic_load_explicit(&worker->device->mtu, memory_order_relaxed);
    enum segment_status status = segment_begin(&segmenter, frame, length, mtu);
    if (status != SEGMENT_OK) {
        drop(worker, peer, reason_segment(status), 1);
        return;
    }
    uint32_t count = segment_count(&segmenter);
    if (count > TX_SEGMENTS_MAX) {
        drop(worker, peer, COUNT_drop_tx_segments, 1);
        return;
    }
    use(&worker->tx, 0, count - 1);
    uint64_t counter;
    if (!session_reserve(session, count, &counter)) {
        drop(worker, peer, COUNT_drop_tx_seal, count);
        return;
    }
    check_rekey(worker, peer, session, counter + count);
    struct segment segment;
    while (segment_next(&segmenter, &segment)) {
        if (segment.padded + WIRE_DATA_OVERHEAD > SOCKET_PAYLOAD_MAX)
            drop(worker, peer, COUNT_drop_tx_too_big, 1);
        else
            append(worker, peer, session, counter, segment.data, segment.padded, tos);
        counter++;
    }
}

static void victim_dropped(struct peer *victim) {
    facts_add(&victim->facts.dropped, 1);
    peer_publish_staged(victim);
}

static void stage(struct worker *worker, struct peer *peer, const uint8_t *frame, uint32_t length,
                  bool session_needed) {
    struct staging_drops drops = {0};
    if (staging_push(&worker->device->staging, &peer->staging, peer, frame, length, &drops,
                     victim_dropped))
        stats_add(&worker->stats, COUNT_tx_staged, 1);
    else
        drop(worker, peer, COUNT_drop_tx_memory, 1);
    drop(worker, peer, COUNT_drop_tx_staging_peer, drops.peer);
    stats_add(&worker->stats, COUNT_drop_tx_staging_total, drops.total);
    peer_publish_staged(peer);
    if (session_needed)
        edge_raise(worker, peer, SHOAL_EDGE_SESSION_NEEDED, worker->now);
}

void tx_flush_staged(struct worker *worker, struct peer *peer) {
    struct staged *staged;
    while ((staged = staging_first(&peer->staging))) {
        /* Sealed while the socket is full they would only be dropped. */
        if (worker->waiting_for_socket || used_up(&worker->tx)) {
            worker_list_flush(worker, peer);
            break;
        }
        struct session *session = peer->sessions[PEER_CURRENT];
        if (!session_can_send(session, worker->now,
                              segments_at_most(staged->frame, staged->length)))
            break;
        struct packet packet;
        if (packet_parse(&packet, staged->frame + SEGMENT_VNET_SIZE,
                         staged->length - SEGMENT_VNET_SIZE) == PACKET_OK)
            seal(worker, peer, session, staged->frame, staged->length, outer_tos(packet.tos));
        use(&worker->tx, staged->length, 1);
        staging_drop_first(&worker->device->staging, &peer->staging);
    }
    peer_publish_staged(peer);
}

/* ---- What reaches nobody ----------------------------------------------------------------- */

/* Tells the sender so, unless it may not be answered or was told of too many. */
static void answer_unreachable(struct worker *worker, const struct packet *packet,
                               const uint8_t *bytes) {
    static const struct icmp_error unreachable = {.kind = ICMP_UNREACHABLE};
    uint8_t header[SEGMENT_VNET_SIZE] = {0}, answer[ICMP_MAX];
    size_t length = icmp_answer(answer, packet, bytes, &unreachable);
    if (!length || !icmp_take(&worker->tx.icmp_pace, worker->now))
        return;
    struct iovec parts[] = {{header, sizeof(header)}, {answer, length}};
    if (tun_write(&worker->tun, parts, 2) == 0)
        stats_add(&worker->stats, COUNT_tun_unreachable, 1);
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

/* A route has led a datagram of ours into the tunnel: sealed it would come out again, and so on.
 * The port alone does not tell: machines behind us may use the same one. */
static bool is_loop(struct worker *worker, const struct packet *packet, const uint8_t *bytes) {
    struct device *device = worker->device;
    const uint8_t *udp = udp_header(packet, bytes);
    uint16_t port = atomic_load_explicit(&device->port, memory_order_relaxed);
    if (!udp || !port || wire_get_be16(udp) != port)
        return false;
    uint32_t changes = atomic_load_explicit(&device->route_changes, memory_order_relaxed);
    uint16_t family = packet->version == 4 ? SHOAL_AF_INET : SHOAL_AF_INET6;
    if (!routes_is_local(&worker->routes, family, packet->source, changes))
        return false;
    bool news = !worker->tx.loop_seen || worker->now - worker->tx.loop_seen > LOOP_QUIET_NS;
    worker->tx.loop_seen = worker->now;
    if (news) {
        struct shoal_mail mail = {.kind = SHOAL_MAIL_LOOP, .time = worker->now};
        mail.endpoint.remote.family = family;
        mail.endpoint.remote.port = wire_get_be16(udp + 2);
        memcpy(mail.endpoint.remote.ip, packet->destination, packet->version == 4 ? 4 : 16);
        post_news(&device->post, &worker->stats, &mail);
    }
    return true;
}

/* Who gets data answers within 10 s, by a keepalive at the latest (R57). */
static bool is_answered(const struct worker *worker, const struct peer *peer) {
    uint64_t first = facts_get(&peer->facts.first_unanswered_data);
    return !first || worker->now - first < ANSWER_MAX_NS;
}

bool tx_frame(struct worker *worker, struct peer *peer, uint8_t *frame, uint32_t length,
              uint8_t tos) {
    if (peer->endpoint.remote.family == SHOAL_AF_NONE) {
        drop(worker, peer, COUNT_drop_tx_no_endpoint, 1);
        return false;
    }
    if (peer->staging.count)
        tx_flush_staged(worker, peer);
    struct session *session = peer->sessions[PEER_CURRENT];
    bool can_send = session_can_send(session, worker->now, segments_at_most(frame, length));
    if (peer->offline && !(can_send && is_answered(worker, peer))) {
        drop(worker, peer, COUNT_drop_tx_offline, 1);
        edge_raise(worker, peer, SHOAL_EDGE_SESSION_NEEDED, worker->now); /* it may be back */
        return false;
    }
    if (peer->staging.count || !can_send)
        stage(worker, peer, frame, length, !can_send || !peer->flush_listed);
    else
        seal(worker, peer, session, frame, length, outer_tos(tos));
    return true;
}

static void frame_in(struct worker *worker, uint8_t *frame, uint32_t length) {
    struct device *device = worker->device;
    struct packet packet;
    if (length <= SEGMENT_VNET_SIZE ||
        packet_parse(&packet, frame + SEGMENT_VNET_SIZE, length - SEGMENT_VNET_SIZE) != PACKET_OK) {
        drop(worker, NULL, COUNT_drop_tx_malformed, 1);
        return;
    }
    const uint8_t *bytes = frame + SEGMENT_VNET_SIZE;
    if (is_loop(worker, &packet, bytes)) {
        drop(worker, NULL, COUNT_drop_tx_loop, 1);
        return;
    }
    uint32_t slot = packet.version == 4 ? route_lookup4(device->routes, packet.destination)
                                        : route_lookup6(device->routes, packet.destination);
    if (slot == ROUTE_NONE) {
        drop(worker, NULL, COUNT_drop_tx_no_route, 1);
        answer_unreachable(worker, &packet, bytes);
        return;
    }
    if (!tx_frame(worker, device->peers.entries[slot].peer, frame, length, packet.tos))
        answer_unreachable(worker, &packet, bytes);
}

void tx_drain(struct worker *worker) {
    while (!worker->waiting_for_socket && !used_up(&worker->tx)) {
        ssize_t length = tun_read(&worker->tun, worker->tx.frame, TUN_FRAME_MAX);
        if (length < 0) {
            if (length == -EBADFD)
                worker_tun_gone(worker);
            break;
        }
        if (length == 0 && !worker->tun.real) {
            worker_tun_gone(worker); /* the far end of a socketpair has closed */
            break;
        }
        stats_add(&worker->stats, COUNT_tun_reads, 1);
        use(&worker->tx, (uint32_t)length, 1);
        frame_in(worker, worker->tx.frame, (uint32_t)length);
    }
    tx_flush(worker);
}
