#include "poly_lanes.h"

#if defined(__x86_64__)

#include <stdbool.h>
#include <string.h>

#include <immintrin.h>

#define BLOCK 16

/* Where r has zeros (RFC 8439 section 2.5). */
#define CLAMP_LOW 0x0ffffffc0fffffffll
#define CLAMP_HIGH 0x0ffffffc0ffffffcll

/* ---- What lies where ---- */

/* A step takes the same number of blocks of every lane. */
struct plan {
    _Alignas(64) int64_t pad[POLY_LANES_MAX]; /* blocks of zeros before each text */
    int64_t steps;                            /* the lengths are the last block of the last one */
    int64_t whole; /* from this step on, but the last, all lanes have whole blocks of text */
};

static void plan(struct plan *plan, const struct poly_text *texts, uint32_t count, uint32_t lanes,
                 int64_t step) {
    int64_t most = 0;
    plan->whole = 0;
    for (uint32_t i = 0; i < count; i++) {
        plan->pad[i] = ((int64_t)texts[i].length + BLOCK - 1) / BLOCK + 1;
        most = plan->pad[i] > most ? plan->pad[i] : most;
    }
    plan->steps = (most + step - 1) / step;
    for (uint32_t i = 0; i < lanes; i++) {
        plan->pad[i] = step * plan->steps - (i < count ? plan->pad[i] : 0);
        int64_t whole = (plan->pad[i] + step - 1) / step;
        plan->whole = whole > plan->whole ? whole : plan->whole;
    }
}

/* ---- AVX-512: 8 lanes, numbers of three limbs of 44, 44 and 42 bits ---- */

#define WIDE __attribute__((target("avx512f,avx512bw,avx512ifma")))
#define WIDE_INLINE WIDE static inline __attribute__((always_inline))
#define STEP_512 4
#define M44 _mm512_set1_epi64((1ll << 44) - 1)
#define M42 _mm512_set1_epi64((1ll << 42) - 1)

struct number_512 {
    __m512i limb[3];
};

/* A number to multiply with: what leaves at the top of a product, above 2^132, comes back at the
 * bottom as 20 times as much, since 2^130 is 5. */
struct factor_512 {
    __m512i limb[3], again1, again2;
};

/* Products that are not carried yet: each limb's low 52 bits and what is above, added up. */
struct sum_512 {
    __m512i low[3], high[3];
};

WIDE_INLINE __m512i plus(__m512i a, __m512i b) { return _mm512_add_epi64(a, b); }

WIDE_INLINE struct number_512 number_512(__m512i low, __m512i high, __m512i above) {
    __m512i middle = _mm512_or_si512(_mm512_srli_epi64(low, 44), _mm512_slli_epi64(high, 20));
    return (struct number_512){{_mm512_and_si512(low, M44), _mm512_and_si512(middle, M44),
                                _mm512_or_si512(_mm512_srli_epi64(high, 24), above)}};
}

WIDE_INLINE struct factor_512 factor_512(struct number_512 n) {
    struct factor_512 factor = {{n.limb[0], n.limb[1], n.limb[2]}, n.limb[1], n.limb[2]};
    factor.again1 = plus(n.limb[1], _mm512_slli_epi64(n.limb[1], 2));
    factor.again2 = plus(n.limb[2], _mm512_slli_epi64(n.limb[2], 2));
    factor.again1 = _mm512_slli_epi64(factor.again1, 2);
    factor.again2 = _mm512_slli_epi64(factor.again2, 2);
    return factor;
}

WIDE_INLINE void multiply_add(struct sum_512 *sum, int limb, __m512i a, __m512i b) {
    sum->low[limb] = _mm512_madd52lo_epu64(sum->low[limb], a, b);
    sum->high[limb] = _mm512_madd52hi_epu64(sum->high[limb], a, b);
}

