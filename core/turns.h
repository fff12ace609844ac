/*
 * Turns: how idle workers open what one worker receives. One pair of sites is one peer, and a peer
 * belongs to one worker; without this the other cores would watch.
 *
 *      socket ─► take (under the turns' own lock: receive, ticket, keys) ─► open (nobody's lock)
 *                                                                              │
 *      TUN ◄─ put out, oldest first (whoever has the pass) ◄───────────────── done
 *
 * A turn is what fills one buffer: a gathered buffer, or small ones together. Its ticket is its
 * place in the ring. It takes copies of the keys that it needs, so sessions may go meanwhile. What
 * depends on order (replay window, endpoint, accounts, the TUN) is done when it is put out, by
 * whoever finds the oldest turn done: the owner in its batch, or a helper while the owner sleeps.
 * Nobody waits for a turn: who finds the ring full, or the oldest not done, does something else.
 */
#ifndef SHOAL_TURNS_H
#define SHOAL_TURNS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "aead.h"
#include "socket.h"

#define TURNS 8u           /* in the ring: taken and not put out */
#define TURN_RECEIVES 64u  /* of one turn, when they are small */
#define TURN_MESSAGES 512u /* opened ahead; what is beyond is opened when it is put out */
#define TURN_KEYS 8u       /* different ones; likewise */
#define TURN_FULL 32768u   /* bytes from which on a turn receives no more */
#define TURN_BYTES (TURN_FULL + SOCKET_RECEIVE_MAX)
#define TURN_COPY                                                                                  \
    4096u /* up to this what io_uring received is copied, beyond it stays where it is */
#define TURN_HELD (TURN_FULL / TURN_COPY + 1u)

enum turn_state { TURN_FREE, TURN_TAKEN, TURN_DONE };

/* What a message was opened with. */
struct turn_verdict {
    uint64_t serial; /* of the key; 0: it was not tried */
    bool right;      /* its tag */
};

/* One receive of a turn. */
struct turn_part {
    struct socket_received received;
    uint8_t *bytes; /* in those of the turn, or in a buffer of io_uring's that the turn holds */
};

/* Owner: whoever took it until it is done, then whoever has the pass. */
struct turn {
    _Atomic uint32_t state; /* enum turn_state */
    uint32_t parts_count;
    struct turn_part parts[TURN_RECEIVES];
    uint32_t keys_count;
    struct aead_key keys[TURN_KEYS];
    uint32_t messages;             /* with a place in `key_of` */
    uint8_t key_of[TURN_MESSAGES]; /* place in `keys`; TURN_KEYS: none */
    struct turn_verdict verdicts[TURN_MESSAGES];
    uint32_t held_count;
    uint8_t held[TURN_HELD]; /* buffers of io_uring's; given back when the turn is taken anew */
    uint8_t *bytes;
};

/* Of one pass. */
struct turns {
    pthread_mutex_t mutex;  /* receiving, tickets, and the sessions that keys are copied from */
    uint32_t next;          /* ticket; under the mutex */
    _Atomic uint32_t first; /* the oldest that is not put out; whoever has the pass */
    _Atomic bool draining;  /* the owner is about to look for turns that are done */
    uint64_t stalled;       /* since when a helper's turn holds all up (pass_note_stall) */
    struct udp_socket *_Atomic busy; /* the socket at which help was last called for; NULL: none */
    uint32_t size;                   /* of the ring; 1: there is one worker, and no lock */
    struct turn *ring;
    uint8_t *memory;
};

struct pass;

/** False when out of memory. Memory is touched only as turns are taken. */
bool turns_init(struct turns *turns, uint32_t workers);
void turns_free(struct turns *turns);

/** Locks a mutex that is held for a system call. Who finds it taken tries again for about as long
 * as that takes before it sleeps: to sleep and be woken costs more than the call, and whoever
 * unlocks pays for it as well. */
void turns_mutex_lock(pthread_mutex_t *mutex);

/** Keeps helpers out while sessions change outside of a standstill. */
static inline void turns_lock(struct turns *turns) {
    if (turns->size > 1)
        turns_mutex_lock(&turns->mutex);
}

static inline void turns_unlock(struct turns *turns) {
    if (turns->size > 1)
        pthread_mutex_unlock(&turns->mutex);
}

/** Nothing to receive; the ring is full; opened; opened, and there may be more at once. */
enum turn_taken { TURN_DRY, TURN_NO_ROOM, TURN_OPENED, TURN_FILLED };

/**
 * Takes a turn at a socket of a pass and opens what it brought.
 * @param by  the pass of the thread that does it, the same one or a helper's
 */
enum turn_taken turns_take(struct pass *of, struct pass *by, struct udp_socket *udp);

/** Puts out, in order, what is done. The caller has the pass. @return whether there was any. */
bool turns_put_out(struct pass *pass);

/** Is the oldest turn done? */
static inline bool turns_waits(struct turns *turns) {
    uint32_t first = atomic_load_explicit(&turns->first, memory_order_relaxed);
    return atomic_load(&turns->ring[first % turns->size].state) == TURN_DONE;
}

#endif
