/*
 * io_uring as the way in: one system call receives what many recvmsg would. Off unless asked for
 * (`--io uring`); whatever it cannot do is done by plain calls.
 *
 *      free ── offered (in the kernel's ring of provided buffers) ── ahead (received, not taken)
 *        ▲                                                               │
 *        └──────── copied out, or held by a turn until it is put out ◄───┘
 *
 * A receive is one io_uring_enter that arms one multishot recvmsg with MSG_DONTWAIT: it runs inside
 * of the call, fills buffers until the socket is dry, no buffer is left, or the kernel ends it, and
 * is over when the call returns. Nothing of ours is pending in the kernel between two calls, so
 * there is nothing to cancel when a socket is closed or replaced, no completion can name a socket
 * that is gone, and epoll goes on to say what is ready. Multishot requests end for many reasons
 * (quality: ENOBUFS, an empty datagram, an error of the socket); here each receive arms anew.
 *
 * Only the worker's own thread enters its ring (IORING_SETUP_SINGLE_ISSUER). What it received ahead
 * stands in a list of the socket, in order, under the lock of the turns: a helper and, at a
 * standstill, the control thread take from there first, and when it is empty, by plain calls. That
 * keeps the order, since the worker enters its ring under the same lock.
 */
#ifndef SHOAL_URING_H
#define SHOAL_URING_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "socket.h"
#include "stats.h"

/** Provided buffers of a worker. With 8, an earlier prototype of pending requests for 1,000 sockets
 * spent its time on ENOBUFS. */
#define URING_BUFFERS 64u
/** Before the payload of each: struct io_uring_recvmsg_out, a name, ancillary data. */
#define URING_NAME 32u
#define URING_CONTROL 144u
#define URING_HEAD (16u + URING_NAME + URING_CONTROL)
/** Not a power of two: the heads of all buffers would fall into the same sets of the caches. */
#define URING_STRIDE (URING_HEAD + SOCKET_RECEIVE_MAX + 64u)
/** Buffers offered at first, and again when what came was gathered; small datagrams that take all
 * of them double the number, up to all. */
#define URING_FEW 8u
/** Mean bytes from which on a receive counts as gathered. */
#define URING_GATHERED 16384u
/** A receive that brought fewer than this and ended with EAGAIN found its socket dry. The kernel
 * also ends one with EAGAIN after some 32. */
#define URING_SURE 8u
/** Calls that may fail for want of memory, in a row, before io_uring is given up. */
#define URING_FAILURES 3u

/* Owner: the worker's thread enters it; all else under the lock of the turns. */
struct uring {
    int fd;                         /* -1: there is none */
    pthread_t thread;               /* who may enter it, */
    bool enabled;                   /* from when this is set, under the worker's mutex */
    bool helped;                    /* helpers wait for the lock that a receive is made under */
    uint32_t want;                  /* buffers to offer now: URING_FEW to URING_BUFFERS */
    uint32_t offered;               /* in the kernel's ring */
    uint32_t free;                  /* in `frees` */
    uint32_t failures;              /* of calls, in a row */
    uint64_t token;                 /* of the last receive: its completions carry it */
    uint16_t tail;                  /* of the ring of provided buffers */
    uint8_t frees[URING_BUFFERS];   /* last out first: what is in the cache is filled again */
    uint8_t next[URING_BUFFERS];    /* of those ahead, behind this one */
    uint8_t state[URING_BUFFERS];   /* enum uring_state */
    uint32_t length[URING_BUFFERS]; /* received, head included */
    uint8_t *buffers;               /* URING_BUFFERS of URING_STRIDE */
    void *offers;                   /* struct io_uring_buf_ring */
    void *requests;                 /* struct io_uring_sqe[] */
    uint8_t *submissions, *completions;
    uint32_t requests_size, submissions_size, completions_size;
    /* Within the two rings that are shared with the kernel. */
    uint32_t *sq_head, *sq_tail, *sq_flags, *sq_array, *cq_head, *cq_tail;
    uint32_t sq_mask, cq_mask;
    void *cqes;
    _Atomic uint32_t ahead;   /* buffers that are, of all sockets; anybody reads */
    _Atomic int32_t *refused; /* the plane's: an errno, by which all workers give it up; 0: none */
};

/** What one taken from a socket's list is. */
struct uring_taken {
    uint8_t place;
    uint8_t *bytes; /* of its payload */
};

/**
 * Makes a ring that its thread has to enable. What the kernel refuses is written to *refused.
 * @param helped  helpers may wait for the lock meanwhile
 */
void uring_open(struct uring *uring, bool helped, _Atomic int32_t *refused);
void uring_close(struct uring *uring);

/** The calling thread is who enters it from here on. @return 0 or an errno: it was given up */
int uring_enable(struct uring *uring);

/**
 * May, and should, the calling thread receive by it now? Several gathered buffers in one call keep
 * the lock for 9 us each, in which a helper has nothing to open: two workers lost a fifth of their
 * rate by that, so there such buffers come one by one.
 */
static inline bool uring_serves(const struct uring *uring, const struct udp_socket *udp) {
    return uring->enabled && !(uring->helped && udp->gathers) &&
           pthread_equal(uring->thread, pthread_self()) &&
           !atomic_load_explicit(uring->refused, memory_order_relaxed);
}

/** Is anything ahead, at whichever socket? */
static inline bool uring_waits(struct uring *uring) {
    return atomic_load_explicit(&uring->ahead, memory_order_relaxed) != 0;
}

/**
 * Receives what is there, up to the buffers that are offered, into the list of the socket.
 * @param dry  set when nothing is left in the socket
 * @return 0, or an errno of the socket. 0 with nothing ahead and not dry: a plain call has to do it
 */
int uring_receive(struct uring *uring, struct udp_socket *udp, struct stats *stats, bool *dry);

/** Takes the oldest of a socket that has some ahead. uring_give_back ends it. */
struct uring_taken uring_take(struct uring *uring, struct udp_socket *udp,
                              struct socket_received *received);
void uring_give_back(struct uring *uring, uint8_t place);

/** The socket closes: what is ahead of it is nobody's. */
void uring_forget(struct uring *uring, struct udp_socket *udp);

#endif
