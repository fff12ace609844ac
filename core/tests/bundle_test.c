/* Segments are sealed in bundles where that pays, one by one where it does not, by one worker and
 * by several: every packet arrives, and where a library fails, a bundle is lost and nothing else.
 */
// LDFLAGS: -Wl,--wrap=aead_seal -Wl,--wrap=aead_gains_by_numbers
#include "world.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "aead.h"
#include "bundle.h"
#include "offload_model.h"
#include "unit.h"

enum { PIECE = 1380, PIECES = 46, PEER_INDEX = 555 };

static bool gains;
static _Atomic uint32_t calls, packets_sealed, largest, in_place;
static uint32_t fails_at; /* this call of aead_seal; 0: none */

bool __wrap_aead_gains_by_numbers(const struct aead *aead, enum aead_suite suite);
bool __wrap_aead_gains_by_numbers(const struct aead *aead, enum aead_suite suite) {
    (void)aead;
    (void)suite;
    return gains;
}

bool __real_aead_seal(struct aead *aead, const struct aead_key *key, struct aead_packet *packets,
                      size_t n);
bool __wrap_aead_seal(struct aead *aead, const struct aead_key *key, struct aead_packet *packets,
                      size_t n);
bool __wrap_aead_seal(struct aead *aead, const struct aead_key *key, struct aead_packet *packets,
                      size_t n) {
    uint32_t call = atomic_fetch_add(&calls, 1) + 1;
    for (size_t i = 0; i < n; i++)
        atomic_fetch_add(&in_place, packets[i].in == packets[i].out);
    atomic_fetch_add(&packets_sealed, n);
    if (n > atomic_load(&largest))
        atomic_store(&largest, (uint32_t)n);
    return call != fails_at && __real_aead_seal(aead, key, packets, n);
}

static struct side side;
static struct shoal_address stranger;
static int fd;
static uint8_t payload[65536];

static void start(uint32_t workers, bool bundles, uint32_t failing) {
    gains = bundles;
    fails_at = failing;
    side_open(&side, 1, &(struct world_options){.workers = workers});
    fd = stranger_open(SHOAL_AF_INET, &stranger);
    side.peer = side_add_peer(&side, 12, 2, &stranger);
    struct shoal_session session =
        world_session(&side, SHOAL_ROLE_INITIATOR, world_index(&side, 100), PEER_INDEX, 0);
    side_install(&side, &session);
    calls = packets_sealed = largest = in_place = 0;
    for (uint32_t i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)(i * 7 + i / 256);
}

static void stop(void) {
    close(fd);
    side_close(&side);
}

static void write_super(uint32_t length) {
    static uint8_t frame[WORLD_FRAME_MAX];
    struct model_spec spec = {.source = {10, 9, 0, 1},
                              .destination = {10, 9, 0, 2},
                              .payload = payload,
                              .payload_length = length,
                              .source_port = 4000,
                              .destination_port = 5000,
                              .protocol = 17,
                              .ttl = 64};
    size_t size = model_build_super(&spec, PIECE, frame);
    assert_int_equal(write(side.tun, frame, size), size);
}

/* The next message says which piece it is, by its counter. */
static void expect_piece(uint64_t counter, uint32_t length) {
    uint8_t message[2048], plain[2048];
    uint32_t at = (uint32_t)counter * PIECE, share = length - at < PIECE ? length - at : PIECE;
    size_t size = stranger_receive(fd, message, sizeof(message), WORLD_PATIENCE_MS);
    long opened = unforge(plain, 1, message, size);
    assert_int_equal(message[8], counter);
    assert_true(opened >= (long)(28 + share));
    assert_memory_equal(plain + 28, payload + at, share);
}

static void segments_are_sealed_eight_at_a_time_and_all_arrive(void **state) {
    (void)state;
    const uint32_t length = PIECES * PIECE - 500;
    for (uint32_t workers = 1; workers <= 2; workers++) {
        start(workers, true, 0);
        write_super(length);
        for (uint64_t counter = 0; counter < PIECES; counter++)
            expect_piece(counter, length);
        assert_int_equal(packets_sealed, PIECES);
        assert_int_equal(in_place, PIECES);
        assert_int_equal(largest, BUNDLE_MAX);
        assert_true(calls <= PIECES / BUNDLE_MAX + 2); /* two trains, and a last bundle each */
        assert_int_equal(side_drops(&side), 0);
        stop();
    }
}

static void where_numbers_gain_nothing_no_segment_is_copied(void **state) {
    (void)state;
    const uint32_t length = PIECES * PIECE;
    for (uint32_t workers = 1; workers <= 2; workers++) {
        start(workers, false, 0);
        write_super(length);
        for (uint64_t counter = 0; counter < PIECES; counter++)
            expect_piece(counter, length);
        assert_int_equal(calls, PIECES);
        assert_int_equal(in_place, 0);
        stop();
    }
}

static void a_bundle_that_fails_is_lost_and_nothing_else(void **state) {
    (void)state;
    const uint32_t length = PIECES * PIECE;
    for (uint32_t workers = 1; workers <= 2; workers++)
        for (uint32_t failing = 1; failing <= 5; failing++) {
            start(workers, true, failing);
            write_super(length);
            uint64_t first = (failing - 1) * BUNDLE_MAX;
            for (uint64_t counter = 0; counter < PIECES; counter++)
                if (counter < first || counter >= first + BUNDLE_MAX)
                    expect_piece(counter, length);
            assert_int_equal(side_counter(&side, "drop_tx_seal"), BUNDLE_MAX);
            assert_int_equal(side_drops(&side), BUNDLE_MAX);
            stop();
        }
}

/* Small packets of other frames and a keepalive are not held back. */
static void a_packet_by_itself_leaves_at_once(void **state) {
    (void)state;
    start(1, true, 0);
    for (uint64_t counter = 0; counter < 3; counter++) {
        write_super(100);
        uint8_t message[2048], plain[2048];
        size_t size = stranger_receive(fd, message, sizeof(message), WORLD_PATIENCE_MS);
        assert_int_equal(unforge(plain, 1, message, size), 128);
        assert_int_equal(calls, counter + 1);
    }
    assert_int_equal(shoal_peer_keepalive(side.device, side.peer, 0), SHOAL_OK);
    uint8_t message[64];
    assert_int_equal(stranger_receive(fd, message, sizeof(message), WORLD_PATIENCE_MS), 32);
    stop();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_are_sealed_eight_at_a_time_and_all_arrive),
        cmocka_unit_test(where_numbers_gain_nothing_no_segment_is_copied),
        cmocka_unit_test(a_bundle_that_fails_is_lost_and_nothing_else),
        cmocka_unit_test(a_packet_by_itself_leaves_at_once),
    };
    return cmocka_run_group_tests_name("bundle", tests, NULL, NULL);
}
