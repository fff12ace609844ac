#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aead.h"
#include "clock.h"
#include "contrast.h"
#include "roads.h"
#include "sink.h"
#include "submission.h"
#include "tun.h"
#include "turns.h"
#include "wire.h"

#define FRAMES 480u /* super-packets of a slice, of 500 that the TUN holds */
#define SEGMENTS 44u
#define PAYLOAD 1372u
#define INNER (PAYLOAD + 28u)
#define OUTER (INNER + WIRE_DATA_OVERHEAD)
#define SLOTS TURNS

/* What a slot holds. */
enum stage { EMPTY, READ, SEALED };

struct slot {
    _Atomic uint32_t stage;
    uint8_t frame[TUN_FRAME_MAX];
    uint8_t train[SEGMENTS * OUTER];
};

/* A thread of a slice. */
struct hand {
    struct aead *aead;
    void (*work)(struct hand *hand);
};

static struct tun tun;
static int fill_fd, sink_fd;
static struct aead_key key;
static struct slot slots[SLOTS];
static struct hand hands[2];
static struct submission ring;
static _Atomic bool ready, go; /* the second thread is there; both begin */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint32_t drawn;          /* tickets; under the mutex */
static _Atomic uint32_t served; /* and how many of them were sent */

/* ---- Stages ------------------------------------------------------------------------------ */

static void read_frame(struct slot *slot) {
    must(tun_read(&tun, slot->frame, sizeof(slot->frame)) == 10 + 28 + SEGMENTS * PAYLOAD,
         "read of the TUN");
}

/* Each with 28 bytes before its payload in place of its headers: as many bytes as core seals. */
static void seal_frame(struct hand *hand, struct slot *slot, uint64_t number) {
    struct aead_packet packets[SEGMENTS];
    for (uint32_t i = 0; i < SEGMENTS; i++) {
        uint8_t *message = slot->train + i * OUTER;
        uint64_t counter = number * SEGMENTS + i;
        wire_put_le32(message, WIRE_DATA);
        wire_put_le32(message + WIRE_DATA_INDEX, 1);
        wire_put_le64(message + WIRE_DATA_COUNTER, counter);
        packets[i] = (struct aead_packet){.out = message + WIRE_DATA_HEADER,
                                          .in = slot->frame + 10 + i * PAYLOAD,
                                          .counter = counter,
                                          .length = INNER};
    }
    must(aead_seal(hand->aead, &key, packets, SEGMENTS), "seal");
}

static void send_frame(const struct slot *slot) {
    sink_send(sink_fd, slot->train, sizeof(slot->train));
}

static void await(_Atomic uint32_t *word, uint32_t value) {
    while (atomic_load_explicit(word, memory_order_acquire) != value)
        spin_once();
}

static void mark(_Atomic uint32_t *word, uint32_t value) {
    atomic_store_explicit(word, value, memory_order_release);
}

/* ---- Ways -------------------------------------------------------------------------------- */

static void work_alone(struct hand *hand) {
    for (uint32_t i = 0; i < FRAMES; i++) {
        struct slot *slot = &slots[i % SLOTS];
        read_frame(slot);
        seal_frame(hand, slot, i);
        send_frame(slot);
    }
}

/* As Shoal does with two workers: read under a lock, seal under none, send in the order of the
 * tickets. */
static void work_by_turns(struct hand *hand) {
    for (;;) {
        turns_mutex_lock(&mutex);
        uint32_t ticket = drawn;
        struct slot *slot = &slots[ticket % SLOTS];
        if (ticket < FRAMES) {
            read_frame(slot);
            drawn++;
        }
        pthread_mutex_unlock(&mutex);
        if (ticket == FRAMES)
            return;
        seal_frame(hand, slot, ticket);
        await(&served, ticket);
        send_frame(slot);
        mark(&served, ticket + 1);
    }
}

static void work_reading(struct hand *hand) {
    (void)hand;
    for (uint32_t i = 0; i < FRAMES; i++) {
        struct slot *slot = &slots[i % SLOTS];
        await(&slot->stage, EMPTY);
        read_frame(slot);
        mark(&slot->stage, READ);
    }
}

static void work_sealing_and_sending(struct hand *hand) {
    for (uint32_t i = 0; i < FRAMES; i++) {
        struct slot *slot = &slots[i % SLOTS];
        await(&slot->stage, READ);
        seal_frame(hand, slot, i);
        send_frame(slot);
        mark(&slot->stage, EMPTY);
    }
}

/* Sends what is sealed before it reads on. */
static void work_reading_and_sending(struct hand *hand) {
    (void)hand;
    for (uint32_t read = 0, sent = 0; sent < FRAMES;) {
        struct slot *oldest = &slots[sent % SLOTS];
        if (sent < read && atomic_load_explicit(&oldest->stage, memory_order_acquire) == SEALED) {
            send_frame(oldest);
            mark(&oldest->stage, EMPTY);
            sent++;
        } else if (read < FRAMES && read - sent < SLOTS) {
            read_frame(&slots[read % SLOTS]);
            mark(&slots[read % SLOTS].stage, READ);
            read++;
        } else {
            spin_once();
        }
    }
}

