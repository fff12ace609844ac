/* What comes past the tunnel with a source in the inner network, for one of our own inner
 * addresses, is dropped by the kernel, and nothing else is. Real interfaces in namespaces of the
 * test's own. */
// LDFLAGS: -Wl,--wrap=mnl_socket_recvfrom
#include "guard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#include "namespace.h"
#include "unit.h"
#include "world.h"

/*
 *      t0 10.9.0.1/24 fd09::1/64 ──── t1    the tunnel, as far as the guard can know
 *      u0 10.8.0.2/24 fd08::2/64 ──── u1    the wire; 10.9.0.99/32, fd09::63/128, a place of ours
 * in the underlay, is on it, too The far machine speaks as 10.9.0.200 and fd09::c8, as a peer
 * would, or as 10.8.0.1 and fd08::1.
 */
#define PORT 9999
#define PEER 0xc8
#define INNER 1
#define OTHER 2
#define UNDERLAY 0x63
#define LOSS_MS 100 /* in which nothing comes that is dropped */

static pid_t far;
static const struct shoal_prefix inner[] = {
    {SHOAL_AF_INET, 24, {10, 9, 0, INNER}},
    {SHOAL_AF_INET6, 64, {0xfd, 9, [15] = INNER}},
};

static int set_up(void **state) {
    if (namespace_enter(state) != 0 || namespace_missing)
        return 0;
    far = namespace_other();
    shell("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0"
          " net.ipv6.conf.default.accept_dad=0");
    shell("ip link add t0 type veth peer name t1 netns %d", far);
    shell("ip link add u0 type veth peer name u1 netns %d", far);
    shell("ip addr add 10.9.0.1/24 dev t0; ip addr add fd09::1/64 dev t0 nodad;"
          " ip addr add 10.9.0.2/24 dev t0; ip addr add fd09::2/64 dev t0 nodad;"
          " ip addr add 10.8.0.2/24 dev u0; ip addr add fd08::2/64 dev u0 nodad;"
          " ip addr add 10.9.0.99/32 dev u0; ip addr add fd09::63/128 dev u0 nodad;"
          " ip link set t0 up; ip link set u0 up");
    shell("nsenter -t %d -n sh -c 'ip link set lo up; ip addr add 10.9.0.200/32 dev lo;"
          " ip addr add fd09::c8/128 dev lo nodad; ip addr add 10.7.0.1/24 dev t1;"
          " ip addr add fd07::1/64 dev t1 nodad; ip addr add 10.8.0.1/24 dev u1;"
          " ip addr add fd08::1/64 dev u1 nodad; ip link set t1 up; ip link set u1 up'",
          far);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    if (far)
        namespace_end(far);
    return 0;
}

/* The far machine sends to our addresses by the tunnel, or by the wire to our place there. */
static void lead(bool tunnel) {
    shell("nsenter -t %d -n sh -c 'for h in 1 2 99; do ip route replace 10.9.0.$h %s; done;"
          " for h in 1 2 63; do ip -6 route replace fd09::$h %s; done'",
          far, tunnel ? "dev t1" : "via 10.8.0.2 dev u1", tunnel ? "dev t1" : "via fd08::2 dev u1");
}

static struct sockaddr_storage place(bool v6, uint8_t net, uint8_t host, uint16_t port) {
    struct sockaddr_storage place = {.ss_family = v6 ? AF_INET6 : AF_INET};
    if (v6) {
        struct sockaddr_in6 *to = (struct sockaddr_in6 *)&place;
        to->sin6_port = htons(port);
        to->sin6_addr = (struct in6_addr){.s6_addr = {0xfd, net, [15] = host}};
    } else {
        struct sockaddr_in *to = (struct sockaddr_in *)&place;
        to->sin_port = htons(port);
        to->sin_addr.s_addr = htonl(10u << 24 | (uint32_t)net << 16 | host);
    }
    return place;
}

