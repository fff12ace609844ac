#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
/* After time.h, which it takes for granted. */
#include <linux/errqueue.h>
#include <unistd.h>

#include "aead.h"
#include "clock.h"
#include "contrast.h"
#include "roads.h"
#include "sink.h"
#include "submission.h"
#include "wire.h"

#define BUFFERS 8u   /* that a sender has in turn, as the turns have (turns.h) */
#define TRAINS 1000u /* of a slice */
#define SMALLS 10000u
#define SMALL 96u /* a message with 64 bytes */
#define PAGE 4096u

#define TRAIN_BYTES (TRAIN * MESSAGE)

static uint8_t *buffers[BUFFERS];
static uint8_t plain[TRAIN][TEXT];
static struct aead *aead;
static struct aead_key key;
static uint64_t counter;
static int trains_fd, smalls_fd;
static struct submission ring;

/* Of a slice: time of the caller, and CPU of all threads; both of one message. */
static void per_message(double *values, uint64_t start, uint64_t spent, uint32_t messages) {
    values[0] = (double)(clock_monotonic() - start) / messages;
    values[1] = (double)(clock_spent() - spent) / messages;
}

static void slice_trains(double *values) {
    uint64_t start = clock_monotonic(), spent = clock_spent();
    for (uint32_t i = 0; i < TRAINS; i++)
        sink_send(trains_fd, buffers[i % BUFFERS], TRAIN_BYTES);
    per_message(values, start, spent, TRAINS * TRAIN);
}

static void seal_train(uint8_t *train) {
    struct aead_packet packets[TRAIN];
    for (uint32_t i = 0; i < TRAIN; i++)
        packets[i] = (struct aead_packet){train + i * MESSAGE + WIRE_DATA_HEADER, plain[i],
                                          counter++, TEXT, false};
    must(aead_seal(aead, &key, packets, TRAIN), "seal");
}

/* What is sent by copy leaves its buffer at once: the next train is sealed into the same one. */
static void slice_sealed(double *values) {
    uint64_t start = clock_monotonic(), spent = clock_spent();
    for (uint32_t i = 0; i < TRAINS; i++) {
        seal_train(buffers[0]);
        sink_send(trains_fd, buffers[0], TRAIN_BYTES);
    }
    per_message(values, start, spent, TRAINS * TRAIN);
}

static void slice_smalls(double *values) {
    uint64_t start = clock_monotonic(), spent = clock_spent();
    for (uint32_t i = 0; i < SMALLS; i++)
        sink_send(smalls_fd, buffers[i % BUFFERS], SMALL);
    per_message(values, start, spent, SMALLS);
}

/* ---- Without a copy ---------------------------------------------------------------------- */

/* Reads what the kernel says it is done with. @return sends that it names */
static uint32_t read_completions(int fd) {
    union {
        char bytes[CMSG_SPACE(sizeof(struct sock_extended_err) + sizeof(struct sockaddr_storage))];
        struct cmsghdr align;
    } control;
    uint32_t count = 0;
    for (;;) {
        struct msghdr message = {.msg_control = control.bytes,
                                 .msg_controllen = sizeof(control.bytes)};
        if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
            must(errno == EAGAIN, "MSG_ERRQUEUE");
            return count;
        }
        struct sock_extended_err said;
        struct cmsghdr *item = CMSG_FIRSTHDR(&message);
        must(item != NULL, "a completion without a word");
        memcpy(&said, CMSG_DATA(item), sizeof(said));
        must(said.ee_errno == 0 && said.ee_origin == SO_EE_ORIGIN_ZEROCOPY, "zero-copy");
        count += said.ee_data - said.ee_info + 1;
    }
}

static void send_without_copy(int fd, uint32_t count, size_t length, bool seals) {
    uint32_t done = 0;
    for (uint32_t i = 0; i < count; i++) {
        while (i - done >= BUFFERS) /* the buffer is the kernel's still */
            done += read_completions(fd);
        if (seals)
            seal_train(buffers[i % BUFFERS]);
        must(send(fd, buffers[i % BUFFERS], length, MSG_ZEROCOPY) == (ssize_t)length, "zero-copy");
    }
    while (done < count)
        done += read_completions(fd);
}

static void slice_trains_zerocopy(double *values) {
    uint64_t start = clock_monotonic(), spent = clock_spent();
    send_without_copy(trains_fd, TRAINS, TRAIN_BYTES, false);
    per_message(values, start, spent, TRAINS * TRAIN);
}

static void slice_sealed_zerocopy(double *values) {
    uint64_t start = clock_monotonic(), spent = clock_spent();
    send_without_copy(trains_fd, TRAINS, TRAIN_BYTES, true);
    per_message(values, start, spent, TRAINS * TRAIN);
}

