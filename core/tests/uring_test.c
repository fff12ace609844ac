// LDFLAGS: -Wl,--wrap=syscall -Wl,--wrap=mmap
/* io_uring as the way in (T29): what the kernel may refuse, when it may end a receive, and each
 * limit. Nothing is lost and nothing comes twice or out of order; what io_uring cannot do plain
 * calls do. The second half drives a ring by hand, in this thread. */
#include "world.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <netinet/udp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "busy.h"
#include "device.h"
#include "faults.h"
#include "offload_model.h"
#include "registry.h"
#include "unit.h"
#include "uring.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

static struct fault on_setup, on_buffers, on_enable, on_enter, on_map;
static _Atomic uint32_t completions; /* room for so many; 0: as asked for */

/* What is changed in the last completion of a receive, of a ring driven by hand. */
static struct uring uring;
static struct uring *patient = &uring;
static void (*doctor)(struct io_uring_cqe *last);

static void change_last(void) {
    if (!doctor) /* another ring, of a worker */
        return;
    uint32_t tail = *patient->cq_tail;
    if (tail != *patient->cq_head)
        doctor((struct io_uring_cqe *)patient->cqes + ((tail - 1) & patient->cq_mask));
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...) {
    long a[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    struct fault *fault = number == SYS_io_uring_setup           ? &on_setup
                          : number == SYS_io_uring_enter         ? &on_enter
                          : number != SYS_io_uring_register      ? NULL
                          : a[1] == IORING_REGISTER_PBUF_RING    ? &on_buffers
                          : a[1] == IORING_REGISTER_ENABLE_RINGS ? &on_enable
                                                                 : NULL;
    if (fault && strikes(fault, false, false))
        return -1;
    if (number == SYS_io_uring_setup && atomic_load(&completions))
        ((struct io_uring_params *)a[1])->cq_entries = atomic_load(&completions);
    long done = __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (number == SYS_io_uring_enter)
        change_last();
    return done;
}

void *__real_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset) {
    return strikes(&on_map, false, false)
               ? MAP_FAILED
               : __real_mmap(address, size, protection, flags, fd, offset);
}

static void forget_plans(void) {
    struct fault *const all[] = {&on_setup, &on_buffers, &on_enable, &on_enter, &on_map};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        plan(all[i], 0, 0);
    atomic_store(&completions, 0);
    patient = &uring;
    doctor = NULL;
}

/* ---- A device, and a stranger that is its peer 2 ---- */

static struct side side;
static struct shoal_address stranger;
static int fd;
static uint8_t message[WORLD_FRAME_MAX], plain[WORLD_FRAME_MAX], frame[WORLD_FRAME_MAX];

static void start(uint32_t workers) {
    side_open(&side, 1,
              &(struct world_options){.io = "uring", .workers = workers, .offloads_off = 63});
    fd = stranger_open(SHOAL_AF_INET, &stranger);
    side.peer = side_add_peer(&side, 12, 2, &stranger);
    struct shoal_session session = world_session(&side, SHOAL_ROLE_INITIATOR, 256, 555, 0);
    side_install(&side, &session);
}

static void stop(void) {
    close(fd);
    side_close(&side);
    forget_plans();
}

static size_t message_of(uint64_t counter, uint8_t *packet) {
    size_t length = world_packet(packet, false, 2, 1, 50, (uint8_t)counter);
    return forge(message, 2, 256, counter, packet, length);
}

static void send_in(uint64_t counter) {
    stranger_send(fd, &side.outer, message, message_of(counter, plain));
}

/* Messages from this counter on, which come out of the TUN in order. */
static void cross(uint64_t first, uint32_t count) {
    for (uint64_t i = first; i < first + count; i++)
        send_in(i);
    for (uint64_t i = first; i < first + count; i++) {
        (void)message_of(i, plain);
        side_expect(&side, plain, 78);
    }
    assert_int_equal(side_drops(&side), 0);
}

