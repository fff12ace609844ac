#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "aead.h"
#include "device.h"
#include "offload_model.h"
#include "registry.h"
#include "unit.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

uint64_t world_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

long world_cpu_ms(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec * 1000 + usage.ru_utime.tv_usec / 1000 +
           usage.ru_stime.tv_sec * 1000 + usage.ru_stime.tv_usec / 1000;
}

static void nap(void) { nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL); }

static struct shoal_address loopback(uint16_t family, uint16_t port) {
    struct shoal_address address = {.family = family, .port = port};
    if (family == SHOAL_AF_INET6)
        address.ip[15] = 1;
    else
        memcpy(address.ip, (uint8_t[]){127, 0, 0, 1}, 4);
    return address;
}

/* ---- Sides ------------------------------------------------------------------------------- */

void side_connect(const struct side *side, uint32_t after, uint32_t most) {
    struct device *device = registry_acquire(side->device);
    assert_non_null(device);
    device_stop(device);
    device->plane.connect_after = after;
    device->plane.connect_max = most ? most : device->plane.connect_max;
    device_resume(device);
    registry_release(side->device);
}

/* A whole suite with SHOAL_TEST_CONNECT_AFTER=1 meets connected sockets everywhere. */
static void connect_early(const struct side *side) {
    const char *after = getenv("SHOAL_TEST_CONNECT_AFTER");
    if (after)
        side_connect(side, (uint32_t)atoi(after), 0);
}

void world_choose_io(struct shoal_device_config *config) {
    const char *io = getenv("SHOAL_TEST_IO");
    if (io)
        snprintf(config->io, sizeof(config->io), "%s", io);
}

/* A suite that means to test io_uring must not pass because the kernel refused it. */
static void check_io(shoal_device_t device, const struct shoal_device_config *config) {
    struct shoal_device_info info;
    assert_int_equal(shoal_device_info(device, &info, sizeof(info)), SHOAL_OK);
    if (config->io[0] && info.io_error)
        fail_msg("io %s: errno %d", config->io, info.io_error);
}

void side_open(struct side *side, uint8_t number, const struct world_options *options) {
    struct shoal_error error;
    int pair[2];
    memset(side, 0, sizeof(*side));
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    int big = 4 << 20;
    for (int i = 0; i < 2; i++)
        setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
    struct shoal_device_config config = {
        .abi_version = SHOAL_ABI_VERSION,
        .flags = SHOAL_DEVICE_TUN_FD | SHOAL_DEVICE_TUN_FD_VNET | options->flags,
        .tun_fd = pair[1],
        .offloads_off = options->offloads_off,
        .mtu = options->mtu,
        .staged_bytes_max = options->staged_bytes_max,
        .peers_max = options->peers_max,
        .routes_max = options->routes_max,
        .workers = options->workers ? options->workers : 1,
    };
    strcpy(config.aead, options->aead ? options->aead : "openssl");
    memset(config.seed, 77, sizeof(config.seed));
    world_choose_io(&config);
    if (options->io)
        snprintf(config.io, sizeof(config.io), "%s", options->io);
    int32_t status =
        shoal_device_open(&config, sizeof(config), &side->device, &error, sizeof(error));
    if (status != SHOAL_OK)
        fail_msg("open: %d %s errno %d", status, error.what, error.sys_errno);
    assert_int_equal(shoal_device_bind(side->device, 0, 0, &side->port, &error, sizeof(error)),
                     SHOAL_OK);
    if (!options->io)
        check_io(side->device, &config);
    connect_early(side);
    struct shoal_device_info info;
    assert_int_equal(shoal_device_info(side->device, &info, sizeof(info)), SHOAL_OK);
    side->doorbell = info.doorbell_fd;
    side->tun = pair[0];
    side->workers = config.workers;
    side->number = number;
    side->send_key = number;
    side->outer = loopback(options->outer ? options->outer : SHOAL_AF_INET, side->port);
}

void side_close(struct side *side) {
    assert_int_equal(shoal_device_close(side->device), SHOAL_OK);
    close(side->doorbell);
    close(side->tun);
}

