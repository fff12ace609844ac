/*
 * A session: one pair of keys with its counter, replay window and limits, and the table that finds
 * it by the receiver index of a data message.
 */
#ifndef SHOAL_SESSION_H
#define SHOAL_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "aead.h"
#include "replay.h"
#include "shoal.h"

#define SESSION_REJECT_AFTER_TIME 180000000000ull /* ns (R4) */
/** REJECT_AFTER_MESSAGES (R2): the send counter pins here and no packet carries it. */
#define SESSION_COUNTER_LIMIT REPLAY_COUNTER_LIMIT

/*
 * The same of AES-256-GCM. Its blocks are 128 bits of a permutation, so the more of them one key
 * makes, the better they are told from random ones. RFC 9001 appendix B.1.1 bounds packets times
 * the blocks of the longest one by 2^35, for an advantage of 2^-57: 2^28 packets of up to 2,048
 * bytes, or 2^23 as soon as one of up to 65,536 is among them. (RFC 9147 section 4.5.3 counts
 * 2^24.5 records of 16 KiB: the second number is stricter than that one too.) 2^28 packets in the
 * 180 s that a session lives are 1.5 million a second, so nobody meets the first limit in practice;
 * the second one makes a new session every 8 million jumbo packets.
 *
 * Forgeries: 2^52 may fail (B.1.2; RFC 9147 says 2^36) before one might succeed. Nothing counts
 * them: 2^36 in 180 s are 380 million a second, more than any machine opens.
 */
#define SESSION_GCM_SIZE 2048u /* bytes of a packet with its tag */
#define SESSION_GCM_LIMIT (1ull << 28)
#define SESSION_GCM_LIMIT_BIG (1ull << 23)

struct peer;

/* Owner: the peer's worker, the control thread at a standstill; `counter` any worker that sends. */
struct session {
    struct peer *peer;
    uint32_t role; /* enum shoal_role */
    uint32_t local_index;
    uint32_t remote_index;
    bool rekey_mailed; /* REKEY_DUE went out: once per session */
    uint64_t birth;
    uint64_t expiry; /* birth + SESSION_REJECT_AFTER_TIME */
    uint64_t rekey_after_time;
    uint64_t rekey_on_receive;
    uint64_t rekey_after_messages;
    _Atomic uint64_t counter; /* of the next packet that we send (R23, R48) */
    _Atomic uint64_t limit;   /* of that counter; only falls, and once */
    struct aead_key send;     /* any worker may seal with it, */
    struct aead_key receive;  /* and open with this one */
    struct replay replay;
};

/**
 * @param now  bounds birth, so that a birth in the future cannot extend the session (R64).
 * @return NULL when out of memory.
 */
struct session *session_create(const struct shoal_session *description, struct peer *peer,
                               uint64_t now);

/** Wipes the keys (R65); ciphers forget them after each batch. NULL is allowed. */
void session_free(struct session *session);

/** No packet with this counter or one above it is sent or believed (R47). */
static inline uint64_t session_counter_limit(const struct session *session) {
    return session->send.suite == AEAD_AES_256_GCM ? SESSION_GCM_LIMIT : SESSION_COUNTER_LIMIT;
}

/** R4: no packet is sealed or opened from 180 s of age on. */
static inline bool session_expired(const struct session *session, uint64_t now) {
    return now >= session->expiry;
}

/** May n packets be sealed now (R45)? NULL is allowed and says no. */
static inline bool session_can_send(const struct session *session, uint64_t now, uint32_t n) {
    if (!session || session_expired(session, now))
        return false;
    uint64_t counter = atomic_load_explicit(&session->counter, memory_order_relaxed);
    uint64_t limit = atomic_load_explicit(&session->limit, memory_order_relaxed);
    return counter < limit && limit - counter >= n;
}

/** Is another session to be asked for, since this one has sealed so many packets (R1)? Half of what
 * its suite allows leaves the other half for the handshake. */
static inline bool session_is_worn(const struct session *session, uint64_t counter) {
    return (session->rekey_after_messages && counter >= session->rekey_after_messages) ||
           counter >= atomic_load_explicit(&session->limit, memory_order_relaxed) / 2;
}

/**
 * Takes n consecutive counters.
 * @param size  bytes of the longest of these packets, or more.
 * @return false when fewer are left: none is taken, and they never come back (R48).
 */
bool session_reserve(struct session *session, uint32_t n, uint32_t size, uint64_t *first);

/** Owner: the device; changes at a standstill, except removal, which the worker may do. */
struct session_table {
    struct session **slots;
    uint32_t capacity; /* a power of two, at most half full */
    uint32_t count;
    uint64_t seed[2];
};

/** False when out of memory. */
bool session_table_init(struct session_table *table, const uint8_t seed[16]);

/** Frees the table, not the sessions. */
void session_table_free(struct session_table *table);

/** NULL when no session has that receiver index. */
struct session *session_table_find(const struct session_table *table, uint32_t local_index);

/** SHOAL_E_EXISTS, SHOAL_E_MEMORY. Grows the table: only at a standstill. */
enum shoal_status session_table_insert(struct session_table *table, struct session *session);

/** Removes without allocating; the session must be in it. */
void session_table_remove(struct session_table *table, const struct session *session);

#endif
