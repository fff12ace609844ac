// LDFLAGS: -Wl,--wrap=recvmsg -Wl,--wrap=writev
/* What the kernel may answer to a receive and to a write into the TUN, and what becomes of the
 * packets: T24 (errors), T26 (super-packets refused), T28 (receive shapes that no kernel of today
 * produces). */
#include "world.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "faults.h"
#include "offload_model.h"
#include "unit.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

static struct fault on_receive, on_write;

/* What a faked receive changes in what the kernel said. */
static _Atomic int receive_flags;  /* ORed into msg_flags */
static _Atomic int fake_gro_bytes; /* size of a UDP_GRO item to add: 2 (wrong) or 4 */
static _Atomic int fake_gro_value;
static _Atomic bool from_port_0; /* the sender's port is told as 0 */
static _Atomic bool from_mapped; /* an IPv6 sender is told as ::ffff:127.0.0.1 */

static void change_sender(struct msghdr *message) {
    struct sockaddr_in *v4 = message->msg_name;
    struct sockaddr_in6 *v6 = message->msg_name;
    if (atomic_load(&from_port_0)) /* at the same place in both families */
        v4->sin_port = 0;
    if (atomic_load(&from_mapped) && v6->sin6_family == AF_INET6)
        memcpy(&v6->sin6_addr, (const uint8_t[16]){[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1},
               16);
}

ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags) {
    if (strikes(&on_receive, false, false))
        return -1;
    size_t room = message->msg_controllen;
    ssize_t length = __real_recvmsg(fd, message, flags);
    if (length < 0)
        return length;
    message->msg_flags |= atomic_load(&receive_flags);
    change_sender(message);
    size_t size = (size_t)atomic_load(&fake_gro_bytes);
    if (size && message->msg_controllen + CMSG_SPACE(size) <= room) {
        int value = atomic_load(&fake_gro_value);
        struct cmsghdr *item = (void *)((char *)message->msg_control + message->msg_controllen);
        *item = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(size), .cmsg_level = SOL_UDP, .cmsg_type = UDP_GRO};
        memcpy(CMSG_DATA(item), &value, size);
        message->msg_controllen += CMSG_SPACE(size);
    }
    return length;
}

ssize_t __real_writev(int fd, const struct iovec *parts, int count);
ssize_t __wrap_writev(int fd, const struct iovec *parts, int count);
ssize_t __wrap_writev(int fd, const struct iovec *parts, int count) {
    bool super = parts[0].iov_len >= WORLD_VNET && ((const uint8_t *)parts[0].iov_base)[1] != 0;
    if (strikes(&on_write, super, false))
        return -1;
    return __real_writev(fd, parts, count);
}

/* ---- One device, and a stranger that is its peer 2 ---- */

static struct side side;
static struct shoal_address stranger;
static int fd;
static uint8_t message[WORLD_FRAME_MAX], plain[WORLD_FRAME_MAX], frame[WORLD_FRAME_MAX];

static void start_with(const struct world_options *options) {
    plan(&on_receive, 0, 0);
    plan(&on_write, 0, 0);
    atomic_store(&receive_flags, 0);
    atomic_store(&fake_gro_bytes, 0);
    atomic_store(&from_port_0, false);
    atomic_store(&from_mapped, false);
    side_open(&side, 1, options);
    fd = stranger_open(side.outer.family, &stranger);
    side.peer = side_add_peer(&side, 12, 2, &stranger);
    struct shoal_session session = world_session(&side, SHOAL_ROLE_INITIATOR, 100, 555, 0);
    side_install(&side, &session);
}

static void start(void) { start_with(&(struct world_options){0}); }

static void stop(void) {
    close(fd);
    side_close(&side);
}

static uint32_t offloads_on(void) {
    struct shoal_device_info info;
    assert_int_equal(shoal_device_info(side.device, &info, sizeof(info)), SHOAL_OK);
    return info.offloads_on;
}

static void send_in(uint64_t counter) {
    size_t length = world_packet(plain, false, 2, 1, 50, (uint8_t)counter);
    stranger_send(fd, &side.outer, message, forge(message, 2, 100, counter, plain, length));
}

static void an_interrupted_call_is_simply_made_again(void **state) {
    (void)state; /* T24 */
    start();
    plan(&on_receive, EINTR, 1);
    plan(&on_write, EINTR, 1);
    send_in(1);
    side_expect(&side, plain, 78);
    assert_int_equal(side_drops(&side), 0);
    stop();
}

static void a_receive_error_loses_no_datagram(void **state) {
    (void)state; /* T24 */
    static const int errors[] = {ECONNREFUSED, EHOSTUNREACH, ENOMEM, EPERM};
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        start();
        plan(&on_receive, errors[i], 1);
        send_in(1);
        side_expect(&side, plain, 78);
        assert_int_equal(side_counter(&side, "rx_errors"), 1);
        assert_int_equal(side_drops(&side), 0);
        stop();
    }
}

