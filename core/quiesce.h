/*
 * How the control thread gets a standstill, and what that costs whom.
 *
 * A worker holds its own mutex during a batch and lets go of it around epoll_wait. The control
 * thread raises `wanted` and takes every worker's mutex: an idle worker costs it an uncontended
 * lock and is not even woken; a busy one finishes its batch, sees `wanted` before the next one and
 * sleeps until it falls, so the control thread never starves under load. Between quiesce_begin and
 * quiesce_end the control thread owns what the workers own.
 *
 * Session keys are used on both sides of that door only, so whoever goes through it leaves no copy
 * of one on its stack (R65).
 */
#ifndef SHOAL_QUIESCE_H
#define SHOAL_QUIESCE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct device;

/* Owner: shared; `wanted` is a futex word. */
struct quiesce {
    _Atomic uint32_t wanted;  /* 1 while the control thread wants or has the standstill */
    _Atomic uint32_t waiting; /* workers asleep on `wanted` */
};

/** Control thread: returns with all workers at a standstill. Not recursive. */
void quiesce_begin(struct device *device);
void quiesce_end(struct device *device);

/** Worker: before and after a batch. */
void quiesce_enter(struct quiesce *quiesce, pthread_mutex_t *mutex);
void quiesce_leave(pthread_mutex_t *mutex);

#endif
