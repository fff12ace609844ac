// LDFLAGS: -Wl,--wrap=sendmsg,--wrap=recvmsg,--wrap=writev,--wrap=aead_seal
/* Turns in a storm: one heavy peer both ways with helpers, a kernel that refuses what it likes,
 * hostile buffers, and commands in any order. Meanwhile no counter is sealed with twice, packets of
 * a flow stay in order, clocks of a peer do not go back, no command waits long; and afterwards
 * packets cross. `make -C core storm SECONDS=600 SEED=7` runs it long, under the thread sanitizer;
 * the seed decides what is done, not how threads meet. */
#include "world.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "aead.h"
#include "offload_model.h"
#include "random.h"
#include "unit.h"

enum { WORKERS = 3, OURS = 1, HEAVY = 3, LIGHT = 4, PEERS = 5, TRAIN = 40, SIZE = 1000 };
#define COMMAND_MAX_NS 3000000000ull /* far above what a batch takes under a sanitizer */

static _Atomic uint64_t wrong; /* places in this file where something was wrong, first one wins */

static void must(bool right, uint64_t line) {
    uint64_t none = 0;
    if (!right)
        atomic_compare_exchange_strong(&wrong, &none, line);
}
#define MUST(right) must(right, __LINE__)

/* ---- No counter twice ---- */

#define KEYS 8192u /* that may be seen in one run; those beyond are not looked at */
#define COUNTERS 65536u

static _Atomic uint64_t serials[KEYS], sealed_counters[KEYS][COUNTERS / 64];
static _Thread_local bool forges; /* what the test seals itself */

static void note(uint64_t serial, uint64_t counter) {
    if (counter >= COUNTERS)
        return;
    for (uint64_t i = 0; i < KEYS; i++) {
        uint64_t at = (serial + i) % KEYS, found = 0;
        if (!atomic_compare_exchange_strong(&serials[at], &found, serial) && found != serial)
            continue;
        uint64_t bit = 1ull << counter % 64;
        MUST(!(atomic_fetch_or(&sealed_counters[at][counter / 64], bit) & bit));
        return;
    }
}

bool __real_aead_seal(struct aead *aead, const struct aead_key *key, struct aead_packet *packets,
                      size_t n);
bool __wrap_aead_seal(struct aead *aead, const struct aead_key *key, struct aead_packet *packets,
                      size_t n);
bool __wrap_aead_seal(struct aead *aead, const struct aead_key *key, struct aead_packet *packets,
                      size_t n) {
    for (size_t i = 0; i < n && !forges; i++)
        note(key->serial, packets[i].counter);
    return __real_aead_seal(aead, key, packets, n);
}

/* ---- A kernel that refuses ---- */

static _Atomic uint32_t refusals; /* of 1,000 calls */
static _Atomic uint64_t calls;

static bool refuses(const int *errors, uint32_t count) {
    struct random random = {.state = atomic_fetch_add(&calls, 1)};
    if (forges || random_below(&random, 1000) >= atomic_load(&refusals))
        return false;
    errno = errors[random_below(&random, count)];
    return true;
}

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags) {
    static const int errors[] = {EAGAIN, EAGAIN, EAGAIN,  EAGAIN, EIO,         EINVAL,
                                 ENOMEM, EPERM,  ENOBUFS, EINTR,  ENETUNREACH, EMSGSIZE};
    return refuses(errors, 12) ? -1 : __real_sendmsg(fd, message, flags);
}

ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags) {
    static const int errors[] = {EINTR, ECONNREFUSED, ENOMEM, EHOSTUNREACH};
    return refuses(errors, 4) ? -1 : __real_recvmsg(fd, message, flags);
}

ssize_t __real_writev(int fd, const struct iovec *parts, int count);
ssize_t __wrap_writev(int fd, const struct iovec *parts, int count);
ssize_t __wrap_writev(int fd, const struct iovec *parts, int count) {
    static const int errors[] = {EIO, EINVAL, ENOMEM, EAGAIN, EINTR};
    return refuses(errors, 5) ? -1 : __real_writev(fd, parts, count);
}

/* ---- The device, its peers, and the session of the heavy one ---- */

static struct side side;
static shoal_peer_t peers[PEERS];
static struct shoal_address places[PEERS];
static int sockets[PEERS];
static uint64_t counters[PEERS];
static _Atomic bool stopped;

