// LDFLAGS: -Wl,--wrap=recvmsg
/* Turns one by one: what several workers do with a frame or a buffer is what one does with it, with
 * sizes, limits and moments that a stream seldom brings. Worker 0 has the peer and the TUN. */
#include "world.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device.h"
#include "offload_model.h"
#include "registry.h"
#include "segment.h"
#include "unit.h"

enum { PEER = 2, LOCAL = 0x100, REMOTE = 555, LARGEST = 65535 };

static struct side side;
static struct shoal_address stranger;
static int fd;
static uint8_t message[WORLD_FRAME_MAX], plain[WORLD_FRAME_MAX], frame[WORLD_FRAME_MAX],
    payload[WORLD_FRAME_MAX];

static void install(uint32_t suite, uint32_t index) {
    struct shoal_session session = world_session(&side, SHOAL_ROLE_INITIATOR, index, REMOTE, 0);
    session.suite = suite;
    side_install(&side, &session);
}

static void start(void) {
    side_open(&side, 1, &(struct world_options){.workers = 2});
    fd = stranger_open(SHOAL_AF_INET, &stranger);
    side.peer = side_add_peer(&side, 12, PEER, &stranger);
    install(AEAD_CHACHA20_POLY1305, LOCAL);
}

static void stop(void) {
    close(fd);
    side_close(&side);
}

/* A super-packet of UDP for the peer; of segments of 0 bytes: a packet by itself. */
static void write_super(uint32_t bytes, uint16_t gso_size) {
    struct model_spec spec = {.source = {10, 9, 0, 1},
                              .destination = {10, 9, 0, PEER},
                              .payload = payload,
                              .payload_length = bytes,
                              .source_port = 4000,
                              .destination_port = 5000,
                              .protocol = 17,
                              .ttl = 64};
    size_t length = model_build_super(&spec, gso_size, frame);
    if (!gso_size)
        frame[1] = SEGMENT_GSO_NONE;
    assert_int_equal(write(side.tun, frame, length), length);
}

/* An interface may have an MTU of 65,535. A message of it is longer than a datagram can be. */
static void a_packet_that_no_datagram_holds_is_dropped_and_holds_nobody_up(void **state) {
    (void)state;
    start();
    side_write(&side, plain, world_packet(plain, false, 1, PEER, LARGEST - 28, 1));
    side_await(&side, "drop_tx_too_big", 1);
    write_super(LARGEST - 28, LARGEST - 28 - 40); /* two: the first is too long */
    side_await(&side, "drop_tx_too_big", 2);
    assert_int_equal(side_counter(&side, "tx_packets"), 1);
    assert_true(stranger_receive(fd, message, sizeof(message), WORLD_PATIENCE_MS) > 0);
    side_write(&side, plain, world_packet(plain, false, 1, PEER, 100, 1));
    assert_int_equal(stranger_receive(fd, message, sizeof(message), WORLD_PATIENCE_MS), 160);
    stop();
}

/* A single packet that cannot be sealed ahead goes its usual way as it came: its checksum, which
 * the kernel left partial, is completed once. */
static void a_partial_checksum_is_completed_once(void **state) {
    (void)state;
    enum { BYTES = 20000 };
    if (!aead_suite_here(AEAD_AES_256_GCM))
        skip();
    start();
    install(AEAD_AES_256_GCM, LOCAL + 0x100);
    struct device *device = registry_acquire(side.device);
    device_stop(device); /* packets above 2 KiB wear a key out from here on */
    struct peer *peer = peer_table_find(&device->plane.peers, side.peer);
    atomic_store(&peer->sessions[PEER_CURRENT]->counter, SESSION_GCM_LIMIT_BIG);
    device_resume(device);
    registry_release(side.device);
    write_super(BYTES, 0); /* finds that out */
    write_super(BYTES, 0);
    side_await(&side, "tx_staged", 1);
    install(AEAD_CHACHA20_POLY1305, LOCAL + 0x200);
    size_t size = stranger_receive(fd, message, sizeof(message), WORLD_PATIENCE_MS);
    assert_true(unforge(plain, 1, message, size) >= BYTES + 28);
    assert_true(model_checksums_right(plain, BYTES + 28));
    stop();
}

