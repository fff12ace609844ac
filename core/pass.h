/*
 * A pass: all that the packets of one worker meet between TUN and sockets, and what they leave
 * behind, without the thread and the loop that drive it. rx, tx, forward and edge work on a pass;
 * what they find out and cannot do themselves (the TUN is gone, a socket is full) stands in it
 * afterwards, and the worker acts.
 */
#ifndef SHOAL_PASS_H
#define SHOAL_PASS_H

#include <stdbool.h>
#include <stdint.h>

#include "around.h"
#include "connected.h"
#include "flush.h"
#include "plane.h"
#include "routes.h"
#include "rx.h"
#include "sealing.h"
#include "session.h"
#include "socket.h"
#include "staging.h"
#include "stats.h"
#include "tun.h"
#include "turns.h"
#include "tx.h"
#include "uring.h"

/* The two sockets that everybody may write to, and from PASS_CONNECTED on those of one peer each
 * (connected.h). */
enum pass_socket { PASS_INET, PASS_INET6, PASS_SOCKETS, PASS_CONNECTED };

/** What epoll says of a connected socket: this and its place. */
#define PASS_EVENT_CONNECTED 64u

/** So long everything waits for a turn of a helper until its owner does without help. */
#define PASS_STALL_NS 300000ull
/** So long it does then at first; twice as long each time when it soon has to wait again. */
#define PASS_ALONE_NS 50000000ull
#define PASS_ALONE_MAX_NS 1600000000ull

/* Owner: the worker during a batch, the control thread at a standstill. */
struct pass {
    struct plane *plane;
    uint32_t worker;   /* whose it is */
    uint64_t now;      /* CLOCK_BOOTTIME of this batch */
    uint64_t realtime; /* CLOCK_REALTIME of it: of nothing but what the kernel dated */
    struct tun tun;    /* our queue; fd -1: none */
    bool reads_tun;    /* it is ours alone; else worker 0 reads it, and all write to it */
    bool tun_gone;     /* a read or a write found it deleted */
    struct udp_socket sockets[PASS_SOCKETS];
    struct connected connected;    /* of our busiest peers */
    struct routes routes;          /* of the machine: asked about sources */
    struct around around;          /* ways past our own interface */
    struct session_table sessions; /* of our peers */
    struct aead *aead;             /* holds no key between batches */
    struct staging_pool staging;   /* what waits for a session of theirs */
    struct flush flush;            /* those of them that may send it */
    struct stats stats;
    struct tx tx;
    struct rx rx;
    struct turns turns;            /* at our sockets */
    struct uring uring;            /* by which our thread receives; fd -1: by plain calls */
    struct sealing sealing;        /* at our TUN queue */
    _Atomic uint64_t alone_until;  /* no help is called for, and none given, before this time */
    uint64_t alone_for;            /* so long it is until then; 0: it never was */
    struct icmp_pace forward_pace; /* of errors about what is forwarded */
};

/**
 * @param seed  32 secret random bytes: hash keys of its tables.
 * @return 0 or an errno; pass_free frees what there is.
 */
int pass_init(struct pass *pass, struct plane *plane, uint32_t worker, uint64_t staged_bytes_max,
              const uint8_t seed[32]);

/** Closes its sockets and frees its tables; the TUN and the peers are the device's. */
void pass_free(struct pass *pass);

/** The socket for an endpoint's family, NULL when none is open. */
static inline struct udp_socket *pass_socket_for(struct pass *pass, uint16_t family) {
    struct udp_socket *udp = &pass->sockets[family == SHOAL_AF_INET6 ? PASS_INET6 : PASS_INET];
    return udp->fd >= 0 ? udp : NULL;
}

/** The TUN is deleted: nothing is read from it or written to it any more. `locked`: the caller has
 * the lock of its turns, by which helpers read it too. */
static inline void pass_lose_tun(struct pass *pass, bool locked) {
    if (!locked)
        sealing_lock(&pass->sealing);
    pass->tun.fd = -1; /* the device closes the descriptor */
    pass->tun_gone = true;
    if (!locked)
        sealing_unlock(&pass->sealing);
}

/** Sets a peer's endpoint; a socket that is connected to another place leaves. */
void pass_set_endpoint(struct pass *pass, struct peer *peer, const struct shoal_endpoint *endpoint);

/** Counts n packets that are not delivered, on their peer too where one is known. */
static inline void pass_drop(struct pass *pass, struct peer *peer, enum counter why, uint32_t n) {
    stats_add(&pass->stats, why, n);
    if (peer)
        facts_add(&peer->facts.dropped, n);
}

/** Wakes a worker that has nothing to do, if there is one, to take turns at our sockets. */
void pass_call_help(struct pass *pass);

/**
 * At the end of a drain. A helper whose processor has other work stops in the midst of its turn,
 * and what comes behind that waits for it, for milliseconds: then one worker alone is faster.
 * @param since   when the ring was first found full, and its oldest turn not done; 0: it was not
 * @param stands  it was found so now
 */
void pass_note_stall(struct pass *pass, uint64_t *since, bool stands);

/** The way to a place past our own interface: around.h. */
static inline uint32_t pass_way(struct pass *pass, const struct shoal_address *to) {
    return around_way(&pass->around, &pass->routes, &pass->stats, pass->plane, to);
}

/** Posts an edge or news. @return false when the mailbox is full. */
static inline bool pass_news(struct pass *pass, const struct shoal_mail *mail) {
    return post_news(&pass->plane->post, &pass->stats, mail);
}

#endif
