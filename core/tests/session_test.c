/* Sessions: the send counter at its limit (T5, R2, R48), age (R4, R64), and the index table against
 * a model that forgets nothing. */
#include "session.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"
#include "unit.h"

#define LIMIT SESSION_COUNTER_LIMIT
#define SECOND 1000000000ull

static struct session *make(uint32_t index, uint64_t birth, uint64_t now) {
    struct shoal_session description = {
        .role = SHOAL_ROLE_INITIATOR, .local_index = index, .birth = birth};
    struct session *session = session_create(&description, NULL, now);
    assert_non_null(session);
    return session;
}

static void the_last_counters_are_given_out_and_none_beyond(void **state) {
    (void)state;
    uint64_t first;
    struct session *session = make(1, 0, 0);
    assert_true(session_reserve(session, 1, 1452, &first));
    assert_int_equal(first, 0); /* R23 */
    assert_true(session_reserve(session, 64, 1452, &first));
    assert_int_equal(first, 1);
    atomic_store(&session->counter, LIMIT - 10);
    assert_true(session_can_send(session, 0, 10));
    assert_false(session_can_send(session, 0, 11));
    assert_false(session_reserve(session, 11, 1452, &first)); /* all or none */
    assert_true(session_reserve(session, 9, 1452, &first));
    assert_int_equal(first, LIMIT - 10);
    assert_true(session_reserve(session, 1, 1452, &first));
    assert_int_equal(first, LIMIT - 1);
    for (int i = 0; i < 1000; i++)
        assert_false(session_reserve(session, 1, 1452, &first));
    assert_false(session_can_send(session, 0, 1));
    assert_true(atomic_load(&session->counter) == LIMIT); /* R48: it pins */
    session_free(session);
}

static struct session *make_gcm(uint64_t counter) {
    struct shoal_session description = {
        .role = SHOAL_ROLE_INITIATOR, .local_index = 1, .suite = SHOAL_SUITE_AES_256_GCM};
    struct session *session = session_create(&description, NULL, 0);
    assert_non_null(session);
    atomic_store(&session->counter, counter);
    return session;
}

static void an_aes_gcm_session_ends_at_2_to_the_28_packets(void **state) {
    (void)state;
    uint64_t first;
    struct session *session = make_gcm((1u << 28) - 10);
    assert_int_equal(session_counter_limit(session), 1u << 28);
    assert_false(session_can_send(session, 0, 11));
    assert_false(session_reserve(session, 11, 2048, &first));
    assert_true(session_reserve(session, 10, 2048, &first));
    assert_int_equal(first, (1u << 28) - 10);
    assert_false(session_can_send(session, 0, 1));
    assert_false(session_reserve(session, 1, 32, &first));
    session_free(session);
}

static void an_aes_gcm_session_with_a_long_packet_ends_at_2_to_the_23(void **state) {
    (void)state;
    uint64_t first;
    struct session *session = make_gcm((1u << 23) - 2);
    assert_true(session_reserve(session, 1, 2049, &first));
    assert_true(session_can_send(session, 0, 1));
    assert_true(session_reserve(session, 1, 100, &first));
    assert_int_equal(first, (1u << 23) - 1);
    assert_false(session_can_send(session, 0, 1)); /* for short ones too */
    assert_false(session_reserve(session, 1, 100, &first));
    session_free(session);
    session = make_gcm(1u << 24); /* too late for a long one: the session is at its end */
    assert_true(session_can_send(session, 0, 1));
    assert_false(session_reserve(session, 1, 2049, &first));
    assert_false(session_can_send(session, 0, 1));
    session_free(session);
    session = make(1, 0, 0); /* ChaCha20-Poly1305 has no such limit */
    atomic_store(&session->counter, 1ull << 32);
    assert_true(session_reserve(session, 1, 65000, &first));
    assert_true(session_reserve(session, 1, 65000, &first));
    session_free(session);
}

static void another_session_is_asked_for_at_half_of_what_the_suite_allows(void **state) {
    (void)state;
    uint64_t first;
    struct session *session = make_gcm(0);
    assert_false(session_is_worn(session, (1u << 27) - 1));
    assert_true(session_is_worn(session, 1u << 27));
    assert_true(session_reserve(session, 1, 2049, &first));
    assert_false(session_is_worn(session, (1u << 22) - 1));
    assert_true(session_is_worn(session, 1u << 22));
    session->rekey_after_messages = 1000; /* R1, where that is earlier */
    assert_true(session_is_worn(session, 1000));
    session_free(session);
    session = make(1, 0, 0);
    assert_false(session_is_worn(session, 1ull << 62));
    session->rekey_after_messages = 1ull << 60;
    assert_true(session_is_worn(session, 1ull << 60));
    session_free(session);
}

