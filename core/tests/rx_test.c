/* What arrives on the UDP port: every refusal by its reason (R20, R21, R46-R50), the shapes that
 * T28 names, inner sources that are not the peer's (T12), and the gate's verdicts. */
#include "world.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "offload_model.h"
#include "segment.h"
#include "session.h"
#include "unit.h"

static struct side side;
static struct shoal_address stranger;
static int fd;
static uint8_t message[WORLD_FRAME_MAX], plain[WORLD_FRAME_MAX], frame[WORLD_FRAME_MAX];

/* One device whose peer 2 is the stranger, with a confirmed session: index 100, its key byte 2. */
static void start(const struct world_options *options) {
    side_open(&side, 1, options);
    fd = stranger_open(side.outer.family, &stranger);
    side.peer = side_add_peer(&side, 12, 2, &stranger);
    struct shoal_session session = world_session(&side, SHOAL_ROLE_INITIATOR, 100, 555, 0);
    side_install(&side, &session);
}

static void stop(void) {
    close(fd);
    side_close(&side);
}

static void send_plain(uint64_t counter, const uint8_t *bytes, size_t length) {
    stranger_send(fd, &side.outer, message, forge(message, 2, 100, counter, bytes, length));
}

/* The device is alive and delivers: a good packet crosses. */
static void alive(uint64_t counter) {
    size_t length = world_packet(plain, false, 2, 1, 77, (uint8_t)counter);
    send_plain(counter, plain, length);
    side_expect(&side, plain, length);
}

static void each_refusal_has_its_own_counter(void **state) {
    (void)state;
    start(&(struct world_options){.flags = SHOAL_DEVICE_WIREGUARD_ONLY});
    size_t length = world_packet(plain, false, 2, 1, 33, 1);
    size_t size = forge(message, 2, 100, 5, plain, length);
    static const struct {
        size_t at;
        const char *counter;
    } flips[] = {
        {0, "drop_rx_unknown_type"},         /* type 5 */
        {1, "drop_rx_unknown_type"},         /* R21: reserved bytes */
        {3, "drop_rx_unknown_type"},         /* R21 */
        {4, "drop_rx_index"},                /* receiver */
        {8, "drop_rx_authentication"},       /* counter */
        {16, "drop_rx_authentication"},      /* ciphertext */
        {SIZE_MAX, "drop_rx_authentication"} /* tag */
    };
    for (size_t i = 0; i < sizeof(flips) / sizeof(flips[0]); i++) {
        size_t at = flips[i].at == SIZE_MAX ? size - 1 : flips[i].at;
        uint64_t before = side_counter(&side, flips[i].counter);
        message[at] ^= 1;
        stranger_send(fd, &side.outer, message, size);
        side_await(&side, flips[i].counter, before + 1);
        message[at] ^= 1;
    }
    stranger_send(fd, &side.outer, message, 31); /* R20 */
    side_await(&side, "drop_rx_short", 1);
    stranger_send(fd, &side.outer, message, 0);
    side_await(&side, "drop_rx_short", 2);
    stranger_send(fd, &side.outer, message, 3);
    side_await(&side, "drop_rx_unknown_type", 4);
    stranger_send(fd, &side.outer, message, size); /* the window was never moved by these (R46) */
    side_expect(&side, plain, length);
    assert_int_equal(side_drops(&side), 10);
    assert_int_equal(side_read(&side, frame, 0), 0);
    /* Silence to strangers (R35). */
    assert_int_equal(stranger_receive(fd, message, sizeof(message), 20), 0);
    stop();
}

static void a_counter_is_taken_once_and_none_at_the_limit(void **state) {
    (void)state;
    start(&(struct world_options){0});
    alive(10);
    send_plain(10, plain, 20);
    side_await(&side, "drop_rx_replay", 1);
    alive(9000);
    send_plain(9000 - 8192, plain, 20);
    side_await(&side, "drop_rx_replay", 2);
    alive(9000 - 8000);
    send_plain(SESSION_COUNTER_LIMIT, plain, 20); /* R47 */
    side_await(&side, "drop_rx_counter_limit", 1);
    send_plain(UINT64_MAX, plain, 20);
    side_await(&side, "drop_rx_counter_limit", 2);
    alive(SESSION_COUNTER_LIMIT - 1);
    stop();
}