/* ---- Turns of a helper, one by one at a standstill ---- */

static struct device *device;
static struct pass *of, *by; /* of the peer's worker, and of one that helps */

static void halt(void) {
    device = registry_acquire(side.device);
    device_stop(device);
    of = &device->workers[0]->pass;
    by = &device->workers[1]->pass;
}

static void go_on(void) {
    device_resume(device);
    registry_release(side.device);
}

/* Its packet stays in `plain`. @return the length of that */
static size_t send_in(uint64_t counter) {
    size_t length = world_packet(plain, false, PEER, 1, 100, (uint8_t)counter);
    stranger_send(fd, &side.outer, message, forge(message, 2, LOCAL, counter, plain, length));
    return length;
}

/* A key that nothing was sealed with. */
static void change(struct aead_key *key) {
    static const uint8_t bytes[AEAD_KEY_SIZE] = {77};
    aead_key_init(key, AEAD_CHACHA20_POLY1305, bytes);
}

static void nothing_arrives(void) {
    assert_int_equal(stranger_receive(fd, message, sizeof(message), 50), 0);
}

static void a_helper_passes_by_a_socket_that_waits_for_another(void **state) {
    (void)state;
    start();
    halt();
    struct udp_socket *udp = &of->sockets[PASS_INET];
    size_t length = send_in(0);
    udp->held = 1;
    assert_int_equal(turns_take(of, by, udp), TURN_DRY);
    udp->held = 0;
    assert_int_equal(turns_take(of, by, udp), TURN_OPENED);
    assert_true(turns_put_out(of));
    go_on();
    side_expect(&side, plain, length);
    stop();
}

/* Between opening and putting out, a new session may have the index of one that went. */
static void what_was_opened_for_a_session_that_went_is_nobodys(void **state) {
    (void)state;
    start();
    halt();
    (void)send_in(0);
    assert_int_equal(turns_take(of, by, &of->sockets[PASS_INET]), TURN_OPENED);
    change(&session_table_find(&of->sessions, LOCAL)->receive);
    assert_true(turns_put_out(of));
    go_on();
    assert_int_equal(side_read(&side, frame, 50), 0);
    assert_int_equal(side_counter(&side, "drop_rx_index"), 1);
    assert_int_equal(side_counter(&side, "rx_packets"), 0);
    stop();
}

enum { SUPER = 40000, SEGMENT = 1000 };

static void what_was_sealed_for_a_peer_that_went_is_not_sent_to_who_has_its_place(void **state) {
    (void)state;
    start();
    halt();
    struct peer_entry *entry = &device->plane.peers.entries[0];
    write_super(SUPER, SEGMENT);
    assert_int_equal(sealing_take(of, by), TURN_FILLED);
    entry->generation++;
    assert_true(sealing_put_out(of));
    entry->generation--; /* for the handle that the test has */
    go_on();
    nothing_arrives();
    assert_int_equal(side_counter(&side, "drop_handoff_gone"), SUPER / SEGMENT);
    stop();
}

/* The counter of a session that is worn out says nothing of the one that replaced it. */
static void only_the_session_that_sealed_is_asked_for_another(void **state) {
    (void)state;
    for (int replaced = 0; replaced <= 1; replaced++) {
        struct shoal_mail mail;
        start();
        halt();
        struct peer *peer = device->plane.peers.entries[0].peer;
        struct session *session = peer->sessions[PEER_CURRENT];
        session->rekey_after_messages = SUPER / SEGMENT;
        write_super(SUPER, SEGMENT);
        assert_int_equal(sealing_take(of, by), TURN_FILLED);
        if (replaced)
            change(&session->send);
        assert_true(sealing_put_out(of));
        go_on();
        if (replaced)
            assert_true(side_no_mail(&side, SHOAL_MAIL_REKEY_DUE));
        else
            assert_true(side_mail(&side, SHOAL_MAIL_REKEY_DUE, &mail, NULL));
        stop();
    }
}