struct taker {
    struct session *session;
    uint64_t taken[4096];
    uint32_t count;
};

static void *take(void *argument) {
    struct taker *taker = argument;
    uint64_t first;
    for (int i = 0; i < 4000; i++)
        if (session_reserve(taker->session, 1, 1452, &first))
            taker->taken[taker->count++] = first;
    return NULL;
}

static void eight_threads_at_the_limit_never_share_a_counter(void **state) {
    (void)state; /* T5 */
    enum { LEFT = 20000, THREADS = 8 };
    static struct taker takers[THREADS];
    static bool seen[LEFT];
    pthread_t threads[THREADS];
    struct session *session = make(1, 0, 0);
    atomic_store(&session->counter, LIMIT - LEFT);
    for (int i = 0; i < THREADS; i++) {
        takers[i] = (struct taker){.session = session};
        assert_int_equal(pthread_create(&threads[i], NULL, take, &takers[i]), 0);
    }
    uint32_t sum = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        for (uint32_t k = 0; k < takers[i].count; k++) {
            uint64_t counter = takers[i].taken[k];
            assert_true(counter < LIMIT && counter >= LIMIT - LEFT);
            assert_false(seen[counter - (LIMIT - LEFT)]);
            seen[counter - (LIMIT - LEFT)] = true;
        }
        sum += takers[i].count;
    }
    assert_int_equal(sum, LEFT);
    session_free(session);
}

static void a_session_ends_at_180_seconds_whatever_birth_it_claims(void **state) {
    (void)state; /* R4, R64 */
    uint64_t now = 1000 * SECOND;
    struct session *session = make(1, now - 5 * SECOND, now);
    assert_true(session_can_send(session, now + 175 * SECOND - 1, 1));
    assert_false(session_can_send(session, now + 175 * SECOND, 1));
    assert_false(session_expired(session, 0)); /* a clock that stepped back: no panic, no end */
    session_free(session);
    session = make(1, now + 3600 * SECOND, now); /* from the future */
    assert_false(session_can_send(session, now + 180 * SECOND, 1));
    session_free(session);
    assert_false(session_can_send(NULL, 0, 1));
}

static void the_table_finds_exactly_what_is_in_it(void **state) {
    (void)state;
    enum { INDEXES = 3000 };
    static struct session *model[INDEXES];
    struct random random = {.state = 42};
    struct session_table table;
    assert_true(session_table_init(&table, (const uint8_t *)"0123456789abcdef"));
    for (int step = 0; step < ROUNDS(60000, 6000); step++) {
        uint32_t i = random_below(&random, INDEXES);
        uint32_t index = i * 0x10001u; /* clustered: what a bad hash would chain */
        if (!model[i]) {
            model[i] = calloc(1, sizeof(struct session));
            assert_non_null(model[i]);
            model[i]->local_index = index;
            assert_int_equal(session_table_insert(&table, model[i]), SHOAL_OK);
            struct session again = {.local_index = index};
            assert_int_equal(session_table_insert(&table, &again), SHOAL_E_EXISTS);
        } else {
            assert_ptr_equal(session_table_find(&table, index), model[i]);
            session_table_remove(&table, model[i]);
            free(model[i]);
            model[i] = NULL;
        }
        uint32_t other = random_below(&random, INDEXES);
        assert_ptr_equal(session_table_find(&table, other * 0x10001u), model[other]);
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < INDEXES; i++) {
        assert_ptr_equal(session_table_find(&table, i * 0x10001u), model[i]);
        count += model[i] != NULL;
    }
    assert_int_equal(table.count, count);
    for (uint32_t i = 0; i < INDEXES; i++)
        free(model[i]);
    session_table_free(&table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_counters_are_given_out_and_none_beyond),
        cmocka_unit_test(an_aes_gcm_session_ends_at_2_to_the_28_packets),
        cmocka_unit_test(another_session_is_asked_for_at_half_of_what_the_suite_allows),
        cmocka_unit_test(an_aes_gcm_session_with_a_long_packet_ends_at_2_to_the_23),
        cmocka_unit_test(eight_threads_at_the_limit_never_share_a_counter),
        cmocka_unit_test(a_session_ends_at_180_seconds_whatever_birth_it_claims),
        cmocka_unit_test(the_table_finds_exactly_what_is_in_it),
    };
    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
