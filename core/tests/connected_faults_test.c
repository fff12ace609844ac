// LDFLAGS: -Wl,--wrap=socket -Wl,--wrap=bind -Wl,--wrap=connect
// LDFLAGS: -Wl,--wrap=sendmsg -Wl,--wrap=recvmsg -Wl,--wrap=epoll_ctl
/* What the kernel may refuse connected sockets, what forged ICMP makes of them (T24), and the
 * moment between bind and connect (T23), into which the test puts datagrams. */
#include "busy.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device.h"
#include "faults.h"
#include "registry.h"
#include "unit.h"

static struct busy busy;
static struct side *const side = &busy.side;

#define ONE BUSY_FIRST
#define TWO (BUSY_FIRST + 1)

static struct fault on_socket, on_bind, on_connect, on_send, on_receive, on_poll;
static _Atomic bool intrudes; /* before each connect to a peer */
static _Atomic uint32_t intruded;
static _Atomic bool came_in;
static _Atomic int poll_out; /* descriptor whose room is waited for; -1: none */
static _Atomic bool no_room; /* of connected ones it is never told */

static _Atomic bool full_at_once;
/* Only what the worker does: the test's own sockets are left alone. */
static _Atomic bool armed;

static bool fails(struct fault *fault) { return atomic_load(&armed) && strikes(fault, 0, 0); }

int __real_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol) {
    return fails(&on_socket) ? -1 : __real_socket(domain, type, protocol);
}

/* A datagram of each of many strangers: handshakes that are too short, which are counted. */
static void intrude(int fd) {
    uint8_t bytes[4];
    for (int i = 0; i < 32; i++) {
        struct shoal_address place;
        int stranger = stranger_open(SHOAL_AF_INET, &place);
        stranger_send(stranger, &side->outer, "\1\0\0\0", 4);
        close(stranger);
    }
    atomic_fetch_add(&intruded, 32);
    if (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_PEEK) == 4)
        atomic_store(&came_in, true);
}

/* What one peer sends while its socket is made, before bind and after connect, or while it leaves,
 * before and after that is connected to ourselves; in this order. */
struct scene {
    bool leaves; /* at which of both moments */
    bool waits;  /* the batch goes on when somebody had time to ask for a standstill */
    int there;   /* another place of the peer; -1: it does not move */
    uint32_t count;
    size_t lengths[4];
    uint8_t packets[4][256];
};
static struct scene *_Atomic scene; /* of the next moment of its kind */
static _Atomic bool played;

static void send_next(struct scene *of, int by) {
    of->lengths[of->count] = busy_send(&busy, ONE, by, of->packets[of->count]);
    of->count++;
}

/* As many as one turn takes, of the peer's session and forged. */
static void send_forged(void) {
    uint8_t message[64] = {4}; /* data, by a key that nobody has */
    uint32_t index = busy_index(&busy, ONE);
    memcpy(message + 4, &index, sizeof(index));
    for (int i = 0; i < 64; i++)
        stranger_send(busy.sockets[ONE], &side->outer, message, sizeof(message));
}

static struct scene *scene_of(bool leaves) {
    struct scene *now = atomic_load(&armed) ? atomic_load(&scene) : NULL;
    return now && now->leaves == leaves ? now : NULL;
}

static void play_before(struct scene *of) {
    if (of->there >= 0) {
        send_next(of, of->there);
        send_forged();
    }
    send_next(of, busy.sockets[ONE]);
}

static void play_after(struct scene *of) {
    send_next(of, busy.sockets[ONE]);
    atomic_store(&scene, NULL);
    atomic_store(&played, true);
    if (of->waits)
        usleep(100000);
}

int __real_bind(int fd, const struct sockaddr *name, socklen_t size);
int __wrap_bind(int fd, const struct sockaddr *name, socklen_t size);
int __wrap_bind(int fd, const struct sockaddr *name, socklen_t size) {
    if (fails(&on_bind))
        return -1;
    if (scene_of(false))
        play_before(scene_of(false));
    return __real_bind(fd, name, size);
}

