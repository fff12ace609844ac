#include "foreign.h"

#include "pass.h"
#include "segment.h"

_Static_assert(HANDOFF_SLACK >= SEGMENT_SLACK, "a frame has room for padding behind it");

#define NOBODY UINT32_MAX

/* ---- Handing over ------------------------------------------------------------------------ */

static bool put(struct pass *pass, uint32_t worker, const struct handoff_item *head,
                const uint8_t *bytes, uint32_t length) {
    return handoff_put(&pass->plane->boxes[worker], head, bytes, length);
}

void foreign_message(struct pass *pass, uint32_t worker, const uint8_t *message, uint32_t length,
                     const struct socket_received *received) {
    bool crowded = pass->rx.leads != worker || connected_has(pass, &received->endpoint.remote);
    struct handoff_item head = {.kind = HANDOFF_MESSAGE,
                                .tos = received->tos,
                                .crowded = crowded,
                                .endpoint = received->endpoint};
    if (crowded)
        connected_crowd_at(pass, &received->endpoint.remote);
    if (put(pass, worker, &head, message, length))
        stats_add(&pass->stats, COUNT_handoff_messages, 1);
    else
        stats_add(&pass->stats, COUNT_drop_handoff_full, 1);
}

static struct handoff_peer name_of(const struct pass *pass, const struct peer *peer) {
    if (!peer)
        return (struct handoff_peer){.slot = NOBODY};
    return (struct handoff_peer){.slot = peer->slot,
                                 .generation = pass->plane->peers.entries[peer->slot].generation};
}

void foreign_frame(struct pass *pass, struct peer *peer, const struct peer *from,
                   const uint8_t *frame, uint32_t length, uint8_t tos, bool congested) {
    struct handoff_item head = {.kind = HANDOFF_FRAME,
                                .tos = tos,
                                .congested = congested,
                                .to = name_of(pass, peer),
                                .from = name_of(pass, from)};
    if (put(pass, peer->worker, &head, frame, length))
        stats_add(&pass->stats, COUNT_handoff_frames, 1);
    else /* the peer's own count is its worker's */
        stats_add(&pass->stats, COUNT_drop_handoff_full, 1);
}

/* ---- Taking over ------------------------------------------------------------------------- */

/* NULL: it was removed, perhaps for another one in its place. */
static struct peer *find(const struct pass *pass, struct handoff_peer name) {
    const struct peer_table *peers = &pass->plane->peers;
    if (name.slot == NOBODY || peers->entries[name.slot].generation != name.generation)
        return NULL;
    return peers->entries[name.slot].peer;
}

static void take_message(struct pass *pass, struct handoff_item *item) {
    struct socket_received received = {.endpoint = item->endpoint,
                                       .length = item->length,
                                       .segment = item->length,
                                       .tos = item->tos};
    if (item->crowded)
        connected_crowd_at(pass, &item->endpoint.remote);
    rx_data(pass, item->bytes, item->length, &received);
}

static void take_frame(struct pass *pass, struct handoff_item *item) {
    struct peer *to = find(pass, item->to), *from = find(pass, item->from);
    if (!to || (!from && item->from.slot != NOBODY)) {
        stats_add(&pass->stats, COUNT_drop_handoff_gone, 1);
        return;
    }
    if (tx_is_blocked(&pass->tx)) /* sealed now, it would only be dropped */
        pass_drop(pass, to, from ? COUNT_drop_forward_buffer : COUNT_drop_tx_buffer, 1);
    else if (from)
        forward_frame(pass, from, to, item->bytes, item->length);
    else
        tx_from_tun(pass, to, item->bytes, item->length, item->tos, item->congested);
}

void foreign_drain(struct pass *pass) {
    const uint8_t *end;
    struct handoff_item *item = handoff_take(&pass->plane->boxes[pass->worker], &end);
    for (; item && (const uint8_t *)item < end; item = handoff_next(item))
        if (item->kind == HANDOFF_MESSAGE)
            take_message(pass, item);
        else
            take_frame(pass, item);
    rx_deliver(pass);
    tx_flush(pass);
}
