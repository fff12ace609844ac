#include "uring.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GROUP 1u
#define REQUESTS 4u /* one at a time is submitted */
/* All that one receive may complete, and what an earlier one left: it never overflows. */
#define COMPLETIONS (2u * URING_BUFFERS)
#define SMALL 4096u /* mean bytes of a receive up to which more buffers are worth it */
#define ROUNDS 80u  /* of reading completions of one receive, when they overflow */

enum uring_state { FREE, OFFERED, AHEAD, TAKEN };

_Static_assert(sizeof(struct io_uring_recvmsg_out) + URING_NAME + URING_CONTROL == URING_HEAD,
               "the head of a buffer");

/* ---- Opening ----------------------------------------------------------------------------- */

/* The first refusal counts, for all workers. */
static void give_up(struct uring *uring, int error) {
    int32_t none = 0;
    atomic_compare_exchange_strong(uring->refused, &none, error);
    if (uring->fd >= 0)
        close(uring->fd);
    uring->fd = -1;
    uring->enabled = false;
}

static void *map_ring(int fd, size_t size, uint64_t offset) {
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, (off_t)offset);
    return memory == MAP_FAILED ? NULL : memory;
}

static void *map_memory(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static size_t buffers_size(void) { return (size_t)URING_BUFFERS * URING_STRIDE; }

static size_t offers_size(void) { return URING_BUFFERS * sizeof(struct io_uring_buf); }

static uint32_t *word(uint8_t *ring, uint32_t offset) {
    return (uint32_t *)(void *)(ring + offset);
}

static int map_all(struct uring *uring, const struct io_uring_params *parameters) {
    const struct io_sqring_offsets *sq = &parameters->sq_off;
    const struct io_cqring_offsets *cq = &parameters->cq_off;
    uring->submissions_size = sq->array + parameters->sq_entries * (uint32_t)sizeof(uint32_t);
    uring->completions_size =
        cq->cqes + parameters->cq_entries * (uint32_t)sizeof(struct io_uring_cqe);
    uring->requests_size = parameters->sq_entries * (uint32_t)sizeof(struct io_uring_sqe);
    uring->submissions = map_ring(uring->fd, uring->submissions_size, IORING_OFF_SQ_RING);
    uring->completions = map_ring(uring->fd, uring->completions_size, IORING_OFF_CQ_RING);
    uring->requests = map_ring(uring->fd, uring->requests_size, IORING_OFF_SQES);
    uring->buffers = map_memory(buffers_size());
    uring->offers = map_memory(offers_size());
    if (!uring->submissions || !uring->completions || !uring->requests || !uring->buffers ||
        !uring->offers)
        return ENOMEM;
    uring->sq_head = word(uring->submissions, sq->head);
    uring->sq_tail = word(uring->submissions, sq->tail);
    uring->sq_flags = word(uring->submissions, sq->flags);
    uring->sq_array = word(uring->submissions, sq->array);
    uring->sq_mask = *word(uring->submissions, sq->ring_mask);
    uring->cq_head = word(uring->completions, cq->head);
    uring->cq_tail = word(uring->completions, cq->tail);
    uring->cq_mask = *word(uring->completions, cq->ring_mask);
    uring->cqes = uring->completions + cq->cqes;
    return 0;
}

static int enroll(struct uring *uring, unsigned operation, void *argument, unsigned count) {
    return syscall(SYS_io_uring_register, uring->fd, operation, argument, count) < 0 ? errno : 0;
}

static int open_ring(struct uring *uring) {
    /* Linux 6.1 has all of it, multishot recvmsg and rings of provided buffers included. */
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SINGLE_ISSUER |
                 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED,
        .cq_entries = COMPLETIONS};
    uring->fd = (int)syscall(SYS_io_uring_setup, REQUESTS, &parameters);
    if (uring->fd < 0)
        return errno;
    int error = map_all(uring, &parameters);
    if (error)
        return error;
    struct io_uring_buf_reg ring = {
        .ring_addr = (uintptr_t)uring->offers, .ring_entries = URING_BUFFERS, .bgid = GROUP};
    return enroll(uring, IORING_REGISTER_PBUF_RING, &ring, 1);
}

void uring_open(struct uring *uring, bool helped, _Atomic int32_t *refused) {
    uring->refused = refused;
    uring->helped = helped;
    uring->want = URING_FEW;
    for (uint32_t i = URING_BUFFERS; i-- > 0;)
        uring->frees[uring->free++] = (uint8_t)i;
    int error = open_ring(uring);
    if (error)
        give_up(uring, error);
}

