/*
 * CoDel (RFC 8289): says when a queue that stands has to lose something. A queue that was emptied
 * within the last interval to less than the target is a burst and left alone; one that was not
 * stands, and loses one item, then the next after interval / sqrt(2), and so on, until it is short
 * again. A pure function of time.
 */
#ifndef SHOAL_CODEL_H
#define SHOAL_CODEL_H

#include <stdbool.h>
#include <stdint.h>

struct codel_terms {
    uint64_t target;   /* ns that an item may stay without its queue counting as standing */
    uint64_t interval; /* ns for which it may stay longer before something is lost */
};

/**
 * Of a worker's queues, which stand before a processor and not before a link: 1 ms of 10. RFC
 * 8289's 5 ms of 100 are made for round trips of the Internet. Measured on one machine, a stream
 * with a ping beside it, in turns without control: 1.03 of its rate and 0.42 of the ping's p99;
 * with 0.5 ms of 5 0.86 and 0.32.
 */
extern const struct codel_terms codel_of_worker;

/* Owner: the worker. Zeroed: an empty queue. */
struct codel {
    uint64_t first_above; /* when the queue will have stood for an interval; 0: it does not */
    uint64_t drop_next;   /* when the next item goes */
    uint32_t count;       /* items lost since it stands */
    uint32_t last_count;  /* count when it last began to lose */
    bool dropping;
};

/**
 * An item leaves the queue.
 * @param sojourn  ns that it was in it
 * @return true: it, or something in its place, is to be dropped or marked
 */
bool codel_leave(struct codel *codel, const struct codel_terms *terms, uint64_t sojourn,
                 uint64_t now);

/**
 * Nothing is left behind the item that leaves: it waited for the processor, not behind others, and
 * the queue does not stand (RFC 8289, dodequeue(): what is left is at most one packet).
 */
void codel_dry(struct codel *codel);

#endif
