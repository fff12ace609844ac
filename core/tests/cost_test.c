// LDFLAGS: -Wl,--wrap=aead_open,--wrap=aead_seal
/* What our own code costs a packet, in instructions, as callgrind counts them: the cipher only
 * copies, and the kernel's part is not counted. So the numbers are the same on a busy machine, and
 * a change that makes the packet path dearer fails here before a benchmark would show it.
 *
 * The program runs itself under valgrind, one case at a time, and compares with the budgets below.
 * A budget is what was measured (gcc 12, -O2) and a tenth; who makes the path cheaper lowers it.
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api.h"
#include "offload_model.h"
#include "registry.h"
#include "unit.h"
#include "wire.h"

#define BATCHES 20u
#define STREAM_PAYLOAD 1360u
#define FULL 45u  /* full packets of one buffer */
#define SMALL 64u /* small ones, each a datagram of its own */

/* ---- A cipher that copies ---- */

size_t __wrap_aead_open(struct aead *aead, const struct aead_key *key, struct aead_packet *packets,
                        size_t n);
size_t __wrap_aead_open(struct aead *aead, const struct aead_key *key, struct aead_packet *packets,
                        size_t n) {
    (void)aead;
    (void)key;
    for (uint32_t i = 0; i < n; i++)
        packets[i].ok = true;
    return n;
}

bool __wrap_aead_seal(struct aead *aead, const struct aead_key *key, struct aead_packet *packets,
                      size_t n);
bool __wrap_aead_seal(struct aead *aead, const struct aead_key *key, struct aead_packet *packets,
                      size_t n) {
    (void)aead;
    (void)key;
    for (uint32_t i = 0; i < n; i++)
        memcpy(packets[i].out, packets[i].in, packets[i].length);
    return true;
}

/* ---- What is counted ---- */

static struct side side;
static struct device *device;
static struct pass *pass;
static struct shoal_address place;
static int stranger;
static uint8_t plain[WORLD_FRAME_MAX], buffer[WORLD_FRAME_MAX];
static uint64_t counter;

static void start(void) {
    side_open(&side, 1, &(struct world_options){0});
    stranger = stranger_open(SHOAL_AF_INET, &place);
    side.peer = side_add_peer(&side, 2, 2, &place);
    struct shoal_session session = world_session(&side, SHOAL_ROLE_INITIATOR, 7, 9, 0);
    side_install(&side, &session);
    device = registry_acquire(side.device);
    registry_release(side.device); /* this is the only thread that calls */
    device_stop(device);
    pass = &device->workers[0]->pass;
}

static uint32_t put_message(uint32_t at, size_t length) {
    uint8_t *message = buffer + at;
    wire_put_le32(message, WIRE_DATA);
    wire_put_le32(message + WIRE_DATA_INDEX, 7);
    wire_put_le64(message + WIRE_DATA_COUNTER, counter++);
    size_t padded = (length + 15) & ~(size_t)15;
    memset(message + WIRE_DATA_HEADER, 0, padded + WIRE_DATA_TAG);
    memcpy(message + WIRE_DATA_HEADER, plain, length);
    return (uint32_t)(padded + WIRE_DATA_OVERHEAD);
}

static void drain_tun(void) {
    while (side_read(&side, buffer, 0))
        ;
}

/* callgrind counts while these run, and whatever they call: no copy of them may have another name.
 */
#ifdef __clang__
#define COUNTED __attribute__((noinline))
#else
#define COUNTED __attribute__((noipa))
#endif

COUNTED void cost_receive(const struct socket_received *received, uint8_t *bytes);
COUNTED void cost_receive(const struct socket_received *received, uint8_t *bytes) {
    rx_buffer(pass, &pass->sockets[PASS_INET], bytes, received);
    rx_deliver(pass);
}

COUNTED void cost_send(void);
COUNTED void cost_send(void) { tx_drain(pass); }

static struct socket_received received_of(uint32_t length, uint32_t segment) {
    return (struct socket_received){
        .endpoint = {.remote = place, .local = {.family = SHOAL_AF_INET, .ip = {127, 0, 0, 1}}},
        .length = length,
        .segment = segment};
}

