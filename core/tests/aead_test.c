/* The AEAD batch interface: R23's nonce, all back-ends of a suite alike, nothing forged passes. */
#include "aead.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "random.h"
#include "unit.h"

#define LONGEST 2000u

static const uint8_t key_bytes[32] = {
    0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f,
    0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f};

/* Every suite with every back-end that has it here. */
struct tool {
    enum aead_suite suite;
    const struct aead_backend *backend;
    struct aead *aead;
    struct aead_key key;
};

static struct aead *only(const struct aead_backend *backend) {
    struct aead_choice choice = aead_prefer(backend, NULL);
    struct aead *aead = aead_create(&choice);
    assert_non_null(aead);
    return aead;
}

/* The i-th of them; false past the last. Its ciphers are freed by tool_end. */
static bool tool_begin(struct tool *tool, size_t i) {
    for (enum aead_suite suite = 0; suite < AEAD_SUITES; suite++) {
        for (size_t k = 0; aead_backend(k); k++) {
            if (!aead_has(aead_backend(k), suite) || i-- > 0)
                continue;
            *tool = (struct tool){.suite = suite, .backend = aead_backend(k)};
            tool->aead = only(tool->backend);
            aead_key_init(&tool->key, suite, key_bytes);
            return true;
        }
    }
    return false;
}

static void tool_end(struct tool *tool) { aead_free(tool->aead); }

#define EACH_TOOL(tool) (size_t i = 0; tool_begin(&tool, i); tool_end(&tool), i++)

static struct aead_packet packet_of(uint8_t *out, const uint8_t *in, uint64_t counter,
                                    uint32_t length) {
    return (struct aead_packet){out, in, counter, length, false};
}

static bool seal_one(struct tool *tool, uint8_t *out, const uint8_t *in, uint64_t counter,
                     uint32_t length) {
    struct aead_packet packet = packet_of(out, in, counter, length);
    return aead_seal(tool->aead, &tool->key, &packet, 1);
}

static bool open_one(struct tool *tool, uint8_t *out, const uint8_t *in, uint64_t counter,
                     uint32_t length) {
    struct aead_packet packet = packet_of(out, in, counter, length);
    packet.ok = true;
    size_t right = aead_open(tool->aead, &tool->key, &packet, 1);
    assert_int_equal(right, packet.ok);
    return right == 1;
}

/* ---- Known answers ---- */

struct answer {
    enum aead_suite suite;
    const uint8_t *key, *nonce, *ad, *text, *sealed;
    size_t ad_length, length;
};

static void expect_answer(const struct answer *answer) {
    uint8_t sealed[256], opened[256];
    struct tool tool;
    size_t tried = 0;
    for
        EACH_TOOL(tool) {
            if (tool.suite != answer->suite)
                continue;
            struct aead_key key;
            aead_key_init(&key, answer->suite, answer->key);
            assert_true(aead_seal_with(tool.aead, &key, sealed, answer->text, answer->length,
                                       answer->ad, answer->ad_length, answer->nonce));
            assert_memory_equal(sealed, answer->sealed, answer->length + 16);
            assert_true(aead_open_with(tool.aead, &key, opened, sealed, answer->length + 16,
                                       answer->ad, answer->ad_length, answer->nonce));
            assert_memory_equal(opened, answer->text, answer->length);
            tried++;
        }
    assert_true(tried > 0 || !aead_suite_here(answer->suite));
}

static void rfc_8439_section_2_8_2_holds_for_each_back_end(void **state) {
    (void)state;
    static const char text[] =
        "Ladies and Gentlemen of the class of '99: If I could offer you only "
        "one tip for the future, sunscreen would be it.";
    static const uint8_t ad[12] = {0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1,
                                   0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7};
    static const uint8_t nonce[12] = {7, 0, 0, 0, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47};
    static const uint8_t sealed[114 + 16] = {
        0xd3, 0x1a, 0x8d, 0x34, 0x64, 0x8e, 0x60, 0xdb, 0x7b, 0x86, 0xaf, 0xbc, 0x53, 0xef, 0x7e,
        0xc2, 0xa4, 0xad, 0xed, 0x51, 0x29, 0x6e, 0x08, 0xfe, 0xa9, 0xe2, 0xb5, 0xa7, 0x36, 0xee,
        0x62, 0xd6, 0x3d, 0xbe, 0xa4, 0x5e, 0x8c, 0xa9, 0x67, 0x12, 0x82, 0xfa, 0xfb, 0x69, 0xda,
        0x92, 0x72, 0x8b, 0x1a, 0x71, 0xde, 0x0a, 0x9e, 0x06, 0x0b, 0x29, 0x05, 0xd6, 0xa5, 0xb6,
        0x7e, 0xcd, 0x3b, 0x36, 0x92, 0xdd, 0xbd, 0x7f, 0x2d, 0x77, 0x8b, 0x8c, 0x98, 0x03, 0xae,
        0xe3, 0x28, 0x09, 0x1b, 0x58, 0xfa, 0xb3, 0x24, 0xe4, 0xfa, 0xd6, 0x75, 0x94, 0x55, 0x85,
        0x80, 0x8b, 0x48, 0x31, 0xd7, 0xbc, 0x3f, 0xf4, 0xde, 0xf0, 0x8e, 0x4b, 0x7a, 0x9d, 0xe5,
        0x76, 0xd2, 0x65, 0x86, 0xce, 0xc6, 0x4b, 0x61, 0x16, 0x1a, 0xe1, 0x0b, 0x59, 0x4f, 0x09,
        0xe2, 0x6a, 0x7e, 0x90, 0x2e, 0xcb, 0xd0, 0x60, 0x06, 0x91};
    expect_answer(&(struct answer){AEAD_CHACHA20_POLY1305, key_bytes, nonce, ad,
                                   (const uint8_t *)text, sealed, 12, 114});
}

