/* The AEAD batch interface: R23's nonce, both back-ends alike, nothing forged passes. */
#include "aead.h"

#include <stdlib.h>

#include "random.h"
#include "unit.h"

#define LONGEST 2000u

static const uint8_t key_bytes[32] = {
    0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f,
    0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f};

static struct aead *make(size_t backend, struct aead_key *key) {
    struct aead *aead = aead_create(aead_backend(backend));
    assert_non_null(aead);
    aead_key_init(key, key_bytes);
    return aead;
}

static void rfc_8439_section_2_8_2_holds_for_each_back_end(void **state) {
    (void)state;
    static const char text[] =
        "Ladies and Gentlemen of the class of '99: If I could offer you only "
        "one tip for the future, sunscreen would be it.";
    static const uint8_t ad[12] = {0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1,
                                   0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7};
    static const uint8_t nonce[12] = {7, 0, 0, 0, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47};
    static const uint8_t start[16] = {0xd3, 0x1a, 0x8d, 0x34, 0x64, 0x8e, 0x60, 0xdb,
                                      0x7b, 0x86, 0xaf, 0xbc, 0x53, 0xef, 0x7e, 0xc2};
    static const uint8_t tag[16] = {0x1a, 0xe1, 0x0b, 0x59, 0x4f, 0x09, 0xe2, 0x6a,
                                    0x7e, 0x90, 0x2e, 0xcb, 0xd0, 0x60, 0x06, 0x91};
    const size_t length = sizeof(text) - 1;
    uint8_t sealed[sizeof(text) + 16], opened[sizeof(text)];
    assert_int_equal(length, 114);
    for (size_t i = 0; aead_backend(i); i++) {
        struct aead_key key;
        struct aead *aead = make(i, &key);
        assert_true(
            aead_seal_with(aead, &key, sealed, (const uint8_t *)text, length, ad, 12, nonce));
        assert_memory_equal(sealed, start, 16);
        assert_memory_equal(sealed + length, tag, 16);
        assert_true(aead_open_with(aead, &key, opened, sealed, length + 16, ad, 12, nonce));
        assert_memory_equal(opened, text, length);
        aead_free(aead);
    }
}

static void r23_the_nonce_is_four_zeros_and_the_counter_little_endian(void **state) {
    (void)state;
    static const uint8_t nonce[12] = {0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1};
    const uint8_t text[20] = "twenty bytes of text";
    uint8_t with_nonce[36], with_counter[36];
    for (size_t i = 0; aead_backend(i); i++) {
        struct aead_key key;
        struct aead *aead = make(i, &key);
        struct aead_packet packet = {with_counter, text, 0x0102030405060708u, 20, false};
        assert_true(aead_seal(aead, &key, &packet, 1));
        assert_true(aead_seal_with(aead, &key, with_nonce, text, 20, NULL, 0, nonce));
        assert_memory_equal(with_nonce, with_counter, 36);
        aead_free(aead);
    }
}

static void back_ends_agree_at_every_length_and_alignment(void **state) {
    (void)state;
    static uint8_t in[LONGEST + 64], first[LONGEST + 96], second[LONGEST + 96];
    struct random random = {3};
    random_fill(&random, in, sizeof(in));
    struct aead_key key;
    struct aead *aead[2] = {make(0, &key), make(1, &key)};
    const uint32_t step = ROUNDS(1, 7);
    for (uint32_t length = 0; length <= LONGEST; length += step) {
        for (uint32_t align = 0; align < 4; align++) {
            uint32_t from = (length + align * 5) % 32, to = (length * 3 + align * 11) % 32;
            uint64_t counter = random_next(&random);
            struct aead_packet a = {first + to, in + from, counter, length, false};
            struct aead_packet b = {second + from, in + from, counter, length, false};
            assert_true(aead_seal(aead[0], &key, &a, 1));
            assert_true(aead_seal(aead[1], &key, &b, 1));
            assert_memory_equal(a.out, b.out, length + 16);
            /* Each opens what the other sealed, in place. */
            struct aead_packet c = {first + to, first + to, counter, length + 16, false};
            struct aead_packet d = {second + from, second + from, counter, length + 16, false};
            assert_int_equal(aead_open(aead[1], &key, &c, 1), 1);
            assert_int_equal(aead_open(aead[0], &key, &d, 1), 1);
            assert_memory_equal(c.out, in + from, length);
            assert_memory_equal(d.out, in + from, length);
        }
    }
    for (int i = 0; i < 2; i++)
        aead_free(aead[i]);
}

