/* The three session slots (R40-R43) in every combination, and handles of the peer table. */
#include "peer.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

static struct session_table table;
static struct peer_table peers;
static struct peer *peer;

static void start(void) {
    shoal_peer_t handle;
    assert_true(session_table_init(&table, (const uint8_t *)"0123456789abcdef"));
    assert_true(peer_table_init(&peers, 4));
    assert_int_equal(peer_table_add(&peers, 1, &handle), SHOAL_OK);
    peer = peer_table_find(&peers, handle);
    assert_non_null(peer);
}

static void stop(void) {
    peer_clear_sessions(peer, &table);
    assert_int_equal(table.count, 0); /* R40: freed slots leave the index table */
    peer_table_remove(&peers, peer);
    session_table_free(&table);
    peer_table_free(&peers);
}

static void install(uint32_t role, uint32_t index) {
    struct shoal_session description = {.role = role, .local_index = index};
    struct session *session = session_create(&description, peer, 0);
    assert_non_null(session);
    assert_int_equal(peer_install(peer, &table, session), SHOAL_OK);
}

/* The indexes in previous, current and next; 0 for an empty slot. No other may be in the table. */
static void expect(uint32_t previous, uint32_t current, uint32_t next) {
    const uint32_t wanted[PEER_SLOTS] = {previous, current, next};
    uint32_t bits = 0, count = 0;
    for (int i = 0; i < PEER_SLOTS; i++) {
        const struct session *session = peer->sessions[i];
        assert_int_equal(session ? session->local_index : 0, wanted[i]);
        if (!session)
            continue;
        assert_ptr_equal(session_table_find(&table, wanted[i]), session);
        bits |= 1u << i;
        count++;
    }
    assert_int_equal(table.count, count);
    assert_int_equal(atomic_load(&peer->facts.sessions), bits);
}

/* Two sessions live for a minute of each three, the newer one alone for the rest. */
static void an_idle_peer_costs_less_than_four_kib(void **state) {
    (void)state;
    size_t peer_bytes = sizeof(struct peer) + sizeof(struct peer_entry);
    size_t session_bytes = sizeof(struct session) + 4 * sizeof(struct session *); /* in the table */
    print_message("a peer %zu bytes, a session %zu\n", peer_bytes, session_bytes);
    assert_true(peer_bytes + session_bytes < 2048);
    assert_true(peer_bytes + 2 * session_bytes < 4096);
}

static void an_initiators_session_is_current_at_once(void **state) {
    (void)state; /* R41 */
    start();
    install(SHOAL_ROLE_INITIATOR, 1);
    expect(0, 1, 0);
    install(SHOAL_ROLE_INITIATOR, 2);
    expect(1, 2, 0);
    install(SHOAL_ROLE_INITIATOR, 3);
    expect(2, 3, 0);
    stop();
}

static void a_waiting_next_becomes_previous_and_the_old_current_goes(void **state) {
    (void)state; /* R41 */
    start();
    install(SHOAL_ROLE_INITIATOR, 1);
    install(SHOAL_ROLE_RESPONDER, 2);
    expect(0, 1, 2);
    install(SHOAL_ROLE_INITIATOR, 3);
    expect(2, 3, 0);
    stop();
}

static void a_responders_session_waits_in_next_and_frees_previous(void **state) {
    (void)state; /* R42 */
    start();
    install(SHOAL_ROLE_INITIATOR, 1);
    install(SHOAL_ROLE_INITIATOR, 2);
    expect(1, 2, 0);
    install(SHOAL_ROLE_RESPONDER, 3);
    expect(0, 2, 3);
    install(SHOAL_ROLE_RESPONDER, 4); /* a second one replaces the first */
    expect(0, 2, 4);
    stop();
}

static void of_a_peer_that_stays_no_unconfirmed_session_pushes_out_one_that_receives(void **state) {
    (void)state; /* ours, instead of R42 */
    start();
    peer->staying = true;
    install(SHOAL_ROLE_INITIATOR, 1);
    install(SHOAL_ROLE_INITIATOR, 2);
    for (uint32_t next = 3; next < 6; next++) {
        install(SHOAL_ROLE_RESPONDER, next);
        expect(1, 2, next);
    }
    peer_confirm(peer, &table);
    expect(2, 5, 0);
    install(SHOAL_ROLE_RESPONDER, 6);
    install(SHOAL_ROLE_INITIATOR, 7);
    expect(6, 7, 0);
    stop();
}

static void confirmation_moves_every_slot_one_back(void **state) {
    (void)state; /* R43 */
    start();
    install(SHOAL_ROLE_RESPONDER, 1);
    expect(0, 0, 1);
    peer_confirm(peer, &table);
    expect(0, 1, 0);
    install(SHOAL_ROLE_RESPONDER, 2);
    peer_confirm(peer, &table);
    expect(1, 2, 0);
    stop();
}

static void another_endpoint_is_another_path(void **state) {
    (void)state; /* R56: what the old path refused is not held against the new one */
    start();
    struct shoal_endpoint endpoint = {.remote = {.family = SHOAL_AF_INET, .port = 1}};
    peer_set_endpoint(peer, &endpoint);
    peer->gso_again = 7;
    endpoint.ifindex = 3; /* the same remote */
    peer_set_endpoint(peer, &endpoint);
    assert_int_equal(peer->gso_again, 7);
    endpoint.remote.port = 2;
    peer_set_endpoint(peer, &endpoint);
    assert_int_equal(peer->gso_again, 0);
    struct shoal_peer_facts facts;
    facts_copy(&peer->facts, &facts);
    assert_memory_equal(&facts.endpoint, &endpoint, sizeof(endpoint));
    stop();
}

static void a_handle_is_never_valid_again(void **state) {
    (void)state;
    start();
    shoal_peer_t first, second;
    assert_int_equal(peer_table_add(&peers, 2, &first), SHOAL_OK);
    struct peer *one = peer_table_find(&peers, first);
    assert_non_null(one);
    peer_table_remove(&peers, one);
    assert_null(peer_table_find(&peers, first));
    assert_int_equal(peer_table_add(&peers, 2, &second), SHOAL_OK);
    assert_int_equal((uint32_t)first, (uint32_t)second); /* the slot is used again */
    assert_null(peer_table_find(&peers, first));
    assert_null(peer_table_find(&peers, 0));
    assert_null(peer_table_find(&peers, UINT64_MAX));
    peer_table_remove(&peers, peer_table_find(&peers, second));
    stop();
}

static void an_idle_peer_costs_at_most_four_kibibytes(void **state) {
    (void)state;
    assert_true(sizeof(struct peer) + sizeof(struct peer_entry) <= 4096);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_peer_costs_less_than_four_kib),
        cmocka_unit_test(an_initiators_session_is_current_at_once),
        cmocka_unit_test(a_waiting_next_becomes_previous_and_the_old_current_goes),
        cmocka_unit_test(a_responders_session_waits_in_next_and_frees_previous),
        cmocka_unit_test(of_a_peer_that_stays_no_unconfirmed_session_pushes_out_one_that_receives),
        cmocka_unit_test(confirmation_moves_every_slot_one_back),
        cmocka_unit_test(another_endpoint_is_another_path),
        cmocka_unit_test(a_handle_is_never_valid_again),
        cmocka_unit_test(an_idle_peer_costs_at_most_four_kibibytes),
    };
    return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}
