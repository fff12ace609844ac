/* Frames that wait take turns by flow (RFC 8290): order within a flow, who sends little goes first,
 * nobody gets more than its share, and the room is bounded. */
#include "fq.h"

#include <string.h>

#include "random.h"
#include "segment.h"
#include "tun.h"
#include "unit.h"

#define MS 1000000ull

static struct fq fq;

static int open_fq(void **state) {
    (void)state;
    return fq_init(&fq, 0x1234567) ? 0 : -1;
}

static int close_fq(void **state) {
    (void)state;
    fq_free(&fq);
    return 0;
}

/* A UDP packet of so many bytes behind a virtio header, numbered behind its headers. */
static uint32_t write_frame(uint8_t *frame, uint16_t port, uint32_t number, uint32_t length) {
    uint8_t *packet = frame + SEGMENT_VNET_SIZE;
    memset(frame, 0, SEGMENT_VNET_SIZE + 28);
    packet[0] = 0x45;
    packet[2] = (uint8_t)(length >> 8);
    packet[3] = (uint8_t)length;
    packet[9] = 17;
    memcpy(packet + 12, (uint8_t[]){10, 9, 0, 1, 10, 9, 0, 2}, 8);
    packet[20] = (uint8_t)(port >> 8);
    packet[21] = (uint8_t)port;
    memcpy(packet + 28, &number, sizeof(number));
    return SEGMENT_VNET_SIZE + length;
}

static bool push(uint16_t port, uint32_t number, uint32_t length, uint64_t now) {
    uint8_t *room = fq_room(&fq);
    if (!room)
        return false;
    fq_push(&fq, write_frame(room, port, number, length), now);
    return true;
}

static uint16_t port_of(const struct fq_frame *frame) {
    const uint8_t *packet = frame->bytes + SEGMENT_VNET_SIZE;
    return (uint16_t)(packet[20] << 8 | packet[21]);
}

static uint32_t number_of(const struct fq_frame *frame) {
    uint32_t number;
    memcpy(&number, frame->bytes + SEGMENT_VNET_SIZE + 28, sizeof(number));
    return number;
}

/* Two ports whose flows do not share a queue. */
static uint16_t other_port(void) {
    push(1, 0, 100, 0);
    struct fq_frame *first = fq_pop(&fq, 0);
    uint32_t flow = first->flow;
    fq_release(&fq, first);
    for (uint16_t port = 2;; port++) {
        push(port, 0, 100, 0);
        struct fq_frame *frame = fq_pop(&fq, 0);
        bool other = frame->flow != flow;
        fq_release(&fq, frame);
        if (other)
            return port;
    }
}

static void a_packet_of_another_flow_waits_for_one_frame_at_most(void **state) {
    (void)state;
    uint16_t ping = other_port();
    for (uint32_t i = 0; i < FQ_LARGE; i++)
        assert_true(push(1, i, 60000, 0));
    struct fq_frame *frame = fq_pop(&fq, 0);
    assert_int_equal(number_of(frame), 0);
    fq_release(&fq, frame);
    assert_true(push(ping, 7, 84, 0));
    frame = fq_pop(&fq, 0);
    assert_int_equal(port_of(frame), ping);
    fq_release(&fq, frame);
    for (uint32_t i = 1; i < FQ_LARGE; i++) {
        frame = fq_pop(&fq, 0);
        assert_int_equal(number_of(frame), i);
        fq_release(&fq, frame);
    }
    assert_null(fq_pop(&fq, 0));
}

static void two_streams_get_the_same_share_whatever_the_size_of_their_frames(void **state) {
    (void)state;
    const uint16_t ports[2] = {1, other_port()};
    const uint32_t sizes[2] = {60000, 1500};
    uint32_t waiting[2] = {0};
    uint64_t sent[2] = {0};
    for (int i = 0; i < 20000; i++) {
        while (waiting[0] < 2 && push(ports[0], 0, sizes[0], 0)) /* both always have some */
            waiting[0]++;
        while (waiting[1] < 20 && push(ports[1], 0, sizes[1], 0))
            waiting[1]++;
        struct fq_frame *frame = fq_pop(&fq, 0);
        int which = port_of(frame) == ports[1];
        sent[which] += frame->length;
        waiting[which]--;
        fq_release(&fq, frame);
    }
    uint64_t difference = sent[0] > sent[1] ? sent[0] - sent[1] : sent[1] - sent[0];
    assert_true(difference <= FQ_QUANTUM + 2 * 60010);
    assert_true(sent[0] > 10000000);
}

