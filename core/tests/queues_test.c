// LDFLAGS: -Wl,--wrap=ioctl
/* A real TUN with a queue for each worker: the kernel puts a packet where its peer's worker reads,
 * and where it may not be told whose that is, the workers hand packets on. Skips where no namespace
 * or no /dev/net/tun is to be had. */
#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "namespace.h"
#include "registry.h"
#include "unit.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103 /* linux/udp.h */
#endif

enum { WORKERS = 4, FIRST = 2, PEERS = 10, ROUNDS_OF_PACKETS = 20 };

static bool steering_refused;

int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument) {
    if (request != TUNSETSTEERINGEBPF || !steering_refused)
        return __real_ioctl(fd, request, argument);
    errno = EPERM;
    return -1;
}

static struct side side;
static struct shoal_error error;
static shoal_peer_t peers[PEERS];
static struct shoal_address places[PEERS];
static int strangers[PEERS], inner[2];
static uint8_t message[WORLD_FRAME_MAX], plain[WORLD_FRAME_MAX];

static struct shoal_device_info info_of(void) {
    struct shoal_device_info info;
    assert_int_equal(shoal_device_info(side.device, &info, sizeof(info)), SHOAL_OK);
    return info;
}

static void connect_number(uint8_t number) {
    struct shoal_session session =
        world_session(&side, SHOAL_ROLE_INITIATOR, 0x100u * number + number % WORKERS, number, 0);
    side.peer = peers[number];
    side_install(&side, &session);
}

static void start(const char *name) {
    struct shoal_device_config config = {
        .abi_version = SHOAL_ABI_VERSION, .workers = WORKERS, .aead = "openssl"};
    memset(&side, 0, sizeof(side));
    strcpy(config.ifname, name);
    world_choose_io(&config);
    assert_int_equal(
        shoal_device_open(&config, sizeof(config), &side.device, &error, sizeof(error)), SHOAL_OK);
    assert_int_equal(shoal_device_bind(side.device, 0, 0, &side.port, &error, sizeof(error)),
                     SHOAL_OK);
    side.doorbell = info_of().doorbell_fd;
    side.send_key = 1;
    side.outer = (struct shoal_address){SHOAL_AF_INET, side.port, 0, {127, 0, 0, 1}};
    shell("ip link set %s up && ip addr add 10.9.0.1/24 dev %s && ip -6 addr add fd09::1/64 dev %s "
          "nodad && ip route add 10.77.0.0/16 dev %s",
          name, name, name, name);
    for (uint8_t i = FIRST; i < PEERS; i++) {
        strangers[i] = stranger_open(SHOAL_AF_INET, &places[i]);
        peers[i] = side_add_peer(&side, i, i, &places[i]);
        connect_number(i);
    }
    inner[0] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    inner[1] = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static void stop(void) {
    for (int i = FIRST; i < PEERS; i++)
        close(strangers[i]);
    close(inner[0]);
    close(inner[1]);
    assert_int_equal(shoal_device_close(side.device), SHOAL_OK);
    close(side.doorbell);
}

static void say(const char *address, uint16_t port, const char *what) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    bool is6 = inet_pton(AF_INET6, address, &v6.sin6_addr) == 1;
    if (!is6)
        assert_int_equal(inet_pton(AF_INET, address, &v4.sin_addr), 1);
    ssize_t size = (ssize_t)strlen(what);
    assert_int_equal(
        is6 ? sendto(inner[1], what, (size_t)size, 0, (struct sockaddr *)&v6, sizeof(v6))
            : sendto(inner[0], what, (size_t)size, 0, (struct sockaddr *)&v4, sizeof(v4)),
        size);
}

/* What arrives next at a peer ends with these words. */
static void hears(uint8_t number, const char *what) {
    size_t size = stranger_receive(strangers[number], message, sizeof(message), WORLD_PATIENCE_MS);
    assert_true(size > 0);
    assert_int_equal(message[4], number);
    long opened = unforge(plain, 1, message, size);
    size_t head = plain[0] >> 4 == 6 ? 48 : 28;
    assert_true(opened >= (long)(head + strlen(what)));
    assert_memory_equal(plain + head, what, strlen(what));
}

