// LDFLAGS: -Wl,--wrap=clock_realtime,--wrap=recvmsg
/* Queues that stand while others wait lose one packet at a time, or mark it where it can say so; a
 * stream alone loses nothing, and nothing but data is ever lost (issue 9, short queues). The clock
 * by which the kernel dates what arrives is moved, and the pass is driven by hand. */
#include "world.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "offload_model.h"
#include "registry.h"
#include "unit.h"

#define MS 1000000ull
#define SEGMENTS 14u /* a frame of them is worth a turn (SEALING_MIN) */

static _Atomic uint64_t later; /* ns by which the machine's clock seems to be ahead */

uint64_t __real_clock_realtime(void);
uint64_t __wrap_clock_realtime(void);
uint64_t __wrap_clock_realtime(void) { return __real_clock_realtime() + atomic_load(&later); }

static _Atomic bool overflows;     /* before each datagram the kernel lost one */
static _Atomic uint32_t overflown; /* as often so far */

ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags) {
    size_t room = message->msg_controllen;
    ssize_t length = __real_recvmsg(fd, message, flags);
    if (length < 0 || !atomic_load(&overflows) ||
        message->msg_controllen + CMSG_SPACE(sizeof(uint32_t)) > room)
        return length;
    struct cmsghdr *item = (void *)((char *)message->msg_control + message->msg_controllen);
    *item = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(uint32_t)), .cmsg_level = SOL_SOCKET, .cmsg_type = SO_RXQ_OVFL};
    uint32_t so_far = atomic_fetch_add(&overflown, 1) + 1;
    memcpy(CMSG_DATA(item), &so_far, sizeof(so_far));
    message->msg_controllen += CMSG_SPACE(sizeof(uint32_t));
    return length;
}

static struct side side;
static struct shoal_address stranger;
static int fd;
static uint8_t frame[WORLD_FRAME_MAX], message[WORLD_FRAME_MAX], plain[WORLD_FRAME_MAX];

static void start_with(uint32_t workers, uint32_t offloads_off) {
    atomic_store(&later, 0);
    side_open(&side, 1, &(struct world_options){.offloads_off = offloads_off, .workers = workers});
    fd = stranger_open(SHOAL_AF_INET, &stranger);
    side.peer = side_add_peer(&side, 12, 2, &stranger);
    struct shoal_session session = world_session(&side, SHOAL_ROLE_INITIATOR, 100, 555, 0);
    side_install(&side, &session);
}

static void start(uint32_t offloads_off) { start_with(1, offloads_off); }

static void stop(void) {
    close(fd);
    side_close(&side);
}

/* ---- Received ---------------------------------------------------------------------------- */

static uint64_t counter;

/* A train of data messages of equal size; its inner packets come from peer 2. */
static size_t forge_train(uint8_t *out, uint32_t messages) {
    uint8_t packet[1000];
    size_t length = world_packet(packet, false, 2, 1, 700, 1), used = 0;
    memset(packet + length, 0, 16);
    for (uint32_t i = 0; i < messages; i++)
        used += forge(out + used, 2, 100, counter++, packet, (length + 15) & ~(size_t)15);
    return used;
}

/* Messages that the worker has read, the lost ones among them. */
static uint64_t read_by(const struct device *device) {
    const struct stats *stats = &device->workers[0]->pass.stats;
    return stats_get(stats, COUNT_rx_packets) + stats_get(stats, COUNT_drop_rx_standing);
}

