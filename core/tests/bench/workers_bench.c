/*
 * What a device moves when nobody else wants the processors: `./run bench workers` and `many` run
 * this and read its line, "direction suite peers workers gigabits".
 *
 *     workers_bench receive|send chacha20|aes-gcm PEERS WORKERS [MESSAGES [poll|uring]]
 *
 * Peers have their turns one after the other, each with one gathered buffer or super-packet of so
 * many messages: as many as one holds, where MESSAGES is left out.
 *
 * One-sided: what is to be moved lies in the kernel's queues before the clock starts (in the
 * receive buffers of the sockets, or in the rings of the TUN), and ends in a sink of the kernel
 * (packets for no address of this machine, or of no hardware address). So nothing but the workers
 * runs meanwhile. In a network namespace of its own.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
#define INNER 1400u /* bytes of an inner packet: TCP with 1,360 of payload */
#define MESSAGE (INNER + 8u + WIRE_DATA_OVERHEAD) /* padded to 16 */
#define TRAIN 45u
#define RECEIVED (448u * TRAIN) /* messages of a slice */
#define QUEUE 500u              /* of the TUN: super-packets */
#define SLICES 15
#define BUFFER (256u << 20)
#define UDP_PAYLOAD 1372u
#define SEND_SEGMENTS 44u /* of a super-packet at most */

static shoal_device_t handle;
static struct device *device;
static shoal_peer_t peers[PEERS_MAX];
static uint32_t peer_count, worker_count;
static uint32_t together; /* messages of one peer's turn */
static uint32_t turn;     /* the peer whose turn is next */
static uint64_t counters[PEERS_MAX];
static enum aead_suite suite;
static struct aead *aead;
static struct aead_key key;
static uint8_t train[TRAIN * MESSAGE];

static void must(bool done, const char *what) {
    if (done)
        return;
    fprintf(stderr, "workers_bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void shell(const char *line) { must(system(line) == 0, line); }

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Indexes as the peers' workers want them. */
static uint32_t index_of(uint32_t peer) { return 0x100u * (peer + 1) + peer % worker_count; }

/* The last two bytes of a peer's addresses, inside (10.9.x.y) and outside (10.1.x.y). */
static uint8_t high(uint32_t peer) { return (uint8_t)(1 + peer / 250); }
static uint8_t low(uint32_t peer) { return (uint8_t)(1 + peer % 250); }

static uint32_t next_peer(void) { return turn++ % peer_count; }

static void open_device(const char *io) {
    struct shoal_device_config config = {.abi_version = SHOAL_ABI_VERSION,
                                         .ifname = "bench0",
                                         .workers = worker_count,
                                         /* it would lose packets of a queue that stands */
                                         .offloads_off = SHOAL_OFFLOAD_QUEUE_CONTROL,
                                         .receive_buffer = BUFFER};
    snprintf(config.io, sizeof(config.io), "%s", io);
    struct shoal_error error = {0};
    uint16_t port;
    must(shoal_device_open(&config, sizeof(config), &handle, &error, sizeof(error)) == SHOAL_OK,
         error.what);
    must(shoal_device_bind(handle, 5000, 0, &port, &error, sizeof(error)) == SHOAL_OK, error.what);
    shell("ip link set bench0 txqueuelen 500 up && ip addr add 10.9.0.1/16 dev bench0");
    for (uint32_t i = 0; i < peer_count; i++) {
        must(shoal_peer_add(handle, i, &peers[i]) == SHOAL_OK, "peer");
        struct shoal_prefix prefix = {SHOAL_AF_INET, 32, {10, 9, high(i), low(i)}};
        must(shoal_route_add(handle, peers[i], &prefix, sizeof(prefix)) == SHOAL_OK, "route");
        struct shoal_endpoint endpoint = {
            .remote = {SHOAL_AF_INET, 6000, 0, {10, 1, high(i), low(i)}}};
        must(shoal_peer_set_endpoint(handle, peers[i], &endpoint, sizeof(endpoint)) == SHOAL_OK,
             "endpoint");
        struct shoal_session session = {.role = SHOAL_ROLE_INITIATOR,
                                        .local_index = index_of(i),
                                        .remote_index = 1,
                                        .suite = suite,
                                        .birth = UINT64_MAX};
        must(shoal_session_install(handle, peers[i], &session, sizeof(session)) == SHOAL_OK,
             "session");
    }
    device = registry_acquire(handle);
    must(device != NULL, "device");
    aead = aead_create(&device->plane.aead);
    must(aead != NULL, "aead");
    const uint8_t zero[AEAD_KEY_SIZE] = {0};
    aead_key_init(&key, suite, zero);
}

static uint64_t moved(enum counter which) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < device->worker_count; i++)
        sum += stats_get(&device->workers[i]->pass.stats, which);
    return sum;
}

