// LDFLAGS: -Wl,--wrap=clock_boottime
/* Connected sockets of busy peers: they come and go while packets flow, and nobody can tell but by
 * the counters (T13, T23). The clock by which peers are busy or idle is moved. */
#include "busy.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api.h"
#include "clock.h"
#include "heat.h"
#include "random.h"
#include "registry.h"
#include "unit.h"

static _Atomic uint64_t later;
uint64_t __real_clock_boottime(void);
uint64_t __wrap_clock_boottime(void);
uint64_t __wrap_clock_boottime(void) { return __real_clock_boottime() + atomic_load(&later); }

static struct busy busy;
static struct side *const side = &busy.side;
static const uint16_t families[] = {SHOAL_AF_INET, SHOAL_AF_INET6};

#define ONE BUSY_FIRST /* a peer, and others */
#define TWO (BUSY_FIRST + 1)
#define THREE (BUSY_FIRST + 2)

static struct shoal_address endpoint_of(uint32_t number) {
    struct shoal_peer_facts facts;
    side_counter(side, "rx_packets"); /* a standstill */
    assert_int_equal(shoal_peer_facts(side->device, busy.peers[number], &facts, sizeof(facts)),
                     SHOAL_OK);
    return facts.endpoint.remote;
}

static bool is_at(uint32_t number, const struct shoal_address *place) {
    struct shoal_address now = endpoint_of(number);
    return memcmp(&now, place, sizeof(now)) == 0;
}

static void a_busy_peer_gets_a_socket_of_its_own(void **state) {
    (void)state;
    for (int f = 0; f < 2; f++)
        for (uint32_t workers = 1; workers <= 3; workers += 2) {
            busy_open(&busy, families[f], workers, 4, 4);
            busy_warm(&busy, ONE);
            busy_by_own(&busy, ONE);
            assert_int_equal(busy_count(&busy), 1);
            uint64_t sent = side_counter(side, "tx_connected");
            uint64_t received = side_counter(side, "rx_connected");
            for (int i = 0; i < 10; i++) {
                busy_from(&busy, ONE, busy.sockets[ONE]);
                busy_to(&busy, ONE, busy.sockets[ONE]);
            }
            assert_int_equal(side_counter(side, "tx_connected"), sent + 10);
            assert_int_equal(side_counter(side, "rx_connected"), received + 10);
            assert_int_equal(side_counter(side, "handoff_messages"), 0);
            assert_int_equal(side_drops(side), 0);
            busy_close(&busy);
        }
}

static void switched_off_no_peer_has_one(void **state) {
    (void)state;
    struct shoal_device_info info;
    busy_open(&busy, SHOAL_AF_INET, 1, 2, 4);
    busy_warm(&busy, ONE);
    busy_switch(&busy, false);
    assert_int_equal(busy_count(&busy), 0);
    for (int i = 0; i < 20; i++) {
        busy_from(&busy, ONE, busy.sockets[ONE]);
        busy_to(&busy, ONE, busy.sockets[ONE]);
    }
    assert_int_equal(side_counter(side, "connected_opened"), 1);
    assert_int_equal(shoal_device_info(side->device, &info, sizeof(info)), SHOAL_OK);
    assert_false(info.offloads_on & SHOAL_OFFLOAD_CONNECTED);
    assert_true(info.offloads_available & SHOAL_OFFLOAD_CONNECTED);
    busy_switch(&busy, true);
    busy_warm(&busy, ONE);
    assert_int_equal(side_drops(side), 0);
    busy_close(&busy);
}