static void everybody_hears_everything(void) {
    for (int round = 0; round < ROUNDS_OF_PACKETS; round++)
        for (uint8_t to = FIRST; to < PEERS; to++) {
            char address[32], what[32];
            snprintf(address, sizeof(address), round & 1 ? "fd09::%u" : "10.9.0.%u", to);
            snprintf(what, sizeof(what), "%d for %u", round, to);
            say(address, (uint16_t)(5000 + round), what);
            hears(to, what);
        }
}

static void a_packet_comes_into_the_queue_of_its_peers_worker(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    start("sh0");
    assert_int_equal(info_of().workers, WORKERS);
    assert_int_equal(info_of().queues, WORKERS);
    if (!info_of().steered) { /* no right to load programs: the next test is about that */
        print_message("skipped: the kernel steers for root alone (errno %d)\n",
                      info_of().steer_error);
        stop();
        skip();
    }
    assert_int_equal(info_of().steer_error, 0);
    everybody_hears_everything();
    assert_int_equal(side_counter(&side, "handoff_frames"), 0);

    /* A prefix, a longer one inside it of another peer, and what moves from one to another. */
    struct shoal_prefix wide = {SHOAL_AF_INET, 16, {10, 77}};
    struct shoal_prefix narrow = {SHOAL_AF_INET, 32, {10, 77, 1, 1}};
    assert_int_equal(shoal_route_add(side.device, peers[2], &wide, sizeof(wide)), SHOAL_OK);
    assert_int_equal(shoal_route_add(side.device, peers[3], &narrow, sizeof(narrow)), SHOAL_OK);
    say("10.77.9.9", 5000, "wide");
    hears(2, "wide");
    say("10.77.1.1", 5000, "narrow");
    hears(3, "narrow");
    assert_int_equal(shoal_route_add(side.device, peers[5], &wide, sizeof(wide)), SHOAL_OK);
    say("10.77.9.9", 5000, "moved");
    hears(5, "moved");
    assert_int_equal(shoal_route_remove(side.device, peers[2], &wide, sizeof(wide)), SHOAL_OK);
    say("10.77.9.9", 5000, "still there"); /* it was not peer 2's any more */
    hears(5, "still there");
    assert_int_equal(shoal_peer_remove(side.device, peers[3]), SHOAL_OK);
    say("10.77.1.1", 5000, "wider"); /* what was inside is gone with its peer */
    hears(5, "wider");
    assert_int_equal(shoal_route_remove(side.device, peers[5], &wide, sizeof(wide)), SHOAL_OK);
    say("10.77.1.1", 5000, "nobody's");
    side_await(&side, "drop_tx_no_route", 1);
    assert_int_equal(side_counter(&side, "handoff_frames"), 0);
    stop();
}

/* ---- Lanes ---- */

enum { FLOWS = 40, RAW_HEAD = 20 };

/* The lane by which what arrives next at a peer came: lanes have remote indexes one behind the
 * other. */
static uint32_t lane_of_next(uint8_t number, uint8_t first) {
    size_t size = stranger_receive(strangers[number], message, sizeof(message), WORLD_PATIENCE_MS);
    assert_true(size > 0);
    assert_true(unforge(plain, 1, message, size) > 0);
    return (uint32_t)(message[4] - first);
}

/* A packet of any protocol and with any ports, out of the machine as a whole. */
static void say_raw(const uint8_t *packet, size_t length) {
    int raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    struct sockaddr_in to = {.sin_family = AF_INET};
    memcpy(&to.sin_addr, packet + 16, 4);
    assert_int_equal(sendto(raw, packet, length, 0, (struct sockaddr *)&to, sizeof(to)), length);
    close(raw);
}

