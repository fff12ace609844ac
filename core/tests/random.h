/* A small seeded generator (splitmix64), so that every random test replays bit by bit. */
#ifndef SHOAL_TESTS_RANDOM_H
#define SHOAL_TESTS_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *random) {
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/** 0 .. limit - 1. */
static inline uint32_t random_below(struct random *random, uint32_t limit) {
    return (uint32_t)((random_next(random) >> 32) * limit >> 32);
}

static inline void random_fill(struct random *random, void *buffer, size_t length) {
    uint8_t *at = buffer;
    for (; length >= 8; at += 8, length -= 8) {
        uint64_t word = random_next(random);
        memcpy(at, &word, 8);
    }
    uint64_t word = random_next(random);
    memcpy(at, &word, length);
}

/* Where a test runs slowly, in a sanitizer's build or under valgrind, it runs over fewer rounds. */
static inline bool has_few_rounds(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#endif
#endif
    return getenv("SHOAL_FEW_ROUNDS") != NULL;
}
#define ROUNDS(plain, few) (has_few_rounds() ? (few) : (plain))

#endif
