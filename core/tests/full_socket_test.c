// LDFLAGS: -Wl,--wrap=sendmsg -Wl,--wrap=epoll_ctl
/* A socket that is full for a while, as a slow link makes it: nothing that waits is lost, packets
 * wait before they are sealed, in the TUN or staged (T24, T25). Sends are refused and EPOLLOUT is
 * kept back until the test says that there is room. */
#include "world.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "offload_model.h"
#include "registry.h"
#include "socket.h"
#include "unit.h"

#define SEGMENTS 10

static _Atomic bool full;
static _Atomic int room; /* sends that still fit before the socket is full */
static _Atomic int held_epoll = -1;
static struct epoll_event held;
static _Atomic int held_fd;

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags) {
    if (!atomic_load(&full) || atomic_fetch_sub(&room, 1) > 0)
        return __real_sendmsg(fd, message, flags);
    errno = EAGAIN;
    return -1;
}

int __real_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
    if (operation != EPOLL_CTL_MOD || !(event->events & EPOLLOUT) || !atomic_load(&full))
        return __real_epoll_ctl(epoll, operation, fd, event);
    held = *event;
    atomic_store(&held_fd, fd);
    atomic_store(&held_epoll, epoll);
    struct epoll_event quiet = *event;
    quiet.events &= ~(uint32_t)EPOLLOUT;
    return __real_epoll_ctl(epoll, operation, fd, &quiet);
}

static void fill_up(int sends_left) {
    atomic_store(&held_epoll, -1);
    atomic_store(&room, sends_left);
    atomic_store(&full, true);
}

static void make_room(void) {
    atomic_store(&full, false);
    assert_int_not_equal(atomic_load(&held_epoll), -1);
    assert_int_equal(__real_epoll_ctl(held_epoll, EPOLL_CTL_MOD, held_fd, &held), 0);
}

static struct side side;
static struct shoal_address stranger;
static int fd;
static uint8_t message[WORLD_FRAME_MAX], plain[WORLD_FRAME_MAX], frame[WORLD_FRAME_MAX];

static void start_with(const struct world_options *options) {
    atomic_store(&full, false);
    side_open(&side, 1, options);
    fd = stranger_open(SHOAL_AF_INET, &stranger);
    side.peer = side_add_peer(&side, 12, 2, &stranger);
}

static void start(uint32_t offloads_off) {
    start_with(&(struct world_options){.offloads_off = offloads_off});
}

static void connect_peer(void) {
    struct shoal_session session =
        world_session(&side, SHOAL_ROLE_INITIATOR, world_index(&side, 100), 555, 0);
    side_install(&side, &session);
}

static void stop(void) {
    close(fd);
    side_close(&side);
}

static void calm(void) { nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL); }

/* A UDP super-packet of datagrams of 100 bytes, all of them `seed` and their number. */
static void write_segments(uint8_t seed, uint32_t count) {
    static uint8_t payload[SOCKET_SEGMENTS_MAX * 2 * 100];
    for (size_t i = 0; i < count * 100; i++)
        payload[i] = i % 2 ? (uint8_t)(i / 100) : seed;
    struct model_spec spec = {.source = {10, 9, 0, 1},
                              .destination = {10, 9, 0, 2},
                              .payload = payload,
                              .payload_length = count * 100,
                              .source_port = 4000,
                              .destination_port = 5000,
                              .protocol = 17,
                              .ttl = 64};
    size_t length = model_build_super(&spec, 100, frame);
    assert_int_equal(write(side.tun, frame, length), length);
}

static void write_super(uint8_t seed) { write_segments(seed, SEGMENTS); }

static void expect_super(uint8_t seed) {
    for (int i = 0; i < SEGMENTS; i++) {
        size_t length = stranger_receive(fd, message, sizeof(message), WORLD_PATIENCE_MS);
        assert_int_equal(unforge(plain, 1, message, length), 128);
        assert_int_equal(plain[28], seed);
        assert_int_equal(plain[29], i);
    }
}

static void expect_nothing_lost(uint64_t packets) {
    assert_int_equal(stranger_receive(fd, message, sizeof(message), 20), 0);
    assert_int_equal(side_counter(&side, "tx_packets"), packets);
    assert_int_equal(side_facts(&side).tx_packets, packets);
    assert_int_equal(side_facts(&side).staged, 0);
    assert_int_equal(side_drops(&side), 0);
}

/* Few are sent by the thread that installs the session, many by the worker. */
static void staged_frames_wait_for_the_socket(void **state) {
    (void)state;
    static const uint8_t numbers[] = {8, 16};
    for (int n = 0; n < 2; n++) {
        struct shoal_mail mail;
        start(0);
        for (uint8_t i = 0; i < numbers[n]; i++)
            write_super(i);
        side_await(&side, "tx_staged", numbers[n]);
        assert_true(side_mail(&side, SHOAL_MAIL_SESSION_NEEDED, &mail, NULL));
        assert_int_equal(shoal_peer_arm(side.device, side.peer, 0), SHOAL_OK);
        fill_up(0);
        connect_peer();
        side_await(&side, "tx_blocked", 1);
        assert_int_equal(shoal_peer_arm(side.device, side.peer, SHOAL_EDGE_SESSION_NEEDED),
                         SHOAL_OK);
        calm();
        assert_true(side_facts(&side).staged > 0); /* not sealed only to be dropped */
        assert_true(side_no_mail(&side, SHOAL_MAIL_SESSION_NEEDED)); /* it has one (R45) */
        make_room();
        for (uint8_t i = 0; i < numbers[n]; i++)
            expect_super(i);
        expect_nothing_lost(numbers[n] * SEGMENTS);
        stop();
    }
}