static void is_by(const char *io, int error) {
    struct shoal_device_info info;
    assert_int_equal(shoal_device_info(side.device, &info, sizeof(info)), SHOAL_OK);
    assert_string_equal(info.io, io);
    assert_int_equal(info.io_error, error);
}

static void what_is_refused_at_open_is_told_and_plain_calls_do_it(void **state) {
    (void)state;
    static const int errors[] = {EPERM, ENOSYS, ENOMEM, EINVAL};
    struct fault *const of[] = {&on_setup, &on_buffers, &on_map};
    for (size_t f = 0; f < sizeof(of) / sizeof(of[0]); f++)
        for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
            plan(of[f], errors[i], 1);
            start(1);
            is_by("poll", of[f] == &on_map ? ENOMEM : errors[i]);
            cross(0, 3);
            assert_int_equal(side_counter(&side, "uring_receives"), 0);
            struct shoal_mail mail;
            assert_true(side_mail(&side, SHOAL_MAIL_IO_REFUSED, &mail, NULL));
            assert_int_equal(mail.value, of[f] == &on_map ? ENOMEM : errors[i]);
            assert_true(side_no_mail(&side, SHOAL_MAIL_IO_REFUSED));
            stop();
        }
}

/* Of several workers the second one: none has it then. */
static void one_worker_that_is_refused_speaks_for_all(void **state) {
    (void)state;
    plan(&on_enable, EPERM, 1);
    struct shoal_mail mail;
    start(2);
    cross(0, 3);
    assert_true(side_mail(&side, SHOAL_MAIL_IO_REFUSED, &mail, NULL));
    assert_int_equal(mail.value, EPERM);
    is_by("poll", EPERM);
    cross(3, 3);
    assert_true(side_no_mail(&side, SHOAL_MAIL_IO_REFUSED)); /* once */
    stop();
}

static void many_small_ones_come_by_few_calls(void **state) {
    (void)state;
    start(1);
    is_by("uring", 0);
    struct device *device = registry_acquire(side.device);
    assert_non_null(device);
    device_stop(device);
    for (uint64_t i = 0; i < 200; i++)
        send_in(i);
    device_resume(device);
    for (uint64_t i = 0; i < 200; i++) {
        (void)message_of(i, plain);
        side_expect(&side, plain, 78);
    }
    registry_release(side.device);
    assert_int_equal(side_counter(&side, "uring_buffers"), 200);
    assert_in_range(side_counter(&side, "uring_receives"), 4, 30);
    assert_true(side_counter(&side, "uring_short") >= 1); /* at first 8 are offered */
    assert_int_equal(side_counter(&side, "uring_plain"), 0);
    assert_int_equal(side_drops(&side), 0);
    stop();
}

/* More gathered buffers are received ahead than one batch opens, and nothing comes after them. */
static void what_was_received_ahead_is_opened_though_nothing_more_comes(void **state) {
    (void)state;
    side_open(&side, 1, &(struct world_options){.io = "uring", .workers = 1});
    fd = stranger_open(SHOAL_AF_INET, &stranger);
    side.peer = side_add_peer(&side, 12, 2, &stranger);
    struct shoal_session session = world_session(&side, SHOAL_ROLE_INITIATOR, 256, 555, 0);
    side_install(&side, &session);
    static uint8_t train[WORLD_FRAME_MAX];
    struct device *device = registry_acquire(side.device);
    device_stop(device);
    uint64_t counter = 0;
    for (int t = 0; t < 8; t++) {
        size_t used = 0, one = 0;
        for (int i = 0; i < 40; i++) {
            uint8_t packet[1500];
            size_t length = world_packet(packet, false, 2, 1, 1200, (uint8_t)counter);
            one = forge(train + used, 2, 256, counter, packet, length);
            used += one;
            counter++;
        }
        stranger_send_train(fd, &side.outer, train, used, (uint16_t)one);
    }
    device_resume(device);
    registry_release(side.device);
    for (int i = 0; i < 200 && side_counter(&side, "rx_packets") < counter; i++) {
        while (side_read(&side, frame, 0))
            ;
        usleep(1000);
    }
    assert_int_equal(side_counter(&side, "rx_packets"), counter);
    assert_true(side_counter(&side, "uring_buffers") >= 8);
    stop();
}

