/*
 * Turns at the TUN: how idle workers seal what one worker reads. The way back of turns.h, with the
 * same rules.
 *
 *      TUN ─► take (under its own lock: read, fair queue, route, counters, key) ─► seal (no lock)
 *                                                                                    │
 *      UDP socket ◄─ put out, oldest first (whoever has the pass) ◄──────────────── done
 *
 * A turn is one frame. Super-packets for a peer with a session are sealed ahead; any other frame is
 * only brought, and goes its usual way (tx.c) when it is put out, so the order of all of them is
 * that of the TUN. With one worker there are no turns here: tx_drain seals into its train.
 */
#ifndef SHOAL_SEALING_H
#define SHOAL_SEALING_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "aead.h"
#include "fq.h"
#include "handoff.h"
#include "segment.h"
#include "turns.h"

#define SEALING_TURNS 8u
#define SEALING_MIN 16384u   /* bytes of a frame from which on it is worth a turn */
#define SEALING_BYTES 81920u /* of sealed messages: 64 KiB in pieces of 400 bytes and more */

/* Owner: whoever took it until it is done, then whoever has the pass. */
struct sealed {
    _Atomic uint32_t state; /* enum turn_state */
    struct fq_frame *frame;
    bool ahead; /* it was sealed; else it goes its usual way */
    bool lossy; /* all but its first packet, whose loss tells its sender to slow down */
    uint8_t tos;
    struct handoff_peer to;
    struct aead_key key;
    uint64_t serial; /* of the key */
    uint32_t remote_index;
    uint64_t counter; /* of the first packet; behind the last one when it is done */
    struct segmenter segmenter;
    uint32_t bytes;  /* in the arena */
    uint32_t sent;   /* of those */
    uint32_t stride; /* of every message but the last */
    uint8_t *arena;
};

/* Of one pass. */
struct sealing {
    pthread_mutex_t mutex;  /* the TUN's queue, the fair queue, and the sessions that keys are of */
    uint32_t next;          /* ticket; under the mutex */
    _Atomic uint32_t first; /* the oldest that is not put out; whoever has the pass */
    _Atomic bool draining;  /* the owner is about to look for turns that are done */
    uint64_t stalled;       /* since when a helper's turn holds all up (pass_note_stall) */
    struct sealed *ring;    /* NULL: one worker */
    uint8_t *memory;
};

struct pass;

/** False when out of memory. Memory is touched only as turns are taken. */
bool sealing_init(struct sealing *sealing, uint32_t workers);
void sealing_free(struct sealing *sealing);

/** Keeps helpers out while sessions change outside of a standstill. */
static inline void sealing_lock(struct sealing *sealing) {
    if (sealing->ring)
        turns_mutex_lock(&sealing->mutex);
}

static inline void sealing_unlock(struct sealing *sealing) {
    if (sealing->ring)
        pthread_mutex_unlock(&sealing->mutex);
}

/** Takes a turn at the TUN of a pass. @param by  the pass of the thread that does it */
enum turn_taken sealing_take(struct pass *of, struct pass *by);

/** Sends, in order, what is done, until a socket is full. The caller has the pass. @return whether
 * there was any. */
bool sealing_put_out(struct pass *pass);

/** tx_drain of a pass whose worker is not alone. */
void sealing_drain(struct pass *pass);

/** Is the oldest turn done? */
static inline bool sealing_waits(const struct sealing *sealing) {
    if (!sealing->ring)
        return false;
    uint32_t first = atomic_load_explicit(&sealing->first, memory_order_relaxed);
    return atomic_load(&sealing->ring[first % SEALING_TURNS].state) == TURN_DONE;
}

#endif
