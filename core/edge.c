#include "edge.h"

#include "pass.h"

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

void edge_raise(struct pass *pass, struct peer *peer, enum shoal_edge edge, uint64_t time) {
    if (!(peer->armed & edge))
        return;
    struct shoal_mail mail = {.kind = (uint16_t)kind_of(edge), .tag = peer->tag, .time = time};
    if (pass_news(pass, &mail))
        peer->armed &= ~edge;
}

void edge_arm(struct pass *pass, struct peer *peer, uint32_t edges) {
    peer->armed |= edges;
    uint64_t unanswered = facts_get(&peer->facts.first_unanswered_data);
    uint64_t unsent = facts_get(&peer->facts.first_unsent_reply);
    if (peer->staging.count && !session_can_send(peer->sessions[PEER_CURRENT], pass->now, 1))
        edge_raise(pass, peer, SHOAL_EDGE_SESSION_NEEDED, pass->now);
    if (unanswered)
        edge_raise(pass, peer, SHOAL_EDGE_UNANSWERED_DATA, unanswered);
    if (unsent)
        edge_raise(pass, peer, SHOAL_EDGE_UNSENT_REPLY, unsent);
}