static void a_call_that_fails_is_replaced_and_after_three_given_up(void **state) {
    (void)state;
    struct shoal_mail mail;
    static const int for_now[] = {EAGAIN, EBUSY, ENOMEM};
    for (size_t i = 0; i < 3; i++) {
        start(1);
        cross(0, 1);
        for (uint64_t k = 1; k < 10; k += 2) { /* never three in a row */
            plan(&on_enter, for_now[i], 2);
            cross(k, 2);
            plan(&on_enter, 0, 0);
        }
        is_by("uring", 0);
        assert_true(side_counter(&side, "uring_plain") >= 5);
        plan(&on_enter, for_now[i], 3);
        cross(20, 10);
        assert_true(side_mail(&side, SHOAL_MAIL_IO_REFUSED, &mail, NULL));
        assert_int_equal(mail.value, for_now[i]);
        is_by("poll", for_now[i]);
        cross(40, 10);
        stop();
    }
}

static void an_interrupted_call_is_made_again(void **state) {
    (void)state;
    start(1);
    cross(0, 1);
    plan(&on_enter, EINTR, 5);
    cross(1, 5);
    is_by("uring", 0);
    assert_int_equal(side_counter(&side, "uring_plain"), 0);
    stop();
}

/* As of a filter that a program sets up later (seccomp). */
static void what_is_refused_while_running_is_given_up_at_once(void **state) {
    (void)state;
    struct shoal_mail mail;
    for (uint32_t workers = 1; workers <= 2; workers++) {
        start(workers);
        cross(0, 5);
        plan(&on_enter, EPERM, 1);
        cross(5, 50);
        assert_true(side_mail(&side, SHOAL_MAIL_IO_REFUSED, &mail, NULL));
        assert_int_equal(mail.value, EPERM);
        is_by("poll", EPERM);
        stop();
    }
}

/* A request that waits in the kernel would hold the port of a socket that is closed. */
static void a_port_that_is_left_is_free_at_once(void **state) {
    (void)state;
    struct shoal_error error;
    start(2);
    for (uint64_t i = 0; i < 20; i++) {
        uint16_t old = side.port;
        cross(i, 1);
        assert_int_equal(shoal_device_bind(side.device, 0, 0, &side.port, &error, sizeof(error)),
                         SHOAL_OK);
        struct udp_socket udp;
        const char *what;
        assert_int_equal(socket_open(&udp, SHOAL_AF_INET, &old, &(struct socket_options){0}, &what),
                         0);
        socket_close(&udp);
        side.outer.port = side.port;
    }
    is_by("uring", 0);
    stop();
}

/* ICMP of the kernel's own: an error ends the receive of a connected socket, and is a hint. */
static void an_error_of_a_connected_socket_is_a_hint(void **state) {
    (void)state;
    static struct busy busy;
    struct shoal_mail mail;
    uint8_t packet[256];
    setenv("SHOAL_TEST_IO", "uring", 1);
    busy_open(&busy, SHOAL_AF_INET, 1, 1, 1);
    unsetenv("SHOAL_TEST_IO");
    busy_warm(&busy, BUSY_FIRST);
    busy_by_own(&busy, BUSY_FIRST);
    close(busy.sockets[BUSY_FIRST]);
    for (int i = 0; i < 3; i++)
        side_write(&busy.side, packet, world_packet(packet, false, 1, BUSY_FIRST, 100, 1));
    side_await(&busy.side, "connected_errors", 1);
    assert_true(side_mail(&busy.side, SHOAL_MAIL_REFUSED, &mail, NULL));
    struct shoal_device_info info;
    assert_int_equal(shoal_device_info(busy.side.device, &info, sizeof(info)), SHOAL_OK);
    assert_string_equal(info.io, "uring");
    assert_true(side_counter(&busy.side, "rx_connected") > 0);
    busy.sockets[BUSY_FIRST] = -1;
    busy_close(&busy);
}

