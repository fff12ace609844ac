#include "submission.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "contrast.h"

#define IDLE_MS 2u /* after which the kernel's thread sleeps: longer than any pause of a slice */
#define PAUSE_NS 200000

static void *map(struct submission *ring, size_t size, uint64_t offset) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd,
                        (off_t)offset);
    must(memory != MAP_FAILED, "mmap of io_uring");
    return memory;
}

static uint32_t *word(const struct submission *ring, uint32_t offset) {
    return (uint32_t *)(void *)((uint8_t *)ring->memory + offset);
}

int submission_open(struct submission *ring, uint32_t processor) {
    struct io_uring_params parameters = {.flags = IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF,
                                         .sq_thread_cpu = processor,
                                         .sq_thread_idle = IDLE_MS};
    *ring = (struct submission){.fd = (int)syscall(SYS_io_uring_setup, SUBMISSIONS, &parameters)};
    if (ring->fd < 0)
        return errno;
    must(parameters.features & IORING_FEAT_SINGLE_MMAP, "io_uring maps in one piece");
    size_t sq = parameters.sq_off.array + parameters.sq_entries * sizeof(uint32_t);
    size_t cq = parameters.cq_off.cqes + parameters.cq_entries * sizeof(struct io_uring_cqe);
    ring->memory_size = sq > cq ? sq : cq;
    ring->requests_size = parameters.sq_entries * sizeof(struct io_uring_sqe);
    ring->memory = map(ring, ring->memory_size, IORING_OFF_SQ_RING);
    ring->requests = map(ring, ring->requests_size, IORING_OFF_SQES);
    ring->sq_tail = word(ring, parameters.sq_off.tail);
    ring->sq_flags = word(ring, parameters.sq_off.flags);
    ring->sq_array = word(ring, parameters.sq_off.array);
    ring->sq_mask = *word(ring, parameters.sq_off.ring_mask);
    ring->cq_head = word(ring, parameters.cq_off.head);
    ring->cq_tail = word(ring, parameters.cq_off.tail);
    ring->cq_mask = *word(ring, parameters.cq_off.ring_mask);
    ring->completions = word(ring, parameters.cq_off.cqes);
    /* Its thread begins on our processor and goes to its own by itself, once we let it. */
    (void)submission_rest(ring);
    return 0;
}

void submission_close(struct submission *ring) {
    munmap(ring->memory, ring->memory_size);
    munmap(ring->requests, ring->requests_size);
    close(ring->fd);
}

static void reap(struct submission *ring) {
    const struct io_uring_cqe *completions = ring->completions;
    uint32_t head = *ring->cq_head, tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE);
    for (; head != tail; head++, ring->done++) {
        const struct io_uring_cqe *one = &completions[head & ring->cq_mask];
        errno = one->res < 0 ? -one->res : 0;
        must(one->res == (int)one->user_data, "a send by io_uring");
    }
    __atomic_store_n(ring->cq_head, head, __ATOMIC_RELEASE);
}

static bool is_asleep(const struct submission *ring) {
    return __atomic_load_n(ring->sq_flags, __ATOMIC_SEQ_CST) & IORING_SQ_NEED_WAKEUP;
}

static void wait_for(struct submission *ring, uint64_t in_flight) {
    for (reap(ring); ring->sent - ring->done > in_flight; reap(ring))
        spin_once();
}

void submission_send(struct submission *ring, int fd, const uint8_t *bytes, uint32_t length) {
    wait_for(ring, SUBMISSIONS - 1);
    uint32_t tail = *ring->sq_tail, at = tail & ring->sq_mask;
    ((struct io_uring_sqe *)ring->requests)[at] = (struct io_uring_sqe){.opcode = IORING_OP_SEND,
                                                                        .fd = fd,
                                                                        .addr = (uintptr_t)bytes,
                                                                        .len = length,
                                                                        .user_data = length};
    ring->sq_array[at] = at;
    /* The tail before the flag that is read next, or the kernel's thread sleeps on. */
    __atomic_exchange_n(ring->sq_tail, tail + 1, __ATOMIC_SEQ_CST);
    ring->sent++;
    if (is_asleep(ring))
        must(syscall(SYS_io_uring_enter, ring->fd, 0, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0) >= 0,
             "io_uring_enter");
}

void submission_finish(struct submission *ring) { wait_for(ring, 0); }

uint64_t submission_rest(const struct submission *ring) {
    uint64_t start = clock_monotonic();
    while (!is_asleep(ring))
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    return clock_monotonic() - start;
}
