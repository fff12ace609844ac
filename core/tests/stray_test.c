/* Data of no session: each source is told of at its own pace, whatever the others send. */
#include "stray.h"

#include <string.h>

#include "unit.h"

static const uint8_t key[16] = "a key for tests";
static const uint64_t start = 1000000000ull;

static struct shoal_address ip4(uint32_t host, uint16_t port) {
    struct shoal_address address = {.family = SHOAL_AF_INET, .port = port, .ip = {198, 18}};
    address.ip[2] = (uint8_t)(host >> 8);
    address.ip[3] = (uint8_t)host;
    return address;
}

static struct stray fresh(void) {
    struct stray stray;
    memset(&stray, 0xa5, sizeof(stray));
    stray_init(&stray, key);
    return stray;
}

static void a_source_is_told_of_ten_times_a_second_whatever_its_port(void **state) {
    (void)state;
    struct stray stray = fresh();
    uint32_t told = 0;
    for (uint32_t ms = 0; ms < 1000; ms++) {
        struct shoal_address from = ip4(7, (uint16_t)(1024 + ms));
        told += stray_tell(&stray, &from, start + ms * 1000000ull);
    }
    assert_int_equal(told, 10);
}

static void what_one_source_sends_hides_nothing_that_another_sends(void **state) {
    (void)state;
    struct stray stray = fresh();
    struct shoal_address junk = ip4(7, 9), member = ip4(8, 51820);
    for (uint32_t ms = 0; ms < 500; ms++)
        stray_tell(&stray, &junk, start + ms * 1000000ull);
    assert_true(stray_tell(&stray, &member, start + 500 * 1000000ull));
}

static void many_sources_share_what_there_is_and_nothing_grows(void **state) {
    (void)state;
    struct stray stray = fresh();
    uint32_t told = 0;
    for (uint32_t host = 0; host < 10000; host++) {
        struct shoal_address from = ip4(host, 9);
        told += stray_tell(&stray, &from, start);
    }
    assert_in_range(told, STRAY_SOURCES / 2, STRAY_SOURCES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source_is_told_of_ten_times_a_second_whatever_its_port),
        cmocka_unit_test(what_one_source_sends_hides_nothing_that_another_sends),
        cmocka_unit_test(many_sources_share_what_there_is_and_nothing_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
