#include "fq.h"

#include <stdlib.h>
#include <string.h>

#include "packet.h"
#include "segment.h"
#include "tun.h"

#define LARGE_SIZE ((TUN_FRAME_MAX + SEGMENT_SLACK + 63u) & ~63u)
#define SMALL_SIZE ((FQ_SMALL_SIZE + SEGMENT_SLACK + 63u) & ~63u)

enum { PROTOCOL_TCP = 6, PROTOCOL_UDP = 17 };

static void give_back(struct fq *fq, struct fq_frame *frame) {
    struct fq_frame **list = frame->large ? &fq->free_large : &fq->free_small;
    frame->next = *list;
    *list = frame;
}

bool fq_init(struct fq *fq, uint64_t seed) {
    memset(fq, 0, sizeof(*fq));
    fq->seed = seed;
    fq->large = aligned_alloc(64, (size_t)LARGE_SIZE * FQ_LARGE);
    fq->small = aligned_alloc(64, (size_t)SMALL_SIZE * FQ_SMALL);
    if (!fq->large || !fq->small)
        return false;
    for (uint32_t i = FQ_LARGE + FQ_SMALL; i-- > 0;) {
        struct fq_frame *frame = &fq->frames[i];
        frame->large = i < FQ_LARGE;
        frame->bytes = frame->large ? fq->large + (size_t)i * LARGE_SIZE
                                    : fq->small + (size_t)(i - FQ_LARGE) * SMALL_SIZE;
        give_back(fq, frame);
    }
    return true;
}

void fq_free(struct fq *fq) {
    free(fq->large);
    free(fq->small);
}

/* ---- Flows ------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, const uint8_t *bytes, size_t length) {
    for (size_t i = 0; i < length; i += 4) {
        uint32_t word;
        memcpy(&word, bytes + i, sizeof(word));
        hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
        hash ^= hash >> 29;
    }
    return hash;
}

/* What cannot be told apart (no IP packet, a fragment) shares a queue with its addresses. */
static uint32_t flow_of(const struct fq *fq, const uint8_t *frame, uint32_t length) {
    struct packet packet;
    if (length <= SEGMENT_VNET_SIZE ||
        packet_parse(&packet, frame + SEGMENT_VNET_SIZE, length - SEGMENT_VNET_SIZE) != PACKET_OK)
        return 0;
    size_t size = packet.version == 4 ? 4 : 16;
    uint64_t hash = mix(fq->seed ^ packet.protocol, packet.source, size);
    hash = mix(hash, packet.destination, size);
    bool ports = packet.protocol == PROTOCOL_TCP || packet.protocol == PROTOCOL_UDP;
    if (ports && !packet.fragment && packet.length >= packet.header_length + 4u)
        hash = mix(hash, frame + SEGMENT_VNET_SIZE + packet.header_length, 4);
    return (uint32_t)(hash >> 32) % FQ_FLOWS;
}

static void append(struct fq_list *list, struct fq_flow *flow) {
    flow->next = NULL;
    if (list->last)
        list->last->next = flow;
    else
        list->first = flow;
    list->last = flow;
}

static void remove_first(struct fq_list *list) {
    list->first = list->first->next;
    if (!list->first)
        list->last = NULL;
}

/* ---- Frames ------------------------------------------------------------------------------ */

uint8_t *fq_room(struct fq *fq) { return fq->free_large ? fq->free_large->bytes : NULL; }

/* Many small frames would take the room of as many large ones: they move to rooms of their size. */
static struct fq_frame *take_room(struct fq *fq, uint32_t length) {
    struct fq_frame *frame = fq->free_large;
    if (length <= FQ_SMALL_SIZE && fq->free_small) {
        struct fq_frame *small = fq->free_small;
        fq->free_small = small->next;
        memcpy(small->bytes, frame->bytes, length);
        return small;
    }
    fq->free_large = frame->next;
    return frame;
}

void fq_push(struct fq *fq, uint32_t length, uint64_t now) {
    struct fq_frame *frame = take_room(fq, length);
    frame->next = NULL;
    frame->length = length;
    frame->since = now;
    frame->flow = flow_of(fq, frame->bytes, length);
    struct fq_flow *flow = &fq->flows[frame->flow];
    if (flow->last)
        flow->last->next = frame;
    else
        flow->first = frame;
    fq->active += flow->first == frame;
    flow->last = frame;
    fq->count++;
    if (fq->active > 1)
        fq->others_at = now;
    if (flow->listed)
        return;
    flow->listed = true;
    flow->deficit = (int32_t)FQ_QUANTUM;
    append(&fq->fresh, flow);
}

/* The flow whose turn it is; NULL: none has anything (RFC 8290, section 4.2). */
static struct fq_flow *next_flow(struct fq *fq) {
    for (;;) {
        struct fq_list *list = fq->fresh.first ? &fq->fresh : &fq->old;
        struct fq_flow *flow = list->first;
        if (!flow)
            return NULL;
        if (flow->deficit > 0 && flow->first)
            return flow;
        remove_first(list);
        if (flow->deficit <= 0) {
            flow->deficit += (int32_t)FQ_QUANTUM;
            append(&fq->old, flow);
        } else if (list == &fq->fresh && fq->old.first) {
            append(&fq->old, flow); /* or a flow that sends now and then would always be fresh */
        } else {
            flow->listed = false;
        }
    }
}

struct fq_frame *fq_pop(struct fq *fq, uint64_t now) {
    struct fq_flow *flow = next_flow(fq);
    if (!flow)
        return NULL;
    struct fq_frame *frame = flow->first;
    /* Whoever put it in may be another thread, whose clock is a batch ahead. */
    bool others_wait = fq->others_at && now < fq->others_at + FQ_OTHERS_NS;
    flow->first = frame->next;
    if (!flow->first) {
        flow->last = NULL;
        fq->active--;
    }
    flow->deficit -= (int32_t)frame->length;
    fq->count--;
    uint64_t sojourn = others_wait && now > frame->since ? now - frame->since : 0;
    frame->congested = codel_leave(&flow->codel, &codel_of_worker, sojourn, now);
    if (frame->congested && !fq->count) {
        codel_dry(&flow->codel);
        frame->congested = false;
    }
    return frame;
}

void fq_release(struct fq *fq, struct fq_frame *frame) { give_back(fq, frame); }
