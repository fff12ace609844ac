/* Whole devices with traffic between them: paths of both families, slots
 * (R40-R45), edges, facts, endpoints (R53), handles and tables at their limits. */
#include "world.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

static struct world w;
static uint8_t packet[WORLD_FRAME_MAX], frame[WORLD_FRAME_MAX];

static void open_pair(const struct world_options *options) {
    world_open(&w, options);
    world_connect(&w, &w.a, &w.b, 100);
    world_confirm(&w.a, &w.b);
}

static void cross(struct side *from, struct side *to, bool v6, size_t payload, uint8_t seed) {
    size_t length = world_packet(packet, v6, from->number, to->number, payload, seed);
    side_write(from, packet, length);
    side_expect(to, packet, length);
}

static void traffic_crosses(const struct world_options *options) {
    open_pair(options);
    for (int v6 = 0; v6 < 2; v6++)
        for (size_t payload = 0; payload <= 1372; payload += 49) {
            cross(&w.a, &w.b, v6, payload, (uint8_t)payload);
            cross(&w.b, &w.a, v6, payload, (uint8_t)(payload + 1));
        }
    assert_int_equal(side_drops(&w.a), 0);
    assert_int_equal(side_drops(&w.b), 0);
    world_close(&w);
}

static void packets_of_both_families_cross_over_ipv4(void **state) {
    (void)state;
    traffic_crosses(&(struct world_options){.outer = SHOAL_AF_INET});
}

static void packets_of_both_families_cross_over_ipv6(void **state) {
    (void)state;
    traffic_crosses(&(struct world_options){.outer = SHOAL_AF_INET6});
}

static void packets_cross_with_the_other_cipher_and_without_offloads(void **state) {
    (void)state;
    traffic_crosses(
        &(struct world_options){.aead = "libsodium", .offloads_off = SHOAL_OFFLOAD_ALL});
}

static void facts_count_whole_messages_and_tell_data_from_keepalives(void **state) {
    (void)state;
    open_pair(&(struct world_options){0});
    struct shoal_peer_facts a = side_facts(&w.a), b = side_facts(&w.b);
    assert_int_equal(a.tx_bytes, 32);
    assert_int_equal(b.rx_bytes, 32);
    assert_int_equal(b.last_data_receive, 0);
    assert_int_not_equal(b.last_authenticated_receive, 0);
    assert_int_equal(a.first_unanswered_data, 0); /* R60: a keepalive asks for nothing */
    assert_int_equal(b.first_unsent_reply, 0);    /* R57: nor is it answered */

    cross(&w.a, &w.b, false, 72, 1); /* 100 bytes, padded to 112 (R18) */
    a = side_facts(&w.a);
    b = side_facts(&w.b);
    assert_int_equal(a.tx_bytes, 32 + 112 + 32);
    assert_int_equal(a.tx_packets, 2);
    assert_int_equal(b.rx_bytes, a.tx_bytes);
    assert_int_equal(a.first_unanswered_data, a.last_data_send);
    assert_int_equal(b.first_unsent_reply, b.last_data_receive);
    assert_int_not_equal(b.first_unsent_reply, 0);

    cross(&w.b, &w.a, false, 72, 2);
    assert_int_equal(side_facts(&w.a).first_unanswered_data, 0);
    assert_int_equal(side_facts(&w.b).first_unsent_reply, 0);
    world_close(&w);
}

static void an_edge_rings_once_until_it_is_armed_again(void **state) {
    (void)state;
    struct shoal_mail mail;
    open_pair(&(struct world_options){0});
    cross(&w.a, &w.b, false, 10, 1);
    assert_true(side_mail(&w.a, SHOAL_MAIL_UNANSWERED_DATA, &mail, NULL));
    assert_int_equal(mail.tag, 12);
    assert_int_equal(mail.time, side_facts(&w.a).first_unanswered_data);
    assert_true(side_mail(&w.b, SHOAL_MAIL_UNSENT_REPLY, &mail, NULL));
    assert_int_equal(mail.tag, 21);
    cross(&w.a, &w.b, false, 10, 2);
    assert_true(side_no_mail(&w.a, SHOAL_MAIL_UNANSWERED_DATA));
    assert_true(side_no_mail(&w.b, SHOAL_MAIL_UNSENT_REPLY));
    /* Armed while the condition holds: mailed at once, with the time of the first. */
    uint64_t first = side_facts(&w.a).first_unanswered_data;
    assert_int_equal(shoal_peer_arm(w.a.device, w.a.peer, SHOAL_EDGE_ALL), SHOAL_OK);
    assert_true(side_mail(&w.a, SHOAL_MAIL_UNANSWERED_DATA, &mail, NULL));
    assert_int_equal(mail.time, first);
    /* Armed while it does not: nothing, until it does. */
    cross(&w.b, &w.a, false, 10, 3);
    assert_int_equal(shoal_peer_arm(w.b.device, w.b.peer, SHOAL_EDGE_ALL), SHOAL_OK);
    assert_true(side_no_mail(&w.b, SHOAL_MAIL_UNSENT_REPLY));
    cross(&w.a, &w.b, false, 10, 4);
    assert_true(side_mail(&w.b, SHOAL_MAIL_UNSENT_REPLY, &mail, NULL));
    world_close(&w);
}