static void room_is_bounded_and_small_frames_do_not_take_that_of_large_ones(void **state) {
    (void)state;
    uint32_t small = 0;
    while (push(1, small, 100, 0))
        small++;
    assert_int_equal(small, FQ_SMALL + FQ_LARGE);
    assert_null(fq_room(&fq));
    struct fq_frame *frame = fq_pop(&fq, 0);
    assert_false(frame->large);
    fq_release(&fq, frame);
    assert_null(fq_room(&fq)); /* whatever comes next may be large */
    while ((frame = fq_pop(&fq, 0)))
        fq_release(&fq, frame);
    uint32_t large = 0;
    while (push(1, large, FQ_SMALL_SIZE, 0)) /* with its virtio header a large one */
        large++;
    assert_int_equal(large, FQ_LARGE);
}

static void whatever_comes_each_frame_comes_out_once_and_in_order_within_its_flow(void **state) {
    (void)state;
    enum { PORTS = 40 };
    static uint32_t pushed[PORTS], popped[PORTS];
    struct random random = {11};
    memset(pushed, 0, sizeof(pushed));
    memset(popped, 0, sizeof(popped));
    for (uint32_t i = 0; i < ROUNDS(200000, 10000); i++) {
        uint32_t port = random_below(&random, PORTS);
        uint32_t length = random_below(&random, 8) ? 40 + random_below(&random, 1400)
                                                   : 40 + random_below(&random, 65000);
        if (random_below(&random, 2) && push((uint16_t)port, pushed[port], length, i))
            pushed[port]++;
        struct fq_frame *frame = random_below(&random, 2) ? fq_pop(&fq, i) : NULL;
        if (!frame)
            continue;
        port = port_of(frame);
        assert_int_equal(number_of(frame), popped[port]++);
        fq_release(&fq, frame);
    }
    struct fq_frame *frame;
    while ((frame = fq_pop(&fq, 1))) {
        assert_int_equal(number_of(frame), popped[port_of(frame)]++);
        fq_release(&fq, frame);
    }
    assert_memory_equal(pushed, popped, sizeof(pushed));
    assert_int_equal(fq.count, 0);
    assert_int_equal(fq.active, 0);
}

static void a_queue_in_which_only_its_own_flow_waits_may_be_longer(void **state) {
    (void)state;
    uint16_t ping = other_port();
    uint32_t congested[2] = {0};
    for (int others = 0; others < 2; others++) {
        for (uint64_t now = 1000 * MS; now < 1100 * MS; now += MS) {
            while (push(1, 0, 60000, now - 20 * MS) && fq.count < 8)
                ; /* they have waited for 20 ms */
            if (others)
                push(ping, 0, 84, now);
            for (int i = 0; i < 3; i++) {
                struct fq_frame *frame = fq_pop(&fq, now);
                congested[others] += frame->congested;
                assert_true(!frame->congested || port_of(frame) == 1); /* not who waits for it */
                fq_release(&fq, frame);
                if (others && i == 1)
                    push(ping, 0, 84, now);
            }
        }
        struct fq_frame *frame;
        while ((frame = fq_pop(&fq, 2000 * MS)))
            fq_release(&fq, frame);
    }
    assert_int_equal(congested[0], 0);
    assert_true(congested[1] >= 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_fq, close_fq)

/* Several threads read and take, each with the clock of its own batch. */
static void a_frame_that_was_read_by_a_clock_ahead_has_not_stood(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 200; i++) {
        uint64_t now = 1000 * MS + 4 * i * MS;
        assert_true(push(2, i, 1400, now) && push(3, i, 1400, now)); /* others wait */
        for (int n = 0; n < 2; n++)
            fq_release(&fq, fq_pop(&fq, now));
        assert_true(push(1, i, 1400, now + 2 * MS));
        struct fq_frame *frame = fq_pop(&fq, now + MS);
        assert_non_null(frame);
        assert_false(frame->congested);
        fq_release(&fq, frame);
    }
}

/* The stream's own frames have to wait, too, or nobody is kept waiting by them. */
static void a_frame_behind_which_nothing_waits_is_not_congested_however_old_it_is(void **state) {
    (void)state;
    uint16_t ping = other_port();
    for (uint64_t now = 1000 * MS; now < 1100 * MS; now += MS) {
        assert_true(push(1, 0, 60000, now - 20 * MS) && push(ping, 0, 84, now - 20 * MS));
        for (int n = 0; n < 2; n++) {
            struct fq_frame *frame = fq_pop(&fq, now);
            assert_true(!frame->congested || fq.count);
            fq_release(&fq, frame);
        }
        assert_int_equal(fq.count, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_packet_of_another_flow_waits_for_one_frame_at_most),
        TEST(two_streams_get_the_same_share_whatever_the_size_of_their_frames),
        TEST(room_is_bounded_and_small_frames_do_not_take_that_of_large_ones),
        TEST(whatever_comes_each_frame_comes_out_once_and_in_order_within_its_flow),
        TEST(a_queue_in_which_only_its_own_flow_waits_may_be_longer),
        TEST(a_frame_that_was_read_by_a_clock_ahead_has_not_stood),
        TEST(a_frame_behind_which_nothing_waits_is_not_congested_however_old_it_is),
    };
    return cmocka_run_group_tests_name("fq", tests, NULL, NULL);
}
