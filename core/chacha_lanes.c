#include "chacha_lanes.h"

#if defined(__x86_64__)

#include <string.h>

#include <immintrin.h>

/* "expand 32-byte k", RFC 8439 section 2.3. */
static const uint32_t constants[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

/* Gives the lanes from this one on to the next blocks. */
static void plan(struct chacha_lanes *lanes, uint32_t lane, uint32_t width) {
    lanes->runs_count = 0;
    while (lane < width && lanes->text < lanes->count) {
        uint32_t length = lanes->texts[lanes->text].length;
        uint32_t blocks = (length + CHACHA_BLOCK - 1) / CHACHA_BLOCK;
        uint32_t left = blocks > lanes->block ? blocks - lanes->block : 0;
        uint32_t count = left < width - lane ? left : width - lane;
        if (count)
            lanes->runs[lanes->runs_count++] =
                (struct chacha_run){lanes->text, lanes->block, lane, count};
        lane += count;
        lanes->block += count;
        if (count == left) {
            lanes->text++;
            lanes->block = 0;
        }
    }
}

/* The words of four quarter rounds (RFC 8439 section 2.1), which go side by side, or some of them:
 * down the columns of the state v where b, c, d are 0, 0, 0, down its diagonals where they are 1,
 * 2, 3. */
#define EACH_QUARTER(from, to) _Pragma("GCC unroll 4") for (int k = (from); k < (to); k++)
#define A v[k]
#define B v[4 + ((k + b) & 3)]
#define C v[8 + ((k + c) & 3)]
#define D v[12 + ((k + d) & 3)]

/* ---- AVX-512: 16 lanes ---- */

#define WIDE __attribute__((target("avx512f,avx512bw")))
#define WIDE_INLINE WIDE static inline __attribute__((always_inline))

WIDE_INLINE void quarters_512(__m512i v[16], int b, int c, int d) {
    EACH_QUARTER(0, 4) A = _mm512_add_epi32(A, B);
    EACH_QUARTER(0, 4) D = _mm512_rol_epi32(_mm512_xor_si512(D, A), 16);
    EACH_QUARTER(0, 4) C = _mm512_add_epi32(C, D);
    EACH_QUARTER(0, 4) B = _mm512_rol_epi32(_mm512_xor_si512(B, C), 12);
    EACH_QUARTER(0, 4) A = _mm512_add_epi32(A, B);
    EACH_QUARTER(0, 4) D = _mm512_rol_epi32(_mm512_xor_si512(D, A), 8);
    EACH_QUARTER(0, 4) C = _mm512_add_epi32(C, D);
    EACH_QUARTER(0, 4) B = _mm512_rol_epi32(_mm512_xor_si512(B, C), 7);
}

/* Block numbers and nonces of all lanes: words 12 to 15 of the state. */
WIDE_INLINE void inputs_512(const struct chacha_lanes *lanes, bool first, __m512i words[4]) {
    const __m512i number = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    words[0] = _mm512_setzero_si512();
    for (int w = 0; w < 3; w++)
        words[1 + w] = first ? _mm512_castsi256_si512(_mm256_load_si256(
                                   (const __m256i *)(const void *)lanes->nonces[w]))
                             : _mm512_setzero_si512();
    for (uint32_t i = 0; i < lanes->runs_count; i++) {
        const struct chacha_run *run = &lanes->runs[i];
        __mmask16 mask = (__mmask16)(((1u << run->count) - 1) << run->lane);
        __m512i start = _mm512_set1_epi32((int)(1 + run->block - run->lane));
        words[0] = _mm512_mask_add_epi32(words[0], mask, number, start);
        for (int w = 0; w < 3; w++)
            words[1 + w] =
                _mm512_mask_set1_epi32(words[1 + w], mask, (int)lanes->nonces[w][run->text]);
    }
}

/* Words 0 to 7 of the first eight lanes: the one-time keys, one half in each row. */
WIDE_INLINE void keep_keys_512(struct chacha_lanes *lanes, const __m512i v[16]) {
    for (int i = 0; i < 4; i++) {
        __m512i low = _mm512_cvtepu32_epi64(_mm512_castsi512_si256(v[2 * i]));
        __m512i high = _mm512_cvtepu32_epi64(_mm512_castsi512_si256(v[2 * i + 1]));
        _mm512_store_si512(lanes->one_time[i], _mm512_or_si512(low, _mm512_slli_epi64(high, 32)));
    }
}

/* v[i]: word i of all lanes. Stored: all words of each lane. */
WIDE_INLINE void transpose_512(const __m512i v[16], uint8_t *stream) {
    __m512i t[16]; /* the j-th of four: in its quarter q, words i to i + 3 of lane 4 q + j */
    for (int i = 0; i < 16; i += 4) {
        __m512i a = _mm512_unpacklo_epi32(v[i], v[i + 1]);
        __m512i b = _mm512_unpackhi_epi32(v[i], v[i + 1]);
        __m512i c = _mm512_unpacklo_epi32(v[i + 2], v[i + 3]);
        __m512i d = _mm512_unpackhi_epi32(v[i + 2], v[i + 3]);
        t[i] = _mm512_unpacklo_epi64(a, c);
        t[i + 1] = _mm512_unpackhi_epi64(a, c);
        t[i + 2] = _mm512_unpacklo_epi64(b, d);
        t[i + 3] = _mm512_unpackhi_epi64(b, d);
    }
    for (int j = 0; j < 4; j++) {
        uint8_t *lane = stream + CHACHA_BLOCK * (uint32_t)j;
        __m512i a = _mm512_shuffle_i32x4(t[j], t[4 + j], 0x44);
        __m512i b = _mm512_shuffle_i32x4(t[j], t[4 + j], 0xee);
        __m512i c = _mm512_shuffle_i32x4(t[8 + j], t[12 + j], 0x44);
        __m512i d = _mm512_shuffle_i32x4(t[8 + j], t[12 + j], 0xee);
        _mm512_store_si512(lane, _mm512_shuffle_i32x4(a, c, 0x88));
        _mm512_store_si512(lane + 4 * CHACHA_BLOCK, _mm512_shuffle_i32x4(a, c, 0xdd));
        _mm512_store_si512(lane + 8 * CHACHA_BLOCK, _mm512_shuffle_i32x4(b, d, 0x88));
        _mm512_store_si512(lane + 12 * CHACHA_BLOCK, _mm512_shuffle_i32x4(b, d, 0xdd));
    }
}

/* Unrolled, since gcc copies all words once in each round of a loop. */
WIDE void chacha_lanes_pass_512(struct chacha_lanes *lanes, bool first) {
    __m512i v[16], words[4];
    plan(lanes, first ? 8 : 0, 16);
    inputs_512(lanes, first, words);
    for (int i = 0; i < 4; i++) {
        v[i] = _mm512_set1_epi32((int)constants[i]);
        v[4 + i] = _mm512_set1_epi32((int)lanes->key[i]);
        v[8 + i] = _mm512_set1_epi32((int)lanes->key[4 + i]);
        v[12 + i] = words[i];
    }
    _Pragma("GCC unroll 5") for (int i = 0; i < 10; i++) {
        quarters_512(v, 0, 0, 0);
        quarters_512(v, 1, 2, 3);
    }
    for (int i = 0; i < 4; i++) {
        v[i] = _mm512_add_epi32(v[i], _mm512_set1_epi32((int)constants[i]));
        v[4 + i] = _mm512_add_epi32(v[4 + i], _mm512_set1_epi32((int)lanes->key[i]));
        v[8 + i] = _mm512_add_epi32(v[8 + i], _mm512_set1_epi32((int)lanes->key[4 + i]));
        v[12 + i] = _mm512_add_epi32(v[12 + i], words[i]);
    }
    if (first)
        keep_keys_512(lanes, v);
    transpose_512(v, lanes->stream);
}

WIDE void chacha_lanes_xor_512(const struct chacha_lanes *lanes) {
    for (uint32_t i = 0; i < lanes->runs_count; i++) {
        const struct chacha_run *run = &lanes->runs[i];
        const struct chacha_text *text = &lanes->texts[run->text];
        uint32_t at = CHACHA_BLOCK * run->block, end = at + CHACHA_BLOCK * run->count;
        const uint8_t *stream = lanes->stream + CHACHA_BLOCK * run->lane;
        end = end < text->length ? end : text->length;
        for (; at + CHACHA_BLOCK <= end; at += CHACHA_BLOCK, stream += CHACHA_BLOCK) {
            __m512i block = _mm512_loadu_si512(text->in + at);
            _mm512_storeu_si512(text->out + at, _mm512_xor_si512(block, _mm512_load_si512(stream)));
        }
        if (at >= end)
            continue;
        __mmask64 mask = ~0ull >> (CHACHA_BLOCK - (end - at)); /* nothing beyond is touched */
        __m512i block = _mm512_maskz_loadu_epi8(mask, text->in + at);
        _mm512_mask_storeu_epi8(text->out + at, mask,
                                _mm512_xor_si512(block, _mm512_load_si512(stream)));
    }
}

/* ---- AVX2: 8 lanes ---- */

#define NARROW __attribute__((target("avx2")))
#define NARROW_INLINE NARROW static inline __attribute__((always_inline))

/* Rotates each word to the left: whole bytes by a shuffle. */
NARROW_INLINE __m256i rotate_256(__m256i x, int bits) {
    const __m256i by16 = _mm256_setr_epi8(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13, 2,
                                          3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    const __m256i by8 = _mm256_setr_epi8(3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14, 3, 0,
                                         1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14);
    if (bits == 16)
        return _mm256_shuffle_epi8(x, by16);
    if (bits == 8)
        return _mm256_shuffle_epi8(x, by8);
    return _mm256_or_si256(_mm256_slli_epi32(x, bits), _mm256_srli_epi32(x, 32 - bits));
}

/* Two of them, since there are 16 registers, and all hold the state. */
NARROW_INLINE void pair_256(__m256i v[16], int pair, int b, int c, int d) {
    EACH_QUARTER(pair, pair + 2) A = _mm256_add_epi32(A, B);
    EACH_QUARTER(pair, pair + 2) D = rotate_256(_mm256_xor_si256(D, A), 16);
    EACH_QUARTER(pair, pair + 2) C = _mm256_add_epi32(C, D);
    EACH_QUARTER(pair, pair + 2) B = rotate_256(_mm256_xor_si256(B, C), 12);
    EACH_QUARTER(pair, pair + 2) A = _mm256_add_epi32(A, B);
    EACH_QUARTER(pair, pair + 2) D = rotate_256(_mm256_xor_si256(D, A), 8);
    EACH_QUARTER(pair, pair + 2) C = _mm256_add_epi32(C, D);
    EACH_QUARTER(pair, pair + 2) B = rotate_256(_mm256_xor_si256(B, C), 7);
}

NARROW_INLINE void quarters_256(__m256i v[16], int b, int c, int d) {
    pair_256(v, 0, b, c, d);
    pair_256(v, 2, b, c, d);
}

NARROW_INLINE void inputs_256(const struct chacha_lanes *lanes, bool first, __m256i words[4]) {
    const __m256i number = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    words[0] = _mm256_setzero_si256();
    for (int w = 0; w < 3; w++)
        words[1 + w] = first ? _mm256_castsi128_si256(
                                   _mm_load_si128((const __m128i *)(const void *)lanes->nonces[w]))
                             : _mm256_setzero_si256();
    for (uint32_t i = 0; i < lanes->runs_count; i++) {
        const struct chacha_run *run = &lanes->runs[i];
        int begin = (int)run->lane, end = begin + (int)run->count;
        __m256i mask = _mm256_and_si256(_mm256_cmpgt_epi32(number, _mm256_set1_epi32(begin - 1)),
                                        _mm256_cmpgt_epi32(_mm256_set1_epi32(end), number));
        __m256i start = _mm256_set1_epi32((int)(1 + run->block - run->lane));
        words[0] = _mm256_blendv_epi8(words[0], _mm256_add_epi32(number, start), mask);
        for (int w = 0; w < 3; w++)
            words[1 + w] = _mm256_blendv_epi8(
                words[1 + w], _mm256_set1_epi32((int)lanes->nonces[w][run->text]), mask);
    }
}

/* Words 0 to 7 of the first four lanes. */
NARROW_INLINE void keep_keys_256(struct chacha_lanes *lanes, const __m256i v[16]) {
    for (int i = 0; i < 4; i++) {
        __m256i low = _mm256_cvtepu32_epi64(_mm256_castsi256_si128(v[2 * i]));
        __m256i high = _mm256_cvtepu32_epi64(_mm256_castsi256_si128(v[2 * i + 1]));
        _mm256_store_si256((__m256i *)(void *)lanes->one_time[i],
                           _mm256_or_si256(low, _mm256_slli_epi64(high, 32)));
    }
}

NARROW_INLINE void store_256(uint8_t *at, __m256i value) {
    _mm256_storeu_si256((__m256i *)(void *)at, value);
}

NARROW_INLINE __m256i load_256(const uint8_t *at) {
    return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

NARROW_INLINE void transpose_256(const __m256i v[16], uint8_t *stream) {
    for (int half = 0; half < 2; half++) { /* of each lane: words 0 to 7, words 8 to 15 */
        __m256i t[8]; /* the j-th of four: in its half h, words i to i + 3 of lane 4 h + j */
        for (int i = 0; i < 8; i += 4) {
            const __m256i *word = v + 8 * half + i;
            __m256i a = _mm256_unpacklo_epi32(word[0], word[1]);
            __m256i b = _mm256_unpackhi_epi32(word[0], word[1]);
            __m256i c = _mm256_unpacklo_epi32(word[2], word[3]);
            __m256i d = _mm256_unpackhi_epi32(word[2], word[3]);
            t[i] = _mm256_unpacklo_epi64(a, c);
            t[i + 1] = _mm256_unpackhi_epi64(a, c);
            t[i + 2] = _mm256_unpacklo_epi64(b, d);
            t[i + 3] = _mm256_unpackhi_epi64(b, d);
        }
        for (int j = 0; j < 4; j++) {
            uint8_t *lane = stream + CHACHA_BLOCK * (uint32_t)j + 32 * half;
            store_256(lane, _mm256_permute2x128_si256(t[j], t[4 + j], 0x20));
            store_256(lane + 4 * CHACHA_BLOCK, _mm256_permute2x128_si256(t[j], t[4 + j], 0x31));
        }
    }
}

NARROW void chacha_lanes_pass_256(struct chacha_lanes *lanes, bool first) {
    __m256i v[16], words[4];
    plan(lanes, first ? 4 : 0, 8);
    inputs_256(lanes, first, words);
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_set1_epi32((int)constants[i]);
        v[4 + i] = _mm256_set1_epi32((int)lanes->key[i]);
        v[8 + i] = _mm256_set1_epi32((int)lanes->key[4 + i]);
        v[12 + i] = words[i];
    }
    for (int i = 0; i < 10; i++) {
        quarters_256(v, 0, 0, 0);
        quarters_256(v, 1, 2, 3);
    }
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_add_epi32(v[i], _mm256_set1_epi32((int)constants[i]));
        v[4 + i] = _mm256_add_epi32(v[4 + i], _mm256_set1_epi32((int)lanes->key[i]));
        v[8 + i] = _mm256_add_epi32(v[8 + i], _mm256_set1_epi32((int)lanes->key[4 + i]));
        v[12 + i] = _mm256_add_epi32(v[12 + i], words[i]);
    }
    if (first)
        keep_keys_256(lanes, v);
    transpose_256(v, lanes->stream);
}

NARROW void chacha_lanes_xor_256(const struct chacha_lanes *lanes) {
    for (uint32_t i = 0; i < lanes->runs_count; i++) {
        const struct chacha_run *run = &lanes->runs[i];
        const struct chacha_text *text = &lanes->texts[run->text];
        uint32_t at = CHACHA_BLOCK * run->block, end = at + CHACHA_BLOCK * run->count;
        const uint8_t *stream = lanes->stream + CHACHA_BLOCK * run->lane;
        end = end < text->length ? end : text->length;
        for (; at + 32 <= end; at += 32, stream += 32)
            store_256(text->out + at, _mm256_xor_si256(load_256(text->in + at), load_256(stream)));
        for (uint64_t a, b; at + 8 <= end; at += 8, stream += 8) {
            memcpy(&a, text->in + at, 8);
            memcpy(&b, stream, 8);
            a ^= b;
            memcpy(text->out + at, &a, 8);
        }
        for (; at < end; at++, stream++)
            text->out[at] = text->in[at] ^ *stream;
    }
}

#endif