static void an_edge_that_finds_the_mailbox_full_rings_at_the_next_occasion(void **state) {
    (void)state;
    struct shoal_mail mail;
    open_pair(&(struct world_options){0});
    cross(&w.a, &w.b, false, 10, 1);
    /* Each arming mails at once, the condition being so: 65,536 records fill the lane of events. */
    for (uint32_t i = 0; side_counter_now(&w.a, "mail_dropped_edges") == 0; i++) {
        assert_true(i <= 65536);
        assert_int_equal(shoal_peer_arm(w.a.device, w.a.peer, SHOAL_EDGE_UNANSWERED_DATA),
                         SHOAL_OK);
    }
    cross(&w.a, &w.b, false, 10, 2); /* still full: still armed */
    assert_int_equal(side_counter(&w.a, "mail_dropped_edges"), 2);
    assert_true(side_mail(&w.a, SHOAL_MAIL_UNANSWERED_DATA, &mail, NULL));
    while (!side_no_mail(&w.a, SHOAL_MAIL_UNANSWERED_DATA))
        ;
    cross(&w.a, &w.b, false, 10, 3);
    assert_true(side_mail(&w.a, SHOAL_MAIL_UNANSWERED_DATA, &mail, NULL));
    cross(&w.a, &w.b, false, 10, 4);
    assert_true(side_no_mail(&w.a, SHOAL_MAIL_UNANSWERED_DATA));
    world_close(&w);
}

static void a_peer_without_endpoint_and_a_destination_without_peer_drop(void **state) {
    (void)state;
    world_open(&w, &(struct world_options){0}); /* R51 */
    side_add_peer(&w.a, 14, 4, NULL);
    side_write(&w.a, packet, world_packet(packet, false, 1, 4, 10, 1));
    side_await(&w.a, "drop_tx_no_endpoint", 1);
    side_write(&w.a, packet, world_packet(packet, true, 1, 5, 10, 1));
    side_await(&w.a, "drop_tx_no_route", 1);
    assert_int_equal(side_drops(&w.a), 2);
    world_close(&w);
}

static void frames_that_are_no_packets_drop_each_for_its_reason(void **state) {
    (void)state;
    open_pair(&(struct world_options){0});
    side_write(&w.a, (const uint8_t *)"\x55nonsense of another version", 27);
    side_await(&w.a, "drop_tx_malformed", 1);
    size_t length = world_packet(packet, false, 1, 2, 400, 1);
    side_write(&w.a, packet, length - 1); /* shorter than it says */
    side_await(&w.a, "drop_tx_malformed", 2);
    memset(frame, 0, WORLD_VNET);
    memcpy(frame + WORLD_VNET, packet, length);
    frame[1] = 77; /* a gso_type that does not exist */
    assert_int_equal(write(w.a.tun, frame, length + WORLD_VNET), length + WORLD_VNET);
    side_await(&w.a, "drop_tx_offload", 1);
    assert_int_equal(side_drops(&w.a), 3);
    cross(&w.a, &w.b, false, 400, 2);
    world_close(&w);
}

static void a_responder_sends_only_after_the_first_packet_confirms(void **state) {
    (void)state;
    struct shoal_mail mail;
    world_open(&w, &(struct world_options){0});
    world_connect(&w, &w.a, &w.b, 100);
    assert_int_equal(side_facts(&w.b).sessions, 4);                                 /* R42: next */
    assert_int_equal(side_facts(&w.a).sessions, 2);                                 /* R41 */
    assert_int_equal(shoal_peer_keepalive(w.b.device, w.b.peer, 0), SHOAL_E_STATE); /* R44 */
    side_write(&w.b, packet, world_packet(packet, false, 2, 1, 33, 9));
    side_await(&w.b, "tx_staged", 1);
    world_confirm(&w.a, &w.b);
    assert_true(side_mail(&w.b, SHOAL_MAIL_SESSION_CONFIRMED, &mail, NULL)); /* R43 */
    assert_int_equal(mail.index, 101);
    assert_int_equal(mail.tag, 21);
    side_expect(&w.a, packet, world_packet(packet, false, 2, 1, 33, 9));
    assert_int_equal(side_facts(&w.b).sessions, 2);
    world_close(&w);
}