static void what_waits_for_a_session_leaves_before_what_comes_when_there_is_one(void **state) {
    (void)state;
    start();
    halt();
    struct peer *peer = device->plane.peers.entries[0].peer;
    struct session *session = peer->sessions[PEER_CURRENT];
    size_t length = world_packet(plain, false, 1, PEER, 100, 9);
    peer->sessions[PEER_CURRENT] = NULL;
    side_write(&side, plain, length);
    sealing_drain(of);
    assert_int_equal(stats_get(&of->stats, COUNT_tx_staged), 1);
    peer->sessions[PEER_CURRENT] = session;
    write_super(SUPER, SEGMENT);
    assert_int_equal(sealing_take(of, by), TURN_FILLED);
    assert_true(sealing_put_out(of));
    tx_flush(of);
    go_on();
    size_t size = stranger_receive(fd, message, sizeof(message), WORLD_PATIENCE_MS);
    assert_true(unforge(frame, 1, message, size) >= (long)length);
    assert_memory_equal(frame, plain, length);
    for (uint32_t i = 0; i < SUPER / SEGMENT; i++)
        assert_true(stranger_receive(fd, message, sizeof(message), WORLD_PATIENCE_MS) > SEGMENT);
    stop();
}

/* ---- Who has work of its own ---- */

enum { TRAIN = 40, TRAINS = 30 };
static _Atomic int fd_own = -1, fd_other = -1;
static _Atomic uint32_t strayed; /* receives for another while something of its own lay there */

ssize_t __real_recvmsg(int from, struct msghdr *head, int flags);
ssize_t __wrap_recvmsg(int from, struct msghdr *head, int flags);
ssize_t __wrap_recvmsg(int from, struct msghdr *head, int flags) {
    static _Thread_local bool waits;
    ssize_t length = __real_recvmsg(from, head, flags);
    if (from == atomic_load(&fd_own))
        waits = length > 0;
    if (from == atomic_load(&fd_other) && waits)
        atomic_fetch_add(&strayed, 1);
    return length;
}

static void send_trains(uint32_t index) {
    size_t length = world_packet(plain, false, PEER, 1, 1000, 1), used = 0;
    for (uint32_t i = 0; i < TRAIN * TRAINS; i++) {
        used += forge(message + used, 2, index, i, plain, length);
        if (i % TRAIN != TRAIN - 1)
            continue;
        stranger_send_train(fd, &side.outer, message, used, (uint16_t)(used / TRAIN));
        used = 0;
    }
}

static void a_worker_with_work_of_its_own_does_that_first(void **state) {
    (void)state;
    start();
    shoal_peer_t second = side_add_peer(&side, 13, 3, &stranger); /* of worker 1 */
    struct shoal_session session = world_session(&side, SHOAL_ROLE_INITIATOR, LOCAL + 1, 556, 0);
    side.peer = second;
    side_install(&side, &session);
    halt();
    atomic_store(&strayed, 0);
    atomic_store(&fd_other, device->workers[0]->pass.sockets[PASS_INET].fd);
    atomic_store(&fd_own, device->workers[1]->pass.sockets[PASS_INET].fd);
    send_trains(LOCAL);
    send_trains(LOCAL + 1);
    atomic_store(&device->plane.boxes[1].calls, 1); /* worker 0 called while it slept */
    go_on();
    side_await(&side, "rx_packets", 2 * TRAIN * TRAINS);
    atomic_store(&fd_own, -1);
    atomic_store(&fd_other, -1);
    assert_int_equal(atomic_load(&strayed), 0);
    stop();
}

