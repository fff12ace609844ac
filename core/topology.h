/*
 * What the machine is, read from sysfs and procfs: the processors that we may run on, their cores
 * and NUMA nodes, those that take interrupts of network cards, and what our cgroups allow. What
 * cannot be read counts as not there: each processor is a core of its own then, of one node.
 */
#ifndef SHOAL_TOPOLOGY_H
#define SHOAL_TOPOLOGY_H

#include <sched.h>

#include "placement.h"

/**
 * @param sys, proc  "/sys" and "/proc", or a recorded copy of them
 * @param allowed    as sched_getaffinity tells
 */
void topology_read(struct topology *topology, const char *sys, const char *proc,
                   const cpu_set_t *allowed);

/** Of this machine and the calling thread. */
void topology_here(struct topology *topology);

#endif
