/*
 * The box into which other workers put what they found and one worker owns: a data message of a
 * session that is not theirs, or a frame for a peer that is not theirs. Each is copied in, and the
 * owner works on it in its next batch.
 *
 * This is the exception. The kernel is told which worker's socket and queue is whose (steering.h),
 * so a box fills where it may not be told, and by what it cannot tell apart: a buffer that UDP_GRO
 * gathered follows its first message, and a guest's packet goes on to a peer of another worker.
 *
 * There are two buffers: others fill one while the owner empties the other, and it takes them in
 * turn. At its limit what comes is refused, and whoever brought it counts it.
 */
#ifndef SHOAL_HANDOFF_H
#define SHOAL_HANDOFF_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shoal.h"

#define HANDOFF_BYTES (256u * 1024u) /* of one buffer, items with their heads */
#define HANDOFF_SLACK 16u            /* writable bytes behind those of an item */

enum handoff_kind {
    HANDOFF_MESSAGE, /* a data message as it came, not opened */
    HANDOFF_FRAME,   /* virtio header and a packet or super-packet, to be sealed */
};

/* A peer that may be gone when the item is looked at. */
struct handoff_peer {
    uint32_t slot;       /* UINT32_MAX: none */
    uint32_t generation; /* of its entry */
};

struct handoff_item {
    uint32_t size;                  /* of the item with all that belongs to it */
    uint32_t length;                /* of `bytes` */
    uint8_t kind;                   /* enum handoff_kind */
    uint8_t tos;                    /* of the outer header of a message, of the packet of a frame */
    bool crowded;                   /* a message that came from where other workers' peers are */
    bool congested;                 /* a frame of a queue that stands: see tx_frame */
    struct handoff_peer to;         /* of a frame */
    struct handoff_peer from;       /* who sent it to us; none: it came out of the TUN */
    struct shoal_endpoint endpoint; /* whence a message came */
    _Alignas(16) uint8_t bytes[];
};

/* Owner: shared under the mutex; the buffer that was taken last is its worker's. */
struct handoff {
    pthread_mutex_t mutex;
    uint8_t *buffers[2];
    uint32_t used[2];
    uint32_t filling; /* the buffer that others fill */
    _Atomic bool waits;
    _Atomic uint64_t calls; /* for help with turns (turns.h), by bit of who calls */
    int bell;               /* the worker's eventfd, borrowed; -1: nobody to wake */
};

/** False when out of memory. Memory is touched only as a box fills. */
bool handoff_init(struct handoff *handoff, int bell);
void handoff_free(struct handoff *handoff);

/** Calls the worker of the box to help another one. */
void handoff_call(struct handoff *handoff, uint32_t worker);

/** Copies an item in, and wakes the owner of a box that was empty. False: there is no room. */
bool handoff_put(struct handoff *handoff, const struct handoff_item *head, const uint8_t *bytes,
                 uint32_t length);

/** Is there something in it? */
static inline bool handoff_waits(const struct handoff *handoff) {
    return atomic_load_explicit(&handoff->waits, memory_order_acquire);
}

/** Its worker takes what is in it: items one behind the other, its own until it takes again.
 * @return the first one, or NULL; *end is behind the last. */
struct handoff_item *handoff_take(struct handoff *handoff, const uint8_t **end);

/** The item behind this one. */
static inline struct handoff_item *handoff_next(struct handoff_item *item) {
    return (struct handoff_item *)(void *)((uint8_t *)item + item->size);
}

#endif
