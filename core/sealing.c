#include "sealing.h"

#include <stdlib.h>

#include <sodium.h>

#include "bundle.h"
#include "packet.h"
#include "pass.h"
#include "wire.h"

bool sealing_init(struct sealing *sealing, uint32_t workers) {
    if (workers == 1)
        return true;
    pthread_mutex_init(&sealing->mutex, NULL);
    sealing->ring = calloc(SEALING_TURNS, sizeof(*sealing->ring));
    sealing->memory = aligned_alloc(4096, (size_t)SEALING_TURNS * SEALING_BYTES);
    if (!sealing->ring || !sealing->memory)
        return false;
    for (uint32_t i = 0; i < SEALING_TURNS; i++)
        sealing->ring[i].arena = sealing->memory + (size_t)i * SEALING_BYTES;
    return true;
}

void sealing_free(struct sealing *sealing) {
    if (sealing->ring)
        sodium_memzero(sealing->ring, SEALING_TURNS * sizeof(*sealing->ring));
    free(sealing->ring);
    free(sealing->memory);
}

/* ---- Taking ------------------------------------------------------------------------------ */

/* Preparing to cut a super-packet leaves it as it is, so it may still go its usual way. A packet by
 * itself has its partial checksum completed, which is done once. */
static bool is_super(const uint8_t *frame) {
    return (frame[1] & ~SEGMENT_GSO_ECN) != SEGMENT_GSO_NONE;
}

/* The peer that a frame may be sealed for ahead; NULL: it goes its usual way. Nothing is read here
 * that its worker changes but under the lock. */
static struct peer *peer_for(struct pass *of, const struct fq_frame *frame, struct packet *packet) {
    const struct plane *plane = of->plane;
    const uint8_t *bytes = frame->bytes + SEGMENT_VNET_SIZE;
    if (frame->length < SEALING_MIN || !is_super(frame->bytes) ||
        packet_parse(packet, bytes, frame->length - SEGMENT_VNET_SIZE) != PACKET_OK ||
        tx_has_our_port(plane, packet, bytes))
        return NULL;
    uint32_t slot = packet->version == 4 ? route_lookup4(plane->routes, packet->destination)
                                         : route_lookup6(plane->routes, packet->destination);
    struct peer *peer = slot == ROUTE_NONE ? NULL : plane->peers.entries[slot].peer;
    if (peer)
        peer = peer_lane_at(peer, of->worker, plane->workers);
    bool fits = peer && peer->worker == of->worker && !peer->offline;
    return fits && !atomic_load_explicit(&peer->facts.staged, memory_order_relaxed) ? peer : NULL;
}

/* Cuts the frame's counters from a session. @return false: it goes its usual way, untouched */
static bool prepare(struct pass *of, struct pass *by, struct sealed *turn) {
    struct fq_frame *frame = turn->frame;
    struct packet packet;
    const struct peer *peer = peer_for(of, frame, &packet);
    struct session *session = peer ? peer->sessions[PEER_CURRENT] : NULL;
    uint32_t most = tx_segments_at_most(frame->bytes, frame->length);
    if (most > TX_SEGMENTS_MAX || !session_can_send(session, by->now, most))
        return false;
    uint32_t mtu = atomic_load_explicit(&of->plane->mtu, memory_order_relaxed);
    struct segmenter *segmenter = &turn->segmenter;
    if (segment_begin(segmenter, frame->bytes, frame->length, mtu) != SEGMENT_OK)
        return false; /* untouched: what is wrong is found and counted there */
    /* What each segment adds to its share of the payload, at most. */
    uint32_t added = segmenter->headers + PACKET_PADDING + WIRE_DATA_OVERHEAD;
    if (frame->length + segment_count(segmenter) * added > SEALING_BYTES)
        return false;
    uint32_t size = segment_longest(segmenter, frame->length) + PACKET_PADDING + WIRE_DATA_OVERHEAD;
    if (size > SOCKET_PAYLOAD_MAX || /* no datagram holds it: counted there */
        !session_reserve(session, segment_count(segmenter), size, &turn->counter))
        return false;
    turn->to = (struct handoff_peer){.slot = peer->slot,
                                     .generation = of->plane->peers.entries[peer->slot].generation};
    turn->key = session->send;
    turn->serial = session->send.serial;
    turn->remote_index = session->remote_index;
    turn->tos = tx_outer_tos(packet.tos);
    turn->lossy = frame->congested && tx_loses(by, frame->bytes);
    if (frame->congested && !turn->lossy) /* its head was copied before it was marked */
        (void)segment_begin(segmenter, frame->bytes, frame->length, mtu);
    return true;
}