static void work_sealing(struct hand *hand) {
    for (uint32_t i = 0; i < FRAMES; i++) {
        struct slot *slot = &slots[i % SLOTS];
        await(&slot->stage, READ);
        seal_frame(hand, slot, i);
        mark(&slot->stage, SEALED);
    }
}

static void work_submitting(struct hand *hand) {
    for (uint32_t i = 0; i < FRAMES; i++) {
        struct slot *slot = &slots[i % SLOTS];
        read_frame(slot);
        seal_frame(hand, slot, i);
        submission_send(&ring, sink_fd, slot->train, sizeof(slot->train));
    }
    submission_finish(&ring);
}

/* ---- Slices ------------------------------------------------------------------------------ */

static void fill(void) {
    static const uint8_t payload[SEGMENTS * PAYLOAD];
    for (uint32_t i = 0; i < FRAMES; i++)
        sink_send(fill_fd, payload, sizeof(payload));
}

static void *second(void *argument) {
    struct hand *hand = argument;
    atomic_store(&ready, true);
    while (!atomic_load(&go))
        spin_once();
    hand->work(hand);
    return NULL;
}

/* @param there  what the second thread does; NULL: there is none */
static void slice(double *values, void (*here)(struct hand *hand),
                  void (*there)(struct hand *hand)) {
    const double packets = FRAMES * SEGMENTS;
    pthread_t thread = 0;
    fill();
    drawn = 0;
    atomic_store(&served, 0);
    atomic_store(&go, false);
    hands[1].work = there;
    atomic_store(&ready, !there);
    if (there)
        thread = start_on(1, second, &hands[1]);
    while (!atomic_load(&ready))
        spin_once();
    uint64_t start = clock_monotonic(), spent = clock_spent();
    atomic_store(&go, true);
    here(&hands[0]);
    if (there)
        pthread_join(thread, NULL);
    values[0] = packets * INNER * 8 / (double)(clock_monotonic() - start);
    uint64_t idle = here == work_submitting ? submission_rest(&ring) : 0;
    values[1] = (double)(clock_spent() - spent - idle) / packets;
}

static void slice_turns(double *values) { slice(values, work_by_turns, work_by_turns); }
static void slice_alone(double *values) { slice(values, work_alone, NULL); }

static void slice_queue_sends(double *values) {
    slice(values, work_reading, work_sealing_and_sending);
}

static void slice_queue_seals(double *values) {
    slice(values, work_reading_and_sending, work_sealing);
}

static void slice_sqpoll(double *values) { slice(values, work_submitting, NULL); }

static void open_all(void) {
    const char *what;
    errno = tun_create(&tun, "roads0", 1, &what);
    must(errno == 0, what);
    must(tun_set_offloads(&tun, SHOAL_OFFLOAD_TUN_USO) & SHOAL_OFFLOAD_TUN_USO, "USO of the TUN");
    shell("ip link set roads0 txqueuelen 500 up && ip addr add 10.9.0.1/24 dev roads0");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7000)};
    to.sin_addr.s_addr = htonl(0x0a090002u);
    fill_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    must(connect(fill_fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
             setsockopt(fill_fd, SOL_UDP, UDP_SEGMENT, &(int){PAYLOAD}, sizeof(int)) == 0 &&
             setsockopt(fill_fd, SOL_SOCKET, SO_SNDBUFFORCE, &(int){256 << 20}, sizeof(int)) == 0,
         "filler");
    sink_fd = sink_open(SINK_VETH, OUTER);
}

static void measure(enum aead_suite suite, const struct contrast *contrast) {
    static const uint8_t zero[AEAD_KEY_SIZE];
    struct contrast kept = *contrast;
    aead_key_init(&key, suite, zero);
    int error = submission_open(&ring, 1);
    if (error) {
        contrast_lacks(contrast->road, "sqpoll", error, "io_uring with SQPOLL");
        kept.ways[4] = (struct way){NULL, NULL};
    }
    contrast_run(&kept);
    if (!error)
        submission_close(&ring);
}

void road_queue(void) {
    struct aead_choice choice = aead_calibrate(clock_monotonic, 5000000);
    for (uint32_t i = 0; i < 2; i++)
        must((hands[i].aead = aead_create(&choice)) != NULL, "aead");
    run_on(0);
    open_all();
    struct contrast contrast = {"queue-chacha20",
                                {"rate", "spent"},
                                {{"shoal", slice_turns},
                                 {"alone", slice_alone},
                                 {"sends", slice_queue_sends},
                                 {"seals", slice_queue_seals},
                                 {"sqpoll", slice_sqpoll}}};
    measure(AEAD_CHACHA20_POLY1305, &contrast);
    contrast.road = "queue-aes-gcm";
    if (aead_suite_here(AEAD_AES_256_GCM))
        measure(AEAD_AES_256_GCM, &contrast);
    close(sink_fd);
    close(fill_fd);
    tun_close(&tun);
    for (uint32_t i = 0; i < 2; i++)
        aead_free(hands[i].aead);
}