int __real_connect(int fd, const struct sockaddr *name, socklen_t size);
int __wrap_connect(int fd, const struct sockaddr *name, socklen_t size);
int __wrap_connect(int fd, const struct sockaddr *name, socklen_t size) {
    if (fails(&on_connect))
        return -1;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)name;
    bool leaves = ntohs(v4->sin_port) == side->port;
    if (atomic_load(&armed) && atomic_load(&intrudes) && !leaves)
        intrude(fd);
    struct scene *now = scene_of(leaves);
    if (now && leaves)
        play_before(now);
    int result = __real_connect(fd, name, size);
    if (!leaves && atomic_exchange(&full_at_once, false)) {
        static uint8_t packet[256];
        plan(&on_send, EAGAIN, 1);
        side_write(side, packet, world_packet(packet, false, 1, ONE, 100, 1));
    }
    if (now)
        play_after(now);
    return result;
}

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags) {
    if (!message->msg_name && fails(&on_send)) /* by a connected socket */
        return -1;
    return __real_sendmsg(fd, message, flags);
}

ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags) {
    struct sockaddr_storage name;
    socklen_t size = sizeof(name);
    if (getpeername(fd, (struct sockaddr *)&name, &size) == 0 && fails(&on_receive))
        return -1;
    return __real_recvmsg(fd, message, flags);
}

int __real_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
    if (operation == EPOLL_CTL_ADD && fails(&on_poll))
        return -1;
    if (operation == EPOLL_CTL_MOD && event->events & EPOLLOUT)
        atomic_store(&poll_out, fd);
    struct sockaddr_storage name;
    socklen_t size = sizeof(name);
    if (atomic_load(&no_room) && getpeername(fd, (struct sockaddr *)&name, &size) == 0)
        event->events &= ~(uint32_t)EPOLLOUT;
    return __real_epoll_ctl(epoll, operation, fd, event);
}

static int descriptors(void) {
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static void start(uint32_t workers) {
    struct fault *const all[] = {&on_socket, &on_bind,    &on_connect,
                                 &on_send,   &on_receive, &on_poll};
    atomic_store(&armed, false);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        plan(all[i], 0, 0);
    atomic_store(&no_room, false);
    atomic_store(&intrudes, false);
    atomic_store(&intruded, 0);
    atomic_store(&came_in, false);
    atomic_store(&poll_out, -1);
    atomic_store(&scene, NULL);
    atomic_store(&played, false);
    busy_open(&busy, SHOAL_AF_INET, workers, 3, 4);
    atomic_store(&armed, true);
}

static void stop(void) {
    atomic_store(&armed, false);
    busy_close(&busy);
}

static int32_t last_error(void) {
    struct shoal_device_info info;
    assert_int_equal(shoal_device_info(side->device, &info, sizeof(info)), SHOAL_OK);
    return info.connected_error;
}

static void both_ways(int times) {
    for (int i = 0; i < times; i++) {
        busy_from(&busy, ONE, busy.sockets[ONE]);
        busy_to(&busy, ONE, busy.sockets[ONE]);
    }
}

static bool has_moved(void) {
    side->peer = busy.peers[ONE];
    struct shoal_peer_facts facts = side_facts(side);
    return memcmp(&facts.endpoint.remote, &busy.places[ONE], sizeof(busy.places[ONE])) != 0;
}

static void what_cannot_be_made_is_told_and_done_without(void **state) {
    (void)state;
    const struct {
        struct fault *fault;
        int error;
    } cases[] = {{&on_socket, EMFILE},
                 {&on_bind, EADDRINUSE},
                 {&on_connect, ENETUNREACH},
                 {&on_connect, EADDRNOTAVAIL},
                 {&on_poll, ENOSPC}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        start(1);
        int before = descriptors();
        plan(cases[i].fault, cases[i].error, 1);
        both_ways(20);
        assert_int_equal(side_counter(side, "connected_refused"), 1);
        assert_int_equal(last_error(), cases[i].error);
        busy_await(&busy, cases[i].fault == &on_poll ? busy_count(&busy) : 0);
        if (cases[i].fault != &on_poll) /* that one tries again at once */
            assert_int_equal(descriptors(), before);
        assert_int_equal(side_drops(side), 0);
        stop();
    }
}

/* For a moment the new socket is anybody's: who writes then is heard all the same, each once. */
static void what_comes_between_bind_and_connect_is_not_lost(void **state) {
    (void)state;
    for (uint32_t workers = 1; workers <= 3; workers += 2) {
        start(workers);
        atomic_store(&intrudes, true);
        busy_warm(&busy, ONE);
        busy_warm(&busy, TWO);
        side_await(side, "drop_handshake_length", 64);
        assert_int_equal(atomic_load(&intruded), 64);
        assert_true(atomic_load(&came_in));
        assert_int_equal(side_drops(side), 64);
        stop();
    }
}

/* Forged or not: the packet leaves by the shared socket, the caller has a hint, nothing moves. */
static void an_error_that_icmp_causes_is_a_hint(void **state) {
    (void)state;
    const int errors[] = {ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EPROTO, EMSGSIZE};
    struct shoal_mail mail;
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        start(1);
        busy_warm(&busy, ONE);
        both_ways(3);
        plan(&on_send, errors[i], 1);
        both_ways(3);
        assert_true(side_mail(side, SHOAL_MAIL_REFUSED, &mail, NULL));
        assert_int_equal(mail.tag, ONE);
        assert_int_equal(mail.value, errors[i]);
        assert_int_equal(side_counter(side, "connected_errors"), 1);
        assert_int_equal(busy_count(&busy), 1);
        assert_false(has_moved());
        assert_int_equal(side_counter(side, "tx_source_cleared"), 0);
        assert_int_equal(side_drops(side), 0);
        stop();
    }
}

