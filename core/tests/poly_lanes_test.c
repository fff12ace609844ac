/* Poly1305 in lanes: the edge cases of RFC 8439, which an AEAD's own vectors hardly reach (sums
 * about 2^130 - 5), and numbers of ones and zeros against libsodium, in every lane. */
#include "poly_lanes.h"

#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "random.h"
#include "unit.h"

#define LONGEST 400u

#if defined(__x86_64__)

typedef void tags_of(const uint64_t one_time[4][POLY_LANES_MAX], const struct poly_text *texts,
                     uint32_t count, uint64_t tags[POLY_LANES_MAX][2]);

static const struct {
    tags_of *tags;
    uint32_t lanes;
} widths[] = {{poly_lanes_256, 4}, {poly_lanes_512, 8}};

static bool cpu_has(size_t width) {
    return width == 0 ? __builtin_cpu_supports("avx2") != 0
                      : __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                            __builtin_cpu_supports("avx512ifma");
}

/* A message of whole blocks, the last of which stands for the lengths. */
struct message {
    uint8_t key[32], bytes[LONGEST + 16], tag[16];
    uint32_t length; /* of all of it */
};

/* Messages in neighbouring lanes, the first one in lane 0. */
static void expect_tags(size_t width, const struct message *messages, uint32_t count) {
    _Alignas(64) uint64_t one_time[4][POLY_LANES_MAX] = {{0}};
    uint64_t tags[POLY_LANES_MAX][2];
    struct poly_text texts[POLY_LANES_MAX] = {{0}};
    for (uint32_t i = 0; i < count; i++) {
        uint32_t text = messages[i].length - 16;
        for (int w = 0; w < 4; w++)
            memcpy(&one_time[w][i], messages[i].key + 8 * w, 8);
        texts[i] = (struct poly_text){.bytes = messages[i].bytes, .length = text};
        memcpy(texts[i].lengths, messages[i].bytes + text, 16);
    }
    widths[width].tags(one_time, texts, count, tags);
    for (uint32_t i = 0; i < count; i++)
        assert_memory_equal(tags[i], messages[i].tag, 16);
}

static uint32_t from_hex(uint8_t *bytes, const char *hex) {
    uint32_t n = 0;
    for (unsigned byte; sscanf(hex + 2 * n, "%2x", &byte) == 1; n++)
        bytes[n] = (uint8_t)byte;
    return n;
}

#define ZERO16 "00000000000000000000000000000000"
#define ONES16 "ffffffffffffffffffffffffffffffff"

static void rfc_8439_appendix_a_3_holds_in_every_lane(void **state) {
    (void)state;
    static const char *const vectors[][4] = {
        /* r, s, text, tag: test vectors 1 and 7 to 13 */
        {ZERO16, ZERO16, ZERO16 ZERO16 ZERO16 ZERO16, ZERO16},
        {"02000000000000000000000000000000", ZERO16, ONES16, "03000000000000000000000000000000"},
        {"02000000000000000000000000000000", ONES16, "02000000000000000000000000000000",
         "03000000000000000000000000000000"},
        {"01000000000000000000000000000000", ZERO16,
         ONES16 "f0ffffffffffffffffffffffffffffff"
                "11000000000000000000000000000000",
         "05000000000000000000000000000000"},
        {"01000000000000000000000000000000", ZERO16,
         ONES16 "fbfefefefefefefefefefefefefefefe"
                "01010101010101010101010101010101",
         ZERO16},
        {"02000000000000000000000000000000", ZERO16, "fdffffffffffffffffffffffffffffff",
         "faffffffffffffffffffffffffffffff"},
        {"01000000000000000400000000000000", ZERO16,
         "e33594d7505e43b900000000000000003394d7505e4379cd0100000000000000"
         "0000000000000000000000000000000001000000000000000000000000000000",
         "14000000000000005500000000000000"},
        {"01000000000000000400000000000000", ZERO16,
         "e33594d7505e43b900000000000000003394d7505e4379cd0100000000000000" ZERO16,
         "13000000000000000000000000000000"},
    };
    struct message messages[16];
    for (size_t i = 0; i < 16; i++) {
        const char *const *vector = vectors[i % 8];
        assert_int_equal(from_hex(messages[i].key, vector[0]), 16);
        assert_int_equal(from_hex(messages[i].key + 16, vector[1]), 16);
        messages[i].length = from_hex(messages[i].bytes, vector[2]);
        assert_int_equal(from_hex(messages[i].tag, vector[3]), 16);
    }
    for (size_t width = 0; width < 2; width++)
        for (uint32_t from = 0; from < 8 && cpu_has(width); from++)
            for (uint32_t count = 1; count <= widths[width].lanes; count++)
                expect_tags(width, messages + from, count);
}

/* Bytes of ones and zeros in long rows: limbs that are full, and carries through all of them. */
static void fill_extremes(struct random *random, uint8_t *bytes, uint32_t length) {
    for (uint32_t at = 0; at < length;) {
        uint32_t row = 1 + random_below(random, 40), kind = random_below(random, 4);
        for (; row-- && at < length; at++)
            bytes[at] = kind == 0 ? 0 : kind == 3 ? (uint8_t)random_next(random) : 0xff;
    }
}

static void lanes_of_any_length_say_what_libsodium_says_of_extreme_numbers(void **state) {
    (void)state;
    struct random random = {21};
    static struct message messages[POLY_LANES_MAX];
    for (uint32_t round = 0; round < ROUNDS(40000, 1000); round++) {
        size_t width = round % 2;
        uint32_t count = 1 + random_below(&random, widths[width].lanes);
        uint32_t blocks = 1 + random_below(&random, LONGEST / 16);
        for (uint32_t i = 0; i < count; i++) {
            struct message *message = &messages[i];
            message->length =
                16 + 16 * (random_below(&random, 3) ? blocks : random_below(&random, blocks));
            fill_extremes(&random, message->key, 32);
            fill_extremes(&random, message->bytes, message->length);
            crypto_onetimeauth(message->tag, message->bytes, message->length, message->key);
        }
        if (cpu_has(width))
            expect_tags(width, messages, count);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc_8439_appendix_a_3_holds_in_every_lane),
        cmocka_unit_test(lanes_of_any_length_say_what_libsodium_says_of_extreme_numbers),
    };
    if (!cpu_has(0)) {
        printf("this CPU has no AVX2\n");
        return 77;
    }
    return cmocka_run_group_tests_name("poly_lanes", tests, NULL, NULL);
}

#else

int main(void) {
    printf("lanes are for x86-64 only\n");
    return 77;
}

#endif
