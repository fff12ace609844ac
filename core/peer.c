#include "peer.h"

#include "around.h"

#include <stdlib.h>
#include <string.h>

static void forget_path(struct peer *peer) {
    peer->way = AROUND_UNKNOWN;
    peer->gso_again = 0;
    peer->gso_told = false;
}

void peer_set_endpoint(struct peer *peer, const struct shoal_endpoint *endpoint) {
    if (memcmp(&peer->endpoint.remote, &endpoint->remote, sizeof(endpoint->remote)) != 0)
        forget_path(peer);
    peer->endpoint = *endpoint;
    facts_set_endpoint(&peer->facts, endpoint);
}

static void publish_sessions(struct peer *peer) {
    uint32_t bits = 0;
    for (int i = 0; i < PEER_SLOTS; i++)
        bits |= peer->sessions[i] ? 1u << i : 0;
    atomic_store_explicit(&peer->facts.sessions, bits, memory_order_relaxed);
}

static void drop(struct session_table *table, struct session *session) {
    if (!session)
        return;
    session_table_remove(table, session);
    session_free(session);
}

enum shoal_status peer_install(struct peer *peer, struct session_table *table,
                               struct session *session) {
    enum shoal_status status = session_table_insert(table, session);
    if (status != SHOAL_OK)
        return status;
    struct session **slots = peer->sessions;
    bool is_responder = session->role == SHOAL_ROLE_RESPONDER;
    /* Who has a copy of a key begins handshakes and confirms none: the peer may still send by it.
     */
    if (!is_responder || !peer->staying) {
        drop(table, slots[PEER_PREVIOUS]);
        slots[PEER_PREVIOUS] = NULL;
    }
    if (is_responder) {
        drop(table, slots[PEER_NEXT]);
        slots[PEER_NEXT] = session;
    } else {
        if (slots[PEER_NEXT]) {
            slots[PEER_PREVIOUS] = slots[PEER_NEXT];
            slots[PEER_NEXT] = NULL;
            drop(table, slots[PEER_CURRENT]);
        } else {
            slots[PEER_PREVIOUS] = slots[PEER_CURRENT];
        }
        slots[PEER_CURRENT] = session;
    }
    peer->gso_again = 0;
    publish_sessions(peer);
    return SHOAL_OK;
}

void peer_confirm(struct peer *peer, struct session_table *table) {
    struct session **slots = peer->sessions;
    drop(table, slots[PEER_PREVIOUS]);
    slots[PEER_PREVIOUS] = slots[PEER_CURRENT];
    slots[PEER_CURRENT] = slots[PEER_NEXT];
    slots[PEER_NEXT] = NULL;
    publish_sessions(peer);
}

void peer_clear_sessions(struct peer *peer, struct session_table *table) {
    for (int i = 0; i < PEER_SLOTS; i++) {
        drop(table, peer->sessions[i]);
        peer->sessions[i] = NULL;
    }
    publish_sessions(peer);
}

/* ---- Lanes ------------------------------------------------------------------------------- */

void peer_join_lanes(struct peer *peer, struct peer *lane) {
    lane->lane = peer->lane_count;
    lane->speaks_for = peer->slot;
    lane->lanes[0] = peer;
    peer->lanes[peer->lane_count++] = lane;
    peer->spread = peer->lane_count;
}

void peer_leave_lanes(struct peer *peer) {
    struct peer *first = peer->lanes[0];
    if (first != peer)
        facts_take_over(&first->facts, &peer->facts);
    uint32_t from = peer->lane ? peer->lane : 1;
    for (uint32_t i = from; i < first->lane_count; i++) {
        struct peer *lane = first->lanes[i];
        lane->speaks_for = PEER_NOBODY;
        lane->lane = 0;
        lane->lanes[0] = lane;
    }
    if (from < first->lane_count)
        first->lane_count = from;
    if (from < first->spread)
        first->spread = from;
}

/* ---- Table ------------------------------------------------------------------------------- */

#define NO_ENTRY UINT32_MAX

bool peer_table_init(struct peer_table *table, uint32_t max) {
    *table = (struct peer_table){.max = max, .free_list = NO_ENTRY};
    table->entries = calloc(max, sizeof(*table->entries));
    return table->entries != NULL;
}

void peer_table_free(struct peer_table *table) {
    free(table->entries);
    memset(table, 0, sizeof(*table));
}

enum shoal_status peer_table_add(struct peer_table *table, uint32_t tag, shoal_peer_t *handle) {
    uint32_t slot = table->free_list != NO_ENTRY ? table->free_list : table->used;
    if (slot >= table->max)
        return SHOAL_E_FULL;
    struct peer *peer = aligned_alloc(64, (sizeof(*peer) + 63) & ~(size_t)63);
    if (!peer)
        return SHOAL_E_MEMORY;
    memset(peer, 0, sizeof(*peer));
    peer->slot = peer->speaks_for = slot;
    peer->lane_count = peer->spread = 1;
    peer->lanes[0] = peer;
    peer->tag = tag;
    peer->armed = SHOAL_EDGE_ALL;
    struct peer_entry *entry = &table->entries[slot];
    if (slot == table->used) {
        table->used++;
        entry->generation = 1;
    } else {
        table->free_list = entry->next_free;
    }
    entry->peer = peer;
    table->count++;
    *handle = (uint64_t)entry->generation << 32 | slot;
    return SHOAL_OK;
}

struct peer *peer_table_find(const struct peer_table *table, shoal_peer_t handle) {
    uint32_t slot = (uint32_t)handle;
    if (slot >= table->used || table->entries[slot].generation != handle >> 32)
        return NULL;
    return table->entries[slot].peer;
}

void peer_table_remove(struct peer_table *table, struct peer *peer) {
    struct peer_entry *entry = &table->entries[peer->slot];
    entry->peer = NULL;
    atomic_store_explicit(&entry->place, 0, memory_order_relaxed);
    if (++entry->generation == 0)
        entry->generation = 1; /* handle 0 is never valid */
    entry->next_free = table->free_list;
    table->free_list = peer->slot;
    table->count--;
    free(peer);
}