static int open_at(struct sockaddr_storage at) {
    int fd = socket(at.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

static int open_far(struct sockaddr_storage at) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/ns/net", far);
    int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there = open(path, O_RDONLY);
    assert_int_equal(setns(there, CLONE_NEWNET), 0);
    int fd = open_at(at);
    assert_int_equal(setns(here, CLONE_NEWNET), 0);
    close(here);
    close(there);
    return fd;
}

/* Whether a datagram from `source`, which it closes, arrives at an address of ours in this time. */
static bool arrives(int source, struct sockaddr_storage to, int patience_ms) {
    int ours = open_at(to);
    char byte = 'x';
    assert_int_equal(sendto(source, &byte, 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
    struct pollfd waited = {.fd = ours, .events = POLLIN};
    bool came = poll(&waited, 1, patience_ms) == 1;
    close(ours);
    close(source);
    return came;
}

/* The far machine speaks as a host of a network to one of ours: that arrives. */
static void expect_heard(bool v6, uint8_t net, uint8_t host, uint8_t to) {
    assert_true(
        arrives(open_far(place(v6, net, host, 0)), place(v6, 9, to, PORT), WORLD_PATIENCE_MS));
}

/* It speaks as a peer, which had arrived before. */
static void expect_unheard(bool v6, uint8_t to) {
    assert_false(arrives(open_far(place(v6, 9, PEER, 0)), place(v6, 9, to, PORT), LOSS_MS));
}

static struct guard *guard_of(const char *ifname, const struct shoal_prefix *addresses,
                              uint32_t count) {
    struct guard *guard = guard_open(ifname);
    assert_non_null(guard);
    assert_int_equal(guard_set(guard, if_nametoindex("t0"), addresses, count), 0);
    return guard;
}

static void what_comes_past_the_tunnel_in_a_peers_name_is_dropped_and_counted(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    lead(false);
    for (int v6 = 0; v6 < 2; v6++)
        expect_heard(v6, 9, PEER, INNER); /* else the kernel drops it by itself */
    struct guard *guard = guard_of("t0", inner, 2);
    for (unsigned v6 = 0; v6 < 2; v6++) {
        expect_unheard(v6, INNER);
        assert_int_equal(guard_drops(guard), v6 + 1);
    }
    guard_close(guard);
}

static void what_comes_past_the_tunnel_in_our_own_name_is_dropped_wherever_it_is_for(void **state) {
    (void)state; /* where this machine forwards it would leave by the tunnel; IPv4 is Linux's own */
    NEEDS_NAMESPACE;
    lead(false);
    shell("nsenter -t %d -n ip addr add fd09::1/128 dev lo nodad", far);
    shell("nsenter -t %d -n ip -6 route del fd09::1; true", far);
    for (int guarded = 0; guarded < 2; guarded++) {
        struct guard *guard = guarded ? guard_of("t0", inner, 2) : NULL;
        bool came = arrives(open_far(place(true, 9, INNER, 0)), place(true, 9, UNDERLAY, PORT),
                            guarded ? LOSS_MS : WORLD_PATIENCE_MS);
        assert_int_equal(came, !guarded);
        if (guard) {
            assert_int_equal(guard_drops(guard), 1);
            guard_close(guard);
        }
    }
    shell("nsenter -t %d -n ip addr del fd09::1/128 dev lo", far);
}

static void what_comes_otherwise_arrives_as_before(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    struct guard *guard = guard_of("t0", inner, 2);
    for (int v6 = 0; v6 < 2; v6++) {
        lead(false);
        expect_heard(v6, 9, PEER, UNDERLAY); /* a datagram of the underlay */
        expect_heard(v6, 8, 1, INNER);       /* a container, by its own address */
        assert_true(arrives(open_at(place(v6, 9, INNER, 0)), place(v6, 9, INNER, PORT), LOSS_MS));
        assert_true(arrives(open_at(place(v6, 9, OTHER, 0)), place(v6, 9, INNER, PORT), LOSS_MS));
        lead(true);
        expect_heard(v6, 9, PEER, INNER);
    }
    assert_int_equal(guard_drops(guard), 0);
    guard_close(guard);
}

static void other_addresses_replace_those_before_and_what_was_counted_stays(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    lead(false);
    struct shoal_prefix others[] = {inner[0], inner[1]};
    others[0].ip[3] = others[1].ip[15] = OTHER;
    struct guard *guard = guard_of("t0", inner, 2);
    expect_unheard(true, INNER);
    assert_int_equal(guard_set(guard, if_nametoindex("t0"), others, 2), 0);
    for (int v6 = 0; v6 < 2; v6++) {
        expect_heard(v6, 9, PEER, INNER);
        expect_unheard(v6, OTHER);
    }
    assert_int_equal(guard_set(guard, if_nametoindex("t0"), others, 1), 0); /* IPv6 was given up */
    expect_heard(true, 9, PEER, OTHER);
    expect_unheard(false, OTHER);
    assert_int_equal(guard_set(guard, if_nametoindex("t0"), NULL, 0), 0);
    expect_heard(false, 9, PEER, OTHER);
    assert_int_equal(guard_drops(guard), 4);
    guard_close(guard);
}

static void
an_interface_that_is_renamed_is_guarded_and_so_is_the_one_that_has_its_name(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    lead(false);
    struct guard *first = guard_of("a\"b;{}$name#15", inner, 1); /* each one that ip(8) takes */
    struct guard *second = guard_of("a\"b;{}$name#15", &inner[1], 1);
    shell("ip link set t0 down; ip link set t0 name t9; ip link set t9 up;"
          " ip addr replace fd09::1/64 dev t9 nodad; ip addr replace fd09::2/64 dev t9 nodad");
    for (int v6 = 0; v6 < 2; v6++)
        expect_unheard(v6, INNER);
    assert_int_equal(guard_drops(first), 1);
    assert_int_equal(guard_drops(second), 1);
    lead(true);
    for (int v6 = 0; v6 < 2; v6++)
        expect_heard(v6, 9, PEER, INNER);
    guard_close(first);
    guard_close(second);
    shell("ip link set t9 down; ip link set t9 name t0; ip link set t0 up;"
          " ip addr replace fd09::1/64 dev t0 nodad; ip addr replace fd09::2/64 dev t0 nodad");
}

static int
    answers_to_lose; /* receive calls that say ENOBUFS, as the kernel where no memory is free */

ssize_t __real_mnl_socket_recvfrom(const struct mnl_socket *socket, void *bytes, size_t size);
ssize_t __wrap_mnl_socket_recvfrom(const struct mnl_socket *socket, void *bytes, size_t size);
ssize_t __wrap_mnl_socket_recvfrom(const struct mnl_socket *socket, void *bytes, size_t size) {
    ssize_t length = __real_mnl_socket_recvfrom(socket, bytes, size);
    if (length < 0 || !answers_to_lose)
        return length;
    answers_to_lose--;
    errno = ENOBUFS;
    return -1;
}

static void after_an_answer_that_was_lost_there_is_one_table_that_guards(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    lead(false);
    struct guard *guard = guard_open("t0"), *namesake = guard_open("t0");
    assert_non_null(guard);
    assert_non_null(namesake);
    for (uint32_t count = 2; count > 0; count--) { /* of the table, and of other rules */
        answers_to_lose = 1;
        assert_int_equal(guard_set(guard, if_nametoindex("t0"), inner, count), ENOBUFS);
    }
    assert_int_equal(guard_set(guard, if_nametoindex("t0"), inner, 2), 0);
    shell("test $(nft list tables | grep -c shoal) = 1");
    answers_to_lose = 1; /* a refusal: the name is taken */
    assert_int_equal(guard_set(namesake, if_nametoindex("t0"), inner, 1), ENOBUFS);
    assert_int_equal(guard_set(namesake, if_nametoindex("t0"), inner, 1), 0);
    shell("test $(nft list tables | grep -c shoal) = 2");
    guard_close(namesake);
    for (int v6 = 0; v6 < 2; v6++)
        expect_unheard(v6, INNER);
    assert_int_equal(guard_drops(guard), 2);
    guard_close(guard);
}

static void the_table_goes_with_the_process_that_made_it(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    lead(false);
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct guard *guard = guard_open("t0");
        bool made = guard && guard_set(guard, if_nametoindex("t0"), inner, 2) == 0;
        if (write(ready[1], "x", made ? 1 : 0) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    expect_unheard(true, INNER);
    namespace_end(child); /* SIGKILL */
    expect_heard(true, 9, PEER, INNER);
    close(ready[0]);
    close(ready[1]);
}

static void without_the_right_nothing_is_guarded_and_the_errno_says_so(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    pid_t child = fork();
    if (child == 0) {
        struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
        if (syscall(SYS_capset, &head, none) != 0)
            _exit(1);
        struct guard *guard = guard_open("t0");
        _exit(guard && guard_set(guard, if_nametoindex("t0"), inner, 2) == EPERM &&
                      guard_drops(guard) == 0
                  ? 0
                  : 2);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void a_device_guards_its_addresses_until_it_closes(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    lead(false);
    struct side side = {0};
    struct shoal_error error;
    struct shoal_device_config config = {
        .abi_version = SHOAL_ABI_VERSION, .ifname = "sh0", .aead = "openssl"};
    world_choose_io(&config);
    assert_int_equal(
        shoal_device_open(&config, sizeof(config), &side.device, &error, sizeof(error)), SHOAL_OK);
#define GUARD(addresses, size, count)                                                              \
    shoal_link_guard(side.device, addresses, size, count, &error, sizeof(error))
    assert_int_equal(GUARD(inner, sizeof(inner), 1), SHOAL_E_SIZE);
    assert_int_equal(GUARD(inner, 3 * sizeof(inner[0]), 3), SHOAL_E_INVALID);
    assert_int_equal(GUARD(NULL, sizeof(inner), 2), SHOAL_E_INVALID);
    struct shoal_prefix wrong = {SHOAL_AF_INET, 33, {0}};
    assert_int_equal(GUARD(&wrong, sizeof(wrong), 1), SHOAL_E_INVALID);
    assert_int_equal(side_counter(&side, "drop_guard"), 0);
    assert_int_equal(GUARD(inner, sizeof(inner), 2), SHOAL_OK);
    for (int v6 = 0; v6 < 2; v6++)
        expect_unheard(v6, INNER);
    assert_int_equal(side_counter(&side, "drop_guard"), 2);
    struct shoal_device_info info;
    assert_int_equal(shoal_device_info(side.device, &info, sizeof(info)), SHOAL_OK);
    assert_int_equal(shoal_device_close(side.device), SHOAL_OK);
    close(info.doorbell_fd);
    expect_heard(true, 9, PEER, INNER);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_past_the_tunnel_in_a_peers_name_is_dropped_and_counted),
        cmocka_unit_test(what_comes_past_the_tunnel_in_our_own_name_is_dropped_wherever_it_is_for),
        cmocka_unit_test(what_comes_otherwise_arrives_as_before),
        cmocka_unit_test(other_addresses_replace_those_before_and_what_was_counted_stays),
        cmocka_unit_test(
            an_interface_that_is_renamed_is_guarded_and_so_is_the_one_that_has_its_name),
        cmocka_unit_test(after_an_answer_that_was_lost_there_is_one_table_that_guards),
        cmocka_unit_test(the_table_goes_with_the_process_that_made_it),
        cmocka_unit_test(without_the_right_nothing_is_guarded_and_the_errno_says_so),
        cmocka_unit_test(a_device_guards_its_addresses_until_it_closes),
    };
    return cmocka_run_group_tests_name("guard", tests, set_up, tear_down);
}
