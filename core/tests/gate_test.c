// LDFLAGS: -Wl,--wrap=pthread_create
/* T3, T4: what the gate lets through, answers and drops, from the other side's point of view. */
#include "gate.h"

#include <openssl/evp.h>

#include "aead.h"
#include "blake2s_model.h"
#include "no_threads.h"
#include "random.h"
#include "unit.h"

#define SECOND UINT64_C(1000000000)
#define MS UINT64_C(1000000)

static const struct gate_load idle = {0, 4096}, busy = {512, 4096};

static struct random random_source;
static uint32_t random_calls;

static void draw(void *context, uint8_t *buffer, size_t length) {
    assert_ptr_equal(context, &random_source);
    random_fill(&random_source, buffer, length);
    random_calls++;
}

static uint8_t public_key[32];
static struct gate *gate;
static uint8_t reply[WIRE_COOKIE_REPLY_SIZE];

static int open_gate(void **state) {
    (void)state;
    random_source.state = 33;
    random_calls = 0;
    random_fill(&random_source, public_key, 32);
    uint8_t seed[16] = {1, 2, 3};
    gate = gate_create(seed, draw, &random_source);
    return gate && gate_set_identity(gate, public_key) ? 0 : -1;
}

static int close_gate(void **state) {
    (void)state;
    gate_free(gate);
    return 0;
}

/* ---- The other side ---- */

static void labelled(const char *label, uint8_t key[32]) {
    uint8_t input[40];
    memcpy(input, label, 8);
    memcpy(input + 8, public_key, 32);
    model_blake2s(key, 32, NULL, 0, input, 40);
}

struct message {
    uint8_t bytes[200];
    size_t length;
};

static void set_mac1(struct message *m) {
    uint8_t key[32];
    labelled("mac1----", key);
    model_blake2s(m->bytes + m->length - 32, 16, key, 32, m->bytes, m->length - 32);
}

static void set_mac2(struct message *m, const uint8_t cookie[16]) {
    model_blake2s(m->bytes + m->length - 16, 16, cookie, 16, m->bytes, m->length - 16);
}

static struct message message_of(uint8_t type) {
    struct message m = {.length = type == 1 ? 148 : type == 2 ? 92 : 64};
    random_fill(&random_source, m.bytes, m.length);
    memset(m.bytes, 0, 4);
    m.bytes[0] = type;
    if (type != 3) {
        memset(m.bytes + m.length - 16, 0, 16);
        set_mac1(&m);
    }
    return m;
}

static struct shoal_address from(uint8_t host, uint16_t port) {
    return (struct shoal_address){.family = SHOAL_AF_INET, .port = port, .ip = {192, 0, 2, host}};
}

static enum gate_verdict admit(const struct message *m, struct shoal_address source,
                               struct gate_load load, uint64_t now) {
    return gate_admit(gate, m->bytes, m->length, &source, load, now, reply);
}

static bool open_reply(const struct message *m, uint8_t cookie[16]) {
    uint8_t key[32];
    labelled("cookie--", key);
    return aead_xchacha_open(cookie, reply + 32, 32, m->bytes + m->length - 32, 16, reply + 8, key);
}

static void get_cookie(struct shoal_address source, uint64_t now, uint8_t cookie[16]) {
    struct message m = message_of(1);
    assert_int_equal(admit(&m, source, busy, now), GATE_REPLY);
    assert_true(open_reply(&m, cookie));
}

/* ---- Rules ---- */

static void blake2s_is_that_of_rfc_7693_with_and_without_key(void **state) {
    (void)state;
    static const uint8_t abc[32] = {0x50, 0x8c, 0x5e, 0x8c, 0x32, 0x7c, 0x14, 0xe2,
                                    0xe1, 0xa7, 0x2b, 0xa3, 0x4e, 0xeb, 0x45, 0x2f,
                                    0x37, 0x45, 0x8b, 0x20, 0x9e, 0xd6, 0x3a, 0x29,
                                    0x4d, 0x99, 0x9b, 0x4c, 0x86, 0x67, 0x59, 0x82};
    uint8_t model[32], library[32], input[300];
    model_blake2s(model, 32, NULL, 0, (const uint8_t *)"abc", 3);
    assert_memory_equal(model, abc, 32);
    for (uint32_t i = 0; i < 10000; i++) { /* T1: the library's against the model */
        size_t length = random_below(&random_source, sizeof(input));
        random_fill(&random_source, input, length);
        assert_int_equal(EVP_Digest(input, length, library, NULL, EVP_blake2s256(), NULL), 1);
        model_blake2s(model, 32, NULL, 0, input, length);
        assert_memory_equal(model, library, 32);
    }
}

