// LDFLAGS: -Wl,--wrap=sendmsg
/* What the kernel may answer to a send, and what becomes of the packets: T24 (errors), T25 (each
 * packet exactly once or counted), T26 (offloads refused). */
#include "world.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "faults.h"
#include "offload_model.h"
#include "segment.h"
#include "unit.h"

static struct fault on_send;

static bool has_item(const struct msghdr *message, int level, int type) {
    for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item;
         item = CMSG_NXTHDR((struct msghdr *)(uintptr_t)message, item))
        if (item->cmsg_level == level && item->cmsg_type == type)
            return true;
    return false;
}

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags) {
    if (strikes(&on_send, has_item(message, SOL_UDP, UDP_SEGMENT),
                has_item(message, IPPROTO_IP, IP_PKTINFO)))
        return -1;
    return __real_sendmsg(fd, message, flags);
}

/* ---- One device, and a stranger that is its peer 2 ---- */

#define SEGMENTS 10

static struct side side;
static struct shoal_address stranger;
static int fd;
static uint8_t message[WORLD_FRAME_MAX], plain[WORLD_FRAME_MAX], frame[WORLD_FRAME_MAX];

static void start(void) {
    plan(&on_send, 0, 0);
    side_open(&side, 1, &(struct world_options){0});
    fd = stranger_open(SHOAL_AF_INET, &stranger);
    side.peer = side_add_peer(&side, 12, 2, &stranger);
    struct shoal_session session = world_session(&side, SHOAL_ROLE_INITIATOR, 100, 555, 0);
    side_install(&side, &session);
}

static void stop(void) {
    close(fd);
    side_close(&side);
}

/* A UDP super-packet of SEGMENTS datagrams of 400 bytes, into the TUN. */
static void write_super(void) {
    uint8_t payload[SEGMENTS * 400];
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)(i / 400);
    struct model_spec spec = {.source = {10, 9, 0, 1},
                              .destination = {10, 9, 0, 2},
                              .payload = payload,
                              .payload_length = sizeof(payload),
                              .source_port = 4000,
                              .destination_port = 5000,
                              .protocol = 17,
                              .ttl = 64};
    size_t length = model_build_super(&spec, 400, frame);
    assert_int_equal(write(side.tun, frame, length), length);
}

/* The stranger gets each of its datagrams exactly once, in order, and nothing else. */
static void expect_super(void) {
    for (int i = 0; i < SEGMENTS; i++) {
        size_t length = stranger_receive(fd, message, sizeof(message), WORLD_PATIENCE_MS);
        assert_int_equal(unforge(plain, 1, message, length), 432); /* 428, padded */
        assert_int_equal(plain[28], i);
    }
    assert_int_equal(stranger_receive(fd, message, sizeof(message), 20), 0);
}

static void write_one(uint8_t seed) {
    side_write(&side, plain, world_packet(plain, false, 1, 2, 100, seed));
}

static void expect_one(uint8_t seed) {
    uint8_t expected[200];
    size_t length = stranger_receive(fd, message, sizeof(message), WORLD_PATIENCE_MS);
    assert_int_equal(unforge(plain, 1, message, length), 128);
    size_t size = world_packet(expected, false, 1, 2, 100, seed);
    assert_memory_equal(plain, expected, size);
}

static uint32_t offloads_on(void) {
    struct shoal_device_info info;
    assert_int_equal(shoal_device_info(side.device, &info, sizeof(info)), SHOAL_OK);
    return info.offloads_on;
}

static void calm(void) { nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL); }

static void a_train_goes_out_in_one_call(void **state) {
    (void)state; /* T27: the offload is really on */
    start();
    write_super();
    expect_super();
    assert_int_equal(side_counter(&side, "tx_trains"), 1);
    assert_int_equal(side_counter(&side, "tx_packets"), SEGMENTS);
    assert_int_equal(atomic_load(&on_send.calls), 1);
    assert_int_equal(shoal_device_set_offloads(side.device, SHOAL_OFFLOAD_UDP_GSO, 0), SHOAL_OK);
    write_super();
    expect_super();
    assert_int_equal(atomic_load(&on_send.calls), 1 + SEGMENTS);
    assert_int_equal(
        shoal_device_set_offloads(side.device, SHOAL_OFFLOAD_UDP_GSO, SHOAL_OFFLOAD_UDP_GSO),
        SHOAL_OK);
    write_super();
    expect_super();
    assert_int_equal(atomic_load(&on_send.calls), 2 + SEGMENTS);
    assert_int_equal(side_drops(&side), 0);
    stop();
}