/* ---- Receive ----------------------------------------------------------------------------- */

/* A segment of a TCP stream whose checksums are right, behind the one before it. */
static void segment(uint8_t *packet, uint32_t peer, uint64_t number) {
    memset(packet, 0, INNER);
    uint32_t sequence = (uint32_t)(number * (INNER - 40));
    const uint8_t head[20] = {0x45,
                              0,
                              INNER >> 8,
                              INNER & 0xff,
                              (uint8_t)(number >> 8),
                              (uint8_t)number,
                              0x40,
                              0,
                              64,
                              6,
                              0,
                              0,
                              10,
                              9,
                              high(peer),
                              low(peer),
                              192,
                              0,
                              2,
                              1};
    memcpy(packet, head, sizeof(head));
    checksum_ipv4_write(packet, 20);
    const uint8_t tcp[20] = {0x10,
                             0x00,
                             0x20,
                             0x00,
                             (uint8_t)(sequence >> 24),
                             (uint8_t)(sequence >> 16),
                             (uint8_t)(sequence >> 8),
                             (uint8_t)sequence,
                             0,
                             0,
                             0,
                             1,
                             0x50,
                             0x10,
                             0xff,
                             0xff};
    memcpy(packet + 20, tcp, sizeof(tcp));
    uint64_t sum = checksum_pseudo4(packet + 12, packet + 16, 6) + checksum_length(INNER - 20) +
                   checksum_sum(packet + 20, INNER - 20);
    uint16_t checksum = (uint16_t)~checksum_fold(sum);
    memcpy(packet + 36, &checksum, sizeof(checksum));
}

static void fill_train(uint32_t peer) {
    static uint8_t plain[INNER + 8];
    for (uint32_t i = 0; i < together; i++) {
        uint8_t *message = train + i * MESSAGE;
        uint64_t counter = counters[peer]++;
        segment(plain, peer, counter);
        wire_put_le32(message, WIRE_DATA);
        wire_put_le32(message + WIRE_DATA_INDEX, index_of(peer));
        wire_put_le64(message + WIRE_DATA_COUNTER, counter);
        struct aead_packet packet = {.out = message + WIRE_DATA_HEADER,
                                     .in = plain,
                                     .counter = counter,
                                     .length = INNER + 8};
        must(aead_seal(aead, &key, &packet, 1) == 1, "seal");
    }
}

static void send_segments(int fd, const struct sockaddr_in *to, const uint8_t *bytes, size_t length,
                          uint16_t size) {
    must(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &(int){size}, sizeof(int)) == 0, "UDP_SEGMENT");
    must(sendto(fd, bytes, length, 0, (const struct sockaddr *)to, sizeof(*to)) == (ssize_t)length,
         "sendto");
}

static uint64_t fill_sockets(int fd) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(5000)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    uint32_t trains = RECEIVED / together;
    for (uint32_t i = 0; i < trains; i++) {
        fill_train(next_peer());
        send_segments(fd, &to, train, (size_t)together * MESSAGE, MESSAGE);
    }
    return (uint64_t)trains * together;
}

