/*
 * Connected sockets of a worker's busiest peers. The kernel finds such a socket before it looks at
 * the shared one, sends from it without asking for the route again, and gives it a receive buffer
 * of its own. It is a copy of the shared socket for one place and one source; what arrives on it is
 * judged as if it had come to the shared one, and without it nothing is missing.
 *
 *                  busy, endpoint and source known
 *      (shared) ───────────────────────────────────► WAITS   connected; not read until the shared
 *          ▲                                           │     socket has given what came before
 *          │ dry: closed                               ▼
 *        LEAVES ◄──────────────────────────────────── OPEN   read, and sent by
 *                  quiet, a busier peer, the endpoint or its source moved, refused twice,
 *                  mark, port or offloads changed
 *
 * Between bind and connect it gets what anybody sends to its address, for some microseconds: that
 * is read like everything else (T23). One that leaves is connected to ourselves first, so that
 * nothing comes any more, and is read until it is dry, before the shared socket is: nothing is
 * lost, and the order stays. What leaves while it WAITS stays connected until it would be opened:
 * what came to the shared socket before it is older.
 *
 * Errors of a connected socket are what ICMP says, and anybody may say that. They are hints: the
 * same bytes go by the shared socket at once, whose answer counts, and the caller is told
 * (SHOAL_MAIL_REFUSED), who may ask the peer in a way that cannot be forged.
 */
#ifndef SHOAL_CONNECTED_H
#define SHOAL_CONNECTED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shoal.h"
#include "socket.h"

#define CONNECTED_MAX 64u /* bits of a mask; no worker has more places than that */

/** Places of one worker, and of all of a device. The kernel (6.18) compares what comes from a
 * stranger, or from a peer that has none, with every one of them: 6 ns each. */
#define CONNECTED_WORKER 8u
#define CONNECTED_ALL 16u

/** When one could not be made, its peer, and when none could, everybody, waits so long. */
#define CONNECTED_REST_NS 5000000000ull
/** A peer that has moved waits so long. */
#define CONNECTED_MOVED_NS 100000000ull
/** Where several peers are, nobody has one for so long; so many such places are known. */
#define CONNECTED_CROWD_NS 60000000000ull
#define CONNECTED_CROWDS 8u
/** How often a busy peer may look for a place among others that are. */
#define CONNECTED_PACE_NS 50000000ull
/** Another processor may have found a socket for a datagram and not put it in yet when it is
 * connected to another place: it stays open so long. */
#define CONNECTED_LINGER_NS 200000ull
/** The longest that one waits for the shared socket, where the kernel dates nothing. */
#define CONNECTED_WAIT_NS 100000000ull
/** What a peer's ICMP errors are told of: once in this time. */
#define CONNECTED_TELL_NS 1000000000ull

struct peer;
struct pass;

/* Owner: whoever has the pass. `udp` is opened and closed under the lock of its turns, too. */
struct connected_place {
    struct udp_socket udp; /* fd -1: the place is free */
    struct peer *peer;     /* NULL: it leaves, or is free */
    struct shoal_address remote, local;
    uint64_t begun;    /* the first batch after it was connected, or began to leave; 0: not yet */
    uint64_t since;    /* the same in CLOCK_REALTIME, as the kernel dates what arrives */
    uint32_t failures; /* sends that failed here and left by the shared socket, in a row */
};

/* A place at which several peers are, behind one relay. */
struct connected_crowd {
    struct shoal_address remote;
    uint64_t at; /* when one was last seen; 0: none */
};

/* Owner: whoever has the pass. */
struct connected {
    int epoll; /* of the worker */
    uint64_t used, waits, leaves;
    uint64_t goes;        /* of those that wait: they leave when they would be opened */
    bool gro;             /* they were opened with UDP_GRO */
    struct peer *wish;    /* the busiest of this batch that has none */
    uint64_t next_try;    /* no place is looked for earlier */
    uint64_t sweep;       /* period in which idle ones were last looked for */
    uint32_t routes_seen; /* the plane's `route_changes` */
    uint32_t turn;        /* place that is read first */
    struct connected_crowd crowds[CONNECTED_CROWDS];
    _Atomic uint64_t refused; /* places at which a receive found an error; anybody sets */
    _Atomic uint32_t count;   /* places in use; anybody reads */
    _Atomic int32_t error;    /* why the last one could not be made: an errno; anybody reads */
    struct connected_place *places;
};

/** False when out of memory. */
bool connected_init(struct connected *connected);
void connected_free(struct connected *connected);

/** Counts messages of a peer, in or out; a busy one is thought of when the batch ends. */
void connected_note(struct pass *pass, struct peer *peer, uint32_t n);

/** The socket by which a peer's messages leave; NULL: the shared one. */
struct udp_socket *connected_of(struct pass *pass, const struct peer *peer);

/** The peer's endpoint may be another one: then its socket leaves. */
void connected_follow(struct pass *pass, struct peer *peer);

/** A hash of an address and its port, by which peers of one place are found; 0: no address. Two
 * places with one hash have no connected socket, and lose nothing else. */
uint64_t connected_place_of(const struct shoal_address *remote);

/** Whether some peer's socket is connected to this place. */
bool connected_has(const struct pass *pass, const struct shoal_address *remote);

/**
 * Several peers are at a place, as behind a relay. A connected socket would take what is theirs for
 * what is its peer's, and bring it to its own worker, past the steering: so none has one, and one
 * that is there leaves. By what was not authenticated yet: whoever forges it costs a peer its own
 * socket, and nothing else.
 * At the limit the place that was seen least lately is forgotten.
 */
void connected_crowd_at(struct pass *pass, const struct shoal_address *remote);

/** The peer goes. */
void connected_forget(struct pass *pass, struct peer *peer);

/** A send by it was taken. */
void connected_sent(struct pass *pass, const struct peer *peer);

/**
 * A send by it failed, and the shared socket was asked in its place.
 * @param shared_error  what that one said: an errno, 0: it was sent
 */
void connected_failed(struct pass *pass, struct peer *peer, int error, int shared_error);

/** A receive found an error; under the lock of the turns. Any thread that took one. */
void connected_refused(struct connected *connected, const struct udp_socket *udp);

/** Reads those that leave. The shared socket of their family waits for them: it is held meanwhile.
 */
void connected_read_leaving(struct pass *pass);

/** Reads what is ready. @param ready  places */
void connected_read(struct pass *pass, uint64_t ready);

/** The shared socket of a family was read. @param dry  until nothing was left */
void connected_shared_read(struct pass *pass, uint32_t which, bool dry);

/** At the end of a batch: opens, closes, tells. */
void connected_settle(struct pass *pass);

/** Is there something to do before anything arrives? */
static inline bool connected_is_busy(const struct connected *connected) {
    return (connected->waits | connected->leaves) != 0;
}

/** Reads the shared socket of a family until nothing is left, and before it those that leave. At a
 * standstill. */
void connected_drain_shared(struct pass *pass, uint32_t which);

/** Reads all dry and closes them. At a standstill. */
void connected_close_all(struct pass *pass);

#endif