static void inner_sources_that_are_not_the_peers_are_dropped(void **state) {
    (void)state; /* T12, R50 */
    start(&(struct world_options){0});
    shoal_peer_t other = side_add_peer(&side, 13, 3, NULL);
    /* A network of ours with a host of another peer inside it. */
    struct shoal_prefix wide = {SHOAL_AF_INET, 16, {10, 77, 0, 0}};
    struct shoal_prefix host = {SHOAL_AF_INET, 32, {10, 77, 1, 1}};
    assert_int_equal(shoal_route_add(side.device, side.peer, &wide, sizeof(wide)), SHOAL_OK);
    assert_int_equal(shoal_route_add(side.device, other, &host, sizeof(host)), SHOAL_OK);
    static const struct {
        bool v6;
        uint8_t source[16];
        bool good;
    } cases[] = {
        {false, {10, 9, 0, 2}, true},
        {false, {10, 9, 0, 3}, false},  /* another peer's */
        {false, {10, 77, 1, 2}, true},  /* in our network */
        {false, {10, 77, 1, 1}, false}, /* in it, but the host of another */
        {false, {10, 9, 0, 1}, false},  /* our own address */
        {false, {224, 0, 0, 1}, false}, /* multicast */
        {false, {0, 0, 0, 0}, false},   /* nobody's */
        {false, {127, 0, 0, 1}, false}, /* loopback */
        {true, {0xfd, 9, [15] = 2}, true},
        {true, {0xfd, 9, [15] = 3}, false},
        {true, {[10] = 0xff, [11] = 0xff, [12] = 10, 9, 0, 2}, false}, /* 4-in-6 */
        {true, {[12] = 10, 9, 0, 2}, false},
        {true, {0xff, 2, [15] = 1}, false},
    };
    uint64_t refused = 0;
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t length = world_packet(plain, cases[i].v6, 2, 1, 50, (uint8_t)i);
        memcpy(plain + (cases[i].v6 ? 8 : 12), cases[i].source, cases[i].v6 ? 16 : 4);
        send_plain(i, plain, length);
        if (cases[i].good)
            side_expect(&side, plain, length);
        else
            side_await(&side, "drop_rx_source", ++refused);
    }
    assert_int_equal(side_read(&side, frame, 0), 0);
    assert_int_equal(side_drops(&side), refused);
    assert_int_equal(side_facts(&side).dropped, refused);
    stop();
}

static void what_opens_is_trimmed_to_its_own_length_or_dropped(void **state) {
    (void)state; /* R49 */
    start(&(struct world_options){0});
    size_t length = world_packet(plain, false, 2, 1, 33, 1);
    memset(plain + length, 0xee, 100);
    send_plain(1, plain, length + 100); /* padding is cut off, whatever it holds */
    side_expect(&side, plain, length);
    send_plain(2, plain, length - 1); /* says more than there is */
    side_await(&side, "drop_rx_malformed", 1);
    uint8_t byte = 0x45;
    send_plain(3, &byte, 1);
    side_await(&side, "drop_rx_malformed", 2);
    plain[0] = 0x75;
    send_plain(4, plain, length);
    side_await(&side, "drop_rx_malformed", 3);
    length = world_packet(plain, true, 2, 1, 33, 1);
    plain[4] = 0xff; /* IPv6 payload length + 40 overflows 16 bits */
    plain[5] = 0xff;
    send_plain(5, plain, length);
    side_await(&side, "drop_rx_malformed", 4);
    assert_int_equal(side_facts(&side).rx_packets, 5); /* authenticated all the same */
    alive(6);
    stop();
}

static void send_with_tos(int tos, const void *bytes, size_t length) {
    assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos)), 0);
    stranger_send(fd, &side.outer, bytes, length);
}

