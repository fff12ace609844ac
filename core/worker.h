/*
 * A worker: one thread that owns a TUN queue and one UDP socket per family, and runs every packet
 * to completion. It reads the clock once a batch.
 */
#ifndef SHOAL_WORKER_H
#define SHOAL_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "device.h"
#include "link.h"
#include "routes.h"
#include "rx.h"
#include "socket.h"
#include "stats.h"
#include "tun.h"
#include "tx.h"

enum worker_socket { WORKER_INET, WORKER_INET6, WORKER_SOCKETS };

/* Owner: its thread while it holds `mutex`, the control thread at a standstill. */
struct worker {
    pthread_mutex_t mutex;
    pthread_t thread;
    bool started;
    uint32_t index;
    struct device *device;
    int epoll;
    int wake;       /* eventfd: the control thread rings for stop and for staged frames */
    struct tun tun; /* our queue; the descriptor of worker 0 is the device's */
    bool tun_polled;
    bool waiting_for_socket; /* the train waits, the TUN is left alone */
    struct udp_socket sockets[WORKER_SOCKETS];
    struct link link;     /* worker 0 follows the interface */
    struct routes routes; /* and the machine's routes */
    uint64_t now;         /* CLOCK_BOOTTIME of this batch */
    struct peer *flush_list;
    struct stats stats;
    struct tx tx;
    struct rx rx;
    struct icmp_pace forward_pace; /* of errors about what is forwarded */
};

/**
 * Allocates and opens what a worker needs beside its TUN; NULL with errno.
 * @param seed  16 secret random bytes: hash key of its tables
 */
struct worker *worker_create(struct device *device, uint32_t index, const uint8_t seed[16]);

/** After worker_stop: frees and closes everything. */
void worker_free(struct worker *worker);

/** Starts the thread, all signals blocked. 0 or an errno. */
int worker_start(struct worker *worker);

/** Rings and joins. */
void worker_stop(struct worker *worker);

/** Wakes the thread out of epoll_wait. */
void worker_ring(struct worker *worker);

/** Starts polling the TUN, or one socket; 0 or an errno. Control thread, at a standstill. */
int worker_poll_tun(struct worker *worker);
int worker_poll_routes(struct worker *worker);
int worker_poll_socket(struct worker *worker, enum worker_socket which);

/** The interface is gone: stop polling it and say so, once. */
void worker_tun_gone(struct worker *worker);

/** Leaves the TUN alone until the socket has room again. */
void worker_wait_for_socket(struct worker *worker, const struct udp_socket *udp);

/** Back to normal when the socket has room or is another: the train that waited goes first. */
void worker_resume(struct worker *worker);

/** The staged frames of this peer may leave: the worker sends them in its next batch. */
void worker_list_flush(struct worker *worker, struct peer *peer);
void worker_unlist_flush(struct worker *worker, struct peer *peer);

/** The socket for an endpoint's family, NULL when none is open. */
static inline struct udp_socket *worker_socket_for(struct worker *worker, uint16_t family) {
    struct udp_socket *udp =
        &worker->sockets[family == SHOAL_AF_INET6 ? WORKER_INET6 : WORKER_INET];
    return udp->fd >= 0 ? udp : NULL;
}

#endif