/* ---- A worker's sockets, received from by this thread at a standstill ---- */

static struct device *device;
static struct pass *pass;

/* From here on the worker itself has plain calls: a ring belongs to one thread. */
static void halt(const struct side *of) {
    device = registry_acquire(of->device);
    device_stop(device);
    pass = &device->workers[0]->pass;
    uring_close(&pass->uring);
    memset(&pass->uring, 0, sizeof(pass->uring));
    uring_open(&pass->uring, false, &device->plane.uring_refused);
    assert_int_equal(uring_enable(&pass->uring), 0);
    patient = &pass->uring;
}

static void go_on(const struct side *of) {
    doctor = NULL;
    device_resume(device);
    registry_release(of->device);
}

static void what_is_ahead_of_a_socket_that_is_replaced_is_opened(void **state) {
    (void)state;
    enum { COUNT = 5 };
    struct shoal_error error;
    bool dry;
    start(1);
    usleep(20000); /* it sleeps from here on */
    halt(&side);
    struct udp_socket *inet = &pass->sockets[PASS_INET];
    /* What comes wakes nobody: else the worker would open it before the socket is replaced. */
    assert_int_equal(epoll_ctl(device->workers[0]->epoll, EPOLL_CTL_DEL, inet->fd, NULL), 0);
    for (uint64_t i = 0; i < COUNT; i++)
        send_in(i);
    assert_int_equal(uring_receive(&pass->uring, inet, &pass->stats, &dry), 0);
    assert_int_equal(inet->ahead, COUNT);
    go_on(&side);
    assert_int_equal(shoal_device_bind(side.device, 0, 0, &side.port, &error, sizeof(error)),
                     SHOAL_OK);
    for (uint64_t i = 0; i < COUNT; i++) {
        (void)message_of(i, plain);
        side_expect(&side, plain, 78);
    }
    stop();
}

static void say_refused_once(struct io_uring_cqe *last) {
    if (last->flags & IORING_CQE_F_MORE)
        return;
    last->res = -ECONNREFUSED;
    doctor = NULL;
}

/* ICMP that comes in the midst of a receive. */
static void an_error_behind_what_came_is_a_hint_and_what_came_counts(void **state) {
    (void)state;
    static struct busy busy;
    struct shoal_mail mail;
    uint8_t packet[256];
    setenv("SHOAL_TEST_IO", "uring", 1);
    busy_open(&busy, SHOAL_AF_INET, 1, 1, 1);
    unsetenv("SHOAL_TEST_IO");
    busy_by_own(&busy, BUSY_FIRST);
    halt(&busy.side);
    size_t length = busy_send(&busy, BUSY_FIRST, busy.sockets[BUSY_FIRST], packet);
    doctor = say_refused_once;
    assert_int_equal(turns_take(pass, pass, &pass->connected.places[0].udp), TURN_OPENED);
    assert_true(turns_put_out(pass));
    go_on(&busy.side);
    side_expect(&busy.side, packet, length);
    busy_from(&busy, BUSY_FIRST, busy.sockets[BUSY_FIRST]); /* a batch ends */
    assert_true(side_mail(&busy.side, SHOAL_MAIL_REFUSED, &mail, NULL));
    assert_int_equal(side_counter(&busy.side, "rx_errors"), 1);
    busy_close(&busy);
    forget_plans();
}

/* ---- A ring that is driven by hand ---- */

static struct udp_socket udp;
static struct stats stats;
static _Atomic int32_t refused;
static uint16_t sent, taken; /* numbers in the datagrams */