static void a_socket_that_fails_twice_where_the_shared_one_sends_is_made_anew(void **state) {
    (void)state;
    start(1);
    busy_warm(&busy, ONE);
    both_ways(3);
    plan(&on_send, EINVAL, 2);
    both_ways(10);
    assert_int_equal(side_counter(side, "connected_refused"), 1);
    assert_int_equal(side_counter(side, "connected_opened"), 2);
    assert_false(has_moved());
    assert_int_equal(side_count_mail(side, SHOAL_MAIL_REFUSED), 1); /* once a second */
    assert_int_equal(side_drops(side), 0);
    stop();
}

static void an_error_that_a_receive_finds_is_a_hint(void **state) {
    (void)state;
    struct shoal_mail mail;
    if (getenv("SHOAL_TEST_IO")) {
        print_message("skipped: recvmsg is asked nothing; uring_test has the kernel's own error\n");
        skip();
    }
    start(3);
    busy_warm(&busy, ONE);
    both_ways(3);
    plan(&on_receive, ECONNREFUSED, 3);
    both_ways(3);
    assert_true(side_mail(side, SHOAL_MAIL_REFUSED, &mail, NULL));
    assert_int_equal(mail.tag, ONE);
    assert_true(side_counter(side, "connected_errors") >= 1);
    assert_int_equal(busy_count(&busy), 1);
    assert_false(has_moved());
    assert_int_equal(side_drops(side), 0);
    stop();
}

/* The kernel's own: the peer's port is closed for a while, and its ICMP says so. */
static void a_peer_whose_port_is_closed_for_a_while_is_still_there(void **state) {
    (void)state;
    struct shoal_mail mail;
    uint8_t packet[256];
    start(1);
    busy_warm(&busy, ONE);
    both_ways(3);
    uint16_t port = busy.places[ONE].port;
    close(busy.sockets[ONE]);
    for (int i = 0; i < 5; i++) {
        uint64_t sent = side_counter(side, "tx_packets");
        side_write(side, packet, world_packet(packet, false, 1, ONE, 100, 1));
        side_await(side, "tx_packets", sent + 1);
    }
    assert_true(side_mail(side, SHOAL_MAIL_REFUSED, &mail, NULL));
    assert_int_equal(mail.value, ECONNREFUSED);
    assert_false(has_moved());
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    atomic_store(&armed, false);
    busy.sockets[ONE] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(busy.sockets[ONE], (struct sockaddr *)&name, sizeof(name)), 0);
    both_ways(5);
    stop();
}

