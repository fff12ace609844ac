/* The box between workers: order, its limit, the bell, and many threads at once (T17: under TSan).
 */
#include "handoff.h"

#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "unit.h"

static struct handoff box;
static int bell;

static int open_box(void **state) {
    (void)state;
    memset(&box, 0, sizeof(box));
    bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return bell >= 0 && handoff_init(&box, bell) ? 0 : -1;
}

static int close_box(void **state) {
    (void)state;
    handoff_free(&box);
    close(bell);
    return 0;
}

static bool rings(void) {
    uint64_t count;
    return read(bell, &count, sizeof(count)) == sizeof(count);
}

/* An item of this size whose bytes can be told from another's. */
static bool put(uint32_t number, uint32_t length) {
    static _Thread_local uint8_t bytes[HANDOFF_BYTES];
    for (uint32_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(number * 31 + i);
    struct handoff_item head = {.kind = HANDOFF_FRAME, .to = {number, number + 1}, .tos = 3};
    return handoff_put(&box, &head, bytes, length);
}

static void check(const struct handoff_item *item, uint32_t number, uint32_t length) {
    assert_int_equal(item->kind, HANDOFF_FRAME);
    assert_int_equal(item->tos, 3);
    assert_int_equal(item->to.slot, number);
    assert_int_equal(item->to.generation, number + 1);
    assert_int_equal(item->length, length);
    assert_int_equal((uintptr_t)item->bytes % 16, 0);
    for (uint32_t i = 0; i < length; i++)
        assert_int_equal(item->bytes[i], (uint8_t)(number * 31 + i));
}

static void items_come_out_whole_in_order_and_ring_once(void **state) {
    (void)state;
    const uint8_t *end;
    assert_null(handoff_take(&box, &end));
    assert_false(rings());
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 50; i++)
            assert_true(put(i, i * 37));
        assert_true(handoff_waits(&box));
        assert_true(rings() && !rings());
        struct handoff_item *item = handoff_take(&box, &end);
        assert_false(handoff_waits(&box));
        for (uint32_t i = 0; i < 50; i++, item = handoff_next(item)) {
            memset(item->bytes + item->length, 0xee, HANDOFF_SLACK); /* ours to write */
            check(item, i, i * 37);
        }
        assert_ptr_equal(item, end);
    }
}

static void what_was_taken_stays_while_others_put_more(void **state) {
    (void)state;
    const uint8_t *end;
    assert_true(put(1, 1000));
    struct handoff_item *item = handoff_take(&box, &end);
    while (put(2, 1000))
        ;
    check(item, 1, 1000);
    assert_ptr_equal(handoff_next(item), end);
    check(handoff_take(&box, &end), 2, 1000);
}

static void at_its_limit_what_comes_is_refused_and_nothing_else_lost(void **state) {
    (void)state;
    const uint8_t *end;
    assert_false(put(1, HANDOFF_BYTES)); /* its head has no room beside it */
    assert_false(handoff_put(&box, &(struct handoff_item){0}, NULL, UINT32_MAX));
    uint32_t count = 0;
    while (put(count, 60000))
        count++;
    assert_int_equal(count, 4);
    uint32_t small = 0;
    while (put(count + small, 0))
        small++;
    struct handoff_item *item = handoff_take(&box, &end);
    for (uint32_t i = 0; i < count + small; i++, item = handoff_next(item))
        check(item, i, i < count ? 60000 : 0);
    assert_ptr_equal(item, end);
    assert_true(put(0, 60000));
}

enum { THREADS = 3, ITEMS = 20000 };

static void *produce(void *argument) {
    uint32_t thread = *(const uint32_t *)argument;
    for (uint32_t i = 0; i < ITEMS;)
        if (put(thread << 24 | i, i % 100))
            i++;
    return NULL;
}

static void threads_lose_and_reorder_nothing(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    uint32_t numbers[THREADS], next[THREADS] = {0}, total = 0;
    for (uint32_t i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &numbers[i]), 0);
    }
    while (total < THREADS * ITEMS) {
        const uint8_t *end;
        struct handoff_item *item = handoff_take(&box, &end);
        for (; item && (const uint8_t *)item < end; item = handoff_next(item), total++) {
            uint32_t thread = item->to.slot >> 24;
            check(item, thread << 24 | next[thread], next[thread] % 100);
            next[thread]++;
        }
    }
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    const uint8_t *end;
    assert_null(handoff_take(&box, &end));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(items_come_out_whole_in_order_and_ring_once, open_box,
                                        close_box),
        cmocka_unit_test_setup_teardown(what_was_taken_stays_while_others_put_more, open_box,
                                        close_box),
        cmocka_unit_test_setup_teardown(at_its_limit_what_comes_is_refused_and_nothing_else_lost,
                                        open_box, close_box),
        cmocka_unit_test_setup_teardown(threads_lose_and_reorder_nothing, open_box, close_box),
    };
    return cmocka_run_group_tests_name("handoff", tests, NULL, NULL);
}
