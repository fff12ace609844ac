/*
 * What a device moves: `./run bench workers`, `lanes` and `many` run this and read its line,
 * "direction suite peers workers gigabits".
 *
 *     workers_bench receive|send chacha20|aes-gcm PEERS WORKERS
 *                   [MESSAGES [poll|uring [MODE [FLOWS LANES SEED]]]]
 *
 * Peers have their turns one after the other, each with one gathered buffer or super-packet of so
 * many messages: as many as one holds, where MESSAGES is left out. MODE is one of:
 *
 *     free   Nobody else wants the processors.
 *     busy   Other work has half of each of two processors, however many workers there
 *            are (threads of SCHED_DEADLINE that spin): each worker has half of one.
 *     fair   Each peer offers as much as any other, and all of them more than can be moved. The
 *            line ends with Jain's index of what was moved of each, and the share of all of it.
 *
 * FLOWS and LANES are those of one peer: each turn is of the next flow, whose ports are drawn from
 * SEED, and goes by the lane that the hash of the ports says, as the sender of a mesh would have
 * it.
 *
 * One-sided: what is to be moved lies in the kernel's queues before the clock starts (in the
 * receive buffers of the sockets, or in the rings of the TUN), and ends in a sink of the kernel
 * (packets for no address of this machine, or of no hardware address). So nothing but the workers
 * runs meanwhile. In a network namespace of its own.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
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
#define BUSY_LONGER 4u    /* slices, so that the end of one, when a worker has to wait, is little */
#define FAIR_ROUNDS 24u   /* turns of each peer that are made ready at once */
#define FAIR_CHUNKS 16u
#define BUSY_PROCESSORS 2
#define FLOWS_MAX 64u
#define PORT_OF_FLOWS 7000u

static shoal_device_t handle;
static struct device *device;
static shoal_peer_t peers[PEERS_MAX];
static uint32_t peer_count, worker_count;
static uint32_t together; /* messages of one peer's turn */
static uint32_t turn;     /* the peer whose turn is next */
static uint64_t counters[PEERS_MAX];
static uint32_t flow_count = 1, lane_count = 1, next_flow;
static uint16_t flow_ports[FLOWS_MAX]; /* the other one is PORT_OF_FLOWS */
static int flow_sockets[FLOWS_MAX];    /* that send from those ports */
static enum aead_suite suite;
static struct aead *aead;
static struct aead_key key;
static uint8_t train[TRAIN * MESSAGE];
static enum { FREE, BUSY, FAIR } mode;

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

/* As steering.c spreads flows; a peer's lanes are its peers here. */
static uint32_t lane_of(uint32_t flow) {
    uint32_t ports = flow_ports[flow] ^ PORT_OF_FLOWS;
    return (ports * 0x9e3779b1u >> 16) % lane_count;
}

static uint32_t next_peer(uint32_t *flow) {
    *flow = next_flow++ % flow_count;
    return lane_count > 1 ? lane_of(*flow) : turn++ % peer_count;
}

/* Even ones above those that servers have, as Linux gives them out. */
static void draw_ports(uint32_t seed) {
    for (uint32_t i = 0; i < flow_count; i++) {
        seed = seed * 1664525u + 1013904223u;
        flow_ports[i] = (uint16_t)(32768 + 2 * (seed >> 16) % 28000);
    }
}

/* The first entry is the peer, the others are its lanes, which are where it is. */
static void add_peer(uint32_t i) {
    bool is_lane = lane_count > 1 && i > 0;
    uint32_t of = is_lane ? 0 : i;
    must((is_lane ? shoal_peer_add_lane(handle, peers[0], i, &peers[i])
                  : shoal_peer_add(handle, i, &peers[i])) == SHOAL_OK,
         "peer");
    struct shoal_prefix prefix = {SHOAL_AF_INET, 32, {10, 9, high(of), low(of)}};
    if (!is_lane)
        must(shoal_route_add(handle, peers[i], &prefix, sizeof(prefix)) == SHOAL_OK, "route");
    struct shoal_endpoint endpoint = {
        .remote = {SHOAL_AF_INET, 6000, 0, {10, 1, high(of), low(of)}}};
    must(shoal_peer_set_endpoint(handle, peers[i], &endpoint, sizeof(endpoint)) == SHOAL_OK,
         "endpoint");
    struct shoal_session session = {.role = SHOAL_ROLE_INITIATOR,
                                    .local_index = index_of(i),
                                    .remote_index = 1,
                                    .suite = suite,
                                    .birth = UINT64_MAX};
    must(shoal_session_install(handle, peers[i], &session, sizeof(session)) == SHOAL_OK, "session");
}