static void congestion_outside_is_told_inside(void **state) {
    (void)state; /* R52, RFC 6040 */
    start(&(struct world_options){0});
    size_t length = world_packet(plain, true, 2, 1, 33, 1);
    send_with_tos(3, message, forge(message, 2, 100, 1, plain, length)); /* CE on not-ECT */
    side_await(&side, "drop_rx_ecn", 1);
    plain[1] |= 2 << 4; /* inner ECT(0) */
    send_with_tos(3, message, forge(message, 2, 100, 2, plain, length));
    plain[1] |= 3 << 4;
    side_expect(&side, plain, length);
    stop();
}

/* The outer TOS of the next datagram that the stranger gets; 0xff without one. */
static uint8_t receive_tos(void) {
    struct iovec part = {message, sizeof(message)};
    char control[64];
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = sizeof(control)};
    assert_true(recvmsg(fd, &header, 0) > 0);
    struct cmsghdr *item = CMSG_FIRSTHDR(&header);
    return item && item->cmsg_type == IP_TOS ? *CMSG_DATA(item) : 0xff;
}

static void an_outer_datagram_carries_only_the_inner_ecn(void **state) {
    (void)state; /* R19 */
    start(&(struct world_options){0});
    int on = 1;
    setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof(on));
    static const uint8_t inner[] = {0xb8, 0xb9, 0xba, 0xbb}, outer[] = {0, 1, 2, 2};
    for (int i = 0; i < 4; i++) {
        size_t length = world_packet(plain, true, 1, 2, 33, 1);
        plain[0] = (uint8_t)(0x60 | inner[i] >> 4);
        plain[1] = (uint8_t)(inner[i] << 4);
        side_write(&side, plain, length);
        assert_int_equal(receive_tos(), outer[i]);
    }
    stop();
}

static void one_train_has_one_ecn(void **state) {
    (void)state; /* R19: packets of different ECN may lie in one drain */
    start(&(struct world_options){0});
    int on = 1;
    setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof(on));
    for (int i = 0; i < 60; i++) {
        size_t length = world_packet(plain, true, 1, 2, 200, (uint8_t)i);
        plain[1] |= (uint8_t)((i / 3 % 3) << 4);
        side_write(&side, plain, length);
    }
    for (int i = 0; i < 60; i++)
        assert_int_equal(receive_tos(), i / 3 % 3);
    stop();
}

static void trains_of_equal_messages_with_a_short_tail_are_cut_right(void **state) {
    (void)state; /* T28: GRO of 64 equal and a short tail, peers mixed in one buffer */
    start(&(struct world_options){.offloads_off = SHOAL_OFFLOAD_TUN_USO});
    shoal_peer_t other = side_add_peer(&side, 13, 3, &stranger);
    struct shoal_session second = world_session(&side, SHOAL_ROLE_INITIATOR, 300, 556, 0);
    assert_int_equal(shoal_session_install(side.device, other, &second, sizeof(second)), SHOAL_OK);
    const size_t payload = 900, whole = 16 + 928 + 16;
    size_t used = 0;
    for (uint32_t i = 0; i < 63; i++) {
        bool odd = i & 1;
        size_t length = world_packet(plain, false, odd ? 3 : 2, 1, payload, (uint8_t)i);
        used += forge(message + used, 2, odd ? 300 : 100, i, plain, length);
        assert_int_equal(used, (i + 1) * whole);
    }
    size_t tail = world_packet(plain, false, 2, 1, 10, 99);
    used += forge(message + used, 2, 100, 999, plain, tail);
    stranger_send_train(fd, &side.outer, message, used, (uint16_t)whole);
    for (uint32_t i = 0; i < 63; i++) {
        size_t length = world_packet(plain, false, i & 1 ? 3 : 2, 1, payload, (uint8_t)i);
        side_expect(&side, plain, length);
    }
    side_expect(&side, plain, world_packet(plain, false, 2, 1, 10, 99));
    assert_int_equal(side_counter(&side, "rx_buffers"), 1);
    assert_int_equal(side_drops(&side), 0);
    stop();
}

