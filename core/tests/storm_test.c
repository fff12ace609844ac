/* T31: opening, moving and closing devices under load, and a control thread that changes everything
 * while packets fly. Nothing leaks, nothing races (run under the thread sanitizer too). */
#include "world.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "random.h"
#include "unit.h"

static int entries(const char *path) {
    DIR *directory = opendir(path);
    assert_non_null(directory);
    int count = 0;
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

/* Writes packets into one side's TUN and swallows what comes out of the other's. */
struct load {
    pthread_t thread;
    struct side *from, *to;
    uint8_t frame[2048];
    size_t length;
    _Atomic bool stop;
};

static void *push(void *argument) {
    struct load *load = argument;
    uint8_t sink[WORLD_FRAME_MAX];
    while (!atomic_load(&load->stop)) {
        for (int i = 0; i < 20; i++)
            send(load->from->tun, load->frame, load->length, MSG_DONTWAIT | MSG_NOSIGNAL);
        while (recv(load->to->tun, sink, sizeof(sink), MSG_DONTWAIT) > 0)
            ;
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    }
    return NULL;
}

static void start_load(struct load *load, struct side *from, struct side *to) {
    *load = (struct load){.from = from, .to = to};
    load->length = WORLD_VNET +
                   world_packet(load->frame + WORLD_VNET, false, from->number, to->number, 900, 1);
    assert_int_equal(pthread_create(&load->thread, NULL, push, load), 0);
}

static void stop_load(struct load *load) {
    atomic_store(&load->stop, true);
    pthread_join(load->thread, NULL);
}

static void fifty_rounds_under_load_leak_no_descriptor_and_no_thread(void **state) {
    (void)state;
    static struct world w;
    int descriptors = 0, threads = 0;
    for (int round = 0; round <= 50; round++) {
        struct load load;
        world_open(&w, &(struct world_options){0});
        start_load(&load, &w.a, &w.b); /* staged, then sent, then stopped in the middle */
        world_connect(&w, &w.a, &w.b, 100);
        if (round & 1)
            side_await(&w.b, "rx_packets", 1);
        uint64_t before = world_now();
        stop_load(&load);
        world_close(&w);
        assert_true(world_now() - before < 2000000000ull); /* stop within 2 s */
        if (round == 0) {
            descriptors = entries("/proc/self/fd");
            threads = entries("/proc/self/task");
        }
    }
    assert_int_equal(entries("/proc/self/fd"), descriptors);
    assert_int_equal(entries("/proc/self/task"), threads);
}

static void a_device_that_cannot_open_leaves_nothing_behind(void **state) {
    (void)state;
    struct shoal_device_config config = {
        .abi_version = SHOAL_ABI_VERSION, .flags = SHOAL_DEVICE_TUN_FD, .aead = "openssl"};
    struct shoal_error error;
    shoal_device_t device;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    config.tun_fd = pair[0]; /* no TUN */
    int descriptors = entries("/proc/self/fd");
    for (int i = 0; i < 200; i++) /* more than the registry has slots */
        assert_int_equal(shoal_device_open(&config, sizeof(config), &device, &error, sizeof(error)),
                         SHOAL_E_SYSTEM);
    assert_int_equal(entries("/proc/self/fd"), descriptors);
    assert_int_equal(write(pair[1], "x", 1), 1); /* and the descriptor is still the caller's */
    char byte;
    assert_int_equal(read(pair[0], &byte, 1), 1);
    close(pair[0]);
    close(pair[1]);
}

/* One random command; whatever it answers, the device lives. */
static void command(struct world *w, struct random *random, uint32_t *index) {
    struct side *side = random_below(random, 2) ? &w->a : &w->b;
    struct shoal_prefix prefix = {SHOAL_AF_INET, 32, {10, 50, 0, (uint8_t)random_below(random, 9)}};
    struct shoal_endpoint endpoint = {.remote = (side == &w->a ? &w->b : &w->a)->outer};
    struct shoal_peer_facts facts;
    struct shoal_error error;
    uint64_t counters[256];
    uint32_t count;
    switch (random_below(random, 13)) {
    case 0:
        world_connect(w, side, side == &w->a ? &w->b : &w->a, *index += 2);
        break;
    case 1:
        shoal_peer_clear_sessions(side->device, side->peer);
        break;
    case 2:
        shoal_peer_keepalive(side->device, side->peer, random_below(random, 2));
        break;
    case 3:
        shoal_peer_arm(side->device, side->peer, SHOAL_EDGE_ALL);
        break;
    case 4:
        shoal_route_add(side->device, side->peer, &prefix, sizeof(prefix));
        break;
    case 5:
        shoal_route_remove(side->device, side->peer, &prefix, sizeof(prefix));
        break;
    case 6:
        shoal_peer_set_endpoint(side->device, side->peer, &endpoint, sizeof(endpoint));
        break;
    case 7:
        shoal_peer_facts(side->device, side->peer, &facts, sizeof(facts));
        break;
    case 8:
        shoal_device_counters(side->device, counters, 256, &count);
        break;
    case 9:
        shoal_device_set_offloads(side->device, SHOAL_OFFLOAD_ALL, random_below(random, 16));
        break;
    case 10:
        side_no_mail(side, 0);
        break;
    case 11:
        shoal_peer_drop_staged(side->device, side->peer);
        break;
    default: {
        shoal_peer_t extra = side_add_peer(side, 99, 77, &endpoint.remote);
        assert_int_equal(shoal_peer_remove(side->device, extra), SHOAL_OK);
        uint16_t port;
        if (random_below(random, 8) == 0) {
            assert_int_equal(shoal_device_bind(side->device, 0, 0, &port, &error, sizeof(error)),
                             SHOAL_OK);
            side->outer.port = port;
        }
    }
    }
}

static void meet(uint32_t workers) {
    static struct world w;
    struct random random = {.state = 7};
    struct load there, back;
    uint32_t index = 1000;
    world_open(&w, &(struct world_options){.workers = workers});
    start_load(&there, &w.a, &w.b);
    start_load(&back, &w.b, &w.a);
    for (int i = 0; i < ROUNDS(4000, 1500); i++)
        command(&w, &random, &index);
    stop_load(&there);
    stop_load(&back);
    /* And after all that a packet crosses. */
    struct shoal_endpoint to_b = {.remote = w.b.outer}, to_a = {.remote = w.a.outer};
    assert_int_equal(shoal_peer_set_endpoint(w.a.device, w.a.peer, &to_b, sizeof(to_b)), SHOAL_OK);
    assert_int_equal(shoal_peer_set_endpoint(w.b.device, w.b.peer, &to_a, sizeof(to_a)), SHOAL_OK);
    world_connect(&w, &w.a, &w.b, index += 2);
    uint64_t before = side_counter(&w.b, "rx_packets");
    uint64_t until = world_now() + WORLD_PATIENCE_MS * 1000000ull;
    while (side_counter(&w.b, "rx_packets") == before) {
        /* One may be lost: the socket's queue can still be full of what the loads sent. */
        assert_true(world_now() < until);
        assert_int_equal(shoal_peer_keepalive(w.a.device, w.a.peer, 0), SHOAL_OK);
        usleep(10000);
    }
    world_close(&w);
}

static void commands_and_packets_may_meet_in_any_order(void **state) {
    (void)state;
    meet(1);
}

static void they_may_with_four_workers_too(void **state) {
    (void)state; /* T17 */
    meet(4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fifty_rounds_under_load_leak_no_descriptor_and_no_thread),
        cmocka_unit_test(a_device_that_cannot_open_leaves_nothing_behind),
        cmocka_unit_test(commands_and_packets_may_meet_in_any_order),
        cmocka_unit_test(they_may_with_four_workers_too),
    };
    return cmocka_run_group_tests_name("storm", tests, NULL, NULL);
}
