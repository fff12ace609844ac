/* The mailbox: order, limits, the doorbell's edges, and many threads at once (T17: under TSan). */
#include "mailbox.h"

#include <pthread.h>
#include <stdlib.h>

#include "random.h"
#include "unit.h"

static struct mailbox *box;
static uint8_t buffer[1 << 16];

static int open_box(void **state) {
    (void)state;
    static const uint8_t seed[16] = {7};
    box = mailbox_create(seed);
    return box ? 0 : -1;
}

static int close_box(void **state) {
    (void)state;
    mailbox_free(box);
    return 0;
}

/* A record whose payload can be told from every other: `value` seeds it. */
static enum mailbox_result post(enum mailbox_lane lane, uint32_t value, uint16_t length) {
    uint8_t payload[SHOAL_DATAGRAM_MAX + 1] = {0};
    for (uint32_t i = 0; i < length && i < sizeof(payload); i++)
        payload[i] = (uint8_t)(value + i);
    struct shoal_mail mail = {
        .kind = SHOAL_MAIL_DATAGRAM, .length = length, .tag = lane, .value = value, .time = 7};
    return mailbox_post(box, lane, &mail, payload);
}

static void check_record(const struct shoal_mail *mail) {
    assert_int_equal(mail->size % 8, 0);
    assert_true(mail->size >= sizeof(*mail) + mail->length);
    assert_true(mail->size < sizeof(*mail) + mail->length + 8);
    assert_int_equal(mail->time, 7);
    const uint8_t *payload = (const uint8_t *)(mail + 1);
    for (uint32_t i = 0; i < mail->length; i++)
        assert_int_equal(payload[i], (uint8_t)(mail->value + i));
}

static const struct shoal_mail *record_at(size_t at) {
    const struct shoal_mail *mail = (const void *)(buffer + at);
    check_record(mail);
    return mail;
}

static void records_of_a_lane_come_out_whole_and_in_order(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 100; i++)
        assert_int_not_equal(post(MAILBOX_CONTROL, i, (uint16_t)(i * 15)), MAILBOX_DROPPED);
    assert_int_equal(mailbox_fill(box, MAILBOX_CONTROL), 100);
    uint32_t next = 0;
    for (size_t used; (used = mailbox_drain(box, buffer, 4000)) != 0;)
        for (size_t at = 0; at < used; at += record_at(at)->size)
            assert_int_equal(record_at(at)->value, next++);
    assert_int_equal(next, 100);
    assert_int_equal(mailbox_fill(box, MAILBOX_CONTROL), 0);
}

static void the_bell_is_rung_once_until_the_box_was_drained_empty(void **state) {
    (void)state;
    assert_int_equal(post(MAILBOX_CONTROL, 1, 10), MAILBOX_POSTED_RING);
    assert_int_equal(post(MAILBOX_CONTROL, 2, 10), MAILBOX_POSTED);
    assert_int_equal(post(MAILBOX_EVENTS, 3, 0), MAILBOX_POSTED); /* one bell for all lanes */
    size_t one = sizeof(struct shoal_mail) + 16;
    assert_true(mailbox_drain(box, buffer, one) > 0);
    assert_int_equal(post(MAILBOX_HANDSHAKES, 4, 10), MAILBOX_POSTED); /* not empty: no ring */
    while (mailbox_drain(box, buffer, one) > 0)
        ;
    assert_int_equal(post(MAILBOX_HANDSHAKES, 5, 10), MAILBOX_POSTED_RING);
    assert_true(mailbox_drain(box, buffer, sizeof(buffer)) > 0); /* emptied in one go */
    assert_int_equal(post(MAILBOX_EVENTS, 6, 0), MAILBOX_POSTED_RING);
    assert_true(mailbox_drain(box, buffer, sizeof(buffer)) > 0);
    assert_int_equal(mailbox_drain(box, buffer, sizeof(buffer)),
                     0); /* an empty drain spoils nothing */
    assert_int_equal(post(MAILBOX_EVENTS, 7, 0), MAILBOX_POSTED_RING);
}

static void a_drop_does_not_ring(void **state) {
    (void)state;
    assert_int_equal(post(MAILBOX_CONTROL, 1, SHOAL_DATAGRAM_MAX + 1), MAILBOX_DROPPED);
    assert_int_equal(mailbox_dropped(box, MAILBOX_CONTROL), 1);
    assert_int_equal(mailbox_drain(box, buffer, sizeof(buffer)), 0);
    assert_int_equal(post(MAILBOX_CONTROL, 1, SHOAL_DATAGRAM_MAX), MAILBOX_POSTED_RING);
}

