// LDFLAGS: -Wl,--wrap=clock_gettime
/* ICMP errors: what is answered, with what, and how often (RFC 1122, RFC 4443). */
#include "icmp.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "checksum.h"
#include "unit.h"
#include "world.h"

static uint8_t bytes[2000], answer[ICMP_MAX];
static struct packet packet, again;
static const struct icmp_error unreachable = {.kind = ICMP_UNREACHABLE};

/* An inner UDP packet from 10.9.0.1 or fd09::1 to host 2. @return the answer's length. */
static size_t ask(bool v6, size_t payload) {
    size_t length = world_packet(bytes, v6, 1, 2, payload, 1);
    assert_int_equal(packet_parse(&packet, bytes, length), PACKET_OK);
    return icmp_answer(answer, &packet, bytes, &unreachable);
}

static size_t answer_of(size_t length) {
    assert_int_equal(packet_parse(&packet, bytes, length), PACKET_OK);
    return icmp_answer(answer, &packet, bytes, &unreachable);
}

static void ipv4_is_answered_by_host_unreachable_from_whom_it_was_sent_to(void **state) {
    (void)state;
    size_t length = ask(false, 100);
    assert_int_equal(length, 20 + 8 + packet.length);
    assert_int_equal(packet_parse(&again, answer, length), PACKET_OK);
    assert_int_equal(again.protocol, 1);
    assert_memory_equal(again.source, packet.destination, 4);
    assert_memory_equal(again.destination, packet.source, 4);
    assert_true(checksum_ipv4_valid(answer, 20));
    assert_int_equal(answer[20], 3);
    assert_int_equal(answer[21], 1);
    assert_int_equal(checksum_fold(checksum_sum(answer + 20, length - 20)), 0xffff);
    assert_memory_equal(answer + 28, bytes, packet.length);
    assert_int_equal(ask(false, 1300), 576); /* RFC 1812, 4.3.2.3 */
}

static void ipv6_is_answered_by_address_unreachable_from_whom_it_was_sent_to(void **state) {
    (void)state;
    size_t length = ask(true, 100);
    assert_int_equal(length, 40 + 8 + packet.length);
    assert_int_equal(packet_parse(&again, answer, length), PACKET_OK);
    assert_int_equal(again.protocol, 58);
    assert_memory_equal(again.source, packet.destination, 16);
    assert_memory_equal(again.destination, packet.source, 16);
    assert_int_equal(answer[40], 1);
    assert_int_equal(answer[41], 3);
    uint64_t sum = checksum_pseudo6(answer + 8, answer + 24, 58) +
                   checksum_length((uint32_t)(length - 40)) +
                   checksum_sum(answer + 40, length - 40);
    assert_int_equal(checksum_fold(sum), 0xffff);
    assert_memory_equal(answer + 48, bytes, packet.length);
    assert_int_equal(ask(true, 1400), ICMP_MAX); /* RFC 4443, 2.4 c */
}

static void a_packet_that_is_not_carried_on_is_answered_by_whom_it_met(void **state) {
    (void)state;
    static const uint8_t own[16] = {0xfd, 9, [15] = 7};
    for (int v6 = 0; v6 < 2; v6++) {
        size_t at = v6 ? 40 : 20;
        struct icmp_error error = {.kind = ICMP_TIME_EXCEEDED, .source = own};
        ask(v6, 100);
        size_t length = icmp_answer(answer, &packet, bytes, &error);
        assert_int_equal(packet_parse(&again, answer, length), PACKET_OK);
        assert_memory_equal(again.source, own, v6 ? 16 : 4);
        assert_memory_equal(again.destination, packet.source, v6 ? 16 : 4);
        assert_int_equal(answer[at], v6 ? 3 : 11);
        assert_int_equal(answer[at + 1], 0);
        error = (struct icmp_error){.kind = ICMP_TOO_BIG, .mtu = 66000};
        length = icmp_answer(answer, &packet, bytes, &error);
        assert_int_equal(answer[at], v6 ? 2 : 3);
        assert_int_equal(answer[at + 1], v6 ? 0 : 4);
        static const uint8_t mtu6[4] = {0, 1, 66000 >> 8 & 0xff, 66000 & 0xff};
        static const uint8_t mtu4[4] = {0, 0, 0xff, 0xff}; /* RFC 1191: 16 bits */
        assert_memory_equal(answer + at + 4, v6 ? mtu6 : mtu4, 4);
        uint64_t pseudo = v6 ? checksum_pseudo6(answer + 8, answer + 24, 58) +
                                   checksum_length((uint32_t)(length - 40))
                             : 0;
        assert_int_equal(checksum_fold(pseudo + checksum_sum(answer + at, length - at)), 0xffff);
    }
}