static size_t raw_packet(uint8_t *packet, uint8_t protocol, uint16_t source, uint16_t destination,
                         bool fragment, uint8_t to) {
    const uint8_t head[RAW_HEAD + 8] = {0x45,
                                        0,
                                        0,
                                        RAW_HEAD + 8,
                                        0,
                                        1,
                                        fragment ? 0x20 : 0,
                                        0,
                                        64,
                                        protocol,
                                        0,
                                        0,
                                        10,
                                        9,
                                        0,
                                        1,
                                        10,
                                        9,
                                        0,
                                        to,
                                        (uint8_t)(source >> 8),
                                        (uint8_t)source,
                                        (uint8_t)(destination >> 8),
                                        (uint8_t)destination};
    memcpy(packet, head, sizeof(head));
    return sizeof(head);
}

static void the_kernel_spreads_the_flows_of_a_peer_over_its_lanes(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    enum { PEER = 2, FIRST_INDEX = 0x60 };
    start("sh0");
    if (!info_of().steered) {
        print_message("skipped: the kernel steers for root alone\n");
        stop();
        skip();
    }
    shoal_peer_t lanes[WORKERS] = {peers[PEER]};
    for (uint32_t i = 0; i < WORKERS; i++) {
        struct shoal_endpoint at = {.remote = places[PEER]};
        uint32_t tag = PEER + WORKERS * PEERS + i; /* nobody else's */
        if (i)
            assert_int_equal(shoal_peer_add_lane(side.device, peers[PEER], tag, &lanes[i]),
                             SHOAL_OK);
        assert_int_equal(shoal_peer_set_endpoint(side.device, lanes[i], &at, sizeof(at)), SHOAL_OK);
        struct shoal_session session =
            world_session(&side, SHOAL_ROLE_INITIATOR, 0x10000u * (i + 1) + (PEER + i) % WORKERS,
                          FIRST_INDEX + i, 0);
        side.peer = lanes[i];
        side_install(&side, &session);
    }
    uint8_t packet[64];
    uint32_t used = 0, by[FLOWS];
    for (int round = 0; round < 3; round++)
        for (uint16_t flow = 0; flow < FLOWS; flow++) {
            /* Linux gives out even ports to whoever connects, one after the other. */
            uint16_t port = (uint16_t)(40000 + 2 * flow);
            uint8_t protocol = round == 2 ? IPPROTO_TCP : IPPROTO_UDP;
            /* The other way round it is the same lane. */
            size_t length = round == 1 ? raw_packet(packet, protocol, 443, port, false, PEER)
                                       : raw_packet(packet, protocol, port, 443, false, PEER);
            say_raw(packet, length);
            uint32_t lane = lane_of_next(PEER, FIRST_INDEX);
            assert_true(lane < WORKERS);
            assert_true(round == 0 || by[flow] == lane);
            by[flow] = lane;
            used |= 1u << lane;
        }
    assert_int_equal(used, (1u << WORKERS) - 1);
    for (uint16_t flow = 0; flow < FLOWS; flow++) { /* what has no ports, or not in all pieces */
        say_raw(packet, raw_packet(packet, IPPROTO_ICMP, flow, flow, false, PEER));
        assert_int_equal(lane_of_next(PEER, FIRST_INDEX), 0);
        say_raw(packet, raw_packet(packet, IPPROTO_UDP, flow, 443, true, PEER));
        assert_int_equal(lane_of_next(PEER, FIRST_INDEX), 0);
    }
    used = 0;
    for (int round = 0; round < FLOWS; round++) {
        say("fd09::2", (uint16_t)(5000 + round), "IPv6");
        used |= 1u << lane_of_next(PEER, FIRST_INDEX);
    }
    assert_int_equal(used, (1u << WORKERS) - 1);
    assert_int_equal(side_counter(&side, "handoff_frames"), 0);
    /* Over so many as the caller says, and over all again when one comes. */
    for (uint32_t over = 1; over <= WORKERS; over++) {
        assert_int_equal(shoal_peer_spread(side.device, peers[PEER], over), SHOAL_OK);
        used = 0;
        for (uint16_t flow = 0; flow < FLOWS; flow++) {
            say_raw(packet, raw_packet(packet, IPPROTO_UDP, (uint16_t)(40000 + 2 * flow), 443,
                                       false, PEER));
            used |= 1u << lane_of_next(PEER, FIRST_INDEX);
        }
        assert_int_equal(used, (1u << over) - 1);
    }
    /* What is left of them is all that is used. */
    assert_int_equal(shoal_peer_remove(side.device, lanes[2]), SHOAL_OK);
    assert_int_equal(shoal_peer_remove(side.device, lanes[3]), SHOAL_OK);
    used = 0;
    for (uint16_t flow = 0; flow < FLOWS; flow++) {
        say_raw(packet,
                raw_packet(packet, IPPROTO_UDP, (uint16_t)(40000 + 2 * flow), 443, false, PEER));
        used |= 1u << lane_of_next(PEER, FIRST_INDEX);
    }
    assert_int_equal(used, 3);
    /* A prefix that comes later is spread too; another peer's is not. */
    struct shoal_prefix wide = {SHOAL_AF_INET, 16, {10, 77}};
    assert_int_equal(shoal_route_add(side.device, peers[PEER], &wide, sizeof(wide)), SHOAL_OK);
    used = 0;
    for (uint16_t flow = 0; flow < FLOWS; flow++) {
        say("10.77.1.1", (uint16_t)(5000 + flow), "wide");
        used |= 1u << lane_of_next(PEER, FIRST_INDEX);
    }
    assert_int_equal(used, 3);
    for (uint16_t flow = 0; flow < FLOWS; flow++) {
        say("10.9.0.3", (uint16_t)(5000 + flow), "three");
        hears(3, "three");
    }
    assert_int_equal(side_counter(&side, "handoff_frames"), 0);
    assert_int_equal(side_drops(&side), 0);
    stop();
}

