/*
 * How many workers there are and on which processors they run, as a pure function of what the
 * machine is (topology.h).
 *
 * A worker alone goes where the scheduler puts it. Several are pinned, each to a core of its own:
 * on one NUMA node as long as that has cores, off the threads that share a core with another
 * worker, and off the cores that take the network card's interrupts, which do the kernel's half of
 * receiving. Where there are more workers than cores nobody is pinned: two on one core would wait
 * for each other while another core is idle.
 */
#ifndef SHOAL_PLACEMENT_H
#define SHOAL_PLACEMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "shoal.h"

#define PLACEMENT_CPUS_MAX 1024u /* as many as cpu_set_t has */

/* One processor as the kernel counts them: a thread of a core. */
struct cpu {
    uint32_t number;
    uint32_t core; /* the same number: the same core */
    uint32_t node; /* NUMA */
    bool receives; /* takes interrupts of a network card */
};

/* The processors that we may run on. */
struct topology {
    uint32_t count;
    uint32_t quota; /* processors' worth of time that our cgroups allow, rounded up; 0: all */
    struct cpu cpus[PLACEMENT_CPUS_MAX];
};

#define PLACEMENT_ANYWHERE (-1)

struct placement {
    uint32_t count;
    int32_t cpus[SHOAL_WORKERS_MAX]; /* of each worker; PLACEMENT_ANYWHERE: not pinned */
};

/**
 * @param wanted  workers; 0: chosen. One on fewer than four cores, since the other cores have to
 * run what sends and receives; else half of the cores, but no more than eight (beyond two cores
 * this is a guess: nothing larger was at hand to measure).
 */
void placement_choose(struct placement *placement, const struct topology *topology,
                      uint32_t wanted);

#endif