shoal_peer_t side_add_peer(struct side *side, uint32_t tag, uint8_t number,
                           const struct shoal_address *at) {
    shoal_peer_t peer;
    assert_int_equal(shoal_peer_add(side->device, tag, &peer), SHOAL_OK);
    struct shoal_prefix v4 = {SHOAL_AF_INET, 32, {10, 9, 0, number}};
    struct shoal_prefix v6 = {SHOAL_AF_INET6, 128, {0xfd, 0x09, [15] = number}};
    assert_int_equal(shoal_route_add(side->device, peer, &v4, sizeof(v4)), SHOAL_OK);
    assert_int_equal(shoal_route_add(side->device, peer, &v6, sizeof(v6)), SHOAL_OK);
    if (at) {
        struct shoal_endpoint endpoint = {.remote = *at};
        assert_int_equal(shoal_peer_set_endpoint(side->device, peer, &endpoint, sizeof(endpoint)),
                         SHOAL_OK);
    }
    return peer;
}

void world_open(struct world *world, const struct world_options *options) {
    side_open(&world->a, 1, options);
    side_open(&world->b, 2, options);
    world->a.tag = 12;
    world->b.tag = 21;
    world->a.peer = side_add_peer(&world->a, world->a.tag, 2, &world->b.outer);
    world->b.peer = side_add_peer(&world->b, world->b.tag, 1, &world->a.outer);
}

void world_close(struct world *world) {
    side_close(&world->a);
    side_close(&world->b);
}

struct shoal_session world_session(const struct side *side, uint32_t role, uint32_t local_index,
                                   uint32_t remote_index, uint64_t age_ns) {
    struct shoal_session session = {.role = role,
                                    .local_index = local_index,
                                    .remote_index = remote_index,
                                    .birth = world_now() - age_ns};
    memset(session.send_key, side->send_key, 32);
    memset(session.receive_key, 3 - side->send_key, 32);
    return session;
}

void side_install(struct side *side, const struct shoal_session *session) {
    assert_int_equal(shoal_session_install(side->device, side->peer, session, sizeof(*session)),
                     SHOAL_OK);
}

uint32_t world_index(const struct side *side, uint32_t index) {
    return side->workers > 1 ? index << 8 | side->tag % side->workers : index;
}

void world_connect(struct world *world, struct side *from, struct side *to, uint32_t index) {
    (void)world;
    uint32_t here = world_index(from, index), there = world_index(to, index + 1);
    struct shoal_session responder = world_session(to, SHOAL_ROLE_RESPONDER, there, here, 0);
    struct shoal_session initiator = world_session(from, SHOAL_ROLE_INITIATOR, here, there, 0);
    side_install(to, &responder);
    side_install(from, &initiator);
}

void world_confirm(struct side *from, struct side *to) {
    uint64_t before = side_counter(to, "rx_packets");
    assert_int_equal(shoal_peer_keepalive(from->device, from->peer, 0), SHOAL_OK);
    side_await(to, "rx_packets", before + 1);
}

/* ---- TUN --------------------------------------------------------------------------------- */

size_t world_packet(uint8_t *out, bool v6, uint8_t from, uint8_t to, size_t payload, uint8_t seed) {
    static uint8_t bytes[65536];
    for (size_t i = 0; i < payload; i++)
        bytes[i] = (uint8_t)(seed + i * 7);
    struct model_spec spec = {.payload = bytes,
                              .payload_length = (uint32_t)payload,
                              .source_port = 4000,
                              .destination_port = 5000,
                              .protocol = 17,
                              .ttl = 64,
                              .id = seed,
                              .ipv6 = v6};
    if (v6) {
        memcpy(spec.source, (uint8_t[16]){0xfd, 0x09, [15] = from}, 16);
        memcpy(spec.destination, (uint8_t[16]){0xfd, 0x09, [15] = to}, 16);
    } else {
        memcpy(spec.source, (uint8_t[]){10, 9, 0, from}, 4);
        memcpy(spec.destination, (uint8_t[]){10, 9, 0, to}, 4);
    }
    return model_build(&spec, out);
}

void side_write(struct side *side, const uint8_t *packet, size_t length) {
    static uint8_t frame[WORLD_FRAME_MAX];
    memset(frame, 0, WORLD_VNET);
    memcpy(frame + WORLD_VNET, packet, length);
    assert_int_equal(send(side->tun, frame, length + WORLD_VNET, 0), length + WORLD_VNET);
}

