/* Where workers go, on machines of one, two and eight NUMA nodes written down as sysfs shows them:
 * never two on one core, on one node while it has cores, interrupts avoided, masks and quotas kept.
 */
#include "topology.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

static char root[64];
static struct topology topology;
static struct placement placement;
static cpu_set_t allowed;

static void put(const char *path, const char *text) {
    char line[1024];
    snprintf(line, sizeof(line), "mkdir -p \"$(dirname %s/%s)\" && printf '%%s\\n' '%s' > %s/%s",
             root, path, text, root, path);
    assert_int_equal(system(line), 0);
}

static void put_of_cpu(uint32_t number, const char *name, uint32_t value) {
    char path[128], text[16];
    snprintf(path, sizeof(path), "sys/devices/system/cpu/cpu%u/topology/%s", number, name);
    snprintf(text, sizeof(text), "%u", value);
    put(path, text);
}

static void put_of_node(uint32_t node, const char *list) {
    char path[128];
    snprintf(path, sizeof(path), "sys/devices/system/node/node%u/cpulist", node);
    put(path, list);
}

static int make_root(void **state) {
    (void)state;
    strcpy(root, "/tmp/shoal-topology-XXXXXX");
    CPU_ZERO(&allowed);
    return mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **state) {
    (void)state;
    char line[128];
    snprintf(line, sizeof(line), "rm -r %s", root);
    return system(line);
}

/* Processors as Linux numbers them: first threads of all cores, then the second ones. */
static void machine(uint32_t nodes, uint32_t cores, uint32_t threads) {
    uint32_t all = nodes * cores;
    char text[64];
    for (uint32_t t = 0; t < threads; t++)
        for (uint32_t i = 0; i < all; i++) {
            uint32_t number = t * all + i;
            CPU_SET(number, &allowed);
            put_of_cpu(number, "core_id", i % cores);
            put_of_cpu(number, "physical_package_id", i / cores);
        }
    for (uint32_t n = 0; n < nodes; n++) {
        uint32_t first = n * cores, last = first + cores - 1;
        int at = snprintf(text, sizeof(text), "%u-%u", first, last);
        if (threads == 2)
            snprintf(text + at, sizeof(text) - (size_t)at, ",%u-%u", all + first, all + last);
        put_of_node(n, text);
    }
}

static void choose(uint32_t wanted) {
    char sys[80], proc[80];
    snprintf(sys, sizeof(sys), "%s/sys", root);
    snprintf(proc, sizeof(proc), "%s/proc", root);
    topology_read(&topology, sys, proc, &allowed);
    placement_choose(&placement, &topology, wanted);
}

static void expect(uint32_t count, const int32_t *cpus) {
    assert_int_equal(placement.count, count);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(placement.cpus[i], cpus[i]);
}

static void expect_anywhere(uint32_t count) {
    assert_int_equal(placement.count, count);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(placement.cpus[i], PLACEMENT_ANYWHERE);
}

static void a_small_machine_has_one_worker_that_the_scheduler_moves(void **state) {
    (void)state;
    machine(1, 2, 1);
    choose(0);
    expect_anywhere(1);
    choose(2); /* who asks gets both cores */
    expect(2, (int32_t[]){0, 1});
    choose(3); /* two of them on one core would wait for each other */
    expect_anywhere(3);
}

static void threads_of_one_core_are_not_two_cores(void **state) {
    (void)state;
    machine(1, 4, 2);
    choose(0);
    expect(2, (int32_t[]){0, 1});
    choose(4);
    expect(4, (int32_t[]){0, 1, 2, 3});
    choose(5);
    expect_anywhere(5);
    CPU_CLR(1, &allowed); /* its sibling, 5, is left of that core */
    choose(4);
    expect(4, (int32_t[]){0, 2, 3, 5});
}

static void two_nodes_are_not_mixed_while_one_suffices(void **state) {
    (void)state;
    machine(2, 8, 2);
    choose(0);
    expect(8, (int32_t[]){0, 1, 2, 3, 4, 5, 6, 7});
    choose(9);
    expect(9, (int32_t[]){0, 1, 2, 3, 4, 5, 6, 7, 8});
    for (uint32_t i = 0; i < 4; i++) { /* our mask leaves more of the other one */
        CPU_CLR(i, &allowed);
        CPU_CLR(16 + i, &allowed);
    }
    choose(4);
    expect(4, (int32_t[]){8, 9, 10, 11});
}

