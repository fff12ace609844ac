// LDFLAGS: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc
// LDFLAGS: -Wl,--wrap=socket,--wrap=socketpair,--wrap=bind,--wrap=getsockname,--wrap=setsockopt
// LDFLAGS: -Wl,--wrap=eventfd,--wrap=epoll_create1,--wrap=epoll_ctl,--wrap=pthread_create
// LDFLAGS: -Wl,--wrap=open,--wrap=ioctl,--wrap=fcntl,--wrap=send,--wrap=recv
/* In the life of a device every allocation fails once, libcrypto's included, and every system call
 * of its setting up: each in turn, one a life. The call that meets it says so, the device lives on
 * or was never there, and no descriptor, thread or interface stays behind (T31; memory that stays
 * is the leak sanitizer's to find). */
#include "world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "namespace.h"
#include "unit.h"

/* ---- Faults ---- */

static struct {
    _Atomic bool memory;       /* which of the two is counted */
    _Atomic int error;         /* of system calls */
    _Atomic int left;          /* calls before the one that fails; negative: none will */
    const char *_Atomic which; /* that failed */
} fault = {.left = -1};

static bool fails(bool memory, const char *which) {
    if (memory != atomic_load(&fault.memory) || atomic_load(&fault.left) < 0 ||
        atomic_fetch_sub(&fault.left, 1) != 0)
        return false;
    atomic_store(&fault.which, which);
    errno = memory ? ENOMEM : atomic_load(&fault.error);
    return true;
}

#define WRAP(type, name, declared, passed, refusal, memory)                                        \
    type __real_##name declared;                                                                   \
    type __wrap_##name declared;                                                                   \
    type __wrap_##name declared { return fails(memory, #name) ? refusal : __real_##name passed; }

WRAP(void *, malloc, (size_t size), (size), NULL, true)
WRAP(void *, calloc, (size_t n, size_t size), (n, size), NULL, true)
WRAP(void *, realloc, (void *old, size_t size), (old, size), NULL, true)
WRAP(void *, aligned_alloc, (size_t alignment, size_t size), (alignment, size), NULL, true)
WRAP(int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1, false)
WRAP(int, socketpair, (int domain, int type, int protocol, int *fds), (domain, type, protocol, fds),
     -1, false)
WRAP(int, bind, (int fd, const struct sockaddr *name, socklen_t size), (fd, name, size), -1, false)
WRAP(int, getsockname, (int fd, struct sockaddr *name, socklen_t *size), (fd, name, size), -1,
     false)
WRAP(int, setsockopt, (int fd, int level, int option, const void *value, socklen_t size),
     (fd, level, option, value, size), -1, false)
WRAP(int, eventfd, (unsigned value, int flags), (value, flags), -1, false)
WRAP(int, epoll_create1, (int flags), (flags), -1, false)
WRAP(int, epoll_ctl, (int epoll, int operation, int fd, struct epoll_event *event),
     (epoll, operation, fd, event), -1, false)
WRAP(int, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument),
     (thread, attributes, run, argument), EAGAIN, false)
WRAP(int, open, (const char *path, int flags), (path, flags), -1, false)
WRAP(int, ioctl, (int fd, unsigned long request, void *argument), (fd, request, argument), -1,
     false)
WRAP(int, fcntl, (int fd, int command, long argument), (fd, command, argument), -1, false)
WRAP(ssize_t, send, (int fd, const void *bytes, size_t length, int flags),
     (fd, bytes, length, flags), -1, false)
WRAP(ssize_t, recv, (int fd, void *bytes, size_t length, int flags), (fd, bytes, length, flags), -1,
     false)

static void *crypto_malloc(size_t size, const char *file, int line) {
    (void)file, (void)line;
    return size == 0 || fails(true, "CRYPTO_malloc") ? NULL : __real_malloc(size);
}

static void *crypto_realloc(void *old, size_t size, const char *file, int line) {
    (void)file, (void)line;
    return fails(true, "CRYPTO_realloc") ? NULL : __real_realloc(old, size);
}

static void crypto_free(void *old, const char *file, int line) {
    (void)file, (void)line;
    free(old);
}

/* ---- A life ---- */

#define PEERS 3
#define ROUTES 20    /* a peer: the arena of nodes has to grow */
#define SESSIONS 12u /* a peer: the table of sessions has to */

static bool with_interface;
static struct shoal_error error;

static void expect_told(int32_t status, const char *call) {
    switch (status) {
    case SHOAL_OK:
    case SHOAL_E_MEMORY:
    case SHOAL_E_SYSTEM:
        return;
    default:
        fail_msg("%s gave %d when %s failed", call, status, atomic_load(&fault.which));
    }
}
#define TELLS(call) expect_told(call, #call)

/* @return false when it did not open, and said why. */
static bool open_one(struct side *side) {
    struct shoal_device_config config = {
        .abi_version = SHOAL_ABI_VERSION, .ifname = "sh0", .aead = "openssl", .peers_max = 100};
    int pair[2] = {-1, -1}, left = atomic_exchange(&fault.left, -1);
    memset(side, 0, sizeof(*side));
    if (!with_interface) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        config.flags = SHOAL_DEVICE_TUN_FD | SHOAL_DEVICE_TUN_FD_VNET;
    }
    config.tun_fd = pair[1];
    side->tun = pair[0];
    atomic_store(&fault.left, left);
    world_choose_io(&config);
    int32_t status =
        shoal_device_open(&config, sizeof(config), &side->device, &error, sizeof(error));
    expect_told(status, "open");
    if (status == SHOAL_OK)
        return true;
    assert_int_equal(error.status, status);
    assert_int_not_equal(error.sys_errno, 0);
    assert_int_not_equal(error.what[0], 0);
    atomic_store(&fault.left, -1);
    if (with_interface)
        shell("! ip link show sh0 2>/dev/null");
    else
        assert_int_equal(close(pair[0]) + close(pair[1]), 0); /* both still the caller's */
    return false;
}

