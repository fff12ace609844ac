#include <stdatomic.h>
#include <string.h>

#include "checksum.h"
#include "clock.h"
#include "contrast.h"
#include "roads.h"
#include "sink.h"

#define ROUNDS 100u

static uint8_t train[TRAIN * MESSAGE];
static _Atomic uint32_t asked, written; /* rounds so far */
static uint64_t seen;

static void write_train(uint32_t round) { memset(train, (int)round, sizeof(train)); }

static void *write_there(void *argument) {
    (void)argument;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        while (atomic_load_explicit(&asked, memory_order_acquire) < round)
            spin_once();
        write_train(round);
        atomic_store_explicit(&written, round, memory_order_release);
    }
    return NULL;
}

static uint64_t read_train(void) {
    uint64_t start = clock_monotonic();
    seen += checksum_sum(train, sizeof(train));
    return clock_monotonic() - start;
}

static void slice_own(double *values) {
    uint64_t taken = 0;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        write_train(round);
        taken += read_train();
    }
    values[0] = (double)taken / ROUNDS / 1e3;
}

static void slice_other(double *values) {
    uint64_t taken = 0;
    atomic_store(&asked, 0);
    atomic_store(&written, 0);
    pthread_t thread = start_on(1, write_there, NULL);
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        atomic_store_explicit(&asked, round, memory_order_release);
        while (atomic_load_explicit(&written, memory_order_acquire) < round)
            spin_once();
        taken += read_train();
    }
    pthread_join(thread, NULL);
    values[0] = (double)taken / ROUNDS / 1e3;
}

void road_crossing(void) {
    contrast_run(
        &(struct contrast){"crossing", {"read"}, {{"shoal", slice_own}, {"train", slice_other}}});
    must(seen != 0, "nothing was read");
}