/* Cases 13, 14 and 16 of McGrew and Viega's proposal of GCM, the ones of 256-bit keys and 96-bit
 * nonces: nothing at all, one block of zeros, and a text that ends within a block. */
static void the_vectors_of_gcm_hold_for_each_back_end(void **state) {
    (void)state;
    static const uint8_t zero[32];
    static const uint8_t empty[16] = {0x53, 0x0f, 0x8a, 0xfb, 0xc7, 0x45, 0x36, 0xb9,
                                      0xa9, 0x63, 0xb4, 0xf1, 0xc4, 0xcb, 0x73, 0x8b};
    expect_answer(&(struct answer){AEAD_AES_256_GCM, zero, zero, NULL, zero, empty, 0, 0});
    static const uint8_t block[32] = {0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e,
                                      0x07, 0x4e, 0xc5, 0xd3, 0xba, 0xf3, 0x9d, 0x18,
                                      0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99, 0x6b, 0xf0,
                                      0x26, 0x5b, 0x98, 0xb5, 0xd4, 0x8a, 0xb9, 0x19};
    expect_answer(&(struct answer){AEAD_AES_256_GCM, zero, zero, NULL, zero, block, 0, 16});
    static const uint8_t key[32] = {0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c,
                                    0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08,
                                    0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c,
                                    0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08};
    static const uint8_t nonce[12] = {0xca, 0xfe, 0xba, 0xbe, 0xfa, 0xce,
                                      0xdb, 0xad, 0xde, 0xca, 0xf8, 0x88};
    static const uint8_t ad[20] = {0xfe, 0xed, 0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xfe, 0xed,
                                   0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xab, 0xad, 0xda, 0xd2};
    static const uint8_t text[60] = {
        0xd9, 0x31, 0x32, 0x25, 0xf8, 0x84, 0x06, 0xe5, 0xa5, 0x59, 0x09, 0xc5, 0xaf, 0xf5, 0x26,
        0x9a, 0x86, 0xa7, 0xa9, 0x53, 0x15, 0x34, 0xf7, 0xda, 0x2e, 0x4c, 0x30, 0x3d, 0x8a, 0x31,
        0x8a, 0x72, 0x1c, 0x3c, 0x0c, 0x95, 0x95, 0x68, 0x09, 0x53, 0x2f, 0xcf, 0x0e, 0x24, 0x49,
        0xa6, 0xb5, 0x25, 0xb1, 0x6a, 0xed, 0xf5, 0xaa, 0x0d, 0xe6, 0x57, 0xba, 0x63, 0x7b, 0x39};
    static const uint8_t sealed[76] = {
        0x52, 0x2d, 0xc1, 0xf0, 0x99, 0x56, 0x7d, 0x07, 0xf4, 0x7f, 0x37, 0xa3, 0x2a,
        0x84, 0x42, 0x7d, 0x64, 0x3a, 0x8c, 0xdc, 0xbf, 0xe5, 0xc0, 0xc9, 0x75, 0x98,
        0xa2, 0xbd, 0x25, 0x55, 0xd1, 0xaa, 0x8c, 0xb0, 0x8e, 0x48, 0x59, 0x0d, 0xbb,
        0x3d, 0xa7, 0xb0, 0x8b, 0x10, 0x56, 0x82, 0x88, 0x38, 0xc5, 0xf6, 0x1e, 0x63,
        0x93, 0xba, 0x7a, 0x0a, 0xbc, 0xc9, 0xf6, 0x62, 0x76, 0xfc, 0x6e, 0xce, 0x0f,
        0x4e, 0x17, 0x68, 0xcd, 0xdf, 0x88, 0x53, 0xbb, 0x2d, 0x55, 0x1b};
    expect_answer(&(struct answer){AEAD_AES_256_GCM, key, nonce, ad, text, sealed, 20, 60});
}

static void r23_the_nonce_is_four_zeros_and_the_counter_little_endian(void **state) {
    (void)state;
    static const uint8_t nonce[12] = {0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1};
    const uint8_t text[20] = "twenty bytes of text";
    uint8_t with_nonce[36], with_counter[36];
    struct tool tool;
    for
        EACH_TOOL(tool) {
            assert_true(seal_one(&tool, with_counter, text, 0x0102030405060708u, 20));
            assert_true(aead_seal_with(tool.aead, &tool.key, with_nonce, text, 20, NULL, 0, nonce));
            assert_memory_equal(with_nonce, with_counter, 36);
        }
}

/* ---- Back-ends against each other ---- */

