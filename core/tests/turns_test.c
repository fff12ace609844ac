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
    struct device *device = registry_acquire(side.device);
    device_stop(device);
    atomic_store(&strayed, 0);
    atomic_store(&fd_other, device->workers[0]->pass.sockets[PASS_INET].fd);
    atomic_store(&fd_own, device->workers[1]->pass.sockets[PASS_INET].fd);
    send_trains(LOCAL);
    send_trains(LOCAL + 1);
    atomic_store(&device->plane.boxes[1].calls, 1); /* worker 0 called while it slept */
    device_resume(device);
    registry_release(side.device);
    side_await(&side, "rx_packets", 2 * TRAIN * TRAINS);
    atomic_store(&fd_own, -1);
    atomic_store(&fd_other, -1);
    assert_int_equal(atomic_load(&strayed), 0);
    stop();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_that_no_datagram_holds_is_dropped_and_holds_nobody_up),
        cmocka_unit_test(a_partial_checksum_is_completed_once),
        cmocka_unit_test(a_worker_with_work_of_its_own_does_that_first),
    };
    return cmocka_run_group_tests_name("turns", tests, NULL, NULL);
}
