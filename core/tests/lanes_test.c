/* Lanes: a peer that several workers send to and receive from, each by sessions of its own. A
 * stranger with the keys plays the peer. The TUN is one socketpair, so worker 0 reads it for all;
 * queues_test.c has real queues.
 */
#include "world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "random.h"
#include "unit.h"

/* The peer's worker is 3, so that its lane 1 is that of worker 0, which reads the TUN. */
enum { WORKERS = 4, OURS = 1, PEER = 3, OTHER = 2, THEIR_KEY = 2, LANES = SHOAL_LANES_MAX };

static struct side side;
static shoal_peer_t lanes[LANES];
static struct shoal_address place;
static int stranger;
static uint64_t counters[LANES];
static uint8_t message[WORLD_FRAME_MAX], plain[WORLD_FRAME_MAX], got[WORLD_FRAME_MAX];

static uint32_t tag_of(uint32_t lane) { return PEER + lane; }
static uint32_t index_of(uint32_t lane) {
    return 0x5a00u | tag_of(lane) << 16 | tag_of(lane) % WORKERS;
}

static void give_session(uint32_t lane) {
    struct shoal_session session =
        world_session(&side, SHOAL_ROLE_INITIATOR, index_of(lane), 0x50u + lane, 0);
    side.peer = lanes[lane];
    side_install(&side, &session);
}

static void set_place(uint32_t lane, const struct shoal_address *at) {
    struct shoal_endpoint endpoint = {.remote = *at};
    assert_int_equal(shoal_peer_set_endpoint(side.device, lanes[lane], &endpoint, sizeof(endpoint)),
                     SHOAL_OK);
}

static int32_t add_lane(uint32_t lane) {
    return shoal_peer_add_lane(side.device, lanes[0], tag_of(lane), &lanes[lane]);
}

static void start_with(uint32_t count) {
    memset(counters, 0, sizeof(counters));
    side_open(&side, OURS, &(struct world_options){.workers = WORKERS, .peers_max = 16});
    stranger = stranger_open(SHOAL_AF_INET, &place);
    lanes[0] = side_add_peer(&side, tag_of(0), PEER, &place);
    give_session(0);
    for (uint32_t i = 1; i < count; i++) {
        assert_int_equal(add_lane(i), SHOAL_OK);
        set_place(i, &place);
        give_session(i);
    }
}

static void stop(void) {
    close(stranger);
    side_close(&side);
}

static size_t packet_from(uint8_t from, uint8_t seed) {
    return world_packet(plain, seed & 1, from, OURS, 100u + seed, seed);
}

static void send_by(uint32_t lane, uint64_t counter, size_t length) {
    stranger_send(stranger, &side.outer, message,
                  forge(message, THEIR_KEY, index_of(lane), counter, plain, length));
}

/* A frame for the peer leaves by this lane. */
static void leaves_by(uint32_t lane, uint8_t seed) {
    size_t length = world_packet(plain, seed & 1, OURS, PEER, 100u + seed, seed);
    side_write(&side, plain, length);
    size_t size = stranger_receive(stranger, message, sizeof(message), WORLD_PATIENCE_MS);
    assert_true(size > 0);
    assert_int_equal(message[4], 0x50u + lane);
    assert_true(unforge(got, 1, message, size) >= (long)length);
    assert_memory_equal(got, plain, length);
}

static void what_comes_by_a_lane_has_the_peers_addresses(void **state) {
    (void)state; /* R50 */
    start_with(LANES);
    shoal_peer_t other = side_add_peer(&side, OTHER, OTHER, NULL);
    for (uint8_t round = 0; round < 5; round++)
        for (uint32_t i = 0; i < LANES; i++) {
            size_t length = packet_from(PEER, round);
            send_by(i, counters[i]++, length);
            side_expect(&side, plain, length);
        }
    assert_int_equal(side_counter(&side, "handoff_messages"), 0); /* each came to its worker */
    assert_int_equal(side_drops(&side), 0);
    for (uint32_t i = 0; i < LANES; i++) {
        send_by(i, counters[i]++, packet_from(OTHER, 1));
        send_by(i, counters[i]++, packet_from(77, 1)); /* nobody's */
        side_await(&side, "drop_rx_source", 2 * (i + 1));
    }
    assert_int_equal(shoal_peer_remove(side.device, other), SHOAL_OK);
    stop();
}

static void each_lane_has_a_replay_window_of_its_own(void **state) {
    (void)state;
    start_with(LANES);
    for (uint32_t i = 0; i < LANES; i++) {
        size_t length = packet_from(PEER, (uint8_t)i);
        send_by(i, 7, length);
        side_expect(&side, plain, length);
    }
    for (uint32_t i = 0; i < LANES; i++)
        send_by(i, 7, packet_from(PEER, (uint8_t)i));
    side_await(&side, "drop_rx_replay", LANES);
    stop();
}