/* As of a kernel that is out of memory: the datagram lies there, and cannot be had. */
static void a_receive_error_that_stays_holds_nobody_up(void **state) {
    (void)state;
    start();
    plan(&on_receive, ENOMEM, INT32_MAX);
    send_in(1);
    side_await(&side, "rx_errors", 1000);
    assert_true(side_counter(&side, "rx_errors") >= 1000); /* a standstill between two batches */
    plan(&on_receive, 0, 0);
    side_await(&side, "rx_packets", 1);
    stop();
}

static void what_was_cut_off_is_counted_and_not_believed(void **state) {
    (void)state; /* T28 */
    start();
    atomic_store(&receive_flags, MSG_TRUNC);
    send_in(1);
    side_await(&side, "drop_rx_truncated", 1);
    atomic_store(&receive_flags, MSG_CTRUNC);
    send_in(2);
    side_await(&side, "drop_rx_truncated", 2);
    assert_int_equal(side_counter(&side, "rx_control_truncated"), 1);
    atomic_store(&receive_flags, 0);
    send_in(3);
    side_expect(&side, plain, 78);
    stop();
}

static void segment_sizes_that_make_no_sense_leave_the_datagram_whole(void **state) {
    (void)state; /* T28: a UDP_GRO item of 2 bytes, zero, negative, larger than the buffer */
    static const struct {
        int bytes, value;
    } cases[] = {{2, 50}, {4, 0}, {4, -5}, {4, 70000}, {4, 128}};
    for (uint64_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        start();
        atomic_store(&fake_gro_bytes, cases[i].bytes);
        atomic_store(&fake_gro_value, cases[i].value);
        send_in(i);
        side_expect(&side, plain, 78);
        stop();
    }
}

/* ---- Senders that nobody can answer ---- */

/* One of every kind that core answers, mails or remembers the sender of. */
static void send_every_kind(void) {
    static const struct {
        uint8_t type;
        size_t length;
    } kinds[] = {{1, 148}, {2, 92}, {3, 64}, {0xc3, 1232}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        memset(message, 0, kinds[i].length);
        message[0] = kinds[i].type;
        stranger_send(fd, &side.outer, message, kinds[i].length);
    }
    send_in(1);
}

static void expect_nothing_of_them(uint64_t datagrams) {
    side_await(&side, "drop_rx_unanswerable", datagrams);
    assert_int_equal(side_drops(&side), datagrams);
    assert_true(side_no_mail(&side, SHOAL_MAIL_DATAGRAM));
    assert_int_equal(side_facts(&side).rx_packets, 0);
    assert_int_equal(side_facts(&side).endpoint.remote.port, stranger.port);
    assert_int_equal(stranger_receive(fd, frame, sizeof(frame), 20), 0);
}

static void what_comes_from_port_0_is_dropped_whatever_it_is(void **state) {
    (void)state;
    static const uint32_t modes[] = {0, SHOAL_DEVICE_WIREGUARD_ONLY};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        start_with(&(struct world_options){.flags = modes[i]});
        atomic_store(&from_port_0, true);
        send_every_kind();
        expect_nothing_of_them(5);
        atomic_store(&from_port_0, false); /* the same datagram, never used up */
        send_in(1);
        side_expect(&side, plain, 78);
        stop();
    }
}

static void an_ipv4_address_written_as_ipv6_is_no_sender(void **state) {
    (void)state; /* kernels before Linux 5.4 let them pass */
    start_with(&(struct world_options){.outer = SHOAL_AF_INET6});
    atomic_store(&from_mapped, true);
    send_every_kind();
    expect_nothing_of_them(5);
    stop();
}

static void a_train_from_port_0_counts_each_of_its_datagrams(void **state) {
    (void)state;
    start();
    atomic_store(&from_port_0, true);
    atomic_store(&fake_gro_bytes, 4);
    atomic_store(&fake_gro_value, 40);
    memset(message, 0xc1, 100);
    stranger_send(fd, &side.outer, message, 100);
    expect_nothing_of_them(3);
    stop();
}

/* ---- The TUN ---- */

/* Five datagrams of one flow in one train: they become one frame. */
static void send_flow(uint64_t counter) {
    size_t used = 0;
    for (uint64_t i = 0; i < 5; i++) {
        size_t length = world_packet(plain, false, 2, 1, 100, (uint8_t)i);
        used += forge(message + used, 2, 100, counter + i, plain, length);
    }
    stranger_send_train(fd, &side.outer, message, used, (uint16_t)(used / 5));
}

