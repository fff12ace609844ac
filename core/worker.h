/*
 * A worker: one thread that drives a pass whenever its TUN queue, its sockets or a command have
 * something for it. It runs every packet to completion and reads the clock once a batch.
 */
#ifndef SHOAL_WORKER_H
#define SHOAL_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "interface.h"
#include "pass.h"
#include "placement.h"
#include "quiesce.h"

/* Owner: its thread during a batch, the control thread at a standstill. */
struct worker {
    struct quiesce quiesce;
    pthread_t thread;
    bool started;
    _Atomic bool stopping;
    uint32_t index;
    int epoll;
    int wake;                    /* eventfd: the control thread rings for stop and staged frames */
    int tun_polled;              /* the descriptor that epoll knows; -1: none */
    uint32_t full;               /* the socket whose room is waited for, as in struct tx;
                                    PASS_SOCKETS: none */
    struct interface *interface; /* worker 0 follows the device's; NULL for another */
    struct worker **all;         /* of the device, by number: whom it may help */
    struct pass pass;
};

/**
 * Allocates and opens what a worker needs beside its TUN and its sockets; NULL with errno.
 * @param seed  32 secret random bytes: hash keys of its tables
 */
struct worker *worker_create(struct plane *plane, uint32_t index, uint64_t staged_bytes_max,
                             const uint8_t seed[32]);

/** After worker_stop: frees and closes everything. */
void worker_free(struct worker *worker);

/** Starts the thread, all signals blocked, on one processor or on any (PLACEMENT_ANYWHERE). 0 or an
 * errno. */
int worker_start(struct worker *worker, int32_t cpu);

/** Rings and joins. */
void worker_stop(struct worker *worker);

/** Starts polling the TUN, the interface and the routes, or one socket; 0 or an errno. Control
 * thread, at a standstill. */
int worker_poll_tun(struct worker *worker);
int worker_poll_routes(struct worker *worker);
int worker_poll_socket(struct worker *worker, enum pass_socket which);

/** Acts on what a pass left behind: polls what it waits for, lets go of a TUN that is gone, and
 * sees to it that staged frames go on. At the end of every batch and of every command. */
void worker_settle(struct worker *worker);

#endif
