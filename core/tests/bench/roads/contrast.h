/*
 * Ways of doing one thing, measured in turn: each has a short slice, then the next one, and the
 * medians of the slices are compared. What disturbs one slice does not show, and what lasts hits
 * all.
 */
#ifndef SHOAL_BENCH_CONTRAST_H
#define SHOAL_BENCH_CONTRAST_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTRAST_FIGURES 2u
#define CONTRAST_WAYS 6u

/* One way; slice() does its part once and fills as many values as the contrast has figures. */
struct way {
    const char *name; /* one word */
    void (*slice)(double *values);
};

/* ways[0] is what Shoal does today; the others are what it is compared with. */
struct contrast {
    const char *road; /* one word */
    const char *figures[CONTRAST_FIGURES];
    struct way ways[CONTRAST_WAYS];
};

/** Runs the slices and prints "road way figure shoal other" for each figure of each other way. */
void contrast_run(const struct contrast *contrast);

/** Prints "road way lacks errno what": why this machine cannot do it. */
void contrast_lacks(const char *road, const char *way, int error, const char *what);

/** Ends the program; says what failed, and errno. */
void fail(const char *what) __attribute__((noreturn));

static inline void must(bool done, const char *what) {
    if (!done)
        fail(what);
}

/** Runs a line of shell, which must succeed. */
void shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Keeps the kernel from sending frames of its own by interfaces that this namespace will have. */
void without_ipv6(void);

/** CPU nanoseconds of all threads of this process so far, those of io_uring among them. */
uint64_t clock_spent(void);

/** One turn of a loop that waits for another processor. */
static inline void spin_once(void) {
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

/** Keeps the calling thread on one processor. */
void run_on(uint32_t processor);

/** Starts a thread on another one. It has the priority of its maker, which would not let it begin
 * on its own. */
pthread_t start_on(uint32_t processor, void *(*work)(void *argument), void *argument);

#endif