/* T13: an authentic packet from elsewhere moves the peer, its socket leaves, and another comes. */
static void a_peer_that_roams_takes_its_socket_along(void **state) {
    (void)state;
    for (uint32_t workers = 1; workers <= 3; workers += 2) {
        struct shoal_address there;
        busy_open(&busy, SHOAL_AF_INET, workers, 2, 4);
        busy_warm(&busy, ONE);
        int fd = stranger_open(SHOAL_AF_INET, &there);
        busy_from(&busy, ONE, fd);
        busy_to(&busy, ONE, fd);
        assert_true(is_at(ONE, &there));
        assert_true(side_counter(side, "connected_moved") >= 1);
        close(busy.sockets[ONE]);
        busy.sockets[ONE] = fd;
        busy_by_own(&busy, ONE);
        assert_true(side_counter(side, "connected_opened") >= 2);
        busy_await(&busy, 1);
        busy_to(&busy, ONE, fd);
        assert_int_equal(side_drops(side), 0);
        busy_close(&busy);
    }
}

/* As behind a relay: the kernel would give the one's socket what is the other's, past the steering.
 */
static void where_several_peers_are_none_has_a_socket(void **state) {
    (void)state;
    busy_open(&busy, SHOAL_AF_INET, 2, 2, 4);
    busy_warm(&busy, ONE);
    busy_by_own(&busy, ONE);
    busy_from(&busy, TWO, busy.sockets[ONE]); /* its socket brings it to the wrong worker */
    side_await(side, "connected_crowded", 1);
    busy_await(&busy, 0);
    for (int i = 0; i < 20; i++) {
        busy_from(&busy, ONE, busy.sockets[ONE]);
        busy_to(&busy, ONE, busy.sockets[ONE]);
    }
    assert_int_equal(side_counter(side, "connected_opened"), 1);
    atomic_fetch_add(&later, CONNECTED_CROWD_NS + 1);
    for (int i = 0; i < 20; i++)
        busy_from(&busy, ONE, busy.sockets[ONE]);
    assert_int_equal(side_counter(side, "connected_opened"), 1); /* it is crowded still */
    atomic_fetch_add(&later, CONNECTED_CROWD_NS + 1);
    busy_from(&busy, TWO, busy.sockets[TWO]);
    busy_warm(&busy, ONE);
    assert_int_equal(side_drops(side), 0);
    busy_close(&busy);
}

static void of_places_with_several_peers_the_least_late_is_forgotten(void **state) {
    (void)state;
    busy_open(&busy, SHOAL_AF_INET, 1, 1, 4);
    struct device *device = registry_acquire(side->device);
    struct pass *pass = &device->workers[0]->pass;
    device_stop(device);
    struct shoal_address remote = busy.places[ONE];
    pass->now = 1000;
    connected_crowd_at(pass, &remote);
    for (uint32_t i = 1; i <= CONNECTED_CROWDS; i++, pass->now++) {
        remote.port = (uint16_t)(busy.places[ONE].port + i);
        connected_crowd_at(pass, &remote);
    }
    uint32_t known = 0;
    for (uint32_t i = 0; i < CONNECTED_CROWDS; i++) {
        assert_true(pass->connected.crowds[i].at >= 1000);
        known += pass->connected.crowds[i].remote.port == busy.places[ONE].port;
    }
    assert_int_equal(known, 0);
    device_resume(device);
    registry_release(side->device);
    busy_close(&busy);
}

static void a_peer_that_moves_all_the_time_gets_few_sockets(void **state) {
    (void)state;
    struct shoal_address there;
    busy_open(&busy, SHOAL_AF_INET, 1, 1, 4);
    int fds[2] = {busy.sockets[ONE], stranger_open(SHOAL_AF_INET, &there)};
    uint64_t start = world_now();
    for (int i = 0; i < 500; i++)
        busy_from(&busy, ONE, fds[i & 1]);
    uint64_t tenths = (world_now() - start) / 100000000u;
    assert_in_range(side_counter(side, "connected_opened"), 1, tenths + 2);
    assert_int_equal(side_drops(side), 0);
    close(fds[1]);
    busy_close(&busy);
}