static void a_frame_leaves_by_the_lane_of_the_worker_that_read_it(void **state) {
    (void)state;
    start_with(LANES);
    for (uint8_t i = 0; i < 20; i++)
        leaves_by(1, i);
    assert_int_equal(side_counter(&side, "handoff_frames"), 0);
    struct shoal_peer_facts facts;
    side_counter(&side, "tx_packets");
    assert_int_equal(shoal_peer_facts(side.device, lanes[1], &facts, sizeof(facts)), SHOAL_OK);
    assert_int_equal(facts.tx_packets, 20);
    stop();
}

/* Each way in which a lane cannot send. Nothing is lost, and the caller hears of the lane. */
static void while_a_lane_cannot_send_the_peer_itself_does(void **state) {
    (void)state;
    start_with(LANES);
    struct shoal_mail mail;
    struct shoal_address nowhere = {0};
    leaves_by(1, 1);
    assert_int_equal(shoal_peer_clear_sessions(side.device, lanes[1]), SHOAL_OK);
    leaves_by(0, 2);
    leaves_by(0, 3);
    assert_true(side_mail(&side, SHOAL_MAIL_SESSION_NEEDED, &mail, NULL));
    assert_int_equal(mail.tag, tag_of(1));
    assert_true(side_no_mail(&side, SHOAL_MAIL_SESSION_NEEDED));
    give_session(1);
    leaves_by(1, 4);
    set_place(1, &nowhere);
    leaves_by(0, 5);
    set_place(1, &place);
    leaves_by(1, 6);
    assert_int_equal(shoal_peer_set_offline(side.device, lanes[1], 1), SHOAL_OK);
    leaves_by(0, 7);
    assert_int_equal(shoal_peer_set_offline(side.device, lanes[1], 0), SHOAL_OK);
    leaves_by(1, 8);
    assert_int_equal(shoal_peer_remove(side.device, lanes[1]), SHOAL_OK);
    leaves_by(0, 9);
    assert_int_equal(side_drops(&side), 0);
    stop();
}

static void where_neither_can_send_the_frame_waits_for_the_peers_session(void **state) {
    (void)state; /* R45 */
    start_with(2);
    assert_int_equal(shoal_peer_clear_sessions(side.device, lanes[0]), SHOAL_OK);
    assert_int_equal(shoal_peer_clear_sessions(side.device, lanes[1]), SHOAL_OK);
    size_t length = world_packet(plain, false, OURS, PEER, 300, 1);
    side_write(&side, plain, length);
    uint32_t tags = 0;
    for (int i = 0; i < 2; i++) {
        struct shoal_mail mail;
        assert_true(side_mail(&side, SHOAL_MAIL_SESSION_NEEDED, &mail, NULL));
        tags |= 1u << mail.tag;
    }
    assert_int_equal(tags, 1u << tag_of(0) | 1u << tag_of(1));
    give_session(0);
    size_t size = stranger_receive(stranger, message, sizeof(message), WORLD_PATIENCE_MS);
    assert_int_equal(message[4], 0x50);
    assert_true(unforge(got, 1, message, size) >= (long)length);
    assert_memory_equal(got, plain, length);
    stop();
}

/* Whoever was a lane speaks for nobody: not for its peer, and not for a source that has no route.
 */
static void a_lane_that_goes_takes_those_behind_it_along(void **state) {
    (void)state;
    start_with(LANES);
    assert_int_equal(shoal_peer_remove(side.device, lanes[2]), SHOAL_OK);
    send_by(3, counters[3]++, packet_from(PEER, 1));
    send_by(3, counters[3]++, packet_from(77, 1));
    side_await(&side, "drop_rx_source", 2);
    size_t length = packet_from(PEER, 2);
    send_by(1, counters[1]++, length);
    side_expect(&side, plain, length);
    shoal_peer_t again;
    assert_int_equal(shoal_peer_add_lane(side.device, lanes[0], tag_of(2), &again), SHOAL_OK);
    assert_int_equal(shoal_peer_remove(side.device, lanes[3]), SHOAL_OK);
    assert_int_equal(shoal_peer_remove(side.device, lanes[0]), SHOAL_OK);
    send_by(1, counters[1]++, packet_from(PEER, 3));
    send_by(1, counters[1]++, packet_from(77, 3));
    side_await(&side, "drop_rx_source", 4);
    assert_int_equal(shoal_peer_remove(side.device, lanes[1]), SHOAL_OK);
    assert_int_equal(shoal_peer_remove(side.device, again), SHOAL_OK);
    stop();
}

