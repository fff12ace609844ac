/* Guests: what is carried on between a guest and other peers, what goes to the TUN all the same,
 * and what is answered. Strangers with keys play the peers: each has a socket and a session of its
 * own.
 */
#include "world.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "checksum.h"
#include "packet.h"
#include "unit.h"

/* Numbers of inner addresses: 1 is ours. 2 and 5 are guests, 3 and 4 members. */
enum { OURS = 1, GUEST = 2, MEMBER = 3, OTHER = 4, SECOND = 5, NUMBERS };

#define FIRST_INDEX 0x01050064u /* its bytes lie where the virtio header comes: a super-packet */

static struct side side;
static shoal_peer_t peers[NUMBERS];
static struct shoal_address places[NUMBERS];
static int sockets[NUMBERS];
static uint64_t counters[NUMBERS];
static uint8_t message[WORLD_FRAME_MAX], plain[WORLD_FRAME_MAX], got[WORLD_FRAME_MAX],
    frame[WORLD_FRAME_MAX];

static void connect_number(uint8_t number) {
    struct shoal_session session =
        world_session(&side, SHOAL_ROLE_INITIATOR, FIRST_INDEX + number, number, 0);
    side.peer = peers[number];
    side_install(&side, &session);
}

static void set_inner(uint16_t family, uint16_t length) {
    struct shoal_prefix inner = {family, length, {10, 9, 0, OURS}};
    if (family == SHOAL_AF_INET6)
        memcpy(inner.ip, (uint8_t[16]){0xfd, 9, [15] = OURS}, 16);
    assert_int_equal(shoal_device_set_inner(side.device, &inner, sizeof(inner)), SHOAL_OK);
}

static void start(const struct world_options *options) {
    memset(counters, 0, sizeof(counters));
    side_open(&side, OURS, options);
    set_inner(SHOAL_AF_INET, 16);
    set_inner(SHOAL_AF_INET6, 64);
    for (uint8_t i = GUEST; i < NUMBERS; i++) {
        sockets[i] = stranger_open(SHOAL_AF_INET, &places[i]);
        peers[i] = side_add_peer(&side, 10u + i, i, &places[i]);
        connect_number(i);
    }
    assert_int_equal(shoal_peer_set_guest(side.device, peers[GUEST], 1), SHOAL_OK);
    assert_int_equal(shoal_peer_set_guest(side.device, peers[SECOND], 1), SHOAL_OK);
}

static void stop(void) {
    for (int i = GUEST; i < NUMBERS; i++)
        close(sockets[i]);
    side_close(&side);
}

static void send_plain(uint8_t from, const uint8_t *bytes, size_t length) {
    size_t size = forge(message, 2, FIRST_INDEX + from, counters[from]++, bytes, length);
    stranger_send(sockets[from], &side.outer, message, size);
}

/* What arrives next at a peer, opened into `got`. @return with its padding */
static size_t receive(uint8_t at) {
    size_t size = stranger_receive(sockets[at], message, sizeof(message), WORLD_PATIENCE_MS);
    assert_true(size > 0);
    assert_int_equal(message[4], at); /* its own receiver index */
    long length = unforge(got, 1, message, size);
    assert_true(length > 0);
    return (size_t)length;
}

static bool nothing_at(uint8_t at) {
    return stranger_receive(sockets[at], message, sizeof(message), 0) == 0;
}

/* What was sent arrives with one hop less, everything else as it was. */
static void expect_forwarded(uint8_t at, const uint8_t *sent, size_t length) {
    size_t padded = receive(at);
    bool v4 = sent[0] >> 4 == 4;
    assert_int_equal(padded, (length + 15) & ~(size_t)15); /* R18 */
    assert_int_equal(got[v4 ? 8 : 7], sent[v4 ? 8 : 7] - 1);
    if (v4)
        assert_true(checksum_ipv4_valid(got, 20));
    got[v4 ? 8 : 7]++;
    if (v4)
        memcpy(got + 10, sent + 10, 2);
    assert_memory_equal(got, sent, length);
    for (size_t i = length; i < padded; i++)
        assert_int_equal(got[i], 0);
}

static void crosses(bool v6, uint8_t from, uint8_t to, size_t payload) {
    size_t length = world_packet(plain, v6, from, to, payload, (uint8_t)(from + payload));
    send_plain(from, plain, length);
    expect_forwarded(to, plain, length);
}

static void goes_to_the_tun(bool v6, uint8_t from, uint8_t to) {
    size_t length = world_packet(plain, v6, from, to, 60, from);
    send_plain(from, plain, length);
    side_expect(&side, plain, length);
}

