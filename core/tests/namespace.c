#include "namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

const char *namespace_missing = "namespace_enter was not called";

void shell(const char *format, ...) {
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (system(line) != 0)
        fail_msg("failed: %s", line);
}

static bool write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    close(fd);
    return done;
}

/* An ordinary user becomes root of a user namespace first: programs that we run keep its rights. */
static bool become_root(void) {
    if (geteuid() == 0)
        return true;
    char users[32], groups[32];
    snprintf(users, sizeof(users), "0 %u 1", geteuid());
    snprintf(groups, sizeof(groups), "0 %u 1", getegid());
    return unshare(CLONE_NEWUSER) == 0 && write_file("/proc/self/uid_map", users) &&
           write_file("/proc/self/setgroups", "deny") && write_file("/proc/self/gid_map", groups);
}

int namespace_enter(void **state) {
    (void)state;
    namespace_missing = NULL;
    if (!become_root() || unshare(CLONE_NEWNET) != 0)
        namespace_missing = "no network namespace: unshare is not permitted";
    else if (access("/dev/net/tun", R_OK | W_OK) != 0)
        namespace_missing = "no /dev/net/tun";
    else if (system("ip link set lo up") != 0)
        namespace_missing = "no ip command, or no right over the new namespace";
    return 0;
}

pid_t namespace_other(void) {
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that failed leaves nobody behind */
        if (unshare(CLONE_NEWNET) != 0 || write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return child;
}

void namespace_end(pid_t child) {
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}