static void what_went_by_a_lane_is_counted_when_it_has_gone(void **state) {
    (void)state;
    start_with(LANES);
    struct shoal_peer_facts facts;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < LANES; i++) {
        size_t length = packet_from(PEER, (uint8_t)i);
        send_by(i, counters[i]++, length);
        side_expect(&side, plain, length);
    }
    leaves_by(1, 1);
    for (uint32_t i = 0; i < LANES; i++) {
        assert_int_equal(shoal_peer_facts(side.device, lanes[i], &facts, sizeof(facts)), SHOAL_OK);
        assert_int_equal(facts.rx_packets, 1);
        bytes += facts.rx_bytes;
    }
    for (uint32_t i = LANES; i-- > 1;)
        assert_int_equal(shoal_peer_remove(side.device, lanes[i]), SHOAL_OK);
    assert_int_equal(shoal_peer_facts(side.device, lanes[0], &facts, sizeof(facts)), SHOAL_OK);
    assert_int_equal(facts.rx_packets, LANES);
    assert_int_equal(facts.rx_bytes, bytes);
    assert_int_equal(facts.tx_packets, 1);
    assert_true(facts.tx_bytes > 0);
    stop();
}

static void a_peer_has_no_more_lanes_than_workers_and_four(void **state) {
    (void)state;
    shoal_peer_t more;
    start_with(LANES);
    assert_int_equal(shoal_peer_add_lane(side.device, lanes[0], tag_of(LANES), &more),
                     SHOAL_E_FULL);
    stop();
    side_open(&side, OURS, &(struct world_options){.workers = 2, .peers_max = 3});
    assert_int_equal(shoal_peer_add(side.device, 0, &lanes[0]), SHOAL_OK);
    assert_int_equal(shoal_peer_add_lane(side.device, lanes[0], 1, &lanes[1]), SHOAL_OK);
    assert_int_equal(shoal_peer_add_lane(side.device, lanes[0], 2, &more), SHOAL_E_FULL);
    assert_int_equal(shoal_peer_add(side.device, 2, &lanes[2]), SHOAL_OK);
    assert_int_equal(shoal_peer_add_lane(side.device, lanes[2], 3, &more), SHOAL_E_FULL);
    assert_int_equal(side_counter(&side, "peers_refused"), 1);
    side_close(&side);
    side_open(&side, OURS, &(struct world_options){.workers = 6});
    assert_int_equal(shoal_peer_add(side.device, 0, &lanes[0]), SHOAL_OK);
    for (uint32_t i = 1; i < LANES; i++)
        assert_int_equal(shoal_peer_add_lane(side.device, lanes[0], i, &more), SHOAL_OK);
    assert_int_equal(shoal_peer_add_lane(side.device, lanes[0], LANES, &more), SHOAL_E_FULL);
    side_close(&side);
}

static void what_makes_no_sense_of_a_lane_is_refused(void **state) {
    (void)state;
    start_with(2);
    shoal_peer_t more;
    struct shoal_prefix prefix = {SHOAL_AF_INET, 32, {10, 9, 0, 9}};
    assert_int_equal(shoal_peer_add_lane(side.device, lanes[0], tag_of(2), NULL), SHOAL_E_INVALID);
    assert_int_equal(shoal_peer_add_lane(side.device, lanes[0] + 9, tag_of(2), &more),
                     SHOAL_E_STALE);
    assert_int_equal(shoal_peer_add_lane(side.device, lanes[0], tag_of(3), &more),
                     SHOAL_E_INVALID); /* another worker's */
    assert_int_equal(shoal_peer_add_lane(side.device, lanes[1], tag_of(2), &more), SHOAL_E_INVALID);
    assert_int_equal(shoal_route_add(side.device, lanes[1], &prefix, sizeof(prefix)),
                     SHOAL_E_INVALID);
    assert_int_equal(shoal_peer_set_guest(side.device, lanes[1], 1), SHOAL_E_INVALID);
    for (uint32_t over = 0; over < 4; over++)
        assert_int_equal(shoal_peer_spread(side.device, lanes[0], over),
                         over == 1 || over == 2 ? SHOAL_OK : SHOAL_E_INVALID);
    assert_int_equal(shoal_device_set_offloads(side.device, SHOAL_OFFLOAD_LANES, 0), SHOAL_OK);
    assert_int_equal(shoal_peer_add_lane(side.device, lanes[0], tag_of(2), &more), SHOAL_E_STATE);
    stop();
}

static uint32_t connected_now(void) {
    struct shoal_device_info info;
    assert_int_equal(shoal_device_info(side.device, &info, sizeof(info)), SHOAL_OK);
    return info.connected;
}

