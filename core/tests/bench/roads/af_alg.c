#include <errno.h>
#include <linux/if_alg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aead.h"
#include "clock.h"
#include "contrast.h"
#include "roads.h"

#ifndef SOL_ALG
#define SOL_ALG 279
#endif

#define TEXT 1424u
#define BATCH 45u
#define ROUNDS 40u /* batches of a slice */

static struct aead *aead;
static struct aead_key key;
static int request_fd; /* of the algorithm */
static int pipe_fds[2];
static uint8_t plain[BATCH][TEXT];
static uint8_t sealed[BATCH][TEXT + AEAD_TAG_SIZE];
static uint64_t counter;

static void per_packet(double *values, uint64_t start) {
    values[0] = (double)(clock_monotonic() - start) / (ROUNDS * BATCH);
}

static void slice_aead(double *values) {
    struct aead_packet packets[BATCH];
    uint64_t start = clock_monotonic();
    for (uint32_t r = 0; r < ROUNDS; r++) {
        for (uint32_t i = 0; i < BATCH; i++)
            packets[i] = (struct aead_packet){sealed[i], plain[i], counter++, TEXT, false};
        must(aead_seal(aead, &key, packets, BATCH), "seal");
    }
    per_packet(values, start);
}

/* ---- AF_ALG ------------------------------------------------------------------------------ */

/* One packet: text, direction and nonce go in by sendmsg, what is sealed comes out by read. */
static void seal_by_kernel(uint8_t *out, uint8_t *in, uint64_t number) {
    union {
        char bytes[CMSG_SPACE(sizeof(uint32_t)) +
                   CMSG_SPACE(sizeof(struct af_alg_iv) + AEAD_NONCE_SIZE) +
                   CMSG_SPACE(sizeof(uint32_t))];
        struct cmsghdr align;
    } control;
    memset(&control, 0, sizeof(control));
    struct iovec part = {.iov_base = in, .iov_len = TEXT};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *item = CMSG_FIRSTHDR(&message);
    item->cmsg_level = SOL_ALG;
    item->cmsg_type = ALG_SET_OP;
    item->cmsg_len = CMSG_LEN(sizeof(uint32_t));
    memcpy(CMSG_DATA(item), &(uint32_t){ALG_OP_ENCRYPT}, sizeof(uint32_t));
    item = CMSG_NXTHDR(&message, item);
    item->cmsg_level = SOL_ALG;
    item->cmsg_type = ALG_SET_IV;
    item->cmsg_len = CMSG_LEN(sizeof(struct af_alg_iv) + AEAD_NONCE_SIZE);
    memcpy(CMSG_DATA(item), &(uint32_t){AEAD_NONCE_SIZE}, sizeof(uint32_t));
    memcpy(CMSG_DATA(item) + sizeof(struct af_alg_iv) + 4, &number, sizeof(number));
    item = CMSG_NXTHDR(&message, item);
    item->cmsg_level = SOL_ALG;
    item->cmsg_type = ALG_SET_AEAD_ASSOCLEN;
    item->cmsg_len = CMSG_LEN(sizeof(uint32_t));
    must(sendmsg(request_fd, &message, 0) == TEXT, "sendmsg to AF_ALG");
    must(read(request_fd, out, TEXT + AEAD_TAG_SIZE) == TEXT + AEAD_TAG_SIZE, "read of AF_ALG");
}

static void slice_kernel(double *values) {
    uint64_t start = clock_monotonic();
    for (uint32_t r = 0; r < ROUNDS; r++)
        for (uint32_t i = 0; i < BATCH; i++)
            seal_by_kernel(sealed[i], plain[i], counter++);
    per_packet(values, start);
}

/* @return 0 or an errno, and *what */
static int open_algorithm(const char *name, const uint8_t *bytes, const char **what) {
    struct sockaddr_alg address = {.salg_family = AF_ALG, .salg_type = "aead"};
    snprintf((char *)address.salg_name, sizeof(address.salg_name), "%s", name);
    *what = "socket(AF_ALG)";
    int fd = socket(AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    *what = name;
    int error = 0;
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        setsockopt(fd, SOL_ALG, ALG_SET_KEY, bytes, AEAD_KEY_SIZE) != 0 ||
        setsockopt(fd, SOL_ALG, ALG_SET_AEAD_AUTHSIZE, NULL, AEAD_TAG_SIZE) != 0 ||
        (request_fd = accept(fd, NULL, NULL)) < 0)
        error = errno;
    close(fd);
    return error;
}

/* The same bytes as core seals, or it is no comparison. */
static void check(void) {
    static uint8_t ours[TEXT + AEAD_TAG_SIZE];
    struct aead_packet packet = {ours, plain[0], counter, TEXT, false};
    must(aead_seal(aead, &key, &packet, 1), "seal");
    seal_by_kernel(sealed[0], plain[0], counter++);
    must(memcmp(ours, sealed[0], sizeof(ours)) == 0, "AF_ALG sealed something else");
}

/* ---- Its floor --------------------------------------------------------------------------- */

/* Two system calls and two copies, as AF_ALG needs, and no cipher at all. */
static void slice_pipe(double *values) {
    uint64_t start = clock_monotonic();
    for (uint32_t r = 0; r < ROUNDS; r++)
        for (uint32_t i = 0; i < BATCH; i++)
            must(write(pipe_fds[1], plain[i], TEXT) == TEXT &&
                     read(pipe_fds[0], sealed[i], TEXT) == TEXT,
                 "pipe");
    per_packet(values, start);
}

static void measure(enum aead_suite suite, const char *way, const char *floor,
                    const char *algorithm) {
    static const uint8_t bytes[AEAD_KEY_SIZE] = {1};
    const char *what;
    aead_key_init(&key, suite, bytes);
    contrast_run(
        &(struct contrast){"af-alg", {"seal"}, {{"shoal", slice_aead}, {floor, slice_pipe}}});
    int error = open_algorithm(algorithm, bytes, &what);
    if (error) {
        contrast_lacks("af-alg", way, error, what);
        return;
    }
    check();
    contrast_run(
        &(struct contrast){"af-alg", {"seal"}, {{"shoal", slice_aead}, {way, slice_kernel}}});
    close(request_fd);
}

void road_af_alg(void) {
    struct aead_choice choice = aead_calibrate(clock_monotonic, 5000000);
    aead = aead_create(&choice);
    must(aead && pipe(pipe_fds) == 0, "aead");
    measure(AEAD_CHACHA20_POLY1305, "chacha20", "chacha20-floor", "rfc7539(chacha20,poly1305)");
    if (aead_suite_here(AEAD_AES_256_GCM))
        measure(AEAD_AES_256_GCM, "aes-gcm", "aes-gcm-floor", "gcm(aes)");
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    aead_free(aead);
}