/* For 100 ms `trains` that lie one behind the other, each `sojourn` old by the clock. */
static uint64_t receive_trains(uint64_t sojourn, bool others, uint32_t trains) {
    atomic_store(&later, sojourn);
    uint64_t sent = 0, before = side_counter(&side, "rx_packets");
    struct device *device = registry_acquire(side.device); /* and with it the door of the API */
    uint64_t read = read_by(device);
    for (int i = 0; i < 20; i++) {
        device_stop(device);
        if (others) {
            size_t length = forge(message, 2, 100, counter++, plain, 0); /* a keepalive */
            stranger_send(fd, &side.outer, message, length);
            sent++;
        }
        for (uint32_t n = 0; n < trains; n++) {
            size_t length = forge_train(message, SEGMENTS);
            stranger_send_train(fd, &side.outer, message, length, (uint16_t)(length / SEGMENTS));
            sent += SEGMENTS;
        }
        device_resume(device);
        /* On a busy machine what comes next would lie behind it otherwise. */
        for (uint64_t until = world_now() + WORLD_PATIENCE_MS * 1000000ull;
             read_by(device) < read + sent && world_now() < until;)
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        while (side_read(&side, frame, 0))
            ;
    }
    registry_release(side.device);
    uint64_t lost = side_counter(&side, "drop_rx_standing");
    side_await(&side, "rx_packets", before + sent - lost);
    assert_int_equal(side_counter(&side, "rx_packets") - before,
                     sent - lost); /* no more than that */
    return lost;
}

static void
a_stream_that_fills_the_socket_while_others_wait_loses_a_few_of_its_packets(void **state) {
    (void)state;
    start(0);
    uint64_t lost = receive_trains(5 * MS, true, 2);
    assert_in_range(lost, 1, 20); /* one a round at most */
    assert_int_equal(side_drops(&side), lost);
    assert_int_equal(side_counter(&side, "rx_keepalives"), 20); /* none of who waits for it */
    stop();
}

static void nothing_is_lost_where_no_queue_stands_or_nobody_else_waits(void **state) {
    (void)state;
    start(0);
    assert_int_equal(receive_trains(5 * MS, false, 2), 0);
    assert_int_equal(receive_trains(3600000 * MS, true, 2), 0); /* somebody has set the clock */
    /* Or set it back; so nothing seems to have waited, however slow the machine is. */
    assert_int_equal(receive_trains((uint64_t)0 - 60000 * MS, true, 2), 0);
    stop();
    start(SHOAL_OFFLOAD_QUEUE_CONTROL);
    assert_int_equal(receive_trains(5 * MS, true, 2), 0);
    stop();
}

/* As on a machine whose processors others use as well: a request, its answer, and nothing else. */
static void what_waits_alone_is_not_lost_however_long_it_waits(void **state) {
    (void)state;
    start(0);
    assert_int_equal(receive_trains(5 * MS, true, 1), 0);
    stop();
}

