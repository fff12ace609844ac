/*
 * Replay window of one receiving session (R13, R46, R47).
 *
 * A ring of 8,192 bits in words of 64. The word that the newest counter lives in is only partly
 * used, so a counter is surely remembered for 8,192 - 64 = 8,128 steps behind the newest one; older
 * ones are refused. Only an authenticated counter may be committed: check before opening spares the
 * AEAD for what is refused anyway, commit after the tag is the check-and-set that counts.
 */
#ifndef SHOAL_REPLAY_H
#define SHOAL_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_BITS 8192u
#define REPLAY_WINDOW (REPLAY_BITS - 64u) /* steps behind the newest that are still told apart */

/** REJECT_AFTER_MESSAGES (R2): no counter at or above it is sent or accepted. */
#define REPLAY_COUNTER_LIMIT (UINT64_MAX - REPLAY_BITS)

/** Owner: the worker that receives for the session; no other thread may touch it. All-zero: fresh.
 */
struct replay {
    uint64_t next; /* newest committed counter + 1; 0: none yet */
    uint64_t ring[REPLAY_BITS / 64];
};

/** Would replay_commit accept this counter now? Changes nothing. */
bool replay_check(const struct replay *replay, uint64_t counter);

/**
 * Marks an authenticated counter as seen and moves the window up to it.
 * @return false, and nothing changed, when it was seen before, is older than the window or has
 *         reached REPLAY_COUNTER_LIMIT.
 */
bool replay_commit(struct replay *replay, uint64_t counter);

#endif
