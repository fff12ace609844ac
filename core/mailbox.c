/*
 * A lane is a ring of bytes. A record never wraps: one that does not fit before the end of the ring
 * starts over at its beginning, and a header of size 0 tells the reader so.
 */
#include "mailbox.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "source.h"

#define ALIGNMENT 8u
#define RECORD_MAX (sizeof(struct shoal_mail) + SHOAL_DATAGRAM_MAX + ALIGNMENT)

_Static_assert(RECORD_MAX <= MAILBOX_DRAIN_MIN, "every record fits the smallest buffer");
_Static_assert(sizeof(struct shoal_mail) % ALIGNMENT == 0, "records stay aligned");

struct lane {
    uint8_t *ring;
    size_t size;
    size_t head; /* next record to drain */
    size_t tail; /* where the next one is posted */
    uint32_t records_max;
    _Atomic uint32_t records;
    _Atomic uint64_t dropped;
};

struct mailbox {
    pthread_mutex_t lock;
    struct lane lanes[MAILBOX_LANES];
    bool rung;     /* the consumer knows that there is mail */
    unsigned turn; /* which of the two lanes behind the events goes first */
    uint8_t seed[16];
    uint16_t shares[MAILBOX_SHARES]; /* control datagrams that wait, by their source's hash */
};

/** Room for a full lane of its usual records; longer ones fill it by bytes before by count. */
static const struct {
    uint32_t records;
    size_t record;
} limits[MAILBOX_LANES] = {
    [MAILBOX_EVENTS] = {MAILBOX_EVENTS_MAX, sizeof(struct shoal_mail)},
    [MAILBOX_CONTROL] = {MAILBOX_CONTROL_MAX, sizeof(struct shoal_mail) + SHOAL_DATAGRAM_MAX + 4},
    [MAILBOX_HANDSHAKES] = {MAILBOX_HANDSHAKES_MAX, sizeof(struct shoal_mail) + 152},
};

struct mailbox *mailbox_create(const uint8_t seed[16]) {
    struct mailbox *mailbox = calloc(1, sizeof(*mailbox));
    if (!mailbox)
        return NULL;
    if (pthread_mutex_init(&mailbox->lock, NULL) != 0) {
        free(mailbox);
        return NULL;
    }
    memcpy(mailbox->seed, seed, sizeof(mailbox->seed));
    for (unsigned i = 0; i < MAILBOX_LANES; i++) {
        struct lane *lane = &mailbox->lanes[i];
        lane->records_max = limits[i].records;
        lane->size = limits[i].records * limits[i].record + RECORD_MAX;
        lane->ring = malloc(lane->size);
        if (!lane->ring) {
            mailbox_free(mailbox);
            return NULL;
        }
    }
    return mailbox;
}

void mailbox_free(struct mailbox *mailbox) {
    if (!mailbox)
        return;
    for (unsigned i = 0; i < MAILBOX_LANES; i++)
        free(mailbox->lanes[i].ring);
    pthread_mutex_destroy(&mailbox->lock);
    free(mailbox);
}

static uint32_t count(const struct lane *lane) {
    return atomic_load_explicit(&lane->records, memory_order_relaxed);
}

/** Where a record of this size may be written; NULL when the ring has no such gap. */
static uint8_t *gap(struct lane *lane, size_t size) {
    bool wrapped = lane->tail < lane->head || (lane->tail == lane->head && count(lane) != 0);
    if (wrapped)
        return lane->head - lane->tail >= size ? lane->ring + lane->tail : NULL;
    if (lane->size - lane->tail >= size)
        return lane->ring + lane->tail;
    if (lane->head < size)
        return NULL;
    if (lane->size - lane->tail >= sizeof(uint32_t))
        memset(lane->ring + lane->tail, 0, sizeof(uint32_t));
    lane->tail = 0;
    return lane->ring;
}

/** The oldest record's size; the lane is not empty. */
static uint32_t oldest(struct lane *lane) {
    uint32_t size = 0;
    if (lane->size - lane->head >= sizeof(size))
        memcpy(&size, lane->ring + lane->head, sizeof(size));
    if (size == 0) {
        lane->head = 0;
        memcpy(&size, lane->ring, sizeof(size));
    }
    return size;
}

