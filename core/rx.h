/*
 * Inbound: from UDP buffers to TUN frames.
 *
 * A drain takes turns (turns.h): what one receive gathered, or many small ones together, is opened
 * in place, all messages of a session in one call, and handed to the coalescer, which keeps
 * pointers; then it writes frames to the TUN, so packets that arrived singly leave as super-packets
 * too. Whatever is not data goes through the gate or straight into the mailbox. Order per message
 * (R46): index, expiry, counter, tag, window, endpoint, facts, trim, source, ECN, TUN. What is for
 * a guest or from one goes to another peer instead (forward.h).
 */
#ifndef SHOAL_RX_H
#define SHOAL_RX_H

#include <stdbool.h>
#include <stdint.h>

#include "coalesce.h"
#include "socket.h"
#include "stray.h"

#define RX_TURNS 4u /* of a drain */

/** Who sends datagrams of at most this size, and one by one, is no bulk; for so long it counts as
 * one that others have to leave room. */
#define RX_SPARSE_SIZE 576u
#define RX_SPARSE_NS 1000000000ull
/** A longer stay in the socket says that the clock was set. */
#define RX_SOJOURN_MAX 10000000000ull

/* Owner: the worker. */
struct rx {
    struct coalesce coalesce;
    struct coalesce_frame frame;
    struct stray stray;
    uint32_t units;     /* read since it was last 0: a full buffer counts as 16 */
    uint32_t leads;     /* worker of the session that a buffer's first message names */
    uint64_t sparse_at; /* when a small datagram last came alone; 0: never */
};

struct pass;
struct turn_verdict;

/** @param seed  16 secret random bytes: hash key of tables by source. */
void rx_init(struct rx *rx, const uint8_t seed[16]);

/** Receives until dry or the budget is used up and delivers all of it. @return true: maybe more. */
bool rx_drain(struct pass *pass, struct udp_socket *udp);

/** One received buffer, as rx_drain handles it; what opened is delivered by rx_deliver. */
void rx_buffer(struct pass *pass, struct udp_socket *udp, uint8_t *buffer,
               const struct socket_received *received);
void rx_deliver(struct pass *pass);

/**
 * The same for a buffer whose first messages were opened ahead.
 * @param verdicts  of `known` messages
 */
void rx_opened_buffer(struct pass *pass, struct udp_socket *udp, uint8_t *buffer,
                      const struct socket_received *received, const struct turn_verdict *verdicts,
                      uint32_t known);

/**
 * Where the queue of a socket stands, and others wait, a received buffer loses its last message.
 * @param of  the pass of the socket, under the lock of its turns
 * @param by  that of the calling thread
 * @return whether anything is left of it
 */
bool rx_shorten(struct pass *of, struct pass *by, struct udp_socket *udp, const uint8_t *buffer,
                struct socket_received *received);

/** One data message, or what passes for one, of a session of ours or of another worker's. */
void rx_data(struct pass *pass, uint8_t *message, uint32_t length,
             const struct socket_received *received);

#endif
