// LDFLAGS: -Wl,--wrap=sendmsg -Wl,--wrap=quiesce_leave -Wl,--wrap=quiesce_resume
/* How much one batch may do before the other direction and the control thread get their turn: a
 * call waits for the batch that runs. What is sent is added up between two ends of a batch. */
#include "world.h"

#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "offload_model.h"
#include "quiesce.h"
#include "tx.h"
#include "unit.h"

#define SUPERS 120u /* below a peer's 128 staged */
#define PIECE 1380u
#define PIECES 46u

static _Atomic uint64_t in_batch, largest; /* bytes sent in this one, in any */

static void batch_ends(void) {
    uint64_t bytes = atomic_exchange(&in_batch, 0);
    if (bytes > atomic_load(&largest))
        atomic_store(&largest, bytes);
}

ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags) {
    ssize_t sent = __real_sendmsg(fd, message, flags);
    if (sent > 0)
        atomic_fetch_add(&in_batch, (uint64_t)sent);
    return sent;
}

void __real_quiesce_leave(struct quiesce *quiesce);
void __wrap_quiesce_leave(struct quiesce *quiesce);
void __wrap_quiesce_leave(struct quiesce *quiesce) {
    batch_ends();
    __real_quiesce_leave(quiesce);
}

void __real_quiesce_resume(struct quiesce *quiesce);
void __wrap_quiesce_resume(struct quiesce *quiesce);
void __wrap_quiesce_resume(struct quiesce *quiesce) {
    batch_ends();
    __real_quiesce_resume(quiesce);
}

static struct side side;
static struct shoal_address stranger;
static int fd;

static void start(void) {
    side_open(&side, 1, &(struct world_options){.staged_bytes_max = 64u << 20});
    fd = stranger_open(SHOAL_AF_INET, &stranger);
    side.peer = side_add_peer(&side, 12, 2, &stranger);
    atomic_store(&largest, 0);
    atomic_store(&in_batch, 0);
}

static void connect_peer(void) {
    struct shoal_session session = world_session(&side, SHOAL_ROLE_INITIATOR, 100, 555, 0);
    side_install(&side, &session);
}

static void stop(void) {
    close(fd);
    side_close(&side);
}

/* A UDP super-packet of so many pieces, into the TUN. */
static void write_super(uint32_t piece, uint32_t pieces) {
    static uint8_t payload[65536], frame[WORLD_FRAME_MAX];
    struct model_spec spec = {.source = {10, 9, 0, 1},
                              .destination = {10, 9, 0, 2},
                              .payload = payload,
                              .payload_length = piece * pieces,
                              .source_port = 4000,
                              .destination_port = 5000,
                              .protocol = 17,
                              .ttl = 64};
    size_t length = model_build_super(&spec, (uint16_t)piece, frame);
    assert_int_equal(write(side.tun, frame, length), length);
}

/* The budget, the frame and the train that crossed it, and a quarter for headers and tags. */
#define BATCH_MOST ((TX_BATCH_BYTES + 2 * 65536u) * 5 / 4)

static void staged_super_packets_leave_in_many_batches_and_none_is_lost(void **state) {
    (void)state;
    struct shoal_mail mail;
    start();
    for (uint32_t i = 0; i < SUPERS; i++)
        write_super(PIECE, PIECES);
    side_await(&side, "tx_staged", SUPERS);
    assert_true(side_mail(&side, SHOAL_MAIL_SESSION_NEEDED, &mail, NULL));
    connect_peer();
    side_await(&side, "tx_packets", SUPERS * PIECES);
    assert_int_equal(side_counter(&side, "tx_packets"), SUPERS * PIECES);
    assert_int_equal(side_facts(&side).staged, 0);
    assert_int_equal(side_drops(&side), 0);
    assert_true(atomic_load(&largest) > TX_BATCH_BYTES / 2);
    assert_true(atomic_load(&largest) <= BATCH_MOST);
    stop();
}

static void what_is_read_behind_staged_frames_asks_for_no_session(void **state) {
    (void)state;
    start();
    for (uint32_t i = 0; i < SUPERS; i++)
        write_super(PIECE, PIECES);
    side_await(&side, "tx_staged", SUPERS);
    connect_peer();
    assert_int_equal(shoal_peer_arm(side.device, side.peer, SHOAL_EDGE_SESSION_NEEDED), SHOAL_OK);
    side_no_mail(&side, SHOAL_MAIL_SESSION_NEEDED); /* the one from before */
    for (uint32_t i = 0; i < 10; i++)
        write_super(PIECE, PIECES);
    side_await(&side, "tx_packets", (SUPERS + 10) * PIECES);
    assert_true(side_no_mail(&side, SHOAL_MAIL_SESSION_NEEDED));
    assert_int_equal(side_drops(&side), 0);
    assert_true(atomic_load(&largest) <= BATCH_MOST);
    stop();
}

static void a_super_packet_of_too_many_packets_drops_whole(void **state) {
    (void)state;
    start();
    connect_peer();
    write_super(1, TX_SEGMENTS_MAX);
    side_await(&side, "tx_packets", TX_SEGMENTS_MAX);
    write_super(1, TX_SEGMENTS_MAX + 1);
    side_await(&side, "drop_tx_segments", 1);
    write_super(1, 65000);
    side_await(&side, "drop_tx_segments", 2);
    assert_int_equal(side_counter(&side, "tx_packets"), TX_SEGMENTS_MAX);
    assert_int_equal(side_facts(&side).dropped, 2);
    stop();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(staged_super_packets_leave_in_many_batches_and_none_is_lost),
        cmocka_unit_test(what_is_read_behind_staged_frames_asks_for_no_session),
        cmocka_unit_test(a_super_packet_of_too_many_packets_drops_whole),
    };
    return cmocka_run_group_tests_name("batch", tests, NULL, NULL);
}