/* Out of place from one alignment to another and in place, sealed by each and opened by each. */
static void compare(struct tool *first, struct tool *second, uint32_t length, uint32_t from,
                    uint32_t to, uint64_t counter) {
    static uint8_t in[LONGEST + 64], a[LONGEST + 96], b[LONGEST + 96], out[LONGEST + 96];
    struct random random = {counter};
    random_fill(&random, in + from, length);
    memset(a, 0xa5, sizeof(a));
    assert_true(seal_one(first, a + to, in + from, counter, length));
    assert_int_equal(a[to + length + 16], 0xa5); /* nothing is written behind the tag */
    assert_true(to == 0 || a[to - 1] == 0xa5);
    assert_true(seal_one(second, b + from, in + from, counter, length));
    assert_memory_equal(a + to, b + from, length + 16);
    assert_true(open_one(second, out + from, a + to, counter, length + 16));
    assert_memory_equal(out + from, in + from, length);
    assert_true(open_one(second, a + to, a + to, counter, length + 16));
    assert_memory_equal(a + to, in + from, length);
    assert_true(open_one(first, b + from, b + from, counter, length + 16));
    assert_memory_equal(b + from, in + from, length);
}

static void back_ends_agree_at_every_length_and_alignment(void **state) {
    (void)state;
    struct tool tool, other;
    const uint32_t step = ROUNDS(1, 13);
    for
        EACH_TOOL(tool) {
            for (size_t k = 0; k < i && tool_begin(&other, k); tool_end(&other), k++) {
                if (other.suite != tool.suite)
                    continue;
                for (uint32_t length = 0; length <= LONGEST; length += step)
                    for (uint32_t align = 0; align < ROUNDS(4, 2); align++)
                        compare(&tool, &other, length, (length + align * 5) % 64,
                                (length * 3 + align * 11) % 64, length * 7919ull + align);
                for (uint32_t from = 0; from < 64; from += ROUNDS(1, 7))
                    for (uint32_t to = 0; to < 64; to += ROUNDS(1, 5))
                        compare(&tool, &other, 257, from, to, from * 64 + to);
            }
        }
}

/* Behind the last byte of what is read, and of what is written, lies a page that nobody may touch.
 */
