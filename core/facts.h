/*
 * What a peer's caller may know at any moment without stopping a worker: counters and times, and
 * the endpoint that a worker moves (R53).
 */
#ifndef SHOAL_FACTS_H
#define SHOAL_FACTS_H

#include <stdatomic.h>
#include <stdint.h>

#include "shoal.h"

#define FACTS_ENDPOINT_WORDS (sizeof(struct shoal_endpoint) / sizeof(uint64_t))
_Static_assert(sizeof(struct shoal_endpoint) % sizeof(uint64_t) == 0, "copied in whole words");

/* Owner: one writer (the peer's worker, or the control thread at a standstill); anybody reads. */
struct facts {
    _Atomic uint64_t tx_bytes;
    _Atomic uint64_t rx_bytes;
    _Atomic uint64_t tx_packets;
    _Atomic uint64_t rx_packets;
    _Atomic uint64_t last_authenticated_receive;
    _Atomic uint64_t last_data_receive;
    _Atomic uint64_t last_authenticated_send;
    _Atomic uint64_t last_data_send;
    _Atomic uint64_t first_unanswered_data;
    _Atomic uint64_t first_unsent_reply;
    _Atomic uint64_t dropped;
    _Atomic uint32_t staged;
    _Atomic uint32_t sessions;
    _Atomic uint32_t sequence; /* of `endpoint`: odd while it is being written */
    _Atomic uint64_t endpoint[FACTS_ENDPOINT_WORDS];
};

static inline uint64_t facts_get(const _Atomic uint64_t *fact) {
    return atomic_load_explicit(fact, memory_order_relaxed);
}

static inline void facts_set(_Atomic uint64_t *fact, uint64_t value) {
    atomic_store_explicit(fact, value, memory_order_relaxed);
}

static inline void facts_add(_Atomic uint64_t *fact, uint64_t n) {
    facts_set(fact, facts_get(fact) + n);
}

void facts_set_endpoint(struct facts *facts, const struct shoal_endpoint *endpoint);

/** Adds what another peer has counted. The writer of `facts`, while nobody writes `from`. */
void facts_take_over(struct facts *facts, const struct facts *from);

/** Copies out; the endpoint is one that was set as a whole. */
void facts_copy(struct facts *facts, struct shoal_peer_facts *out);

#endif
