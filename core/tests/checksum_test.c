// LDFLAGS: -Wl,--wrap=pthread_create
/* The internet checksum against a byte-by-byte model, at every length and alignment. */
#include "checksum.h"

#include <stdlib.h>

#include "no_threads.h"
#include "random.h"
#include "unit.h"

/* RFC 1071 as written: big-endian words, carries folded at once. Returns the folded sum. */
static uint16_t model(const uint8_t *data, size_t length, uint32_t sum) {
    for (size_t i = 0; i < length; i++) {
        sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)sum;
}

static uint16_t big_endian(uint16_t memory_order) { return __builtin_bswap16(memory_order); }

static void the_sum_is_the_models_at_every_length_and_alignment(void **state) {
    (void)state;
    static uint8_t buffer[4096];
    struct random random = {1};
    random_fill(&random, buffer, sizeof(buffer));
    for (size_t offset = 0; offset < 33; offset++)
        for (size_t length = 0; length <= 2000; length++)
            assert_int_equal(big_endian(checksum_fold(checksum_sum(buffer + offset, length))),
                             model(buffer + offset, length, 0));
}

static void extreme_bytes_do_not_overflow(void **state) {
    (void)state;
    const size_t most = 1 << 20;
    uint8_t *buffer = malloc(most);
    assert_non_null(buffer);
    memset(buffer, 0xff, most);
    assert_int_equal(checksum_fold(checksum_sum(buffer, most)), 0xffff);
    assert_int_equal(big_endian(checksum_fold(checksum_sum(buffer, 65535))), 0xff00);
    memset(buffer, 0, most);
    assert_int_equal(checksum_fold(checksum_sum(buffer, most)), 0);
    free(buffer);
}

static void pieces_of_even_length_add_up(void **state) {
    (void)state;
    uint8_t buffer[777];
    struct random random = {2};
    random_fill(&random, buffer, sizeof(buffer));
    for (size_t cut = 0; cut <= sizeof(buffer); cut += 2)
        assert_int_equal(checksum_fold(checksum_sum(buffer, cut) +
                                       checksum_sum(buffer + cut, sizeof(buffer) - cut)),
                         checksum_fold(checksum_sum(buffer, sizeof(buffer))));
}

static void pseudo_headers_are_those_of_rfc_793_and_8200(void **state) {
    (void)state;
    uint8_t pseudo4[12] = {10, 1, 2, 3, 192, 168, 255, 254, 0, 17, 0x12, 0x34};
    assert_int_equal(
        checksum_fold(checksum_pseudo4(pseudo4, pseudo4 + 4, 17) + checksum_length(0x1234)),
        checksum_fold(checksum_sum(pseudo4, 12)));
    uint8_t pseudo6[40];
    struct random random = {3};
    random_fill(&random, pseudo6, 32);
    const uint8_t tail[8] = {0, 1, 0x23, 0x45, 0, 0, 0, 6};
    memcpy(pseudo6 + 32, tail, 8);
    assert_int_equal(
        checksum_fold(checksum_pseudo6(pseudo6, pseudo6 + 16, 6) + checksum_length(0x12345)),
        checksum_fold(checksum_sum(pseudo6, 40)));
}

static void the_ipv4_header_example_holds(void **state) {
    (void)state;
    uint8_t header[20] = {0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11,
                          0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01, 0xc0, 0xa8, 0x00, 0xc7};
    assert_true(checksum_ipv4_valid(header, 20));
    uint8_t copy[20];
    memcpy(copy, header, 20);
    copy[10] = copy[11] = 0x55;
    assert_false(checksum_ipv4_valid(copy, 20));
    checksum_ipv4_write(copy, 20);
    assert_memory_equal(copy, header, 20);
}

static void a_partial_checksum_is_completed_in_place(void **state) {
    (void)state;
    struct random random = {4};
    for (size_t payload = 0; payload < 300; payload++) {
        uint8_t packet[400];
        random_fill(&random, packet, sizeof(packet));
        size_t length = 20 + 8 + payload;
        uint64_t pseudo =
            checksum_pseudo4(packet + 12, packet + 16, 17) + checksum_length((uint32_t)payload + 8);
        uint16_t partial = checksum_fold(pseudo);
        memcpy(packet + 26, &partial, 2);
        assert_true(checksum_complete(packet, length, 20, 6));
        assert_true(checksum_valid(packet + 20, payload + 8, pseudo));
    }
}

static void a_completed_zero_becomes_ffff(void **state) {
    (void)state;
    uint8_t packet[28] = {0};
    packet[20] = packet[21] = 0xff; /* the sum is 0xffff, its complement 0 */
    assert_true(checksum_complete(packet, 28, 20, 6));
    assert_int_equal(packet[26], 0xff);
    assert_int_equal(packet[27], 0xff);
}

static void a_checksum_field_outside_of_the_packet_is_refused(void **state) {
    (void)state;
    uint8_t packet[40] = {0}, before[40] = {0};
    assert_false(checksum_complete(packet, 40, 40, 0));
    assert_false(checksum_complete(packet, 40, 65535, 65535));
    assert_false(checksum_complete(packet, 40, 0, 39));
    assert_false(checksum_complete(packet, 40, 39, 0));
    assert_false(checksum_complete(packet, 40, 20, SIZE_MAX));
    assert_memory_equal(packet, before, 40);
    assert_true(checksum_complete(packet, 40, 0, 38));
}

static void an_update_equals_a_new_sum(void **state) {
    (void)state;
    struct random random = {5};
    for (uint32_t i = 0; i < 20000; i++) {
        uint8_t header[20];
        random_fill(&random, header, 20);
        checksum_ipv4_write(header, 20);
        uint16_t before, after = (uint16_t)random_next(&random), sum;
        if (i % 4 == 0)
            after = i % 8 ? 0 : 0xffff;
        memcpy(&before, header, 2);
        memcpy(&sum, header + 10, 2);
        sum = checksum_update(sum, before, after);
        memcpy(header, &after, 2);
        memcpy(header + 10, &sum, 2);
        assert_true(checksum_ipv4_valid(header, 20));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sum_is_the_models_at_every_length_and_alignment),
        cmocka_unit_test(extreme_bytes_do_not_overflow),
        cmocka_unit_test(pieces_of_even_length_add_up),
        cmocka_unit_test(pseudo_headers_are_those_of_rfc_793_and_8200),
        cmocka_unit_test(the_ipv4_header_example_holds),
        cmocka_unit_test(a_partial_checksum_is_completed_in_place),
        cmocka_unit_test(a_completed_zero_becomes_ffff),
        cmocka_unit_test(a_checksum_field_outside_of_the_packet_is_refused),
        cmocka_unit_test(an_update_equals_a_new_sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