static void eio_on_a_train_turns_gso_off_and_sends_the_same_packets_singly_once(void **state) {
    (void)state; /* T26 */
    struct shoal_mail mail;
    start();
    plan_trains(&on_send, EIO, 1000);
    write_super();
    expect_super();
    assert_true(side_mail(&side, SHOAL_MAIL_OFFLOAD_DEMOTED, &mail, NULL));
    assert_int_equal(mail.value, SHOAL_OFFLOAD_UDP_GSO);
    assert_int_equal(mail.index, EIO);
    assert_int_equal(mail.tag, 0);
    assert_false(offloads_on() & SHOAL_OFFLOAD_UDP_GSO);
    write_super(); /* off: not even tried again */
    expect_super();
    assert_int_equal(side_counter(&side, "tx_packets"), 2 * SEGMENTS);
    assert_int_equal(atomic_load(&on_send.calls), 1 + 2 * SEGMENTS);
    assert_true(side_no_mail(&side, SHOAL_MAIL_OFFLOAD_DEMOTED));
    assert_int_equal(side_drops(&side), 0);
    stop();
}

static void a_path_that_refuses_trains_demotes_only_its_peer(void **state) {
    (void)state; /* T26: gso_size above the path's MTU */
    static const int errors[] = {EINVAL, EMSGSIZE};
    for (int i = 0; i < 2; i++) {
        struct shoal_mail mail;
        start();
        plan_trains(&on_send, errors[i], 1);
        write_super();
        expect_super();
        assert_true(side_mail(&side, SHOAL_MAIL_OFFLOAD_DEMOTED, &mail, NULL));
        assert_int_equal(mail.tag, 12);
        assert_int_equal(mail.index, errors[i]);
        assert_true(offloads_on() & SHOAL_OFFLOAD_UDP_GSO);
        write_super();
        expect_super();
        assert_int_equal(atomic_load(&on_send.calls), 1 + 2 * SEGMENTS);
        /* Paths recover: tried again with the next session, and told once only. */
        struct shoal_session next = world_session(&side, SHOAL_ROLE_INITIATOR, 200, 555, 0);
        side_install(&side, &next);
        plan_trains(&on_send, errors[i], 1);
        write_super();
        expect_super();
        assert_int_equal(atomic_load(&on_send.calls), 1 + SEGMENTS);
        assert_true(side_no_mail(&side, SHOAL_MAIL_OFFLOAD_DEMOTED));
        plan(&on_send, 0, 0);
        write_super();
        expect_super();
        assert_int_equal(atomic_load(&on_send.calls), SEGMENTS);
        /* And after a rest, in the same session. */
        nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 100000000}, NULL);
        write_super();
        expect_super();
        assert_int_equal(atomic_load(&on_send.calls), 1 + SEGMENTS);
        plan_trains(&on_send, errors[i], 1);
        write_super();
        expect_super();
        /* Another endpoint is another path: tried again (R56). */
        close(fd);
        fd = stranger_open(SHOAL_AF_INET, &stranger);
        struct shoal_endpoint moved = {.remote = stranger};
        assert_int_equal(shoal_peer_set_endpoint(side.device, side.peer, &moved, sizeof(moved)),
                         SHOAL_OK);
        write_super();
        expect_super();
        assert_int_equal(atomic_load(&on_send.calls), 2 + SEGMENTS);
        assert_int_equal(side_drops(&side), 0);
        stop();
    }
}

