/* The suite of a session: what it was installed with seals and opens its packets, on every
 * back-end, and nothing else does; a suite that is unknown or that this CPU lacks makes no session.
 */
// LDFLAGS: -Wl,--wrap=aead_suite_here
#include "world.h"

#include <string.h>
#include <unistd.h>

#include "aead.h"
#include "unit.h"

static bool cpu_lacks;

bool __real_aead_suite_here(enum aead_suite suite);
bool __wrap_aead_suite_here(enum aead_suite suite);

bool __wrap_aead_suite_here(enum aead_suite suite) {
    return __real_aead_suite_here(suite) && !(cpu_lacks && suite == AEAD_AES_256_GCM);
}

static void install(struct side *side, uint32_t role, uint32_t local, uint32_t remote,
                    uint32_t suite) {
    struct shoal_session session = world_session(side, role, local, remote, 0);
    session.suite = suite;
    side_install(side, &session);
}

static void cross(struct side *from, struct side *to, size_t payload) {
    uint8_t packet[2048];
    size_t length = world_packet(packet, false, from->number, to->number, payload, 5);
    side_write(from, packet, length);
    side_expect(to, packet, length);
}

static void packets_cross(struct world *world, uint32_t suite, uint32_t index) {
    install(&world->b, SHOAL_ROLE_RESPONDER, index + 1, index, suite);
    install(&world->a, SHOAL_ROLE_INITIATOR, index, index + 1, suite);
    world_confirm(&world->a, &world->b);
    for (size_t payload = 0; payload <= 1380; payload += 345) {
        cross(&world->a, &world->b, payload);
        cross(&world->b, &world->a, payload);
    }
}

static void packets_of_both_suites_cross_with_every_back_end(void **state) {
    (void)state;
    for (uint32_t i = 0; shoal_aead_name(i); i++) {
        struct world world;
        world_open(&world, &(struct world_options){.aead = shoal_aead_name(i)});
        packets_cross(&world, SHOAL_SUITE_CHACHA20_POLY1305, 100);
        if (aead_suite_here(AEAD_AES_256_GCM))
            packets_cross(&world, SHOAL_SUITE_AES_256_GCM, 200);
        packets_cross(&world, SHOAL_SUITE_CHACHA20_POLY1305, 300); /* and back */
        assert_int_equal(side_counter(&world.a, "drop_rx_authentication"), 0);
        world_close(&world);
    }
}

static void a_packet_of_the_other_suite_does_not_open(void **state) {
    (void)state;
    struct world world;
    if (!aead_suite_here(AEAD_AES_256_GCM))
        return;
    world_open(&world, &(struct world_options){0});
    install(&world.b, SHOAL_ROLE_RESPONDER, 101, 100, SHOAL_SUITE_AES_256_GCM);
    install(&world.a, SHOAL_ROLE_INITIATOR, 100, 101, SHOAL_SUITE_CHACHA20_POLY1305);
    assert_int_equal(shoal_peer_keepalive(world.a.device, world.a.peer, 0), SHOAL_OK);
    side_await(&world.b, "drop_rx_authentication", 1);
    world_close(&world);
}

static void an_aes_gcm_packet_beyond_2_to_the_28_is_not_looked_at(void **state) {
    (void)state;
    struct side side;
    struct shoal_address stranger;
    uint8_t message[64], plain[16] = {0};
    if (!aead_suite_here(AEAD_AES_256_GCM))
        return;
    side_open(&side, 1, &(struct world_options){0});
    int fd = stranger_open(SHOAL_AF_INET, &stranger);
    side.peer = side_add_peer(&side, 1, 2, &stranger);
    install(&side, SHOAL_ROLE_INITIATOR, 100, 101, SHOAL_SUITE_AES_256_GCM);
    size_t length = forge(message, 1, 100, 1u << 28, plain, 16);
    stranger_send(fd, &side.outer, message, length);
    side_await(&side, "drop_rx_counter_limit", 1);
    assert_int_equal(side_counter(&side, "drop_rx_authentication"), 0);
    length = forge(message, 1, 100, (1u << 28) - 1, plain, 16);
    stranger_send(fd, &side.outer, message, length);
    side_await(&side, "drop_rx_authentication", 1);
    close(fd);
    side_close(&side);
}

static int32_t installed(struct side *side, uint32_t suite) {
    struct shoal_session session = world_session(side, SHOAL_ROLE_INITIATOR, 100, 101, 0);
    session.suite = suite;
    return shoal_session_install(side->device, side->peer, &session, sizeof(session));
}

static void a_suite_that_is_unknown_or_that_the_cpu_lacks_makes_no_session(void **state) {
    (void)state;
    struct side side;
    struct shoal_address nowhere = {SHOAL_AF_INET, 9, 0, {127, 0, 0, 1}};
    struct shoal_device_info info;
    for (int lacks = 0; lacks < 2; lacks++) {
        cpu_lacks = lacks;
        bool here = aead_suite_here(AEAD_AES_256_GCM);
        side_open(&side, 1, &(struct world_options){0});
        side.peer = side_add_peer(&side, 1, 2, &nowhere);
        assert_int_equal(shoal_device_info(side.device, &info, sizeof(info)), SHOAL_OK);
        assert_true(info.aead[0] != 0);
        assert_int_equal(info.aead_gcm[0] != 0, here);
        assert_int_equal(installed(&side, 2), SHOAL_E_INVALID);
        assert_int_equal(installed(&side, UINT32_MAX), SHOAL_E_INVALID);
        assert_int_equal(installed(&side, SHOAL_SUITE_AES_256_GCM),
                         here ? SHOAL_OK : SHOAL_E_UNKNOWN);
        side_close(&side);
    }
    cpu_lacks = false;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_of_both_suites_cross_with_every_back_end),
        cmocka_unit_test(a_packet_of_the_other_suite_does_not_open),
        cmocka_unit_test(an_aes_gcm_packet_beyond_2_to_the_28_is_not_looked_at),
        cmocka_unit_test(a_suite_that_is_unknown_or_that_the_cpu_lacks_makes_no_session),
    };
    return cmocka_run_group_tests_name("suite", tests, NULL, NULL);
}
