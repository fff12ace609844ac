/*
 * Nanoseconds a packet of every suite and back-end that this machine has: `./run bench aead` runs
 * this and reads its lines, "suite back-end direction bytes batch nanoseconds".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "aead.h"

#define BATCH_MAX 45u /* what one UDP_SEGMENT message holds */
#define LENGTH_MAX 1424u
#define SLICES 15u
#define CONTENDERS_MAX 8u
#define SLICE_NS 1000000u

static const uint32_t lengths[] = {64, 576, LENGTH_MAX};
static const uint32_t batches[] = {1, 8, BATCH_MAX};

static uint8_t plain[BATCH_MAX][LENGTH_MAX];
static uint8_t sealed[BATCH_MAX][LENGTH_MAX + AEAD_TAG_SIZE];
static uint8_t opened[BATCH_MAX][LENGTH_MAX];

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void must(bool done) {
    if (done)
        return;
    fprintf(stderr, "aead_bench: a library failed\n");
    exit(1);
}

/* Every packet has a counter of its own, as in the packet path; what is opened was sealed with it.
 */
static void fill(struct aead_packet *packets, uint32_t n, uint32_t length, bool seals) {
    for (uint32_t i = 0; i < n; i++)
        packets[i] =
            seals ? (struct aead_packet){sealed[i], plain[i], i, length, false}
                  : (struct aead_packet){opened[i], sealed[i], i, length + AEAD_TAG_SIZE, false};
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

struct contender {
    const struct aead_backend *backend;
    struct aead *aead;
    double taken[SLICES]; /* nanoseconds a packet */
};

static double slice(struct aead *aead, const struct aead_key *key, struct aead_packet *packets,
                    uint32_t n, bool seals) {
    uint64_t start = now(), end, rounds = 0;
    do {
        for (uint32_t i = 0; i < 1 + 64 / n; i++, rounds++)
            must(seals ? aead_seal(aead, key, packets, n) : aead_open(aead, key, packets, n) == n);
        end = now();
    } while (end - start < SLICE_NS);
    return (double)(end - start) / (double)(rounds * n);
}

/* The medians of short slices, which the contenders have in turn: what disturbs one of them does
 * not show, and what lasts hits all. */
static void measure(const char *suite, struct contender *contenders, size_t count,
                    const struct aead_key *key, uint32_t length, uint32_t n, bool seals) {
    struct aead_packet packets[BATCH_MAX];
    fill(packets, n, length, true);
    must(aead_seal(contenders[0].aead, key, packets, n)); /* what is opened */
    fill(packets, n, length, seals);
    for (uint32_t s = 0; s < SLICES; s++)
        for (size_t c = 0; c < count; c++)
            contenders[c].taken[s] = slice(contenders[c].aead, key, packets, n, seals);
    for (size_t c = 0; c < count; c++) {
        double *taken = contenders[c].taken;
        qsort(taken, SLICES, sizeof(*taken), by_size);
        printf("%s %s %s %u %u %.2f\n", suite, aead_name(contenders[c].backend),
               seals ? "seal" : "open", length, n, taken[SLICES / 2]);
    }
}

int main(void) {
    static const char *const names[AEAD_SUITES] = {"ChaCha20-Poly1305", "AES-256-GCM"};
    static const uint8_t bytes[AEAD_KEY_SIZE] = {1};
    memset(plain, 0x5a, sizeof(plain));
    for (enum aead_suite suite = 0; suite < AEAD_SUITES; suite++) {
        struct contender contenders[CONTENDERS_MAX];
        struct aead_key key;
        size_t count = 0;
        aead_key_init(&key, suite, bytes);
        for (size_t i = 0; aead_backend(i); i++) {
            struct aead_choice choice = aead_prefer(aead_backend(i), NULL);
            if (!aead_has(aead_backend(i), suite))
                continue;
            must(count < CONTENDERS_MAX);
            contenders[count] = (struct contender){aead_backend(i), aead_create(&choice), {0}};
            must(contenders[count++].aead != NULL);
        }
        for (size_t l = 0; l < sizeof(lengths) / sizeof(*lengths); l++)
            for (size_t b = 0; b < sizeof(batches) / sizeof(*batches) && count; b++)
                for (int seals = 1; seals >= 0; seals--)
                    measure(names[suite], contenders, count, &key, lengths[l], batches[b], seals);
        for (size_t c = 0; c < count; c++)
            aead_free(contenders[c].aead);
    }
    return 0;
}
