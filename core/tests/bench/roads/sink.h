/*
 * Where datagrams go that are sent for the sake of sending: an interface of this namespace whose
 * far end throws them away.
 */
#ifndef SHOAL_BENCH_SINK_H
#define SHOAL_BENCH_SINK_H

#include <stdint.h>
#include <sys/socket.h>

#define TRAIN 45u /* messages of one UDP_SEGMENT train */
#define TEXT 1420u
#define MESSAGE (TEXT + 32u) /* with header and tag */

/** A pair of veth: the far end finds a hardware address that is not its own. The kernel copies what
 * was sent without a copy when it gets there, as it does for whatever this machine receives. */
#define SINK_VETH 1u
/** An IFB, which frees what is sent by it: nobody reads the bytes, as if a card fetched them. */
#define SINK_IFB 2u

/** Makes both interfaces in this namespace. */
void sink_create(void);

/** A UDP socket connected to one of them. @param segment  of UDP_SEGMENT; 0: none */
int sink_open(uint32_t which, int segment);

/** Sends by the plain call, and all of it. */
void sink_send(int fd, const uint8_t *bytes, size_t length);

#endif