static void
a_prefix_that_the_kernel_refuses_is_counted_and_its_packets_are_handed_on(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    start("sh0");
    struct shoal_prefix wide = {SHOAL_AF_INET, 16, {10, 77}};
    struct device *device = registry_acquire(side.device);
    bool steered = device->steering.tries[0] >= 0;
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (steered)
        assert_int_equal(dup2(nothing, device->steering.tries[0]), device->steering.tries[0]);
    close(nothing);
    registry_release(side.device);
    assert_int_equal(side_counter(&side, "steering_refused"), 0);
    assert_int_equal(shoal_route_add(side.device, peers[3], &wide, sizeof(wide)), SHOAL_OK);
    assert_int_equal(side_counter(&side, "steering_refused"), steered);
    say("10.77.9.9", 5000, "handed on");
    hears(3, "handed on");
    assert_int_equal(shoal_route_remove(side.device, peers[3], &wide, sizeof(wide)), SHOAL_OK);
    assert_int_equal(side_counter(&side, "steering_refused"), steered);
    stop();
}

static void where_the_kernel_may_not_be_told_workers_hand_packets_on(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    steering_refused = true;
    start("sh0");
    steering_refused = false;
    assert_int_equal(info_of().queues, WORKERS);
    assert_int_equal(info_of().steered, 0);
    assert_int_equal(info_of().steer_error, EPERM);
    everybody_hears_everything();
    assert_true(side_counter(&side, "handoff_frames") > 0);
    assert_int_equal(side_drops(&side), 0);
    stop();
}

static void an_interface_of_one_queue_is_read_by_the_first_worker(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    shell("ip tuntap add kept mode tun");
    start("kept");
    assert_int_equal(info_of().workers, WORKERS);
    assert_int_equal(info_of().queues, 1);
    everybody_hears_everything();
    assert_int_equal(side_drops(&side), 0);
    stop();
    shell("ip link del kept");
}

static void a_deleted_interface_stops_every_worker_from_reading(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    struct shoal_mail mail;
    start("sh0");
    shell("ip link del sh0");
    do
        assert_true(side_mail(&side, SHOAL_MAIL_LINK, &mail, NULL));
    while (mail.value != SHOAL_LINK_GONE);
    long before = world_cpu_ms();
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    assert_true(world_cpu_ms() - before < 100); /* a worker that spins burns all 200 */
    assert_true(side_no_mail(&side, SHOAL_MAIL_LINK));
    stop();
}