WIDE_INLINE void add_product_512(struct sum_512 *sum, const struct number_512 *a,
                                 const struct factor_512 *b) {
    multiply_add(sum, 0, a->limb[0], b->limb[0]);
    multiply_add(sum, 1, a->limb[0], b->limb[1]);
    multiply_add(sum, 2, a->limb[0], b->limb[2]);
    multiply_add(sum, 0, a->limb[1], b->again2);
    multiply_add(sum, 1, a->limb[1], b->limb[0]);
    multiply_add(sum, 2, a->limb[1], b->limb[1]);
    multiply_add(sum, 0, a->limb[2], b->again1);
    multiply_add(sum, 1, a->limb[2], b->again2);
    multiply_add(sum, 2, a->limb[2], b->limb[0]);
}

/* The limbs get their bits again, the second one up to 2^15 more. Above, there is room for the
 * products of a step: 12 of at most 2^46 times 2^49 add up to 2^99 in two words of 52 bits. */
WIDE_INLINE struct number_512 carry_512(const struct sum_512 *sum) {
    struct number_512 n;
    __m512i up = plus(_mm512_srli_epi64(sum->low[0], 44), _mm512_slli_epi64(sum->high[0], 8));
    __m512i limb = plus(sum->low[1], up);
    n.limb[1] = _mm512_and_si512(limb, M44);
    up = plus(_mm512_srli_epi64(limb, 44), _mm512_slli_epi64(sum->high[1], 8));
    limb = plus(sum->low[2], up);
    n.limb[2] = _mm512_and_si512(limb, M42);
    up = plus(_mm512_srli_epi64(limb, 42), _mm512_slli_epi64(sum->high[2], 10));
    up = plus(up, _mm512_slli_epi64(up, 2));
    limb = plus(_mm512_and_si512(sum->low[0], M44), up);
    n.limb[0] = _mm512_and_si512(limb, M44);
    n.limb[1] = plus(n.limb[1], _mm512_srli_epi64(limb, 44));
    return n;
}

WIDE_INLINE struct number_512 times_512(const struct number_512 *a, const struct factor_512 *b) {
    const __m512i zero = _mm512_setzero_si512();
    struct sum_512 sum = {{zero, zero, zero}, {zero, zero, zero}};
    add_product_512(&sum, a, b);
    return carry_512(&sum);
}

/* x[i]: four blocks of lane i. Afterwards: the halves of the first block of all lanes, of the
 * second one, and so on. */