static void rekeying_rotates_three_slots_without_losing_a_packet(void **state) {
    (void)state;
    open_pair(&(struct world_options){0});
    for (uint32_t i = 1; i < 20; i++) {
        struct side *from = i & 1 ? &w.b : &w.a, *to = i & 1 ? &w.a : &w.b;
        cross(&w.a, &w.b, false, 100, (uint8_t)i);
        world_connect(&w, from, to, 100 + 10 * i);
        cross(to, from, false, 100, (uint8_t)i); /* still on the old one */
        cross(from, to, true, 100, (uint8_t)i);  /* confirms the new one */
        cross(to, from, true, 100, (uint8_t)i);
        assert_int_equal(side_facts(&w.a).sessions, 3);
        assert_int_equal(side_facts(&w.b).sessions, 3);
    }
    assert_int_equal(side_drops(&w.a) + side_drops(&w.b), 0);
    world_close(&w);
}

static void an_index_that_lives_is_refused_and_a_cleared_one_is_free_again(void **state) {
    (void)state;
    open_pair(&(struct world_options){0});
    struct shoal_session session = world_session(&w.a, SHOAL_ROLE_INITIATOR, 100, 7, 0);
    assert_int_equal(shoal_session_install(w.a.device, w.a.peer, &session, sizeof(session)),
                     SHOAL_E_EXISTS);
    cross(&w.a, &w.b, false, 100, 1); /* and nothing has changed */
    assert_int_equal(shoal_peer_clear_sessions(w.a.device, w.a.peer), SHOAL_OK);
    assert_int_equal(side_facts(&w.a).sessions, 0);
    side_write(&w.b, packet, world_packet(packet, false, 2, 1, 33, 9));
    side_await(&w.a, "drop_rx_index", 1);
    side_install(&w.a, &session);
    world_close(&w);
}

static void data_of_no_session_is_told_of_ten_times_a_second_at_most(void **state) {
    (void)state;
    open_pair(&(struct world_options){0});
    assert_int_equal(shoal_peer_clear_sessions(w.a.device, w.a.peer), SHOAL_OK);
    const uint64_t pace = 100000000ull;
    uint64_t start = world_now(), sent = 0;
    for (; sent < 1000 && world_now() - start < 9 * pace / 2; sent++) {
        side_write(&w.b, packet, world_packet(packet, false, 2, 1, 33, (uint8_t)sent));
        side_await(&w.a, "drop_rx_index", sent + 1);
    }
    uint64_t spent = world_now() - start;
    assert_in_range(sent, 20, 1000);
    assert_in_range(side_count_mail(&w.a, SHOAL_MAIL_STRAY), 1, 1 + spent / pace);
    world_close(&w);
}

static void a_session_of_180_seconds_neither_sends_nor_opens(void **state) {
    (void)state;
    const uint64_t second = 1000000000ull;
    struct shoal_mail mail;
    while (world_now() < 181 * second) /* a machine that has just booted has no time so long ago */
        sleep(1);
    world_open(&w, &(struct world_options){0});
    struct shoal_session old = world_session(&w.a, SHOAL_ROLE_INITIATOR, 100, 101, 181 * second);
    side_install(&w.a, &old); /* R4, R45 */
    assert_int_equal(shoal_peer_keepalive(w.a.device, w.a.peer, 0), SHOAL_E_STATE);
    side_write(&w.a, packet, world_packet(packet, false, 1, 2, 33, 9));
    assert_true(side_mail(&w.a, SHOAL_MAIL_SESSION_NEEDED, &mail, NULL));
    assert_int_equal(side_counter(&w.a, "tx_packets"), 0);

    struct shoal_session fresh = world_session(&w.b, SHOAL_ROLE_INITIATOR, 101, 100, 0);
    side_install(&w.b, &fresh);
    assert_int_equal(shoal_peer_keepalive(w.b.device, w.b.peer, 0), SHOAL_OK);
    side_await(&w.a, "drop_rx_expired", 1);
    assert_int_equal(side_facts(&w.a).last_authenticated_receive, 0);

    struct shoal_session young = world_session(&w.a, SHOAL_ROLE_INITIATOR, 200, 201, 0);
    young.birth += 3600 * second; /* R64: a birth to come does not extend it */
    side_install(&w.a, &young);
    assert_int_equal(shoal_peer_keepalive(w.a.device, w.a.peer, 0), SHOAL_OK);
    world_close(&w);
}

