#include "facts.h"

#include <string.h>

/* A sequence lock in C11 without fences (which the thread sanitizer does not know): releasing
 * stores keep the odd sequence before the words, acquiring loads keep the second look behind them.
 */
void facts_set_endpoint(struct facts *facts, const struct shoal_endpoint *endpoint) {
    uint64_t words[FACTS_ENDPOINT_WORDS];
    memcpy(words, endpoint, sizeof(words));
    uint32_t sequence = atomic_load_explicit(&facts->sequence, memory_order_relaxed);
    atomic_store_explicit(&facts->sequence, sequence + 1, memory_order_relaxed);
    for (size_t i = 0; i < FACTS_ENDPOINT_WORDS; i++)
        atomic_store_explicit(&facts->endpoint[i], words[i], memory_order_release);
    atomic_store_explicit(&facts->sequence, sequence + 2, memory_order_release);
}

static void copy_endpoint(struct facts *facts, struct shoal_endpoint *endpoint) {
    uint64_t words[FACTS_ENDPOINT_WORDS];
    uint32_t before, after;
    do {
        before = atomic_load_explicit(&facts->sequence, memory_order_acquire);
        for (size_t i = 0; i < FACTS_ENDPOINT_WORDS; i++)
            words[i] = atomic_load_explicit(&facts->endpoint[i], memory_order_acquire);
        after = atomic_load_explicit(&facts->sequence, memory_order_relaxed);
    } while (before != after || (before & 1));
    memcpy(endpoint, words, sizeof(words));
}

void facts_take_over(struct facts *facts, const struct facts *from) {
    facts_add(&facts->tx_bytes, facts_get(&from->tx_bytes));
    facts_add(&facts->rx_bytes, facts_get(&from->rx_bytes));
    facts_add(&facts->tx_packets, facts_get(&from->tx_packets));
    facts_add(&facts->rx_packets, facts_get(&from->rx_packets));
    facts_add(&facts->dropped, facts_get(&from->dropped));
}

void facts_copy(struct facts *facts, struct shoal_peer_facts *out) {
    memset(out, 0, sizeof(*out));
    out->tx_bytes = facts_get(&facts->tx_bytes);
    out->rx_bytes = facts_get(&facts->rx_bytes);
    out->tx_packets = facts_get(&facts->tx_packets);
    out->rx_packets = facts_get(&facts->rx_packets);
    out->last_authenticated_receive = facts_get(&facts->last_authenticated_receive);
    out->last_data_receive = facts_get(&facts->last_data_receive);
    out->last_authenticated_send = facts_get(&facts->last_authenticated_send);
    out->last_data_send = facts_get(&facts->last_data_send);
    out->first_unanswered_data = facts_get(&facts->first_unanswered_data);
    out->first_unsent_reply = facts_get(&facts->first_unsent_reply);
    out->dropped = facts_get(&facts->dropped);
    out->staged = atomic_load_explicit(&facts->staged, memory_order_relaxed);
    out->sessions = atomic_load_explicit(&facts->sessions, memory_order_relaxed);
    copy_endpoint(facts, &out->endpoint);
}
