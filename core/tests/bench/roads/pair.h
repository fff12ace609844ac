/*
 * Two network namespaces and a pair of veth between them: near0 (10.3.0.1) where the program is,
 * far0 (10.3.0.2) in the other one.
 */
#ifndef SHOAL_BENCH_PAIR_H
#define SHOAL_BENCH_PAIR_H

#include <stdbool.h>
#include <stdint.h>

#define PAIR_NEAR 0x0a030001u
#define PAIR_FAR 0x0a030002u
#define PAIR_PORT 5000u

void pair_create(void);

/** Takes the calling thread to the far namespace, or back. Its sockets stay where they were made.
 */
void pair_go(bool far);

/** What happens to a train of UDP_SEGMENT: it crosses whole, or as on a wire, one datagram after
 * the other, and NAPI of far0 gathers it again (GRO). */
void pair_like_wire(bool on);

/** Whether NAPI of far0 runs in a thread of its own. @return false: this kernel has no such */
bool pair_threaded(bool on);

/** Index of far0, in the far namespace. */
uint32_t pair_far_index(void);

#endif