static void a_rekey_is_due_once_at_its_age_its_count_and_on_receiving_late(void **state) {
    (void)state;
    struct shoal_mail mail;
    world_open(&w, &(struct world_options){0});
    struct shoal_session session = world_session(&w.a, SHOAL_ROLE_INITIATOR, 100, 101, 0);
    session.rekey_after_time = session.birth; /* R3: due at the first send */
    side_install(&w.a, &session);
    assert_int_equal(shoal_peer_keepalive(w.a.device, w.a.peer, 0), SHOAL_OK);
    assert_true(side_mail(&w.a, SHOAL_MAIL_REKEY_DUE, &mail, NULL));
    assert_int_equal(mail.index, 100);
    assert_int_equal(mail.value, SHOAL_REKEY_AGE);
    assert_int_equal(shoal_peer_keepalive(w.a.device, w.a.peer, 0), SHOAL_OK);
    assert_true(side_no_mail(&w.a, SHOAL_MAIL_REKEY_DUE));

    session = world_session(&w.a, SHOAL_ROLE_INITIATOR, 200, 201, 0);
    session.rekey_after_messages = 3; /* R1 */
    side_install(&w.a, &session);
    for (int i = 0; i < 2; i++)
        assert_int_equal(shoal_peer_keepalive(w.a.device, w.a.peer, 0), SHOAL_OK);
    assert_true(side_no_mail(&w.a, SHOAL_MAIL_REKEY_DUE));
    assert_int_equal(shoal_peer_keepalive(w.a.device, w.a.peer, 0), SHOAL_OK);
    assert_true(side_mail(&w.a, SHOAL_MAIL_REKEY_DUE, &mail, NULL));
    assert_int_equal(mail.value, SHOAL_REKEY_MESSAGES);

    session = world_session(&w.a, SHOAL_ROLE_INITIATOR, 300, 301, 0);
    session.rekey_on_receive = session.birth; /* R11 */
    side_install(&w.a, &session);
    struct shoal_session other = world_session(&w.b, SHOAL_ROLE_INITIATOR, 301, 300, 0);
    side_install(&w.b, &other);
    assert_int_equal(shoal_peer_keepalive(w.b.device, w.b.peer, 0), SHOAL_OK);
    assert_true(side_mail(&w.a, SHOAL_MAIL_REKEY_DUE, &mail, NULL));
    assert_int_equal(mail.value, SHOAL_REKEY_RECEIVE);
    world_close(&w);
}

static void a_keepalive_unless_sent_is_sent_once(void **state) {
    (void)state;
    world_open(&w, &(struct world_options){0});
    world_connect(&w, &w.a, &w.b, 100);
    for (int i = 0; i < 3; i++)
        assert_int_equal(shoal_peer_keepalive(w.a.device, w.a.peer, SHOAL_KEEPALIVE_UNLESS_SENT),
                         SHOAL_OK); /* R41 */
    assert_int_equal(side_counter(&w.a, "tx_keepalives"), 1);
    side_await(&w.b, "rx_keepalives", 1);
    world_close(&w);
}

static void the_endpoint_follows_the_latest_authenticated_packet(void **state) {
    (void)state;
    struct shoal_mail mail;
    struct shoal_address stranger;
    open_pair(&(struct world_options){0});
    int fd = stranger_open(SHOAL_AF_INET, &stranger);
    size_t length = forge(frame, 2, 100, 1000, (const uint8_t *)"", 0);
    frame[20] ^= 1; /* R53: not by what does not open */
    stranger_send(fd, &w.a.outer, frame, length);
    side_await(&w.a, "drop_rx_authentication", 1);
    struct shoal_endpoint now = side_facts(&w.a).endpoint;
    assert_memory_equal(&now.remote, &w.b.outer, sizeof(w.b.outer));
    frame[20] ^= 1;
    stranger_send(fd, &w.a.outer, frame, length);
    assert_true(side_mail(&w.a, SHOAL_MAIL_ENDPOINT_MOVED, &mail, NULL));
    assert_memory_equal(&mail.endpoint.remote, &stranger, sizeof(stranger));
    now = side_facts(&w.a).endpoint;
    assert_memory_equal(&now.remote, &stranger, sizeof(stranger));
    assert_memory_equal(now.local.ip, "\x7f\0\0\1", 4); /* R55 */
    side_write(&w.a, packet, world_packet(packet, false, 1, 2, 100, 1));
    assert_int_equal(stranger_receive(fd, frame, sizeof(frame), WORLD_PATIENCE_MS), 128 + 32);
    /* The same message again, from the old place: a replay moves nothing. */
    assert_int_equal(forge(frame, 2, 100, 1000, (const uint8_t *)"", 0), 32);
    int other = stranger_open(SHOAL_AF_INET, &stranger);
    stranger_send(other, &w.a.outer, frame, 32);
    side_await(&w.a, "drop_rx_replay", 1);
    assert_true(side_no_mail(&w.a, SHOAL_MAIL_ENDPOINT_MOVED));
    assert_int_equal(shoal_peer_clear_source(w.a.device, w.a.peer), SHOAL_OK); /* R54 */
    struct shoal_endpoint cleared = side_facts(&w.a).endpoint;
    assert_int_equal(cleared.local.family, SHOAL_AF_NONE);
    assert_memory_equal(&cleared.remote, &now.remote, sizeof(now.remote));
    close(fd);
    close(other);
    world_close(&w);
}

