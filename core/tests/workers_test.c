/* Several workers: each peer has its owner, whatever arrives elsewhere is handed to it, and nothing
 * is lost or reordered on the way. Strangers with keys play the peers. The TUN is one socketpair,
 * so worker 0 reads it for all; tun_test.c has real queues.
 */
#include "world.h"

#include <string.h>
#include <unistd.h>

#include "random.h"
#include "unit.h"

enum { WORKERS = 4, OURS = 1, FIRST = 2, PEERS = 9 };

static struct side side;
static shoal_peer_t peers[PEERS];
static struct shoal_address places[PEERS];
static int sockets[PEERS];
static uint64_t counters[PEERS];
static uint8_t message[WORLD_FRAME_MAX], plain[WORLD_FRAME_MAX], got[WORLD_FRAME_MAX],
    frame[WORLD_FRAME_MAX];

/* Of a peer: its tag is its number, and names its worker. */
static uint32_t index_of(uint8_t number) { return 0x5a00u | number << 16 | number % WORKERS; }

static void connect_number(uint8_t number) {
    struct shoal_session session =
        world_session(&side, SHOAL_ROLE_INITIATOR, index_of(number), number, 0);
    side.peer = peers[number];
    side_install(&side, &session);
}

static void start(void) {
    memset(counters, 0, sizeof(counters));
    side_open(&side, OURS, &(struct world_options){.workers = WORKERS});
    for (uint8_t i = FIRST; i < PEERS; i++) {
        sockets[i] = stranger_open(SHOAL_AF_INET, &places[i]);
        peers[i] = side_add_peer(&side, i, i, &places[i]);
        connect_number(i);
    }
}

static void stop(void) {
    for (int i = FIRST; i < PEERS; i++)
        close(sockets[i]);
    side_close(&side);
}

static void expect_at(uint8_t number, const uint8_t *sent, size_t length) {
    size_t size = stranger_receive(sockets[number], message, sizeof(message), WORLD_PATIENCE_MS);
    assert_true(size > 0);
    assert_int_equal(message[4], number); /* its own receiver index */
    long opened = unforge(got, 1, message, size);
    assert_true(opened >= (long)length);
    assert_memory_equal(got, sent, length);
}

static void a_message_arrives_at_the_worker_of_its_session(void **state) {
    (void)state;
    start();
    struct shoal_device_info info;
    assert_int_equal(shoal_device_info(side.device, &info, sizeof(info)), SHOAL_OK);
    assert_int_equal(info.workers, WORKERS);
    for (uint8_t round = 0; round < 5; round++)
        for (uint8_t from = FIRST; from < PEERS; from++) {
            size_t length = world_packet(plain, round & 1, from, OURS, 100 + round, from);
            size_t size = forge(message, 2, index_of(from), counters[from]++, plain, length);
            stranger_send(sockets[from], &side.outer, message, size);
            side_expect(&side, plain, length);
        }
    assert_int_equal(side_counter(&side, "handoff_messages"), 0); /* the kernel knew */
    assert_int_equal(side_drops(&side), 0);
    stop();
}

/* UDP_GRO steers a buffer by its first message. */
static void a_train_for_several_workers_reaches_each_in_order(void **state) {
    (void)state;
    start();
    enum { MESSAGES = 42 };
    for (int round = 0; round < 20; round++) {
        size_t size = 0, length = 0;
        for (uint8_t i = 0; i < MESSAGES; i++) {
            uint8_t from = FIRST + i % (PEERS - FIRST);
            length = world_packet(plain, false, from, OURS, 900, i);
            size += forge(frame + size, 2, index_of(from), counters[from]++, plain, length);
        }
        stranger_send_train(sockets[FIRST], &side.outer, frame, size, (uint16_t)(size / MESSAGES));
        uint8_t seen[PEERS] = {0};
        for (uint8_t i = 0; i < MESSAGES;) { /* by now single packets or super-packets of them */
            size_t read = side_read(&side, got, WORLD_PATIENCE_MS);
            assert_true(read > WORLD_VNET);
            uint8_t from = got[WORLD_VNET + 15];
            size_t packets = (read - WORLD_VNET - 28 + 899) / 900;
            for (size_t p = 0; p < packets; p++, i++, seen[from]++) {
                uint8_t number = (uint8_t)(from - FIRST + seen[from] * (PEERS - FIRST));
                assert_int_equal(got[WORLD_VNET + 28 + p * 900], number);
            }
        }
    }
    assert_true(side_counter(&side, "handoff_messages") > 0);
    assert_int_equal(side_drops(&side), 0);
    stop();
}