static void r20_each_type_has_one_length(void **state) {
    (void)state;
    for (uint8_t type = 1; type <= 3; type++) {
        struct message m = message_of(type);
        assert_int_equal(admit(&m, from(1, 1), idle, SECOND), GATE_ACCEPT);
        size_t right = m.length;
        for (m.length = 0; m.length < 200; m.length++)
            if (m.length != right)
                assert_int_equal(admit(&m, from(1, 1), idle, SECOND), GATE_DROP_LENGTH);
    }
}

static void r21_reserved_bytes_and_other_types_drop(void **state) {
    (void)state;
    for (uint8_t type = 1; type <= 3; type++) {
        for (unsigned i = 1; i < 4; i++) {
            struct message m = message_of(type);
            m.bytes[i] = 1;
            if (type != 3)
                set_mac1(&m);
            assert_int_equal(admit(&m, from(1, 1), idle, SECOND), GATE_DROP_TYPE);
        }
    }
    struct message m = message_of(1);
    for (unsigned type = 0; type < 256; type++) {
        m.bytes[0] = (uint8_t)type;
        enum gate_verdict verdict = admit(&m, from(1, 1), idle, SECOND);
        if (type == 0 || type > 3)
            assert_int_equal(verdict, GATE_DROP_TYPE);
        else
            assert_int_equal(verdict, type == 1 ? GATE_ACCEPT : GATE_DROP_LENGTH);
    }
}

static void r28_every_flipped_bit_under_mac1_drops(void **state) {
    (void)state;
    uint32_t dropped = 0;
    for (uint8_t type = 1; type <= 2; type++) {
        struct message m = message_of(type);
        for (size_t bit = 0; bit < (m.length - 16) * 8; bit++) {
            struct message bad = m;
            bad.bytes[bit / 8] = (uint8_t)(bad.bytes[bit / 8] ^ 1u << bit % 8);
            enum gate_verdict verdict = admit(&bad, from(1, 1), idle, SECOND);
            assert_int_not_equal(verdict, GATE_ACCEPT);
            assert_int_not_equal(verdict, GATE_REPLY);
            dropped++;
        }
    }
    assert_int_equal(dropped, 1664);
    assert_int_equal(random_calls, 0); /* and none of them made the gate do more than hash */
}

static void r28_mac1_is_keyed_with_our_identity(void **state) {
    (void)state;
    struct message m = message_of(1);
    uint8_t other[32] = {5}, none[32] = {0};
    assert_true(gate_set_identity(gate, other));
    assert_int_equal(admit(&m, from(1, 1), idle, SECOND), GATE_DROP_MAC1);
    assert_true(gate_set_identity(gate, public_key));
    assert_int_equal(admit(&m, from(1, 1), idle, SECOND), GATE_ACCEPT);
    assert_true(gate_set_identity(gate, none)); /* no identity: nothing passes */
    assert_int_equal(admit(&m, from(1, 1), idle, SECOND), GATE_DROP_MAC1);
    struct message cookie = message_of(3); /* R34: mesh knows whether it was asked for */
    assert_int_equal(admit(&cookie, from(1, 1), idle, SECOND), GATE_ACCEPT);
}

static void r29_mac2_is_ignored_when_not_under_load(void **state) {
    (void)state;
    for (uint8_t type = 1; type <= 2; type++) {
        struct message m = message_of(type);
        for (size_t bit = 0; bit < 128; bit++) {
            struct message other = m;
            size_t at = m.length - 16 + bit / 8;
            other.bytes[at] = (uint8_t)(other.bytes[at] ^ 1u << bit % 8);
            assert_int_equal(admit(&other, from(1, 1), idle, SECOND), GATE_ACCEPT);
            if (type == 2 && bit == 127)
                assert_int_equal(admit(&other, from(1, 1), busy, SECOND), GATE_REPLY);
        }
    }
}

