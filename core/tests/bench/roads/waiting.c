#include <errno.h>
#include <linux/if_link.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "contrast.h"
#include "pair.h"
#include "roads.h"

#define PINGS 200u /* of a slice */
#define PAUSE_NS 200000u
#define BUSY_POLL_US 300 /* longer than the pause */
#define SIZE 64u
#define PATIENCE 1000000000u

enum waits { BY_EPOLL, BY_BUSY_POLL, BY_SPINNING };

static enum waits waits;
static _Atomic bool ready;
static uint64_t echo_spent; /* CPU nanoseconds of the echo in this slice */

static uint64_t thread_spent(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static struct sockaddr_in place(uint32_t address) {
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(PAIR_PORT)};
    name.sin_addr.s_addr = htonl(address);
    return name;
}

/* ---- The echo, in the far namespace ------------------------------------------------------ */

static int open_echo(void) {
    struct sockaddr_in name = place(PAIR_FAR);
    pair_go(true);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof(name)) == 0, "echo");
    if (waits == BY_BUSY_POLL)
        must(setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &(int){BUSY_POLL_US}, sizeof(int)) == 0,
             "SO_BUSY_POLL");
    return fd;
}

/* One datagram of more than a byte is sent back. @return false: it was the last */
static bool answer(int fd, int epoll_fd) {
    uint8_t bytes[SIZE];
    struct sockaddr_in from;
    struct epoll_event event;
    socklen_t size = sizeof(from);
    int flags = waits == BY_BUSY_POLL ? 0 : MSG_DONTWAIT;
    if (waits == BY_EPOLL)
        must(epoll_wait(epoll_fd, &event, 1, -1) == 1, "epoll_wait");
    ssize_t length = recvfrom(fd, bytes, sizeof(bytes), flags, (struct sockaddr *)&from, &size);
    if (length < 0) {
        must(errno == EAGAIN, "recvfrom");
        return true;
    }
    if (length == 1)
        return false;
    must(sendto(fd, bytes, (size_t)length, 0, (struct sockaddr *)&from, size) == length, "sendto");
    return true;
}

static void *echo(void *argument) {
    (void)argument;
    int fd = open_echo(), epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    must(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
    atomic_store(&ready, true);
    uint64_t before = thread_spent();
    while (answer(fd, epoll_fd))
        ;
    echo_spent = thread_spent() - before;
    close(epoll_fd);
    close(fd);
    return NULL;
}

/* ---- Who asks ---------------------------------------------------------------------------- */

/* It spins for the answer, so that only the echo's waiting differs. */
static uint64_t ping(int fd) {
    uint8_t bytes[SIZE] = {0};
    uint64_t start = clock_monotonic();
    must(send(fd, bytes, sizeof(bytes), 0) == SIZE, "send");
    while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) != SIZE)
        must(clock_monotonic() - start < PATIENCE, "no echo");
    return clock_monotonic() - start;
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void slice(double *values, enum waits by) {
    uint64_t taken[PINGS];
    struct sockaddr_in to = place(PAIR_FAR);
    waits = by;
    atomic_store(&ready, false);
    pthread_t thread = start_on(1, echo, NULL);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    must(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0, "connect");
    while (!atomic_load(&ready))
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    uint64_t start = clock_monotonic();
    for (uint32_t i = 0; i < PINGS; i++) {
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
        taken[i] = ping(fd);
    }
    must(send(fd, "", 1, 0) == 1, "send");
    pthread_join(thread, NULL);
    close(fd);
    qsort(taken, PINGS, sizeof(taken[0]), compare);
    values[0] = (double)taken[PINGS / 2] / 1e3;
    values[1] = (double)echo_spent / (double)(clock_monotonic() - start) * 100;
}

static void slice_epoll(double *values) { slice(values, BY_EPOLL); }
static void slice_busy_poll(double *values) { slice(values, BY_BUSY_POLL); }
static void slice_spinning(double *values) { slice(values, BY_SPINNING); }

static void slice_threaded(double *values) {
    must(pair_threaded(true), "NAPI in a thread");
    slice(values, BY_EPOLL);
    must(pair_threaded(false), "NAPI in a thread");
}

void road_waiting(void) {
    pair_like_wire(true);
    run_on(0);
    struct contrast contrast = {"waiting",
                                {"round-trip", "core"},
                                {{"shoal", slice_epoll},
                                 {"busy-poll", slice_busy_poll},
                                 {"spinning", slice_spinning},
                                 {"threaded-napi", slice_threaded}}};
    if (!pair_threaded(false)) {
        contrast_lacks("waiting", "threaded-napi", ENOENT, "threaded NAPI");
        contrast.ways[3] = (struct way){NULL, NULL};
    }
    contrast_run(&contrast);
    pair_like_wire(false);
}
