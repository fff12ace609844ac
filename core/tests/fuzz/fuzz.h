/*
 * What the fuzz targets share. Each x_fuzz.c is a libFuzzer target; corpus_test.c includes them all
 * under other names and replays the kept corpora in every test run (T16), so their file-level names
 * start with the target's.
 */
#ifndef SHOAL_TESTS_FUZZ_H
#define SHOAL_TESTS_FUZZ_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Stays in force whatever NDEBUG says. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

/* A copy in memory of exactly that size plus slack, so that the sanitizer sees any byte beyond. */
static inline uint8_t *exact_copy(const uint8_t *data, size_t size, size_t slack) {
    uint8_t *copy = malloc(size + slack ? size + slack : 1);
    REQUIRE(copy);
    if (size)
        memcpy(copy, data, size);
    return copy;
}

#endif