static void a_replay_from_elsewhere_moves_nothing(void **state) {
    (void)state;
    uint8_t packet[256];
    struct shoal_address there;
    busy_open(&busy, SHOAL_AF_INET, 1, 2, 4);
    busy_warm(&busy, ONE);
    int fd = stranger_open(SHOAL_AF_INET, &there);
    busy.counters[ONE]--;
    busy_send(&busy, ONE, fd, packet);
    side_await(side, "drop_rx_replay", 1);
    assert_true(is_at(ONE, &busy.places[ONE]));
    assert_int_equal(busy_count(&busy), 1);
    assert_int_equal(side_counter(side, "connected_moved"), 0);
    busy_to(&busy, ONE, busy.sockets[ONE]);
    close(fd);
    busy_close(&busy);
}

/* What arrives on a connected socket is judged as if it had come to the shared one. */
static void a_connected_place_may_send_what_anybody_may(void **state) {
    (void)state;
    struct shoal_mail mail;
    busy_open(&busy, SHOAL_AF_INET, 3, 4, 4);
    busy_warm(&busy, ONE);
    busy_from(&busy, TWO, busy.sockets[ONE]); /* another peer, of another worker, from there */
    assert_true(is_at(TWO, &busy.places[ONE]));
    assert_int_equal(side_counter(side, "handoff_messages"), 1);
    stranger_send(busy.sockets[ONE], &side->outer, "\1\1 stun", 7);
    assert_true(side_mail(side, SHOAL_MAIL_DATAGRAM, &mail, NULL));
    assert_memory_equal(&mail.endpoint.remote, &busy.places[ONE], sizeof(mail.endpoint.remote));
    assert_int_equal(side_drops(side), 0);
    busy_close(&busy);
}

static void a_quiet_peer_loses_its_socket_and_gets_one_again(void **state) {
    (void)state;
    busy_open(&busy, SHOAL_AF_INET, 1, 2, 4);
    busy_warm(&busy, ONE);
    busy_warm(&busy, TWO);
    assert_int_equal(busy_count(&busy), 2);
    atomic_fetch_add(&later, (HEAT_IDLE_PERIODS - 1) * HEAT_PERIOD_NS);
    busy_from(&busy, TWO, busy.sockets[TWO]);
    assert_int_equal(busy_count(&busy), 2);
    atomic_fetch_add(&later, 3 * HEAT_PERIOD_NS);
    for (int i = 0; i < 1000 && busy_count(&busy) == 2; i++) /* something has to happen */
        busy_from(&busy, TWO, busy.sockets[TWO]);
    busy_await(&busy, 1);
    assert_int_equal(side_counter(side, "connected_idle"), 1);
    busy_warm(&busy, ONE);
    assert_int_equal(side_drops(side), 0);
    busy_close(&busy);
}

static void the_limit_holds_and_only_a_much_busier_peer_takes_a_place(void **state) {
    (void)state;
    busy_open(&busy, SHOAL_AF_INET, 1, 3, 2);
    busy_warm(&busy, ONE);
    busy_warm(&busy, TWO);
    for (int i = 0; i < 30; i++)
        for (uint32_t number = ONE; number <= THREE; number++)
            busy_from(&busy, number, busy.sockets[number]);
    assert_int_equal(busy_count(&busy), 2); /* equally busy */
    assert_int_equal(side_counter(side, "connected_evicted"), 0);
    for (int i = 0; i < 500 && side_counter_now(side, "connected_evicted") == 0; i++) {
        atomic_fetch_add(&later, HEAT_PERIOD_NS / 20);
        busy_from(&busy, THREE, busy.sockets[THREE]);
    }
    assert_int_equal(side_counter(side, "connected_evicted"), 1);
    busy_by_own(&busy, THREE);
    assert_int_equal(busy_count(&busy), 2);
    assert_int_equal(side_drops(side), 0);
    busy_close(&busy);
}

/* Whatever a command changes about the sockets, or the peer, those that do not fit any more are
 * gone when it returns, and what lay in them has come out. */