/* An ICMP error of ours about `plain` arrives. @return where its quotation begins in `got` */
static size_t expect_error(uint8_t at, uint8_t type, uint8_t code, size_t length) {
    size_t padded = receive(at);
    bool v4 = plain[0] >> 4 == 4;
    struct packet packet;
    assert_int_equal(packet_parse(&packet, got, padded), PACKET_OK);
    static const uint8_t own4[4] = {10, 9, 0, OURS}, own6[16] = {0xfd, 9, [15] = OURS};
    assert_memory_equal(packet.source, v4 ? own4 : own6, v4 ? 4 : 16);
    assert_memory_equal(packet.destination, plain + (v4 ? 12 : 8), v4 ? 4 : 16);
    assert_int_equal(packet.protocol, v4 ? 1 : 58);
    size_t icmp = packet.header_length;
    assert_int_equal(got[icmp], type);
    assert_int_equal(got[icmp + 1], code);
    size_t quoted = packet.length - icmp - 8;
    assert_true(quoted <= length && quoted >= (length < 500 ? length : 500));
    return icmp + 8;
}

static void a_guest_and_the_others_reach_each_other_in_both_families(void **state) {
    (void)state;
    start(&(struct world_options){0});
    uint64_t forwarded = 0;
    static const uint8_t pairs[][2] = {{GUEST, MEMBER}, {MEMBER, GUEST}, {GUEST, OTHER},
                                       {OTHER, GUEST},  {GUEST, SECOND}, {SECOND, GUEST}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        for (size_t payload = 0; payload < 40; payload += 3, forwarded += 2) {
            crosses(false, pairs[i][0], pairs[i][1], payload);
            crosses(true, pairs[i][0], pairs[i][1], payload);
        }
    assert_int_equal(side_counter(&side, "forwarded"), forwarded);
    assert_int_equal(side_drops(&side), 0);
    assert_int_equal(side_read(&side, frame, 0), 0);
    assert_int_equal(side_counter(&side, "tun_writes"), 0);
    stop();
}

/* Sent to an address that is not of the mesh: the host's other network, everybody, nobody. */
static size_t packet_out_of_the_mesh(bool v6, uint8_t from, uint32_t which) {
    static const uint8_t outside[][2][16] = {
        {{192, 0, 2, 1}, {0x20, 1, 0xd, 0xb8, [15] = 1}},
        {{255, 255, 255, 255}, {0xff, 2, [15] = 1}},
        {{127, 0, 0, 1}, {[15] = 1}},
        {{10, 8, 255, 255}, {0xfd, 9, [7] = 1, [15] = OURS}},
    };
    size_t length = world_packet(plain, v6, from, OURS, 60, from);
    memcpy(plain + (v6 ? 24 : 16), outside[which][v6], v6 ? 16 : 4);
    if (!v6)
        checksum_ipv4_write(plain, 20);
    return length;
}

static void only_what_is_for_ourselves_goes_to_the_tun(void **state) {
    (void)state;
    start(&(struct world_options){0});
    uint64_t refused = 0;
    for (int guests = 2; guests >= 0; guests--) {
        if (guests < 2)
            assert_int_equal(shoal_peer_set_guest(side.device, peers[guests ? GUEST : SECOND], 0),
                             SHOAL_OK);
        for (int v6 = 0; v6 < 2; v6++) {
            goes_to_the_tun(v6, GUEST, OURS);
            goes_to_the_tun(v6, MEMBER, OURS);
            for (uint32_t i = 0; i < 4; i++)
                for (uint8_t from = GUEST; from <= MEMBER; from++) {
                    send_plain(from, plain, packet_out_of_the_mesh(v6, from, i));
                    side_await(&side, "drop_rx_destination", ++refused);
                }
            send_plain(MEMBER, plain, world_packet(plain, v6, MEMBER, OTHER, 60, 1));
            side_await(&side, "drop_rx_destination", ++refused);
            send_plain(MEMBER, plain, world_packet(plain, v6, MEMBER, 99, 60, 1));
            side_await(&side, "drop_rx_destination", ++refused);
        }
    }
    assert_int_equal(side_counter(&side, "forwarded"), 0);
    assert_int_equal(side_drops(&side), refused);
    assert_true(nothing_at(OTHER));
    assert_int_equal(side_read(&side, frame, 0), 0);
    stop();
}

/* What is for nobody ends here; only a guest's is carried. */
static void ends_here(bool v6, uint8_t from, uint8_t to) {
    uint64_t refused = side_counter(&side, "drop_rx_destination");
    send_plain(from, plain, world_packet(plain, v6, from, to, 60, from));
    side_await(&side, "drop_rx_destination", refused + 1);
}

static void without_guests_nothing_is_carried_on(void **state) {
    (void)state;
    start(&(struct world_options){0});
    assert_int_equal(shoal_peer_set_guest(side.device, peers[SECOND], 0), SHOAL_OK);
    ends_here(false, SECOND, MEMBER);
    ends_here(false, MEMBER, SECOND);
    receive(SECOND); /* and is answered */
    receive(MEMBER);
    crosses(false, GUEST, SECOND, 10);
    assert_int_equal(shoal_peer_remove(side.device, peers[GUEST]), SHOAL_OK);
    ends_here(false, MEMBER, GUEST);
    receive(MEMBER);
    /* Said twice it is still one, and gone at once. */
    for (int i = 0; i < 2; i++)
        assert_int_equal(shoal_peer_set_guest(side.device, peers[SECOND], 1), SHOAL_OK);
    crosses(true, MEMBER, SECOND, 10);
    assert_int_equal(shoal_peer_set_guest(side.device, peers[SECOND], 0), SHOAL_OK);
    ends_here(true, MEMBER, SECOND);
    receive(MEMBER);
    assert_int_equal(shoal_peer_set_guest(side.device, peers[SECOND], 2), SHOAL_E_INVALID);
    assert_int_equal(shoal_peer_set_guest(side.device, peers[GUEST], 1), SHOAL_E_STALE);
    stop();
}

static void a_hop_limit_that_runs_out_is_told(void **state) {
    (void)state;
    start(&(struct world_options){0});
    uint64_t drops = 0;
    for (int v6 = 0; v6 < 2; v6++)
        for (uint8_t hops = 0; hops < 3; hops++) {
            size_t length = world_packet(plain, v6, GUEST, MEMBER, 60, hops);
            plain[v6 ? 7 : 8] = hops;
            if (!v6)
                checksum_ipv4_write(plain, 20);
            send_plain(GUEST, plain, length);
            if (hops == 2) {
                expect_forwarded(MEMBER, plain, length);
                continue;
            }
            size_t quoted = expect_error(GUEST, v6 ? 3 : 11, 0, length);
            assert_memory_equal(got + quoted, plain, length);
            assert_int_equal(side_counter(&side, "drop_forward_hops"), ++drops);
        }
    assert_true(nothing_at(MEMBER));
    assert_int_equal(side_counter(&side, "forward_errors"), drops);
    stop();
}

static void what_is_above_the_mtu_is_told_its_size(void **state) {
    (void)state;
    start(&(struct world_options){.mtu = 1296});
    crosses(false, MEMBER, GUEST, 1296 - 28);
    size_t length = world_packet(plain, true, MEMBER, GUEST, 1297 - 48, 1);
    send_plain(MEMBER, plain, length);
    expect_error(MEMBER, 2, 0, length);
    static const uint8_t mtu[4] = {0, 0, 1296 >> 8, 1296 & 0xff};
    assert_memory_equal(got + 44, mtu, 4);
    length = world_packet(plain, false, MEMBER, GUEST, 1297 - 28, 1);
    plain[6] = 0x40; /* DF */
    checksum_ipv4_write(plain, 20);
    send_plain(MEMBER, plain, length);
    expect_error(MEMBER, 3, 4, length);
    assert_memory_equal(got + 24, mtu, 4);
    plain[6] = 0; /* nobody waits to be told */
    checksum_ipv4_write(plain, 20);
    send_plain(MEMBER, plain, length);
    side_await(&side, "drop_forward_too_big", 3);
    assert_int_equal(side_counter(&side, "forward_errors"), 2);
    assert_true(nothing_at(MEMBER) && nothing_at(GUEST));
    stop();
}

static void a_guest_is_told_of_addresses_that_nobody_has(void **state) {
    (void)state;
    start(&(struct world_options){0});
    size_t length = world_packet(plain, false, GUEST, 99, 60, 1);
    send_plain(GUEST, plain, length);
    expect_error(GUEST, 3, 1, length);
    length = world_packet(plain, true, GUEST, 99, 60, 1);
    send_plain(GUEST, plain, length);
    expect_error(GUEST, 1, 3, length);
    assert_int_equal(side_counter(&side, "drop_forward_no_route"), 2);
    length = world_packet(plain, false, GUEST, GUEST, 60, 1); /* its own: never back to it */
    send_plain(GUEST, plain, length);
    side_await(&side, "drop_forward_back", 1);
    assert_true(nothing_at(GUEST));
    assert_int_equal(side_read(&side, frame, 0), 0);
    stop();
}

static void a_guest_speaks_for_nobody_else(void **state) {
    (void)state; /* R50 */
    start(&(struct world_options){0});
    static const uint8_t others[] = {OURS, MEMBER, SECOND, 99};
    for (size_t i = 0; i < sizeof(others); i++) {
        size_t length = world_packet(plain, i % 2, others[i], OTHER, 60, 1);
        send_plain(GUEST, plain, length);
        side_await(&side, "drop_rx_source", i + 1);
    }
    size_t length = world_packet(plain, false, GUEST, OTHER, 60, 1);
    send_plain(MEMBER, plain, length); /* nor does anybody for it */
    side_await(&side, "drop_rx_source", 5);
    assert_true(nothing_at(OTHER));
    assert_int_equal(side_read(&side, frame, 0), 0);
    crosses(false, GUEST, OTHER, 60);
    stop();
}

static void nobody_speaks_through_our_tun_for_a_guest_or_for_others(void **state) {
    (void)state; /* R50, at the sender */
    start(&(struct world_options){0});
    static const uint8_t others[] = {GUEST, MEMBER, 99};
    for (size_t i = 0; i < 2 * sizeof(others); i++) {
        size_t length = world_packet(plain, i % 2, others[i / 2], OTHER, 60, 1);
        side_write(&side, plain, length);
        side_await(&side, "drop_tx_source", i + 1);
    }
    assert_true(nothing_at(OTHER));
    side_write(&side, plain, world_packet(plain, false, OURS, OTHER, 60, 1));
    receive(OTHER);
    stop();
}

static void what_waits_for_a_session_leaves_with_it(void **state) {
    (void)state; /* R45 */
    start(&(struct world_options){0});
    assert_int_equal(shoal_peer_clear_sessions(side.device, peers[MEMBER]), SHOAL_OK);
    assert_int_equal(shoal_peer_arm(side.device, peers[MEMBER], SHOAL_EDGE_ALL), SHOAL_OK);
    size_t length = world_packet(plain, false, GUEST, MEMBER, 77, 1);
    memset(plain + length, 0xee, 16); /* padding that a guest fills with something */
    send_plain(GUEST, plain, length + 7);
    struct shoal_mail mail;
    assert_true(side_mail(&side, SHOAL_MAIL_SESSION_NEEDED, &mail, NULL));
    assert_int_equal(mail.tag, 10 + MEMBER);
    connect_number(MEMBER);
    expect_forwarded(MEMBER, plain, length);
    send_plain(GUEST, plain, length + 7);
    expect_forwarded(MEMBER, plain, length);
    assert_int_equal(side_counter(&side, "forwarded"), 2);
    stop();
}

static void who_is_not_there_is_answered_for(void **state) {
    (void)state; /* R51 */
    start(&(struct world_options){0});
    assert_int_equal(shoal_peer_clear_sessions(side.device, peers[GUEST]), SHOAL_OK);
    assert_int_equal(shoal_peer_set_offline(side.device, peers[GUEST], 1), SHOAL_OK);
    size_t length = world_packet(plain, false, MEMBER, GUEST, 60, 1);
    send_plain(MEMBER, plain, length);
    expect_error(MEMBER, 3, 1, length);
    assert_int_equal(side_counter(&side, "drop_tx_offline"), 1);
    struct shoal_endpoint nowhere = {0};
    assert_int_equal(shoal_peer_set_endpoint(side.device, peers[GUEST], &nowhere, sizeof(nowhere)),
                     SHOAL_OK);
    length = world_packet(plain, true, MEMBER, GUEST, 60, 1);
    send_plain(MEMBER, plain, length);
    expect_error(MEMBER, 1, 3, length);
    assert_int_equal(side_counter(&side, "drop_tx_no_endpoint"), 1);
    assert_int_equal(side_counter(&side, "forwarded"), 0);
    stop();
}

static void errors_are_not_answered_and_few_others_are(void **state) {
    (void)state;
    start(&(struct world_options){0});
    size_t length = world_packet(plain, false, GUEST, 99, 60, 1);
    plain[9] = 1; /* ICMP: destination unreachable */
    plain[20] = 3;
    send_plain(GUEST, plain, length);
    side_await(&side, "drop_forward_no_route", 1);
    assert_int_equal(side_counter(&side, "forward_errors"), 0);
    length = world_packet(plain, false, GUEST, 99, 60, 1);
    for (int i = 0; i < 300; i++)
        send_plain(GUEST, plain, length);
    side_await(&side, "drop_forward_no_route", 301);
    uint64_t told = side_counter(&side, "forward_errors");
    assert_true(told >= 50 && told < 300); /* 50 at once, and 50 in a second */
    /* Of another pace than what the TUN is answered, which a guest must not use up. */
    side_write(&side, plain, world_packet(plain, false, OURS, 99, 60, 1));
    assert_true(side_read(&side, frame, WORLD_PATIENCE_MS) > 0);
    stop();
}

static void without_an_address_of_ours_the_tun_takes_what_nobody_has(void **state) {
    (void)state;
    start(&(struct world_options){0});
    assert_int_equal(shoal_device_close(side.device), SHOAL_OK);
    close(side.doorbell);
    close(side.tun);
    side_open(&side, OURS, &(struct world_options){0});
    side.peer = peers[GUEST] = side_add_peer(&side, 12, GUEST, &places[GUEST]);
    peers[MEMBER] = side_add_peer(&side, 13, MEMBER, NULL);
    connect_number(GUEST);
    assert_int_equal(shoal_peer_set_guest(side.device, peers[GUEST], 1), SHOAL_OK);
    counters[GUEST] = 0;
    goes_to_the_tun(false, GUEST, OURS);
    goes_to_the_tun(true, GUEST, 99);
    size_t length = world_packet(plain, false, GUEST, MEMBER, 60, 1);
    send_plain(GUEST, plain, length);
    receive(GUEST); /* the answer comes from whom it was sent to */
    static const uint8_t member[4] = {10, 9, 0, MEMBER};
    assert_memory_equal(got + 12, member, 4);
    struct shoal_prefix wrong = {SHOAL_AF_INET, 33, {10, 9, 0, 1}};
    assert_int_equal(shoal_device_set_inner(side.device, &wrong, sizeof(wrong)), SHOAL_E_INVALID);
    assert_int_equal(shoal_device_set_inner(side.device, &wrong, 1), SHOAL_E_SIZE);
    stop();
}

static void trains_are_carried_on_in_order(void **state) {
    (void)state;
    start(&(struct world_options){0});
    size_t size = 0, length = 0;
    for (uint8_t i = 0; i < 40; i++) {
        length = world_packet(plain, false, GUEST, MEMBER, 900, i);
        size += forge(frame + size, 2, FIRST_INDEX + GUEST, counters[GUEST]++, plain, length);
    }
    stranger_send_train(sockets[GUEST], &side.outer, frame, size, (uint16_t)(size / 40));
    for (uint8_t i = 0; i < 40; i++) {
        length = world_packet(plain, false, GUEST, MEMBER, 900, i);
        expect_forwarded(MEMBER, plain, length);
    }
    assert_int_equal(side_drops(&side), 0);
    stop();
}

static void congestion_marked_on_the_way_in_is_told_inside(void **state) {
    (void)state; /* R52 */
    start(&(struct world_options){0});
    size_t length = world_packet(plain, true, GUEST, MEMBER, 60, 1);
    plain[1] = 2 << 4; /* ECT(0) */
    int tos = 3;       /* CE outside */
    assert_int_equal(setsockopt(sockets[GUEST], IPPROTO_IP, IP_TOS, &tos, sizeof(tos)), 0);
    send_plain(GUEST, plain, length);
    receive(MEMBER);
    assert_int_equal(got[1] >> 4 & 3, 3);
    stop();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_and_the_others_reach_each_other_in_both_families),
        cmocka_unit_test(only_what_is_for_ourselves_goes_to_the_tun),
        cmocka_unit_test(without_guests_nothing_is_carried_on),
        cmocka_unit_test(a_hop_limit_that_runs_out_is_told),
        cmocka_unit_test(what_is_above_the_mtu_is_told_its_size),
        cmocka_unit_test(a_guest_is_told_of_addresses_that_nobody_has),
        cmocka_unit_test(a_guest_speaks_for_nobody_else),
        cmocka_unit_test(nobody_speaks_through_our_tun_for_a_guest_or_for_others),
        cmocka_unit_test(what_waits_for_a_session_leaves_with_it),
        cmocka_unit_test(who_is_not_there_is_answered_for),
        cmocka_unit_test(errors_are_not_answered_and_few_others_are),
        cmocka_unit_test(without_an_address_of_ours_the_tun_takes_what_nobody_has),
        cmocka_unit_test(trains_are_carried_on_in_order),
        cmocka_unit_test(congestion_marked_on_the_way_in_is_told_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