static void slice_smalls_zerocopy(double *values) {
    uint64_t start = clock_monotonic(), spent = clock_spent();
    send_without_copy(smalls_fd, SMALLS, SMALL, false);
    per_message(values, start, spent, SMALLS);
}

/* ---- By a thread of the kernel ----------------------------------------------------------- */

/* Of a thread that runs elsewhere the kernel knows the time up to its last tick only. */
static void spent_by_both(double *values, uint64_t spent, uint32_t messages) {
    uint64_t idle = submission_rest(&ring);
    values[1] = (double)(clock_spent() - spent - idle) / messages;
}

static void slice_trains_sqpoll(double *values) {
    uint64_t start = clock_monotonic(), spent = clock_spent();
    for (uint32_t i = 0; i < TRAINS; i++)
        submission_send(&ring, trains_fd, buffers[i % BUFFERS], TRAIN_BYTES);
    submission_finish(&ring);
    per_message(values, start, spent, TRAINS * TRAIN);
    spent_by_both(values, spent, TRAINS * TRAIN);
}

static void slice_smalls_sqpoll(double *values) {
    uint64_t start = clock_monotonic(), spent = clock_spent();
    for (uint32_t i = 0; i < SMALLS; i++)
        submission_send(&ring, smalls_fd, buffers[i % BUFFERS], SMALL);
    submission_finish(&ring);
    per_message(values, start, spent, SMALLS);
    spent_by_both(values, spent, SMALLS);
}

/* ---- All --------------------------------------------------------------------------------- */

static void open_sockets(uint32_t sink) {
    trains_fd = sink_open(sink, MESSAGE);
    smalls_fd = sink_open(sink, 0);
}

static void close_sockets(void) {
    close(trains_fd);
    close(smalls_fd);
}

/* @return 0 or an errno */
static int allow_zerocopy(void) {
    int on = 1;
    return setsockopt(trains_fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)) == 0 &&
                   setsockopt(smalls_fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)) == 0
               ? 0
               : errno;
}

static void contrast_zerocopy(uint32_t sink, const char *trains, const char *sealed,
                              const char *smalls) {
    open_sockets(sink);
    int error = allow_zerocopy();
    if (error) {
        contrast_lacks("zero-copy", trains, error, "SO_ZEROCOPY");
    } else {
        contrast_run(&(struct contrast){
            "zero-copy", {"taken"}, {{"shoal", slice_trains}, {trains, slice_trains_zerocopy}}});
        contrast_run(&(struct contrast){
            "zero-copy", {"taken"}, {{"shoal", slice_sealed}, {sealed, slice_sealed_zerocopy}}});
        contrast_run(&(struct contrast){
            "zero-copy", {"taken"}, {{"shoal", slice_smalls}, {smalls, slice_smalls_zerocopy}}});
    }
    close_sockets();
}

static void contrast_sqpoll(void) {
    int error = submission_open(&ring, 1);
    if (error) {
        contrast_lacks("sqpoll", "trains", error, "io_uring with SQPOLL");
        return;
    }
    open_sockets(SINK_VETH);
    contrast_run(&(struct contrast){
        "sqpoll", {"taken", "spent"}, {{"shoal", slice_trains}, {"trains", slice_trains_sqpoll}}});
    contrast_run(&(struct contrast){
        "sqpoll", {"taken", "spent"}, {{"shoal", slice_smalls}, {"smalls", slice_smalls_sqpoll}}});
    close_sockets();
    submission_close(&ring);
}

void road_send(void) {
    static const uint8_t zero[AEAD_KEY_SIZE];
    struct aead_choice choice = aead_calibrate(clock_monotonic, 5000000);
    aead = aead_create(&choice);
    must(aead != NULL, "aead");
    /* The cipher that leaves the most to gain. */
    aead_key_init(
        &key, aead_suite_here(AEAD_AES_256_GCM) ? AEAD_AES_256_GCM : AEAD_CHACHA20_POLY1305, zero);
    for (uint32_t i = 0; i < BUFFERS; i++) {
        must(posix_memalign((void **)&buffers[i], PAGE, TRAIN_BYTES) == 0, "memory");
        memset(buffers[i], 0x5a, TRAIN_BYTES);
    }
    contrast_zerocopy(SINK_VETH, "veth-trains", "veth-sealed", "veth-smalls");
    contrast_zerocopy(SINK_IFB, "ifb-trains", "ifb-sealed", "ifb-smalls");
    contrast_sqpoll();
    for (uint32_t i = 0; i < BUFFERS; i++)
        free(buffers[i]);
    aead_free(aead);
}
