/*
 * ChaCha20-Poly1305 (RFC 8439) of our own, for batches: the lanes of vector registers work on
 * several packets at once (chacha_lanes.h, poly_lanes.h), in groups of 8 with AVX-512, of 4 with
 * AVX2. A full group costs a third (64 bytes) to four fifths (1,424 bytes) of what intel-ipsec-mb
 * takes, which works on one packet after the other; a group of one packet costs more than there.
 *
 * A key stream, a one-time key: all that is secret stands in the ciphers and is cleared with them,
 * but for registers and what compilers spill of them (wipe.h).
 *
 * Opening, the tags come first: a packet whose tag is wrong is not decrypted at all.
 */
#include "aead_answers.h"
#include "aead_backend.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "chacha_lanes.h"
#include "poly_lanes.h"

#if defined(__x86_64__)

/* What a kind of registers has. */
struct width {
    uint32_t group; /* packets */
    void (*pass)(struct chacha_lanes *lanes, bool first);
    void (*apply)(const struct chacha_lanes *lanes);
    void (*tags)(const uint64_t one_time[4][POLY_LANES_MAX], const struct poly_text *texts,
                 uint32_t count, uint64_t tags[POLY_LANES_MAX][2]);
};

struct lanes {
    struct chacha_lanes chacha;
    uint64_t tags[POLY_LANES_MAX][2];
    bool used; /* something secret is in it */
};

static void *lanes_create(void) {
    struct lanes *lanes = aligned_alloc(_Alignof(struct lanes), sizeof(*lanes));
    if (lanes)
        memset(lanes, 0, sizeof(*lanes));
    return lanes;
}

static void lanes_forget(void *ciphers) {
    struct lanes *lanes = ciphers;
    if (lanes->used)
        explicit_bzero(lanes, sizeof(*lanes));
}

static void lanes_free(void *ciphers) {
    lanes_forget(ciphers);
    free(ciphers);
}

/* ---- A group of packets ---- */

/* @param overhead  what `length` of a packet counts beside the text: none, or the tag. */
static void begin(struct lanes *lanes, const struct aead_key *key,
                  const struct aead_packet *packets, uint32_t count, uint32_t overhead,
                  const struct aead_extra *extra) {
    struct chacha_lanes *chacha = &lanes->chacha;
    uint8_t nonce[AEAD_NONCE_SIZE];
    lanes->used = true;
    memcpy(chacha->key, key->bytes, AEAD_KEY_SIZE);
    chacha->count = count;
    chacha->text = chacha->block = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct aead_packet *packet = &packets[i];
        aead_nonce(nonce, packet->counter, extra);
        for (int w = 0; w < 3; w++)
            memcpy(&chacha->nonces[w][i], nonce + 4 * w, 4);
        chacha->texts[i] = (struct chacha_text){packet->in, packet->out, packet->length - overhead};
    }
}

static void apply_all(struct chacha_lanes *chacha, const struct width *width) {
    width->apply(chacha);
    while (chacha->text < chacha->count) {
        width->pass(chacha, false);
        width->apply(chacha);
    }
}

/* Additional data, which only public vectors have, is copied before the text of the one packet. */
static bool tag_with(struct lanes *lanes, const struct width *width, const uint8_t *bytes,
                     uint32_t length, const struct aead_extra *extra) {
    size_t padded = (extra->ad_length + 15) / 16 * 16, size = padded + length;
    if (size > UINT32_MAX)
        return false;
    uint8_t *copy = calloc(1, size + 1);
    if (!copy)
        return false;
    if (extra->ad_length)
        memcpy(copy, extra->ad, extra->ad_length);
    if (length)
        memcpy(copy + padded, bytes, length);
    struct poly_text text = {copy, (uint32_t)size, {extra->ad_length, length}};
    width->tags(lanes->chacha.one_time, &text, 1, lanes->tags);
    free(copy);
    return true;
}

/* Tags of what is sealed: in `out` of the texts, or, before opening, in `in`. */
static bool tag_all(struct lanes *lanes, const struct width *width, bool sealed,
                    const struct aead_extra *extra) {
    const struct chacha_lanes *chacha = &lanes->chacha;
    struct poly_text texts[POLY_LANES_MAX] = {{0}};
    for (uint32_t i = 0; i < chacha->count; i++) {
        const struct chacha_text *text = &chacha->texts[i];
        texts[i] =
            (struct poly_text){sealed ? text->out : text->in, text->length, {0, text->length}};
    }
    if (extra && extra->ad_length)
        return tag_with(lanes, width, texts[0].bytes, texts[0].length, extra);
    width->tags(chacha->one_time, texts, chacha->count, lanes->tags);
    return true;
}