static void a_train_waits_for_the_room_of_its_own_socket(void **state) {
    (void)state;
    start(1);
    busy_warm(&busy, ONE);
    both_ways(3);
    plan(&on_send, EAGAIN, 1);
    busy_to(&busy, ONE, busy.sockets[ONE]); /* leaves when there is room, which there is */
    assert_int_equal(side_counter(side, "tx_blocked"), 1);
    struct sockaddr_in name;
    socklen_t size = sizeof(name);
    assert_int_equal(getpeername(atomic_load(&poll_out), (struct sockaddr *)&name, &size), 0);
    assert_int_equal(ntohs(name.sin_port), busy.places[ONE].port);
    both_ways(3);
    assert_int_equal(side_drops(side), 0);
    stop();
}

static void a_train_waits_for_the_room_of_a_socket_that_is_not_read_yet(void **state) {
    (void)state;
    uint8_t message[512];
    start(1);
    atomic_store(&full_at_once, true);
    busy_from(&busy, ONE, busy.sockets[ONE]);
    side_await(side, "tx_blocked", 1);
    assert_true(stranger_receive(busy.sockets[ONE], message, sizeof(message), WORLD_PATIENCE_MS));
    stop();
}

/* The socket that a train waits for leaves: the train goes by the shared one. */
static void a_train_outlives_the_socket_that_it_waits_for(void **state) {
    (void)state;
    uint8_t packet[256], message[512];
    start(1);
    busy_warm(&busy, ONE);
    both_ways(3);
    atomic_store(&no_room, true);
    plan(&on_send, EAGAIN, 1);
    side_write(side, packet, world_packet(packet, false, 1, ONE, 100, 1));
    side_await(side, "tx_blocked", 1);
    busy_switch(&busy, false);
    assert_true(stranger_receive(busy.sockets[ONE], message, sizeof(message), WORLD_PATIENCE_MS));
    both_ways(3);
    assert_int_equal(busy_count(&busy), 0);
    stop();
}

static void await_played(void) {
    uint64_t until = world_now() + WORLD_PATIENCE_MS * 1000000ull;
    while (!atomic_load(&played)) {
        assert_true(world_now() < until);
        usleep(1000);
    }
}

static void expect_in_order(const struct scene *of) {
    for (uint32_t i = 0; i < of->count; i++)
        side_expect(side, of->packets[i], of->lengths[i]);
}

/* By what the shared socket gives: what is sent from then on comes there as well, and later than
 * what lies in the own one. */
static void what_lies_in_a_socket_that_leaves_comes_before_what_is_sent_then(void **state) {
    (void)state;
    for (uint32_t workers = 1; workers <= 3; workers += 2) {
        struct scene leaving = {.leaves = true, .there = -1};
        start(workers);
        busy_by_own(&busy, ONE);
        atomic_store(&scene, &leaving);
        struct shoal_address place;
        int there = stranger_open(SHOAL_AF_INET, &place);
        busy_from(&busy, ONE, there);
        await_played();
        expect_in_order(&leaving);
        close(there);
        stop();
    }
}

