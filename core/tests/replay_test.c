// LDFLAGS: -Wl,--wrap=pthread_create
/* T5: the replay window against the rules R13, R46, R47 and against a set that forgets nothing. */
#include "replay.h"

#include <stdlib.h>

#include "no_threads.h"
#include "random.h"
#include "unit.h"

#define LIMIT REPLAY_COUNTER_LIMIT
#define W REPLAY_WINDOW

static struct replay window;

static void fresh(void) { memset(&window, 0, sizeof(window)); }

/* Commits and demands that the pre-check had foretold the result. */
static bool offer(uint64_t counter) {
    bool foretold = replay_check(&window, counter);
    bool taken = replay_commit(&window, counter);
    assert_int_equal(foretold, taken);
    return taken;
}

struct step {
    uint64_t counter;
    bool taken;
};

static void run(const struct step *steps, size_t n) {
    fresh();
    for (size_t i = 0; i < n; i++)
        if (offer(steps[i].counter) != steps[i].taken)
            fail_msg("step %zu: counter %llu", i, (unsigned long long)steps[i].counter);
}

static void each_counter_is_taken_once_in_any_order_within_the_window(void **state) {
    (void)state;
    /* 34 steps of one life: out of order, the window's edge from both sides, a jump of several
     * windows, the counter limit from both sides, and what is too old after it. */
    static const struct step steps[] = {
        {0, true},          {1, true},          {1, false},         {9, true},
        {8, true},          {7, true},          {7, false},         {W + 1, true},
        {W, true},          {W, false},         {W - 1, true},      {2, true},
        {2, false},         {W + 17, true},     {3, false},         {W + 17, false},
        {4 * W + 4, true},  {3 * W + 4, true},  {10, false},        {3 * W + 3, false},
        {3 * W + 2, false}, {3 * W + 5, true},  {3 * W + 4, false}, {0, false},
        {LIMIT, false},     {LIMIT - 1, true},  {LIMIT, false},     {LIMIT - 1, false},
        {LIMIT - 2, true},  {LIMIT + 1, false}, {LIMIT + 2, false}, {LIMIT - 2, false},
        {LIMIT - 3, true},  {0, false},
    };
    _Static_assert(sizeof(steps) / sizeof(*steps) == 34, "T5");
    run(steps, 34);
}

static void ascending_counters_are_taken_and_then_refused(void **state) {
    (void)state;
    fresh();
    for (uint64_t i = 0; i <= W; i++)
        assert_true(offer(i));
    assert_false(offer(0)); /* seen */
    assert_false(offer(W));
}

static void descending_counters_within_the_window_are_taken(void **state) {
    (void)state;
    fresh();
    for (uint64_t i = W + 1; i-- > 0;)
        assert_true(offer(i));
    for (uint64_t i = 0; i <= W; i++)
        assert_false(offer(i));
}

static void the_window_is_8128_wide_at_every_alignment(void **state) {
    (void)state;
    for (uint64_t newest = W + 1; newest < W + 1 + 130; newest++) {
        fresh();
        assert_true(offer(newest));
        assert_false(offer(newest - W - 1)); /* one step too old */
        assert_true(offer(newest - W));      /* the oldest that is remembered */
        assert_false(offer(newest - W));
        assert_true(offer(0) == (newest == W));
    }
}

static void a_jump_of_any_length_forgets_no_more_than_the_window(void **state) {
    (void)state;
    static const uint64_t jumps[] = {1,    63,   64,   65,   4096, 8064,  8127,
                                     8128, 8129, 8191, 8192, 8193, 16384, UINT64_C(1) << 32};
    for (size_t i = 0; i < sizeof(jumps) / sizeof(*jumps); i++) {
        fresh();
        for (uint64_t c = 0; c < 200; c++)
            assert_true(offer(c));
        uint64_t newest = 199 + jumps[i];
        assert_true(offer(newest));
        for (uint64_t c = 0; c < 200; c++)
            assert_false(offer(c)); /* seen or too old, never taken again */
        if (newest > 200)
            assert_true(offer(newest - 1));
    }
}

static void r47_no_counter_at_or_above_the_limit_is_accepted(void **state) {
    (void)state;
    fresh();
    assert_false(replay_commit(&window, LIMIT));
    assert_false(replay_commit(&window, UINT64_MAX));
    assert_int_equal(window.next, 0); /* and the window did not move */
    assert_true(offer(0));
    assert_true(offer(LIMIT - 1));
    assert_false(offer(LIMIT));
    assert_int_equal(LIMIT, UINT64_MAX - 8192); /* 2^64 - 2^13 - 1 */
}

static void a_check_changes_nothing(void **state) {
    (void)state;
    fresh();
    struct replay before = window;
    for (uint64_t i = 0; i < 10000; i += 7)
        assert_true(replay_check(&window, i * i));
    assert_memory_equal(&before, &window, sizeof(window));
}

/* The model: every counter ever taken, in a plain bit set, and the newest. */
static void ten_million_random_counters_agree_with_a_set(void **state) {
    (void)state;
    const uint32_t space = 1u << 24, rounds = ROUNDS(10000000u, 1000000u);
    uint8_t *seen = calloc(space / 8, 1);
    assert_non_null(seen);
    fresh();
    struct random random = {5};
    uint64_t newest = 0;
    bool any = false;
    uint32_t taken = 0;
    for (uint32_t i = 0; i < rounds; i++) {
        uint32_t draw = random_below(&random, 1000);
        uint64_t counter;
        if (draw < 600)
            counter = newest + random_below(&random, 3); /* the usual next one */
        else if (draw < 990)
            counter = newest - random_below(&random, W + 200); /* late, or too late */
        else if (draw < 999)
            counter = newest + random_below(&random, 300);
        else
            counter = random_below(&random, space);
        if (counter >= space) /* also what wrapped below zero */
            continue;
        if (newest + 10000 > space) { /* the space is used up: a new life */
            memset(seen, 0, space / 8);
            fresh();
            newest = 0;
            any = false;
        }
        bool expected = (!any || counter + W >= newest) && !(seen[counter / 8] >> counter % 8 & 1);
        if (offer(counter) != expected)
            fail_msg("round %u: counter %llu, newest %llu", i, (unsigned long long)counter,
                     (unsigned long long)newest);
        if (!expected)
            continue;
        seen[counter / 8] = (uint8_t)(seen[counter / 8] | 1u << counter % 8);
        newest = any && newest > counter ? newest : counter;
        any = true;
        taken++;
    }
    free(seen);
    assert_true(taken > rounds / 4); /* the draw reaches both answers */
    assert_true(taken < rounds * 3 / 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_counter_is_taken_once_in_any_order_within_the_window),
        cmocka_unit_test(ascending_counters_are_taken_and_then_refused),
        cmocka_unit_test(descending_counters_within_the_window_are_taken),
        cmocka_unit_test(the_window_is_8128_wide_at_every_alignment),
        cmocka_unit_test(a_jump_of_any_length_forgets_no_more_than_the_window),
        cmocka_unit_test(r47_no_counter_at_or_above_the_limit_is_accepted),
        cmocka_unit_test(a_check_changes_nothing),
        cmocka_unit_test(ten_million_random_counters_agree_with_a_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