WIDE_INLINE void transpose_512(__m512i x[8]) {
    __m512i t[8], u[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm512_unpacklo_epi64(x[i], x[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi64(x[i], x[i + 1]);
    }
    for (int k = 0; k < 2; k++) {
        u[k] = _mm512_shuffle_i64x2(t[k], t[2 + k], 0x44);
        u[2 + k] = _mm512_shuffle_i64x2(t[k], t[2 + k], 0xee);
        u[4 + k] = _mm512_shuffle_i64x2(t[4 + k], t[6 + k], 0x44);
        u[6 + k] = _mm512_shuffle_i64x2(t[4 + k], t[6 + k], 0xee);
    }
    for (int k = 0; k < 2; k++) {
        x[k] = _mm512_shuffle_i64x2(u[k], u[4 + k], 0x88);
        x[2 + k] = _mm512_shuffle_i64x2(u[k], u[4 + k], 0xdd);
        x[4 + k] = _mm512_shuffle_i64x2(u[2 + k], u[6 + k], 0x88);
        x[6 + k] = _mm512_shuffle_i64x2(u[2 + k], u[6 + k], 0xdd);
    }
}

/* Four blocks of each lane, with one carry: (h + m0) r^4 + m1 r^3 + m2 r^2 + m3 r. The product that
 * waits for h comes last.
 * @param above  of each block: 2^128 in the third limb, or 0 before a text begins. */
WIDE_INLINE void absorb_512(struct number_512 *h, __m512i x[8], const __m512i above[STEP_512],
                            const struct factor_512 powers[STEP_512]) {
    const __m512i zero = _mm512_setzero_si512();
    struct sum_512 sum = {{zero, zero, zero}, {zero, zero, zero}};
    transpose_512(x);
    _Pragma("GCC unroll 4") for (int b = STEP_512 - 1; b >= 0; b--) {
        struct number_512 m = number_512(x[2 * b], x[2 * b + 1], above[b]);
        for (int i = 0; b == 0 && i < 3; i++)
            m.limb[i] = plus(m.limb[i], h->limb[i]);
        add_product_512(&sum, &m, &powers[STEP_512 - 1 - b]);
    }
    *h = carry_512(&sum);
}

/* 64 bytes from `from` on, which may be before the text; zeros where there is no text. */
WIDE_INLINE __m512i load_512(const struct poly_text *text, int64_t from) {
    int64_t begin = from < 0 ? -from : 0, end = (int64_t)text->length - from;
    end = end < 64 ? end : 64;
    if (begin >= end)
        return _mm512_setzero_si512();
    __mmask64 mask = (~0ull << begin) & (~0ull >> (64 - end));
    return _mm512_maskz_loadu_epi8(mask, (const void *)((uintptr_t)text->bytes + (uintptr_t)from));
}

/* A step at the edges: some texts have not begun, or end, or the lengths come. */
WIDE_INLINE void edge_512(struct number_512 *h, const struct poly_text *texts, uint32_t count,
                          const struct plan *plan, int64_t step,
                          const struct factor_512 powers[STEP_512]) {
    __m512i x[8], above[STEP_512];
    for (uint32_t i = 0; i < 8; i++) {
        x[i] = _mm512_setzero_si512();
        if (i >= count)
            continue;
        x[i] = load_512(&texts[i], BLOCK * (STEP_512 * step - plan->pad[i]));
        if (step < plan->steps - 1)
            continue;
        x[i] = _mm512_mask_set1_epi64(x[i], 1 << 6, (int64_t)texts[i].lengths[0]);
        x[i] = _mm512_mask_set1_epi64(x[i], 1 << 7, (int64_t)texts[i].lengths[1]);
    }
    const __m512i pads = _mm512_load_si512(plan->pad);
    for (int b = 0; b < STEP_512; b++)
        above[b] = _mm512_maskz_set1_epi64(
            _mm512_cmple_epi64_mask(pads, _mm512_set1_epi64(STEP_512 * step + b)), 1ll << 40);
    absorb_512(h, x, above, powers);
}

/* h modulo 2^130 - 5, plus s: the tags. */
WIDE_INLINE void finish_512(struct number_512 *h, const uint64_t one_time[4][POLY_LANES_MAX],
                            uint64_t tags[POLY_LANES_MAX][2]) {
    __m512i *const limb = h->limb, *const tag = (__m512i *)(void *)tags;
    __m512i up = _mm512_srli_epi64(limb[1], 44);
    limb[1] = _mm512_and_si512(limb[1], M44);
    limb[2] = plus(limb[2], up);
    up = _mm512_srli_epi64(limb[2], 42);
    limb[2] = _mm512_and_si512(limb[2], M42);
    limb[0] = plus(limb[0], plus(up, _mm512_slli_epi64(up, 2)));
    up = _mm512_srli_epi64(limb[0], 44);
    limb[0] = _mm512_and_si512(limb[0], M44);
    limb[1] = plus(limb[1], up);
    up = _mm512_srli_epi64(limb[1], 44);
    limb[1] = _mm512_and_si512(limb[1], M44);
    limb[2] = plus(limb[2], up);
    /* h + 5 reaches 2^130 where h is too large, and its other bits are what is right then. */
    __m512i less0 = plus(limb[0], _mm512_set1_epi64(5));
    __m512i less1 = plus(limb[1], _mm512_srli_epi64(less0, 44));
    __m512i less2 = plus(limb[2], _mm512_srli_epi64(less1, 44));
    __mmask8 large = _mm512_cmpge_epu64_mask(less2, _mm512_set1_epi64(1ll << 42));
    limb[0] = _mm512_mask_and_epi64(limb[0], large, less0, M44);
    limb[1] = _mm512_mask_and_epi64(limb[1], large, less1, M44);
    limb[2] = _mm512_mask_and_epi64(limb[2], large, less2, M42);
    __m512i low = _mm512_or_si512(limb[0], _mm512_slli_epi64(limb[1], 44));
    __m512i high = _mm512_or_si512(_mm512_srli_epi64(limb[1], 20), _mm512_slli_epi64(limb[2], 24));
    const __m512i s = _mm512_load_si512(one_time[2]);
    low = plus(low, s);
    high = plus(high, _mm512_load_si512(one_time[3]));
    high = _mm512_mask_add_epi64(high, _mm512_cmplt_epu64_mask(low, s), high, _mm512_set1_epi64(1));
    const __m512i first = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
    const __m512i second = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
    _mm512_storeu_si512(tag, _mm512_permutex2var_epi64(low, first, high));
    _mm512_storeu_si512(tag + 1, _mm512_permutex2var_epi64(low, second, high));
}

WIDE_INLINE void powers_512(struct factor_512 powers[STEP_512],
                            const uint64_t one_time[4][POLY_LANES_MAX]) {
    const __m512i zero = _mm512_setzero_si512();
    __m512i low = _mm512_load_si512(one_time[0]), high = _mm512_load_si512(one_time[1]);
    struct number_512 r = number_512(_mm512_and_si512(low, _mm512_set1_epi64(CLAMP_LOW)),
                                     _mm512_and_si512(high, _mm512_set1_epi64(CLAMP_HIGH)), zero);
    powers[0] = factor_512(r);
    struct number_512 square = times_512(&r, &powers[0]);
    powers[1] = factor_512(square);
    powers[2] = factor_512(times_512(&square, &powers[0]));
    powers[3] = factor_512(times_512(&square, &powers[1]));
}

WIDE void poly_lanes_512(const uint64_t one_time[4][POLY_LANES_MAX], const struct poly_text *texts,
                         uint32_t count, uint64_t tags[POLY_LANES_MAX][2]) {
    const __m512i zero = _mm512_setzero_si512(), one = _mm512_set1_epi64(1ll << 40);
    const __m512i ones[STEP_512] = {one, one, one, one};
    struct factor_512 powers[STEP_512];
    struct number_512 h = {{zero, zero, zero}};
    struct plan at;
    plan(&at, texts, count, 8, STEP_512);
    powers_512(powers, one_time);
    for (int64_t step = 0; step < at.steps; step++) {
        if (step < at.whole || step == at.steps - 1) {
            edge_512(&h, texts, count, &at, step, powers);
            continue;
        }
        __m512i x[8];
        for (int i = 0; i < 8; i++)
            x[i] = _mm512_loadu_si512(texts[i].bytes + BLOCK * (STEP_512 * step - at.pad[i]));
        absorb_512(&h, x, ones, powers);
    }
    finish_512(&h, one_time, tags);
}

/* ---- AVX2: 4 lanes, numbers of five limbs of 26 bits ---- */

#define NARROW __attribute__((target("avx2")))
#define NARROW_INLINE NARROW static inline __attribute__((always_inline))
#define STEP_256 2
#define M26 _mm256_set1_epi64x((1ll << 26) - 1)

struct number_256 {
    __m256i limb[5];
};

/* `again`: 5 times each limb, for what comes back from above 2^130. */
struct factor_256 {
    __m256i limb[5], again[5];
};

NARROW_INLINE __m256i plus_256(__m256i a, __m256i b) { return _mm256_add_epi64(a, b); }

NARROW_INLINE struct number_256 number_256(__m256i low, __m256i high, __m256i above) {
    __m256i middle = _mm256_or_si256(_mm256_srli_epi64(low, 52), _mm256_slli_epi64(high, 12));
    return (struct number_256){
        {_mm256_and_si256(low, M26), _mm256_and_si256(_mm256_srli_epi64(low, 26), M26),
         _mm256_and_si256(middle, M26), _mm256_and_si256(_mm256_srli_epi64(high, 14), M26),
         _mm256_or_si256(_mm256_srli_epi64(high, 40), above)}};
}

NARROW_INLINE struct factor_256 factor_256(struct number_256 n) {
    struct factor_256 factor;
    for (int i = 0; i < 5; i++) {
        factor.limb[i] = n.limb[i];
        factor.again[i] = plus_256(n.limb[i], _mm256_slli_epi64(n.limb[i], 2));
    }
    __asm__(""
            : "+m"(factor)); /* read, not made anew in each step, as clang would: half the time */
    return factor;
}

NARROW_INLINE void add_product_256(__m256i sum[5], const struct number_256 *a,
                                   const struct factor_256 *b) {
    _Pragma("GCC unroll 5") for (int i = 0; i < 5; i++) {
        _Pragma("GCC unroll 5") for (int k = 0; k < 5; k++) {
            __m256i with = k < i ? b->again[5 + k - i] : b->limb[k - i];
            sum[k] = plus_256(sum[k], _mm256_mul_epu32(a->limb[i], with));
        }
    }
}

/* One limb passes on what is above its 26 bits. */
NARROW_INLINE void pass_on(__m256i *limb, __m256i *next) {
    *next = plus_256(*next, _mm256_srli_epi64(*limb, 26));
    *limb = _mm256_and_si256(*limb, M26);
}

/* The last one passes on 5 times as much, to the first. */
NARROW_INLINE void pass_round(__m256i limb[5]) {
    __m256i up = _mm256_srli_epi64(limb[4], 26);
    limb[4] = _mm256_and_si256(limb[4], M26);
    limb[0] = plus_256(limb[0], plus_256(up, _mm256_slli_epi64(up, 2)));
}

/* Two chains at a time. The limbs get their bits again, the second and the fifth one up to some
 * more, so that 10 products of them still fit into 64 bits. */
NARROW_INLINE void carry_256(__m256i sum[5]) {
    pass_on(&sum[0], &sum[1]);
    pass_on(&sum[3], &sum[4]);
    pass_on(&sum[1], &sum[2]);
    pass_round(sum);
    pass_on(&sum[2], &sum[3]);
    pass_on(&sum[0], &sum[1]);
    pass_on(&sum[3], &sum[4]);
}

NARROW_INLINE struct number_256 times_256(const struct number_256 *a, const struct factor_256 *b) {
    const __m256i zero = _mm256_setzero_si256();
    struct number_256 sum = {{zero, zero, zero, zero, zero}};
    add_product_256(sum.limb, a, b);
    carry_256(sum.limb);
    return sum;
}

/* x[i]: two blocks of lane i. (h + m0) r^2 + m1 r. */
NARROW_INLINE void absorb_256(struct number_256 *h, const __m256i x[4],
                              const __m256i above[STEP_256],
                              const struct factor_256 powers[STEP_256]) {
    const __m256i zero = _mm256_setzero_si256();
    struct number_256 sum = {{zero, zero, zero, zero, zero}};
    __m256i low01 = _mm256_unpacklo_epi64(x[0], x[1]), high01 = _mm256_unpackhi_epi64(x[0], x[1]);
    __m256i low23 = _mm256_unpacklo_epi64(x[2], x[3]), high23 = _mm256_unpackhi_epi64(x[2], x[3]);
    struct number_256 m = number_256(_mm256_permute2x128_si256(low01, low23, 0x31),
                                     _mm256_permute2x128_si256(high01, high23, 0x31), above[1]);
    add_product_256(sum.limb, &m, &powers[0]);
    m = number_256(_mm256_permute2x128_si256(low01, low23, 0x20),
                   _mm256_permute2x128_si256(high01, high23, 0x20), above[0]);
    for (int i = 0; i < 5; i++)
        m.limb[i] = plus_256(m.limb[i], h->limb[i]);
    add_product_256(sum.limb, &m, &powers[1]);
    carry_256(sum.limb);
    *h = sum;
}

NARROW_INLINE void edge_256(struct number_256 *h, const struct poly_text *texts, uint32_t count,
                            const struct plan *plan, int64_t step,
                            const struct factor_256 powers[STEP_256]) {
    __m256i x[4], above[STEP_256];
    for (uint32_t i = 0; i < 4; i++) {
        uint64_t words[4] = {0};
        if (i < count) {
            int64_t from = BLOCK * (STEP_256 * step - plan->pad[i]), begin = from < 0 ? -from : 0;
            int64_t end = (int64_t)texts[i].length - from;
            end = end < 32 ? end : 32;
            if (begin < end)
                memcpy((uint8_t *)words + begin, texts[i].bytes + (from + begin),
                       (size_t)(end - begin));
            if (step == plan->steps - 1)
                memcpy(words + 2, texts[i].lengths, sizeof(texts[i].lengths));
        }
        x[i] = _mm256_loadu_si256((const __m256i *)(const void *)words);
    }
    const __m256i pads = _mm256_load_si256((const __m256i *)(const void *)plan->pad);
    for (int b = 0; b < STEP_256; b++)
        above[b] =
            _mm256_andnot_si256(_mm256_cmpgt_epi64(pads, _mm256_set1_epi64x(STEP_256 * step + b)),
                                _mm256_set1_epi64x(1ll << 24));
    absorb_256(h, x, above, powers);
}

/* One lane's h, below 2^130 + 2^26, modulo 2^130 - 5, plus s; 128 bits of that are the tag. */
static void finish_one(const uint64_t limb[5], uint64_t s_low, uint64_t s_high, uint64_t tag[2]) {
    uint64_t low = limb[0] | limb[1] << 26 | limb[2] << 52;
    uint64_t high = limb[2] >> 12 | limb[3] << 14 | limb[4] << 40, top = limb[4] >> 24;
    /* h + 5 reaches 2^130 where h is too large, and its other bits are what is right then. */
    uint64_t less_low = low + 5, less_high = high + (less_low < low);
    uint64_t large = 0 - ((top + (less_high < high)) >> 2);
    low = (low & ~large) | (less_low & large);
    high = (high & ~large) | (less_high & large);
    tag[0] = low + s_low;
    tag[1] = high + s_high + (tag[0] < low);
}

NARROW_INLINE void finish_256(struct number_256 *h, const uint64_t one_time[4][POLY_LANES_MAX],
                              uint64_t tags[POLY_LANES_MAX][2]) {
    uint64_t lanes[5][4];
    for (int i = 1; i < 4; i++)
        pass_on(&h->limb[i], &h->limb[i + 1]);
    pass_round(h->limb);
    for (int i = 0; i < 4; i++)
        pass_on(&h->limb[i], &h->limb[i + 1]);
    for (int i = 0; i < 5; i++)
        _mm256_storeu_si256((__m256i *)(void *)lanes[i], h->limb[i]);
    for (int l = 0; l < 4; l++) {
        const uint64_t limb[5] = {lanes[0][l], lanes[1][l], lanes[2][l], lanes[3][l], lanes[4][l]};
        finish_one(limb, one_time[2][l], one_time[3][l], tags[l]);
    }
}

NARROW void poly_lanes_256(const uint64_t one_time[4][POLY_LANES_MAX],
                           const struct poly_text *texts, uint32_t count,
                           uint64_t tags[POLY_LANES_MAX][2]) {
    const __m256i zero = _mm256_setzero_si256(), one = _mm256_set1_epi64x(1ll << 24);
    const __m256i ones[STEP_256] = {one, one};
    struct number_256 h = {{zero, zero, zero, zero, zero}};
    struct plan at;
    plan(&at, texts, count, 4, STEP_256);
    __m256i low = _mm256_load_si256((const __m256i *)(const void *)one_time[0]);
    __m256i high = _mm256_load_si256((const __m256i *)(const void *)one_time[1]);
    struct number_256 r = number_256(_mm256_and_si256(low, _mm256_set1_epi64x(CLAMP_LOW)),
                                     _mm256_and_si256(high, _mm256_set1_epi64x(CLAMP_HIGH)), zero);
    struct factor_256 powers[STEP_256];
    powers[0] = factor_256(r);
    powers[1] = factor_256(times_256(&r, &powers[0]));
    for (int64_t step = 0; step < at.steps; step++) {
        if (step < at.whole || step == at.steps - 1) {
            edge_256(&h, texts, count, &at, step, powers);
            continue;
        }
        __m256i x[4];
        for (int i = 0; i < 4; i++) {
            const uint8_t *from = texts[i].bytes + BLOCK * (STEP_256 * step - at.pad[i]);
            x[i] = _mm256_loadu_si256((const __m256i *)(const void *)from);
        }
        absorb_256(&h, x, ones, powers);
    }
    finish_256(&h, one_time, tags);
}

#endif