static void commands_leave_no_socket_behind(void **state) {
    (void)state;
    uint8_t packet[256];
    struct shoal_error error;
    for (int what = 0; what < 6; what++) {
        busy_open(&busy, SHOAL_AF_INET, 1, 2, 4);
        busy_warm(&busy, ONE);
        struct shoal_endpoint nowhere = {.remote.family = SHOAL_AF_NONE};
        size_t length = busy_send(&busy, ONE, busy.sockets[ONE], packet);
        int32_t status = SHOAL_E_INVALID;
        uint16_t port;
        if (what == 0)
            status = shoal_device_bind(side->device, 0, 0, &port, &error, sizeof(error));
        else if (what == 1)
            status = shoal_device_unbind(side->device);
        else if (what == 2)
            status = shoal_device_set_fwmark(side->device, 0);
        else if (what == 3)
            status =
                shoal_peer_set_endpoint(side->device, busy.peers[ONE], &nowhere, sizeof(nowhere));
        else
            status = shoal_device_set_offloads(
                side->device, what == 4 ? SHOAL_OFFLOAD_CONNECTED : SHOAL_OFFLOAD_UDP_GRO, 0);
        assert_int_equal(status, SHOAL_OK);
        side_expect(side, packet, length);
        assert_true(side_counter(side, "connected_moved") >= 1);
        if (what == 1 || what == 4)
            assert_int_equal(busy_count(&busy), 0);
        assert_int_equal(side_drops(side), 0);
        busy_close(&busy);
    }
}

static void a_peer_that_is_removed_gives_its_place_back(void **state) {
    (void)state;
    busy_open(&busy, SHOAL_AF_INET, 1, 2, 1);
    busy_warm(&busy, ONE);
    assert_int_equal(shoal_peer_remove(side->device, busy.peers[ONE]), SHOAL_OK);
    busy_await(&busy, 0);
    busy_warm(&busy, TWO);
    assert_int_equal(busy_count(&busy), 1);
    busy_close(&busy);
}

/* ---- A flood ----------------------------------------------------------------------------- */

/* Messages of a peer that come out, of 20 sent while a flood of strangers fills the shared socket,
 * whose worker is too slow for it. */
static uint64_t heard_under_flood(bool connected) {
    enum { FLOOD = 30000, MESSAGES = 20 };
    static uint8_t junk[300] = {4};
    uint8_t packet[256];
    struct shoal_address place;
    busy_open(&busy, SHOAL_AF_INET, 1, 1, 4);
    busy_switch(&busy, connected);
    for (int i = 0; i < 5; i++)
        busy_from(&busy, ONE, busy.sockets[ONE]);
    if (connected)
        busy_by_own(&busy, ONE);
    int fd = stranger_open(SHOAL_AF_INET, &place);
    struct device *device = registry_acquire(side->device);
    assert_non_null(device);
    uint64_t before = stats_get(&device->workers[0]->pass.stats, COUNT_rx_packets);
    device_stop(device);
    for (int i = 0; i < FLOOD; i++)
        stranger_send(fd, &side->outer, junk, sizeof(junk));
    for (int i = 0; i < MESSAGES; i++)
        busy_send(&busy, ONE, busy.sockets[ONE], packet);
    device_resume(device);
    registry_release(side->device);
    while (side_counter_now(side, "control_received") == 0) { /* behind all of it */
        stranger_send(fd, &side->outer, "\1\1 the end", 10);
        usleep(1000);
    }
    uint64_t heard = side_counter(side, "rx_packets") - before;
    close(fd);
    busy_close(&busy);
    return heard;
}

static void a_flood_that_fills_the_shared_socket_costs_a_connected_peer_nothing(void **state) {
    (void)state;
    assert_int_equal(heard_under_flood(true), 20);
    assert_true(heard_under_flood(false) < 20); /* or it did not fill it */
}

/* ---- T23: many come and go while others send --------------------------------------------- */

enum { SENDERS = 6, WINDOW = 100 };

static _Atomic bool enough;
static _Atomic uint64_t taken; /* packets that came out, of all peers */
static uint64_t given;