static void r14_load_starts_at_an_eighth_of_the_queue_and_lasts_a_second(void **state) {
    (void)state;
    const struct gate_load below = {511, 4096};
    struct message m = message_of(1);
    uint64_t now = 100 * SECOND;
    assert_int_equal(admit(&m, from(1, 1), below, now), GATE_ACCEPT);
    assert_false(gate_under_load(gate, now));
    assert_int_equal(admit(&m, from(1, 1), busy, now), GATE_REPLY);
    assert_true(gate_under_load(gate, now));
    assert_int_equal(admit(&m, from(1, 1), below, now + SECOND - 1), GATE_REPLY);
    assert_int_equal(admit(&m, from(1, 1), below, now + SECOND), GATE_ACCEPT);
    assert_false(gate_under_load(gate, now + SECOND));
    assert_int_equal(admit(&m, from(1, 1), busy, now + 2 * SECOND), GATE_REPLY);
    assert_int_equal(admit(&m, from(1, 1), busy, now + 2 * SECOND + 900 * MS), GATE_REPLY);
    assert_int_equal(admit(&m, from(1, 1), idle, now + 3 * SECOND + 899 * MS), GATE_REPLY);
}

static void r30_r33_under_load_types_1_and_2_get_a_cookie_that_opens(void **state) {
    (void)state;
    for (uint8_t type = 1; type <= 2; type++) {
        struct message m = message_of(type);
        uint8_t cookie[16];
        assert_int_equal(admit(&m, from(1, 7), busy, SECOND), GATE_REPLY);
        static const uint8_t head[4] = {3, 0, 0, 0};
        assert_memory_equal(reply, head, 4);
        assert_memory_equal(reply + 4, m.bytes + 4, 4); /* to the sender's index */
        assert_true(open_reply(&m, cookie));
        struct message other = message_of(type); /* R33: bound to the MAC1 of that message */
        uint8_t ignored[16];
        assert_false(open_reply(&other, ignored));

        set_mac2(&m, cookie);
        assert_int_equal(admit(&m, from(1, 7), busy, SECOND), GATE_ACCEPT);
        set_mac2(&other, cookie); /* the cookie is the source's, not the message's */
        assert_int_equal(admit(&other, from(1, 7), busy, SECOND), GATE_ACCEPT);
        other.bytes[other.length - 1] ^= 1;
        assert_int_equal(admit(&other, from(1, 7), busy, SECOND), GATE_REPLY);
        m.bytes[8] ^= 1; /* R28 stands before R30 */
        assert_int_equal(admit(&m, from(1, 7), busy, SECOND), GATE_DROP_MAC1);
    }
}

static void r33_every_reply_has_a_nonce_of_its_own(void **state) {
    (void)state;
    struct message m = message_of(1);
    uint8_t first[24];
    assert_int_equal(admit(&m, from(1, 7), busy, SECOND), GATE_REPLY);
    memcpy(first, reply + 8, 24);
    assert_int_equal(admit(&m, from(1, 7), busy, SECOND), GATE_REPLY);
    assert_memory_not_equal(first, reply + 8, 24);
}

static void r32_the_cookie_depends_on_address_and_port(void **state) {
    (void)state;
    uint8_t a[16], again[16], other[16];
    get_cookie(from(1, 7), SECOND, a);
    get_cookie(from(1, 7), SECOND, again);
    assert_memory_equal(a, again, 16);
    get_cookie(from(1, 8), SECOND, other);
    assert_memory_not_equal(a, other, 16);
    get_cookie(from(1, 7 << 8), SECOND, other);
    assert_memory_not_equal(a, other, 16);
    get_cookie(from(2, 7), SECOND, other);
    assert_memory_not_equal(a, other, 16);
    struct shoal_address six = {.family = SHOAL_AF_INET6, .port = 7, .ip = {0xfd, [15] = 1}};
    uint8_t six_a[16], six_b[16];
    get_cookie(six, SECOND, six_a);
    six.ip[15] = 2; /* all 16 bytes count */
    get_cookie(six, SECOND, six_b);
    assert_memory_not_equal(six_a, six_b, 16);
}

