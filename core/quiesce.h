/*
 * How the control thread stops a worker, and what that costs whom.
 *
 * A worker holds its own mutex during a batch and lets go of it around epoll_wait. The control
 * thread raises `wanted` and takes the mutex: an idle worker costs it an uncontended lock and is
 * not even woken; a busy one finishes its batch, sees `wanted` before the next one and sleeps until
 * it falls, so the control thread never starves under load. Between quiesce_stop and quiesce_resume
 * the control thread owns what the worker owns.
 *
 * Session keys are used on both sides of that door only, so whoever goes through it leaves no copy
 * of one on its stack (R65).
 */
#ifndef SHOAL_QUIESCE_H
#define SHOAL_QUIESCE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* One a worker. Owner: shared; `wanted` is a futex word. */
struct quiesce {
    pthread_mutex_t mutex;
    _Atomic uint32_t wanted;  /* 1 while the control thread wants or has the standstill */
    _Atomic uint32_t waiting; /* 1 while the worker is asleep on `wanted` */
};

void quiesce_init(struct quiesce *quiesce);
void quiesce_destroy(struct quiesce *quiesce);

/** Control thread: returns with the worker at a standstill. Not recursive. */
void quiesce_stop(struct quiesce *quiesce);
void quiesce_resume(struct quiesce *quiesce);

/** Another worker, for a moment: false when its thread is in a batch, or the control thread wants
 * it. quiesce_leave ends it. */
bool quiesce_try(struct quiesce *quiesce);

/** Worker: before and after a batch. */
void quiesce_enter(struct quiesce *quiesce);
void quiesce_leave(struct quiesce *quiesce);

#endif