static bool readable(int fd, int milliseconds) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, milliseconds) > 0;
}

size_t side_read(struct side *side, uint8_t *frame, int milliseconds) {
    if (!readable(side->tun, milliseconds))
        return 0;
    ssize_t length = recv(side->tun, frame, WORLD_FRAME_MAX, 0);
    assert_true(length > 0);
    return (size_t)length;
}

void side_expect(struct side *side, const uint8_t *packet, size_t length) {
    static uint8_t frame[WORLD_FRAME_MAX];
    size_t got = side_read(side, frame, WORLD_PATIENCE_MS);
    assert_int_equal(got, length + WORLD_VNET);
    assert_memory_equal(frame + WORLD_VNET, packet, length);
}

/* ---- Mail and counters -------------------------------------------------------------------- */

/* The next record of what was drained, draining again when that is used up; NULL: box empty. */
static const struct shoal_mail *next_mail(struct side *side) {
    if (side->mail_at >= side->mail_used) {
        uint8_t bells[64];
        while (recv(side->doorbell, bells, sizeof(bells), MSG_DONTWAIT) > 0)
            ;
        assert_int_equal(
            shoal_mailbox_drain(side->device, side->mail, sizeof(side->mail), &side->mail_used),
            SHOAL_OK);
        side->mail_at = 0;
        if (side->mail_used == 0)
            return NULL;
    }
    const struct shoal_mail *mail = (const void *)(side->mail + side->mail_at);
    assert_true(mail->size >= sizeof(*mail) + mail->length);
    side->mail_at += mail->size;
    return mail;
}

bool side_mail(struct side *side, uint16_t kind, struct shoal_mail *mail, uint8_t *payload) {
    uint64_t until = world_now() + WORLD_PATIENCE_MS * 1000000ull;
    while (world_now() < until) {
        const struct shoal_mail *found = next_mail(side);
        if (!found) {
            readable(side->doorbell, 100);
            continue;
        }
        if (found->kind != kind)
            continue;
        *mail = *found;
        if (payload)
            memcpy(payload, found + 1, found->length);
        return true;
    }
    return false;
}

uint32_t side_count_mail(struct side *side, uint16_t kind) {
    const struct shoal_mail *found;
    uint32_t count = 0;
    while ((found = next_mail(side)))
        count += found->kind == kind;
    return count;
}

bool side_no_mail(struct side *side, uint16_t kind) { return side_count_mail(side, kind) == 0; }

/* A standstill: what a worker has begun it has also counted when this returns. */
static void settle(struct side *side) {
    assert_int_equal(shoal_device_set_offloads(side->device, 0, 0), SHOAL_OK);
}

uint64_t side_counter_now(struct side *side, const char *name) {
    uint64_t counters[256];
    uint32_t count;
    assert_int_equal(shoal_device_counters(side->device, counters, 256, &count), SHOAL_OK);
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(shoal_counter_name(i), name) == 0)
            return counters[i];
    fail_msg("no counter is called %s", name);
    return 0;
}

uint64_t side_counter(struct side *side, const char *name) {
    settle(side);
    return side_counter_now(side, name);
}

void side_await(struct side *side, const char *name, uint64_t value) {
    uint64_t until = world_now() + WORLD_PATIENCE_MS * 1000000ull;
    while (side_counter_now(side, name) < value) {
        if (world_now() > until)
            fail_msg("%s stays at %llu, wanted %llu", name,
                     (unsigned long long)side_counter_now(side, name), (unsigned long long)value);
        nap();
    }
}

struct shoal_peer_facts side_facts(struct side *side) {
    struct shoal_peer_facts facts;
    settle(side);
    assert_int_equal(shoal_peer_facts(side->device, side->peer, &facts, sizeof(facts)), SHOAL_OK);
    return facts;
}

uint64_t side_drops(struct side *side) {
    uint64_t counters[256], sum = 0;
    uint32_t count;
    settle(side);
    assert_int_equal(shoal_device_counters(side->device, counters, 256, &count), SHOAL_OK);
    for (uint32_t i = 0; i < count; i++)
        if (strncmp(shoal_counter_name(i), "drop_", 5) == 0)
            sum += counters[i];
    return sum;
}