static void open_device(const char *io) {
    struct shoal_device_config config = {
        .abi_version = SHOAL_ABI_VERSION, .ifname = "bench0", .workers = worker_count};
    if (mode != FAIR) { /* it would lose packets of a queue that stands */
        config.offloads_off = SHOAL_OFFLOAD_QUEUE_CONTROL;
        config.receive_buffer = BUFFER;
    }
    snprintf(config.io, sizeof(config.io), "%s", io);
    struct shoal_error error = {0};
    uint16_t port;
    must(shoal_device_open(&config, sizeof(config), &handle, &error, sizeof(error)) == SHOAL_OK,
         error.what);
    must(shoal_device_bind(handle, 5000, 0, &port, &error, sizeof(error)) == SHOAL_OK, error.what);
    shell(mode == BUSY ? "ip link set bench0 txqueuelen 2000"
                       : "ip link set bench0 txqueuelen 500");
    shell("ip link set bench0 up && ip addr add 10.9.0.1/16 dev bench0");
    for (uint32_t i = 0; i < (lane_count > 1 ? lane_count : peer_count); i++)
        add_peer(i);
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
static void segment(uint8_t *packet, uint32_t peer, uint16_t port, uint64_t number) {
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
    const uint8_t tcp[20] = {(uint8_t)(port >> 8),
                             (uint8_t)port,
                             PORT_OF_FLOWS >> 8,
                             PORT_OF_FLOWS & 0xff,
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

static void fill_train(uint8_t *into, uint32_t peer, uint32_t flow) {
    static uint8_t plain[INNER + 8];
    for (uint32_t i = 0; i < together; i++) {
        uint8_t *message = into + i * MESSAGE;
        uint64_t counter = counters[peer]++;
        segment(plain, lane_count > 1 ? 0 : peer, flow_ports[flow], counter);
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
    uint32_t trains = (mode == BUSY ? BUSY_LONGER : 1) * RECEIVED / together;
    for (uint32_t i = 0; i < trains; i++) {
        uint32_t flow, peer = next_peer(&flow);
        fill_train(train, peer, flow);
        send_segments(fd, &to, train, (size_t)together * MESSAGE, MESSAGE);
    }
    return (uint64_t)trains * together;
}

/* ---- Send -------------------------------------------------------------------------------- */

static uint32_t segments_of_a_turn(void) {
    return together < SEND_SEGMENTS ? together : SEND_SEGMENTS;
}

static void send_to(int fd, uint32_t peer) {
    static const uint8_t payload[SEND_SEGMENTS * UDP_PAYLOAD];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PORT_OF_FLOWS)};
    to.sin_addr.s_addr = htonl(0x0a090000u + 256u * high(peer) + low(peer));
    send_segments(fd, &to, payload, (size_t)segments_of_a_turn() * UDP_PAYLOAD, UDP_PAYLOAD);
}

static uint64_t fill_tun(void) {
    uint32_t frames = (mode == BUSY ? BUSY_LONGER : 1) * (QUEUE - 20);
    for (uint32_t i = 0; i < frames; i++) {
        uint32_t flow, peer = next_peer(&flow); /* the kernel finds the lane */
        send_to(flow_sockets[flow], lane_count > 1 ? 0 : peer);
    }
    return (uint64_t)frames * segments_of_a_turn();
}

/* ---- Slices ------------------------------------------------------------------------------ */

static double slice(int fd, bool receives) {
    enum counter which = receives ? COUNT_rx_packets : COUNT_tx_packets;
    device_stop(device);
    uint64_t before = moved(which);
    uint64_t packets = receives ? fill_sockets(fd) : fill_tun();
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

static double median_of_slices(int fd, bool receives) {
    double rates[SLICES];
    (void)slice(fd, receives); /* caches and tables are warm from here on */
    for (int i = 0; i < SLICES; i++)
        rates[i] = slice(fd, receives);
    qsort(rates, SLICES, sizeof(rates[0]), compare);
    return rates[SLICES / 2];
}

/* ---- Processors that are busy ------------------------------------------------------------ */

static void pin(pthread_t thread, int processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    must(pthread_setaffinity_np(thread, sizeof(set), &set) == 0, "affinity");
}

/* struct sched_attr of sched_setattr(2), which glibc lacks. */
struct deadline {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

/* The kernel interrupts it when it has had its share. Nothing else does, and it interrupts
 * everything, so its share is the same whatever else runs on this machine. */
static void *spin(void *argument) {
    uint64_t runtime = *(const uint64_t *)argument;
    struct deadline share = {.size = sizeof(share),
                             .policy = SCHED_DEADLINE,
                             .runtime = runtime,
                             .deadline = 2 * runtime,
                             .period = 2 * runtime};
    must(syscall(SYS_sched_setattr, 0, &share, 0) == 0, "SCHED_DEADLINE");
    for (volatile uint64_t i = 0;; i++)
        ;
    return NULL;
}

/* The first ones that this process may have. */
static int find_processors(int processors[BUSY_PROCESSORS]) {
    cpu_set_t set;
    int count = 0;
    must(sched_getaffinity(0, sizeof(set), &set) == 0, "affinity");
    for (int i = 0; i < CPU_SETSIZE && count < BUSY_PROCESSORS; i++)
        if (CPU_ISSET(i, &set))
            processors[count++] = i;
    return count;
}

/* Not in step, so that a slice has all of it: both processors busy at once, and in turn. */
static void make_busy(void) {
    static uint64_t runtimes[BUSY_PROCESSORS] = {1500000, 1550000};
    int processors[BUSY_PROCESSORS], count = find_processors(processors);
    must(count == BUSY_PROCESSORS && worker_count <= BUSY_PROCESSORS, "busy: two processors");
    for (uint32_t i = 0; i < worker_count; i++)
        pin(device->workers[i]->thread, processors[i]);
    for (int i = 0; i < BUSY_PROCESSORS; i++) {
        pthread_t thread;
        must(pthread_create(&thread, NULL, spin, &runtimes[i]) == 0, "thread");
    }
}

/* ---- What each peer has of it ------------------------------------------------------------ */

static uint32_t order[PEERS_MAX]; /* of the peers in a round: at random, as those of a network */
static uint32_t drawn = 1;

static void shuffle(void) {
    for (uint32_t i = peer_count - 1; i > 0; i--) {
        drawn = drawn * 1664525u + 1013904223u;
        uint32_t k = (uint32_t)((uint64_t)drawn * (i + 1) >> 32), kept = order[i];
        order[i] = order[k];
        order[k] = kept;
    }
}

static uint64_t moved_of(uint32_t peer, bool receives) {
    const struct facts *facts = &peer_table_find(&device->plane.peers, peers[peer])->facts;
    return facts_get(receives ? &facts->rx_packets : &facts->tx_packets);
}

/* Until no more comes out. */
static void await_quiet(enum counter which) {
    for (uint64_t before = UINT64_MAX, now_moved; (now_moved = moved(which)) != before;) {
        before = now_moved;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
}

/* A turn of each peer in each round, as fast as this thread can, beside the workers. */
static void offer_chunk(int fd, bool receives, uint8_t *ready, uint32_t *of) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(5000)};
    size_t bytes = (size_t)together * MESSAGE;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (uint32_t i = 0; i < FAIR_ROUNDS * peer_count; i++) {
        if (i % peer_count == 0)
            shuffle();
        of[i] = order[i % peer_count];
        if (receives)
            fill_train(ready + i * bytes, of[i], 0);
    }
    for (uint32_t i = 0; i < FAIR_ROUNDS * peer_count; i++) {
        if (receives)
            send_segments(fd, &to, ready + i * bytes, bytes, MESSAGE);
        else
            send_to(fd, of[i]);
    }
    await_quiet(receives ? COUNT_rx_packets : COUNT_tx_packets);
}

/* Jain's index: 1 where all have the same, 1/n where one has all. */
static double offer(int fd, bool receives, double *share) {
    uint32_t turns = FAIR_ROUNDS * peer_count;
    uint8_t *ready = receives ? malloc((size_t)turns * together * MESSAGE) : NULL;
    uint32_t *of = malloc(turns * sizeof(*of));
    must(of && (ready || !receives), "memory");
    for (uint32_t i = 0; i < peer_count; i++)
        order[i] = i;
    for (uint32_t i = 0; i < FAIR_CHUNKS; i++)
        offer_chunk(fd, receives, ready, of);
    free(ready);
    free(of);
    double sum = 0, squares = 0;
    for (uint32_t i = 0; i < peer_count; i++) {
        double had = (double)moved_of(i, receives);
        sum += had;
        squares += had * had;
    }
    uint32_t each = receives ? together : segments_of_a_turn();
    *share = sum / ((double)FAIR_CHUNKS * turns * each);
    must(*share < 0.97, "nothing had to be shared: all that was offered was moved");
    return sum * sum / (peer_count * squares);
}

static int open_socket(uint16_t port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    must(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &(int){BUFFER}, sizeof(int)) == 0, "SO_SNDBUF");
    must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) == 0, "SO_REUSEADDR");
    must(bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0, "bind");
    return fd;
}

