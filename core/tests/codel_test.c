/* CoDel (RFC 8289) as its text says it: a burst is left alone, a queue that stands loses one item
 * after an interval and then faster, and one that was emptied begins anew. */
#include "codel.h"

#include "random.h"
#include "unit.h"

#define MS 1000000ull

static const struct codel_terms terms = {.target = 5 * MS, .interval = 100 * MS};
static struct codel codel;

static int reset(void **state) {
    (void)state;
    codel = (struct codel){0};
    return 0;
}

/* Items that each stay `sojourn` leave a millisecond apart. @return how many go, and when first. */
static uint32_t leave(uint64_t from, uint64_t ms, uint64_t sojourn, uint64_t *first) {
    uint32_t lost = 0;
    for (uint64_t now = from; now < from + ms * MS; now += MS)
        if (codel_leave(&codel, &terms, sojourn, now) && lost++ == 0 && first)
            *first = now;
    return lost;
}

static void what_stays_less_than_the_target_is_never_lost(void **state) {
    (void)state;
    assert_int_equal(leave(1000 * MS, 10000, 5 * MS - 1, NULL), 0);
}

static void a_burst_of_less_than_an_interval_is_left_alone(void **state) {
    (void)state;
    for (uint64_t start = 1000 * MS; start < 5000 * MS; start += 200 * MS) {
        assert_int_equal(leave(start, 99, 50 * MS, NULL), 0);
        assert_int_equal(leave(start + 99 * MS, 1, MS, NULL), 0); /* emptied once */
    }
}

static void
a_queue_that_stands_loses_one_after_an_interval_and_then_by_the_root_of_how_many(void **state) {
    (void)state;
    uint64_t now = 1000 * MS, at[5];
    uint32_t lost = 0;
    for (; lost < 5; now += 100000)
        if (codel_leave(&codel, &terms, 6 * MS, now))
            at[lost++] = now;
    assert_int_equal(at[0], 1100 * MS);
    static const double roots[] = {1, 1.41421356, 1.7320508, 2};
    for (int i = 1; i < 5; i++) { /* each after interval / sqrt(n) */
        uint64_t gap = at[i] - at[i - 1], due = (uint64_t)(100.0 * MS / roots[i - 1]);
        assert_in_range(gap, due - 200000, due + 200000);
    }
}

static void one_that_was_emptied_begins_anew(void **state) {
    (void)state;
    uint64_t first;
    assert_true(leave(1000 * MS, 2000, 6 * MS, &first) > 10);
    assert_int_equal(leave(3000 * MS, 1, 0, NULL), 0);
    assert_int_equal(leave(60000 * MS, 99, 6 * MS, NULL), 0);
    assert_int_equal(leave(60099 * MS, 2, 6 * MS, &first), 1);
    assert_int_equal(first, 60100 * MS);
}

static void one_that_is_dry_behind_what_leaves_does_not_stand(void **state) {
    (void)state;
    assert_int_equal(leave(1000 * MS, 102, 6 * MS, NULL), 1);
    codel_dry(&codel);
    assert_int_equal(leave(1102 * MS, 100, 6 * MS, NULL), 0); /* an interval anew */
    assert_int_equal(leave(1202 * MS, 2, 6 * MS, NULL), 1);
}

static void one_that_stands_again_soon_goes_on_where_it_was(void **state) {
    (void)state;
    uint32_t anew = leave(1000 * MS, 1000, 6 * MS, NULL);
    leave(2000 * MS, 2000, 6 * MS, NULL);
    leave(4000 * MS, 1, 0, NULL);
    assert_true(leave(4001 * MS, 1000, 6 * MS, NULL) > anew + 5);
}

/* Whatever comes: never more than one item of those that leave within a short while goes. */
static void losses_never_come_faster_than_the_root_allows(void **state) {
    (void)state;
    struct random random = {9};
    uint64_t now = 0, last = 0;
    uint32_t lost = 0;
    for (int i = 0; i < 1000000; i++) {
        now += random_below(&random, 2 * MS);
        if (!codel_leave(&codel, &terms, random_below(&random, 200) ? 9 * MS : 0, now))
            continue;
        assert_true(codel.count >= 1);
        assert_true(!codel.dropping || codel.drop_next > last);
        last = codel.drop_next;
        lost++;
    }
    assert_true(lost > 1000);
}

#define TEST(f) cmocka_unit_test_setup(f, reset)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(what_stays_less_than_the_target_is_never_lost),
        TEST(a_burst_of_less_than_an_interval_is_left_alone),
        TEST(a_queue_that_stands_loses_one_after_an_interval_and_then_by_the_root_of_how_many),
        TEST(one_that_was_emptied_begins_anew),
        TEST(one_that_is_dry_behind_what_leaves_does_not_stand),
        TEST(one_that_stands_again_soon_goes_on_where_it_was),
        TEST(losses_never_come_faster_than_the_root_allows),
    };
    return cmocka_run_group_tests_name("codel", tests, NULL, NULL);
}