static void a_changed_bit_another_counter_or_key_does_not_open(void **state) {
    (void)state;
    uint8_t text[40] = {1, 2, 3}, sealed[56], bad[56], out[56];
    for (size_t i = 0; aead_backend(i); i++) {
        struct aead_key key;
        struct aead *aead = make(i, &key);
        struct aead_packet packet = {sealed, text, 7, 40, false};
        assert_true(aead_seal(aead, &key, &packet, 1));
        for (uint32_t bit = 0; bit < 56 * 8; bit++) {
            memcpy(bad, sealed, 56);
            bad[bit / 8] = (uint8_t)(bad[bit / 8] ^ 1u << bit % 8);
            struct aead_packet forged = {out, bad, 7, 56, true};
            assert_int_equal(aead_open(aead, &key, &forged, 1), 0);
            assert_false(forged.ok);
        }
        struct aead_packet other_counter = {out, sealed, 8, 56, true};
        assert_int_equal(aead_open(aead, &key, &other_counter, 1), 0);
        struct aead_packet cut = {out, sealed, 7, 55, true};
        assert_int_equal(aead_open(aead, &key, &cut, 1), 0);
        uint8_t other_bytes[32] = {1};
        struct aead_key other;
        aead_key_init(&other, other_bytes);
        struct aead_packet other_key = {out, sealed, 7, 56, true};
        assert_int_equal(aead_open(aead, &other, &other_key, 1), 0);
        struct aead_packet right = {out, sealed, 7, 56,
                                    false}; /* a failure leaves the key usable */
        assert_int_equal(aead_open(aead, &key, &right, 1), 1);
        assert_memory_equal(out, text, 40);
        aead_free(aead);
    }
}

static void lengths_out_of_bounds_are_refused(void **state) {
    (void)state;
    static uint8_t in[AEAD_LENGTH_MAX + 17], out[AEAD_LENGTH_MAX + 17];
    for (size_t i = 0; aead_backend(i); i++) {
        struct aead_key key;
        struct aead *aead = make(i, &key);
        for (uint32_t length = 0; length < 16; length++) {
            struct aead_packet shorter = {out, in, 1, length, true};
            assert_int_equal(aead_open(aead, &key, &shorter, 1), 0);
            assert_false(shorter.ok);
        }
        struct aead_packet most = {out, in, 1, AEAD_LENGTH_MAX, false};
        assert_true(aead_seal(aead, &key, &most, 1));
        struct aead_packet back = {out, out, 1, AEAD_LENGTH_MAX + 16, false};
        assert_int_equal(aead_open(aead, &key, &back, 1), 1);
        struct aead_packet more = {out, in, 1, AEAD_LENGTH_MAX + 1, false};
        assert_false(aead_seal(aead, &key, &more, 1));
        struct aead_packet longer = {out, out, 1, AEAD_LENGTH_MAX + 17, true};
        assert_int_equal(aead_open(aead, &key, &longer, 1), 0);
        aead_free(aead);
    }
}

static void a_batch_opens_what_is_right_and_marks_what_is_not(void **state) {
    (void)state;
    uint8_t text[5][30], sealed[5][46];
    struct random random = {4};
    random_fill(&random, text, sizeof(text));
    for (size_t i = 0; aead_backend(i); i++) {
        struct aead_key key;
        struct aead *aead = make(i, &key);
        struct aead_packet packets[5];
        for (uint32_t n = 0; n < 5; n++)
            packets[n] = (struct aead_packet){sealed[n], text[n], n, 30, false};
        assert_true(aead_seal(aead, &key, packets, 5));
        sealed[1][3] ^= 1;
        sealed[3][45] ^= 1;
        for (uint32_t n = 0; n < 5; n++)
            packets[n] = (struct aead_packet){sealed[n], sealed[n], n, 46, false};
        assert_int_equal(aead_open(aead, &key, packets, 5), 3);
        for (uint32_t n = 0; n < 5; n++) {
            assert_int_equal(packets[n].ok, n != 1 && n != 3);
            if (packets[n].ok)
                assert_memory_equal(sealed[n], text[n], 30);
        }
        aead_free(aead);
    }
}

static void back_ends_are_found_by_name(void **state) {
    (void)state;
    assert_string_equal(aead_name(aead_find("openssl")), "openssl");
    assert_string_equal(aead_name(aead_find("libsodium")), "libsodium");
    assert_null(aead_find("rot13"));
    assert_null(aead_find(""));
    size_t count = 0;
    for (; aead_backend(count); count++)
        assert_ptr_equal(aead_find(aead_name(aead_backend(count))), aead_backend(count));
    assert_int_equal(count, aead_find("ipsec-mb") ? 3 : 2);
}

