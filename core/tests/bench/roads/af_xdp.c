#include <errno.h>
#include <linux/if_xdp.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "checksum.h"
#include "clock.h"
#include "contrast.h"
#include "pair.h"
#include "roads.h"
#include "sink.h"
#include "socket.h"
#include "xsk.h"

#define DATAGRAMS (80u * TRAIN) /* of a slice: fewer than XSK_FRAMES */
#define SMALL 96u               /* a message with 64 bytes */
#define HEADERS 42u             /* Ethernet, IPv4, UDP */
#define BUFFER (64u << 20)
#define PATIENCE 1000000000u

static struct udp_socket plain;
static struct xsk xsk;
static int sender_fd;
static uint32_t ifindex;
static bool like_wire;
static uint32_t size, together; /* bytes of a datagram; datagrams of a send */
static uint64_t seen; /* sum of all that was received: each byte is read once, as by a cipher */
static uint8_t train[TRAIN * MESSAGE];

/* The kernel's way to the socket is paid by who sends: softirqs run inside of its call. */
static uint64_t fill(void) {
    uint64_t start = clock_monotonic();
    for (uint32_t i = 0; i < DATAGRAMS / together; i++)
        sink_send(sender_fd, train, (size_t)together * size);
    return start;
}

static void values_of(double *values, uint64_t start, uint64_t filled) {
    uint64_t end = clock_monotonic();
    values[0] = (double)(end - start) / DATAGRAMS;
    values[1] = (double)(end - filled) / DATAGRAMS;
}

/* ---- As Shoal does ----------------------------------------------------------------------- */

static void slice_recvmsg(double *values) {
    static uint8_t buffer[SOCKET_RECEIVE_MAX];
    struct socket_received received;
    uint32_t count = 0;
    pair_like_wire(like_wire);
    uint64_t start = fill(), filled = clock_monotonic();
    while (count < DATAGRAMS) {
        must(socket_receive(&plain, buffer, sizeof(buffer), &received) == 0, "recvmsg");
        for (uint32_t at = 0; at < received.length; at += received.segment, count++)
            seen += checksum_sum(buffer + at, size);
    }
    values_of(values, start, filled);
}

/* ---- AF_XDP ------------------------------------------------------------------------------ */

static void take(const uint8_t *frame, uint32_t length) {
    uint16_t port;
    memcpy(&port, frame + HEADERS - 6, sizeof(port));
    must(length == HEADERS + size && port == htons(PAIR_PORT), "another frame");
    seen += checksum_sum(frame + HEADERS, size);
}

static void slice_xsk(double *values) {
    const char *what;
    pair_like_wire(like_wire);
    pair_go(true);
    errno = xsk_open(&xsk, ifindex, XDP_COPY, &what);
    must(errno == 0, what);
    pair_go(false);
    uint64_t start = fill(), filled = clock_monotonic();
    uint32_t count = xsk_receive(&xsk, take);
    while (count < DATAGRAMS && clock_monotonic() - filled < PATIENCE)
        count += xsk_receive(&xsk, take);
    must(count == DATAGRAMS, "AF_XDP lost datagrams");
    values_of(values, start, filled);
    xsk_close(&xsk);
}

/* @return whether this machine can do it; if not, it was said */
static bool has(const char *way, uint16_t flags) {
    const char *what;
    pair_go(true);
    int error = xsk_open(&xsk, ifindex, flags, &what);
    pair_go(false);
    if (error)
        contrast_lacks("af-xdp", way, error, what);
    else
        xsk_close(&xsk);
    return !error;
}

static void open_sockets(void) {
    const struct socket_options options = {.receive_buffer = BUFFER};
    const char *what;
    uint16_t port = PAIR_PORT;
    pair_go(true);
    must(socket_open(&plain, SHOAL_AF_INET, &port, &options, &what) == 0 &&
             socket_set_gro(&plain, true) == 0,
         "receiver");
    pair_go(false);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PAIR_PORT)};
    to.sin_addr.s_addr = htonl(PAIR_FAR);
    sender_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    must(connect(sender_fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
             setsockopt(sender_fd, SOL_SOCKET, SO_SNDBUFFORCE, &(int){BUFFER}, sizeof(int)) == 0,
         "sender");
}

static void contrast_with(bool wire, uint32_t bytes, uint32_t count, const char *way) {
    int segment = count > 1 ? (int)bytes : 0;
    must(setsockopt(sender_fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)) == 0, "segment");
    like_wire = wire;
    size = bytes;
    together = count;
    contrast_run(&(struct contrast){
        "af-xdp", {"whole", "receiver"}, {{"shoal", slice_recvmsg}, {way, slice_xsk}}});
}

void road_af_xdp(void) {
    memset(train, 0x5a, sizeof(train));
    ifindex = pair_far_index();
    open_sockets();
    (void)has("zero-copy", XDP_ZEROCOPY);
    if (has("veth", XDP_COPY)) {
        contrast_with(false, MESSAGE, TRAIN, "veth");
        contrast_with(true, MESSAGE, TRAIN, "wire");
        contrast_with(false, SMALL, 1, "smalls");
        must(seen != 0, "nothing was read");
    }
    pair_like_wire(false);
    socket_close(&plain);
    close(sender_fd);
}