static void a_port_that_another_has_is_refused_to_a_group_as_well(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    struct shoal_address other;
    uint16_t port;
    int fd = stranger_open(SHOAL_AF_INET, &other), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    start("sh0");
    uint16_t before = side.port;
    assert_int_equal(shoal_device_bind(side.device, other.port, 0, &port, &error, sizeof(error)),
                     SHOAL_E_SYSTEM);
    assert_int_equal(error.sys_errno, EADDRINUSE);
    assert_int_equal(info_of().port, before);
    close(fd);
    assert_int_equal(shoal_device_bind(side.device, other.port, 0, &port, &error, sizeof(error)),
                     SHOAL_OK);
    side.outer.port = port;
    everybody_hears_everything();
    stop();
}

/* Super-packets for one peer, more than its worker can seal at once: others take turns, and every
 * packet leaves once and in order. */
static void idle_workers_help_to_seal_for_one_peer_and_keep_its_order(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    enum { PAYLOAD = 1372, SEGMENTS = 44, FRAMES = 60, ROUNDS = 100, BUFFER = 64 << 20 };
    static uint8_t payload[SEGMENTS * PAYLOAD];
    static bool seen[ROUNDS * FRAMES * SEGMENTS]; /* counters */
    memset(seen, 0, sizeof(seen));
    start("sh0");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(5000)};
    inet_pton(AF_INET, "10.9.0.2", &to.sin_addr);
    setsockopt(inner[0], SOL_SOCKET, SO_SNDBUFFORCE, &(int){BUFFER}, sizeof(int));
    setsockopt(strangers[2], SOL_SOCKET, SO_RCVBUFFORCE, &(int){BUFFER}, sizeof(int));
    setsockopt(inner[0], SOL_UDP, UDP_SEGMENT, &(int){PAYLOAD}, sizeof(int));
    for (int round = 0; round < ROUNDS && (round < 10 || !side_counter(&side, "turns_helped"));
         round++) {
        uint32_t number = 0, next = 0;
        for (int frame = 0; frame < FRAMES; frame++) {
            int segments = frame % 5 == 4 ? 1 : SEGMENTS; /* one of five is a single packet */
            size_t length = (size_t)segments * PAYLOAD;
            for (int i = 0; i < segments; i++, number++)
                memcpy(payload + i * PAYLOAD, &number, sizeof(number));
            assert_int_equal(
                sendto(inner[0], payload, length, 0, (struct sockaddr *)&to, sizeof(to)), length);
        }
        uint32_t all = number;
        while (next < all) {
            size_t size =
                stranger_receive(strangers[2], message, sizeof(message), WORLD_PATIENCE_MS);
            assert_true(size > 0);
            uint64_t got;
            memcpy(&got, message + 8, sizeof(got));
            /* A single packet gets its counter when it is sent, so those may be out of order. */
            assert_true(got < sizeof(seen) && !seen[got]);
            seen[got] = true;
            assert_true(unforge(plain, 1, message, size) >= PAYLOAD + 28);
            memcpy(&number, plain + 28, sizeof(number));
            assert_int_equal(number, next++);
        }
    }
    assert_true(side_counter(&side, "turns_helped") > 0);
    assert_int_equal(side_drops(&side), 0);
    stop();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_comes_into_the_queue_of_its_peers_worker),
        cmocka_unit_test(the_kernel_spreads_the_flows_of_a_peer_over_its_lanes),
        cmocka_unit_test(a_prefix_that_the_kernel_refuses_is_counted_and_its_packets_are_handed_on),
        cmocka_unit_test(where_the_kernel_may_not_be_told_workers_hand_packets_on),
        cmocka_unit_test(an_interface_of_one_queue_is_read_by_the_first_worker),
        cmocka_unit_test(a_deleted_interface_stops_every_worker_from_reading),
        cmocka_unit_test(a_port_that_another_has_is_refused_to_a_group_as_well),
        cmocka_unit_test(idle_workers_help_to_seal_for_one_peer_and_keep_its_order),
    };
    return cmocka_run_group_tests_name("queues", tests, namespace_enter, NULL);
}
