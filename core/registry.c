#include "registry.h"

#include <pthread.h>
#include <stdbool.h>

/* Owner: whoever holds `lock`. */
struct slot {
    pthread_mutex_t lock;
    struct device *device; /* NULL: free, or claimed and not yet published */
    uint32_t generation;   /* of the handle that is valid now, or that the next claim gets */
    bool claimed;
};

static struct slot slots[REGISTRY_DEVICES_MAX] = {
    [0 ... REGISTRY_DEVICES_MAX - 1] = {.lock = PTHREAD_MUTEX_INITIALIZER, .generation = 1},
};

/* Of a handle that registry_claim made. */
static struct slot *slot_of(shoal_device_t handle) {
    return &slots[(uint32_t)handle % REGISTRY_DEVICES_MAX];
}

enum shoal_status registry_claim(shoal_device_t *handle) {
    for (uint32_t i = 0; i < REGISTRY_DEVICES_MAX; i++) {
        struct slot *slot = &slots[i];
        pthread_mutex_lock(&slot->lock);
        bool won = !slot->claimed;
        if (won) {
            slot->claimed = true;
            *handle = (uint64_t)slot->generation << 32 | i;
        }
        pthread_mutex_unlock(&slot->lock);
        if (won)
            return SHOAL_OK;
    }
    return SHOAL_E_FULL;
}

void registry_publish(shoal_device_t handle, struct device *device) {
    struct slot *slot = slot_of(handle);
    pthread_mutex_lock(&slot->lock);
    slot->device = device;
    pthread_mutex_unlock(&slot->lock);
}

struct device *registry_take(shoal_device_t handle) {
    struct device *device = registry_acquire(handle);
    if (!device)
        return NULL;
    slot_of(handle)->device = NULL;
    registry_release(handle);
    return device;
}

void registry_give_back(shoal_device_t handle) {
    struct slot *slot = slot_of(handle);
    pthread_mutex_lock(&slot->lock);
    slot->device = NULL;
    slot->claimed = false;
    if (++slot->generation == 0)
        slot->generation = 1; /* handle 0 is never valid */
    pthread_mutex_unlock(&slot->lock);
}

struct device *registry_acquire(shoal_device_t handle) {
    if ((uint32_t)handle >= REGISTRY_DEVICES_MAX)
        return NULL;
    struct slot *slot = slot_of(handle);
    pthread_mutex_lock(&slot->lock);
    if (slot->device && slot->generation == handle >> 32)
        return slot->device;
    pthread_mutex_unlock(&slot->lock);
    return NULL;
}

void registry_release(shoal_device_t handle) { pthread_mutex_unlock(&slot_of(handle)->lock); }
