/*
 * The mailbox: records from the workers to the one thread that thinks.
 *
 * Three lanes with limits of their own, so that a flood of handshakes cannot push out gossip and
 * neither can push out an edge. Each lane is a ring of whole records; at its limit the newest
 * record is dropped and counted (R14's threshold needs a queue that fills, and what waits longest
 * is worth most to a peer that retries). Draining takes events first, then one record of each other
 * lane in turn.
 *
 * A source (struct source) holds an eighth of the lane of control datagrams at most while they
 * wait, so that one flooder cannot take it from everybody (T39). Shares are counted in a hashed
 * table: whoever happens to share a bucket with the flooder shares its eighth. Many addresses
 * together can still fill the lane.
 *
 * Doorbell: a post tells its caller to ring when the box was empty, or was last drained to empty;
 * the box itself touches no descriptor.
 *
 * Concurrency: any thread posts, one thread drains, under one mutex held for a copy of one record
 * (post) or of one buffer (drain).
 */
#ifndef SHOAL_MAILBOX_H
#define SHOAL_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shoal.h"

enum mailbox_lane {
    MAILBOX_EVENTS,     /* edges and news: everything without payload */
    MAILBOX_CONTROL,    /* datagrams of the mesh: gossip, STUN */
    MAILBOX_HANDSHAKES, /* WireGuard types 1, 2, 3 that the gate accepted */
    MAILBOX_LANES
};

/** Most records of a lane; handshakes as Linux's MAX_QUEUED_INCOMING_HANDSHAKES (R14: 512 is 1/8).
 */
#define MAILBOX_EVENTS_MAX 65536u
#define MAILBOX_CONTROL_MAX 2048u
#define MAILBOX_HANDSHAKES_MAX 4096u

/** Most control datagrams of one source that wait at once, and the buckets that count them. */
#define MAILBOX_SHARE_MAX (MAILBOX_CONTROL_MAX / 8u)
#define MAILBOX_SHARES 4096u

/** Smallest buffer that every record fits: shoal_mailbox_drain's floor. */
#define MAILBOX_DRAIN_MIN 2048u

struct mailbox;

/**
 * @param seed  16 secret random bytes: hash key of the shares.
 * @return NULL when out of memory. Memory of a lane is touched only as it fills.
 */
struct mailbox *mailbox_create(const uint8_t seed[16]);
void mailbox_free(struct mailbox *mailbox);

enum mailbox_result {
    MAILBOX_POSTED,      /* the consumer has been rung for already */
    MAILBOX_POSTED_RING, /* ring the doorbell */
    MAILBOX_SHARE_FULL,  /* dropped: the source has its share of the lane waiting already */
    MAILBOX_DROPPED,     /* the lane is full, or the payload is above SHOAL_DATAGRAM_MAX */
};

/** Posts a record: `mail` with mail->length bytes of payload; mail->size is set here. */
enum mailbox_result mailbox_post(struct mailbox *mailbox, enum mailbox_lane lane,
                                 const struct shoal_mail *mail, const void *payload);

/**
 * Moves whole records into the buffer.
 * @return bytes written; 0 when the box is empty or the next record does not fit.
 */
size_t mailbox_drain(struct mailbox *mailbox, uint8_t *buffer, size_t capacity);

/** Records waiting in a lane. May be read by any thread, without the lock. */
uint32_t mailbox_fill(const struct mailbox *mailbox, enum mailbox_lane lane);

/** Records dropped in a lane since creation. May be read by any thread, without the lock. */
uint64_t mailbox_dropped(const struct mailbox *mailbox, enum mailbox_lane lane);

#endif