/* All lanes are at one place, and a connected socket would bring what is theirs to one worker. */
static void a_peer_with_lanes_has_no_connected_socket(void **state) {
    (void)state;
    start_with(1);
    side_connect(&side, 1, 1);
    uint64_t until = world_now() + WORLD_PATIENCE_MS * 1000000ull;
    for (uint8_t i = 0; !connected_now() && world_now() < until; i++) {
        size_t length = packet_from(PEER, i);
        send_by(0, counters[0]++, length);
        side_expect(&side, plain, length);
    }
    assert_int_equal(connected_now(), 1);
    for (uint32_t i = 1; i < LANES; i++) {
        assert_int_equal(add_lane(i), SHOAL_OK);
        set_place(i, &place);
        give_session(i);
    }
    for (uint8_t round = 0; round < 50; round++)
        for (uint32_t i = 0; i < LANES; i++) {
            size_t length = packet_from(PEER, round);
            send_by(i, counters[i]++, length);
            side_expect(&side, plain, length);
        }
    assert_int_equal(connected_now(), 0);
    assert_int_equal(side_counter(&side, "handoff_messages"), 0);
    assert_int_equal(side_drops(&side), 0);
    stop();
}

/* ---- Lanes that come and go under traffic ---- */

static _Atomic bool stopped;

/* Both ways, without a pause. */
static void *keep_moving(void *argument) {
    static uint8_t sealed[WORLD_FRAME_MAX], packet[2048];
    (void)argument;
    for (uint64_t counter = 100; !atomic_load(&stopped); counter++) {
        size_t length = world_packet(packet, false, PEER, OURS, 200, (uint8_t)counter);
        for (uint32_t i = 0; i < LANES; i++)
            stranger_send(stranger, &side.outer, sealed,
                          forge(sealed, THEIR_KEY, index_of(i), counter, packet, length));
        side_write(&side, packet, world_packet(packet, false, OURS, PEER, 200, 1));
    }
    return NULL;
}

static bool has_moved(void) {
    return side_counter(&side, "rx_packets") > 500 && side_counter(&side, "tx_packets") > 50;
}

static void lanes_come_and_go_while_all_workers_send_and_receive(void **state) {
    (void)state;
    start_with(LANES);
    pthread_t thread;
    struct random random = {.state = 5};
    atomic_store(&stopped, false);
    assert_int_equal(pthread_create(&thread, NULL, keep_moving, NULL), 0);
    uint64_t until = world_now() + WORLD_PATIENCE_MS * 1000000ull;
    int rounds = ROUNDS(300, 60);
    for (int round = 0; round < rounds || (!has_moved() && world_now() < until); round++) {
        uint32_t from = 1 + random_below(&random, LANES - 1);
        for (uint32_t i = LANES; i-- > from;)
            assert_int_equal(shoal_peer_remove(side.device, lanes[i]), SHOAL_OK);
        for (uint32_t i = from; i < LANES; i++) {
            assert_int_equal(add_lane(i), SHOAL_OK);
            set_place(i, &place);
            give_session(i);
        }
        while (side_read(&side, got, 0))
            ;
        while (stranger_receive(stranger, message, sizeof(message), 0))
            ;
        side_count_mail(&side, SHOAL_MAIL_SESSION_NEEDED);
        usleep(1000);
    }
    atomic_store(&stopped, true);
    pthread_join(thread, NULL);
    assert_true(has_moved());
    while (side_read(&side, got, 100))
        ;
    while (stranger_receive(stranger, message, sizeof(message), 100))
        ;
    for (uint32_t i = 0; i < LANES; i++) {
        size_t length = packet_from(PEER, (uint8_t)i);
        send_by(i, 1u << 30, length);
        side_expect(&side, plain, length);
    }
    leaves_by(1, 1);
    stop();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_by_a_lane_has_the_peers_addresses),
        cmocka_unit_test(each_lane_has_a_replay_window_of_its_own),
        cmocka_unit_test(a_frame_leaves_by_the_lane_of_the_worker_that_read_it),
        cmocka_unit_test(while_a_lane_cannot_send_the_peer_itself_does),
        cmocka_unit_test(where_neither_can_send_the_frame_waits_for_the_peers_session),
        cmocka_unit_test(a_lane_that_goes_takes_those_behind_it_along),
        cmocka_unit_test(what_went_by_a_lane_is_counted_when_it_has_gone),
        cmocka_unit_test(a_peer_has_no_more_lanes_than_workers_and_four),
        cmocka_unit_test(what_makes_no_sense_of_a_lane_is_refused),
        cmocka_unit_test(a_peer_with_lanes_has_no_connected_socket),
        cmocka_unit_test(lanes_come_and_go_while_all_workers_send_and_receive),
    };
    return cmocka_run_group_tests_name("lanes", tests, NULL, NULL);
}