/* @param bytes  in the arena, without the bundle */
static void seal_bundle(struct pass *by, struct sealed *turn, struct bundle *bundle,
                        uint32_t bytes) {
    uint32_t count = bundle->count;
    if (!count || bundle_seal(bundle, by->aead, &turn->key))
        return;
    turn->bytes = bytes;
    turn->stride = bytes ? turn->stride : 0;
    pass_drop(by, NULL, COUNT_drop_tx_seal, count);
}

static void seal(struct pass *by, struct sealed *turn) {
    struct segment segment;
    struct bundle bundle = {.count = 0};
    uint32_t sealed = 0;
    turn->bytes = turn->sent = turn->stride = 0;
    while (segment_next(&turn->segmenter, &segment)) {
        uint64_t counter = turn->counter++;
        if (turn->lossy) {
            pass_drop(by, NULL, COUNT_drop_tx_standing, 1);
            turn->lossy = false;
            continue;
        }
        uint32_t size = WIRE_DATA_OVERHEAD + segment.padded;
        if (!bundle.count)
            sealed = turn->bytes;
        bool now = bundle_add(&bundle, by->aead, &turn->key, turn->arena + turn->bytes,
                              turn->remote_index, counter, segment.data, segment.padded);
        turn->stride = turn->stride ? turn->stride : size;
        turn->bytes += size;
        if (now)
            seal_bundle(by, turn, &bundle, sealed);
    }
    seal_bundle(by, turn, &bundle, sealed);
    sodium_memzero(&turn->key, sizeof(turn->key));
}

enum turn_taken sealing_take(struct pass *of, struct pass *by) {
    struct sealing *sealing = &of->sealing;
    turns_mutex_lock(&sealing->mutex);
    uint32_t first = atomic_load_explicit(&sealing->first, memory_order_acquire);
    if (sealing->next - first == SEALING_TURNS) {
        pthread_mutex_unlock(&sealing->mutex);
        return TURN_NO_ROOM;
    }
    struct sealed *turn = &sealing->ring[sealing->next % SEALING_TURNS];
    turn->frame = tx_next_frame(of, by);
    bool got = turn->frame != NULL;
    if (got) {
        turn->ahead = prepare(of, by, turn);
        atomic_store_explicit(&turn->state, TURN_TAKEN, memory_order_relaxed);
        sealing->next++;
    }
    pthread_mutex_unlock(&sealing->mutex);
    if (!got)
        return TURN_DRY;
    bool large = turn->frame->length >= TURN_FULL;
    if (turn->ahead)
        seal(by, turn);
    if (turn->ahead && by != of)
        stats_add(&by->stats, COUNT_turns_helped, 1);
    atomic_store(&turn->state, TURN_DONE);
    return large ? TURN_FILLED : TURN_OPENED;
}

/* ---- Putting out ------------------------------------------------------------------------- */

static struct peer *find(const struct pass *pass, struct handoff_peer name) {
    const struct peer_entry *entry = &pass->plane->peers.entries[name.slot];
    return entry->generation == name.generation ? entry->peer : NULL;
}

/* Messages that one sendmsg may hold. */
static uint32_t messages_of_a_train(uint32_t stride) {
    uint32_t most = SOCKET_PAYLOAD_MAX / stride;
    return most < SOCKET_SEGMENTS_MAX ? most : SOCKET_SEGMENTS_MAX;
}

