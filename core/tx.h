/*
 * Outbound: from TUN frames to trains of sealed messages.
 *
 * A frame is read, its peer looked up, and its segments are sealed one behind the other straight
 * into the arena, whose contents are the payload of one sendmsg: sealing is the segmentation copy.
 * A train takes on messages of one peer and one ECN value as long as they have the size of its
 * first one; a shorter message ends it. So the left-over segments of one super-packet open the next
 * train, and small packets of one peer travel together. A dry TUN sends what there is; no timer.
 *
 * When the socket is full the train waits (one only), the TUN is left alone, so that the queue
 * grows where packets are still clear and the kernel may drop them before they cost a seal; a train
 * refused twice is dropped.
 */
#ifndef SHOAL_TX_H
#define SHOAL_TX_H

#include <stdbool.h>
#include <stdint.h>

#include "bundle.h"
#include "fq.h"
#include "icmp.h"
#include "peer.h"
#include "train.h"

/** Most packets that one super-packet may hold; 64 KiB in pieces of 128 bytes are as many. Linux
 * cuts what holds more before it hands it over, being told so (IFLA_GSO_MAX_SEGS). */
#define TX_SEGMENTS_MAX 512u

/** What one batch seals at most, staged frames included, give or take its last frame: then it is
 * the other direction's turn, and the control thread's. */
#define TX_BATCH_BYTES (4u * 65536u)
#define TX_BATCH_MESSAGES 256u

/* Owner: the worker. */
struct tx {
    struct fq fq;         /* frames that were read and wait for their turn */
    struct train train;   /* being filled */
    struct bundle bundle; /* its last messages, which are not sealed yet */
    struct train sealed;  /* what it was without them */
    struct train waiting; /* refused once with EAGAIN; count 0: none */
    uint32_t waiting_for; /* the socket that is full: enum pass_socket, and behind it the places of
                             connected ones */
    uint32_t bytes;       /* of frames in this batch */
    uint32_t messages;    /* that they became, at least one each */
    struct icmp_pace icmp_pace;
    uint64_t loop_seen; /* when a datagram of our own last came out of the TUN */
};

struct packet;
struct pass;
struct plane;

/** @param seed  16 secret random bytes: hash key of flows. False when out of memory. */
bool tx_init(struct tx *tx, const uint8_t seed[16]);
void tx_free(struct tx *tx);

/** Do frames wait that were read? Then the worker must not sleep, unless a train waits. */
static inline bool tx_has_frames(const struct tx *tx) { return tx->fq.count > 0; }

/** Does a train wait for a socket? Then the TUN is to be left alone until tx_resume. */
static inline bool tx_is_blocked(const struct tx *tx) { return tx->waiting.count > 0; }

/** A batch begins: whoever seals next may use up the whole budget. */
void tx_begin(struct pass *pass);

/**
 * Reads frames until the TUN is dry, the batch's budget is used up or the socket is full, then
 * sends.
 */
void tx_drain(struct pass *pass);

/**
 * Seals a frame for a peer, or lets it wait for a session. It is used up: the segments are cut, and
 * padded, in place.
 * @param frame  virtio header first, with SEGMENT_SLACK writable bytes behind `length`
 * @param tos    of its packet
 * @param congested  it is to be marked, or a packet of it lost
 * @return false when the peer is not there, and the frame was dropped and counted: its sender may
 *         be told so
 */
bool tx_frame(struct pass *pass, struct peer *peer, uint8_t *frame, uint32_t length, uint8_t tos,
              bool congested);

/** The same for what our own machine sent, which is told where the peer is not there. The frame
 * holds a packet that was parsed. */
void tx_from_tun(struct pass *pass, struct peer *peer, uint8_t *frame, uint32_t length, uint8_t tos,
                 bool congested);

/** Sends what is being filled; while a train waits for the socket it stays. */
void tx_flush(struct pass *pass);

/** The socket has room again, or is another one: the train that waited goes first. */
void tx_resume(struct pass *pass);

/** Puts an empty message (R41, R57, R59) into the train; the session must be able to send. */
bool tx_keepalive(struct pass *pass, struct peer *peer, struct session *session);

/** Sends staged frames for which the current session has counters, in order; what a
 * waiting train or the batch's budget holds back stays, and the peer is listed (pass->flush).
 */
void tx_flush_staged(struct pass *pass, struct peer *peer);

/** The same for the peers that are listed, and sends, as far as the batch's budget goes. */
void tx_flush_listed(struct pass *pass);

/* ---- For whoever seals ahead (sealing.h) --------------------------------------------------- */

/** The next frame of a TUN, by its fair queue; NULL: none. fq_release gives it back. */
struct fq_frame *tx_next_frame(struct pass *of, struct pass *by);

/** What becomes of a frame that nobody has looked at yet. */
void tx_frame_in(struct pass *pass, const struct fq_frame *from);

/** No more segments than this will come of a frame: known before it is touched. */
uint32_t tx_segments_at_most(const uint8_t *frame, uint32_t length);

/** UDP from the port of our own sockets: perhaps a loop. */
bool tx_has_our_port(const struct plane *plane, const struct packet *packet, const uint8_t *bytes);

/** The ECN of the outer header of an inner packet. */
uint8_t tx_outer_tos(uint8_t inner);

/** A packet of a queue that stands: marked if it can be; true: it has to be lost instead. */
bool tx_loses(struct pass *pass, uint8_t *frame);

/** Asks for another session if the one that sealed up to this counter wants it. */
void tx_check_rekey(struct pass *pass, struct peer *peer, struct session *session,
                    uint64_t counter);

/** Sends a train that lies elsewhere; what a full socket refuses is copied and waits. */
void tx_send_train(struct pass *pass, struct train *train);

/** What a batch has sealed. */
void tx_use(struct tx *tx, uint32_t bytes, uint32_t messages);
bool tx_is_used_up(const struct tx *tx);

/** Drops sealed messages that have not left, when the socket is full, for a peer that goes. */
void tx_forget(struct pass *pass, const struct peer *peer);

#endif