static void a_socket_that_leaves_by_the_other_family_is_read_before_the_shared_one(void **state) {
    (void)state;
    struct scene leaving = {.leaves = true, .there = -1};
    struct shoal_address place, to4 = {.family = SHOAL_AF_INET, .ip = {127, 0, 0, 1}};
    uint8_t first[256], message[512], none[256];
    struct fault *const all[] = {&on_socket, &on_bind,    &on_connect,
                                 &on_send,   &on_receive, &on_poll};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        plan(all[i], 0, 0);
    atomic_store(&armed, false);
    atomic_store(&played, false);
    busy_open(&busy, SHOAL_AF_INET6, 1, 3, 4);
    to4.port = side->port;
    busy_by_own(&busy, ONE);
    int there = stranger_open(SHOAL_AF_INET, &place);
    uint64_t counter = busy.counters[ONE]++;
    size_t length = world_packet(first, false, ONE, 1, 100, (uint8_t)counter);
    size_t size = forge(message, 2, busy_index(&busy, ONE), counter, first, length);
    struct device *device = registry_acquire(side->device);
    device_stop(device);
    memset(none, 0, sizeof(none));
    side_write(side, none, 40); /* no packet: it wakes */
    usleep(50000);
    stranger_send(there, &to4, message, size);
    int other = stranger_open(SHOAL_AF_INET6, &place);
    stranger_send(other, &side->outer, "\1\0\0\0", 4);
    atomic_store(&scene, &leaving);
    atomic_store(&armed, true);
    device_resume(device);
    registry_release(side->device);
    await_played();
    side_expect(side, first, length);
    expect_in_order(&leaving);
    close(there);
    close(other);
    stop();
}

/* A standstill reads the shared socket when nothing is gathered: not before what leaves. */
static void a_standstill_reads_a_socket_that_leaves_before_the_shared_one(void **state) {
    (void)state;
    const uint32_t queue = SHOAL_OFFLOAD_QUEUE_CONTROL;
    struct scene leaving = {.leaves = true, .there = -1, .waits = true};
    start(1);
    assert_int_equal(shoal_device_set_offloads(side->device, SHOAL_OFFLOAD_UDP_GRO, 0), SHOAL_OK);
    busy_by_own(&busy, ONE);
    atomic_store(&scene, &leaving);
    struct shoal_address place;
    uint8_t first[256];
    int there = stranger_open(SHOAL_AF_INET, &place);
    size_t length = busy_send(&busy, ONE, there, first);
    await_played();
    assert_int_equal(shoal_device_set_offloads(side->device, queue, 0), SHOAL_OK);
    side_expect(side, first, length);
    expect_in_order(&leaving);
    close(there);
    stop();
}

/* ---- One step after the other, at a standstill ---- */

static struct device *device;
static struct pass *pass;

static struct peer *halt(void) {
    device = registry_acquire(side->device);
    device_stop(device);
    pass = &device->workers[0]->pass;
    return peer_table_find(&device->plane.peers, busy.peers[ONE]);
}

static void go_on(void) {
    device_resume(device);
    registry_release(side->device);
}

/* What the end of a batch does for a peer that was busy in it. */
static void settle_for(struct peer *peer) {
    peer->connect_again = pass->connected.next_try = 0;
    pass->connected.wish = peer;
    connected_settle(pass);
}

/* It has no socket, and may get one: its worker knows both addresses. */
static struct peer *halt_without_a_socket(void) {
    start(1);
    busy_switch(&busy, false);
    busy_from(&busy, ONE, busy.sockets[ONE]);
    busy_switch(&busy, true);
    return halt();
}

static void all_that_close_give_what_came_before_they_were_made_first(void **state) {
    (void)state;
    struct scene opening = {.leaves = false, .there = -1};
    struct peer *peer = halt_without_a_socket();
    send_next(&opening, busy.sockets[ONE]);
    settle_for(peer);
    assert_int_equal(pass->connected.waits, 1);
    send_next(&opening, busy.sockets[ONE]);
    connected_close_all(pass);
    assert_int_equal(pass->connected.used, 0);
    go_on();
    expect_in_order(&opening);
    stop();
}