static pthread_mutex_t session_lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t indexes[PEERS]; /* under the lock, as is how far `counters` are */

static uint32_t index_of(uint8_t number, uint32_t round) {
    return (round << 12 | (uint32_t)number << 8) + number % WORKERS;
}

static void connect_number(uint8_t number, uint32_t role, uint32_t round) {
    pthread_mutex_lock(&session_lock);
    indexes[number] = index_of(number, round);
    counters[number] = 0;
    struct shoal_session session = world_session(&side, role, indexes[number], number, 0);
    session.rekey_after_messages = 1 + round % 3 * 1000;
    MUST(shoal_session_install(side.device, peers[number], &session, sizeof(session)) == SHOAL_OK);
    pthread_mutex_unlock(&session_lock);
}

/* ---- Inbound: trains of the heavy peer, and what somebody hostile makes of them ---- */

#define NUMBERS (1u << 22) /* that are followed */
enum { SENT_AGAIN = 1, CAME = 2 };
static _Atomic uint8_t fates[NUMBERS]; /* of the heavy peer's packets */

/* A copy fills the holes that the first one left, so its packets may come late, but never twice. */
static void look_at_inbound(uint32_t number) {
    static uint32_t last;
    if (number >= NUMBERS)
        return;
    uint8_t before = atomic_fetch_or(&fates[number], CAME);
    MUST(!(before & CAME));
    MUST(number > last || before & SENT_AGAIN);
    last = number > last ? number : last;
}

static size_t data_message(uint8_t *out, uint8_t from, uint32_t number) {
    uint8_t plain[SIZE + 64];
    size_t length = world_packet(plain, false, from, OURS, SIZE, 0);
    memset(plain + 26, 0, 2); /* UDP without a checksum is coalesced by nobody */
    memcpy(plain + 40, &number, sizeof(number));
    return forge(out, 2, indexes[from], counters[from]++, plain, length);
}