static void receive_stream(void) {
    static const uint8_t payload[STREAM_PAYLOAD];
    uint32_t at = 0, size = 0;
    for (uint32_t i = 0; i < FULL; i++, at += size) {
        struct model_spec spec = {.source = {10, 9, 0, 2},
                                  .destination = {10, 9, 0, 1},
                                  .payload = payload,
                                  .payload_length = STREAM_PAYLOAD,
                                  .sequence = (uint32_t)counter * STREAM_PAYLOAD,
                                  .protocol = 6,
                                  .ttl = 64,
                                  .flags = 0x10,
                                  .window = 1000,
                                  .id = (uint16_t)counter};
        size = put_message(at, model_build(&spec, plain));
    }
    struct socket_received received = received_of(at, size);
    cost_receive(&received, buffer);
}

static void receive_small(void) {
    for (uint32_t i = 0; i < SMALL; i++) {
        uint32_t size = put_message(0, world_packet(plain, false, 2, 1, 36, (uint8_t)i));
        struct socket_received received = received_of(size, size);
        cost_receive(&received, buffer);
        drain_tun();
    }
}

static void send_stream(void) {
    static const uint8_t payload[FULL * STREAM_PAYLOAD];
    struct model_spec spec = {.source = {10, 9, 0, 1},
                              .destination = {10, 9, 0, 2},
                              .payload = payload,
                              .payload_length = sizeof(payload),
                              .protocol = 6,
                              .ttl = 64,
                              .flags = 0x10,
                              .window = 1000};
    size_t size = model_build_super(&spec, STREAM_PAYLOAD, buffer);
    assert_int_equal(send(side.tun, buffer, size, 0), size);
    tx_begin(pass);
    cost_send();
}

static void send_small(void) {
    for (uint32_t i = 0; i < SMALL; i++)
        side_write(&side, plain, world_packet(plain, false, 1, 2, 36, (uint8_t)i));
    tx_begin(pass);
    cost_send();
}

static const struct {
    const char *name;
    void (*batch)(void);
    uint32_t packets;
    uint32_t budget; /* instructions a packet */
} cases[] = {
    {"receive a stream", receive_stream, FULL, 1420},
    {"receive small packets", receive_small, SMALL, 1030},
    {"send a stream", send_stream, FULL, 1010},
    {"send small packets", send_small, SMALL, 1200},
};

/* ---- Under valgrind, and from outside ---- */

static int play(uint32_t which) {
    start();
    for (uint32_t i = 0; i < BATCHES; i++) {
        cases[which].batch();
        drain_tun();
        while (stranger_receive(stranger, buffer, sizeof(buffer), 0))
            ;
    }
    bool right = side_counter_now(&side, which < 2 ? "rx_packets" : "tx_packets") ==
                 (uint64_t)BATCHES * cases[which].packets;
    device_resume(device);
    side_close(&side);
    close(stranger);
    return right ? 0 : 1;
}

/* Instructions of all batches; 0: they could not be counted. */
static uint64_t count(uint32_t which) {
    char line[512], self[256] = "";
    unsigned long long collected = 0;
    assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
    snprintf(line, sizeof(line),
             "valgrind --tool=callgrind --callgrind-out-file=/dev/null --collect-atstart=no "
             "--toggle-collect=cost_receive --toggle-collect=cost_send %s %u 2>&1",
             self, which);
    FILE *output = popen(line, "r");
    assert_non_null(output);
    while (fgets(line, sizeof(line), output)) {
        const char *at = strstr(line, "Collected :");
        if (at)
            collected = strtoull(at + strlen("Collected :"), NULL, 10);
    }
    assert_int_equal(pclose(output), 0);
    return collected;
}

static void no_packet_costs_more_instructions_than_its_budget(void **state) {
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
    print_message("skipped: this build is not the one that moves packets\n");
    skip();
#endif
    if (!__builtin_cpu_supports("avx2")) {
        print_message("skipped: checksums cost more without AVX2\n");
        skip();
    }
    if (system("valgrind --version >/dev/null 2>&1") != 0) {
        print_message("skipped: no valgrind\n");
        skip();
    }
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t a_packet = count(i) / ((uint64_t)BATCHES * cases[i].packets);
        print_message("%s: %lu instructions a packet of at most %u\n", cases[i].name, a_packet,
                      cases[i].budget);
        assert_in_range(a_packet, 1, cases[i].budget);
    }
}

int main(int argc, char **argv) {
    if (argc == 2)
        return play((uint32_t)atoi(argv[1]));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_packet_costs_more_instructions_than_its_budget),
    };
    return cmocka_run_group_tests_name("cost", tests, NULL, NULL);
}
