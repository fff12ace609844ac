#include "train.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "edge.h"
#include "pass.h"
#include "wire.h"

#define GSO_REST_NS 1000000000ull

bool train_init(struct train *train) {
    train->arena = aligned_alloc(64, TRAIN_ARENA_SIZE);
    return train->arena != NULL;
}

void train_free(struct train *train) { free(train->arena); }

void train_empty(struct train *train) { *train = (struct train){.arena = train->arena}; }

bool train_fits(const struct train *train, const struct peer *peer, uint32_t size, uint8_t tos) {
    if (!train->count)
        return true;
    return train->peer == peer && !train->closed && train->tos == tos && size <= train->stride &&
           train->count < SOCKET_SEGMENTS_MAX && train->bytes + size <= SOCKET_PAYLOAD_MAX;
}

void train_add(struct train *train, struct peer *peer, uint32_t size, uint8_t tos) {
    if (!train->count) {
        train->peer = peer;
        train->stride = size;
        train->tos = tos;
    }
    train->bytes += size;
    train->count++;
    train->keepalives += size == WIRE_DATA_OVERHEAD;
    train->closed = size < train->stride;
}

/* ---- Sending ----------------------------------------------------------------------------- */

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
    case ENODEV:
        return COUNT_drop_tx_unreachable;
    case EPERM:
    case EACCES:
        return COUNT_drop_tx_denied;
    default:
        return COUNT_drop_tx_error;
    }
}

static void clear_source(struct pass *pass, struct peer *peer) {
    struct shoal_endpoint endpoint = peer->endpoint;
    memset(&endpoint.local, 0, sizeof(endpoint.local));
    endpoint.ifindex = 0;
    pass_set_endpoint(pass, peer, &endpoint);
    stats_add(&pass->stats, COUNT_tx_source_cleared, 1);
}

/* EIO is the egress device's word (no checksum offload, or IPsec on the way): off for all until
 * routes change, which may lead out by another device. EINVAL and EMSGSIZE are the path's (segments
 * above its MTU): off for this endpoint until the rest is over. A trial costs one system call. */
static void demote(struct pass *pass, struct peer *peer, int error) {
    struct shoal_mail mail = {.kind = SHOAL_MAIL_OFFLOAD_DEMOTED,
                              .value = SHOAL_OFFLOAD_UDP_GSO,
                              .index = (uint32_t)error,
                              .time = pass->now};
    if (error == EIO) {
        if (!offload_demote(&pass->plane->offload, SHOAL_OFFLOAD_UDP_GSO))
            return;
    } else {
        peer->gso_again = pass->now + GSO_REST_NS;
        if (peer->gso_told)
            return;
        peer->gso_told = true;
        mail.tag = peer->tag;
    }
    pass_news(pass, &mail);
}

/* News of routes came since the last send, or the endpoint is new: does the way there lead past our
 * own interface, and is the source still one that leaves where it was heard? */
void train_reconsider_way(struct pass *pass, struct peer *peer) {
    struct plane *plane = pass->plane;
    uint32_t changes = atomic_load_explicit(&plane->route_changes, memory_order_relaxed);
    bool news = peer->routes_seen != changes;
    if (!news && peer->way != AROUND_UNKNOWN)
        return;
    peer->routes_seen = changes;
    peer->way = pass_way(pass, &peer->endpoint.remote);
    uint32_t fwmark = atomic_load_explicit(&plane->fwmark, memory_order_relaxed);
    bool keeps = peer->way == AROUND_PLAIN
                     ? !news || routes_keep_source(&pass->routes, &peer->endpoint, fwmark)
                     : !peer->endpoint.ifindex || peer->endpoint.ifindex == peer->way;
    if (!keeps)
        clear_source(pass, peer);
}

/* By the shared socket of the family, from a source that may have become wrong. */
static int send_shared(struct pass *pass, const struct train *train, uint32_t from, uint32_t length,
                       uint32_t segment) {
    struct peer *peer = train->peer;
    const struct udp_socket *udp = pass_socket_for(pass, peer->endpoint.remote.family);
    uint32_t by = peer->way == AROUND_PLAIN ? 0 : peer->way;
    const uint8_t *bytes = train->arena + from;
    stats_add(&pass->stats, COUNT_tx_around, by != 0);
    int error = socket_send(udp, &peer->endpoint, by, train->tos, bytes, length, segment);
    if (error == EAGAIN)
        pass->tx.waiting_for =
            peer->endpoint.remote.family == SHOAL_AF_INET6 ? PASS_INET6 : PASS_INET;
    if (!socket_source_suspect(error) || peer->endpoint.local.family == SHOAL_AF_NONE)
        return error;
    /* The same answer without a source: something else is to blame (the segments' size, no route at
     * all), and we go on answering from where we were addressed (R55). */
    struct shoal_endpoint anywhere = {.remote = peer->endpoint.remote};
    int without = socket_send(udp, &anywhere, by, train->tos, bytes, length, segment);
    if (without != error)
        clear_source(pass, peer);
    return without;
}

