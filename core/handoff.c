#include "handoff.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALIGNMENT _Alignof(struct handoff_item)

bool handoff_init(struct handoff *handoff, int bell) {
    pthread_mutex_init(&handoff->mutex, NULL);
    handoff->bell = bell;
    for (int i = 0; i < 2; i++)
        handoff->buffers[i] = aligned_alloc(4096, HANDOFF_BYTES);
    return handoff->buffers[0] && handoff->buffers[1];
}

void handoff_free(struct handoff *handoff) {
    for (int i = 0; i < 2; i++)
        free(handoff->buffers[i]);
    pthread_mutex_destroy(&handoff->mutex);
}

static void wake(const struct handoff *handoff) {
    uint64_t one = 1;
    if (handoff->bell < 0)
        return;
    ssize_t sent = write(handoff->bell, &one, sizeof(one));
    (void)sent; /* EAGAIN: it has been rung 2^64 - 2 times already */
}

void handoff_call(struct handoff *handoff, uint32_t worker) {
    atomic_fetch_or(&handoff->calls, 1ull << worker);
    wake(handoff);
}

bool handoff_put(struct handoff *handoff, const struct handoff_item *head, const uint8_t *bytes,
                 uint32_t length) {
    if (length > HANDOFF_BYTES)
        return false;
    size_t size = sizeof(*head) + length + HANDOFF_SLACK + ALIGNMENT - 1;
    size -= size % ALIGNMENT;
    pthread_mutex_lock(&handoff->mutex);
    uint32_t *used = &handoff->used[handoff->filling];
    bool fits = size <= HANDOFF_BYTES - *used, first = *used == 0;
    if (fits) {
        struct handoff_item *item =
            (struct handoff_item *)(void *)(handoff->buffers[handoff->filling] + *used);
        *item = *head;
        item->size = (uint32_t)size;
        item->length = length;
        memcpy(item->bytes, bytes, length);
        *used += (uint32_t)size;
        atomic_store_explicit(&handoff->waits, true, memory_order_release);
    }
    pthread_mutex_unlock(&handoff->mutex);
    if (fits && first)
        wake(handoff);
    return fits;
}

struct handoff_item *handoff_take(struct handoff *handoff, const uint8_t **end) {
    pthread_mutex_lock(&handoff->mutex);
    uint8_t *taken = handoff->buffers[handoff->filling];
    uint32_t used = handoff->used[handoff->filling];
    if (used) {
        handoff->filling = 1 - handoff->filling;
        handoff->used[handoff->filling] = 0;
    }
    atomic_store_explicit(&handoff->waits, false, memory_order_relaxed);
    pthread_mutex_unlock(&handoff->mutex);
    *end = taken + used;
    return used ? (struct handoff_item *)(void *)taken : NULL;
}
