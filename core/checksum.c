/*
 * Words are added 32 bits at a time into 64-bit lanes: a lane cannot overflow within the stated
 * 1 MiB, so no carry has to be looked at until the fold. Where the CPU has AVX2, 128 bytes an
 * iteration; elsewhere 16.
 */
#include "checksum.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static uint64_t sum_tail(const uint8_t *at, size_t length, uint64_t sum) {
    uint64_t word64;
    uint32_t word32;
    uint16_t word16;
    while (length >= 8) {
        memcpy(&word64, at, 8);
        sum += (word64 & 0xffffffffu) + (word64 >> 32);
        at += 8;
        length -= 8;
    }
    if (length & 4) {
        memcpy(&word32, at, 4);
        sum += word32;
        at += 4;
    }
    if (length & 2) {
        memcpy(&word16, at, 2);
        sum += word16;
        at += 2;
    }
    if (length & 1) {
        uint8_t last[2] = {*at, 0};
        memcpy(&word16, last, 2);
        sum += word16;
    }
    return sum;
}

static uint64_t sum_portable(const uint8_t *at, size_t length) {
    uint64_t even = 0, odd = 0;
    for (; length >= 16; at += 16, length -= 16) {
        uint64_t first, second;
        memcpy(&first, at, 8);
        memcpy(&second, at + 8, 8);
        even += (first & 0xffffffffu) + (second & 0xffffffffu);
        odd += (first >> 32) + (second >> 32);
    }
    return sum_tail(at, length, even + odd);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint64_t sum_avx2(const uint8_t *at, size_t length) {
    const __m256i low = _mm256_set1_epi64x(0xffffffff);
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (; length >= 128; at += 128, length -= 128) {
        __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)at);
        __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(at + 32));
        __m256i y = _mm256_loadu_si256((const __m256i *)(const void *)(at + 64));
        __m256i z = _mm256_loadu_si256((const __m256i *)(const void *)(at + 96));
        a = _mm256_add_epi64(a,
                             _mm256_add_epi64(_mm256_and_si256(w, low), _mm256_srli_epi64(w, 32)));
        b = _mm256_add_epi64(b,
                             _mm256_add_epi64(_mm256_and_si256(x, low), _mm256_srli_epi64(x, 32)));
        c = _mm256_add_epi64(c,
                             _mm256_add_epi64(_mm256_and_si256(y, low), _mm256_srli_epi64(y, 32)));
        d = _mm256_add_epi64(d,
                             _mm256_add_epi64(_mm256_and_si256(z, low), _mm256_srli_epi64(z, 32)));
    }
    for (; length >= 32; at += 32, length -= 32) {
        __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)at);
        a = _mm256_add_epi64(a,
                             _mm256_add_epi64(_mm256_and_si256(w, low), _mm256_srli_epi64(w, 32)));
    }
    a = _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d));
    __m128i half = _mm_add_epi64(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    uint64_t sum = (uint64_t)_mm_extract_epi64(half, 0) + (uint64_t)_mm_extract_epi64(half, 1);
    return sum_tail(at, length, sum);
}
#endif

uint64_t checksum_sum(const void *data, size_t length) {
#if defined(__x86_64__)
    if (length >= 64 && __builtin_cpu_supports("avx2"))
        return sum_avx2(data, length);
#endif
    return sum_portable(data, length);
}

static uint64_t memory_order(uint16_t value) {
    uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    uint16_t word;
    memcpy(&word, bytes, 2);
    return word;
}

uint64_t checksum_length(uint32_t length) {
    return memory_order((uint16_t)(length >> 16)) + memory_order((uint16_t)length);
}

uint64_t checksum_pseudo4(const uint8_t *source, const uint8_t *destination, uint8_t protocol) {
    return sum_tail(source, 4, 0) + sum_tail(destination, 4, 0) + memory_order(protocol);
}

uint64_t checksum_pseudo6(const uint8_t *source, const uint8_t *destination, uint8_t protocol) {
    return sum_tail(source, 16, 0) + sum_tail(destination, 16, 0) + memory_order(protocol);
}

bool checksum_ipv4_valid(const uint8_t *header, size_t length) {
    return checksum_fold(sum_portable(header, length)) == 0xffff;
}

void checksum_ipv4_write(uint8_t *header, size_t length) {
    memset(header + 10, 0, 2);
    uint16_t checksum = (uint16_t)~checksum_fold(sum_portable(header, length));
    memcpy(header + 10, &checksum, 2);
}

bool checksum_valid(const uint8_t *part, size_t length, uint64_t pseudo) {
    return checksum_fold(checksum_sum(part, length) + pseudo) == 0xffff;
}

bool checksum_complete(uint8_t *packet, size_t length, size_t start, size_t offset) {
    if (start >= length || offset > length - start || length - start - offset < 2)
        return false;
    uint16_t checksum = (uint16_t)~checksum_fold(checksum_sum(packet + start, length - start));
    if (checksum == 0)
        checksum = 0xffff;
    memcpy(packet + start + offset, &checksum, 2);
    return true;
}

uint16_t checksum_update(uint16_t old, uint16_t word_before, uint16_t word_after) {
    return (uint16_t)~checksum_fold((uint64_t)(uint16_t)~old + (uint16_t)~word_before + word_after);
}
