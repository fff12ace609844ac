/* Inner packets: bounds (R49), the ECN table (R52), padding (R18). */
#include "packet.h"

#include "checksum.h"
#include "random.h"
#include "unit.h"

static void make4(uint8_t *p, uint16_t total, uint8_t tos) {
    memset(p, 0, 20);
    p[0] = 0x45;
    p[1] = tos;
    p[2] = (uint8_t)(total >> 8);
    p[3] = (uint8_t)total;
    p[8] = 64;
    p[9] = 17;
    p[12] = 10;
    p[16] = 11;
    checksum_ipv4_write(p, 20);
}

static void make6(uint8_t *p, uint16_t payload, uint8_t tos) {
    memset(p, 0, 40);
    p[0] = (uint8_t)(0x60 | tos >> 4);
    p[1] = (uint8_t)(tos << 4 | 0x0c); /* the low nibble belongs to the flow label */
    p[4] = (uint8_t)(payload >> 8);
    p[5] = (uint8_t)payload;
    p[6] = 6;
    p[8] = 0xfd;
    p[24] = 0xfe;
}

static void r49_an_ipv4_packet_is_read_and_cut_to_its_stated_length(void **state) {
    (void)state;
    uint8_t bytes[64];
    make4(bytes, 50, 0xb9);
    struct packet packet;
    assert_int_equal(packet_parse(&packet, bytes, 64), PACKET_OK);
    assert_int_equal(packet.version, 4);
    assert_int_equal(packet.length, 50);
    assert_int_equal(packet.header_length, 20);
    assert_int_equal(packet.protocol, 17);
    assert_int_equal(packet.tos, 0xb9);
    assert_ptr_equal(packet.source, bytes + 12);
    assert_ptr_equal(packet.destination, bytes + 16);
    assert_false(packet.fragment);
    bytes[6] = 0x40; /* DF is no fragment */
    assert_int_equal(packet_parse(&packet, bytes, 64), PACKET_OK);
    assert_false(packet.fragment);
    bytes[6] = 0x20; /* MF */
    assert_int_equal(packet_parse(&packet, bytes, 64), PACKET_OK);
    assert_true(packet.fragment);
    bytes[6] = 0;
    bytes[7] = 1; /* an offset */
    assert_int_equal(packet_parse(&packet, bytes, 64), PACKET_OK);
    assert_true(packet.fragment);
}

static void r49_an_ipv6_packet_is_read_and_cut_to_its_stated_length(void **state) {
    (void)state;
    uint8_t bytes[100];
    make6(bytes, 50, 0xb9);
    struct packet packet;
    assert_int_equal(packet_parse(&packet, bytes, 100), PACKET_OK);
    assert_int_equal(packet.version, 6);
    assert_int_equal(packet.length, 90);
    assert_int_equal(packet.header_length, 40);
    assert_int_equal(packet.protocol, 6);
    assert_int_equal(packet.tos, 0xb9);
    assert_ptr_equal(packet.source, bytes + 8);
    assert_ptr_equal(packet.destination, bytes + 24);
    assert_false(packet.fragment);
    bytes[6] = 44;
    assert_int_equal(packet_parse(&packet, bytes, 100), PACKET_OK);
    assert_true(packet.fragment);
}

static void r49_a_length_outside_of_its_bounds_is_refused(void **state) {
    (void)state;
    uint8_t bytes[100] = {0};
    struct packet packet;
    assert_int_equal(packet_parse(&packet, bytes, 0), PACKET_SHORT);
    make4(bytes, 20, 0);
    assert_int_equal(packet_parse(&packet, bytes, 20), PACKET_OK);
    for (size_t length = 1; length < 20; length++)
        assert_int_equal(packet_parse(&packet, bytes, length), PACKET_SHORT);
    make4(bytes, 21, 0);
    assert_int_equal(packet_parse(&packet, bytes, 20), PACKET_BAD_LENGTH);
    make4(bytes, 19, 0);
    assert_int_equal(packet_parse(&packet, bytes, 20), PACKET_BAD_LENGTH);
    make4(bytes, 20, 0);
    bytes[0] = 0x44; /* header of 16 bytes */
    assert_int_equal(packet_parse(&packet, bytes, 20), PACKET_BAD_HEADER);
    bytes[0] = 0x46; /* header of 24 bytes in 20 */
    assert_int_equal(packet_parse(&packet, bytes, 20), PACKET_BAD_HEADER);
    assert_int_equal(packet_parse(&packet, bytes, 24), PACKET_BAD_LENGTH); /* total < header */

    make6(bytes, 0, 0);
    assert_int_equal(packet_parse(&packet, bytes, 40), PACKET_OK);
    for (size_t length = 1; length < 40; length++)
        assert_int_equal(packet_parse(&packet, bytes, length), PACKET_SHORT);
    make6(bytes, 61, 0);
    assert_int_equal(packet_parse(&packet, bytes, 100), PACKET_BAD_LENGTH);
    make6(bytes, 65535, 0); /* + 40 would wrap 16 bits to 39 */
    assert_int_equal(packet_parse(&packet, bytes, 100), PACKET_BAD_LENGTH);
}

