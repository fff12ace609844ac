/*
 * How busy a peer is, and whether it is busy enough to take a place from another one. Pure: time
 * comes in as the number of a period.
 */
#ifndef SHOAL_HEAT_H
#define SHOAL_HEAT_H

#include <stdbool.h>
#include <stdint.h>

#define HEAT_PERIOD_NS 1000000000ull

/** A peer counts as busy from so many messages in one period on. */
#define HEAT_BUSY 1000u

/** After so many periods without a message its place is free. */
#define HEAT_IDLE_PERIODS 10u

/** It takes another one's place only when it is more than so many times as busy: peers that are
 * equally busy leave each other alone. */
#define HEAT_FACTOR 2u

/* Owner: the worker of the peer. Zeroed: nothing yet. */
struct heat {
    uint64_t period; /* that `now` counts */
    uint32_t now;    /* messages in and out, authenticated */
    uint32_t before; /* those of the period before it */
};

static inline uint64_t heat_period(uint64_t time) { return time / HEAT_PERIOD_NS; }

/** Counts n messages. @return those of this period */
uint32_t heat_add(struct heat *heat, uint64_t period, uint32_t n);

/** Messages of this period or of the last one, whichever are more. */
uint32_t heat_of(const struct heat *heat, uint64_t period);

/** May a peer take the place of another one? */
bool heat_beats(const struct heat *heat, const struct heat *other, uint64_t period);

bool heat_is_idle(const struct heat *heat, uint64_t period);

#endif