static void each_lane_has_its_limit_drops_the_newest_and_counts(void **state) {
    (void)state;
    static const struct {
        enum mailbox_lane lane;
        uint16_t length;
        uint32_t records;
    } lanes[] = {{MAILBOX_HANDSHAKES, 148, MAILBOX_HANDSHAKES_MAX},
                 {MAILBOX_CONTROL, SHOAL_DATAGRAM_MAX, MAILBOX_CONTROL_MAX},
                 {MAILBOX_EVENTS, 0, MAILBOX_EVENTS_MAX}};
    for (size_t i = 0; i < 3; i++) {
        for (uint32_t n = 0; n < lanes[i].records; n++)
            assert_int_not_equal(post(lanes[i].lane, n, lanes[i].length), MAILBOX_DROPPED);
        for (uint32_t n = 0; n < 10; n++)
            assert_int_equal(post(lanes[i].lane, 1000000, lanes[i].length), MAILBOX_DROPPED);
        assert_int_equal(mailbox_fill(box, lanes[i].lane), lanes[i].records);
        assert_int_equal(mailbox_dropped(box, lanes[i].lane), 10);
    }
    /* All three are full, none has pushed out another; everything comes out, each in order. */
    uint32_t next[MAILBOX_LANES] = {0};
    for (size_t used; (used = mailbox_drain(box, buffer, sizeof(buffer))) != 0;)
        for (size_t at = 0; at < used; at += record_at(at)->size) {
            const struct shoal_mail *mail = record_at(at);
            assert_int_equal(mail->value, next[mail->tag]++);
        }
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(next[lanes[i].lane], lanes[i].records);
    assert_int_equal(MAILBOX_HANDSHAKES_MAX / 8, 512); /* R14 */
}

static void events_go_first_then_the_other_lanes_in_turn(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        post(MAILBOX_HANDSHAKES, i, 148);
        post(MAILBOX_CONTROL, i, 148);
        post(MAILBOX_EVENTS, i, 0);
    }
    size_t used = mailbox_drain(box, buffer, sizeof(buffer));
    uint32_t order[12], n = 0;
    for (size_t at = 0; at < used; at += record_at(at)->size)
        order[n++] = record_at(at)->tag;
    assert_int_equal(n, 12);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(order[i], MAILBOX_EVENTS);
    for (uint32_t i = 4; i < 12; i += 2)
        assert_int_not_equal(order[i], order[i + 1]);
}

static void a_flood_in_one_lane_does_not_starve_the_other(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 1000; i++)
        post(MAILBOX_HANDSHAKES, i, 148);
    for (uint32_t i = 0; i < 5; i++)
        post(MAILBOX_CONTROL, i, SHOAL_DATAGRAM_MAX);
    uint32_t drains = 0, control = 0;
    while (control < 5) {
        size_t used = mailbox_drain(box, buffer, MAILBOX_DRAIN_MIN);
        assert_true(used > 0);
        for (size_t at = 0; at < used; at += record_at(at)->size)
            control += record_at(at)->tag == MAILBOX_CONTROL;
        drains++;
    }
    assert_true(drains <= 12);
}

static void a_long_random_life_agrees_with_counting(void **state) {
    (void)state;
    struct random random = {6};
    uint32_t posted = 0, drained = 0;
    for (uint32_t round = 0; round < ROUNDS(10000, 1200); round++) {
        bool filling = round / 300 % 2 == 0;
        for (uint32_t n = random_below(&random, filling ? 60 : 10); n > 0; n--) {
            uint16_t length = (uint16_t)random_below(&random, SHOAL_DATAGRAM_MAX + 1);
            if (post(MAILBOX_CONTROL, posted, length) != MAILBOX_DROPPED)
                posted++;
        }
        uint32_t most = random_below(&random, filling ? 4 : 20);
        for (uint32_t n = 0; n < most; n++) {
            size_t capacity = MAILBOX_DRAIN_MIN + random_below(&random, 4000);
            size_t used = mailbox_drain(box, buffer, capacity);
            assert_true(used <= capacity);
            for (size_t at = 0; at < used; at += record_at(at)->size)
                assert_int_equal(record_at(at)->value, drained++);
        }
        assert_int_equal(mailbox_fill(box, MAILBOX_CONTROL), posted - drained);
    }
    assert_true(mailbox_dropped(box, MAILBOX_CONTROL) > 0); /* the limit was reached on the way */
    assert_true(drained > MAILBOX_CONTROL_MAX);             /* and the ring went round */
}

/* ---- Threads ---- */