static void a_bad_message_in_a_train_spoils_no_other(void **state) {
    (void)state;
    start(&(struct world_options){.offloads_off = SHOAL_OFFLOAD_TUN_USO});
    size_t used = 0, length = 0;
    for (uint32_t i = 0; i < 10; i++) {
        length = world_packet(plain, false, 2, 1, 500, (uint8_t)i);
        size_t one = forge(message + used, 2, 100, i, plain, length);
        if (i == 4)
            message[used + 40] ^= 1; /* ciphertext */
        if (i == 6)
            message[used] = 1; /* claims to be an initiation */
        used += one;
    }
    stranger_send_train(fd, &side.outer, message, used, (uint16_t)(used / 10));
    for (uint32_t i = 0; i < 10; i++)
        if (i != 4 && i != 6)
            side_expect(&side, plain, world_packet(plain, false, 2, 1, 500, (uint8_t)i));
    assert_int_equal(side_counter(&side, "drop_rx_authentication"), 1);
    assert_int_equal(side_counter(&side, "drop_handshake_length"), 1);
    stop();
}

static void the_largest_datagram_harms_nobody(void **state) {
    (void)state; /* T28 */
    start(&(struct world_options){.mtu = SHOAL_MTU_MAX});
    memset(message, 0xaa, 65507);
    stranger_send(fd, &side.outer, message, 65507);
    side_await(&side, "drop_rx_oversized", 1);
    memset(message, 0, 65507);
    message[0] = 4;
    message[4] = 100;
    stranger_send(fd, &side.outer, message, 65507);
    side_await(&side, "drop_rx_authentication", 1);
    /* and the largest inner packet crosses */
    size_t length = world_packet(plain, false, 2, 1, SHOAL_MTU_MAX - 28, 5);
    assert_int_equal(length, SHOAL_MTU_MAX);
    send_plain(1, plain, length);
    side_expect(&side, plain, length);
    side_write(&side, plain, world_packet(plain, false, 1, 2, SHOAL_MTU_MAX - 28, 6));
    assert_int_equal(stranger_receive(fd, message, sizeof(message), WORLD_PATIENCE_MS), 65507);
    stop();
}

/* T27: what waits in the socket was gathered by the kernel, and says its segment size only while
 * the option is on. */
static void trains_that_wait_survive_gro_being_switched_off(void **state) {
    (void)state;
    enum { ROUNDS = 100, TRAINS = 4, MESSAGES = 40 };
    uint64_t sent = 0;
    start(&(struct world_options){0});
    for (int round = 0; round < ROUNDS; round++) {
        for (int train = 0; train < TRAINS; train++) {
            size_t used = 0;
            for (int i = 0; i < MESSAGES; i++) {
                size_t length = world_packet(plain, false, 2, 1, 100, (uint8_t)i);
                used += forge(message + used, 2, 100, sent++, plain, length);
            }
            stranger_send_train(fd, &side.outer, message, used, (uint16_t)(used / MESSAGES));
        }
        uint32_t on = round % 2 ? SHOAL_OFFLOAD_UDP_GRO : 0;
        assert_int_equal(shoal_device_set_offloads(side.device, SHOAL_OFFLOAD_UDP_GRO, on),
                         SHOAL_OK);
        while (side_read(&side, frame, 0) > 0)
            ;
    }
    /* A train that the loopback delivers between the last look and the switch may be lost. */
    side_await(&side, "rx_packets", ROUNDS * TRAINS * MESSAGES - MESSAGES);
    stop();
}

static void packets_that_arrive_singly_leave_as_one_frame(void **state) {
    (void)state;
    start(&(struct world_options){0});
    /* While the worker sleeps nothing is read; a burst that lies in the socket is one drain. */
    uint64_t frames = 0, packets = 0;
    for (int round = 0; round < 50 && frames == packets; round++) {
        for (uint32_t i = 0; i < 32; i++) {
            size_t length = world_packet(plain, false, 2, 1, 1000, (uint8_t)i);
            send_plain((uint64_t)round * 32 + i, plain, length);
        }
        side_await(&side, "rx_packets", (uint64_t)(round + 1) * 32);
        while (packets < (uint64_t)(round + 1) * 32) {
            size_t got = side_read(&side, frame, WORLD_PATIENCE_MS);
            assert_true(got > 0);
            uint32_t payload = (uint32_t)got - 38;
            packets += frame[1] == SEGMENT_GSO_UDP_L4 ? (payload + 999) / 1000 : 1;
            frames++;
        }
    }
    assert_true(frames < packets);
    assert_int_equal(side_drops(&side), 0);
    stop();
}

