#include "staging.h"

#include <stdlib.h>
#include <string.h>

#include "peer.h"
#include "segment.h"

static uint64_t cost(const struct staged *staged) { return sizeof(*staged) + staged->length; }

void staging_drop_first(struct staging_pool *pool, struct staging *staging) {
    struct staged *first = staging->head;
    staging->head = first->peer_next;
    if (!staging->head)
        staging->tail = NULL;
    staging->count--;
    if (first->older)
        first->older->newer = first->newer;
    else
        pool->oldest = first->newer;
    if (first->newer)
        first->newer->older = first->older;
    else
        pool->newest = first->older;
    pool->bytes -= cost(first);
    free(first);
}

static void append(struct staging_pool *pool, struct staging *staging, struct staged *staged) {
    if (staging->tail)
        staging->tail->peer_next = staged;
    else
        staging->head = staged;
    staging->tail = staged;
    staging->count++;
    staged->older = pool->newest;
    if (pool->newest)
        pool->newest->newer = staged;
    else
        pool->oldest = staged;
    pool->newest = staged;
    pool->bytes += cost(staged);
}

bool staging_push(struct staging_pool *pool, struct staging *staging, struct peer *peer,
                  const uint8_t *frame, uint32_t length, struct staging_drops *drops,
                  void (*dropped)(struct peer *peer)) {
    uint64_t need = sizeof(struct staged) + length;
    if (need > pool->bytes_max)
        return false;
    struct staged *staged = malloc(sizeof(*staged) + length + SEGMENT_SLACK);
    if (!staged)
        return false;
    if (staging->count >= STAGING_PEER_MAX) {
        staging_drop_first(pool, staging);
        drops->peer++;
    }
    while (pool->bytes + need > pool->bytes_max) {
        struct peer *victim = pool->oldest->peer; /* the oldest of all is the oldest of its peer */
        staging_drop_first(pool, &victim->staging);
        drops->total++;
        dropped(victim);
    }
    *staged = (struct staged){.peer = peer, .length = length};
    memcpy(staged->frame, frame, length);
    append(pool, staging, staged);
    return true;
}

uint32_t staging_clear(struct staging_pool *pool, struct staging *staging) {
    uint32_t count = 0;
    for (; staging->head; count++)
        staging_drop_first(pool, staging);
    return count;
}
