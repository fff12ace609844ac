/*
 * A network namespace of the test's own, where it may make interfaces: for tests of real TUN
 * devices.
 */
#ifndef SHOAL_TESTS_NAMESPACE_H
#define SHOAL_TESTS_NAMESPACE_H

#include <sys/types.h>

/** Why there is none here; NULL once namespace_enter has made it. */
extern const char *namespace_missing;

/** A group's set-up. Without root it becomes root of a user namespace first. */
int namespace_enter(void **state);

/** A process that holds another network namespace open; it ends with the test at the latest. */
pid_t namespace_other(void);

/** Ends a child and waits for it. */
void namespace_end(pid_t child);

/** Runs a line of shell; the test fails unless it succeeds. */
void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Skips the test, saying why, where there is no namespace or no /dev/net/tun. */
#define NEEDS_NAMESPACE                                                                            \
    do {                                                                                           \
        if (namespace_missing) {                                                                   \
            print_message("skipped: %s\n", namespace_missing);                                     \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

#endif