static void populate(struct side *side) {
    struct shoal_endpoint endpoint = {.remote = {SHOAL_AF_INET, 9, 0, {127, 0, 0, 1}}};
    const uint8_t key[32] = {9};
    uint16_t port;
    TELLS(shoal_device_set_identity(side->device, key, sizeof(key)));
    TELLS(shoal_device_bind(side->device, 0, 0, &port, &error, sizeof(error)));
    for (uint8_t i = 0; i < PEERS; i++) {
        shoal_peer_t peer;
        int32_t status = shoal_peer_add(side->device, i, &peer);
        expect_told(status, "peer_add");
        if (status != SHOAL_OK)
            continue;
        for (uint8_t n = 0; n < ROUTES; n++) {
            struct shoal_prefix prefix = {SHOAL_AF_INET, 32, {10, 9, i, n}};
            TELLS(shoal_route_add(side->device, peer, &prefix, sizeof(prefix)));
        }
        assert_int_equal(shoal_peer_set_endpoint(side->device, peer, &endpoint, sizeof(endpoint)),
                         SHOAL_OK);
        for (uint32_t n = 0; n < SESSIONS; n++) {
            struct shoal_session session = world_session(side, 1 + n % 2, 1000u * i + n, 5, 0);
            TELLS(shoal_session_install(side->device, peer, &session, sizeof(session)));
        }
        if (i > 0)
            assert_int_equal(shoal_peer_remove(side->device, peer), SHOAL_OK);
    }
    assert_int_equal(shoal_device_set_offloads(side->device, SHOAL_OFFLOAD_ALL, 0), SHOAL_OK);
    TELLS(shoal_device_bind(side->device, 0, 0, &port, &error, sizeof(error)));
    assert_int_equal(shoal_device_unbind(side->device), SHOAL_OK);
}

static void configure(struct side *side) {
    struct shoal_prefix address = {SHOAL_AF_INET, 24, {10, 9, 0, 1}};
    TELLS(shoal_link_set(side->device, 1400, 1, &error, sizeof(error)));
    TELLS(shoal_link_address(side->device, &address, sizeof(address), 1, &error, sizeof(error)));
    struct shoal_prefix elsewhere = {SHOAL_AF_INET, 24, {10, 9, 1, 0}};
    TELLS(shoal_link_route(side->device, &elsewhere, sizeof(elsewhere), &error, sizeof(error)));
}

/* From opening to closing. @return whether the fault was met on the way. */
static bool live(int when) {
    struct side side;
    uint16_t port;
    atomic_store(&fault.left, when);
    if (!open_one(&side))
        return true;
    struct shoal_device_info info;
    assert_int_equal(shoal_device_info(side.device, &info, sizeof(info)), SHOAL_OK);
    assert_int_equal(info.mtu, 1420);
    assert_int_equal(info.ifindex != 0, with_interface);
    if (with_interface)
        configure(&side);
    else
        populate(&side);
    bool met = atomic_exchange(&fault.left, -1) < 0;
    struct shoal_endpoint self = {.remote = {SHOAL_AF_INET, 9, 0, {127, 0, 0, 1}}};
    assert_int_equal(shoal_device_bind(side.device, 0, 0, &port, &error, sizeof(error)), SHOAL_OK);
    assert_int_equal(
        shoal_datagram_send(side.device, &self, sizeof(self), 0, (const uint8_t *)"x", 1),
        SHOAL_OK); /* it is none the worse for it */
    side.doorbell = info.doorbell_fd;
    assert_int_equal(shoal_device_close(side.device), SHOAL_OK);
    close(side.doorbell);
    if (!with_interface)
        close(side.tun);
    return met;
}

static int entries(const char *path) {
    int count = 0;
    DIR *folder = opendir(path);
    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

/* A thread that was joined is in /proc for a moment longer: the kernel wakes who joins it first. */
static bool is_as_before(int descriptors, int threads) {
    for (int ms = 0; ms < 1000; ms++) {
        if (entries("/proc/self/fd") == descriptors && entries("/proc/self/task") == threads)
            return true;
        usleep(1000);
    }
    return false;
}

static void fail_each(bool memory, int system_error) {
    atomic_store(&fault.memory, memory);
    atomic_store(&fault.error, system_error);
    live(-1); /* what is made once a process is made */
    int descriptors = entries("/proc/self/fd"), threads = entries("/proc/self/task"), n = 0;
    for (; live(n); n++) {
        if (!is_as_before(descriptors, threads))
            fail_msg("%s, which failed, left something open", atomic_load(&fault.which));
        assert_true(n < 2000);
    }
    assert_true(n > 25); /* or little of it was counted */
}

static void a_device_outlives_any_failure(void **state) {
    (void)state;
    with_interface = false;
    fail_each(true, 0);
    fail_each(false, EMFILE);
    fail_each(false, EPERM);
}

static void a_device_with_an_interface_outlives_any_failure(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    with_interface = true; /* a kernel needs 50 ms to part with one */
    fail_each(false, ENOBUFS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_outlives_any_failure),
        cmocka_unit_test(a_device_with_an_interface_outlives_any_failure),
    };
    if (CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) != 1)
        return 1;
    return cmocka_run_group_tests_name("failures", tests, namespace_enter, NULL);
}
