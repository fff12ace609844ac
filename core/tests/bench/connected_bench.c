/*
 * What a datagram costs with connected sockets and without: `./run bench connected` runs this and
 * reads its line, "case places fill drain opened": nanoseconds of one datagram.
 *
 *     connected_bench CASE PLACES [poll|uring]
 *
 * PLACES is how many peers may have a connected socket, 64 at most; `off`: they are switched off.
 *
 *     stream-in      one peer, gathered buffers of 45 messages
 *     small-in       one peer, messages of 64 bytes, one by one
 *     peers-in       1,000 peers in turn, messages of 64 bytes
 *     strangers-in   datagrams of nobody while all places are taken
 *     stream-out, small-out   one peer, super-packets of 44 and packets of 64 bytes
 *
 * `fill` is what the sender on the loopback pays, in whose time the kernel finds the socket; it
 * runs while the worker stands still. `drain` is what the worker takes for it afterwards. In a
 * network namespace of its own, before everything else that wants a processor.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "api.h"
#include "checksum.h"
#include "registry.h"
#include "wire.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define PEERS_MAX 1000u
#define STRANGERS 200u
#define BUFFER (256u << 20)
#define PORT 5000u
#define SLICES 9
#define SMALL 64u    /* bytes of an inner packet */
#define LARGE 1408u  /* a multiple of the padding */
#define TRAIN 45u    /* messages of a gathered buffer */
#define SEGMENT 1372 /* payload of a datagram in a super-packet, of which there are 44 */
#define SEGMENTS 44u
#define QUEUE 10500u /* of the TUN */

/* What a case is made of. */
struct kind {
    const char *name;
    uint32_t peers;    /* that are connected, or send */
    uint32_t size;     /* of an inner packet */
    uint32_t together; /* messages of one send */
    uint32_t sends;    /* of a slice */
    bool outbound;
    bool strangers;
};

static const struct kind kinds[] = {
    {"stream-in", 1, LARGE, TRAIN, 400, false, false},
    {"small-in", 1, SMALL, 1, 20000, false, false},
    {"peers-in", PEERS_MAX, SMALL, 1, 20000, false, false},
    {"strangers-in", CONNECTED_MAX, SMALL, 1, 20000, false, true},
    {"stream-out", 1, SEGMENT, SEGMENTS, 480, true, false},
    {"small-out", 1, SMALL, 1, 10000, true, false},
};

static const struct kind *kind;
static shoal_device_t handle;
static struct device *device;
static int senders[PEERS_MAX], strangers[STRANGERS];
static uint64_t counters[PEERS_MAX];
static struct aead *aead;
static struct aead_key key;
static uint8_t *messages; /* of a slice, sealed before the clock starts */

static void must(bool done, const char *what) {
    if (done)
        return;
    fprintf(stderr, "connected_bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t nanoseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t count_of(enum counter which) {
    return stats_get(&device->workers[0]->pass.stats, which);
}

/* ---- The device -------------------------------------------------------------------------- */

static int open_sender(struct shoal_address *place) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in name = {.sin_family = AF_INET};
    socklen_t size = sizeof(name);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(fd >= 0 && bind(fd, (struct sockaddr *)&name, size) == 0 &&
             getsockname(fd, (struct sockaddr *)&name, &size) == 0,
         "sender");
    must(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &(int){BUFFER}, sizeof(int)) == 0, "SO_SNDBUF");
    name.sin_port = htons(PORT);
    struct sockaddr_in own = name;
    size = sizeof(own);
    getsockname(fd, (struct sockaddr *)&own, &size);
    must(connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0, "connect");
    *place = (struct shoal_address){
        .family = SHOAL_AF_INET, .port = ntohs(own.sin_port), .ip = {127, 0, 0, 1}};
    return fd;
}

static void add_peer(uint32_t i) {
    shoal_peer_t peer;
    struct shoal_endpoint endpoint = {.remote = {SHOAL_AF_INET, 6000, 0, {10, 1, 0, 2}},
                                      .local = {SHOAL_AF_INET, 0, 0, {10, 1, 0, 1}}};
    if (!kind->outbound) {
        senders[i] = open_sender(&endpoint.remote);
        memcpy(endpoint.local.ip, endpoint.remote.ip, 4);
    }
    struct shoal_prefix prefix = {
        SHOAL_AF_INET, 32, {10, 9, (uint8_t)(1 + i / 250), (uint8_t)(1 + i % 250)}};
    struct shoal_session session = {
        .role = SHOAL_ROLE_INITIATOR, .local_index = i + 1, .remote_index = 1, .birth = UINT64_MAX};
    must(shoal_peer_add(handle, i, &peer) == SHOAL_OK &&
             shoal_route_add(handle, peer, &prefix, sizeof(prefix)) == SHOAL_OK &&
             shoal_peer_set_endpoint(handle, peer, &endpoint, sizeof(endpoint)) == SHOAL_OK &&
             shoal_session_install(handle, peer, &session, sizeof(session)) == SHOAL_OK,
         "peer");
}