/* Whoever has the keys writes any source on its packets: what it asks for would go there. */
static void a_peer_that_stays_is_followed_only_where_the_caller_says(void **state) {
    (void)state;
    struct shoal_mail mail;
    struct shoal_address stranger;
    open_pair(&(struct world_options){0});
    assert_int_equal(shoal_peer_set_staying(w.a.device, w.a.peer, 2), SHOAL_E_INVALID);
    assert_int_equal(shoal_peer_set_staying(w.a.device, w.a.peer + 1, 1), SHOAL_E_STALE);
    assert_int_equal(shoal_peer_set_staying(w.a.device, w.a.peer, 1), SHOAL_OK);
    int fd = stranger_open(SHOAL_AF_INET, &stranger);
    uint64_t began = world_now();
    enum { MANY = 200 };
    for (uint64_t i = 0; i < MANY; i++)
        stranger_send(fd, &w.a.outer, frame,
                      forge(frame, 2, 100, 1000 + i, (const uint8_t *)"", 0));
    side_await(&w.a, "rx_packets", MANY);
    assert_true(side_mail(&w.a, SHOAL_MAIL_ENDPOINT_MOVED, &mail, NULL));
    assert_memory_equal(&mail.endpoint.remote, &stranger, sizeof(stranger));
    uint32_t told = 1 + side_count_mail(&w.a, SHOAL_MAIL_ENDPOINT_MOVED);
    assert_true(told <= 1 + (world_now() - began) / (100 * 1000000ull));
    struct shoal_endpoint now = side_facts(&w.a).endpoint;
    assert_memory_equal(&now.remote, &w.b.outer, sizeof(w.b.outer));
    cross(&w.a, &w.b, false, 10, 1); /* where it was */
    now.remote = stranger;
    assert_int_equal(shoal_peer_set_endpoint(w.a.device, w.a.peer, &now, sizeof(now)), SHOAL_OK);
    side_write(&w.a, packet, world_packet(packet, false, 1, 2, 100, 1));
    assert_int_equal(stranger_receive(fd, frame, sizeof(frame), WORLD_PATIENCE_MS), 128 + 32);
    /* What comes from where it stays is no news, and gives it our address there. */
    memset(&now.local, 0, sizeof(now.local));
    assert_int_equal(shoal_peer_set_endpoint(w.a.device, w.a.peer, &now, sizeof(now)), SHOAL_OK);
    stranger_send(fd, &w.a.outer, frame, forge(frame, 2, 100, 5000, (const uint8_t *)"", 0));
    side_await(&w.a, "rx_packets", MANY + 1);
    assert_true(side_no_mail(&w.a, SHOAL_MAIL_ENDPOINT_MOVED));
    now = side_facts(&w.a).endpoint;
    assert_memory_equal(now.local.ip, "\x7f\0\0\1", 4); /* R55 */
    close(fd);
    world_close(&w);
}

static void a_device_moves_between_ports_and_closes_them(void **state) {
    (void)state;
    struct shoal_error error;
    struct shoal_device_info info;
    uint16_t port;
    open_pair(&(struct world_options){0});
    assert_int_equal(shoal_device_bind(w.a.device, 0, 0, &port, &error, sizeof(error)), SHOAL_OK);
    assert_int_not_equal(port, w.a.port);
    cross(&w.a, &w.b, false, 10, 1); /* b learns the new port from it */
    cross(&w.b, &w.a, false, 10, 1);
    uint16_t same;
    assert_int_equal(shoal_device_bind(w.a.device, port, 0, &same, &error, sizeof(error)),
                     SHOAL_OK);
    assert_int_equal(same, port);
    assert_int_equal(shoal_device_bind(w.a.device, w.b.port, 0, &same, &error, sizeof(error)),
                     SHOAL_E_SYSTEM);
    assert_int_equal(error.sys_errno, 98 /* EADDRINUSE */);
    cross(&w.b, &w.a, false, 10, 2); /* the old port still serves */
    assert_int_equal(shoal_device_unbind(w.a.device), SHOAL_OK);
    assert_int_equal(shoal_device_info(w.a.device, &info, sizeof(info)), SHOAL_OK);
    assert_int_equal(info.port, 0);
    assert_int_equal(info.families, 0);
    side_write(&w.a, packet, world_packet(packet, false, 1, 2, 10, 1));
    side_await(&w.a, "drop_tx_no_socket", 1);
    struct shoal_endpoint to = {.remote = w.b.outer};
    assert_int_equal(shoal_datagram_send(w.a.device, &to, sizeof(to), 0, (const uint8_t *)"x", 1),
                     SHOAL_E_STATE);
    world_close(&w);
}