/* ---- Send -------------------------------------------------------------------------------- */

static uint64_t fill_tun(int fd) {
    static const uint8_t payload[SEND_SEGMENTS * UDP_PAYLOAD];
    uint32_t frames = QUEUE - 20;
    uint32_t segments = together < SEND_SEGMENTS ? together : SEND_SEGMENTS;
    for (uint32_t i = 0; i < frames; i++) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7000)};
        uint32_t peer = next_peer();
        to.sin_addr.s_addr = htonl(0x0a090000u + 256u * high(peer) + low(peer));
        send_segments(fd, &to, payload, (size_t)segments * UDP_PAYLOAD, UDP_PAYLOAD);
    }
    return (uint64_t)frames * segments;
}

/* ---- Slices ------------------------------------------------------------------------------ */

static double slice(int fd, bool receives) {
    enum counter which = receives ? COUNT_rx_packets : COUNT_tx_packets;
    device_stop(device);
    uint64_t before = moved(which);
    uint64_t packets = receives ? fill_sockets(fd) : fill_tun(fd);
    uint64_t start = now();
    device_resume(device);
    while (moved(which) < before + packets) {
        must(now() - start < 5000000000u, "what was queued was not moved (a queue was too short)");
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    double seconds = (double)(now() - start) / 1e9;
    return (double)packets * (receives ? INNER : UDP_PAYLOAD + 28u) * 8 / 1e9 / seconds;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    must(argc >= 5 && argc <= 7, "usage: workers_bench receive|send chacha20|aes-gcm PEERS WORKERS "
                                 "[MESSAGES [poll|uring]]");
    bool receives = strcmp(argv[1], "receive") == 0;
    suite = strcmp(argv[2], "aes-gcm") == 0 ? AEAD_AES_256_GCM : AEAD_CHACHA20_POLY1305;
    peer_count = (uint32_t)atoi(argv[3]);
    worker_count = (uint32_t)atoi(argv[4]);
    together = argc >= 6 ? (uint32_t)atoi(argv[5]) : TRAIN;
    must(peer_count >= 1 && peer_count <= PEERS_MAX && worker_count >= 1, "PEERS, WORKERS");
    must(together >= 1 && together <= TRAIN, "MESSAGES");
    /* Whatever else runs on this machine waits meanwhile. */
    struct sched_param first = {.sched_priority = 50};
    must(sched_setscheduler(0, SCHED_FIFO, &first) == 0, "SCHED_FIFO (as root)");
    must(sodium_init() >= 0 && unshare(CLONE_NEWNET) == 0, "namespace (as root)");
    /* What leaves has nobody's hardware address: the far end drops it at its door. */
    shell("ip link set lo up && ip link add sink type veth peer name far && ip link set sink up && "
          "ip link set far up && ip addr add 10.1.0.1/16 dev sink");
    FILE *lines = popen("ip -batch -", "w");
    must(lines != NULL, "ip");
    for (uint32_t i = 0; i < peer_count; i++)
        fprintf(lines, "neigh add 10.1.%u.%u lladdr 02:00:00:00:00:01 dev sink nud permanent\n",
                high(i), low(i));
    must(pclose(lines) == 0, "ip neigh");
    open_device(argc == 7 ? argv[6] : "poll");
    must(device->plane.uring_refused == 0, "io_uring");
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    must(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &(int){BUFFER}, sizeof(int)) == 0, "SO_SNDBUF");
    double rates[SLICES];
    (void)slice(fd, receives); /* caches and tables are warm from here on */
    for (int i = 0; i < SLICES; i++)
        rates[i] = slice(fd, receives);
    qsort(rates, SLICES, sizeof(rates[0]), compare);
    printf("%s %s %u %u %.3f\n", argv[1], argv[2], peer_count, worker_count, rates[SLICES / 2]);
    registry_release(handle);
    must(shoal_device_close(handle) == SHOAL_OK, "close");
    return 0;
}