static void expect_flow_singly(void) {
    for (int i = 0; i < 5; i++) {
        side_expect(&side, plain, world_packet(plain, false, 2, 1, 100, (uint8_t)i));
    }
    assert_int_equal(side_read(&side, frame, 20), 0);
}

static void einval_on_a_super_packet_writes_its_packets_singly_once_in_order(void **state) {
    (void)state; /* T26: Linux 6.6.44 */
    struct shoal_mail mail;
    start();
    send_flow(0);
    assert_int_equal(side_read(&side, frame, WORLD_PATIENCE_MS), 10 + 28 + 500);
    plan_trains(&on_write, EINVAL, 1000);
    send_flow(10);
    expect_flow_singly();
    assert_true(side_mail(&side, SHOAL_MAIL_OFFLOAD_DEMOTED, &mail, NULL));
    assert_int_equal(mail.value, SHOAL_OFFLOAD_TUN_USO);
    assert_int_equal(mail.index, EINVAL);
    assert_int_equal(offloads_on(), SHOAL_OFFLOAD_ALL & ~SHOAL_OFFLOAD_TUN_USO);
    send_flow(20); /* off: not even tried again */
    expect_flow_singly();
    assert_int_equal(side_counter(&side, "tun_gso_refused"), 1);
    assert_int_equal(side_drops(&side), 0);
    plan(&on_write, 0, 0);
    assert_int_equal(shoal_device_set_offloads(side.device, SHOAL_OFFLOAD_ALL, SHOAL_OFFLOAD_ALL),
                     SHOAL_OK);
    send_flow(30);
    assert_int_equal(side_read(&side, frame, WORLD_PATIENCE_MS), 10 + 28 + 500);
    stop();
}

static void an_interface_that_is_down_costs_packets_and_no_offload(void **state) {
    (void)state; /* fault table: EIO on a TUN write */
    start();
    plan(&on_write, EIO, 1);
    send_flow(0);
    side_await(&side, "drop_rx_link_down", 5);
    plan(&on_write, ENOMEM, 1);
    send_in(10);
    side_await(&side, "drop_rx_tun", 1);
    plan(&on_write, EINVAL, 1); /* of a single packet: its own fault */
    send_in(11);
    side_await(&side, "drop_rx_tun", 2);
    assert_int_equal(side_facts(&side).dropped, 0); /* the device's: a frame may be of many peers */
    assert_int_equal(offloads_on(), SHOAL_OFFLOAD_ALL);
    assert_true(side_no_mail(&side, SHOAL_MAIL_OFFLOAD_DEMOTED));
    send_in(12);
    side_expect(&side, plain, 78);
    stop();
}

static void a_tun_that_is_gone_is_told_once_and_left_alone(void **state) {
    (void)state; /* T22 */
    struct shoal_mail mail;
    start();
    plan(&on_write, EBADFD, 1);
    send_in(1);
    assert_true(side_mail(&side, SHOAL_MAIL_LINK, &mail, NULL));
    assert_int_equal(mail.value, SHOAL_LINK_GONE);
    send_in(2);
    side_await(&side, "drop_rx_no_tun", 2);
    side_write(&side, plain,
               world_packet(plain, false, 1, 2, 100, 1)); /* nobody reads it any more */
    assert_int_equal(stranger_receive(fd, message, sizeof(message), 20), 0);
    assert_true(side_no_mail(&side, SHOAL_MAIL_LINK));
    assert_int_equal(side_facts(&side).rx_packets, 2);
    stop();
}

int main(void) {
    unsetenv("SHOAL_TEST_IO"); /* what recvmsg answers; uring_test.c has the other way in */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interrupted_call_is_simply_made_again),
        cmocka_unit_test(a_receive_error_loses_no_datagram),
        cmocka_unit_test(a_receive_error_that_stays_holds_nobody_up),
        cmocka_unit_test(what_was_cut_off_is_counted_and_not_believed),
        cmocka_unit_test(segment_sizes_that_make_no_sense_leave_the_datagram_whole),
        cmocka_unit_test(what_comes_from_port_0_is_dropped_whatever_it_is),
        cmocka_unit_test(an_ipv4_address_written_as_ipv6_is_no_sender),
        cmocka_unit_test(a_train_from_port_0_counts_each_of_its_datagrams),
        cmocka_unit_test(einval_on_a_super_packet_writes_its_packets_singly_once_in_order),
        cmocka_unit_test(an_interface_that_is_down_costs_packets_and_no_offload),
        cmocka_unit_test(a_tun_that_is_gone_is_told_once_and_left_alone),
    };
    return cmocka_run_group_tests_name("receive faults", tests, NULL, NULL);
}