static uint32_t group_of(const struct width *width, size_t left) {
    return left < width->group ? (uint32_t)left : width->group;
}

static bool lanes_seal(struct lanes *lanes, const struct width *width, const struct aead_key *key,
                       struct aead_packet *packets, size_t n, const struct aead_extra *extra) {
    uint32_t count;
    for (; n > 0; packets += count, n -= count) {
        count = group_of(width, n);
        begin(lanes, key, packets, count, 0, extra);
        width->pass(&lanes->chacha, true);
        apply_all(&lanes->chacha, width);
        if (!tag_all(lanes, width, true, extra))
            return false;
        for (uint32_t i = 0; i < count; i++)
            memcpy(packets[i].out + packets[i].length, lanes->tags[i], AEAD_TAG_SIZE);
    }
    return true;
}

static void lanes_open(struct lanes *lanes, const struct width *width, const struct aead_key *key,
                       struct aead_packet *packets, size_t n, const struct aead_extra *extra) {
    uint32_t count;
    for (; n > 0; packets += count, n -= count) {
        count = group_of(width, n);
        begin(lanes, key, packets, count, AEAD_TAG_SIZE, extra);
        width->pass(&lanes->chacha, true);
        bool tagged = tag_all(lanes, width, false, extra);
        for (uint32_t i = 0; i < count; i++) {
            struct chacha_text *text = &lanes->chacha.texts[i];
            packets[i].ok = tagged && aead_tags_equal(lanes->tags[i], text->in + text->length);
            if (!packets[i].ok)
                text->length = 0;
        }
        apply_all(&lanes->chacha, width);
    }
}

/* ---- Of both widths ---- */

/* Its answers are looked at as those of a library are: it was compiled, by whatever compiler. */
#define LANES(bits, group_, supported, name_)                                                      \
    static const struct width width_##bits = {group_, chacha_lanes_pass_##bits,                    \
                                              chacha_lanes_xor_##bits, poly_lanes_##bits};         \
    static bool seal_##bits(void *ciphers, const struct aead_key *key,                             \
                            struct aead_packet *packets, size_t n,                                 \
                            const struct aead_extra *extra) {                                      \
        return lanes_seal(ciphers, &width_##bits, key, packets, n, extra);                         \
    }                                                                                              \
    static void open_##bits(void *ciphers, const struct aead_key *key,                             \
                            struct aead_packet *packets, size_t n,                                 \
                            const struct aead_extra *extra) {                                      \
        lanes_open(ciphers, &width_##bits, key, packets, n, extra);                                \
    }                                                                                              \
    static bool right_##bits;                                                                      \
    static void try_##bits(void) {                                                                 \
        right_##bits =                                                                             \
            (supported) && aead_backend_right(&aead_lanes_##bits, AEAD_CHACHA20_POLY1305);         \
    }                                                                                              \
    static bool has_##bits(enum aead_suite suite) {                                                \
        static pthread_once_t once = PTHREAD_ONCE_INIT;                                            \
        pthread_once(&once, try_##bits);                                                           \
        return suite == AEAD_CHACHA20_POLY1305 && right_##bits;                                    \
    }                                                                                              \
    const struct aead_backend aead_lanes_##bits = {                                                \
        .name = name_,                                                                             \
        .gains_by_numbers = true,                                                                  \
        .has = has_##bits,                                                                         \
        .create = lanes_create,                                                                    \
        .free = lanes_free,                                                                        \
        .forget = lanes_forget,                                                                    \
        .seal = seal_##bits,                                                                       \
        .open = open_##bits,                                                                       \
    }

LANES(512, 8,
      __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
          __builtin_cpu_supports("avx512ifma"),
      "shoal-avx512");
LANES(256, 4, __builtin_cpu_supports("avx2"), "shoal-avx2");

#else

static bool never(enum aead_suite suite) {
    (void)suite;
    return false;
}

const struct aead_backend aead_lanes_512 = {.name = "shoal-avx512", .has = never};
const struct aead_backend aead_lanes_256 = {.name = "shoal-avx2", .has = never};

#endif