static void staged_frames_leave_when_another_socket_takes_over(void **state) {
    (void)state;
    struct shoal_error error;
    start(0);
    for (uint8_t i = 0; i < 16; i++)
        write_super(i);
    side_await(&side, "tx_staged", 16);
    fill_up(0);
    connect_peer();
    side_await(&side, "tx_blocked", 1);
    atomic_store(&full, false);
    assert_int_equal(shoal_device_bind(side.device, 0, 0, &side.port, &error, sizeof(error)),
                     SHOAL_OK);
    for (uint8_t i = 0; i < 16; i++)
        expect_super(i);
    expect_nothing_lost(16 * SEGMENTS);
    stop();
}

static void without_gso_a_train_waits_from_where_it_got_to(void **state) {
    (void)state;
    for (int sent = 0; sent < SEGMENTS; sent += 3) {
        start(SHOAL_OFFLOAD_UDP_GSO);
        connect_peer();
        fill_up(sent);
        write_super(1);
        side_await(&side, "tx_blocked", 1);
        write_super(2); /* stays in the TUN */
        calm();
        assert_int_equal(side_counter(&side, "tun_reads"), 1);
        assert_int_equal(side_counter(&side, "tx_packets"), sent);
        make_room();
        expect_super(1);
        expect_super(2);
        expect_nothing_lost(2 * SEGMENTS);
        stop();
    }
}

/* A super-packet of two trains: the first waits, the second is behind it. Another socket takes over
 * and is full too. */
static void the_room_of_the_socket_that_took_over_is_waited_for(void **state) {
    (void)state;
    struct shoal_error error;
    start(0);
    connect_peer();
    fill_up(0);
    write_segments(1, SOCKET_SEGMENTS_MAX + 3);
    side_await(&side, "tx_blocked", 1);
    calm();
    assert_int_equal(shoal_device_bind(side.device, 0, 0, &side.port, &error, sizeof(error)),
                     SHOAL_OK);
    assert_int_equal(side_counter(&side, "tx_blocked"), 2);
    assert_int_equal(side_counter(&side, "drop_tx_buffer"), SOCKET_SEGMENTS_MAX); /* twice */
    make_room();
    for (int i = 0; i < 3; i++)
        assert_int_equal(unforge(plain, 1, message,
                                 stranger_receive(fd, message, sizeof(message), WORLD_PATIENCE_MS)),
                         128);
    side_await(&side, "tx_packets", 3);
    write_super(2); /* and the TUN is read again */
    expect_super(2);
    stop();
}

/* A super-packet waits for room in the socket. */
static void start_blocked(void) {
    start(0);
    connect_peer();
    fill_up(0);
    write_super(1);
    side_await(&side, "tx_blocked", 1);
    calm();
}

static void what_waited_was_sent_when_it_left(void **state) {
    (void)state;
    start_blocked();
    uint64_t before = world_now();
    make_room();
    expect_super(1);
    expect_nothing_lost(SEGMENTS);
    assert_true(side_facts(&side).last_data_send >= before);
    assert_true(side_facts(&side).first_unanswered_data >= before); /* R12, R60 */
    stop();
}

static void what_leaves_by_another_socket_was_sent_then(void **state) {
    (void)state;
    struct shoal_error error;
    start_blocked();
    atomic_store(&full, false);
    uint64_t before = world_now();
    assert_int_equal(shoal_device_bind(side.device, 0, 0, &side.port, &error, sizeof(error)),
                     SHOAL_OK);
    expect_super(1);
    assert_true(side_facts(&side).last_data_send >= before); /* R12, R60 */
    stop();
}

static void what_is_forwarded_does_not_wait_and_pushes_nothing_out(void **state) {
    (void)state;
    struct shoal_address place;
    start_blocked();
    int guest_fd = stranger_open(SHOAL_AF_INET, &place);
    shoal_peer_t member = side.peer, guest = side_add_peer(&side, 13, 3, &place);
    assert_int_equal(shoal_peer_set_guest(side.device, guest, 1), SHOAL_OK);
    struct shoal_session session = world_session(&side, SHOAL_ROLE_INITIATOR, 300, 556, 0);
    side.peer = guest;
    side_install(&side, &session);
    side.peer = member;
    for (uint8_t i = 0; i < 6; i++) {
        size_t length = world_packet(plain, false, 3, 2, 50, i);
        stranger_send(guest_fd, &side.outer, message, forge(message, 2, 300, i, plain, length));
        if (i < 5)
            side_await(&side, "drop_forward_buffer", i + 1u);
        if (i == 4) {
            make_room();
            expect_super(1);
        }
    }
    size_t length = stranger_receive(fd, message, sizeof(message), WORLD_PATIENCE_MS);
    assert_int_equal(unforge(plain, 1, message, length), 80);
    assert_int_equal(side_counter(&side, "tx_packets"), SEGMENTS + 1);
    assert_int_equal(side_counter(&side, "drop_forward_buffer"), 5);
    assert_int_equal(side_counter(&side, "forwarded"), 1);
    close(guest_fd);
    stop();
}

