#include "clock.h"

#include <time.h>

static uint64_t read_clock(clockid_t which) {
    struct timespec time;
    clock_gettime(which, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t clock_boottime(void) { return read_clock(CLOCK_BOOTTIME); }

uint64_t clock_realtime(void) { return read_clock(CLOCK_REALTIME); }

uint64_t clock_monotonic(void) { return read_clock(CLOCK_MONOTONIC); }