static void send_train(uint8_t *bytes, size_t length, uint16_t segment) {
    struct shoal_address to = side.outer;
    int fd = sockets[HEAVY], value = segment;
    struct iovec part = {bytes, length};
    /* No assertion: a port that moves leaves nobody there for a moment. */
    struct sockaddr_storage name = {0};
    uint16_t family = AF_INET, port = (uint16_t)(to.port << 8 | to.port >> 8);
    memcpy(&name, &family, 2);
    memcpy((uint8_t *)&name + 2, &port, 2);
    memcpy((uint8_t *)&name + 4, to.ip, 4);
    struct msghdr message = {
        .msg_name = &name, .msg_namelen = 16, .msg_iov = &part, .msg_iovlen = 1};
    (void)setsockopt(fd, 17, 103 /* UDP_SEGMENT */, &value, sizeof(value));
    (void)__real_sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void *send_in(void *argument) {
    static uint8_t train[WORLD_FRAME_MAX];
    struct random random = {.state = (uint64_t)(uintptr_t)argument};
    uint32_t number = 1, light = 1;
    cpu_set_t one; /* loopback has a queue a processor: who moves between them overtakes himself */
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    (void)pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
    forges = true;
    while (!atomic_load(&stopped)) {
        size_t size = 0, used = 0;
        uint32_t kind = random_below(&random, 10), first = number;
        pthread_mutex_lock(&session_lock);
        for (uint32_t i = 0; i < TRAIN; i++) {
            bool other = kind == 0 && i && random_below(&random, 2); /* the first one steers */
            size = data_message(train + used, other ? LIGHT : HEAVY, other ? light++ : number++);
            used += size;
        }
        pthread_mutex_unlock(&session_lock);
        if (kind == 1) /* bits turned anywhere but in the head that steers */
            for (int i = 0; i < 20; i++)
                train[16 + random_below(&random, (uint32_t)used - 16)] ^=
                    (uint8_t)random_next(&random);
        if (kind == 2) { /* cut where no message ends */
            size = 1 + random_below(&random, 1400);
            used = used < size * 60 ? used : size * 60;
        }
        for (uint32_t i = first; kind == 3 && i < number && i < NUMBERS; i++)
            atomic_fetch_or(&fates[i], SENT_AGAIN);
        send_train(train, used, (uint16_t)size);
        if (kind == 3)
            send_train(train, used, (uint16_t)size);
        if (kind == 4)
            usleep(random_below(&random, 3000)); /* its worker may fall asleep */
    }
    return NULL;
}

/* ---- Outbound: super-packets and single ones for the heavy peer ---- */

static void *send_out(void *argument) {
    static uint8_t payload[65536], frame[WORLD_FRAME_MAX];
    struct random random = {.state = (uint64_t)(uintptr_t)argument + 1};
    uint32_t number = 1;
    struct model_spec spec = {.source = {10, 9, 0, OURS},
                              .destination = {10, 9, 0, HEAVY},
                              .payload = payload,
                              .source_port = 4000,
                              .destination_port = 5000,
                              .protocol = 17,
                              .ttl = 64};
    while (!atomic_load(&stopped)) {
        bool large = random_below(&random, 4) != 0;
        uint32_t size = 16 + random_below(&random, 1400);
        uint32_t count = large ? 1 + random_below(&random, 60000 / (size < 130 ? 130 : size)) : 1;
        for (uint32_t i = 0; i < count; i++, number++)
            memcpy(payload + i * size, &number, sizeof(number));
        spec.payload_length = count * size;
        size_t length = model_build_super(&spec, (uint16_t)size, frame);
        send(side.tun, frame, length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (random_below(&random, 8) == 0)
            usleep(random_below(&random, 2000));
    }
    return NULL;
}

/* ---- What comes out ---- */

static _Atomic uint64_t came_in, came_out;

static void look_at_clocks(void) {
    static uint64_t last_received;
    struct shoal_peer_facts facts;
    MUST(shoal_peer_facts(side.device, peers[HEAVY], &facts, sizeof(facts)) == SHOAL_OK);
    MUST(facts.last_authenticated_receive >= last_received);
    last_received = facts.last_authenticated_receive;
}

static void *read_all(void *argument) {
    static uint8_t bytes[WORLD_FRAME_MAX], plain[WORLD_FRAME_MAX];
    uint32_t last_out = 0, number;
    (void)argument;
    while (!atomic_load(&stopped)) {
        bool any = false;
        look_at_clocks();
        for (int i = 0; i < 64; i++) {
            ssize_t length = recv(side.tun, bytes, sizeof(bytes), MSG_DONTWAIT);
            if (length <= 0)
                break;
            any = true;
            const uint8_t *packet = bytes + WORLD_VNET;
            if (length != WORLD_VNET + 28 + SIZE || packet[15] != HEAVY)
                continue;
            memcpy(&number, packet + 40, sizeof(number));
            look_at_inbound(number);
            atomic_fetch_add(&came_in, 1);
        }
        for (int i = 0; i < 64; i++) {
            ssize_t length = recv(sockets[HEAVY], bytes, sizeof(bytes), MSG_DONTWAIT);
            if (length <= 0)
                break;
            any = true;
            if (unforge(plain, 1, bytes, (size_t)length) < 32 || plain[9] != 17)
                continue;
            memcpy(&number, plain + 28, sizeof(number));
            MUST(number > last_out);
            last_out = number;
            atomic_fetch_add(&came_out, 1);
        }
        while (recv(sockets[LIGHT], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
            any = true;
        if (!any)
            usleep(200);
    }
    return NULL;
}

/* ---- Commands ---- */

static uint32_t rounds = 1;
static void remove_and_add(void) {
    struct shoal_endpoint endpoint = {.remote = places[LIGHT]};
    struct shoal_prefix prefix = {SHOAL_AF_INET, 32, {10, 9, 0, LIGHT}};
    shoal_peer_t *peer = &peers[LIGHT];
    MUST(shoal_peer_remove(side.device, *peer) == SHOAL_OK);
    MUST(shoal_peer_add(side.device, LIGHT, peer) == SHOAL_OK);
    MUST(shoal_route_add(side.device, *peer, &prefix, sizeof(prefix)) == SHOAL_OK);
    MUST(shoal_peer_set_endpoint(side.device, *peer, &endpoint, sizeof(endpoint)) == SHOAL_OK);
    connect_number(LIGHT, SHOAL_ROLE_INITIATOR, ++rounds);
}

static void command(struct random *random) {
    struct shoal_prefix prefix = {SHOAL_AF_INET, 32, {10, 50, 0, (uint8_t)random_below(random, 9)}};
    struct shoal_endpoint endpoint = {.remote = places[HEAVY]};
    uint32_t offloads = SHOAL_OFFLOAD_UDP_GSO | SHOAL_OFFLOAD_UDP_GRO | SHOAL_OFFLOAD_QUEUE_CONTROL;
    switch (random_below(random, 11)) {
    case 0:
        connect_number(HEAVY, SHOAL_ROLE_INITIATOR, ++rounds);
        break;
    case 1:
        connect_number(HEAVY, SHOAL_ROLE_RESPONDER, ++rounds);
        break;
    case 2:
        remove_and_add();
        break;
    case 3:
        shoal_peer_keepalive(side.device, peers[HEAVY], random_below(random, 2));
        break;
    case 4:
        shoal_route_add(side.device, peers[HEAVY], &prefix, sizeof(prefix));
        break;
    case 5:
        shoal_route_remove(side.device, peers[HEAVY], &prefix, sizeof(prefix));
        break;
    case 6:
        shoal_peer_set_endpoint(side.device, peers[HEAVY], &endpoint, sizeof(endpoint));
        break;
    case 7:
        shoal_device_set_offloads(side.device, offloads, (uint32_t)random_next(random) & offloads);
        break;
    case 8:
        shoal_peer_clear_source(side.device, peers[HEAVY]);
        break;
    case 9:
        side_no_mail(&side, 0);
        break;
    default:
        atomic_store(&refusals, random_below(random, 3) * 10);
    }
}

static uint64_t number_of(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void open_all(void) {
    forges = true; /* libraries that are asked for known answers */
    side_open(&side, OURS, &(struct world_options){.workers = WORKERS});
    forges = false;
    for (uint8_t i = HEAVY; i < PEERS; i++) {
        sockets[i] = stranger_open(SHOAL_AF_INET, &places[i]);
        setsockopt(sockets[i], SOL_SOCKET, SO_RCVBUF, &(int){4 << 20}, sizeof(int));
        peers[i] = side_add_peer(&side, i, i, &places[i]);
        connect_number(i, SHOAL_ROLE_INITIATOR, rounds);
    }
}

static void nothing_that_happens_meanwhile_harms_turns(void **state) {
    (void)state;
    uint64_t seed = number_of("SHOAL_STORM_SEED", 1);
    uint64_t seconds = number_of("SHOAL_STORM_SECONDS", 2), longest = 0;
    struct random random = {.state = seed};
    pthread_t threads[3];
    void *(*const bodies[3])(void *) = {send_in, send_out, read_all};
    open_all();
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, bodies[i], (void *)(uintptr_t)seed), 0);
    uint64_t until = world_now() + seconds * 1000000000ull;
    while (world_now() < until && !atomic_load(&wrong)) {
        uint64_t before = world_now();
        command(&random);
        uint64_t took = world_now() - before;
        longest = took > longest ? took : longest;
        usleep(random_below(&random, 3000));
    }
    MUST(longest < COMMAND_MAX_NS);
    /* And after all that packets cross. */
    atomic_store(&refusals, 0);
    connect_number(HEAVY, SHOAL_ROLE_INITIATOR, ++rounds);
    uint64_t in = atomic_load(&came_in), out = atomic_load(&came_out);
    until = world_now() + WORLD_PATIENCE_MS * 1000000ull;
    while (world_now() < until && (atomic_load(&came_in) == in || atomic_load(&came_out) == out))
        usleep(1000);
    bool cross = atomic_load(&came_in) > in && atomic_load(&came_out) > out;
    atomic_store(&stopped, true);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    print_message("seed %llu: %llu in, %llu out, %llu turns helped, a command took %llu ms\n",
                  (unsigned long long)seed, (unsigned long long)came_in,
                  (unsigned long long)came_out,
                  (unsigned long long)side_counter(&side, "turns_helped"),
                  (unsigned long long)longest / 1000000);
    if (atomic_load(&wrong))
        fail_msg("seed %llu: wrong at line %llu", (unsigned long long)seed,
                 (unsigned long long)wrong);
    assert_true(cross);
    assert_true(side_counter(&side, "turns_helped") > 0);
    side_close(&side);
    for (int i = HEAVY; i < PEERS; i++)
        close(sockets[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_that_happens_meanwhile_harms_turns),
    };
    return cmocka_run_group_tests_name("turns_storm", tests, NULL, NULL);
}