static void cores_that_take_the_cards_interrupts_come_last(void **state) {
    (void)state;
    machine(2, 4, 1);
    put("sys/class/net/eth0/device/msi_irqs/40", "msix");
    put("sys/class/net/eth0/device/msi_irqs/41", "msix");
    put("proc/irq/40/effective_affinity_list", "0");
    put("proc/irq/41/effective_affinity_list", "2");
    choose(4);
    expect(4, (int32_t[]){4, 5, 6, 7}); /* that node has more that are free */
    CPU_CLR(6, &allowed);
    CPU_CLR(7, &allowed);
    choose(4);
    expect(4, (int32_t[]){1, 3, 0, 2});
}

static void the_interrupts_of_a_virtio_card_are_its_parents(void **state) {
    (void)state;
    machine(1, 4, 1);
    put("sys/devices/pci/msi_irqs/24", "msix");
    put("sys/devices/pci/virtio1/vendor", "0x1af4");
    put("sys/class/net/eth0/address", "00:00:00:00:00:01");
    put("proc/irq/24/effective_affinity_list", "0-1");
    char line[256];
    snprintf(line, sizeof(line), "ln -s ../../../devices/pci/virtio1 %s/sys/class/net/eth0/device",
             root);
    assert_int_equal(system(line), 0);
    choose(2);
    expect(2, (int32_t[]){2, 3});
}

static void eight_nodes_have_eight_workers_on_one_of_them(void **state) {
    (void)state;
    machine(8, 16, 1);
    choose(0);
    expect(8, (int32_t[]){0, 1, 2, 3, 4, 5, 6, 7});
    choose(SHOAL_WORKERS_MAX);
    assert_int_equal(placement.count, SHOAL_WORKERS_MAX);
    for (int32_t i = 0; i < SHOAL_WORKERS_MAX; i++)
        assert_int_equal(placement.cpus[i], i);
}

static void a_quota_counts_as_fewer_cores(void **state) {
    (void)state;
    machine(1, 16, 1);
    put("proc/self/cgroup", "1:cpu:/old\n0::/system.slice/shoal.service");
    choose(0);
    assert_int_equal(placement.count, 8);
    put("sys/fs/cgroup/system.slice/shoal.service/cpu.max", "max 100000");
    choose(0);
    assert_int_equal(placement.count, 8);
    put("sys/fs/cgroup/system.slice/cpu.max", "350000 100000"); /* three and a half: four */
    choose(0);
    expect(2, (int32_t[]){0, 1});
    put("sys/fs/cgroup/system.slice/shoal.service/cpu.max", "100000 100000");
    choose(0);
    expect_anywhere(1);
    choose(2);
    expect_anywhere(2);
}

static void what_cannot_be_read_is_a_core_of_its_own(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        CPU_SET(i, &allowed);
    choose(0);
    expect(2, (int32_t[]){0, 1});
    put("sys/devices/system/cpu/cpu0/topology/core_id", "nonsense");
    put("sys/devices/system/node/node0/cpulist", "0-99999999,x");
    put("sys/devices/system/node/nodex/cpulist", "0");
    put("proc/self/cgroup", "");
    choose(0);
    expect(2, (int32_t[]){0, 1});
}

static void this_machine_can_be_read(void **state) {
    (void)state;
    topology_here(&topology);
    assert_true(topology.count >= 1);
    placement_choose(&placement, &topology, 0);
    assert_true(placement.count >= 1 && placement.count <= 8);
}

int main(void) {
#define EACH(name) cmocka_unit_test_setup_teardown(name, make_root, drop_root)
    const struct CMUnitTest tests[] = {
        EACH(a_small_machine_has_one_worker_that_the_scheduler_moves),
        EACH(threads_of_one_core_are_not_two_cores),
        EACH(two_nodes_are_not_mixed_while_one_suffices),
        EACH(cores_that_take_the_cards_interrupts_come_last),
        EACH(the_interrupts_of_a_virtio_card_are_its_parents),
        EACH(eight_nodes_have_eight_workers_on_one_of_them),
        EACH(a_quota_counts_as_fewer_cores),
        EACH(what_cannot_be_read_is_a_core_of_its_own),
        EACH(this_machine_can_be_read),
    };
    return cmocka_run_group_tests_name("placement", tests, NULL, NULL);
}