/* Every peer sends its numbered packets, never more than a few before they come out. */
static void *send_all(void *argument) {
    (void)argument;
    uint8_t packet[256];
    while (!atomic_load(&enough)) {
        for (uint32_t i = ONE; i < ONE + SENDERS; i++, given++)
            busy_send(&busy, i, busy.sockets[i], packet);
        while (given > atomic_load(&taken) + WINDOW && !atomic_load(&enough))
            usleep(50);
    }
    return NULL;
}

/* What came out of one peer's packets. */
struct heard {
    bool seen[256]; /* those before `next` that are missing, by number: false */
    uint8_t next;
};

/* One frame. A packet that comes late was missing before. @return packets that came late */
static uint32_t take_frame(struct heard *all) {
    static uint8_t frame[WORLD_FRAME_MAX];
    size_t got = side_read(side, frame, WORLD_PATIENCE_MS);
    assert_true(got > WORLD_VNET + 28);
    struct heard *heard = &all[frame[WORLD_VNET + 15]];
    size_t packets = (got - WORLD_VNET - 28) / 100;
    uint32_t late = 0;
    for (size_t p = 0; p < packets; p++) {
        uint8_t number = frame[WORLD_VNET + 28 + p * 100];
        if ((uint8_t)(number - heard->next) < 128) {
            for (; heard->next != number; heard->next++)
                heard->seen[heard->next] = false;
            heard->seen[heard->next++] = true;
        } else {
            assert_false(heard->seen[number]);
            heard->seen[number] = true;
            late++;
        }
    }
    atomic_fetch_add(&taken, packets);
    return late;
}

static void churn(uint32_t workers, uint64_t sockets) {
    struct heard all[BUSY_FIRST + SENDERS] = {0};
    uint32_t late = 0;
    pthread_t sender;
    busy_open(&busy, SHOAL_AF_INET, workers, SENDERS, SENDERS);
    atomic_store(&enough, false);
    atomic_store(&taken, 0);
    given = 0;
    assert_int_equal(pthread_create(&sender, NULL, send_all, NULL), 0);
    for (uint32_t i = 0; side_counter_now(side, "connected_opened") < sockets; i++) {
        late += take_frame(all);
        if (i % 16 == 0) {
            busy_switch(&busy, false);
            busy_switch(&busy, true);
        }
    }
    atomic_store(&enough, true);
    pthread_join(sender, NULL);
    while (atomic_load(&taken) < given)
        late += take_frame(all);
    assert_int_equal(side_drops(side), 0);
    assert_int_equal(side_counter(side, "rx_packets"), given);
    assert_true(late <= sockets); /* what met a new socket of another peer */
    assert_true(side_counter(side, "rx_connected") > 0);
    busy_close(&busy);
}

static void a_thousand_sockets_come_and_go_and_nothing_is_lost(void **state) {
    (void)state;
    churn(1, ROUNDS(1000, 200));
    churn(3, ROUNDS(1000, 200));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_busy_peer_gets_a_socket_of_its_own),
        cmocka_unit_test(switched_off_no_peer_has_one),
        cmocka_unit_test(a_peer_that_roams_takes_its_socket_along),
        cmocka_unit_test(where_several_peers_are_none_has_a_socket),
        cmocka_unit_test(of_places_with_several_peers_the_least_late_is_forgotten),
        cmocka_unit_test(a_peer_that_moves_all_the_time_gets_few_sockets),
        cmocka_unit_test(a_replay_from_elsewhere_moves_nothing),
        cmocka_unit_test(a_connected_place_may_send_what_anybody_may),
        cmocka_unit_test(a_quiet_peer_loses_its_socket_and_gets_one_again),
        cmocka_unit_test(the_limit_holds_and_only_a_much_busier_peer_takes_a_place),
        cmocka_unit_test(commands_leave_no_socket_behind),
        cmocka_unit_test(a_peer_that_is_removed_gives_its_place_back),
        cmocka_unit_test(a_flood_that_fills_the_shared_socket_costs_a_connected_peer_nothing),
        cmocka_unit_test(a_thousand_sockets_come_and_go_and_nothing_is_lost),
    };
    return cmocka_run_group_tests_name("connected", tests, NULL, NULL);
}
