/*
 * Peers whose staged frames may leave: one batch does not hold them all, so the next one goes on.
 */
#ifndef SHOAL_FLUSH_H
#define SHOAL_FLUSH_H

#include "peer.h"

/* Owner: the worker of its peers. Linked through the peers, so it has no limit of its own. */
struct flush {
    struct peer *first; /* NULL: none */
};

/** Lists a peer that has something staged, unless it is listed already. */
void flush_add(struct flush *flush, struct peer *peer);

/** Takes a peer off the list, if it is on it. */
void flush_remove(struct flush *flush, struct peer *peer);

#endif
