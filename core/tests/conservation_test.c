// LDFLAGS: -Wl,--wrap=sendmsg,--wrap=recvmsg,--wrap=writev
/* T25 at large: packets of six peers both ways, a kernel that refuses whatever it likes, and
 * commands in any order. At the end every frame that was read has left, waits or is counted under
 * one reason, and every message that opened came out or is counted likewise. */
#include "world.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "random.h"
#include "unit.h"

#define PEERS 6u
#define OFFLOADS (SHOAL_OFFLOAD_UDP_GSO | SHOAL_OFFLOAD_UDP_GRO) /* a frame stays one packet */

/* ---- A kernel that refuses ---- */

static _Atomic uint32_t refusals; /* of 100 calls */
static _Atomic uint64_t calls;

static bool refuses(const int *errors, uint32_t count) {
    struct random random = {.state = atomic_fetch_add(&calls, 1)};
    if (random_below(&random, 100) >= atomic_load(&refusals))
        return false;
    errno = errors[random_below(&random, count)];
    return true;
}

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags) {
    static const int errors[] = {EAGAIN,  EAGAIN, EAGAIN,      EIO,           EINVAL, EMSGSIZE,
                                 ENOBUFS, EPERM,  ENETUNREACH, EADDRNOTAVAIL, EINTR,  ECONNREFUSED};
    return refuses(errors, 12) ? -1 : __real_sendmsg(fd, message, flags);
}

ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags) {
    static const int errors[] = {EINTR, ECONNREFUSED};
    return refuses(errors, 2) ? -1 : __real_recvmsg(fd, message, flags);
}

ssize_t __real_writev(int fd, const struct iovec *parts, int count);
ssize_t __wrap_writev(int fd, const struct iovec *parts, int count);
ssize_t __wrap_writev(int fd, const struct iovec *parts, int count) {
    static const int errors[] = {EIO, EINVAL, ENOMEM, EAGAIN, EINTR};
    return refuses(errors, 5) ? -1 : __real_writev(fd, parts, count);
}

/* ---- Packets, from a thread of their own ---- */

static struct side side;
static shoal_peer_t peers[PEERS];
static struct shoal_address at[PEERS];
static int strangers[PEERS];
static _Atomic uint16_t port; /* of the device; 0: not bound */
static _Atomic bool stop;

/* Two of three peers live in IPv4; these send, too. */
static uint16_t family_of(uint32_t peer) { return peer % 3 == 2 ? SHOAL_AF_INET6 : SHOAL_AF_INET; }

static uint8_t number_of(uint32_t peer) { return (uint8_t)(2 + peer); }

static uint32_t index_of(struct random *random, uint32_t peer) {
    return 1000 * (peer + 1) + random_below(random, 3);
}

static void send_in(struct random *random, uint32_t peer, uint64_t counter) {
    static uint8_t plain[2000], message[2000];
    struct shoal_address to = side.outer;
    to.port = atomic_load(&port);
    if (to.port == 0 || family_of(peer) != SHOAL_AF_INET)
        return;
    size_t length = world_packet(plain, random_below(random, 2), number_of(peer), 1,
                                 random_below(random, 1300), (uint8_t)counter);
    length = random_below(random, 8) == 0 ? 0 : length; /* a keepalive */
    length = forge(message, 2, index_of(random, peer), counter, plain, length);
    stranger_send(strangers[peer], &to, message, length);
}

