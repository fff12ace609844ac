#include "session.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

struct session *session_create(const struct shoal_session *description, struct peer *peer,
                               uint64_t now) {
    struct session *session = calloc(1, sizeof(*session));
    if (!session)
        return NULL;
    session->peer = peer;
    session->role = description->role;
    session->local_index = description->local_index;
    session->remote_index = description->remote_index;
    session->birth = description->birth < now ? description->birth : now;
    session->expiry = session->birth + SESSION_REJECT_AFTER_TIME;
    session->rekey_after_time = description->rekey_after_time;
    session->rekey_on_receive = description->rekey_on_receive;
    session->rekey_after_messages = description->rekey_after_messages;
    aead_key_init(&session->send, description->suite, description->send_key);
    aead_key_init(&session->receive, description->suite, description->receive_key);
    session->limit = session_counter_limit(session);
    return session;
}

void session_free(struct session *session) {
    if (!session)
        return;
    sodium_memzero(session, sizeof(*session));
    free(session);
}

bool session_reserve(struct session *session, uint32_t n, uint32_t size, uint64_t *first) {
    if (size > SESSION_GCM_SIZE && session->send.suite == AEAD_AES_256_GCM)
        atomic_store_explicit(&session->limit, SESSION_GCM_LIMIT_BIG, memory_order_relaxed);
    uint64_t limit = atomic_load_explicit(&session->limit, memory_order_relaxed);
    uint64_t counter = atomic_load_explicit(&session->counter, memory_order_relaxed);
    do {
        if (counter >= limit || limit - counter < n)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&session->counter, &counter, counter + n,
                                                    memory_order_relaxed, memory_order_relaxed));
    *first = counter;
    return true;
}

/* ---- Table: open addressing, linear probing, deletion by shifting back ------------------- */

#define TABLE_MIN 64u

bool session_table_init(struct session_table *table, const uint8_t seed[16]) {
    memset(table, 0, sizeof(*table));
    memcpy(table->seed, seed, sizeof(table->seed));
    table->slots = calloc(TABLE_MIN, sizeof(struct session *));
    table->capacity = table->slots ? TABLE_MIN : 0;
    return table->slots != NULL;
}

void session_table_free(struct session_table *table) {
    free(table->slots);
    memset(table, 0, sizeof(*table));
}

/* Indexes are random already (R26), but the peer chooses some bits of ours by provoking many
 * handshakes; a seeded mix keeps chains out of anybody's control. */
static uint32_t home(const struct session_table *table, uint32_t local_index) {
    uint64_t x = (local_index ^ table->seed[0]) * 0x9e3779b97f4a7c15ull;
    x = (x ^ x >> 32 ^ table->seed[1]) * 0xd6e8feb86659fd93ull;
    return (uint32_t)(x >> 32) & (table->capacity - 1);
}

struct session *session_table_find(const struct session_table *table, uint32_t local_index) {
    for (uint32_t i = home(table, local_index);; i = (i + 1) & (table->capacity - 1)) {
        struct session *session = table->slots[i];
        if (!session || session->local_index == local_index)
            return session;
    }
}

static void place(struct session_table *table, struct session *session) {
    uint32_t i = home(table, session->local_index);
    while (table->slots[i])
        i = (i + 1) & (table->capacity - 1);
    table->slots[i] = session;
}

static bool grow(struct session_table *table) {
    struct session_table bigger = *table;
    bigger.capacity = table->capacity * 2;
    bigger.slots = calloc(bigger.capacity, sizeof(struct session *));
    if (!bigger.slots)
        return false;
    for (uint32_t i = 0; i < table->capacity; i++)
        if (table->slots[i])
            place(&bigger, table->slots[i]);
    free(table->slots);
    *table = bigger;
    return true;
}

enum shoal_status session_table_insert(struct session_table *table, struct session *session) {
    if (session_table_find(table, session->local_index))
        return SHOAL_E_EXISTS;
    if ((table->count + 1) * 2 > table->capacity && !grow(table))
        return SHOAL_E_MEMORY;
    place(table, session);
    table->count++;
    return SHOAL_OK;
}

void session_table_remove(struct session_table *table, const struct session *session) {
    uint32_t mask = table->capacity - 1;
    uint32_t hole = home(table, session->local_index);
    while (table->slots[hole] != session)
        hole = (hole + 1) & mask;
    for (uint32_t i = (hole + 1) & mask; table->slots[i]; i = (i + 1) & mask) {
        uint32_t wanted = home(table, table->slots[i]->local_index);
        /* It may move into the hole unless its home lies between the hole and where it is. */
        if (((i - wanted) & mask) >= ((i - hole) & mask)) {
            table->slots[hole] = table->slots[i];
            hole = i;
        }
    }
    table->slots[hole] = NULL;
    table->count--;
}