static void errors_are_not_answered_and_questions_are(void **state) {
    (void)state;
    size_t length = world_packet(bytes, false, 1, 2, 100, 1);
    bytes[9] = 1; /* ICMP */
    for (int type = 0; type < 256; type++) {
        bytes[20] = (uint8_t)type;
        bool error = type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
        assert_int_equal(answer_of(length) == 0, error);
    }
    length = world_packet(bytes, true, 1, 2, 100, 1);
    bytes[6] = 58;
    for (int type = 0; type < 256; type++) {
        bytes[40] = (uint8_t)type;
        assert_int_equal(answer_of(length) == 0, type < 128);
    }
}

static void whoever_is_not_one_host_is_not_answered(void **state) {
    (void)state;
    static const uint8_t nobody[][4] = {
        {0, 0, 0, 0}, {127, 0, 0, 1}, {224, 0, 0, 251}, {255, 255, 255, 255}};
    for (size_t i = 0; i < sizeof(nobody) / sizeof(nobody[0]); i++)
        for (size_t at = 12; at <= 16; at += 4) {
            size_t length = world_packet(bytes, false, 1, 2, 100, 1);
            memcpy(bytes + at, nobody[i], 4);
            assert_int_equal(answer_of(length), 0);
        }
    for (size_t at = 8; at <= 24; at += 16) {
        size_t length = world_packet(bytes, true, 1, 2, 100, 1);
        bytes[at] = 0xff;
        assert_int_equal(answer_of(length), 0);
        memset(bytes + at, 0, 16);
        assert_int_equal(answer_of(length), 0);
    }
}

static void only_the_first_fragment_is_answered(void **state) {
    (void)state;
    size_t length = world_packet(bytes, false, 1, 2, 100, 1);
    bytes[6] = 0x20; /* more follow */
    assert_int_not_equal(answer_of(length), 0);
    bytes[7] = 1;
    assert_int_equal(answer_of(length), 0);
    static const uint8_t hidden[] = {0, 43, 44, 60}; /* what is behind these headers is not known */
    for (size_t i = 0; i < sizeof(hidden); i++) {
        length = world_packet(bytes, true, 1, 2, 100, 1);
        bytes[6] = hidden[i];
        assert_int_equal(answer_of(length), 0);
    }
}

static void fifty_at_once_are_answered_and_fifty_in_a_second(void **state) {
    (void)state;
    struct icmp_pace pace = {0};
    uint64_t now = 5000000000ull;
    uint32_t taken = 0;
    for (int i = 0; i < 1000; i++)
        taken += icmp_take(&pace, now);
    assert_int_equal(taken, ICMP_BURST);
    for (int i = 0; i < 1000; i++)
        taken += icmp_take(&pace, now += 1000000);
    assert_int_equal(taken, ICMP_BURST + 50);
    for (int i = 0; i < 1000; i++)
        taken += icmp_take(&pace, now + 3600000000000ull);
    assert_int_equal(taken, 2 * ICMP_BURST + 50);
}

/* Seconds that core's clock is ahead. */
static _Atomic time_t ahead;

int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time) {
    int result = __real_clock_gettime(clock, time);
    time->tv_sec += atomic_load(&ahead);
    return result;
}

static struct side side;

static void write_to(uint8_t number) {
    side_write(&side, bytes, world_packet(bytes, false, 1, number, 50, number));
}

