/* Frames that wait for a session (R16, R45, R62), in whole devices: their order, their limits, and
 * what becomes of them without one. */
#include "world.h"

#include "unit.h"

static struct world w;
static uint8_t packet[WORLD_FRAME_MAX];

static void packets_wait_for_a_session_and_leave_in_order_before_newer_ones(void **state) {
    (void)state;
    struct shoal_mail mail;
    /* Without queue control two flows keep their order, too. */
    world_open(&w, &(struct world_options){.offloads_off = SHOAL_OFFLOAD_TUN_USO |
                                                           SHOAL_OFFLOAD_QUEUE_CONTROL});
    for (uint8_t i = 0; i < 20; i++)
        side_write(&w.a, packet, world_packet(packet, i & 1, 1, 2, 40 + i, i));
    side_await(&w.a, "tx_staged", 20);
    assert_true(side_mail(&w.a, SHOAL_MAIL_SESSION_NEEDED, &mail, NULL)); /* R45 */
    assert_int_equal(mail.tag, 12);
    assert_int_equal(side_facts(&w.a).staged, 20);
    assert_true(side_no_mail(&w.a, SHOAL_MAIL_SESSION_NEEDED));
    world_connect(&w, &w.a, &w.b, 100);
    side_write(&w.a, packet, world_packet(packet, false, 1, 2, 60, 20));
    for (uint8_t i = 0; i < 20; i++)
        side_expect(&w.b, packet, world_packet(packet, i & 1, 1, 2, 40 + i, i));
    side_expect(&w.b, packet, world_packet(packet, false, 1, 2, 60, 20));
    assert_int_equal(side_facts(&w.a).staged, 0);
    world_close(&w);
}

static void the_oldest_of_a_peers_128_staged_packets_gives_way(void **state) {
    (void)state;
    world_open(&w, &(struct world_options){.offloads_off = SHOAL_OFFLOAD_TUN_USO});
    for (int i = 0; i < 131; i++) /* R16 */
        side_write(&w.a, packet, world_packet(packet, false, 1, 2, 10, (uint8_t)i));
    side_await(&w.a, "tx_staged", 131);
    assert_int_equal(side_facts(&w.a).staged, 128);
    assert_int_equal(side_counter(&w.a, "drop_tx_staging_peer"), 3);
    assert_int_equal(side_facts(&w.a).dropped, 3);
    world_connect(&w, &w.a, &w.b, 100);
    for (int i = 3; i < 131; i++)
        side_expect(&w.b, packet, world_packet(packet, false, 1, 2, 10, (uint8_t)i));
    world_close(&w);
}

static void the_byte_limit_of_staging_drops_the_oldest_of_anybody(void **state) {
    (void)state;
    world_open(&w, &(struct world_options){.staged_bytes_max = 8192});
    shoal_peer_t third = side_add_peer(&w.a, 13, 3, &w.b.outer);
    side_write(&w.a, packet, world_packet(packet, false, 1, 3, 1000, 1));
    for (int i = 0; i < 8; i++)
        side_write(&w.a, packet, world_packet(packet, false, 1, 2, 1000, (uint8_t)i));
    side_await(&w.a, "tx_staged", 9);
    uint64_t dropped = side_counter(&w.a, "drop_tx_staging_total");
    assert_true(dropped >= 1);
    struct shoal_peer_facts facts;
    assert_int_equal(shoal_peer_facts(w.a.device, third, &facts, sizeof(facts)), SHOAL_OK);
    assert_int_equal(facts.staged, 0);
    assert_int_equal(facts.dropped, 1);
    assert_int_equal(side_facts(&w.a).staged + facts.staged + dropped, 9);
    world_close(&w);
}

static void a_frame_above_the_byte_limit_of_staging_is_not_staged(void **state) {
    (void)state;
    world_open(&w, &(struct world_options){.staged_bytes_max = 400});
    side_write(&w.a, packet, world_packet(packet, false, 1, 2, 100, 1));
    side_await(&w.a, "tx_staged", 1);
    side_write(&w.a, packet, world_packet(packet, false, 1, 2, 1000, 2));
    side_await(&w.a, "drop_tx_memory", 1);
    assert_int_equal(side_facts(&w.a).staged, 1); /* and nothing had to give way for it */
    world_close(&w);
}

static void dropping_what_waits_and_removing_a_peer_count_it(void **state) {
    (void)state;
    world_open(&w, &(struct world_options){0});
    side_write(&w.a, packet, world_packet(packet, false, 1, 2, 10, 1));
    side_await(&w.a, "tx_staged", 1);
    assert_int_equal(shoal_peer_drop_staged(w.a.device, w.a.peer), SHOAL_OK); /* R62 */
    assert_int_equal(side_counter(&w.a, "drop_tx_staging_discarded"), 1);
    side_write(&w.a, packet, world_packet(packet, false, 1, 2, 10, 1));
    side_await(&w.a, "tx_staged", 2);
    assert_int_equal(shoal_peer_remove(w.a.device, w.a.peer), SHOAL_OK);
    assert_int_equal(side_counter(&w.a, "drop_tx_staging_discarded"), 2);
    side_write(&w.a, packet, world_packet(packet, false, 1, 2, 10, 1));
    side_await(&w.a, "drop_tx_no_route", 1); /* its routes went with it */
    struct shoal_peer_facts facts;
    assert_int_equal(shoal_peer_facts(w.a.device, w.a.peer, &facts, sizeof(facts)), SHOAL_E_STALE);
    world_close(&w);
}

static void what_waits_for_a_peer_that_lost_its_endpoint_is_told_so(void **state) {
    (void)state;
    world_open(&w, &(struct world_options){0}); /* R51 */
    for (uint8_t i = 0; i < 3; i++)
        side_write(&w.a, packet, world_packet(packet, false, 1, 2, 10, i));
    side_await(&w.a, "tx_staged", 3);
    struct shoal_endpoint nowhere = {0};
    assert_int_equal(shoal_peer_set_endpoint(w.a.device, w.a.peer, &nowhere, sizeof(nowhere)),
                     SHOAL_OK);
    world_connect(&w, &w.a, &w.b, 100);
    assert_int_equal(side_counter(&w.a, "drop_tx_no_endpoint"), 3);
    assert_int_equal(side_drops(&w.a), 3);
    assert_int_equal(side_facts(&w.a).dropped, 3);
    assert_int_equal(side_facts(&w.a).staged, 0);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_wait_for_a_session_and_leave_in_order_before_newer_ones),
        cmocka_unit_test(the_oldest_of_a_peers_128_staged_packets_gives_way),
        cmocka_unit_test(the_byte_limit_of_staging_drops_the_oldest_of_anybody),
        cmocka_unit_test(a_frame_above_the_byte_limit_of_staging_is_not_staged),
        cmocka_unit_test(dropping_what_waits_and_removing_a_peer_count_it),
        cmocka_unit_test(what_waits_for_a_peer_that_lost_its_endpoint_is_told_so),
    };
    return cmocka_run_group_tests_name("staging", tests, NULL, NULL);
}