static void a_message_that_claims_to_be_a_handshake_passes_the_gate_first(void **state) {
    (void)state; /* R20, R28, R29 */
    struct shoal_mail mail;
    start(&(struct world_options){0});
    memset(message, 0, 200);
    message[0] = 1;
    stranger_send(fd, &side.outer, message, 147);
    side_await(&side, "drop_handshake_length", 1);
    stranger_send(fd, &side.outer, message, 148);
    side_await(&side, "drop_handshake_mac1", 1);
    message[0] = 2;
    stranger_send(fd, &side.outer, message, 92);
    side_await(&side, "drop_handshake_mac1", 2);
    message[0] = 3; /* a cookie reply is mesh's to judge */
    stranger_send(fd, &side.outer, message, 64);
    assert_true(side_mail(&side, SHOAL_MAIL_DATAGRAM, &mail, frame));
    assert_int_equal(mail.length, 64);
    assert_int_equal(frame[0], 3);
    message[0] = 1; /* a STUN response: 01 01, no WireGuard message */
    message[1] = 1;
    stranger_send(fd, &side.outer, message, 32);
    assert_true(side_mail(&side, SHOAL_MAIL_DATAGRAM, &mail, frame));
    assert_int_equal(mail.length, 32);
    stop();
}

/* A socket at 127.0.N.1. */
static int stranger_at(uint8_t n) {
    struct sockaddr_in name = {.sin_family = AF_INET};
    memcpy(&name.sin_addr, (uint8_t[]){127, 0, n, 1}, 4);
    int other = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(other, (struct sockaddr *)&name, sizeof(name)), 0);
    return other;
}

static uint64_t control_datagrams(void) {
    return side_counter_now(&side, "control_received") +
           side_counter_now(&side, "drop_rx_mailbox_share") +
           side_counter_now(&side, "drop_rx_mailbox");
}

/* Waits for each few, so that none is lost before it is counted. */
static void flood(int from, uint32_t datagrams) {
    memset(message, 0x77, 100);
    while (datagrams > 0) {
        uint32_t burst = datagrams < 32 ? datagrams : 32;
        uint64_t before = control_datagrams(), until = world_now() + WORLD_PATIENCE_MS * 1000000ull;
        for (uint32_t i = 0; i < burst; i++)
            stranger_send(from, &side.outer, message, 100);
        while (control_datagrams() < before + burst)
            assert_true(world_now() < until);
        datagrams -= burst;
    }
}

static void a_full_lane_drops_and_counts_while_data_flows(void **state) {
    (void)state;
    start(&(struct world_options){0});
    for (uint8_t n = 1; side_counter(&side, "drop_rx_mailbox") == 0; n++) {
        assert_true(n < 32);
        int other = stranger_at(n);
        flood(other, 256);
        close(other);
    }
    assert_int_equal(side_counter(&side, "control_received"), 2048);
    alive(1);
    struct shoal_mail mail;
    assert_true(side_mail(&side, SHOAL_MAIL_DATAGRAM, &mail, frame));
    flood(fd, 1);
    side_await(&side, "control_received", 2049);
    stop();
}

static void one_flooder_leaves_the_lane_to_the_others(void **state) {
    (void)state; /* T39 */
    start(&(struct world_options){0});
    int flooder = stranger_at(1), again = stranger_at(1);
    flood(flooder, 3000);
    flood(again, 10); /* another port of the same address */
    assert_int_equal(side_counter(&side, "control_received"), 256);
    assert_int_equal(side_counter(&side, "drop_rx_mailbox_share"), 3010 - 256);
    flood(fd, 100);
    assert_int_equal(side_counter(&side, "control_received"), 356);
    struct shoal_mail mail;
    while (!side_no_mail(&side, SHOAL_MAIL_DATAGRAM))
        ;
    flood(flooder, 1); /* what was taken out gives its share back */
    assert_true(side_mail(&side, SHOAL_MAIL_DATAGRAM, &mail, frame));
    assert_int_equal(side_counter(&side, "drop_rx_mailbox"), 0);
    close(flooder);
    close(again);
    stop();
}

