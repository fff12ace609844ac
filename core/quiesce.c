#include "quiesce.h"

#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "device.h"
#include "wipe.h"
#include "worker.h"

static void futex(_Atomic uint32_t *word, int operation, uint32_t value) {
    syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

void quiesce_begin(struct device *device) {
    atomic_store(&device->quiesce.wanted, 1);
    for (uint32_t i = 0; i < device->worker_count; i++)
        pthread_mutex_lock(&device->workers[i]->mutex);
}

void quiesce_end(struct device *device) {
    wipe_leftovers();
    atomic_store(&device->quiesce.wanted, 0);
    for (uint32_t i = device->worker_count; i-- > 0;)
        pthread_mutex_unlock(&device->workers[i]->mutex);
    if (atomic_load(&device->quiesce.waiting))
        futex(&device->quiesce.wanted, FUTEX_WAKE, INT_MAX);
}

void quiesce_enter(struct quiesce *quiesce, pthread_mutex_t *mutex) {
    while (atomic_load(&quiesce->wanted)) {
        atomic_fetch_add(&quiesce->waiting, 1);
        futex(&quiesce->wanted, FUTEX_WAIT, 1); /* returns at once when it fell meanwhile */
        atomic_fetch_sub(&quiesce->waiting, 1);
    }
    pthread_mutex_lock(mutex);
}

void quiesce_leave(pthread_mutex_t *mutex) {
    wipe_leftovers();
    pthread_mutex_unlock(mutex);
}