static void a_frame_leaves_through_the_worker_of_its_peer(void **state) {
    (void)state;
    start();
    for (uint8_t to = FIRST; to < PEERS; to++)
        for (uint8_t round = 0; round < 10; round++) {
            size_t length = world_packet(plain, round & 1, OURS, to, 100u + round, to);
            side_write(&side, plain, length);
            expect_at(to, plain, length);
        }
    uint64_t others = 0;
    for (uint8_t to = FIRST; to < PEERS; to++)
        others += to % WORKERS ? 10 : 0;
    assert_int_equal(side_counter(&side, "handoff_frames"), others);
    assert_int_equal(side_counter(&side, "tx_packets"), 10 * (PEERS - FIRST));
    assert_int_equal(side_drops(&side), 0);
    stop();
}

static void what_waits_for_a_session_waits_at_its_worker(void **state) {
    (void)state; /* R45 */
    start();
    for (uint8_t to = FIRST; to < PEERS; to++) {
        assert_int_equal(shoal_peer_clear_sessions(side.device, peers[to]), SHOAL_OK);
        size_t length = world_packet(plain, false, OURS, to, 300, to);
        side_write(&side, plain, length);
        struct shoal_mail mail;
        assert_true(side_mail(&side, SHOAL_MAIL_SESSION_NEEDED, &mail, NULL));
        assert_int_equal(mail.tag, to);
        connect_number(to);
        expect_at(to, plain, length);
    }
    stop();
}

static void who_is_not_there_is_answered_for_by_any_worker(void **state) {
    (void)state; /* R51 */
    start();
    struct shoal_endpoint nowhere = {0};
    for (uint8_t to = FIRST; to < PEERS; to++) {
        assert_int_equal(shoal_peer_set_endpoint(side.device, peers[to], &nowhere, sizeof(nowhere)),
                         SHOAL_OK);
        side_write(&side, plain, world_packet(plain, false, OURS, to, 60, to));
        size_t length = side_read(&side, got, WORLD_PATIENCE_MS);
        assert_true(length > WORLD_VNET + 28);
        assert_int_equal(got[WORLD_VNET + 9], 1); /* ICMP */
        assert_int_equal(got[WORLD_VNET + 20], 3);
        assert_int_equal(got[WORLD_VNET + 15], to); /* in the name of whom it was sent to */
    }
    assert_int_equal(side_counter(&side, "drop_tx_no_endpoint"), PEERS - FIRST);
    stop();
}

static void guests_are_carried_between_workers(void **state) {
    (void)state;
    start();
    static const uint8_t pairs[][2] = {{2, 3}, {3, 2}, {2, 5}, {5, 2}, {2, 6}, {6, 2}};
    struct shoal_prefix inner = {SHOAL_AF_INET, 16, {10, 9, 0, OURS}};
    assert_int_equal(shoal_device_set_inner(side.device, &inner, sizeof(inner)), SHOAL_OK);
    assert_int_equal(shoal_peer_set_guest(side.device, peers[2], 1), SHOAL_OK);
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        uint8_t from = pairs[i][0], to = pairs[i][1];
        size_t length = world_packet(plain, false, from, to, 333, from);
        size_t size = forge(message, 2, index_of(from), counters[from]++, plain, length);
        stranger_send(sockets[from], &side.outer, message, size);
        plain[8]--; /* one hop */
        size = stranger_receive(sockets[to], message, sizeof(message), WORLD_PATIENCE_MS);
        assert_true(unforge(got, 1, message, size) > 0);
        assert_memory_equal(got, plain, 10);
        assert_memory_equal(got + 12, plain + 12, length - 12);
    }
    assert_int_equal(side_counter(&side, "forwarded"), sizeof(pairs) / sizeof(pairs[0]));
    /* Who is not there: the worker of the one finds out, that of the other tells. */
    struct shoal_endpoint nowhere = {0};
    assert_int_equal(shoal_peer_set_endpoint(side.device, peers[3], &nowhere, sizeof(nowhere)),
                     SHOAL_OK);
    size_t length = world_packet(plain, false, 2, 3, 60, 1);
    size_t size = forge(message, 2, index_of(2), counters[2]++, plain, length);
    stranger_send(sockets[2], &side.outer, message, size);
    size = stranger_receive(sockets[2], message, sizeof(message), WORLD_PATIENCE_MS);
    assert_true(unforge(got, 1, message, size) > 0);
    assert_int_equal(got[20], 3);
    assert_int_equal(side_counter(&side, "forward_errors"), 1);
    stop();
}

static void a_session_of_another_workers_index_is_refused(void **state) {
    (void)state;
    start();
    struct shoal_session session =
        world_session(&side, SHOAL_ROLE_INITIATOR, index_of(3) + 1, 3, 0);
    assert_int_equal(shoal_session_install(side.device, peers[3], &session, sizeof(session)),
                     SHOAL_E_INVALID);
    stop();
}