static void open_device(bool connects, uint32_t places, const char *io) {
    struct shoal_device_config config = {.abi_version = SHOAL_ABI_VERSION,
                                         .ifname = "bench0",
                                         .workers = 1,
                                         .offloads_off = SHOAL_OFFLOAD_QUEUE_CONTROL,
                                         .receive_buffer = BUFFER};
    if (!connects)
        config.offloads_off |= SHOAL_OFFLOAD_CONNECTED;
    snprintf(config.io, sizeof(config.io), "%s", io);
    struct shoal_error error = {0};
    uint16_t port;
    must(shoal_device_open(&config, sizeof(config), &handle, &error, sizeof(error)) == SHOAL_OK &&
             shoal_device_bind(handle, PORT, 0, &port, &error, sizeof(error)) == SHOAL_OK,
         error.what);
    device = registry_acquire(handle);
    must(device != NULL, "device");
    device->plane.connect_max = places;
    device->plane.connect_after = 4; /* whoever sends at all is busy enough */
    registry_release(handle);
    must(system("ip link set bench0 txqueuelen 10500 up && ip addr add 10.9.0.1/16 dev bench0") ==
             0,
         "bench0");
    for (uint32_t i = 0; i < kind->peers; i++)
        add_peer(i);
    const uint8_t zero[AEAD_KEY_SIZE] = {0};
    aead = aead_create(&device->plane.aead);
    must(aead != NULL, "aead");
    aead_key_init(&key, AEAD_CHACHA20_POLY1305, zero);
    device = registry_acquire(handle); /* until the end */
}

/* ---- One slice --------------------------------------------------------------------------- */

static uint32_t message_size(void) { return kind->size + WIRE_DATA_OVERHEAD; }

/* UDP from the peer's inner address to one that this machine does not have. */
static void write_packet(uint8_t *packet, uint32_t peer) {
    const uint8_t head[28] = {0x45,
                              0,
                              (uint8_t)(kind->size >> 8),
                              (uint8_t)kind->size,
                              [8] = 64,
                              [9] = 17,
                              [12] = 10,
                              9,
                              (uint8_t)(1 + peer / 250),
                              (uint8_t)(1 + peer % 250),
                              192,
                              0,
                              2,
                              1,
                              0x20,
                              0,
                              0x20,
                              0,
                              (uint8_t)((kind->size - 20) >> 8),
                              (uint8_t)(kind->size - 20)};
    memset(packet, 0, kind->size);
    memcpy(packet, head, sizeof(head));
    checksum_ipv4_write(packet, 20);
}

static void prepare(void) {
    static uint8_t plain[LARGE];
    for (uint32_t i = 0; i < kind->sends * kind->together; i++) {
        uint8_t *message = messages + (size_t)i * message_size();
        uint32_t peer = i / kind->together % kind->peers;
        uint64_t counter = counters[peer]++;
        write_packet(plain, peer);
        wire_put_le32(message, WIRE_DATA);
        wire_put_le32(message + WIRE_DATA_INDEX, kind->strangers ? 0x7fffff00u + peer : peer + 1);
        wire_put_le64(message + WIRE_DATA_COUNTER, counter);
        struct aead_packet packet = {.out = message + WIRE_DATA_HEADER,
                                     .in = plain,
                                     .counter = counter,
                                     .length = kind->size};
        must(aead_seal(aead, &key, &packet, 1) == 1, "seal");
    }
}

static void fill_sockets(void) {
    uint32_t size = message_size() * kind->together;
    for (uint32_t i = 0; i < kind->sends; i++) {
        int fd = kind->strangers ? strangers[i % STRANGERS] : senders[i % kind->peers];
        must(send(fd, messages + (size_t)i * size, size, 0) == (ssize_t)size, "send");
    }
}

static void fill_tun(int fd) {
    static const uint8_t payload[SEGMENTS * SEGMENT];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7000)};
    to.sin_addr.s_addr = htonl(0x0a090101u);
    int segment = kind->together > 1 ? SEGMENT : 0;
    must(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)) == 0, "UDP_SEGMENT");
    size_t size = kind->together > 1 ? sizeof(payload) : kind->size - 28;
    for (uint32_t i = 0; i < kind->sends; i++)
        must(sendto(fd, payload, size, 0, (struct sockaddr *)&to, sizeof(to)) == (ssize_t)size,
             "sendto");
}

