/*
 * A ring of io_uring whose requests a thread of the kernel takes and carries out by itself
 * (IORING_SETUP_SQPOLL).
 */
#ifndef SHOAL_BENCH_SUBMISSION_H
#define SHOAL_BENCH_SUBMISSION_H

#include <stddef.h>
#include <stdint.h>

#define SUBMISSIONS 8u /* in flight at most */

struct submission {
    int fd;
    uint32_t *sq_tail, *sq_flags, *sq_array, *cq_head, *cq_tail;
    uint32_t sq_mask, cq_mask;
    void *memory, *requests; /* ring (IORING_FEAT_SINGLE_MMAP), and its entries */
    size_t memory_size, requests_size;
    const void *completions;
    uint64_t sent, done; /* requests so far */
};

/** @param processor  of the kernel's thread. @return 0 or an errno */
int submission_open(struct submission *ring, uint32_t processor);
void submission_close(struct submission *ring);

/** Waits for a place, then hands over the sending of these bytes, which stay as they are until
 * SUBMISSIONS later ones were handed over. */
void submission_send(struct submission *ring, int fd, const uint8_t *bytes, uint32_t length);

/** Waits until all is done. */
void submission_finish(struct submission *ring);

/** Waits until the kernel's thread sleeps: what is measured next has its processor, and the kernel
 * has its time in its books. @return nanoseconds of that time that it only waited */
uint64_t submission_rest(const struct submission *ring);

#endif
