/*
 * For a test program that starts no thread: the thread sanitizer has nothing to see in it, and the
 * fast set leaves it out there (.ci/test.ts). What is said so is held to: a thread that is started
 * ends the program. Beside it a line of its own: LDFLAGS: -Wl,--wrap=pthread_create
 */
#ifndef SHOAL_TESTS_NO_THREADS_H
#define SHOAL_TESTS_NO_THREADS_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

int __wrap_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument) {
    (void)thread, (void)attributes, (void)run, (void)argument;
    fprintf(stderr, "a thread is started in a program that says it has none: see no_threads.h\n");
    abort();
}

#endif
