/* Connected sockets of busy peers: they come and go while packets flow, and nobody can tell but by
 * the counters (T13, T23, T24). Strangers with keys play the peers. */
#include "world.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api.h"
#include "registry.h"
#include "unit.h"

enum { OURS = 1, FIRST = 2, PEERS = 6, KEY = 2 };

static struct side side;
static shoal_peer_t peers[256];
static struct shoal_address places[256];
static int sockets[256];
static uint64_t counters[256];
static uint8_t message[WORLD_FRAME_MAX], plain[WORLD_FRAME_MAX], got[WORLD_FRAME_MAX];
static uint16_t family = SHOAL_AF_INET;
static uint32_t workers = 1;
static uint8_t last_peer;

static uint32_t index_of(uint8_t number) { return 0x5a00u | number << 16 | number % workers; }

/* Sockets from the first message on, so many a worker. */
static void limit(uint32_t after, uint32_t most) {
    struct device *device = registry_acquire(side.device);
    assert_non_null(device);
    device_stop(device);
    device->plane.connect_after = after;
    device->plane.connect_max = most;
    device_resume(device);
    registry_release(side.device);
}

static void start(uint32_t worker_count, uint8_t peer_count) {
    workers = worker_count;
    last_peer = (uint8_t)(FIRST + peer_count - 1);
    memset(counters, 0, sizeof(counters));
    side_open(&side, OURS, &(struct world_options){.workers = workers, .outer = family});
    limit(1, 4);
    for (uint8_t i = FIRST; i <= last_peer; i++) {
        sockets[i] = stranger_open(family, &places[i]);
        peers[i] = side_add_peer(&side, i, i, &places[i]);
        struct shoal_session session =
            world_session(&side, SHOAL_ROLE_INITIATOR, index_of(i), i, 0);
        side.peer = peers[i];
        side_install(&side, &session);
    }
}

static void stop(void) {
    for (uint8_t i = FIRST; i <= last_peer; i++)
        close(sockets[i]);
    side_close(&side);
}

/* One packet from a peer, by any socket. */
static void send_from(uint8_t number, int by) {
    size_t length = world_packet(plain, false, number, OURS, 100, (uint8_t)counters[number]);
    size_t size = forge(message, KEY, index_of(number), counters[number]++, plain, length);
    stranger_send(by, &side.outer, message, size);
    side_expect(&side, plain, length);
}

/* One packet to it, which has to arrive at `at`. */
static void send_to(uint8_t number, int at) {
    size_t length = world_packet(plain, false, OURS, number, 100, 7);
    side_write(&side, plain, length);
    size_t size = stranger_receive(at, message, sizeof(message), WORLD_PATIENCE_MS);
    assert_true(size > 0);
    assert_true(unforge(got, OURS, message, size) >= (long)length);
    assert_memory_equal(got, plain, length);
}

/* Keeps a peer busy until its socket is open and used. */
static void warm(uint8_t number) {
    uint64_t before = side_counter_now(&side, "connected_opened");
    for (int i = 0; i < 1000 && side_counter_now(&side, "connected_opened") == before; i++) {
        send_from(number, sockets[number]);
        send_to(number, sockets[number]);
    }
    assert_int_equal(side_counter_now(&side, "connected_opened"), before + 1);
}

static uint32_t open_now(void) {
    struct shoal_device_info info;
    assert_int_equal(shoal_device_info(side.device, &info, sizeof(info)), SHOAL_OK);
    return info.connected;
}

static void a_busy_peer_gets_a_socket_of_its_own(void **state) {
    for (uint32_t count = 1; count <= 3; count += 2) {
        (void)state;
        start(count, PEERS);
        warm(FIRST);
        assert_int_equal(open_now(), 1);
        uint64_t sent = side_counter(&side, "tx_connected");
        uint64_t received = side_counter(&side, "rx_connected");
        for (int i = 0; i < 10; i++) {
            send_from(FIRST, sockets[FIRST]);
            send_to(FIRST, sockets[FIRST]);
        }
        assert_int_equal(side_counter(&side, "tx_connected"), sent + 10);
        assert_int_equal(side_counter(&side, "rx_connected"), received + 10);
        assert_int_equal(side_counter(&side, "handoff_messages"), 0);
        assert_int_equal(side_drops(&side), 0);
        stop();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_busy_peer_gets_a_socket_of_its_own),
    };
    return cmocka_run_group_tests_name("connected", tests, NULL, NULL);
}
