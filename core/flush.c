#include "flush.h"

void flush_add(struct flush *flush, struct peer *peer) {
    if (peer->flush_listed || !peer->staging.count)
        return;
    peer->flush_listed = true;
    peer->flush_next = flush->first;
    flush->first = peer;
}

void flush_remove(struct flush *flush, struct peer *peer) {
    if (!peer->flush_listed)
        return;
    struct peer **link = &flush->first;
    while (*link != peer)
        link = &(*link)->flush_next;
    *link = peer->flush_next;
    peer->flush_listed = false;
}