/* ---- Strangers --------------------------------------------------------------------------- */

static socklen_t to_sockaddr(struct sockaddr_storage *out, const struct shoal_address *address) {
    memset(out, 0, sizeof(*out));
    if (address->family == SHOAL_AF_INET6) {
        struct sockaddr_in6 *v6 = (void *)out;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(address->port);
        memcpy(&v6->sin6_addr, address->ip, 16);
        return sizeof(*v6);
    }
    struct sockaddr_in *v4 = (void *)out;
    v4->sin_family = AF_INET;
    v4->sin_port = htons(address->port);
    memcpy(&v4->sin_addr, address->ip, 4);
    return sizeof(*v4);
}

int stranger_open(uint16_t family, struct shoal_address *address) {
    struct sockaddr_storage name;
    *address = loopback(family, 0);
    socklen_t size = to_sockaddr(&name, address);
    int fd = socket(name.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &size), 0);
    address->port = ntohs(family == SHOAL_AF_INET6 ? ((struct sockaddr_in6 *)&name)->sin6_port
                                                   : ((struct sockaddr_in *)&name)->sin_port);
    return fd;
}

void stranger_send(int fd, const struct shoal_address *to, const void *bytes, size_t length) {
    struct sockaddr_storage name;
    socklen_t size = to_sockaddr(&name, to);
    assert_int_equal(sendto(fd, bytes, length, 0, (struct sockaddr *)&name, size), length);
}

void stranger_send_train(int fd, const struct shoal_address *to, const void *bytes, size_t length,
                         uint16_t segment) {
    int value = segment;
    assert_int_equal(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &value, sizeof(value)), 0);
    stranger_send(fd, to, bytes, length);
    value = 0;
    assert_int_equal(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &value, sizeof(value)), 0);
}

size_t stranger_receive(int fd, uint8_t *buffer, size_t capacity, int milliseconds) {
    if (!readable(fd, milliseconds))
        return 0;
    ssize_t length = recv(fd, buffer, capacity, 0);
    assert_true(length >= 0);
    return (size_t)length;
}

size_t forge(uint8_t *out, uint8_t key, uint32_t receiver_index, uint64_t counter,
             const uint8_t *plain, size_t length) {
    uint8_t bytes[AEAD_KEY_SIZE];
    memset(bytes, key, sizeof(bytes));
    struct aead_choice choice = aead_prefer(aead_backend(0), NULL);
    struct aead *aead = aead_create(&choice);
    struct aead_key with;
    assert_non_null(aead);
    aead_key_init(&with, AEAD_CHACHA20_POLY1305, bytes);
    memset(out, 0, 16);
    out[0] = 4;
    for (int i = 0; i < 4; i++)
        out[4 + i] = (uint8_t)(receiver_index >> 8 * i);
    for (int i = 0; i < 8; i++)
        out[8 + i] = (uint8_t)(counter >> 8 * i);
    struct aead_packet packet = {
        .out = out + 16, .in = plain, .counter = counter, .length = (uint32_t)length};
    assert_true(aead_seal(aead, &with, &packet, 1));
    aead_free(aead);
    return 16 + length + AEAD_TAG_SIZE;
}

long unforge(uint8_t *out, uint8_t key, const uint8_t *message, size_t length) {
    uint8_t bytes[AEAD_KEY_SIZE];
    memset(bytes, key, sizeof(bytes));
    if (length < 32 || message[0] != 4)
        return -1;
    uint64_t counter = 0;
    for (int i = 0; i < 8; i++)
        counter |= (uint64_t)message[8 + i] << 8 * i;
    struct aead_choice choice = aead_prefer(aead_backend(0), NULL);
    struct aead *aead = aead_create(&choice);
    struct aead_key with;
    assert_non_null(aead);
    aead_key_init(&with, AEAD_CHACHA20_POLY1305, bytes);
    struct aead_packet packet = {
        .out = out, .in = message + 16, .counter = counter, .length = (uint32_t)length - 16};
    bool opened = aead_open(aead, &with, &packet, 1) == 1;
    aead_free(aead);
    return opened ? (long)length - 32 : -1;
}