static void r49_only_versions_4_and_6_pass(void **state) {
    (void)state;
    uint8_t bytes[100] = {0};
    struct packet packet;
    for (unsigned version = 0; version < 16; version++) {
        bytes[0] = (uint8_t)(version << 4 | 5);
        bytes[3] = 20;
        enum packet_status status = packet_parse(&packet, bytes, 100);
        if (version == 4 || version == 6)
            assert_int_equal(status, PACKET_OK);
        else
            assert_int_equal(status, PACKET_BAD_VERSION);
    }
}

/* Figure 4 of RFC 6040; rows: inner, columns: outer, both Not-ECT, ECT(1), ECT(0), CE; -1: drop. */
static const int figure4[4][4] = {{0, 0, 0, -1}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};

static void r52_ecn_follows_figure_4_of_rfc_6040(void **state) {
    (void)state;
    for (uint8_t inner = 0; inner < 4; inner++) {
        for (uint8_t outer = 0; outer < 4; outer++) {
            int want = figure4[inner][outer];
            for (unsigned dscp = 0; dscp < 64; dscp += 7) {
                uint8_t tos = (uint8_t)(dscp << 2 | inner), outer_tos = (uint8_t)(0xb8 | outer);
                uint8_t four[20], six[40], before[40];
                make4(four, 20, tos);
                memcpy(before, four, 20);
                assert_int_equal(packet_ecn_decapsulate(four, outer_tos), want >= 0);
                if (want < 0)
                    assert_memory_equal(four, before, 20);
                else
                    assert_int_equal(four[1], (tos & 0xfc) | want);
                assert_true(checksum_ipv4_valid(four, 20));

                make6(six, 0, tos);
                memcpy(before, six, 40);
                assert_int_equal(packet_ecn_decapsulate(six, outer_tos), want >= 0);
                struct packet packet;
                assert_int_equal(packet_parse(&packet, six, 40), PACKET_OK);
                assert_int_equal(packet.tos, want < 0 ? tos : (tos & 0xfc) | want);
                six[1] = before[1]; /* nothing else changed */
                assert_memory_equal(six, before, 40);
            }
        }
    }
}

static void r18_padding_is_to_16_and_never_above_the_mtu(void **state) {
    (void)state;
    assert_int_equal(packet_padded(0, 1420), 0);
    assert_int_equal(packet_padded(1, 1420), 16);
    assert_int_equal(packet_padded(16, 1420), 16);
    assert_int_equal(packet_padded(17, 1420), 32);
    assert_int_equal(packet_padded(1408, 1420), 1408);
    assert_int_equal(packet_padded(1409, 1420), 1420);
    assert_int_equal(packet_padded(1420, 1420), 1420);
    assert_int_equal(packet_padded(1421, 1420), 1421); /* too big already: nothing is added */
    for (size_t mtu = 576; mtu < 1600; mtu += 13) {
        for (size_t length = 0; length <= mtu; length++) {
            size_t padded = packet_padded(length, mtu);
            assert_in_range(padded, length, mtu);
            assert_true(padded % 16 == 0 || padded == mtu);
            assert_true(padded - length < 16);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(r49_an_ipv4_packet_is_read_and_cut_to_its_stated_length),
        cmocka_unit_test(r49_an_ipv6_packet_is_read_and_cut_to_its_stated_length),
        cmocka_unit_test(r49_a_length_outside_of_its_bounds_is_refused),
        cmocka_unit_test(r49_only_versions_4_and_6_pass),
        cmocka_unit_test(r52_ecn_follows_figure_4_of_rfc_6040),
        cmocka_unit_test(r18_padding_is_to_16_and_never_above_the_mtu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