/* A buffer that is one message is lost whole; what it tells of the kernel's losses is not. */
static void what_the_kernel_lost_is_counted_with_a_message_that_goes(void **state) {
    (void)state;
    start(0);
    atomic_store(&later, 5 * MS);
    atomic_store(&overflows, true);
    struct device *device = registry_acquire(side.device);
    for (int i = 0; i < 20; i++) {
        device_stop(device);
        stranger_send(fd, &side.outer, message, forge(message, 2, 100, counter++, plain, 0));
        for (int n = 0; n < 2; n++)
            stranger_send(fd, &side.outer, message, forge_train(message, 1));
        device_resume(device);
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    registry_release(side.device);
    side_await(&side, "drop_rx_standing", 1);
    side_await(&side, "rx_packets", 60 - side_counter(&side, "drop_rx_standing"));
    assert_int_equal(side_counter(&side, "drop_rx_queue"), atomic_load(&overflown));
    atomic_store(&overflows, false);
    stop();
}

static void nothing_but_data_is_lost_so(void **state) {
    (void)state;
    uint8_t gossip[800] = {0x53};
    start(0);
    atomic_store(&later, 5 * MS);
    struct device *device = registry_acquire(side.device);
    for (int i = 0; i < 20; i++) {
        device_stop(device);
        stranger_send(fd, &side.outer, gossip, 100);
        for (int n = 0; n < 2; n++)
            stranger_send(fd, &side.outer, gossip, sizeof(gossip)); /* no small one */
        device_resume(device);
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    registry_release(side.device);
    side_await(&side, "control_received", 60);
    assert_int_equal(side_drops(&side), 0);
    stop();
}

/* ---- Sent -------------------------------------------------------------------------------- */

static void write_super(uint8_t tos) {
    static uint8_t payload[SEGMENTS * 1300];
    struct model_spec spec = {.source = {10, 9, 0, 1},
                              .destination = {10, 9, 0, 2},
                              .payload = payload,
                              .payload_length = sizeof(payload),
                              .source_port = 4001, /* not that of write_ping */
                              .destination_port = 5000,
                              .protocol = 17,
                              .tos = tos,
                              .ttl = 64};
    size_t length = model_build_super(&spec, 1300, frame);
    assert_int_equal(write(side.tun, frame, length), length);
}

static void write_ping(void) {
    uint8_t packet[100];
    side_write(&side, packet, world_packet(packet, false, 1, 2, 30, 9));
}

static uint32_t read_all(uint32_t *marked) {
    uint32_t left = 0;
    size_t length;
    while ((length = stranger_receive(fd, message, sizeof(message), 0))) {
        assert_true(unforge(plain, 1, message, length) >= 0);
        *marked += (plain[1] & 3) == 3;
        left++;
    }
    return left;
}

/* Four frames of a stream always wait, so that each does for 20 ms, and perhaps something else
 * comes with them. The clock is the argument's. @return how many messages left in 20 rounds */
static uint32_t send_stream(struct pass *pass, uint8_t tos, bool others, uint32_t *marked) {
    uint32_t left = 0;
    for (int i = 0; i < 4; i++)
        write_super(tos);
    for (int round = 0; round < 20; round++) {
        if (round < 16)
            write_super(tos);
        if (others)
            write_ping();
        tx_begin(pass);
        pass->tx.bytes = TX_BATCH_BYTES - 200; /* for what is small, and one frame */
        tx_drain(pass);
        pass->now += 5 * MS;
        left += read_all(marked);
    }
    tx_begin(pass);
    tx_drain(pass);
    assert_int_equal(pass->tx.fq.count, 0);
    return left + read_all(marked);
}

static void a_queue_that_keeps_others_waiting_loses_or_marks_before_it_is_sealed(void **state) {
    (void)state;
    static const struct {
        uint32_t workers; /* of several one seals ahead */
        uint8_t tos;
        bool others, control;
    } cases[] = {{1, 0, false, true}, {1, 0, true, true}, {1, 2, true, true}, {1, 0, true, false},
                 {2, 0, false, true}, {2, 0, true, true}, {2, 2, true, true}, {2, 0, true, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        start_with(cases[i].workers, cases[i].control ? 0 : SHOAL_OFFLOAD_QUEUE_CONTROL);
        struct device *device = registry_acquire(side.device);
        device_stop(device);
        struct pass *pass = &device->workers[0]->pass;
        uint32_t marked = 0;
        uint32_t left = send_stream(pass, cases[i].tos, cases[i].others, &marked);
        uint64_t lost = stats_get(&pass->stats, COUNT_drop_tx_standing);
        uint64_t marks = stats_get(&pass->stats, COUNT_tx_marked);
        device_resume(device);
        registry_release(side.device);
        bool bites = cases[i].others && cases[i].control;
        assert_int_equal(left + lost, 20 * (SEGMENTS + cases[i].others));
        assert_int_equal(lost > 0, bites && !cases[i].tos);
        assert_int_equal(marks > 0, bites && cases[i].tos);
        assert_int_equal(marked, marks * SEGMENTS); /* each packet of a frame says it */
        assert_true(lost <= 20);
        assert_int_equal(side_drops(&side), lost);
        stop();
    }
}

int main(void) {
    unsetenv("SHOAL_TEST_IO"); /* what recvmsg says is played with */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_stream_that_fills_the_socket_while_others_wait_loses_a_few_of_its_packets),
        cmocka_unit_test(nothing_is_lost_where_no_queue_stands_or_nobody_else_waits),
        cmocka_unit_test(what_waits_alone_is_not_lost_however_long_it_waits),
        cmocka_unit_test(nothing_but_data_is_lost_so),
        cmocka_unit_test(what_the_kernel_lost_is_counted_with_a_message_that_goes),
        cmocka_unit_test(a_queue_that_keeps_others_waiting_loses_or_marks_before_it_is_sealed),
    };
    return cmocka_run_group_tests_name("queue", tests, NULL, NULL);
}
