/*
 * The machine's clocks, in nanoseconds. Below the worker nothing reads them: time comes in as an
 * argument.
 */
#ifndef SHOAL_CLOCK_H
#define SHOAL_CLOCK_H

#include <stdint.h>

/** CLOCK_BOOTTIME, which goes on while the machine is asleep: of everything that ages (R63). */
uint64_t clock_boottime(void);

/** CLOCK_REALTIME: of what the kernel dates with it; somebody may set it at any time. */
uint64_t clock_realtime(void);

/** CLOCK_MONOTONIC: of what is measured within a moment. */
uint64_t clock_monotonic(void);

#endif