/* @return false when the socket is full: the rest of it goes on later */
static bool send_sealed(struct pass *pass, struct sealed *turn) {
    struct peer *peer = find(pass, turn->to);
    if (!peer) {
        uint32_t left = turn->bytes - turn->sent; /* the others were counted when they were sent */
        stats_add(&pass->stats, COUNT_drop_handoff_gone, left ? (left - 1) / turn->stride + 1 : 0);
        return true;
    }
    tx_flush(pass);
    while (turn->sent < turn->bytes && !tx_is_blocked(&pass->tx)) {
        uint32_t room = messages_of_a_train(turn->stride) * turn->stride;
        uint32_t left = turn->bytes - turn->sent, bytes = left < room ? left : room;
        struct train train = {.arena = turn->arena + turn->sent,
                              .peer = peer,
                              .bytes = bytes,
                              .count = (bytes - 1) / turn->stride + 1,
                              .stride = turn->stride,
                              .closed = true,
                              .tos = turn->tos};
        turn->sent += bytes;
        tx_send_train(pass, &train);
    }
    return turn->sent == turn->bytes;
}

/* @return false when it has to wait for a socket */
static bool put_out(struct pass *pass, struct sealed *turn) {
    if (tx_is_blocked(&pass->tx))
        return false;
    if (!turn->ahead) {
        tx_frame_in(pass, turn->frame);
        return true;
    }
    if (!send_sealed(pass, turn))
        return false;
    struct peer *peer = find(pass, turn->to);
    struct session *session = peer ? peer->sessions[PEER_CURRENT] : NULL;
    if (session && session->send.serial == turn->serial)
        tx_check_rekey(pass, peer, session, turn->counter);
    return true;
}

bool sealing_put_out(struct pass *pass) {
    struct sealing *sealing = &pass->sealing;
    bool any = false;
    /* No more than were there: whoever is done later rings, or puts out itself. */
    for (uint32_t i = 0; i < SEALING_TURNS && sealing_waits(sealing); i++) {
        uint32_t first = atomic_load_explicit(&sealing->first, memory_order_relaxed);
        struct sealed *turn = &sealing->ring[first % SEALING_TURNS];
        if (!put_out(pass, turn))
            break;
        any = true;
        if (turn->ahead && turn->bytes)
            tx_use(&pass->tx, turn->frame->length, (turn->bytes - 1) / turn->stride + 1);
        else
            tx_use(&pass->tx, turn->frame->length, 1);
        sealing_lock(sealing);
        fq_release(&pass->tx.fq, turn->frame);
        sealing_unlock(sealing);
        atomic_store_explicit(&turn->state, TURN_FREE, memory_order_relaxed);
        atomic_store_explicit(&sealing->first, first + 1, memory_order_release);
    }
    return any;
}

/* Two large frames in one drain: there is more than one thread's work, and whoever is idle helps.
 */
void sealing_drain(struct pass *pass) {
    struct sealing *sealing = &pass->sealing;
    enum turn_taken taken = TURN_FILLED;
    uint32_t filled = 0;
    bool stands = false;
    atomic_store(&sealing->draining, true);
    while (taken != TURN_DRY && !tx_is_blocked(&pass->tx) && !tx_is_used_up(&pass->tx)) {
        taken = sealing_take(pass, pass);
        filled += taken == TURN_FILLED;
        if (filled == 2)
            pass_call_help(pass);
        stands = !sealing_put_out(pass) && taken == TURN_NO_ROOM;
        if (stands)
            break; /* others have them all: the next batch goes on */
    }
    pass_note_stall(pass, &sealing->stalled, stands && !tx_is_blocked(&pass->tx));
    atomic_store(&sealing->draining, false);
    sealing_put_out(pass); /* what a helper was done with meanwhile it leaves to us */
    tx_flush(pass);
}