static void expect_unreachable(const char *counter, uint64_t count) {
    uint8_t frame[WORLD_FRAME_MAX];
    size_t length = side_read(&side, frame, WORLD_PATIENCE_MS);
    assert_true(length > 10 + 28);
    assert_int_equal(frame[10 + 20], 3);
    assert_memory_equal(frame + 10 + 28, bytes, length - 10 - 28);
    side_await(&side, counter, count);
}

static void what_reaches_nobody_is_told_so_and_what_may_reach_somebody_waits(void **state) {
    (void)state; /* R51 */
    struct shoal_mail mail;
    struct shoal_address at = {SHOAL_AF_INET, 9, 0, {127, 0, 0, 1}};
    side_open(&side, 1, &(struct world_options){0});
    shoal_peer_t nowhere = side_add_peer(&side, 12, 2, NULL);
    shoal_peer_t somewhere = side_add_peer(&side, 13, 3, &at);
    (void)nowhere;
    write_to(9);
    expect_unreachable("drop_tx_no_route", 1);
    write_to(2);
    expect_unreachable("drop_tx_no_endpoint", 1);
    write_to(3);
    assert_true(side_mail(&side, SHOAL_MAIL_SESSION_NEEDED, &mail, NULL));
    assert_int_equal(side_counter(&side, "tx_staged"), 1);
    uint8_t frame[WORLD_FRAME_MAX];
    assert_int_equal(side_read(&side, frame, 20), 0);
    assert_int_equal(shoal_peer_set_offline(side.device, somewhere, 1), SHOAL_OK);
    assert_int_equal(shoal_peer_arm(side.device, somewhere, SHOAL_EDGE_ALL), SHOAL_OK);
    assert_int_equal(shoal_peer_drop_staged(side.device, somewhere), SHOAL_OK);
    assert_true(side_mail(&side, SHOAL_MAIL_SESSION_NEEDED, &mail, NULL));
    assert_int_equal(shoal_peer_arm(side.device, somewhere, SHOAL_EDGE_ALL), SHOAL_OK);
    write_to(3);
    expect_unreachable("drop_tx_offline", 1);
    assert_true(side_mail(&side, SHOAL_MAIL_SESSION_NEEDED, &mail, NULL)); /* it may be back */
    struct shoal_session session = world_session(&side, SHOAL_ROLE_INITIATOR, 100, 555, 0);
    side.peer = somewhere;
    side_install(&side, &session);
    write_to(3); /* a session is better news */
    side_await(&side, "tx_packets", 1);
    side_await(&side, "tx_packets", 1);
    atomic_fetch_add(&ahead, 12);
    write_to(3); /* but not one in which nothing comes back (R57) */
    expect_unreachable("drop_tx_offline", 2);
    assert_int_equal(shoal_peer_set_offline(side.device, somewhere, 0), SHOAL_OK);
    write_to(3);
    side_await(&side, "tx_packets", 2);
    assert_int_equal(shoal_peer_set_offline(side.device, somewhere, 2), SHOAL_E_INVALID);
    assert_int_equal(side_counter(&side, "tun_unreachable"), 4);
    side_close(&side);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipv4_is_answered_by_host_unreachable_from_whom_it_was_sent_to),
        cmocka_unit_test(ipv6_is_answered_by_address_unreachable_from_whom_it_was_sent_to),
        cmocka_unit_test(a_packet_that_is_not_carried_on_is_answered_by_whom_it_met),
        cmocka_unit_test(errors_are_not_answered_and_questions_are),
        cmocka_unit_test(whoever_is_not_one_host_is_not_answered),
        cmocka_unit_test(only_the_first_fragment_is_answered),
        cmocka_unit_test(fifty_at_once_are_answered_and_fifty_in_a_second),
        cmocka_unit_test(what_reaches_nobody_is_told_so_and_what_may_reach_somebody_waits),
    };
    return cmocka_run_group_tests_name("unreachable", tests, NULL, NULL);
}