/* Its processor has other work: what comes behind its turn waits until it goes on. */
static void a_helper_that_is_held_up_is_not_called_for_a_while(void **state) {
    (void)state;
    start();
    halt();
    struct udp_socket *udp = &of->sockets[PASS_INET];
    _Atomic uint64_t *calls = &device->plane.boxes[1].calls;
    send_trains(LOCAL);
    assert_int_equal(turns_take(of, by, udp), TURN_FILLED);
    atomic_store(&of->turns.ring[0].state, TURN_TAKEN);
    for (int i = 0; i < 10; i++) /* all that the ring holds is taken */
        (void)rx_drain(of, udp);
    of->now += PASS_STALL_NS - 1;
    (void)rx_drain(of, udp);
    assert_int_equal(of->alone_until, 0);
    for (uint64_t alone = PASS_ALONE_NS; alone <= 2 * PASS_ALONE_NS; alone *= 2) {
        of->now += 1; /* the second time as soon as it was called again: twice as long */
        (void)rx_drain(of, udp);
        assert_int_equal(of->alone_until, of->now + alone);
        atomic_store(calls, 0);
        of->now += alone - 1;
        atomic_store(&device->plane.idle, 2); /* worker 1 sleeps */
        pass_call_help(of);
        assert_int_equal(atomic_load(calls), 0);
        of->now += 1;
        pass_call_help(of);
        assert_int_equal(atomic_load(calls), 1);
        atomic_store(calls, 0);
    }
    of->now += 3 * PASS_ALONE_NS; /* long after that: as the first time */
    (void)rx_drain(of, udp);
    assert_int_equal(of->alone_until, of->now + PASS_ALONE_NS);
    atomic_store(&of->turns.ring[0].state, TURN_DONE);
    assert_true(turns_put_out(of));
    go_on();
    side_await(&side, "rx_packets", TRAIN * TRAINS);
    stop();
}

static void what_a_held_up_helper_seals_is_waited_for_as_long(void **state) {
    (void)state;
    start();
    halt();
    for (uint32_t i = 0; i < SEALING_TURNS + 2; i++)
        write_super(SUPER, SEGMENT);
    assert_int_equal(sealing_take(of, by), TURN_FILLED);
    atomic_store(&of->sealing.ring[0].state, TURN_TAKEN);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(of->alone_until, 0);
        tx_begin(of);
        sealing_drain(of);
        of->now += i ? PASS_STALL_NS : 0; /* the first one takes all that the ring holds */
    }
    assert_int_equal(of->alone_until, of->now - PASS_STALL_NS + PASS_ALONE_NS);
    atomic_store(&of->sealing.ring[0].state, TURN_DONE);
    assert_true(sealing_put_out(of));
    go_on();
    side_await(&side, "tx_packets", (SEALING_TURNS + 2) * SUPER / SEGMENT);
    stop();
}

static void who_does_without_help_gets_none(void **state) {
    (void)state;
    start();
    halt();
    send_trains(LOCAL);
    atomic_store(&of->alone_until, UINT64_MAX);
    handoff_call(&device->plane.boxes[1], 0); /* from before that */
    go_on();
    side_await(&side, "rx_packets", TRAIN * TRAINS);
    assert_int_equal(side_counter(&side, "turns_helped"), 0);
    stop();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_that_no_datagram_holds_is_dropped_and_holds_nobody_up),
        cmocka_unit_test(a_partial_checksum_is_completed_once),
        cmocka_unit_test(a_helper_passes_by_a_socket_that_waits_for_another),
        cmocka_unit_test(what_was_opened_for_a_session_that_went_is_nobodys),
        cmocka_unit_test(what_was_sealed_for_a_peer_that_went_is_not_sent_to_who_has_its_place),
        cmocka_unit_test(only_the_session_that_sealed_is_asked_for_another),
        cmocka_unit_test(what_waits_for_a_session_leaves_before_what_comes_when_there_is_one),
        cmocka_unit_test(a_worker_with_work_of_its_own_does_that_first),
        cmocka_unit_test(a_helper_that_is_held_up_is_not_called_for_a_while),
        cmocka_unit_test(what_a_held_up_helper_seals_is_waited_for_as_long),
        cmocka_unit_test(who_does_without_help_gets_none),
    };
    return cmocka_run_group_tests_name("turns", tests, NULL, NULL);
}