/* An error of the peer's own socket is no answer (connected.h): the shared one gives it. */
static int send_once(struct pass *pass, const struct train *train, uint32_t from, uint32_t length,
                     uint32_t segment) {
    struct peer *peer = train->peer;
    train_reconsider_way(pass, peer);
    if (peer->way == AROUND_NONE)
        return ENETUNREACH;
    const struct udp_socket *own = connected_of(pass, peer);
    if (!own)
        return send_shared(pass, train, from, length, segment);
    int error = socket_send(own, NULL, 0, train->tos, train->arena + from, length, segment);
    if (error == EAGAIN)
        pass->tx.waiting_for = PASS_CONNECTED + peer->connected - 1;
    if (!error)
        connected_sent(pass, peer);
    if (!error || error == EAGAIN)
        return error;
    int shared = send_shared(pass, train, from, length, segment);
    connected_failed(pass, peer, error, shared);
    return shared;
}

/* What has left counts for the peer's clocks: keepalives answer, data also asks (R57, R60). */
static void account(struct pass *pass, struct peer *peer, uint32_t messages, uint32_t bytes,
                    uint32_t keepalives) {
    struct facts *facts = &peer->facts;
    stats_add(&pass->stats, COUNT_tx_packets, messages);
    stats_add(&pass->stats, COUNT_tx_bytes, bytes);
    stats_add(&pass->stats, COUNT_tx_keepalives, keepalives);
    facts_add(&facts->tx_packets, messages);
    connected_note(pass, peer, messages);
    facts_add(&facts->tx_bytes, bytes);
    facts_set(&facts->last_authenticated_send, pass->now);
    facts_set(&facts->first_unsent_reply, 0);
    if (messages == keepalives)
        return;
    facts_set(&facts->last_data_send, pass->now);
    if (!facts_get(&facts->first_unanswered_data))
        facts_set(&facts->first_unanswered_data, pass->now);
    edge_raise(pass, peer, SHOAL_EDGE_UNANSWERED_DATA, facts_get(&facts->first_unanswered_data));
}

/* The messages of a train each by itself, each once. @return false when the socket is full: what
 * has not left stays in the train and may wait. */
static bool send_singly(struct pass *pass, struct train *train, bool may_wait) {
    while (train->at < train->bytes) {
        uint32_t left = train->bytes - train->at;
        uint32_t length = left < train->stride ? left : train->stride;
        bool keepalive = length == WIRE_DATA_OVERHEAD;
        int error = send_once(pass, train, train->at, length, length);
        if (error == EAGAIN && may_wait)
            return false;
        if (error)
            pass_drop(pass, train->peer, reason(error), 1);
        else
            account(pass, train->peer, 1, length, keepalive);
        train->at += length;
        train->count--;
        train->keepalives -= keepalive;
    }
    return true;
}

bool train_send(struct pass *pass, struct train *train, bool may_wait) {
    struct peer *peer = train->peer;
    if (peer->endpoint.remote.family == SHOAL_AF_NONE) { /* taken away since */
        pass_drop(pass, peer, COUNT_drop_tx_no_endpoint, train->count);
        return true;
    }
    struct udp_socket *udp = pass_socket_for(pass, peer->endpoint.remote.family);
    if (!udp) {
        pass_drop(pass, peer, COUNT_drop_tx_no_socket, train->count);
        return true;
    }
    bool whole = train->count == 1;
    if (!whole &&
        (pass->now < peer->gso_again || !offload_has(&pass->plane->offload, SHOAL_OFFLOAD_UDP_GSO)))
        return send_singly(pass, train, may_wait);
    uint32_t left = train->bytes - train->at;
    int error = send_once(pass, train, train->at, left, whole ? left : train->stride);
    if (!error) {
        stats_add(&pass->stats, COUNT_tx_trains, 1);
        account(pass, peer, train->count, left, train->keepalives);
    } else if (error == EAGAIN && may_wait) {
        return false;
    } else if (!whole && (error == EIO || error == EINVAL || error == EMSGSIZE)) {
        demote(pass, peer, error);
        stats_add(&pass->stats, COUNT_tx_gso_refused, 1);
        return send_singly(pass, train, may_wait);
    } else {
        pass_drop(pass, peer, reason(error), train->count);
    }
    return true;
}
