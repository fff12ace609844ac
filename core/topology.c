#include "topology.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_SIZE 512u
#define LINE_SIZE 4096u

/* A path that is too long becomes "", which nothing has. */
__attribute__((format(printf, 2, 3))) static void path_of(char path[PATH_SIZE], const char *format,
                                                          ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(path, PATH_SIZE, format, arguments);
    va_end(arguments);
    if (length < 0 || length >= (int)PATH_SIZE)
        path[0] = 0;
}

/* The first line of a file below a root, without its end. @return false: there is none. */
static bool read_line(char line[LINE_SIZE], const char *path) {
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool got = fgets(line, LINE_SIZE, file) != NULL;
    fclose(file);
    if (got)
        line[strcspn(line, "\n")] = 0;
    return got;
}

static bool read_number(uint32_t *number, const char *path) {
    char line[LINE_SIZE], *end;
    if (!read_line(line, path))
        return false;
    unsigned long value = strtoul(line, &end, 10);
    if (end == line || value > UINT32_MAX)
        return false;
    *number = (uint32_t)value;
    return true;
}

/* Numbers of a list such as "0-3,8,10-11", each given to `each`. */
static void each_of_list(const char *list, struct topology *topology, uint32_t value,
                         void (*each)(struct topology *topology, uint32_t cpu, uint32_t value)) {
    while (*list) {
        char *end;
        unsigned long first = strtoul(list, &end, 10), last = first;
        if (end == list)
            return;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        for (unsigned long cpu = first; cpu <= last && cpu < PLACEMENT_CPUS_MAX; cpu++)
            each(topology, (uint32_t)cpu, value);
        if (*end != ',')
            return;
        list = end + 1;
    }
}

static struct cpu *find(struct topology *topology, uint32_t number) {
    for (uint32_t i = 0; i < topology->count; i++)
        if (topology->cpus[i].number == number)
            return &topology->cpus[i];
    return NULL;
}

static void set_node(struct topology *topology, uint32_t number, uint32_t node) {
    struct cpu *cpu = find(topology, number);
    if (cpu)
        cpu->node = node;
}

static void set_receives(struct topology *topology, uint32_t number, uint32_t value) {
    struct cpu *cpu = find(topology, number);
    if (cpu)
        cpu->receives = value;
}

/* Gives each name in a directory to `each`. */
static void each_entry(const char *path, struct topology *topology,
                       void (*each)(struct topology *topology, const char *path, const char *name,
                                    const char *proc),
                       const char *proc) {
    DIR *directory = opendir(path);
    struct dirent *entry;
    while (directory && (entry = readdir(directory)))
        if (entry->d_name[0] != '.')
            each(topology, path, entry->d_name, proc);
    if (directory)
        closedir(directory);
}

static void node_entry(struct topology *topology, const char *path, const char *name,
                       const char *proc) {
    (void)proc;
    char file[PATH_SIZE], line[LINE_SIZE];
    uint32_t node;
    if (sscanf(name, "node%u", &node) != 1)
        return;
    path_of(file, "%s/%s/cpulist", path, name);
    if (read_line(line, file))
        each_of_list(line, topology, node, set_node);
}

static void irq_entry(struct topology *topology, const char *path, const char *name,
                      const char *proc) {
    (void)path;
    char file[PATH_SIZE], line[LINE_SIZE];
    path_of(file, "%s/irq/%s/effective_affinity_list", proc, name);
    if (read_line(line, file))
        each_of_list(line, topology, true, set_receives);
}

static void card_entry(struct topology *topology, const char *path, const char *name,
                       const char *proc) {
    char interrupts[PATH_SIZE];
    path_of(interrupts, "%s/%s/device/msi_irqs", path, name);
    if (access(interrupts, F_OK) != 0) /* of a virtio card they are its parent's */
        path_of(interrupts, "%s/%s/device/../msi_irqs", path, name);
    each_entry(interrupts, topology, irq_entry, proc);
}

/* A core is told from others by its number in its package. */
static uint32_t core_of(const char *sys, uint32_t number) {
    char path[PATH_SIZE];
    uint32_t core, package = 0;
    path_of(path, "%s/devices/system/cpu/cpu%u/topology/core_id", sys, number);
    if (!read_number(&core, path))
        return number;
    path_of(path, "%s/devices/system/cpu/cpu%u/topology/physical_package_id", sys, number);
    (void)read_number(&package, path);
    return package << 16 | (core & 0xffff);
}

/* "200000 100000": two processors' worth; "max 100000": no limit. 0: none. */
static uint32_t quota_of(const char *path) {
    char line[LINE_SIZE];
    unsigned long quota, period;
    if (!read_line(line, path) || sscanf(line, "%lu %lu", &quota, &period) != 2 || !period)
        return 0;
    unsigned long processors = (quota + period - 1) / period;
    return processors > PLACEMENT_CPUS_MAX ? 0 : (uint32_t)processors;
}

/* The line of our cgroup, "0::/a/b"; those of version 1 stand before it. */
static bool read_group(char line[LINE_SIZE], const char *path) {
    FILE *file = fopen(path, "re");
    bool found = false;
    while (file && !found && fgets(line, LINE_SIZE, file))
        found = strncmp(line, "0::/", 4) == 0;
    if (file)
        fclose(file);
    line[strcspn(line, "\n")] = 0;
    return found;
}

/* The smallest on the way from our cgroup to the root. */
static uint32_t read_quota(const char *sys, const char *proc) {
    char path[PATH_SIZE], group[LINE_SIZE] = "";
    path_of(path, "%s/self/cgroup", proc);
    if (!read_group(group, path))
        return 0;
    char *name = group + 3;
    uint32_t smallest = 0;
    for (;;) {
        path_of(path, "%s/fs/cgroup%s/cpu.max", sys, name);
        uint32_t quota = quota_of(path);
        if (quota && (!smallest || quota < smallest))
            smallest = quota;
        char *last = strrchr(name, '/');
        if (!last)
            return smallest;
        *last = 0;
    }
}

void topology_read(struct topology *topology, const char *sys, const char *proc,
                   const cpu_set_t *allowed) {
    char path[PATH_SIZE];
    memset(topology, 0, sizeof(*topology));
    for (uint32_t number = 0; number < PLACEMENT_CPUS_MAX; number++)
        if (CPU_ISSET(number, allowed))
            topology->cpus[topology->count++] =
                (struct cpu){.number = number, .core = core_of(sys, number)};
    path_of(path, "%s/devices/system/node", sys);
    each_entry(path, topology, node_entry, proc);
    path_of(path, "%s/class/net", sys);
    each_entry(path, topology, card_entry, proc);
    topology->quota = read_quota(sys, proc);
}

void topology_here(struct topology *topology) {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
        CPU_SET(0, &allowed);
    topology_read(topology, "/sys", "/proc", &allowed);
}