static void a_tun_that_goes_meanwhile_is_noticed_and_costs_no_time(void **state) {
    (void)state; /* T22 */
    struct shoal_mail mail;
    start(0);
    connect_peer();
    fill_up(0);
    write_super(1);
    side_await(&side, "tx_blocked", 1);
    close(side.tun);
    assert_true(side_mail(&side, SHOAL_MAIL_LINK, &mail, NULL));
    assert_int_equal(mail.value, SHOAL_LINK_GONE);
    long before = world_cpu_ms();
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    assert_true(world_cpu_ms() - before < 100);
    make_room();
    expect_super(1);
    side.tun = fd; /* its end is closed already; stop() closes two */
    fd = dup(fd);
    stop();
}

/* Of a frame that was sealed ahead, and became two trains, the first waits when its peer goes. */
static void each_message_of_a_peer_that_goes_is_counted_once(void **state) {
    (void)state;
    enum { COUNT = 47, SIZE = 1372 };
    static uint8_t payload[COUNT * SIZE];
    struct model_spec spec = {.source = {10, 9, 0, 1},
                              .destination = {10, 9, 0, 2},
                              .payload = payload,
                              .payload_length = sizeof(payload),
                              .protocol = 17,
                              .ttl = 64};
    start_with(&(struct world_options){.workers = 2});
    connect_peer();
    fill_up(0);
    size_t length = model_build_super(&spec, SIZE, frame);
    assert_int_equal(write(side.tun, frame, length), length);
    side_await(&side, "tx_blocked", 1);
    calm();
    assert_int_equal(shoal_peer_remove(side.device, side.peer), SHOAL_OK);
    assert_true(side_counter(&side, "drop_tx_buffer") > 0);
    side_await(&side, "drop_handoff_gone", 1);
    assert_int_equal(side_drops(&side), COUNT);
    stop();
}

/* Frames that were read behind one that waits, for another peer, when a command makes the room. */
static void what_was_read_goes_on_when_a_command_makes_room(void **state) {
    (void)state;
    for (uint32_t workers = 1; workers <= 2; workers++)
        for (int moves = 0; moves < 2; moves++) {
            struct shoal_address place;
            struct shoal_error error;
            start_with(&(struct world_options){.workers = workers});
            connect_peer();
            int other_fd = stranger_open(SHOAL_AF_INET, &place);
            shoal_peer_t first = side.peer;
            side.peer = side_add_peer(&side, side.tag = 14, 3, &place);
            struct shoal_session session =
                world_session(&side, SHOAL_ROLE_INITIATOR, world_index(&side, 300), 556, 0);
            side_install(&side, &session);
            struct device *device = registry_acquire(side.device);
            device_stop(device); /* both are read in one batch */
            fill_up(0);
            write_super(1);
            for (int i = 0; i < 3; i++)
                side_write(&side, plain, world_packet(plain, false, 1, 3, 100, 1));
            device_resume(device);
            registry_release(side.device);
            side_await(&side, "tx_blocked", 1);
            calm();
            atomic_store(&full, false);
            if (moves)
                assert_int_equal(
                    shoal_device_bind(side.device, 0, 0, &side.port, &error, sizeof(error)),
                    SHOAL_OK);
            else
                assert_int_equal(shoal_peer_remove(side.device, first), SHOAL_OK);
            for (int i = 0; i < 3; i++)
                assert_int_equal(
                    stranger_receive(other_fd, message, sizeof(message), WORLD_PATIENCE_MS), 160);
            close(other_fd);
            stop();
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(staged_frames_wait_for_the_socket),
        cmocka_unit_test(staged_frames_leave_when_another_socket_takes_over),
        cmocka_unit_test(the_room_of_the_socket_that_took_over_is_waited_for),
        cmocka_unit_test(without_gso_a_train_waits_from_where_it_got_to),
        cmocka_unit_test(a_tun_that_goes_meanwhile_is_noticed_and_costs_no_time),
        cmocka_unit_test(what_waited_was_sent_when_it_left),
        cmocka_unit_test(what_is_forwarded_does_not_wait_and_pushes_nothing_out),
        cmocka_unit_test(each_message_of_a_peer_that_goes_is_counted_once),
        cmocka_unit_test(what_was_read_goes_on_when_a_command_makes_room),
        cmocka_unit_test(what_leaves_by_another_socket_was_sent_then),
    };
    return cmocka_run_group_tests_name("full_socket", tests, NULL, NULL);
}