static void a_single_that_fails_while_resending_is_counted_and_the_rest_go_on(void **state) {
    (void)state; /* T25 */
    start();
    plan(&on_send, EIO, 2); /* the train, then the first of its packets */
    write_super();
    for (int i = 1; i < SEGMENTS; i++) {
        size_t length = stranger_receive(fd, message, sizeof(message), WORLD_PATIENCE_MS);
        assert_int_equal(unforge(plain, 1, message, length), 432);
        assert_int_equal(plain[28], i);
    }
    assert_int_equal(stranger_receive(fd, message, sizeof(message), 20), 0);
    assert_int_equal(side_counter(&side, "drop_tx_error"), 1);
    assert_int_equal(side_facts(&side).tx_packets, SEGMENTS - 1);
    stop();
}

static void a_send_error_costs_its_packet_and_nothing_else(void **state) {
    (void)state; /* T24 */
    static const struct {
        int error;
        const char *counter;
    } cases[] = {
        {ENOBUFS, "drop_tx_buffer"},
        {ENOMEM, "drop_tx_buffer"},
        {EPERM, "drop_tx_denied"},
        {ECONNREFUSED, "drop_tx_error"},
        {ENETUNREACH, "drop_tx_unreachable"},
        {EHOSTUNREACH, "drop_tx_unreachable"},
        {EADDRNOTAVAIL, "drop_tx_unreachable"},
        {EMSGSIZE, "drop_tx_too_big"},
        {EINVAL, "drop_tx_error"},
        {EIO, "drop_tx_error"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        start();
        plan(&on_send, cases[i].error, 1);
        write_one(1);
        side_await(&side, cases[i].counter, 1);
        calm();
        assert_int_equal(atomic_load(&on_send.calls), 1); /* no retry */
        write_one(2);
        expect_one(2);
        assert_int_equal(side_drops(&side), 1);
        assert_int_equal(side_facts(&side).dropped, 1);
        assert_int_equal(offloads_on(), SHOAL_OFFLOAD_ALL); /* a single says nothing about GSO */
        stop();
    }
}

static void an_interrupted_send_is_simply_made_again(void **state) {
    (void)state; /* T24 */
    start();
    plan(&on_send, EINTR, 1);
    write_one(1);
    expect_one(1);
    assert_int_equal(side_drops(&side), 0);
    stop();
}

static void a_full_socket_holds_the_train_back_and_loses_nothing(void **state) {
    (void)state; /* T24: EAGAIN */
    start();
    plan(&on_send, EAGAIN, 1);
    write_super();
    write_one(1);
    write_one(2);
    for (int i = 0; i < SEGMENTS; i++) {
        size_t length = stranger_receive(fd, message, sizeof(message), WORLD_PATIENCE_MS);
        assert_int_equal(unforge(plain, 1, message, length), 432);
        assert_int_equal(plain[28], i);
    }
    expect_one(1);
    expect_one(2);
    assert_int_equal(side_counter(&side, "tx_blocked"), 1);
    assert_int_equal(side_drops(&side), 0);
    stop();
}

static void a_socket_that_says_full_for_ever_drops_without_spinning(void **state) {
    (void)state; /* T24 */
    start();
    plan(&on_send, EAGAIN, 1000000);
    for (uint8_t i = 0; i < 20; i++)
        write_one(i);
    side_await(&side, "drop_tx_buffer", 19);
    calm();
    assert_true(atomic_load(&on_send.calls) <= 40); /* at most one retry each */
    plan(&on_send, 0, 0);
    write_one(77);
    for (uint64_t left = 20 - side_counter(&side, "drop_tx_buffer"); left > 0; left--)
        stranger_receive(fd, message, sizeof(message), WORLD_PATIENCE_MS);
    expect_one(77);
    stop();
}

static void a_peer_may_go_while_its_train_waits(void **state) {
    (void)state;
    start();
    plan(&on_send, EAGAIN, 1000000);
    write_super();
    side_await(&side, "tx_blocked", 1);
    assert_int_equal(shoal_peer_remove(side.device, side.peer), SHOAL_OK);
    plan(&on_send, 0, 0);
    calm();
    assert_int_equal(stranger_receive(fd, message, sizeof(message), 20), 0);
    assert_int_equal(side_counter(&side, "drop_tx_buffer"), SEGMENTS);
    stop();
}

static void a_source_that_is_gone_is_forgotten_and_the_packet_still_leaves(void **state) {
    (void)state; /* R54, T24 */
    static const int errors[] = {EINVAL, ENETUNREACH, EADDRNOTAVAIL, EHOSTUNREACH};
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        start();
        struct shoal_endpoint sourced = {.remote = stranger, .local = stranger};
        sourced.local.port = 0;
        assert_int_equal(shoal_peer_set_endpoint(side.device, side.peer, &sourced, sizeof(sourced)),
                         SHOAL_OK);
        plan(&on_send, errors[i], 0);
        atomic_store(&on_send.only_sourced, true);
        atomic_store(&on_send.times, 1000);
        write_super();
        expect_super();
        assert_int_equal(side_counter(&side, "tx_source_cleared"), 1);
        assert_int_equal(side_facts(&side).endpoint.local.family, SHOAL_AF_NONE);
        assert_int_equal(atomic_load(&on_send.calls), 2);
        assert_int_equal(offloads_on(), SHOAL_OFFLOAD_ALL);
        assert_int_equal(shoal_datagram_send(side.device, &sourced, sizeof(sourced), 0, message, 5),
                         SHOAL_OK);
        assert_int_equal(stranger_receive(fd, message, sizeof(message), WORLD_PATIENCE_MS), 5);
        assert_int_equal(side_drops(&side), 0);
        stop();
    }
}