enum { WORKERS = 4, EACH = 20000 };
static _Atomic uint32_t rings, lost;

static void *work(void *argument) {
    uint32_t worker = *(const uint32_t *)argument;
    for (uint32_t i = 0; i < EACH; i++) {
        enum mailbox_result result = post(i % 3 ? MAILBOX_CONTROL : MAILBOX_HANDSHAKES,
                                          worker << 24 | i, (uint16_t)(i % 90));
        if (result == MAILBOX_POSTED_RING)
            rings++;
        else if (result == MAILBOX_DROPPED)
            lost++;
        (void)mailbox_fill(box, MAILBOX_CONTROL);
    }
    return NULL;
}

static void workers_post_while_one_thread_drains(void **state) {
    (void)state;
    pthread_t threads[WORKERS];
    uint32_t ids[WORKERS], last[WORKERS][MAILBOX_LANES], got = 0;
    memset(last, 0xff, sizeof(last));
    rings = lost = 0;
    for (uint32_t i = 0; i < WORKERS; i++) {
        ids[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &ids[i]), 0);
    }
    while (got + lost < WORKERS * EACH) {
        size_t used = mailbox_drain(box, buffer, sizeof(buffer));
        for (size_t at = 0; at < used; at += record_at(at)->size) {
            const struct shoal_mail *mail = record_at(at);
            uint32_t worker = mail->value >> 24, i = mail->value & 0xffffff;
            assert_true(last[worker][mail->tag] == UINT32_MAX || last[worker][mail->tag] < i);
            last[worker][mail->tag] = i;
            got++;
        }
    }
    for (uint32_t i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(got + lost, WORKERS * EACH);
    assert_int_equal(mailbox_drain(box, buffer, sizeof(buffer)), 0);
    assert_true(rings >= 1);
    assert_int_equal(lost, mailbox_dropped(box, MAILBOX_CONTROL) +
                               mailbox_dropped(box, MAILBOX_HANDSHAKES));
}

/* From 2001:db8:0:N::HOST, or with `v4` from 192.0.2.HOST. */
static enum mailbox_result post_from(bool v4, uint8_t n, uint8_t host) {
    struct shoal_mail mail = {.kind = SHOAL_MAIL_DATAGRAM, .time = 7};
    struct shoal_address v6 = {SHOAL_AF_INET6, 1, 0, {0x20, 1, 0x0d, 0xb8, [7] = n, [15] = host}};
    mail.endpoint.remote = v4 ? (struct shoal_address){SHOAL_AF_INET, 1, 0, {192, 0, 2, host}} : v6;
    return mailbox_post(box, MAILBOX_CONTROL, &mail, NULL);
}

static void a_source_holds_an_eighth_of_the_control_lane(void **state) {
    (void)state; /* T39 */
    for (uint32_t i = 0; i < MAILBOX_CONTROL_MAX / 8; i++) {
        assert_true(post_from(false, 1, (uint8_t)i) < MAILBOX_SHARE_FULL); /* one /64 */
        assert_true(post_from(true, 0, 1) < MAILBOX_SHARE_FULL);
    }
    assert_int_equal(post_from(false, 1, 99), MAILBOX_SHARE_FULL);
    assert_int_equal(post_from(true, 0, 1), MAILBOX_SHARE_FULL);
    assert_int_equal(post_from(false, 2, 99), MAILBOX_POSTED);
    assert_int_equal(post_from(true, 0, 2), MAILBOX_POSTED);
    assert_int_equal(mailbox_dropped(box, MAILBOX_CONTROL), 2);
    while (mailbox_drain(box, buffer, sizeof(buffer)) > 0)
        ;
    for (uint32_t i = 0; i < MAILBOX_CONTROL_MAX / 8; i++) /* the whole share is back */
        assert_true(post_from(true, 0, 1) < MAILBOX_SHARE_FULL);
    assert_int_equal(post_from(true, 0, 1), MAILBOX_SHARE_FULL);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_box, close_box)
    const struct CMUnitTest tests[] = {
        TEST(records_of_a_lane_come_out_whole_and_in_order),
        TEST(the_bell_is_rung_once_until_the_box_was_drained_empty),
        TEST(a_drop_does_not_ring),
        TEST(each_lane_has_its_limit_drops_the_newest_and_counts),
        TEST(events_go_first_then_the_other_lanes_in_turn),
        TEST(a_source_holds_an_eighth_of_the_control_lane),
        TEST(a_flood_in_one_lane_does_not_starve_the_other),
        TEST(a_long_random_life_agrees_with_counting),
        TEST(workers_post_while_one_thread_drains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
