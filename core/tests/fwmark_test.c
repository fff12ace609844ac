// LDFLAGS: -Wl,--wrap=setsockopt
/* The firewall mark of a device's sockets (SO_MARK) is the same in both families, whatever the
 * kernel answers. The call is wrapped at link time: a mark needs a right that a test may lack. */
#include "world.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "unit.h"

#define DESCRIPTORS 1024

static uint32_t marks[DESCRIPTORS];
static int calls, refuse_call; /* the one that is refused, from 1 on; 0: none */

int __real_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size) {
    if (level != SOL_SOCKET || option != SO_MARK)
        return __real_setsockopt(fd, level, option, value, size);
    if (++calls == refuse_call) {
        errno = EPERM;
        return -1;
    }
    assert_true(fd < DESCRIPTORS);
    memcpy(&marks[fd], value, sizeof(marks[fd]));
    return 0;
}

static int marked(uint32_t mark) {
    int count = 0;
    for (int i = 0; i < DESCRIPTORS; i++)
        count += marks[i] == mark;
    return count;
}

static void a_mark_that_one_family_refuses_is_taken_back_from_the_other(void **state) {
    (void)state;
    static struct side side;
    struct shoal_device_info info;
    side_open(&side, 1, &(struct world_options){0});
    assert_int_equal(shoal_device_set_fwmark(side.device, 7), SHOAL_OK);
    int families = marked(7);
    assert_true(families >= 1);
    for (int which = 1; which <= families; which++) {
        calls = 0;
        refuse_call = which;
        assert_int_equal(shoal_device_set_fwmark(side.device, 9), SHOAL_E_SYSTEM);
        assert_int_equal(marked(9), 0);
        assert_int_equal(marked(7), families);
        struct shoal_error error;
        uint16_t port;
        calls = 0; /* a bind to the port that we have changes the mark only */
        assert_int_equal(shoal_device_bind(side.device, side.port, 9, &port, &error, sizeof(error)),
                         SHOAL_E_SYSTEM);
        assert_int_equal(error.sys_errno, EPERM);
        assert_int_equal(marked(9), 0);
        assert_int_equal(marked(7), families);
        assert_int_equal(shoal_device_info(side.device, &info, sizeof(info)), SHOAL_OK);
        assert_int_equal(info.fwmark, 7);
    }
    refuse_call = 0;
    assert_int_equal(shoal_device_set_fwmark(side.device, 9), SHOAL_OK);
    assert_int_equal(marked(9), families);
    side_close(&side);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mark_that_one_family_refuses_is_taken_back_from_the_other),
    };
    return cmocka_run_group_tests_name("fwmark", tests, NULL, NULL);
}