static void r32_the_secret_is_rolled_every_120_seconds(void **state) {
    (void)state;
    uint8_t first[16], same[16], rolled[16];
    get_cookie(from(1, 7), 10 * SECOND, first);
    get_cookie(from(1, 7), 130 * SECOND - 1, same);
    assert_memory_equal(first, same, 16);
    get_cookie(from(1, 7), 130 * SECOND, rolled);
    assert_memory_not_equal(first, rolled, 16);
    struct message m = message_of(1);
    set_mac2(&m, first);
    assert_int_equal(admit(&m, from(1, 7), busy, 130 * SECOND), GATE_REPLY);
    set_mac2(&m, rolled);
    assert_int_equal(admit(&m, from(1, 7), busy, 130 * SECOND), GATE_ACCEPT);
}

/* A message with a valid cookie of that source. */
static enum gate_verdict proven(struct shoal_address source, uint64_t now) {
    uint8_t cookie[16];
    struct message m = message_of(1);
    enum gate_verdict verdict = admit(&m, source, busy, now);
    assert_int_equal(verdict, GATE_REPLY);
    assert_true(open_reply(&m, cookie));
    set_mac2(&m, cookie);
    return admit(&m, source, busy, now);
}

/* Each worker asks with the time of its batch: one that began earlier may ask later. */
static void a_worker_whose_batch_began_earlier_fills_no_bucket(void **state) {
    (void)state;
    uint64_t now = 100 * SECOND;
    for (int i = 0; i < 5; i++)
        assert_int_equal(proven(from(1, 7), now), GATE_ACCEPT);
    for (uint64_t ago = 1; ago < 100 * MS; ago *= 10)
        assert_int_equal(proven(from(1, 7), now - ago), GATE_DROP_RATE);
    struct message m = message_of(1);
    uint8_t cookie[16];
    assert_int_equal(admit(&m, from(2, 7), busy, now), GATE_REPLY);
    assert_true(open_reply(&m, cookie));
    set_mac2(&m, cookie);
    assert_int_equal(admit(&m, from(2, 7), busy, now - 1), GATE_ACCEPT); /* the same secret */
}

static void r31_r15_a_source_has_5_at_once_and_20_a_second(void **state) {
    (void)state;
    uint64_t now = SECOND;
    for (int i = 0; i < 5; i++)
        assert_int_equal(proven(from(1, 7), now), GATE_ACCEPT);
    assert_int_equal(proven(from(1, 7), now), GATE_DROP_RATE);
    assert_int_equal(proven(from(1, 99), now), GATE_DROP_RATE); /* another port, the same /32 */
    assert_int_equal(proven(from(2, 7), now), GATE_ACCEPT);     /* another /32 */
    assert_int_equal(proven(from(1, 7), now + 49 * MS), GATE_DROP_RATE);
    assert_int_equal(proven(from(1, 7), now + 50 * MS), GATE_ACCEPT);
    assert_int_equal(proven(from(1, 7), now + 50 * MS), GATE_DROP_RATE);
    uint32_t accepted = 0;
    for (uint64_t t = 0; t < 10 * SECOND; t += 10 * MS)
        accepted += proven(from(1, 7), now + 50 * MS + t) == GATE_ACCEPT;
    assert_int_equal(accepted, 199); /* 20 a second over 9.99 s */
}

static void r15_an_idle_source_is_forgotten_after_a_second(void **state) {
    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(proven(from(1, 7), SECOND), GATE_ACCEPT);
    assert_int_equal(proven(from(1, 7), 2 * SECOND), GATE_ACCEPT);
    for (int i = 0; i < 4; i++)
        assert_int_equal(proven(from(1, 7), 2 * SECOND), GATE_ACCEPT);
    assert_int_equal(proven(from(1, 7), 2 * SECOND), GATE_DROP_RATE);
}