static void datagrams_that_are_not_data_reach_the_mailbox_with_their_source(void **state) {
    (void)state;
    struct shoal_mail mail;
    uint8_t payload[SHOAL_DATAGRAM_MAX], big[SHOAL_DATAGRAM_MAX];
    world_open(&w, &(struct world_options){0});
    memset(big, 200, sizeof(big));
    struct shoal_endpoint to = {.remote = w.b.outer};
    assert_int_equal(shoal_datagram_send(w.a.device, &to, sizeof(to), 0x88, big, sizeof(big)),
                     SHOAL_OK);
    assert_true(side_mail(&w.b, SHOAL_MAIL_DATAGRAM, &mail, payload));
    assert_int_equal(mail.length, sizeof(big));
    assert_memory_equal(payload, big, sizeof(big));
    assert_memory_equal(&mail.endpoint.remote, &w.a.outer, sizeof(w.a.outer));
    assert_int_equal(mail.endpoint.local.family, SHOAL_AF_INET);
    assert_int_not_equal(mail.time, 0);
    assert_int_equal(
        shoal_datagram_send(w.a.device, &to, sizeof(to), 0, big, SHOAL_DATAGRAM_MAX + 1),
        SHOAL_E_INVALID);
    world_close(&w);
}

static void every_version_of_a_control_datagram_is_mailed(void **state) {
    (void)state; /* types 0xc1 to 0xc4; the second byte is the version, 0 in the first format */
    struct shoal_mail mail;
    uint8_t payload[SHOAL_DATAGRAM_MAX], bytes[40] = {0};
    world_open(&w, &(struct world_options){0});
    struct shoal_endpoint to = {.remote = w.b.outer};
    for (uint8_t type = 0xc1; type <= 0xc4; type++)
        for (uint8_t version = 0; version <= 3; version++) {
            bytes[0] = type;
            bytes[1] = version;
            assert_int_equal(
                shoal_datagram_send(w.a.device, &to, sizeof(to), 0, bytes, sizeof(bytes)),
                SHOAL_OK);
            assert_true(side_mail(&w.b, SHOAL_MAIL_DATAGRAM, &mail, payload));
            assert_int_equal(mail.length, sizeof(bytes));
            assert_memory_equal(payload, bytes, sizeof(bytes));
        }
    world_close(&w);
}

/* ---- Arguments, handles, limits ------------------------------------------------------------ */

static struct shoal_device_config no_tun(void) {
    return (struct shoal_device_config){
        .abi_version = SHOAL_ABI_VERSION, .flags = SHOAL_DEVICE_NO_TUN, .aead = "openssl"};
}

static int32_t try_open(const struct shoal_device_config *config, shoal_device_t *device,
                        struct shoal_error *error) {
    return shoal_device_open(config, sizeof(*config), device, error, sizeof(*error));
}

static void close_quietly(shoal_device_t device) {
    struct shoal_device_info info;
    assert_int_equal(shoal_device_info(device, &info, sizeof(info)), SHOAL_OK);
    assert_int_equal(shoal_device_close(device), SHOAL_OK);
    close(info.doorbell_fd);
}

static void bytes_that_an_address_does_not_use_move_no_endpoint(void **state) {
    (void)state; /* R53: only another address is news */
    open_pair(&(struct world_options){0});
    struct shoal_endpoint endpoint = {.remote = w.b.outer, .local = {.family = SHOAL_AF_INET}};
    memcpy(endpoint.local.ip, "\x7f\0\0\1", 4);
    memset(endpoint.remote.ip + 4, 0xaa, 12);
    memset(endpoint.local.ip + 4, 0xaa, 12);
    endpoint.remote.scope = endpoint.local.scope = 7;
    endpoint.local.port = 9;
    assert_int_equal(shoal_peer_set_endpoint(w.a.device, w.a.peer, &endpoint, sizeof(endpoint)),
                     SHOAL_OK);
    cross(&w.b, &w.a, false, 10, 1);
    assert_true(side_no_mail(&w.a, SHOAL_MAIL_ENDPOINT_MOVED));
    cross(&w.a, &w.b, false, 10, 2);
    world_close(&w);
}