static void no_back_end_touches_a_byte_beyond_the_packet(void **state) {
    (void)state;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = 2 * page;
    uint8_t *area =
        mmap(NULL, 2 * (room + page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(area != MAP_FAILED);
    uint8_t *end = area + room, *other_end = end + page + room;
    assert_int_equal(mprotect(end, page, PROT_NONE), 0);
    assert_int_equal(mprotect(other_end, page, PROT_NONE), 0);
    struct tool tool;
    for
        EACH_TOOL(tool) {
            for (uint32_t length = 0; length <= LONGEST; length += ROUNDS(1, 13)) {
                assert_true(seal_one(&tool, other_end - length - 16, end - length, length, length));
                assert_true(
                    open_one(&tool, end - length, other_end - length - 16, length, length + 16));
            }
        }
    munmap(area, 2 * (room + page));
}

static void a_changed_bit_another_counter_or_key_does_not_open(void **state) {
    (void)state;
    uint8_t text[40] = {1, 2, 3}, sealed[56], bad[56], out[56];
    const uint8_t other_bytes[32] = {1};
    struct tool tool;
    for
        EACH_TOOL(tool) {
            assert_true(seal_one(&tool, sealed, text, 7, 40));
            for (uint32_t bit = 0; bit < 56 * 8; bit++) {
                memcpy(bad, sealed, 56);
                bad[bit / 8] = (uint8_t)(bad[bit / 8] ^ 1u << bit % 8);
                assert_false(open_one(&tool, out, bad, 7, 56));
            }
            assert_false(open_one(&tool, out, sealed, 8, 56));
            assert_false(open_one(&tool, out, sealed, 7, 55));
            struct tool another = tool;
            aead_key_init(&another.key, tool.suite, other_bytes);
            assert_false(open_one(&another, out, sealed, 7, 56));
            assert_true(open_one(&tool, out, sealed, 7, 56)); /* a failure leaves the key usable */
            assert_memory_equal(out, text, 40);
            if (aead_suite_here(AEAD_AES_256_GCM)) { /* the same bytes are another key there */
                aead_key_init(&another.key, !tool.suite, key_bytes);
                another.aead = only(aead_find("openssl"));
                assert_false(open_one(&another, out, sealed, 7, 56));
                aead_free(another.aead);
            }
        }
}

static void lengths_out_of_bounds_are_refused(void **state) {
    (void)state;
    static uint8_t in[AEAD_LENGTH_MAX + 17], out[AEAD_LENGTH_MAX + 17];
    struct tool tool;
    for
        EACH_TOOL(tool) {
            for (uint32_t length = 0; length < 16; length++)
                assert_false(open_one(&tool, out, in, 1, length));
            assert_true(seal_one(&tool, out, in, 1, AEAD_LENGTH_MAX));
            assert_true(open_one(&tool, out, out, 1, AEAD_LENGTH_MAX + 16));
            assert_false(seal_one(&tool, out, in, 1, AEAD_LENGTH_MAX + 1));
            assert_false(open_one(&tool, out, out, 1, AEAD_LENGTH_MAX + 17));
        }
}

/* ---- Batches ---- */

#define BATCH_MAX 64u

/* Lengths of a batch: both of them, and what lies between. */
struct lengths {
    uint32_t least, most;
};

static const struct lengths any_length = {0, LONGEST};

/* Sealed as one batch, it is what OpenSSL makes of single packets; some are forged, cut short or
 * too short then, and exactly the others open, in place or not. */
static void expect_batch(struct tool *tool, struct random *random, uint32_t n, bool in_place,
                         struct lengths lengths) {
    static uint8_t text[BATCH_MAX][LONGEST], sealed[BATCH_MAX][LONGEST + 16];
    static uint8_t single[LONGEST + 16], out[BATCH_MAX][LONGEST + 16];
    struct tool other = {.aead = only(aead_find("openssl")), .key = tool->key};
    struct aead_packet packets[BATCH_MAX];
    bool good[BATCH_MAX];
    for (uint32_t k = 0; k < n; k++) {
        uint32_t length = lengths.least + random_below(random, lengths.most - lengths.least + 1);
        random_fill(random, text[k], length);
        memcpy(sealed[k], text[k], length);
        packets[k] =
            packet_of(sealed[k], in_place ? sealed[k] : text[k], random_next(random), length);
    }
    assert_true(aead_seal(tool->aead, &tool->key, packets, n));
    for (uint32_t k = 0; k < n; k++) {
        assert_true(seal_one(&other, single, text[k], packets[k].counter, packets[k].length));
        assert_memory_equal(sealed[k], single, packets[k].length + 16);
    }
    tool_end(&other);
    for (uint32_t k = 0; k < n; k++) {
        uint32_t fate = random_below(random, 8), sealed_length = packets[k].length + 16;
        good[k] = fate > 2;
        if (fate == 0)
            sealed[k][random_below(random, sealed_length)] ^= 1;
        packets[k].in = sealed[k];
        packets[k].out = in_place ? sealed[k] : out[k];
        packets[k].length = fate == 1 ? sealed_length - 1 : fate == 2 ? 15 : sealed_length;
        packets[k].ok = !good[k];
    }
    size_t right = aead_open(tool->aead, &tool->key, packets, n);
    for (uint32_t k = 0; k < n; k++) {
        assert_int_equal(packets[k].ok, good[k]);
        right -= good[k];
        if (good[k])
            assert_memory_equal(packets[k].out, text[k], packets[k].length - 16);
    }
    assert_int_equal(right, 0);
}

static void batches_of_1_to_64_open_what_is_right_and_mark_what_is_not(void **state) {
    (void)state;
    struct random random = {4};
    struct tool tool;
    for
        EACH_TOOL(tool)
    for (uint32_t n = 1; n <= BATCH_MAX; n += ROUNDS(1, 9))
        for (int in_place = 0; in_place < 2; in_place++)
            expect_batch(&tool, &random, n, in_place, any_length);
}

static void trains_of_every_length_open_what_is_right_and_mark_what_is_not(void **state) {
    (void)state;
    struct random random = {5};
    struct tool tool;
    for
        EACH_TOOL(tool)
    for (uint32_t length = 0; length <= LONGEST; length += ROUNDS(1, 13))
        expect_batch(&tool, &random, 1 + (length * 7 + 3) % ROUNDS(20, BATCH_MAX), length % 2,
                     (struct lengths){length, length});
}

static void a_batch_longer_than_any_burst_is_one_all_the_same(void **state) {
    (void)state;
    enum { MANY = 300 };
    static uint8_t sealed[MANY][40], text[MANY][24];
    struct aead_packet packets[MANY];
    struct tool tool;
    for
        EACH_TOOL(tool) {
            for (uint32_t n = 0; n < MANY; n++) {
                memset(text[n], (int)n, 24);
                packets[n] = packet_of(sealed[n], text[n], n, 24);
            }
            assert_true(aead_seal(tool.aead, &tool.key, packets, MANY));
            sealed[150][3] ^= 1;
            for (uint32_t n = 0; n < MANY; n++)
                packets[n] = packet_of(sealed[n], sealed[n], n, 40);
            assert_int_equal(aead_open(tool.aead, &tool.key, packets, MANY), MANY - 1);
            for (uint32_t n = 0; n < MANY; n++)
                assert_true(n == 150 ? !packets[n].ok : memcmp(sealed[n], text[n], 24) == 0);
            assert_true(aead_seal(tool.aead, &tool.key, packets, 0));
            assert_int_equal(aead_open(tool.aead, &tool.key, packets, 0), 0);
        }
}

/* Another back-end for each size: a batch is cut where the sizes change, and no packet is lost. */
static void a_batch_of_mixed_sizes_goes_to_the_back_end_of_each(void **state) {
    (void)state;
    struct random random = {9};
    struct aead_choice mixed = aead_prefer(aead_find("openssl"), NULL);
    for (int count = 0; count < AEAD_COUNTS; count++) {
        mixed.of[AEAD_CHACHA20_POLY1305][count][AEAD_SMALL] = aead_find("libsodium");
        for (int suite = 0; suite < AEAD_SUITES && aead_find("ipsec-mb"); suite++)
            mixed.of[suite][count][AEAD_LARGE] = aead_find("ipsec-mb");
    }
    for (enum aead_suite suite = 0; suite < AEAD_SUITES; suite++) {
        if (!aead_suite_here(suite))
            continue;
        struct tool tool = {.suite = suite, .aead = aead_create(&mixed)};
        assert_non_null(tool.aead);
        aead_key_init(&tool.key, suite, key_bytes);
        for (uint32_t n = 1; n <= BATCH_MAX; n += 7)
            expect_batch(&tool, &random, n, n % 2, any_length);
        tool_end(&tool);
    }
}

/* Seen where a size has no back-end at all: its packets alone are refused. */
static void a_packet_goes_to_the_back_end_of_its_size_and_to_no_other(void **state) {
    (void)state;
    static const uint32_t lengths[] = {0, 320, 321, 1000, 1001, 2000, 64, 576};
    static const enum aead_class classes[] = {AEAD_SMALL, AEAD_SMALL, AEAD_MEDIUM, AEAD_MEDIUM,
                                              AEAD_LARGE, AEAD_LARGE, AEAD_SMALL,  AEAD_MEDIUM};
    static uint8_t text[LONGEST], sealed[8][LONGEST + 16];
    struct aead_packet packets[8];
    struct tool all;
    assert_true(tool_begin(&all, 0));
    for (enum aead_class lacking = 0; lacking < AEAD_CLASSES; lacking++) {
        struct aead_choice choice = aead_prefer(all.backend, NULL);
        for (int count = 0; count < AEAD_COUNTS; count++)
            choice.of[all.suite][count][lacking] = NULL;
        struct tool tool = {.aead = aead_create(&choice), .key = all.key};
        for (uint32_t k = 0; k < 8; k++) {
            assert_true(seal_one(&all, sealed[k], text, k, lengths[k]));
            packets[k] = packet_of(sealed[k], text, k, lengths[k]);
            assert_int_equal(seal_one(&tool, sealed[k], text, k, lengths[k]),
                             classes[k] != lacking);
        }
        assert_false(aead_seal(tool.aead, &tool.key, packets, 8));
        for (uint32_t k = 0; k < 8; k++)
            packets[k] = packet_of(sealed[k], sealed[k], k, lengths[k] + 16);
        aead_open(tool.aead, &tool.key, packets, 8);
        for (uint32_t k = 0; k < 8; k++)
            assert_int_equal(packets[k].ok, classes[k] != lacking);
        tool_end(&tool);
    }
    tool_end(&all);
}

static struct aead_choice by_count(const struct aead_backend *lone, const struct aead_backend *few,
                                   const struct aead_backend *many) {
    struct aead_choice choice = {0};
    const struct aead_backend *const of[AEAD_COUNTS] = {lone, few, many};
    for (int count = 0; count < AEAD_COUNTS; count++)
        for (int class = 0; class < AEAD_CLASSES; class ++)
            choice.of[AEAD_CHACHA20_POLY1305][count][class] = of[count];
    return choice;
}

/* Seen where a number of packets has no back-end at all: what is left over for it is refused. */
static void packets_go_to_the_back_end_of_their_number(void **state) {
    (void)state;
    static const uint8_t text[24] = {3};
    static uint8_t sealed[BATCH_MAX][40];
    const struct aead_backend *some = aead_find("openssl");
    const struct aead_choice choices[] = {by_count(NULL, NULL, some), by_count(NULL, some, some),
                                          by_count(NULL, some, NULL), by_count(some, NULL, some),
                                          by_count(some, NULL, NULL)};
    for (uint32_t n = 1; n <= BATCH_MAX; n++) {
        const uint32_t rest = n % AEAD_MANY_MIN;
        const bool expected[] = {rest == 0, rest == 0 || rest >= AEAD_FEW_MIN, n >= AEAD_FEW_MIN,
                                 true, true};
        for (size_t c = 0; c < sizeof(choices) / sizeof(*choices); c++) {
            struct tool tool = {.aead = aead_create(&choices[c])};
            struct aead_packet packets[BATCH_MAX];
            assert_non_null(tool.aead);
            aead_key_init(&tool.key, AEAD_CHACHA20_POLY1305, key_bytes);
            for (uint32_t k = 0; k < n; k++)
                packets[k] = packet_of(sealed[k], text, k, 24);
            assert_int_equal(aead_seal(tool.aead, &tool.key, packets, n), expected[c]);
            for (uint32_t k = 0; k < n && expected[c]; k++)
                packets[k] = packet_of(sealed[k], sealed[k], k, 40);
            assert_int_equal(aead_open(tool.aead, &tool.key, packets, n) == n, expected[c]);
            tool_end(&tool);
        }
    }
}

static bool gains(struct aead_choice choice) {
    struct aead *aead = aead_create(&choice);
    assert_non_null(aead);
    bool gains = aead_gains_by_numbers(aead, AEAD_CHACHA20_POLY1305);
    assert_false(aead_gains_by_numbers(aead, AEAD_AES_256_GCM));
    aead_free(aead);
    return gains;
}

/* Not where the choice depends on numbers by chance. */
static void only_lanes_gain_by_numbers(void **state) {
    (void)state;
    const struct aead_backend *openssl = aead_find("openssl"), *sodium = aead_find("libsodium");
    assert_false(gains(by_count(sodium, openssl, openssl)));
    for (size_t i = 0; aead_backend(i); i++) {
        const struct aead_backend *backend = aead_backend(i);
        bool lanes = strncmp(aead_name(backend), "shoal-", 6) == 0;
        assert_int_equal(gains(by_count(backend, backend, backend)), lanes);
        assert_int_equal(gains(by_count(openssl, openssl, backend)), lanes);
        assert_false(gains(by_count(backend, backend, openssl)));
    }
}

static void a_batch_of_any_number_is_sealed_and_opened_whoever_does_its_parts(void **state) {
    (void)state;
    struct random random = {12};
    for (size_t i = 0; aead_backend(i); i++) {
        struct aead_choice choice =
            by_count(aead_find("libsodium"), aead_find("openssl"), aead_backend(i));
        struct tool tool = {.suite = AEAD_CHACHA20_POLY1305, .aead = aead_create(&choice)};
        assert_non_null(tool.aead);
        aead_key_init(&tool.key, tool.suite, key_bytes);
        for (uint32_t n = 1; n <= BATCH_MAX; n += ROUNDS(1, 5))
            expect_batch(&tool, &random, n, n % 2, any_length);
        tool_end(&tool);
    }
}

/* Ciphers hold a key from one packet to the next and forget it after a batch: neither may show. */
static void packets_of_many_keys_in_any_order_are_each_sealed_with_their_own(void **state) {
    (void)state;
    enum { KEYS = 3 };
    struct aead_key keys[KEYS];
    struct random random = {7};
    uint8_t text[40] = {5}, expected[56], sealed[56], out[40];
    struct tool tool;
    for
        EACH_TOOL(tool) {
            for (int k = 0; k < KEYS; k++) {
                uint8_t bytes[32];
                random_fill(&random, bytes, sizeof(bytes));
                aead_key_init(&keys[k], tool.suite, bytes);
            }
            for (uint64_t n = 0; n < 100; n++) {
                uint32_t which = random_below(&random, KEYS);
                struct tool fresh = {.aead = only(tool.backend), .key = keys[which]};
                assert_true(seal_one(&fresh, expected, text, n, 40));
                tool_end(&fresh);
                tool.key = keys[which];
                assert_true(seal_one(&tool, sealed, text, n, 40));
                assert_memory_equal(sealed, expected, 56);
                for (uint32_t k = 0; k < KEYS; k++) {
                    tool.key = keys[k];
                    assert_int_equal(open_one(&tool, out, sealed, n, 56), k == which);
                }
                if (random_below(&random, 4) == 0)
                    aead_forget(tool.aead);
            }
        }
}

/* Any worker may seal with a session's key: each with ciphers of its own, and the key is only read.
 * (Under the thread sanitizer a write to it, or to anything that they share, is an error.) */
enum { THREADS = 4, PACKETS = 300 };

struct sealer {
    const struct tool *tool;
    struct aead *aead;
    uint64_t first; /* of its counters, every THREADS-th */
    uint8_t sealed[PACKETS][100 + 16];
};

static const uint8_t shared_text[100] = {3};

static void *seal_every_fourth(void *argument) {
    struct sealer *sealer = argument;
    for (uint64_t n = 0; n < PACKETS; n++) {
        struct aead_packet packet =
            packet_of(sealer->sealed[n], shared_text, sealer->first + n * THREADS, 100);
        if (!aead_seal(sealer->aead, &sealer->tool->key, &packet, 1))
            return argument;
        if (n % 32 == 0)
            aead_forget(sealer->aead);
    }
    return NULL;
}

static void many_threads_seal_with_one_key(void **state) {
    (void)state;
    static struct sealer sealers[THREADS];
    uint8_t out[100];
    pthread_t threads[THREADS];
    struct tool tool;
    for
        EACH_TOOL(tool) {
            for (uint32_t t = 0; t < THREADS; t++) {
                sealers[t] = (struct sealer){.tool = &tool, .aead = only(tool.backend), .first = t};
                assert_int_equal(pthread_create(&threads[t], NULL, seal_every_fourth, &sealers[t]),
                                 0);
            }
            for (uint32_t t = 0; t < THREADS; t++) {
                void *failed;
                pthread_join(threads[t], &failed);
                assert_null(failed);
                aead_free(sealers[t].aead);
                for (uint64_t n = 0; n < PACKETS; n++) {
                    assert_true(open_one(&tool, out, sealers[t].sealed[n], t + n * THREADS, 116));
                    assert_memory_equal(out, shared_text, 100);
                }
            }
        }
}

/* ---- Choice ---- */

static void back_ends_are_found_by_name(void **state) {
    (void)state;
    assert_string_equal(aead_name(aead_find("openssl")), "openssl");
    assert_string_equal(aead_name(aead_find("libsodium")), "libsodium");
    assert_null(aead_find("rot13"));
    assert_null(aead_find(""));
    size_t count = 0;
    for (; aead_backend(count); count++)
        assert_ptr_equal(aead_find(aead_name(aead_backend(count))), aead_backend(count));
    size_t more = 0; /* what not every machine has */
    for (size_t i = 0; i < 3; i++)
        more += aead_find(((const char *[]){"ipsec-mb", "shoal-avx512", "shoal-avx2"})[i]) != NULL;
    assert_int_equal(count, 2 + more);
}

/* What this CPU can do is done; a build that leaves our own code out by mistake fails here. */
static void our_own_code_is_there_where_the_cpu_has_the_instructions(void **state) {
    (void)state;
#if defined(__x86_64__)
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512ifma");
    assert_int_equal(aead_find("shoal-avx512") != NULL, avx512);
    assert_int_equal(aead_find("shoal-avx2") != NULL, __builtin_cpu_supports("avx2") != 0);
#else
    assert_null(aead_find("shoal-avx512"));
    assert_null(aead_find("shoal-avx2"));
#endif
}

static void a_back_end_that_is_asked_for_does_all_that_it_has(void **state) {
    (void)state;
    struct aead_choice measured = aead_prefer(aead_find("openssl"), NULL);
    struct aead_choice choice = aead_prefer(aead_find("libsodium"), &measured);
    char words[80];
    aead_describe(&choice, AEAD_CHACHA20_POLY1305, words, sizeof(words));
    assert_string_equal(words, "libsodium");
    aead_describe(&choice, AEAD_AES_256_GCM, words, sizeof(words));
    assert_string_equal(words, aead_suite_here(AEAD_AES_256_GCM) ? "openssl" : "");
    choice =
        aead_prefer(aead_find("libsodium"), NULL); /* and without the other suite: no session */
    uint8_t out[32], text[16] = {0};
    struct tool tool = {.suite = AEAD_AES_256_GCM, .aead = aead_create(&choice)};
    aead_key_init(&tool.key, AEAD_AES_256_GCM, key_bytes);
    assert_false(seal_one(&tool, out, text, 1, 16));
    assert_false(open_one(&tool, out, out, 1, 32));
    tool_end(&tool);
}

static void a_choice_is_told_in_words(void **state) {
    (void)state;
    const struct aead_backend *openssl = aead_find("openssl"), *sodium = aead_find("libsodium");
    static const struct {
        bool sodium[AEAD_CLASSES]; /* which sizes it does, of many and few packets */
        bool alone;                /* it does all sizes of a single one */
        const char *words;
    } cases[] = {
        {{false, false, false}, false, "openssl"},
        {{true, false, false}, false, "libsodium up to 320 bytes, openssl above, alone openssl"},
        {{true, false, true},
         false,
         "libsodium up to 320 bytes, openssl up to 1000 bytes, libsodium above, alone openssl"},
        {{true, true, false}, true, "libsodium up to 1000 bytes, openssl above, alone libsodium"},
        {{true, true, true}, true, "libsodium"},
        {{true, true, true}, false, "libsodium, alone openssl"},
    };
    char words[100], few[12], none[12], border[sizeof("openssl, al")];
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct aead_choice choice = by_count(cases[i].alone ? sodium : openssl, openssl, openssl);
        for (int class = 0; class < AEAD_CLASSES; class ++)
            if (cases[i].sodium[class])
                choice.of[AEAD_CHACHA20_POLY1305][AEAD_MANY][class] = sodium;
        aead_describe(&choice, AEAD_CHACHA20_POLY1305, words, sizeof(words));
        assert_string_equal(words, cases[i].words);
        aead_describe(&choice, AEAD_CHACHA20_POLY1305, few, sizeof(few));
        assert_int_equal(strncmp(few, cases[i].words, 11), 0);
        assert_true(strlen(few) <= 11);
        aead_describe(&choice, AEAD_AES_256_GCM, none, sizeof(none));
        assert_string_equal(none, "");
    }
    struct aead_choice choice = by_count(sodium, sodium, openssl);
    aead_describe(&choice, AEAD_CHACHA20_POLY1305, border, sizeof(border));
    assert_string_equal(border, "openssl, al");
}

/* A clock by script: each measurement reads it before and after, the loop once a round. A round
 * measures each suite, number, size and back-end in turn. */
#define BACKENDS_MAX 5
static struct {
    uint64_t now, calls, measurements,
        steps[AEAD_SUITES * AEAD_COUNTS * AEAD_CLASSES * BACKENDS_MAX];
} script;

static uint64_t scripted_clock(void) {
    uint64_t call = script.calls++;
    if (call == 0)
        return script.now;
    uint64_t in_round = (call - 1) % (2 * script.measurements + 1);
    bool after = in_round % 2 == 1;
    return script.now += after ? script.steps[in_round / 2] : 1;
}

/* `taken[c][b]`: nanoseconds of size c with the b-th back-end, the same in both suites. A single
 * packet and few of them take the first one `alone` and `few` more. Others than the first three
 * never win. */
static struct aead_choice calibrated(const uint64_t taken[AEAD_CLASSES][3], uint64_t alone,
                                     uint64_t few) {
    const uint64_t more[AEAD_COUNTS] = {alone, few, 0};
    script.now = script.calls = script.measurements = 0;
    for (enum aead_suite suite = 0; suite < AEAD_SUITES; suite++)
        for (int count = 0; count < AEAD_COUNTS; count++)
            for (int c = 0; c < AEAD_CLASSES; c++)
                for (size_t b = 0; aead_backend(b); b++)
                    if (aead_has(aead_backend(b), suite))
                        script.steps[script.measurements++] = b == 0  ? taken[c][0] + more[count]
                                                              : b < 3 ? taken[c][b]
                                                                      : 90;
    return aead_calibrate(scripted_clock, 5000);
}

static const char *chosen(const struct aead_choice *choice, enum aead_count count,
                          enum aead_class class) {
    return aead_name(choice->of[AEAD_CHACHA20_POLY1305][count][class]);
}

static void calibration_picks_the_fastest_for_each_suite_and_size(void **state) {
    (void)state;
    const uint64_t slow = 9, fast = 3;
    struct aead_choice choice = calibrated(
        (const uint64_t[AEAD_CLASSES][3]){{slow, fast, 5}, {fast, slow, 5}, {4, 5, 6}}, 0, 0);
    for (enum aead_count count = 0; count < AEAD_COUNTS; count++) {
        assert_string_equal(chosen(&choice, count, AEAD_SMALL), "libsodium");
        assert_string_equal(chosen(&choice, count, AEAD_MEDIUM), "openssl");
        assert_string_equal(chosen(&choice, count, AEAD_LARGE), "openssl");
    }
    if (!aead_suite_here(AEAD_AES_256_GCM)) {
        assert_null(choice.of[AEAD_AES_256_GCM][AEAD_MANY][AEAD_SMALL]);
        return;
    }
    const struct aead_backend *const *gcm = choice.of[AEAD_AES_256_GCM][AEAD_MANY];
    assert_string_equal(aead_name(gcm[AEAD_SMALL]), aead_find("ipsec-mb") ? "ipsec-mb" : "openssl");
    assert_string_equal(aead_name(gcm[AEAD_LARGE]), "openssl"); /* libsodium has it not */
}

static void calibration_tells_one_packet_from_few_and_many(void **state) {
    (void)state;
    const uint64_t taken[AEAD_CLASSES][3] = {{3, 5, 9}, {3, 9, 7}, {3, 9, 9}};
    struct aead_choice choice = calibrated(taken, 5, 3);
    static const char *const expected[AEAD_COUNTS][AEAD_CLASSES] = {
        {"libsodium", "ipsec-mb", "openssl"},
        {"libsodium", "openssl", "openssl"},
        {"openssl", "openssl", "openssl"}};
    for (enum aead_count count = 0; count < AEAD_COUNTS; count++)
        for (enum aead_class class = 0; class < AEAD_CLASSES; class ++)
            if (aead_find(expected[count][class]))
                assert_string_equal(chosen(&choice, count, class), expected[count][class]);
}

static void calibration_keeps_to_its_budget(void **state) {
    (void)state;
    calibrated((const uint64_t[AEAD_CLASSES][3]){{90, 90, 90}, {90, 90, 90}, {90, 90, 90}}, 0, 0);
    /* No round is started beyond it. */
    assert_in_range(script.now, 5000, 5000 + (script.measurements + 1) * 92);
    calibrated((const uint64_t[AEAD_CLASSES][3]){{9000, 9, 9}, {9, 9, 9}, {9, 9, 9}}, 0, 0);
    assert_int_equal(script.calls, 1 + 2 * script.measurements + 1); /* one round at least */
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
        cmocka_unit_test(the_vectors_of_gcm_hold_for_each_back_end),
        cmocka_unit_test(r23_the_nonce_is_four_zeros_and_the_counter_little_endian),
        cmocka_unit_test(back_ends_agree_at_every_length_and_alignment),
        cmocka_unit_test(no_back_end_touches_a_byte_beyond_the_packet),
        cmocka_unit_test(a_changed_bit_another_counter_or_key_does_not_open),
        cmocka_unit_test(lengths_out_of_bounds_are_refused),
        cmocka_unit_test(batches_of_1_to_64_open_what_is_right_and_mark_what_is_not),
        cmocka_unit_test(trains_of_every_length_open_what_is_right_and_mark_what_is_not),
        cmocka_unit_test(a_batch_longer_than_any_burst_is_one_all_the_same),
        cmocka_unit_test(a_batch_of_mixed_sizes_goes_to_the_back_end_of_each),
        cmocka_unit_test(a_packet_goes_to_the_back_end_of_its_size_and_to_no_other),
        cmocka_unit_test(packets_go_to_the_back_end_of_their_number),
        cmocka_unit_test(only_lanes_gain_by_numbers),
        cmocka_unit_test(a_batch_of_any_number_is_sealed_and_opened_whoever_does_its_parts),
        cmocka_unit_test(packets_of_many_keys_in_any_order_are_each_sealed_with_their_own),
        cmocka_unit_test(many_threads_seal_with_one_key),
        cmocka_unit_test(back_ends_are_found_by_name),
        cmocka_unit_test(our_own_code_is_there_where_the_cpu_has_the_instructions),
        cmocka_unit_test(a_back_end_that_is_asked_for_does_all_that_it_has),
        cmocka_unit_test(a_choice_is_told_in_words),
        cmocka_unit_test(calibration_picks_the_fastest_for_each_suite_and_size),
        cmocka_unit_test(calibration_tells_one_packet_from_few_and_many),
        cmocka_unit_test(calibration_keeps_to_its_budget),
        cmocka_unit_test(xchacha_opens_what_it_sealed_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
