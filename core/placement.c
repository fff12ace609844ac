#include "placement.h"

#define CHOSEN_MAX 8u
#define CORES_FOR_SEVERAL 4u

/* Whether an earlier processor of the list is a thread of the same core. */
static bool is_sibling(const struct topology *topology, uint32_t i) {
    for (uint32_t j = 0; j < i; j++)
        if (topology->cpus[j].core == topology->cpus[i].core)
            return true;
    return false;
}

static uint32_t cores_of(const struct topology *topology) {
    uint32_t cores = 0;
    for (uint32_t i = 0; i < topology->count; i++)
        cores += !is_sibling(topology, i);
    return topology->quota && topology->quota < cores ? topology->quota : cores;
}

static uint32_t chosen(uint32_t cores) {
    if (cores < CORES_FOR_SEVERAL)
        return 1;
    return cores / 2 < CHOSEN_MAX ? cores / 2 : CHOSEN_MAX;
}

/* Of a node: cores that take no interrupts count double. */
static uint32_t weight(const struct topology *topology, uint32_t node) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < topology->count; i++)
        if (topology->cpus[i].node == node && !is_sibling(topology, i))
            sum += topology->cpus[i].receives ? 1 : 2;
    return sum;
}

static bool core_taken(const struct topology *topology, const struct placement *placement,
                       uint32_t core) {
    for (uint32_t w = 0; w < placement->count; w++)
        for (uint32_t i = 0; i < topology->count; i++)
            if ((int32_t)topology->cpus[i].number == placement->cpus[w] &&
                topology->cpus[i].core == core)
                return true;
    return false;
}

/* Takes cores of a node, or of any (UINT32_MAX), first those without interrupts. */
static void take(struct placement *placement, const struct topology *topology, uint32_t wanted,
                 uint32_t node) {
    for (int receives = 0; receives < 2; receives++)
        for (uint32_t i = 0; i < topology->count && placement->count < wanted; i++) {
            const struct cpu *cpu = &topology->cpus[i];
            if ((node == UINT32_MAX || cpu->node == node) && cpu->receives == (receives == 1) &&
                !core_taken(topology, placement, cpu->core))
                placement->cpus[placement->count++] = (int32_t)cpu->number;
        }
}

static uint32_t heaviest_node(const struct topology *topology) {
    uint32_t best = 0, most = 0;
    for (uint32_t i = 0; i < topology->count; i++) {
        uint32_t node = topology->cpus[i].node;
        uint32_t of_node = weight(topology, node);
        if (of_node > most || (of_node == most && node < best)) {
            best = node;
            most = of_node;
        }
    }
    return best;
}

void placement_choose(struct placement *placement, const struct topology *topology,
                      uint32_t wanted) {
    uint32_t cores = cores_of(topology);
    uint32_t workers = wanted ? wanted : chosen(cores);
    placement->count = 0;
    if (workers > 1 && workers <= cores) {
        take(placement, topology, workers, heaviest_node(topology));
        take(placement, topology, workers, UINT32_MAX);
    }
    while (placement->count < workers)
        placement->cpus[placement->count++] = PLACEMENT_ANYWHERE;
}
