/* How busy a peer is, by periods, and who takes whose place. */
#include "heat.h"

#include "random.h"
#include "unit.h"

static void a_peer_is_as_busy_as_in_this_period_or_the_last(void **state) {
    (void)state;
    struct heat heat = {0};
    assert_int_equal(heat_add(&heat, 7, 30), 30);
    assert_int_equal(heat_add(&heat, 7, 12), 42);
    assert_int_equal(heat_of(&heat, 7), 42);
    assert_int_equal(heat_of(&heat, 8), 42); /* nothing in this one yet */
    assert_int_equal(heat_add(&heat, 8, 5), 5);
    assert_int_equal(heat_of(&heat, 8), 42);
    assert_int_equal(heat_of(&heat, 9), 5);
    assert_int_equal(heat_of(&heat, 10), 0);
    assert_int_equal(heat_add(&heat, 20, 1), 1); /* long ago does not count */
    assert_int_equal(heat_of(&heat, 20), 1);
    assert_int_equal(heat_add(&heat, 20, UINT32_MAX), UINT32_MAX);
}

static void a_peer_is_idle_after_ten_periods_without_a_message(void **state) {
    (void)state;
    struct heat heat = {0};
    heat_add(&heat, 100, 1);
    assert_false(heat_is_idle(&heat, 100));
    assert_false(heat_is_idle(&heat, 100 + HEAT_IDLE_PERIODS));
    assert_true(heat_is_idle(&heat, 101 + HEAT_IDLE_PERIODS));
}

static void only_more_than_twice_as_busy_takes_a_place(void **state) {
    (void)state;
    struct heat mine = {0}, other = {0};
    heat_add(&other, 5, 100);
    heat_add(&mine, 5, 201);
    assert_false(heat_beats(&mine, &other, 5));
    heat_add(&mine, 5, 1);
    assert_true(heat_beats(&mine, &other, 5));
    assert_false(heat_beats(&other, &mine, 5));
    assert_true(heat_beats(&mine, &other, 6)); /* both of the last one */
}

/* A thousand peers at equal rates, give or take a third, as each period may bring them: nobody
 * ever takes a place from another. */
static void peers_that_are_equally_busy_leave_each_other_alone(void **state) {
    (void)state;
    enum { ALL = 1000, PLACES = 8 };
    static struct heat heats[ALL];
    struct random random = {5};
    for (uint64_t period = 1; period < 50; period++)
        for (uint32_t i = 0; i < ALL; i++) {
            heat_add(&heats[i], period, 75 + random_below(&random, 50));
            for (uint32_t k = 0; period > 1 && k < PLACES; k++)
                assert_false(i >= PLACES && heat_beats(&heats[i], &heats[k], period));
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_is_as_busy_as_in_this_period_or_the_last),
        cmocka_unit_test(a_peer_is_idle_after_ten_periods_without_a_message),
        cmocka_unit_test(only_more_than_twice_as_busy_takes_a_place),
        cmocka_unit_test(peers_that_are_equally_busy_leave_each_other_alone),
    };
    return cmocka_run_group_tests_name("heat", tests, NULL, NULL);
}