static void *push(void *argument) {
    static uint8_t frame[2000], sink[WORLD_FRAME_MAX];
    struct random random = {.state = 11};
    (void)argument;
    for (uint64_t n = 0; !atomic_load(&stop); n++) {
        /* In runs of one size for one peer, so that they leave in trains; one peer more than is. */
        uint32_t to = (uint32_t)(n / 16 % (PEERS + 1));
        size_t length = world_packet(frame + WORLD_VNET, n / 16 % 2, 1, number_of(to),
                                     100 * (n / 16 % 13) + random_below(&random, 2), (uint8_t)n);
        send(side.tun, frame, WORLD_VNET + length, MSG_DONTWAIT);
        send_in(&random, random_below(&random, PEERS), n);
        if (n % 32 != 0)
            continue;
        while (recv(side.tun, sink, sizeof(sink), MSG_DONTWAIT) > 0)
            ;
        for (uint32_t i = 0; i < PEERS; i++)
            while (recv(strangers[i], sink, sizeof(sink), MSG_DONTWAIT) > 0)
                ;
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    return NULL;
}

/* ---- Commands ---- */

static uint64_t keepalives; /* that were taken to be sent */

static void bind_anew(void) {
    struct shoal_error error;
    uint16_t bound;
    assert_int_equal(shoal_device_bind(side.device, 0, 0, &bound, &error, sizeof(error)), SHOAL_OK);
    atomic_store(&port, bound);
}

static void install(struct random *random, uint32_t peer) {
    bool old = random_below(random, 10) == 0; /* and expires at once */
    struct shoal_session session = world_session(
        &side, 1 + random_below(random, 2), index_of(random, peer), 555, old ? 179999000000u : 0);
    int32_t status = shoal_session_install(side.device, peers[peer], &session, sizeof(session));
    assert_true(status == SHOAL_OK || status == SHOAL_E_EXISTS);
}

static void replace(uint32_t peer) {
    assert_int_equal(shoal_peer_remove(side.device, peers[peer]), SHOAL_OK);
    peers[peer] = side_add_peer(&side, peer, number_of(peer), &at[peer]);
}

static void move(struct random *random, uint32_t peer) {
    struct shoal_endpoint to = {.remote = at[random_below(random, PEERS)]};
    if (random_below(random, 6) == 0)
        memset(&to, 0, sizeof(to)); /* nowhere */
    assert_int_equal(shoal_peer_set_endpoint(side.device, peers[peer], &to, sizeof(to)), SHOAL_OK);
}

static void command(struct random *random) {
    uint32_t peer = random_below(random, PEERS), seldom = random_below(random, 8);
    switch (random_below(random, 12)) {
    case 0:
    case 1:
    case 2:
        install(random, peer);
        break;
    case 3:
        keepalives += shoal_peer_keepalive(side.device, peers[peer], 0) == SHOAL_OK;
        break;
    case 4:
        shoal_peer_arm(side.device, peers[peer], SHOAL_EDGE_ALL);
        break;
    case 5:
        move(random, peer);
        break;
    case 6:
        shoal_device_set_offloads(side.device, OFFLOADS, OFFLOADS & random_below(random, 16));
        break;
    case 7:
        side_no_mail(&side, 0);
        break;
    case 8:
        shoal_peer_clear_source(side.device, peers[peer]);
        break;
    case 9:
        if (seldom == 0)
            shoal_peer_drop_staged(side.device, peers[peer]);
        else if (seldom == 1)
            shoal_peer_clear_sessions(side.device, peers[peer]);
        break;
    case 10:
        if (seldom < 4)
            replace(peer);
        break;
    default:
        if (seldom == 0) {
            shoal_device_unbind(side.device);
            atomic_store(&port, 0);
        } else if (seldom < 4) {
            bind_anew();
        }
        atomic_store(&refusals, 10 * random_below(random, 6));
    }
}

/* ---- The account ---- */

static uint64_t sum(const char *const *names, size_t count) {
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += side_counter(&side, names[i]);
    return total;
}

static uint64_t drops_out(void) {
    uint64_t total = 0;
    for (uint32_t i = 0; shoal_counter_name(i); i++)
        if (strncmp(shoal_counter_name(i), "drop_tx_", 8) == 0)
            total += side_counter(&side, shoal_counter_name(i));
    return total;
}

static void every_packet_goes_its_way_once_or_is_counted(void **state) {
    (void)state;
    static const char *const inward[] = {"rx_keepalives",  "tun_writes",    "drop_rx_malformed",
                                         "drop_rx_source", "drop_rx_ecn",   "drop_rx_link_down",
                                         "drop_rx_tun",    "drop_rx_no_tun"};
    struct random random = {.state = 23};
    pthread_t thread;
    side_open(&side, 1,
              &(struct world_options){.staged_bytes_max = 20000,
                                      .offloads_off = SHOAL_OFFLOAD_ALL & ~OFFLOADS});
    atomic_store(&port, side.port);
    for (uint32_t i = 0; i < PEERS; i++) {
        strangers[i] = stranger_open(family_of(i), &at[i]);
        peers[i] = side_add_peer(&side, i, number_of(i), &at[i]);
    }
    assert_int_equal(pthread_create(&thread, NULL, push, NULL), 0);
    uint64_t enough = ROUNDS(4000u, 1000u), until = world_now() + 60000000000ull;
    while (side_counter_now(&side, "tx_packets") < enough ||
           side_counter_now(&side, "rx_packets") < enough / 4 || keepalives < enough / 10) {
        command(&random);
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
        assert_true(world_now() < until);
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    atomic_store(&refusals, 0);
    bind_anew(); /* a train that waits leaves */
    uint64_t reads, before;
    do { /* the TUN runs dry */
        before = side_counter(&side, "tun_reads");
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        reads = side_counter(&side, "tun_reads");
    } while (reads != before);

    uint64_t staged = 0;
    for (uint32_t i = 0; i < PEERS; i++) {
        side.peer = peers[i];
        staged += side_facts(&side).staged;
    }
    uint64_t sent = side_counter(&side, "tx_packets"), opened = side_counter(&side, "rx_packets");
    assert_int_equal(sent + staged + drops_out(), reads + keepalives);
    assert_int_equal(sum(inward, sizeof(inward) / sizeof(inward[0])), opened);
    side_close(&side);
    for (uint32_t i = 0; i < PEERS; i++)
        close(strangers[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_packet_goes_its_way_once_or_is_counted),
    };
    return cmocka_run_group_tests_name("conservation", tests, NULL, NULL);
}
