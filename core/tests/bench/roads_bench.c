/*
 * Roads that Shoal does not take, each beside what it does today, in turn and on the same data:
 * `./run bench roads` runs this and reads its lines.
 *
 *     roads_bench [af-alg|send|af-xdp|waiting|queue|crossing …]
 *
 * Lines: "road way figure shoal other", medians of short slices (roads/contrast.h), or "road way
 * lacks errno what" for what this machine does not have. In namespaces of its own, before
 * everything else that wants a processor, with two processors of this machine.
 */
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "roads/contrast.h"
#include "roads/pair.h"
#include "roads/roads.h"
#include "roads/sink.h"

static const struct {
    const char *name;
    void (*run)(void);
} roads[] = {{"af-alg", road_af_alg},   {"send", road_send},   {"af-xdp", road_af_xdp},
             {"waiting", road_waiting}, {"queue", road_queue}, {"crossing", road_crossing}};

#define ROADS (sizeof(roads) / sizeof(roads[0]))

static bool is_wanted(const char *name, int count, char **names) {
    for (int i = 1; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return count == 1;
}

int main(int argc, char **argv) {
    struct sched_param first = {.sched_priority = 50};
    must(sysconf(_SC_NPROCESSORS_ONLN) >= 2, "two processors");
    must(sched_setscheduler(0, SCHED_FIFO, &first) == 0, "SCHED_FIFO (as root)");
    must(sodium_init() >= 0 && unshare(CLONE_NEWNET) == 0, "namespace (as root)");
    run_on(0);
    without_ipv6();
    sink_create();
    pair_create();
    for (size_t i = 0; i < ROADS; i++)
        if (is_wanted(roads[i].name, argc, argv))
            roads[i].run();
    return 0;
}
