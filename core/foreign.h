/*
 * What is another worker's: found here, handed to its owner, and worked on there.
 */
#ifndef SHOAL_FOREIGN_H
#define SHOAL_FOREIGN_H

#include <stdbool.h>
#include <stdint.h>

struct pass;
struct peer;
struct socket_received;

/** A data message whose session is that worker's, not opened. Dropped and counted if it is full. */
void foreign_message(struct pass *pass, uint32_t worker, const uint8_t *message, uint32_t length,
                     const struct socket_received *received);

/**
 * A frame for a peer of another worker; the arguments are tx_frame's.
 * @param from  the peer that sent it to us, which is told if it cannot go on; NULL: the TUN's
 */
void foreign_frame(struct pass *pass, struct peer *peer, const struct peer *from,
                   const uint8_t *frame, uint32_t length, uint8_t tos, bool congested);

/** Works on what others have handed to us. */
void foreign_drain(struct pass *pass);

#endif
