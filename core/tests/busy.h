/*
 * One device and its peers, each a stranger with a key of its own socket, where sockets are
 * connected from a peer's first message on.
 */
#ifndef SHOAL_TESTS_BUSY_H
#define SHOAL_TESTS_BUSY_H

#include <stdbool.h>
#include <stdint.h>

#include "world.h"

#define BUSY_FIRST 2u /* the number of the first peer; inner address 10.9.0.N */
#define BUSY_MAX 250u

struct busy {
    struct side side; /* number 1 */
    uint32_t workers;
    uint32_t last; /* number of the last peer */
    shoal_peer_t peers[BUSY_MAX];
    struct shoal_address places[BUSY_MAX];
    int sockets[BUSY_MAX];
    uint64_t counters[BUSY_MAX]; /* of the next message that a peer sends */
};

/** @param most  sockets of a worker */
void busy_open(struct busy *busy, uint16_t family, uint32_t workers, uint32_t peers, uint32_t most);
void busy_close(struct busy *busy);

/** The session's receiver index of a peer. */
uint32_t busy_index(const struct busy *busy, uint32_t number);

/** Sends the next message of a peer by a socket (its own, or another), and nothing more.
 * @return the length of the packet in it, which `packet` has room for */
size_t busy_send(struct busy *busy, uint32_t number, int by, uint8_t *packet);

/** The same, and demands that the packet comes out of the TUN next. */
void busy_from(struct busy *busy, uint32_t number, int by);

/** A packet to a peer, which has to arrive at this socket. */
void busy_to(struct busy *busy, uint32_t number, int at);

/** Both ways, until the peer has a socket. */
void busy_warm(struct busy *busy, uint32_t number);

/** The same, until what it sends arrives at its socket. */
void busy_by_own(struct busy *busy, uint32_t number);

/** Connected sockets now. */
uint32_t busy_count(struct busy *busy);

/** Waits until there are so many. */
void busy_await(struct busy *busy, uint32_t count);

/** Switches them on or off. */
void busy_switch(struct busy *busy, bool on);

#endif
