#include "faults.h"

#include <errno.h>
#include <stddef.h>

void plan(struct fault *fault, int error, int times) {
    atomic_store(&fault->only_trains, false);
    atomic_store(&fault->only_sourced, false);
    atomic_store(&fault->calls, 0);
    atomic_store(&fault->error, error);
    atomic_store(&fault->times, times);
}

void plan_trains(struct fault *fault, int error, int times) {
    plan(fault, error, 0);
    atomic_store(&fault->only_trains, true);
    atomic_store(&fault->times, times);
}

bool strikes(struct fault *fault, bool train, bool sourced) {
    atomic_fetch_add(&fault->calls, 1);
    if ((atomic_load(&fault->only_trains) && !train) ||
        (atomic_load(&fault->only_sourced) && !sourced))
        return false;
    int left = atomic_load(&fault->times);
    do { /* several workers may be struck at once, each by a fault of its own */
        if (left <= 0)
            return false;
    } while (!atomic_compare_exchange_weak(&fault->times, &left, left - 1));
    errno = atomic_load(&fault->error);
    return true;
}