int uring_enable(struct uring *uring) {
    if (uring->fd < 0)
        return 0;
    int error = enroll(uring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    uring->thread = pthread_self();
    uring->enabled = true;
    if (error)
        give_up(uring, error);
    return error;
}

static void unmap(void *memory, size_t size) {
    if (memory)
        munmap(memory, size);
}

void uring_close(struct uring *uring) {
    if (uring->fd >= 0)
        close(uring->fd);
    uring->fd = -1;
    unmap(uring->submissions, uring->submissions_size);
    unmap(uring->completions, uring->completions_size);
    unmap(uring->requests, uring->requests_size);
    unmap(uring->buffers, buffers_size());
    unmap(uring->offers, offers_size());
}

/* ---- Buffers ----------------------------------------------------------------------------- */

static uint8_t *buffer_of(const struct uring *uring, uint32_t place) {
    return uring->buffers + (size_t)place * URING_STRIDE;
}

void uring_give_back(struct uring *uring, uint8_t place) {
    uring->state[place] = FREE;
    uring->frees[uring->free++] = place;
}

static void offer(struct uring *uring) {
    struct io_uring_buf_ring *ring = uring->offers;
    for (; uring->offered < uring->want && uring->free; uring->offered++) {
        uint8_t place = uring->frees[--uring->free];
        /* By its fields: the tail lies in the last one of the first entry. */
        struct io_uring_buf *entry = &ring->bufs[uring->tail++ % URING_BUFFERS];
        entry->addr = (uintptr_t)buffer_of(uring, place);
        entry->len = URING_HEAD + SOCKET_RECEIVE_MAX;
        entry->bid = place;
        uring->state[place] = OFFERED;
    }
    __atomic_store_n(&ring->tail, uring->tail, __ATOMIC_RELEASE);
}

static void append(struct uring *uring, struct udp_socket *udp, uint8_t place, uint32_t length) {
    uring->state[place] = AHEAD;
    uring->length[place] = length;
    if (udp->ahead)
        uring->next[udp->ahead_last] = place;
    else
        udp->ahead_first = place;
    udp->ahead_last = place;
    udp->ahead++;
    atomic_fetch_add_explicit(&uring->ahead, 1, memory_order_relaxed);
}

static uint8_t remove_first(struct uring *uring, struct udp_socket *udp) {
    uint8_t place = udp->ahead_first;
    udp->ahead_first = uring->next[place];
    udp->ahead--;
    atomic_fetch_sub_explicit(&uring->ahead, 1, memory_order_relaxed);
    uring->state[place] = TAKEN;
    return place;
}

void uring_forget(struct uring *uring, struct udp_socket *udp) {
    while (udp->ahead)
        uring_give_back(uring, remove_first(uring, udp));
}

/* ---- Receiving --------------------------------------------------------------------------- */

/* What the completions of one receive say. */
struct outcome {
    bool ended;
    int result;     /* of the last one */
    uint32_t count; /* buffers filled */
    uint64_t bytes; /* in them, heads included */
};

static void arm(struct uring *uring, int fd) {
    static struct msghdr asked = {.msg_namelen = URING_NAME, .msg_controllen = URING_CONTROL};
    uint32_t tail = *uring->sq_tail, at = tail & uring->sq_mask;
    struct io_uring_sqe *request = (struct io_uring_sqe *)uring->requests + at;
    *request = (struct io_uring_sqe){.opcode = IORING_OP_RECVMSG,
                                     .flags = IOSQE_BUFFER_SELECT,
                                     .ioprio = IORING_RECV_MULTISHOT,
                                     .fd = fd,
                                     .addr = (uintptr_t)&asked,
                                     .len = 1,
                                     .msg_flags = MSG_DONTWAIT,
                                     .user_data = ++uring->token,
                                     .buf_group = GROUP};
    uring->sq_array[at] = at;
    __atomic_store_n(uring->sq_tail, tail + 1, __ATOMIC_RELEASE);
}

/* 0 or an errno; what was not submitted then is taken back. */
static int enter(struct uring *uring, uint32_t submit) {
    long done;
    do
        done = syscall(SYS_io_uring_enter, uring->fd, submit, 0, IORING_ENTER_GETEVENTS, NULL, 0);
    while (done < 0 && errno == EINTR);
    int error = done < 0 ? errno : done < submit ? EAGAIN : 0;
    uint32_t head = __atomic_load_n(uring->sq_head, __ATOMIC_ACQUIRE);
    if (head != *uring->sq_tail)
        __atomic_store_n(uring->sq_tail, head, __ATOMIC_RELEASE);
    else if (submit)
        error = 0; /* it was submitted all the same */
    return error;
}

/* @return false: the kernel says what cannot be */
static bool complete(struct uring *uring, struct udp_socket *udp, const struct io_uring_cqe *cqe,
                     struct outcome *outcome) {
    bool current = cqe->user_data == uring->token;
    if (cqe->flags & IORING_CQE_F_BUFFER) {
        uint32_t place = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        if (place >= URING_BUFFERS || uring->state[place] != OFFERED)
            return false;
        uring->offered--;
        if (!current || cqe->res < (int)URING_HEAD) {
            uring_give_back(uring, (uint8_t)place);
        } else {
            append(uring, udp, (uint8_t)place, (uint32_t)cqe->res);
            outcome->count++;
            outcome->bytes += (uint32_t)cqe->res;
        }
    }
    if (current && !(cqe->flags & IORING_CQE_F_MORE)) {
        outcome->ended = true;
        outcome->result = cqe->res;
    }
    return true;
}

static bool reap(struct uring *uring, struct udp_socket *udp, struct outcome *outcome) {
    const struct io_uring_cqe *cqes = uring->cqes;
    uint32_t head = *uring->cq_head, tail = __atomic_load_n(uring->cq_tail, __ATOMIC_ACQUIRE);
    bool sane = true;
    for (; head != tail; head++)
        sane &= complete(uring, udp, &cqes[head & uring->cq_mask], outcome);
    __atomic_store_n(uring->cq_head, head, __ATOMIC_RELEASE);
    return sane;
}

static bool overflowed(const struct uring *uring) {
    return __atomic_load_n(uring->sq_flags, __ATOMIC_ACQUIRE) & IORING_SQ_CQ_OVERFLOW;
}

/* Until the receive is over: what does not fit into the ring of completions the kernel keeps. */
static int collect(struct uring *uring, struct udp_socket *udp, struct outcome *outcome) {
    for (uint32_t round = 0; round < ROUNDS; round++) {
        if (!reap(uring, udp, outcome))
            return EPROTO;
        bool more = overflowed(uring);
        if (outcome->ended && !more)
            return 0;
        int error = enter(uring, 0);
        if (error)
            return error;
        if (!more && !outcome->ended && round)
            break;
    }
    return EPROTO; /* pending although it may not wait: it ends with the ring */
}

/* Twice as many for small ones that took all; few for gathered ones, which are opened while they
 * are in the cache. */
static void adapt(struct uring *uring, const struct outcome *outcome) {
    uint64_t payload = outcome->bytes - (uint64_t)outcome->count * URING_HEAD;
    if (outcome->count && payload >= (uint64_t)outcome->count * URING_GATHERED)
        uring->want = URING_FEW;
    else if (outcome->result == -ENOBUFS && payload <= (uint64_t)outcome->count * SMALL)
        uring->want = uring->want * 2 < URING_BUFFERS ? uring->want * 2 : URING_BUFFERS;
}

static bool is_temporary(int error) {
    return error == EAGAIN || error == EBUSY || error == ENOMEM || error == EINTR;
}

static void fail(struct uring *uring, int error) {
    if (!is_temporary(error) || ++uring->failures >= URING_FAILURES)
        give_up(uring, error);
}

int uring_receive(struct uring *uring, struct udp_socket *udp, struct stats *stats, bool *dry) {
    offer(uring);
    if (!uring->offered) {
        stats_add(stats, COUNT_uring_plain, 1);
        return 0;
    }
    struct outcome outcome = {0};
    arm(uring, udp->fd);
    int error = enter(uring, 1);
    if (!error)
        error = collect(uring, udp, &outcome);
    stats_add(stats, COUNT_uring_receives, 1);
    stats_add(stats, COUNT_uring_buffers, outcome.count);
    if (error) {
        fail(uring, error);
        stats_add(stats, COUNT_uring_plain, !outcome.count);
        return 0;
    }
    adapt(uring, &outcome);
    int said = outcome.result < 0 ? -outcome.result : 0;
    *dry = said == EAGAIN && outcome.count < URING_SURE;
    if (said == ENOBUFS)
        stats_add(stats, COUNT_uring_short, 1);
    /* What io_uring says and not the socket. EACCES and EOPNOTSUPP are not among it: a socket says
     * them for ICMP, which anybody can forge. */
    if (said == ENOMEM || said == ECANCELED || said == EINVAL) {
        fail(uring, said == ECANCELED ? EAGAIN : said);
        stats_add(stats, COUNT_uring_plain, !outcome.count);
        return 0;
    }
    uring->failures = 0;
    return said == EAGAIN || said == ENOBUFS || said == EINTR ? 0 : said;
}

struct uring_taken uring_take(struct uring *uring, struct udp_socket *udp,
                              struct socket_received *received) {
    uint8_t place = remove_first(uring, udp);
    uint8_t *buffer = buffer_of(uring, place);
    struct io_uring_recvmsg_out out;
    memcpy(&out, buffer, sizeof(out));
    struct msghdr message = {.msg_name = buffer + sizeof(out),
                             .msg_namelen = out.namelen < URING_NAME ? out.namelen : URING_NAME,
                             .msg_control = buffer + sizeof(out) + URING_NAME,
                             .msg_controllen =
                                 out.controllen < URING_CONTROL ? out.controllen : URING_CONTROL,
                             .msg_flags = (int)out.flags};
    socket_read_message(udp, &message, uring->length[place] - URING_HEAD, received);
    return (struct uring_taken){.place = place, .bytes = buffer + URING_HEAD};
}
