#include "edge.h"

#include "device.h"
#include "worker.h"

static enum shoal_mail_kind kind_of(enum shoal_edge edge) {
    switch (edge) {
    case SHOAL_EDGE_SESSION_NEEDED:
        return SHOAL_MAIL_SESSION_NEEDED;
    case SHOAL_EDGE_UNANSWERED_DATA:
        return SHOAL_MAIL_UNANSWERED_DATA;
    case SHOAL_EDGE_UNSENT_REPLY:
        break;
    }
    return SHOAL_MAIL_UNSENT_REPLY;
}

void edge_raise(struct worker *worker, struct peer *peer, enum shoal_edge edge, uint64_t time) {
    if (!(peer->armed & edge))
        return;
    struct shoal_mail mail = {.kind = (uint16_t)kind_of(edge), .tag = peer->tag, .time = time};
    if (post_news(&worker->device->post, &worker->stats, &mail))
        peer->armed &= ~edge;
}

void edge_arm(struct worker *worker, struct peer *peer, uint32_t edges) {
    peer->armed |= edges;
    uint64_t unanswered = facts_get(&peer->facts.first_unanswered_data);
    uint64_t unsent = facts_get(&peer->facts.first_unsent_reply);
    if (peer->staging.count && !session_can_send(peer->sessions[PEER_CURRENT], worker->now, 1))
        edge_raise(worker, peer, SHOAL_EDGE_SESSION_NEEDED, worker->now);
    if (unanswered)
        edge_raise(worker, peer, SHOAL_EDGE_UNANSWERED_DATA, unanswered);
    if (unsent)
        edge_raise(worker, peer, SHOAL_EDGE_UNSENT_REPLY, unsent);
}