static void open_hand(void) {
    uint16_t port = 0;
    const char *what;
    memset(&uring, 0, sizeof(uring));
    memset(&stats, 0, sizeof(stats));
    atomic_store(&refused, 0);
    sent = taken = 0;
    struct socket_options options = {.receive_buffer = 32 << 20, .send_buffer = 1 << 20};
    assert_int_equal(socket_open(&udp, SHOAL_AF_INET, &port, &options, &what), 0);
    assert_int_equal(socket_set_gro(&udp, true), 0);
    fd = stranger_open(SHOAL_AF_INET, &stranger);
    stranger.port = port; /* whither is sent */
    uring_open(&uring, false, &refused);
    assert_int_equal(uring_enable(&uring), 0);
    assert_true(uring_serves(&uring, &udp));
}

static void close_hand(void) {
    uring_forget(&uring, &udp);
    uring_close(&uring);
    socket_close(&udp);
    close(fd);
    forget_plans();
}

static void send_sized(size_t size, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        memset(frame, 0x5a, size);
        memcpy(frame, &sent, size < 2 ? size : 2);
        sent++;
        stranger_send(fd, &stranger, frame, size);
    }
}

/* A train that UDP_GRO keeps together. */
static void send_gathered(uint32_t count) {
    int segment = 1000;
    assert_int_equal(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
    send_sized(40000, count);
    segment = 0;
    assert_int_equal(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
}

static int get(bool *dry) {
    *dry = false;
    return uring_receive(&uring, &udp, &stats, dry);
}

static uint8_t take_one(uint32_t size) {
    struct socket_received received;
    uint16_t number;
    assert_true(udp.ahead > 0);
    struct uring_taken one = uring_take(&uring, &udp, &received);
    assert_int_equal(received.length, size);
    assert_int_equal(received.segment, size == 40000 ? 1000 : size);
    assert_int_equal(received.endpoint.remote.family, SHOAL_AF_INET);
    assert_int_equal(received.endpoint.local.ip[0], 127);
    assert_true(received.arrived > 0);
    assert_false(received.truncated || received.control_truncated);
    if (size >= 2) {
        memcpy(&number, one.bytes, 2);
        assert_int_equal(number, taken);
    }
    taken++;
    return one.place;
}

static void take_all(uint32_t size) {
    while (udp.ahead)
        uring_give_back(&uring, take_one(size));
}

static uint64_t count_of(enum counter which) { return stats_get(&stats, which); }

static void nothing_there_is_dry(void **state) {
    (void)state;
    bool dry;
    open_hand();
    assert_int_equal(get(&dry), 0);
    assert_true(dry);
    assert_int_equal(udp.ahead, 0);
    close_hand();
}

static void small_ones_raise_what_is_offered_and_gathered_ones_lower_it(void **state) {
    (void)state;
    bool dry;
    open_hand();
    assert_int_equal(uring.want, URING_FEW);
    for (int i = 0; i < 20; i++) {
        send_sized(100, URING_BUFFERS);
        for (dry = false; !dry;) {
            assert_int_equal(get(&dry), 0);
            take_all(100);
        }
    }
    assert_int_equal(uring.want, URING_BUFFERS);
    assert_int_equal(taken, sent);
    send_gathered(3);
    assert_int_equal(get(&dry), 0);
    assert_true(dry);
    assert_int_equal(uring.want, URING_FEW);
    take_all(40000);
    assert_int_equal(taken, sent);
    assert_int_equal(uring.free + uring.offered, URING_BUFFERS);
    close_hand();
}

/* The limit: every buffer is held by somebody. */
static void without_a_buffer_a_plain_call_has_to_do_it(void **state) {
    (void)state;
    uint8_t held[URING_BUFFERS];
    bool dry;
    open_hand();
    send_gathered(URING_BUFFERS + 3);
    uint32_t count = 0;
    while (count < URING_BUFFERS) {
        assert_int_equal(get(&dry), 0);
        assert_false(dry);
        while (udp.ahead)
            held[count++] = take_one(40000);
    }
    assert_int_equal(uring.free + uring.offered, 0);
    assert_true(count_of(COUNT_uring_short) > 0);
    assert_int_equal(get(&dry), 0);
    assert_false(dry);
    assert_int_equal(udp.ahead, 0);
    assert_int_equal(count_of(COUNT_uring_plain), 1);
    struct socket_received received;
    assert_int_equal(socket_receive(&udp, frame, sizeof(frame), &received), 0);
    assert_memory_equal(frame, &taken, 2);
    taken++;
    while (count)
        uring_give_back(&uring, held[--count]);
    assert_int_equal(get(&dry), 0);
    take_all(40000);
    assert_int_equal(taken, sent);
    assert_int_equal(refused, 0);
    close_hand();
}

/* A ring of completions that is too small, which ours is not: the kernel keeps what is beyond. */
static void completions_that_overflow_are_not_lost(void **state) {
    (void)state;
    bool dry;
    atomic_store(&completions, 4);
    open_hand();
    for (int i = 0; i < 20; i++) {
        send_sized(100, 50);
        for (dry = false; !dry;) {
            assert_int_equal(get(&dry), 0);
            take_all(100);
        }
    }
    assert_int_equal(taken, sent);
    assert_int_equal(refused, 0);
    assert_int_equal(uring.free + uring.offered, URING_BUFFERS);
    close_hand();
}

static void an_empty_datagram_ends_a_receive_and_no_more(void **state) {
    (void)state;
    bool dry;
    open_hand();
    static const size_t sizes[] = {100, 0, 0, 100, 0};
    for (size_t i = 0; i < 5; i++)
        send_sized(sizes[i], 1);
    for (size_t i = 0; i < 5;) {
        assert_int_equal(get(&dry), 0);
        while (udp.ahead)
            uring_give_back(&uring, take_one((uint32_t)sizes[i++]));
    }
    assert_int_equal(get(&dry), 0);
    assert_true(dry);
    close_hand();
}

static void say_cancelled(struct io_uring_cqe *last) {
    if (!(last->flags & IORING_CQE_F_MORE))
        last->res = -ECANCELED;
}
static void say_invalid(struct io_uring_cqe *last) { last->res = -EINVAL; }
static void say_more(struct io_uring_cqe *last) { last->flags |= IORING_CQE_F_MORE; }
static void name_another(struct io_uring_cqe *last) {
    last->flags = IORING_CQE_F_BUFFER | 0x7fffu << IORING_CQE_BUFFER_SHIFT;
}

static void a_receive_that_is_cancelled_brings_what_it_has(void **state) {
    (void)state;
    bool dry;
    open_hand();
    send_sized(100, 2);
    doctor = say_cancelled;
    assert_int_equal(get(&dry), 0);
    assert_false(dry); /* nobody knows */
    assert_int_equal(udp.ahead, 2);
    take_all(100);
    doctor = NULL;
    assert_int_equal(get(&dry), 0);
    assert_true(dry);
    assert_int_equal(refused, 0);
    close_hand();
}

/* As of a kernel that knows rings, and no multishot receive; and of one that says what cannot be.
 */
static void a_kernel_that_says_something_else_is_not_asked_again(void **state) {
    (void)state;
    static const struct {
        void (*says)(struct io_uring_cqe *last);
        int32_t refusal;
    } cases[] = {{say_invalid, EINVAL}, {say_more, EPROTO}, {name_another, EPROTO}};
    for (size_t i = 0; i < 3; i++) {
        bool dry;
        open_hand();
        doctor = cases[i].says;
        send_sized(100, 2);
        assert_int_equal(get(&dry), 0);
        assert_false(dry);
        assert_int_equal(refused, cases[i].refusal);
        assert_false(uring_serves(&uring, &udp));
        assert_int_equal(uring.fd, -1);
        assert_int_equal(udp.ahead, 2); /* and what came is still ours */
        doctor = NULL;
        take_all(100);
        close_hand();
    }
}

static void say_earlier(struct io_uring_cqe *last) {
    if (last[-1].flags & IORING_CQE_F_BUFFER)
        last[-1].user_data--;
}

/* It may have been for a socket that was closed, or belongs to somebody else by now. */
static void what_an_earlier_receive_completes_is_nobodys(void **state) {
    (void)state;
    bool dry;
    open_hand();
    doctor = say_earlier; /* of two completions, the last of which ends the receive */
    send_sized(100, 1);
    assert_int_equal(get(&dry), 0);
    assert_true(dry);
    assert_int_equal(udp.ahead, 0);
    assert_int_equal(uring.free + uring.offered, URING_BUFFERS);
    assert_int_equal(refused, 0);
    close_hand();
}

static void a_descriptor_that_is_closed_is_an_error_and_no_reason_to_give_up(void **state) {
    (void)state;
    bool dry;
    open_hand();
    int kept = udp.fd;
    udp.fd = 1 << 20;
    assert_int_equal(get(&dry), EBADF);
    assert_false(dry);
    udp.fd = kept;
    send_sized(100, 1);
    assert_int_equal(get(&dry), 0);
    take_all(100);
    assert_int_equal(refused, 0);
    close_hand();
}

static void what_is_ahead_of_a_closed_socket_gives_its_buffers_back(void **state) {
    (void)state;
    bool dry;
    open_hand();
    for (int i = 0; i < 30; i++) { /* more than there are buffers */
        send_sized(100, 5);
        assert_int_equal(get(&dry), 0);
        assert_int_equal(udp.ahead, 5);
        assert_true(uring_waits(&uring));
        uring_forget(&uring, &udp);
        assert_false(uring_waits(&uring));
        assert_int_equal(uring.free + uring.offered, URING_BUFFERS);
    }
    close_hand();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_refused_at_open_is_told_and_plain_calls_do_it),
        cmocka_unit_test(one_worker_that_is_refused_speaks_for_all),
        cmocka_unit_test(many_small_ones_come_by_few_calls),
        cmocka_unit_test(what_was_received_ahead_is_opened_though_nothing_more_comes),
        cmocka_unit_test(a_call_that_fails_is_replaced_and_after_three_given_up),
        cmocka_unit_test(an_interrupted_call_is_made_again),
        cmocka_unit_test(what_is_refused_while_running_is_given_up_at_once),
        cmocka_unit_test(a_port_that_is_left_is_free_at_once),
        cmocka_unit_test(an_error_of_a_connected_socket_is_a_hint),
        cmocka_unit_test(what_is_ahead_of_a_socket_that_is_replaced_is_opened),
        cmocka_unit_test(an_error_behind_what_came_is_a_hint_and_what_came_counts),
        cmocka_unit_test(nothing_there_is_dry),
        cmocka_unit_test(small_ones_raise_what_is_offered_and_gathered_ones_lower_it),
        cmocka_unit_test(without_a_buffer_a_plain_call_has_to_do_it),
        cmocka_unit_test(completions_that_overflow_are_not_lost),
        cmocka_unit_test(an_empty_datagram_ends_a_receive_and_no_more),
        cmocka_unit_test(a_receive_that_is_cancelled_brings_what_it_has),
        cmocka_unit_test(a_kernel_that_says_something_else_is_not_asked_again),
        cmocka_unit_test(what_an_earlier_receive_completes_is_nobodys),
        cmocka_unit_test(a_descriptor_that_is_closed_is_an_error_and_no_reason_to_give_up),
        cmocka_unit_test(what_is_ahead_of_a_closed_socket_gives_its_buffers_back),
    };
    struct uring probe;
    memset(&probe, 0, sizeof(probe));
    probe.fd = -1;
    uring_open(&probe, false, &refused);
    uring_close(&probe);
    if (refused) {
        printf("io_uring is refused here (errno %d)\n", (int)refused);
        return 77;
    }
    return cmocka_run_group_tests_name("uring", tests, NULL, NULL);
}
