#include "quiesce.h"

#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "wipe.h"

static void futex(_Atomic uint32_t *word, int operation, uint32_t value) {
    syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

void quiesce_init(struct quiesce *quiesce) { pthread_mutex_init(&quiesce->mutex, NULL); }

void quiesce_destroy(struct quiesce *quiesce) { pthread_mutex_destroy(&quiesce->mutex); }

void quiesce_stop(struct quiesce *quiesce) {
    atomic_store(&quiesce->wanted, 1);
    pthread_mutex_lock(&quiesce->mutex);
}

void quiesce_resume(struct quiesce *quiesce) {
    wipe_leftovers();
    atomic_store(&quiesce->wanted, 0);
    pthread_mutex_unlock(&quiesce->mutex);
    if (atomic_load(&quiesce->waiting))
        futex(&quiesce->wanted, FUTEX_WAKE, INT_MAX);
}

void quiesce_enter(struct quiesce *quiesce) {
    while (atomic_load(&quiesce->wanted)) {
        atomic_store(&quiesce->waiting, 1);
        futex(&quiesce->wanted, FUTEX_WAIT, 1); /* returns at once when it fell meanwhile */
        atomic_store(&quiesce->waiting, 0);
    }
    pthread_mutex_lock(&quiesce->mutex);
}

bool quiesce_try(struct quiesce *quiesce) {
    return !atomic_load(&quiesce->wanted) && pthread_mutex_trylock(&quiesce->mutex) == 0;
}

void quiesce_leave(struct quiesce *quiesce) {
    wipe_leftovers();
    pthread_mutex_unlock(&quiesce->mutex);
}
