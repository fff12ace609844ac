#include "codel.h"

#include <math.h>

const struct codel_terms codel_of_worker = {.target = 1000000, .interval = 10000000};

/* interval / sqrt(count): with each loss the next one comes sooner, so that the rate of a TCP flow,
 * which goes with the root of its losses, falls evenly. */
static uint64_t next_after(const struct codel_terms *terms, uint64_t from, uint32_t count) {
    return from + (uint64_t)((double)terms->interval / sqrt((double)count));
}

/* Has the queue stood for an interval? */
static bool stands(struct codel *codel, const struct codel_terms *terms, uint64_t sojourn,
                   uint64_t now) {
    if (sojourn < terms->target) {
        codel->first_above = 0;
        return false;
    }
    if (!codel->first_above) {
        codel->first_above = now + terms->interval;
        return false;
    }
    return now >= codel->first_above;
}

bool codel_leave(struct codel *codel, const struct codel_terms *terms, uint64_t sojourn,
                 uint64_t now) {
    bool over = stands(codel, terms, sojourn, now);
    if (codel->dropping) {
        if (!over) {
            codel->dropping = false;
            return false;
        }
        if (now < codel->drop_next)
            return false;
        codel->count++;
        codel->drop_next = next_after(terms, codel->drop_next, codel->count);
        return true;
    }
    if (!over)
        return false;
    codel->dropping = true;
    /* It stood a short while ago: go on where that ended, which was right then (RFC 8289, 5.4). */
    uint32_t since = codel->count - codel->last_count;
    bool recent = now - codel->drop_next < 16 * terms->interval;
    codel->count = recent && since > 1 ? since : 1;
    codel->last_count = codel->count;
    codel->drop_next = next_after(terms, now, codel->count);
    return true;
}

void codel_dry(struct codel *codel) {
    codel->first_above = 0;
    codel->dropping = false;
}
