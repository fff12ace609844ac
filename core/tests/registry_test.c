/* Devices close while other threads call: each call meets the whole device or none (T31). */
#include "world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "random.h"
#include "unit.h"

static _Atomic shoal_device_t device;
static _Atomic shoal_peer_t peer;
static _Atomic bool stop;
static _Atomic uint32_t done, stale, strange; /* calls by what they answered */

static int32_t call(struct random *random) {
    shoal_device_t on = atomic_load(&device);
    shoal_peer_t of = atomic_load(&peer);
    struct shoal_endpoint to = {.remote = {SHOAL_AF_INET, 9, 0, {127, 0, 0, 1}}};
    struct shoal_prefix prefix = {SHOAL_AF_INET, 32, {10, 9, 0, 2}};
    struct shoal_session session = {
        .role = 1, .local_index = random_below(random, 1u << 30), .birth = world_now()};
    struct shoal_peer_facts facts;
    struct shoal_device_info info;
    struct shoal_error error;
    uint8_t box[2048];
    uint32_t used;
    uint16_t port;
    switch (random_below(random, 9)) {
    case 0:
        return shoal_peer_facts(on, of, &facts, sizeof(facts));
    case 1:
        return shoal_device_info(on, &info, sizeof(info));
    case 2:
        return shoal_mailbox_drain(on, box, sizeof(box), &used);
    case 3:
        return shoal_device_bind(on, 0, 0, &port, &error, sizeof(error));
    case 4:
        return shoal_peer_set_endpoint(on, of, &to, sizeof(to));
    case 5:
        return shoal_route_add(on, of, &prefix, sizeof(prefix));
    case 6:
        return shoal_session_install(on, of, &session, sizeof(session));
    case 7:
        return shoal_device_set_offloads(on, SHOAL_OFFLOAD_ALL, random_below(random, 16));
    default:
        return shoal_peer_clear_sessions(on, of);
    }
}

static void *keep_calling(void *argument) {
    struct random random = {.state = (uintptr_t)argument};
    while (!atomic_load(&stop)) {
        int32_t status = call(&random);
        atomic_fetch_add(status == SHOAL_OK        ? &done
                         : status == SHOAL_E_STALE ? &stale
                                                   : &strange,
                         1);
    }
    return NULL;
}

static void a_call_meets_a_whole_device_or_none(void **state) {
    (void)state;
    pthread_t callers[2];
    for (uintptr_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&callers[i], NULL, keep_calling, (void *)i), 0);
    for (int round = 0; round < ROUNDS(100, 30); round++) {
        struct side side;
        shoal_peer_t added;
        side_open(&side, 1, &(struct world_options){.peers_max = 10});
        assert_int_equal(shoal_peer_add(side.device, 1, &added), SHOAL_OK);
        uint32_t before = atomic_load(&done);
        atomic_store(&peer, added);
        atomic_store(&device, side.device);
        while (atomic_load(&done) - before < 20)
            usleep(100);
        side_close(&side);
        assert_int_equal(shoal_device_close(side.device), SHOAL_E_STALE);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(callers[i], NULL);
    assert_true(atomic_load(&stale) > 0);
    assert_int_equal(atomic_load(&strange), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_meets_a_whole_device_or_none),
    };
    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