/* Ciphers hold a key from one packet to the next and forget it after a batch: neither may show. */
static void packets_of_many_keys_in_any_order_are_each_sealed_with_their_own(void **state) {
    (void)state;
    enum { KEYS = 3 };
    struct aead_key keys[KEYS];
    struct random random = {7};
    uint8_t text[40] = {5}, expected[56], sealed[56], out[40];
    for (int k = 0; k < KEYS; k++) {
        uint8_t bytes[32];
        random_fill(&random, bytes, sizeof(bytes));
        aead_key_init(&keys[k], bytes);
    }
    for (size_t i = 0; aead_backend(i); i++) {
        struct aead *kept = aead_create(aead_backend(i));
        assert_non_null(kept);
        for (uint64_t n = 0; n < 200; n++) {
            struct aead_key *key = &keys[random_below(&random, KEYS)];
            struct aead *fresh = aead_create(aead_backend(i));
            struct aead_packet packet = {expected, text, n, 40, false};
            assert_true(aead_seal(fresh, key, &packet, 1));
            aead_free(fresh);
            packet.out = sealed;
            assert_true(aead_seal(kept, key, &packet, 1));
            assert_memory_equal(sealed, expected, 56);
            for (int k = 0; k < KEYS; k++) {
                struct aead_packet back = {out, sealed, n, 56, false};
                assert_int_equal(aead_open(kept, &keys[k], &back, 1), key == &keys[k]);
            }
            if (random_below(&random, 4) == 0)
                aead_forget(kept);
        }
        aead_free(kept);
    }
}

/* A clock by script: a batch reads it before and after, the loop once a round. */
static uint64_t scripted_now, scripted_calls, script_length, script[7];
static uint64_t scripted_clock(void) {
    uint64_t step = scripted_calls == 0 ? 0 : script[(scripted_calls - 1) % script_length];
    scripted_calls++;
    return scripted_now += step;
}

static const char *calibrated(uint64_t openssl, uint64_t libsodium) {
    const uint64_t steps[7] = {1, openssl, 1, libsodium, 1, 5000, 1};
    script_length = aead_find("ipsec-mb") ? 7 : 5;
    memcpy(script, steps, sizeof(script));
    scripted_now = scripted_calls = 0;
    return aead_name(aead_calibrate(scripted_clock, 5000));
}

static void calibration_picks_the_faster_and_keeps_to_its_budget(void **state) {
    (void)state;
    assert_string_equal(calibrated(100, 200), "openssl");
    assert_string_equal(calibrated(200, 100), "libsodium");
    assert_in_range(scripted_now, 5000, 5000 + 2 * 303);        /* no round is started beyond it */
    assert_string_equal(calibrated(1000000, 100), "libsodium"); /* one round at least */
    assert_int_equal(scripted_calls, script_length + 1);
}

static void xchacha_opens_what_it_sealed_and_nothing_else(void **state) {
    (void)state;
    uint8_t text[16] = "a cookie, sealed", ad[16] = {9}, nonce[24] = {8}, sealed[32], out[16];
    aead_xchacha_seal(sealed, text, 16, ad, 16, nonce, key_bytes);
    assert_true(aead_xchacha_open(out, sealed, 32, ad, 16, nonce, key_bytes));
    assert_memory_equal(out, text, 16);
    ad[15] ^= 1;
    assert_false(aead_xchacha_open(out, sealed, 32, ad, 16, nonce, key_bytes));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc_8439_section_2_8_2_holds_for_each_back_end),
        cmocka_unit_test(r23_the_nonce_is_four_zeros_and_the_counter_little_endian),
        cmocka_unit_test(back_ends_agree_at_every_length_and_alignment),
        cmocka_unit_test(a_changed_bit_another_counter_or_key_does_not_open),
        cmocka_unit_test(lengths_out_of_bounds_are_refused),
        cmocka_unit_test(a_batch_opens_what_is_right_and_marks_what_is_not),
        cmocka_unit_test(packets_of_many_keys_in_any_order_are_each_sealed_with_their_own),
        cmocka_unit_test(back_ends_are_found_by_name),
        cmocka_unit_test(calibration_picks_the_faster_and_keeps_to_its_budget),
        cmocka_unit_test(xchacha_opens_what_it_sealed_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