int main(int argc, char **argv) {
    must((argc >= 5 && argc <= 8) || argc == 11,
         "usage: workers_bench receive|send chacha20|aes-gcm PEERS WORKERS "
         "[MESSAGES [poll|uring [free|busy|fair [FLOWS LANES SEED]]]]");
    bool receives = strcmp(argv[1], "receive") == 0;
    suite = strcmp(argv[2], "aes-gcm") == 0 ? AEAD_AES_256_GCM : AEAD_CHACHA20_POLY1305;
    peer_count = (uint32_t)atoi(argv[3]);
    worker_count = (uint32_t)atoi(argv[4]);
    together = argc >= 6 ? (uint32_t)atoi(argv[5]) : TRAIN;
    must(peer_count >= 1 && peer_count <= PEERS_MAX && worker_count >= 1, "PEERS, WORKERS");
    must(together >= 1 && together <= TRAIN, "MESSAGES");
    mode = argc < 8 || strcmp(argv[7], "free") == 0 ? FREE
           : strcmp(argv[7], "busy") == 0           ? BUSY
                                                    : FAIR;
    flow_count = argc == 11 ? (uint32_t)atoi(argv[8]) : 1;
    lane_count = argc == 11 ? (uint32_t)atoi(argv[9]) : 1;
    must(flow_count >= 1 && flow_count <= FLOWS_MAX, "FLOWS");
    must(lane_count >= 1 && (lane_count == 1 || peer_count == 1), "LANES");
    draw_ports(argc == 11 ? (uint32_t)atoi(argv[10]) : 1);
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
    open_device(argc >= 7 ? argv[6] : "poll");
    must(device->plane.uring_refused == 0, "io_uring");
    int fd = open_socket(0);
    for (uint32_t i = 0; i < flow_count; i++)
        flow_sockets[i] = open_socket(flow_ports[i]);
    if (mode == BUSY)
        make_busy();
    printf("%s %s %u %u ", argv[1], argv[2], peer_count, worker_count);
    if (mode == FAIR) {
        double share, jain = offer(fd, receives, &share);
        printf("%.4f %.3f\n", jain, share);
    } else {
        printf("%.3f\n", median_of_slices(fd, receives));
    }
    registry_release(handle);
    must(shoal_device_close(handle) == SHOAL_OK, "close");
    return 0;
}
