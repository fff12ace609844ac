/*
 * Edges: one-shot news about a peer that the caller arms and core disarms by mailing them.
 */
#ifndef SHOAL_EDGE_H
#define SHOAL_EDGE_H

#include <stdint.h>

#include "peer.h"
#include "shoal.h"

struct pass;

/** Mails the edge if it is armed. A full mailbox leaves it armed, for the next occasion. */
void edge_raise(struct pass *pass, struct peer *peer, enum shoal_edge edge, uint64_t time);

/** Arms edges and mails at once those whose condition holds. Control thread, at a standstill. */
void edge_arm(struct pass *pass, struct peer *peer, uint32_t edges);

#endif
