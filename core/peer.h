/*
 * Peers: three session slots (R40), an endpoint, what waits for a session, edges and facts; and the
 * table of them.
 */
#ifndef SHOAL_PEER_H
#define SHOAL_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "facts.h"
#include "heat.h"
#include "session.h"
#include "shoal.h"
#include "staging.h"

/** No slot, nor what a look-up of routes says where it finds none: who speaks for it is refused. */
#define PEER_NOBODY (UINT32_MAX - 1u)

enum peer_slot { PEER_PREVIOUS, PEER_CURRENT, PEER_NEXT, PEER_SLOTS };

/* Owner: its worker, or the control thread at a standstill; `facts` are read by anybody. */
struct peer {
    uint32_t slot;      /* in the table, and its number in the routes */
    uint32_t tag;       /* the caller's */
    uint32_t worker;    /* who owns it */
    uint32_t armed;     /* mask of enum shoal_edge */
    uint64_t gso_again; /* the path to this endpoint has refused UDP_SEGMENT (its MTU, most likely):
                           when that is tried again, since paths recover and ICMP is forged */
    bool gso_told;      /* that was mailed */
    bool offline;       /* the caller knows that it is not there */
    bool guest;         /* what it and other peers send each other goes through us: forward.h */
    bool staying;       /* its endpoint moves by shoal_peer_set_endpoint alone, and
                           a session that is not confirmed pushes out none that was */
    uint32_t speaks_for; /* slot of the peer whose routes are its own: another one's where it is a
                            lane; PEER_NOBODY: it was one */
    uint32_t lane;       /* number; 0: it is none */
    uint32_t lane_count; /* of its lanes, with itself */
    uint32_t spread;     /* over so many of those the kernel is told to spread flows; only the
                            control thread changes these four */
    struct peer *lanes[SHOAL_LANES_MAX]; /* the first is itself, or of a lane whose it is */
    uint64_t elsewhere_told; /* when the caller was last told that it was heard elsewhere */
    struct session *sessions[PEER_SLOTS];
    struct shoal_endpoint endpoint;
    uint32_t routes_seen; /* the device's `route_changes` when source and way were last asked for */
    uint32_t way;         /* past our own interface to the endpoint: around.h */
    uint32_t connected;   /* place of its socket, counted from 1; 0: it has none (connected.h) */
    uint64_t connect_again; /* not before: it could not be made */
    uint64_t refused_told;  /* when the caller was last told of an ICMP error */
    struct heat heat;
    struct staging staging;
    struct peer *flush_next; /* list of peers whose staged frames may leave */
    bool flush_listed;
    struct facts facts;
};

/** Sets the endpoint and its published copy; forgets what the old path refused. */
void peer_set_endpoint(struct peer *peer, const struct shoal_endpoint *endpoint);

/** Puts a new session into its slot by role (R41, R42); those pushed out are wiped. */
enum shoal_status peer_install(struct peer *peer, struct session_table *table,
                               struct session *session);

/** The first authenticated packet on `next` makes it current (R43). */
void peer_confirm(struct peer *peer, struct session_table *table);

/**
 * Makes a new peer the next lane of one that is none. At a standstill of all workers: everybody
 * that sends reads which lanes there are. Its worker is `lane_count` behind the peer's.
 */
void peer_join_lanes(struct peer *peer, struct peer *lane);

/** A peer goes: it, and the lanes behind it, are lanes of nobody. What went by it its first one has
 * carried from then on. At a standstill. */
void peer_leave_lanes(struct peer *peer);

/** Is it a lane, or has it some? Several workers' sessions are at its place then. */
static inline bool peer_has_lanes(const struct peer *peer) {
    return peer->lane || peer->lane_count > 1;
}

/** The lane of a peer that a worker sends by if it can; the peer itself where it has none there. */
static inline struct peer *peer_lane_at(struct peer *peer, uint32_t worker, uint32_t workers) {
    if (peer->lane_count == 1)
        return peer;
    uint32_t number = (worker + workers - peer->worker) % workers;
    return number < peer->lane_count ? peer->lanes[number] : peer;
}

/** Wipes all three slots. */
void peer_clear_sessions(struct peer *peer, struct session_table *table);

static inline void peer_publish_staged(struct peer *peer) {
    atomic_store_explicit(&peer->facts.staged, peer->staging.count, memory_order_relaxed);
}

/** Table of peers. Owner: the control thread; workers read `peer` between standstills. */
struct peer_table {
    struct peer_entry {
        struct peer *peer;
        _Atomic uint64_t place; /* hash of its endpoint's address; 0: none. Its worker writes */
        uint32_t generation;    /* of the handle that is valid, or of the next one */
        uint32_t next_free;
    } * entries;
    uint32_t max;
    uint32_t used;      /* entries that were ever taken */
    uint32_t count;     /* peers that live */
    uint32_t free_list; /* UINT32_MAX: empty */
};

/** False when out of memory. Memory is touched only as the table fills. */
bool peer_table_init(struct peer_table *table, uint32_t max);
void peer_table_free(struct peer_table *table);

/** SHOAL_E_FULL, SHOAL_E_MEMORY. */
enum shoal_status peer_table_add(struct peer_table *table, uint32_t tag, shoal_peer_t *handle);

/** NULL for a handle that names no living peer. */
struct peer *peer_table_find(const struct peer_table *table, shoal_peer_t handle);

/** The peer must have no sessions and nothing staged any more. */
void peer_table_remove(struct peer_table *table, struct peer *peer);

#endif