static void a_source_stays_when_the_kernel_refuses_without_it_too(void **state) {
    (void)state; /* R55: EINVAL may mean the segments' size, and no route is nobody's fault */
    struct shoal_mail mail;
    start();
    struct shoal_endpoint sourced = {.remote = stranger, .local = stranger};
    sourced.local.port = 0;
    assert_int_equal(shoal_peer_set_endpoint(side.device, side.peer, &sourced, sizeof(sourced)),
                     SHOAL_OK);
    plan_trains(&on_send, EINVAL, 1000);
    write_super();
    expect_super();
    assert_true(side_mail(&side, SHOAL_MAIL_OFFLOAD_DEMOTED, &mail, NULL));
    plan(&on_send, ENETUNREACH, 2 + (int)side_counter(&side, "connected_opened"));
    write_one(1);
    side_await(&side, "drop_tx_unreachable", 1);
    assert_int_equal(side_counter(&side, "tx_source_cleared"), 0);
    assert_int_equal(side_facts(&side).endpoint.local.family, SHOAL_AF_INET);
    stop();
}

static void a_control_datagram_says_why_it_did_not_leave(void **state) {
    (void)state;
    start();
    struct shoal_endpoint to = {.remote = stranger};
    plan(&on_send, ENETUNREACH, 1);
    assert_int_equal(shoal_datagram_send(side.device, &to, sizeof(to), 0, message, 5),
                     SHOAL_E_NO_ROUTE);
    plan(&on_send, EPERM, 1);
    assert_int_equal(shoal_datagram_send(side.device, &to, sizeof(to), 0, message, 5),
                     SHOAL_E_SYSTEM);
    assert_int_equal(atomic_load(&on_send.calls), 1); /* never retried */
    stop();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_train_goes_out_in_one_call),
        cmocka_unit_test(eio_on_a_train_turns_gso_off_and_sends_the_same_packets_singly_once),
        cmocka_unit_test(a_path_that_refuses_trains_demotes_only_its_peer),
        cmocka_unit_test(a_single_that_fails_while_resending_is_counted_and_the_rest_go_on),
        cmocka_unit_test(a_send_error_costs_its_packet_and_nothing_else),
        cmocka_unit_test(an_interrupted_send_is_simply_made_again),
        cmocka_unit_test(a_full_socket_holds_the_train_back_and_loses_nothing),
        cmocka_unit_test(a_socket_that_says_full_for_ever_drops_without_spinning),
        cmocka_unit_test(a_peer_may_go_while_its_train_waits),
        cmocka_unit_test(a_source_that_is_gone_is_forgotten_and_the_packet_still_leaves),
        cmocka_unit_test(a_source_stays_when_the_kernel_refuses_without_it_too),
        cmocka_unit_test(a_control_datagram_says_why_it_did_not_leave),
    };
    return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