static void r15_an_ipv6_source_is_its_slash_64(void **state) {
    (void)state;
    struct shoal_address six = {.family = SHOAL_AF_INET6, .port = 7, .ip = {0xfd, [15] = 1}};
    for (uint8_t i = 0; i < 5; i++) {
        six.ip[15] = i;
        assert_int_equal(proven(six, SECOND), GATE_ACCEPT);
    }
    six.ip[8] = 1;
    assert_int_equal(proven(six, SECOND), GATE_DROP_RATE);
    six.ip[7] = 1;
    assert_int_equal(proven(six, SECOND), GATE_ACCEPT);
    /* IPv4 in IPv6 clothes is limited by /32, together with its plain form. */
    struct shoal_address mapped = {
        .family = SHOAL_AF_INET6, .port = 7, .ip = {[10] = 0xff, 0xff, 192, 0, 2, 50}};
    for (int i = 0; i < 5; i++)
        assert_int_equal(proven(mapped, SECOND), GATE_ACCEPT);
    assert_int_equal(proven(from(50, 7), SECOND), GATE_DROP_RATE);
    mapped.ip[15] = 51;
    assert_int_equal(proven(mapped, SECOND), GATE_ACCEPT);
}

static void r15_the_table_is_capped_and_refuses_new_sources_at_the_cap(void **state) {
    (void)state;
    uint32_t accepted = 0, refused = 0;
    for (uint32_t i = 0; i < 3 * GATE_SOURCES_MAX; i++) {
        struct shoal_address source = from(0, 7);
        memcpy(source.ip, &i, 4);
        enum gate_verdict verdict = proven(source, SECOND);
        accepted += verdict == GATE_ACCEPT;
        refused += verdict == GATE_DROP_FULL;
    }
    assert_int_equal(accepted + refused, 3 * GATE_SOURCES_MAX);
    assert_true(accepted <= GATE_SOURCES_MAX);
    assert_true(accepted > GATE_SOURCES_MAX * 9 / 10); /* the hash spreads */
    uint32_t known = 0;
    struct shoal_address first = from(0, 7);
    memcpy(first.ip, &known, 4);
    assert_int_equal(proven(first, SECOND), GATE_ACCEPT);          /* who is in stays in */
    assert_int_equal(proven(from(9, 9), 2 * SECOND), GATE_ACCEPT); /* and idle entries make room */
}

static void cookie_replies_that_nobody_vouches_for_leave_half_the_queue(void **state) {
    (void)state; /* R14, R34: no MAC of theirs is checked here */
    struct message cookie = message_of(3), initiation = message_of(1);
    struct gate_load below = {2047, 4096}, half = {2048, 4096};
    assert_int_equal(admit(&cookie, from(1, 1), below, SECOND), GATE_ACCEPT);
    assert_int_equal(admit(&cookie, from(1, 1), half, SECOND), GATE_DROP_RATE);
    assert_int_equal(admit(&initiation, from(1, 1), half, SECOND), GATE_REPLY);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_gate, close_gate)
    const struct CMUnitTest tests[] = {
        TEST(blake2s_is_that_of_rfc_7693_with_and_without_key),
        TEST(r20_each_type_has_one_length),
        TEST(r21_reserved_bytes_and_other_types_drop),
        TEST(cookie_replies_that_nobody_vouches_for_leave_half_the_queue),
        TEST(r28_every_flipped_bit_under_mac1_drops),
        TEST(r28_mac1_is_keyed_with_our_identity),
        TEST(r29_mac2_is_ignored_when_not_under_load),
        TEST(r14_load_starts_at_an_eighth_of_the_queue_and_lasts_a_second),
        TEST(r30_r33_under_load_types_1_and_2_get_a_cookie_that_opens),
        TEST(r33_every_reply_has_a_nonce_of_its_own),
        TEST(r32_the_cookie_depends_on_address_and_port),
        TEST(r32_the_secret_is_rolled_every_120_seconds),
        TEST(a_worker_whose_batch_began_earlier_fills_no_bucket),
        TEST(r31_r15_a_source_has_5_at_once_and_20_a_second),
        TEST(r15_an_idle_source_is_forgotten_after_a_second),
        TEST(r15_an_ipv6_source_is_its_slash_64),
        TEST(r15_the_table_is_capped_and_refuses_new_sources_at_the_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
