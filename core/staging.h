/*
 * Frames that wait for a session (R16, R45): at most 128 a peer and a byte limit over all peers,
 * oldest dropped first at both.
 */
#ifndef SHOAL_STAGING_H
#define SHOAL_STAGING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STAGING_PEER_MAX 128u

struct peer;

/** One frame as it came from the TUN, virtio header first, with room for padding behind it. */
struct staged {
    struct staged *peer_next;
    struct staged *older, *newer; /* over all peers */
    struct peer *peer;
    uint32_t length;
    uint8_t frame[];
};

/* Owner: the peer's worker. */
struct staging {
    struct staged *head, *tail; /* oldest, newest */
    uint32_t count;
};

/** All that is staged in a device. Owner: as struct staging. */
struct staging_pool {
    struct staged *oldest, *newest;
    uint64_t bytes;
    uint64_t bytes_max;
};

struct staging_drops {
    uint32_t peer;  /* dropped of this peer at its 128 */
    uint32_t total; /* dropped of anybody at the byte limit */
};

/**
 * Copies a frame behind what waits already; drops the oldest where a limit is reached.
 * @param dropped  called for the peer of each frame that the byte limit drops.
 * @return false when out of memory, or the frame alone is above the byte limit.
 */
bool staging_push(struct staging_pool *pool, struct staging *staging, struct peer *peer,
                  const uint8_t *frame, uint32_t length, struct staging_drops *drops,
                  void (*dropped)(struct peer *peer));

/** The oldest frame, left in place; NULL when nothing waits. */
static inline struct staged *staging_first(const struct staging *staging) { return staging->head; }

/** Removes the oldest frame of a peer and frees it. */
void staging_drop_first(struct staging_pool *pool, struct staging *staging);

/** Removes all frames of a peer. @return how many. */
uint32_t staging_clear(struct staging_pool *pool, struct staging *staging);

#endif
