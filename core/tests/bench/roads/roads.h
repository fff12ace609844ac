/*
 * The roads that Shoal does not take, one function and one file each. Each prints its lines
 * (contrast.h); what this machine lacks it says, and returns.
 */
#ifndef SHOAL_BENCH_ROADS_H
#define SHOAL_BENCH_ROADS_H

/** The kernel's ciphers by sockets, beside those of core. */
void road_af_alg(void);

/** Sending without a copy, and through a thread of the kernel (SQPOLL), beside sendmsg. */
void road_send(void);

/** Receiving by AF_XDP beside recvmsg with UDP_GRO. */
void road_af_xdp(void);

/** Waiting for a datagram by busy polling, spinning, or NAPI in a kernel thread, beside epoll. */
void road_waiting(void);

/** A second thread that seals what it takes from a queue, beside two that take turns. */
void road_queue(void);

/** What a buffer costs that another processor wrote: every hand-over between threads pays it. */
void road_crossing(void);

#endif