static void a_drain_of_the_shared_socket_stops_for_one_that_leaves_by_it(void **state) {
    (void)state;
    struct scene leaving = {.leaves = true, .there = -1};
    struct shoal_address place;
    uint8_t first[256];
    start(1);
    busy_by_own(&busy, ONE);
    int there = stranger_open(SHOAL_AF_INET, &place);
    (void)halt();
    size_t length = busy_send(&busy, ONE, there, first);
    atomic_store(&scene, &leaving);
    connected_drain_shared(pass, PASS_INET);
    assert_true(atomic_load(&played));
    go_on();
    side_expect(side, first, length);
    expect_in_order(&leaving);
    close(there);
    stop();
}

/* Two sockets for one place: the kernel would bring some to the one and some to the other. */
static void a_peer_that_moves_to_and_fro_waits_until_its_first_socket_has_gone(void **state) {
    (void)state;
    struct peer *peer = halt_without_a_socket();
    settle_for(peer);
    assert_int_equal(pass->connected.used, 1);
    struct shoal_endpoint home = peer->endpoint;
    peer->endpoint.remote.port++;
    connected_follow(pass, peer);
    assert_int_equal(pass->connected.goes, 1);
    peer->endpoint = home;
    settle_for(peer);
    assert_int_equal(pass->connected.used, 1);
    assert_int_equal(peer->connected, 0);
    go_on();
    busy_by_own(&busy, ONE);
    stop();
}

static void of_a_peer_that_goes_nothing_is_thought_any_more(void **state) {
    (void)state;
    struct peer *peer = halt_without_a_socket();
    pass->connected.wish = peer;
    connected_forget(pass, peer);
    assert_null(pass->connected.wish);
    go_on();
    stop();
}

/* Its peer moves before the shared socket has given what came earlier. */
static void a_socket_that_leaves_before_it_is_read_gives_nothing_too_early(void **state) {
    (void)state;
    struct scene opening = {.leaves = false};
    struct shoal_address place;
    start(3);
    assert_int_equal(shoal_device_set_offloads(side->device, SHOAL_OFFLOAD_TUN_USO, 0), SHOAL_OK);
    opening.there = stranger_open(SHOAL_AF_INET, &place);
    atomic_store(&scene, &opening);
    busy_from(&busy, ONE, busy.sockets[ONE]); /* the first message of a peer gives it a socket */
    await_played();
    expect_in_order(&opening);
    close(opening.there);
    stop();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_made_is_told_and_done_without),
        cmocka_unit_test(what_comes_between_bind_and_connect_is_not_lost),
        cmocka_unit_test(an_error_that_icmp_causes_is_a_hint),
        cmocka_unit_test(a_socket_that_fails_twice_where_the_shared_one_sends_is_made_anew),
        cmocka_unit_test(an_error_that_a_receive_finds_is_a_hint),
        cmocka_unit_test(a_peer_whose_port_is_closed_for_a_while_is_still_there),
        cmocka_unit_test(a_train_waits_for_the_room_of_its_own_socket),
        cmocka_unit_test(a_train_waits_for_the_room_of_a_socket_that_is_not_read_yet),
        cmocka_unit_test(a_train_outlives_the_socket_that_it_waits_for),
        cmocka_unit_test(what_lies_in_a_socket_that_leaves_comes_before_what_is_sent_then),
        cmocka_unit_test(a_socket_that_leaves_by_the_other_family_is_read_before_the_shared_one),
        cmocka_unit_test(a_standstill_reads_a_socket_that_leaves_before_the_shared_one),
        cmocka_unit_test(all_that_close_give_what_came_before_they_were_made_first),
        cmocka_unit_test(a_drain_of_the_shared_socket_stops_for_one_that_leaves_by_it),
        cmocka_unit_test(a_peer_that_moves_to_and_fro_waits_until_its_first_socket_has_gone),
        cmocka_unit_test(of_a_peer_that_goes_nothing_is_thought_any_more),
        cmocka_unit_test(a_socket_that_leaves_before_it_is_read_gives_nothing_too_early),
    };
    return cmocka_run_group_tests_name("connected faults", tests, NULL, NULL);
}
