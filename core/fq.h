/*
 * Frames of the TUN that wait to be sealed, one queue a flow: who sends little goes before who
 * sends much (FQ-CoDel, RFC 8290, with super-packets in place of packets). The kernel's own queue
 * before the TUN is first in, first out, and a stream fills it; emptied into this one as fast as it
 * comes, it stays short, and a packet of another flow waits for one batch, not for the stream.
 *
 * A queue is left as long as it is while no other flow comes: then it harms nobody. While others
 * do, CoDel says of a queue that stands when it has to lose or mark something; else there would
 * soon be no room, and others would wait before the TUN.
 */
#ifndef SHOAL_FQ_H
#define SHOAL_FQ_H

#include <stdbool.h>
#include <stdint.h>

#include "codel.h"

#define FQ_FLOWS 256u /* queues; flows of one hash share theirs */
/** Frames of any size that wait at once: a megabyte, which the processor's cache holds. With 64 a
 * stream lost a fifth of its rate. */
#define FQ_LARGE 16u
#define FQ_SMALL 512u /* frames of at most FQ_SMALL_SIZE beside them */
#define FQ_SMALL_SIZE 2048u
#define FQ_OTHERS_NS                                                                               \
    1000000000ull         /* for so long after another flow came others count as waiting           \
                           */
#define FQ_QUANTUM 16384u /* bytes that a flow sends in its turn, give or take its last frame */

/* One frame that waits, or room for one. */
struct fq_frame {
    struct fq_frame *next;
    uint8_t *bytes; /* virtio header first; SEGMENT_SLACK writable bytes behind `length` */
    uint32_t length;
    uint32_t flow;
    uint64_t since; /* when it was read */
    bool large;
    bool congested; /* its queue stands, and others wait: mark it, or lose a packet of it */
};

struct fq_flow {
    struct fq_frame *first, *last;
    struct fq_flow *next; /* in its list */
    struct codel codel;
    int32_t deficit; /* bytes that it may still send in this turn */
    bool listed;
};

struct fq_list {
    struct fq_flow *first, *last;
};

/* Owner: the worker. */
struct fq {
    struct fq_flow flows[FQ_FLOWS];
    struct fq_list fresh, old; /* flows that begin, which go first; and those that went on */
    struct fq_frame frames[FQ_LARGE + FQ_SMALL];
    struct fq_frame *free_large, *free_small; /* the one given back last is used first */
    uint32_t count;                           /* frames that wait */
    uint32_t active;                          /* flows that have some */
    uint64_t others_at;     /* when one last came while another had some; 0: never */
    uint8_t *large, *small; /* their bytes */
    uint64_t seed;
};

/** False when out of memory. Memory is touched only as frames wait. */
bool fq_init(struct fq *fq, uint64_t seed);
void fq_free(struct fq *fq);

/** Room for the next frame, TUN_FRAME_MAX bytes; NULL: too many wait. fq_push takes it. */
uint8_t *fq_room(struct fq *fq);

/** What was read into fq_room's room waits now. */
void fq_push(struct fq *fq, uint32_t length, uint64_t now);

/** The frame whose turn it is, the caller's until fq_release; NULL: none waits. */
struct fq_frame *fq_pop(struct fq *fq, uint64_t now);
void fq_release(struct fq *fq, struct fq_frame *frame);

#endif