static void a_frame_for_a_peer_that_went_reaches_nobody(void **state) {
    (void)state;
    start();
    uint64_t sent = 0;
    size_t length = world_packet(plain, false, OURS, 3, 100, 3);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 20; i++, sent++)
            side_write(&side, plain, length);
        assert_int_equal(shoal_peer_remove(side.device, peers[3]), SHOAL_OK);
        peers[3] = side_add_peer(&side, 3, 3, &places[3]); /* the same slot */
        connect_number(3);
    }
    /* Each left, or is counted as what it was dropped for; answers of ICMP are not looked at. */
    uint64_t until = world_now() + WORLD_PATIENCE_MS * 1000000ull, settled = 0;
    while (settled < sent && world_now() < until) {
        settled = side_counter(&side, "tx_packets") + side_drops(&side);
        while (side_read(&side, got, 0))
            ;
    }
    assert_int_equal(settled, sent);
    stop();
}

/* One peer sends more than its worker can open at once: others take turns, and its packets come out
 * in order, each once; sessions that change meanwhile cost none. */
static void help_with_one_peer(bool connected) {
    enum { TRAIN = 40, TRAINS = 4, MESSAGES = TRAIN * TRAINS, MOST = 2000 };
    static uint8_t trains[TRAINS][WORLD_FRAME_MAX];
    start();
    if (connected)
        side_connect(&side, 1, 1);
    uint32_t index = index_of(2);
    uint8_t key = 2;
    for (int round = 0;
         round < MOST && (round < ROUNDS(400, 60) || !side_counter(&side, "turns_helped"));
         round++) {
        size_t size = 0;
        for (uint32_t number = 0; number < MESSAGES; number++) {
            uint8_t *train = trains[number / TRAIN];
            size = number % TRAIN ? size : 0;
            size_t length = world_packet(plain, false, 2, OURS, 1000, 0);
            memcpy(plain + 40, &number, sizeof(number));
            memset(plain + 26, 0, 2); /* UDP without a checksum is coalesced by nobody */
            size += forge(train + size, key, index, counters[2]++, plain, length);
        }
        for (int i = 0; i < TRAINS; i++) {
            stranger_send_train(sockets[2], &side.outer, trains[i], size, (uint16_t)(size / TRAIN));
            /* Meanwhile frames for worker 0's peer: worker 0 alone reads the one queue of the TUN.
             */
            side_write(&side, plain, world_packet(plain, false, OURS, 4, 100, (uint8_t)i));
        }
        for (uint32_t next = 0; next < MESSAGES; next++) {
            uint32_t number;
            assert_true(side_read(&side, got, WORLD_PATIENCE_MS) > 0);
            memcpy(&number, got + WORLD_VNET + 40, sizeof(number));
            assert_int_equal(number, next);
        }
        for (int i = 0; i < TRAINS; i++)
            expect_at(4, plain, world_packet(plain, false, OURS, 4, 100, (uint8_t)i));
        /* Another session, to be confirmed by its first message: keys come and go. */
        index += 0x1000000u;
        struct shoal_session session = world_session(&side, SHOAL_ROLE_RESPONDER, index, 2, 0);
        assert_int_equal(shoal_session_install(side.device, peers[2], &session, sizeof(session)),
                         SHOAL_OK);
        counters[2] = 0;
    }
    assert_true(side_counter(&side, "turns_helped") > 0);
    assert_int_equal(side_counter(&side, "handoff_frames"), 0);
    assert_int_equal(side_drops(&side), 0);
    if (connected) /* most of it came by a socket of its own */
        assert_true(side_counter(&side, "rx_connected") > side_counter(&side, "rx_buffers") / 2);
    stop();
}

static void idle_workers_help_with_one_peer_and_keep_its_order(void **state) {
    (void)state;
    help_with_one_peer(false);
}

static void idle_workers_help_at_the_connected_socket_of_a_peer(void **state) {
    (void)state;
    help_with_one_peer(true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_arrives_at_the_worker_of_its_session),
        cmocka_unit_test(a_train_for_several_workers_reaches_each_in_order),
        cmocka_unit_test(a_frame_leaves_through_the_worker_of_its_peer),
        cmocka_unit_test(what_waits_for_a_session_waits_at_its_worker),
        cmocka_unit_test(who_is_not_there_is_answered_for_by_any_worker),
        cmocka_unit_test(guests_are_carried_between_workers),
        cmocka_unit_test(a_session_of_another_workers_index_is_refused),
        cmocka_unit_test(a_frame_for_a_peer_that_went_reaches_nobody),
        cmocka_unit_test(idle_workers_help_with_one_peer_and_keep_its_order),
        cmocka_unit_test(idle_workers_help_at_the_connected_socket_of_a_peer),
    };
    return cmocka_run_group_tests_name("workers", tests, NULL, NULL);
}