/** Where the share of a record's source is counted; NULL for what has none. */
static uint16_t *share_of(struct mailbox *mailbox, const struct lane *lane,
                          const struct shoal_mail *mail) {
    if (lane != &mailbox->lanes[MAILBOX_CONTROL] || mail->endpoint.remote.family == SHOAL_AF_NONE)
        return NULL;
    struct source source = source_of(&mail->endpoint.remote);
    return &mailbox->shares[source_hash(&source, mailbox->seed) % MAILBOX_SHARES];
}

enum mailbox_result mailbox_post(struct mailbox *mailbox, enum mailbox_lane lane,
                                 const struct shoal_mail *mail, const void *payload) {
    struct lane *to = &mailbox->lanes[lane];
    size_t used = sizeof(*mail) + mail->length;
    size_t size = (used + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);

    pthread_mutex_lock(&mailbox->lock);
    uint8_t *at = NULL;
    uint16_t *share = share_of(mailbox, to, mail);
    bool over = share && *share >= MAILBOX_SHARE_MAX;
    if (!over && mail->length <= SHOAL_DATAGRAM_MAX && count(to) < to->records_max)
        at = gap(to, size);
    if (!at) {
        atomic_fetch_add_explicit(&to->dropped, 1, memory_order_relaxed);
        pthread_mutex_unlock(&mailbox->lock);
        return over ? MAILBOX_SHARE_FULL : MAILBOX_DROPPED;
    }
    if (share)
        ++*share;
    struct shoal_mail head = *mail;
    head.size = (uint32_t)size;
    memcpy(at, &head, sizeof(head));
    if (mail->length)
        memcpy(at + sizeof(head), payload, mail->length);
    memset(at + used, 0, size - used);
    to->tail += size;
    atomic_fetch_add_explicit(&to->records, 1, memory_order_relaxed);
    bool ring = !mailbox->rung;
    mailbox->rung = true;
    pthread_mutex_unlock(&mailbox->lock);
    return ring ? MAILBOX_POSTED_RING : MAILBOX_POSTED;
}

/** Moves the lane's oldest record; false when the lane is empty or the buffer too full. */
static bool move_one(struct mailbox *mailbox, enum mailbox_lane which, uint8_t *buffer,
                     size_t capacity, size_t *used) {
    struct lane *lane = &mailbox->lanes[which];
    if (count(lane) == 0)
        return false;
    uint32_t size = oldest(lane);
    if (capacity - *used < size)
        return false;
    memcpy(buffer + *used, lane->ring + lane->head, size);
    struct shoal_mail mail;
    memcpy(&mail, lane->ring + lane->head, sizeof(mail));
    uint16_t *share = share_of(mailbox, lane, &mail);
    if (share)
        --*share;
    *used += size;
    lane->head += size;
    if (atomic_fetch_sub_explicit(&lane->records, 1, memory_order_relaxed) == 1)
        lane->head = lane->tail = 0; /* keeps to the pages that are in use */
    return true;
}

size_t mailbox_drain(struct mailbox *mailbox, uint8_t *buffer, size_t capacity) {
    size_t used = 0;
    pthread_mutex_lock(&mailbox->lock);
    while (move_one(mailbox, MAILBOX_EVENTS, buffer, capacity, &used))
        ;
    static const enum mailbox_lane pair[2] = {MAILBOX_CONTROL, MAILBOX_HANDSHAKES};
    /* The turn outlives the call: a buffer of one record must not always go to the same lane. */
    for (unsigned idle = 0; idle < 2; mailbox->turn ^= 1)
        idle = move_one(mailbox, pair[mailbox->turn], buffer, capacity, &used) ? 0 : idle + 1;
    bool empty = true;
    for (unsigned i = 0; i < MAILBOX_LANES; i++)
        empty = empty && count(&mailbox->lanes[i]) == 0;
    if (empty)
        mailbox->rung = false;
    pthread_mutex_unlock(&mailbox->lock);
    return used;
}

uint32_t mailbox_fill(const struct mailbox *mailbox, enum mailbox_lane lane) {
    return count(&mailbox->lanes[lane]);
}

uint64_t mailbox_dropped(const struct mailbox *mailbox, enum mailbox_lane lane) {
    return atomic_load_explicit(&mailbox->lanes[lane].dropped, memory_order_relaxed);
}