struct cost {
    double fill, drain;
};

static struct cost slice(int tun_fd) {
    enum counter which = kind->outbound    ? COUNT_tx_packets
                         : kind->strangers ? COUNT_drop_rx_index
                                           : COUNT_rx_packets;
    uint32_t count = kind->sends * kind->together;
    if (!kind->outbound)
        prepare();
    device_stop(device);
    uint64_t before = count_of(which), start = nanoseconds();
    if (kind->outbound)
        fill_tun(tun_fd);
    else
        fill_sockets();
    uint64_t filled = nanoseconds();
    device_resume(device);
    while (count_of(which) < before + count) {
        must(nanoseconds() - filled < 5000000000u, "what was queued was not moved");
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    }
    uint64_t end = nanoseconds();
    return (struct cost){(double)(filled - start) / count, (double)(end - filled) / count};
}

/* A few messages of each peer, until whoever may have a socket has one. */
static void warm_up(void) {
    const struct kind *measured = kind;
    struct kind warm = *kind;
    warm.size = SMALL;
    warm.together = 1;
    warm.sends = kind->peers;
    warm.strangers = false;
    kind = &warm;
    uint32_t most = device->plane.connect_max < warm.peers ? device->plane.connect_max : warm.peers;
    bool connects = offload_has(&device->plane.offload, SHOAL_OFFLOAD_CONNECTED);
    for (uint32_t i = 0; i < 2000 && !warm.outbound; i++) {
        if (connects ? count_of(COUNT_connected_opened) >= most : i >= 20)
            break;
        (void)slice(-1);
    }
    kind = measured;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values) {
    qsort(values, SLICES, sizeof(values[0]), compare);
    return values[SLICES / 2];
}

static void open_namespace(void) {
    struct sched_param first = {.sched_priority = 50};
    struct rlimit files = {4096, 4096};
    must(sched_setscheduler(0, SCHED_FIFO, &first) == 0, "SCHED_FIFO (as root)");
    must(setrlimit(RLIMIT_NOFILE, &files) == 0, "RLIMIT_NOFILE");
    must(sodium_init() >= 0 && unshare(CLONE_NEWNET) == 0, "namespace (as root)");
    must(system("ip link set lo up && ip link add sink type veth peer name far && ip link set sink "
                "up && ip link set far up && ip addr add 10.1.0.1/24 dev sink && ip neigh add "
                "10.1.0.2 lladdr 02:00:00:00:00:01 dev sink nud permanent") == 0,
         "interfaces");
}

int main(int argc, char **argv) {
    for (size_t i = 0; (argc == 3 || argc == 4) && i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(argv[1], kinds[i].name) == 0)
            kind = &kinds[i];
    must(kind != NULL, "usage: connected_bench CASE PLACES|off [poll|uring]");
    bool connects = strcmp(argv[2], "off") != 0;
    uint32_t places = connects ? (uint32_t)atoi(argv[2]) : 0;
    must(places <= CONNECTED_MAX, "PLACES");
    open_namespace();
    open_device(connects, places, argc == 4 ? argv[3] : "poll");
    must(device->plane.uring_refused == 0, "io_uring");
    messages = malloc((size_t)kind->sends * kind->together * (LARGE + WIRE_DATA_OVERHEAD));
    must(messages != NULL, "memory");
    for (uint32_t i = 0; kind->strangers && i < STRANGERS; i++) {
        struct shoal_address place;
        strangers[i] = open_sender(&place);
    }
    int tun_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    must(setsockopt(tun_fd, SOL_SOCKET, SO_SNDBUFFORCE, &(int){BUFFER}, sizeof(int)) == 0,
         "buffer");
    warm_up();
    if (kind->together == TRAIN) {
        int segment = (int)message_size();
        must(setsockopt(senders[0], SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)) == 0, "train");
    }
    double fills[SLICES], drains[SLICES];
    (void)slice(tun_fd);
    for (int i = 0; i < SLICES; i++) {
        struct cost cost = slice(tun_fd);
        fills[i] = cost.fill;
        drains[i] = cost.drain;
    }
    printf("%s %s %.1f %.1f %llu\n", argv[1], argv[2], median(fills), median(drains),
           (unsigned long long)count_of(COUNT_connected_opened));
    free(messages);
    registry_release(handle);
    must(shoal_device_close(handle) == SHOAL_OK, "close");
    return 0;
}