static void a_peer_that_moves_all_the_time_leaves_room_for_other_news(void **state) {
    (void)state;
    struct shoal_address second;
    int other = stranger_open(SHOAL_AF_INET, &second);
    start(&(struct world_options){0});
    uint64_t counter = 0;
    while (side_counter_now(&side, "mail_dropped_edges") == 0 && counter < 100000) {
        for (int i = 0; i < 64; i++, counter++) {
            size_t length = forge(message, 2, 100, counter, plain, 0);
            stranger_send(counter % 2 ? fd : other, &side.outer, message, length);
        }
        side_await(&side, "rx_packets", counter);
    }
    assert_true(counter < 40000); /* about half of the lane */
    struct shoal_endpoint now = side_facts(&side).endpoint;
    assert_memory_equal(&now.remote, &stranger, sizeof(stranger));
    close(side.tun);
    side.tun = other;
    struct shoal_mail mail;
    assert_true(side_mail(&side, SHOAL_MAIL_LINK, &mail, NULL));
    assert_int_equal(mail.value, SHOAL_LINK_GONE);
    stop();
}

static void without_a_tun_data_authenticates_and_goes_nowhere(void **state) {
    (void)state;
    struct shoal_device_config config = {
        .abi_version = SHOAL_ABI_VERSION, .flags = SHOAL_DEVICE_NO_TUN, .aead = "openssl"};
    struct shoal_error error;
    memset(&side, 0, sizeof(side));
    world_choose_io(&config);
    assert_int_equal(
        shoal_device_open(&config, sizeof(config), &side.device, &error, sizeof(error)), SHOAL_OK);
    assert_int_equal(shoal_device_bind(side.device, 0, 0, &side.port, &error, sizeof(error)),
                     SHOAL_OK);
    side.send_key = 1;
    fd = stranger_open(SHOAL_AF_INET, &stranger);
    side.outer = stranger;
    side.outer.port = side.port;
    side.peer = side_add_peer(&side, 12, 2, &stranger);
    struct shoal_session session = world_session(&side, SHOAL_ROLE_INITIATOR, 100, 555, 0);
    side_install(&side, &session);
    send_plain(1, plain, world_packet(plain, false, 2, 1, 33, 1));
    side_await(&side, "drop_rx_no_tun", 1);
    assert_int_equal(side_facts(&side).rx_packets, 1);
    assert_int_equal(shoal_device_close(side.device), SHOAL_OK);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_refusal_has_its_own_counter),
        cmocka_unit_test(a_counter_is_taken_once_and_none_at_the_limit),
        cmocka_unit_test(inner_sources_that_are_not_the_peers_are_dropped),
        cmocka_unit_test(what_opens_is_trimmed_to_its_own_length_or_dropped),
        cmocka_unit_test(congestion_outside_is_told_inside),
        cmocka_unit_test(an_outer_datagram_carries_only_the_inner_ecn),
        cmocka_unit_test(one_train_has_one_ecn),
        cmocka_unit_test(trains_of_equal_messages_with_a_short_tail_are_cut_right),
        cmocka_unit_test(a_bad_message_in_a_train_spoils_no_other),
        cmocka_unit_test(the_largest_datagram_harms_nobody),
        cmocka_unit_test(trains_that_wait_survive_gro_being_switched_off),
        cmocka_unit_test(packets_that_arrive_singly_leave_as_one_frame),
        cmocka_unit_test(a_message_that_claims_to_be_a_handshake_passes_the_gate_first),
        cmocka_unit_test(one_flooder_leaves_the_lane_to_the_others),
        cmocka_unit_test(a_full_lane_drops_and_counts_while_data_flows),
        cmocka_unit_test(a_peer_that_moves_all_the_time_leaves_room_for_other_news),
        cmocka_unit_test(without_a_tun_data_authenticates_and_goes_nowhere),
    };
    return cmocka_run_group_tests_name("rx", tests, NULL, NULL);
}