static void a_configuration_out_of_range_is_refused_by_name(void **state) {
    (void)state;
    static const struct {
        struct shoal_device_config config;
        int32_t status;
        const char *what;
    } cases[] = {
        {{.abi_version = 99}, SHOAL_E_SIZE, "abi_version"},
        {{.abi_version = SHOAL_ABI_VERSION, .ifname = ""}, SHOAL_E_INVALID, "ifname"},
        {{.abi_version = SHOAL_ABI_VERSION, .flags = 1u << 9}, SHOAL_E_INVALID, "flags"},
        {{.abi_version = SHOAL_ABI_VERSION, .flags = 3}, SHOAL_E_INVALID, "flags"},
        {{.abi_version = SHOAL_ABI_VERSION, .flags = 1, .mtu = 575}, SHOAL_E_INVALID, "mtu"},
        {{.abi_version = SHOAL_ABI_VERSION, .flags = 1, .mtu = 65476}, SHOAL_E_INVALID, "mtu"},
        {{.abi_version = SHOAL_ABI_VERSION, .flags = 1, .workers = 65}, SHOAL_E_INVALID, "workers"},
        {{.abi_version = SHOAL_ABI_VERSION, .flags = 1, .offloads_off = 128},
         SHOAL_E_INVALID,
         "offloads_off"},
        {{.abi_version = SHOAL_ABI_VERSION, .flags = 1, .receive_buffer = 1u << 31},
         SHOAL_E_INVALID,
         "receive_buffer"},
        {{.abi_version = SHOAL_ABI_VERSION, .flags = 1, .aead = "rot13"}, SHOAL_E_UNKNOWN, "rot13"},
        {{.abi_version = SHOAL_ABI_VERSION, .flags = 1, .io = "epoll"}, SHOAL_E_UNKNOWN, "epoll"},
        {{.abi_version = SHOAL_ABI_VERSION, .flags = 2, .tun_fd = -1}, SHOAL_E_INVALID, "tun_fd"},
        {{.abi_version = SHOAL_ABI_VERSION, .flags = 2, .tun_fd = 0}, SHOAL_E_SYSTEM, "TUNGETIFF"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        shoal_device_t device = 0;
        struct shoal_error error;
        assert_int_equal(try_open(&cases[i].config, &device, &error), cases[i].status);
        assert_memory_equal(error.what, cases[i].what, strlen(cases[i].what));
        assert_int_equal(device, 0);
    }
    struct shoal_device_config config = no_tun();
    shoal_device_t device;
    struct shoal_error error;
    assert_int_equal(shoal_device_open(&config, sizeof(config) - 1, &device, &error, sizeof(error)),
                     SHOAL_E_SIZE);
    assert_int_equal(shoal_device_open(&config, sizeof(config), &device, &error, 8), SHOAL_E_SIZE);
}

static void the_65th_device_is_refused_and_a_closed_handle_stays_stale(void **state) {
    (void)state;
    struct shoal_device_config config = no_tun();
    struct shoal_error error;
    shoal_device_t devices[64], extra;
    for (int i = 0; i < 64; i++)
        assert_int_equal(try_open(&config, &devices[i], &error), SHOAL_OK);
    assert_int_equal(try_open(&config, &extra, &error), SHOAL_E_FULL);
    shoal_device_t old = devices[7];
    close_quietly(old);
    assert_int_equal(try_open(&config, &devices[7], &error), SHOAL_OK);
    assert_int_not_equal(devices[7], old);
    shoal_peer_t peer;
    assert_int_equal(shoal_device_close(old), SHOAL_E_STALE);
    assert_int_equal(shoal_peer_add(old, 1, &peer), SHOAL_E_STALE);
    assert_int_equal(shoal_device_unbind(0), SHOAL_E_STALE);
    assert_int_equal(shoal_device_unbind(UINT64_MAX), SHOAL_E_STALE);
    assert_int_equal(shoal_link_set(devices[7], 0, 1, &error, sizeof(error)), SHOAL_E_STATE);
    for (int i = 0; i < 64; i++)
        close_quietly(devices[i]);
}

static void peers_and_routes_end_at_their_maximum_and_are_counted(void **state) {
    (void)state;
    struct side side;
    shoal_peer_t peers[3], extra;
    side_open(&side, 1, &(struct world_options){.peers_max = 3, .routes_max = 4});
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(shoal_peer_add(side.device, i, &peers[i]), SHOAL_OK);
    assert_int_equal(shoal_peer_add(side.device, 9, &extra), SHOAL_E_FULL);
    assert_int_equal(side_counter(&side, "peers_refused"), 1);
    assert_int_equal(shoal_peer_remove(side.device, peers[1]), SHOAL_OK);
    assert_int_equal(shoal_peer_add(side.device, 9, &extra), SHOAL_OK);
    assert_int_not_equal(extra, peers[1]);
    assert_int_equal(shoal_peer_remove(side.device, peers[1]), SHOAL_E_STALE);
    for (uint8_t i = 0; i < 5; i++) {
        struct shoal_prefix prefix = {SHOAL_AF_INET, 32, {10, 0, 0, i}};
        assert_int_equal(shoal_route_add(side.device, extra, &prefix, sizeof(prefix)),
                         i < 4 ? SHOAL_OK : SHOAL_E_FULL);
    }
    assert_int_equal(side_counter(&side, "routes_refused"), 1);
    struct shoal_prefix host_bits = {SHOAL_AF_INET, 24, {10, 0, 0, 1}};
    assert_int_equal(shoal_route_add(side.device, extra, &host_bits, sizeof(host_bits)),
                     SHOAL_E_INVALID);
    side_close(&side);
}

static void endpoints_that_cannot_be_are_refused(void **state) {
    (void)state;
    struct side side;
    side_open(&side, 1, &(struct world_options){0});
    shoal_peer_t peer = side_add_peer(&side, 1, 2, NULL);
    const struct shoal_endpoint bad[] = {
        {.remote = {.family = 5, .port = 1}},
        {.remote = {.family = SHOAL_AF_INET, .port = 0}},
        {.remote = {.family = SHOAL_AF_INET, .port = 1}, .reserved = 1},
        {.remote = {.family = SHOAL_AF_INET, .port = 1}, .local = {.family = SHOAL_AF_INET6}},
        {.remote = {.family = SHOAL_AF_INET6, .port = 1, .ip = {[10] = 255, [11] = 255}}},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(shoal_peer_set_endpoint(side.device, peer, &bad[i], sizeof(bad[i])),
                         SHOAL_E_INVALID);
    struct shoal_endpoint good = {.remote = {.family = SHOAL_AF_INET, .port = 1}};
    assert_int_equal(shoal_peer_set_endpoint(side.device, peer, &good, 1), SHOAL_E_SIZE);
    side_close(&side);
}

static void every_counter_and_offload_has_a_name_of_its_own(void **state) {
    (void)state;
    uint32_t count = 0;
    while (shoal_counter_name(count))
        count++;
    assert_true(count > 20);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < i; k++)
            assert_string_not_equal(shoal_counter_name(i), shoal_counter_name(k));
    assert_string_equal(shoal_offload_name(SHOAL_OFFLOAD_TUN_USO), "tun-uso");
    assert_null(shoal_offload_name(3));
    assert_string_equal(shoal_offload_name(SHOAL_OFFLOAD_QUEUE_CONTROL), "queue-control");
    assert_string_equal(shoal_offload_name(SHOAL_OFFLOAD_CONNECTED), "connected-sockets");
    assert_string_equal(shoal_offload_name(SHOAL_OFFLOAD_LANES), "lanes");
    assert_null(shoal_offload_name(128));
    uint64_t small[1];
    uint32_t written;
    struct side side;
    side_open(&side, 1, &(struct world_options){0});
    assert_int_equal(shoal_device_counters(side.device, small, 1, &written), SHOAL_E_SIZE);
    side_close(&side);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_of_both_families_cross_over_ipv4),
        cmocka_unit_test(packets_of_both_families_cross_over_ipv6),
        cmocka_unit_test(packets_cross_with_the_other_cipher_and_without_offloads),
        cmocka_unit_test(facts_count_whole_messages_and_tell_data_from_keepalives),
        cmocka_unit_test(an_edge_rings_once_until_it_is_armed_again),
        cmocka_unit_test(an_edge_that_finds_the_mailbox_full_rings_at_the_next_occasion),
        cmocka_unit_test(a_peer_without_endpoint_and_a_destination_without_peer_drop),
        cmocka_unit_test(frames_that_are_no_packets_drop_each_for_its_reason),
        cmocka_unit_test(a_responder_sends_only_after_the_first_packet_confirms),
        cmocka_unit_test(rekeying_rotates_three_slots_without_losing_a_packet),
        cmocka_unit_test(an_index_that_lives_is_refused_and_a_cleared_one_is_free_again),
        cmocka_unit_test(data_of_no_session_is_told_of_ten_times_a_second_at_most),
        cmocka_unit_test(a_session_of_180_seconds_neither_sends_nor_opens),
        cmocka_unit_test(a_rekey_is_due_once_at_its_age_its_count_and_on_receiving_late),
        cmocka_unit_test(a_keepalive_unless_sent_is_sent_once),
        cmocka_unit_test(the_endpoint_follows_the_latest_authenticated_packet),
        cmocka_unit_test(a_peer_that_stays_is_followed_only_where_the_caller_says),
        cmocka_unit_test(bytes_that_an_address_does_not_use_move_no_endpoint),
        cmocka_unit_test(a_device_moves_between_ports_and_closes_them),
        cmocka_unit_test(datagrams_that_are_not_data_reach_the_mailbox_with_their_source),
        cmocka_unit_test(every_version_of_a_control_datagram_is_mailed),
        cmocka_unit_test(a_configuration_out_of_range_is_refused_by_name),
        cmocka_unit_test(the_65th_device_is_refused_and_a_closed_handle_stays_stale),
        cmocka_unit_test(peers_and_routes_end_at_their_maximum_and_are_counted),
        cmocka_unit_test(endpoints_that_cannot_be_are_refused),
        cmocka_unit_test(every_counter_and_offload_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
