#include "contrast.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SLICES 11u

void fail(const char *what) {
    fprintf(stderr, "roads_bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

void shell(const char *format, ...) {
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    must(system(line) == 0, line);
}

void without_ipv6(void) { shell("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6"); }

uint64_t clock_spent(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static cpu_set_t only(uint32_t processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    return set;
}

void run_on(uint32_t processor) {
    cpu_set_t set = only(processor);
    must(sched_setaffinity(0, sizeof(set), &set) == 0, "sched_setaffinity");
}

pthread_t start_on(uint32_t processor, void *(*work)(void *argument), void *argument) {
    cpu_set_t set = only(processor);
    pthread_attr_t attributes;
    pthread_t thread = 0;
    must(pthread_attr_init(&attributes) == 0 &&
             pthread_attr_setaffinity_np(&attributes, sizeof(set), &set) == 0 &&
             pthread_create(&thread, &attributes, work, argument) == 0,
         "thread");
    pthread_attr_destroy(&attributes);
    return thread;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values) {
    qsort(values, SLICES, sizeof(values[0]), compare);
    return values[SLICES / 2];
}

void contrast_run(const struct contrast *contrast) {
    double taken[CONTRAST_WAYS][CONTRAST_FIGURES][SLICES];
    double values[CONTRAST_FIGURES];
    const struct way *ways = contrast->ways;
    for (size_t w = 0; w < CONTRAST_WAYS && ways[w].name; w++)
        ways[w].slice(values); /* caches and tables are warm from here on */
    for (size_t s = 0; s < SLICES; s++)
        for (size_t w = 0; w < CONTRAST_WAYS && ways[w].name; w++) {
            ways[w].slice(values);
            for (size_t f = 0; f < CONTRAST_FIGURES; f++)
                taken[w][f][s] = values[f];
        }
    for (size_t f = 0; f < CONTRAST_FIGURES && contrast->figures[f]; f++) {
        double shoal = median(taken[0][f]);
        for (size_t w = 1; w < CONTRAST_WAYS && ways[w].name; w++)
            printf("%s %s %s %.3f %.3f\n", contrast->road, ways[w].name, contrast->figures[f],
                   shoal, median(taken[w][f]));
    }
    fflush(stdout);
}

void contrast_lacks(const char *road, const char *way, int error, const char *what) {
    printf("%s %s lacks %d %s: %s\n", road, way, error, what, strerror(error));
    fflush(stdout);
}
