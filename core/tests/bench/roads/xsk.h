/*
 * An AF_XDP socket that receives all of an interface's first queue: a program of five instructions
 * sends every frame to it.
 */
#ifndef SHOAL_BENCH_XSK_H
#define SHOAL_BENCH_XSK_H

#include <stddef.h>
#include <stdint.h>

#define XSK_FRAMES 4096u /* that it holds at most */
#define XSK_FRAME 2048u  /* bytes of one */

struct xsk_ring {
    uint32_t *producer, *consumer;
    void *entries;
    void *memory;
    size_t size;
};

struct xsk {
    int fd, map_fd, program_fd, link_fd; /* -1: not open */
    uint8_t *frames;
    struct xsk_ring fill, received;
};

/** What was received, and what it is handed to. */
typedef void (*xsk_taker)(const uint8_t *frame, uint32_t length);

/**
 * Where the driver itself has XDP: what it does not have, the kernel does after it gathered, and
 * frames that were gathered do not fit.
 * @param flags  XDP_COPY or XDP_ZEROCOPY
 * @param what   the call that failed
 * @return 0 or an errno
 */
int xsk_open(struct xsk *xsk, uint32_t ifindex, uint16_t flags, const char **what);
void xsk_close(struct xsk *xsk);

/** Hands over all that is there and gives its frames back. @return how many there were */
uint32_t xsk_receive(struct xsk *xsk, xsk_taker take);

#endif
