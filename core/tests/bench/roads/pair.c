#include "pair.h"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "contrast.h"

#define NEAR_MAC "02:00:00:00:03:01"
#define FAR_MAC "02:00:00:00:03:02"
#define WHOLE 65535 /* segments: no limit */

static int near_fd, far_fd;

static int own_namespace(void) {
    int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    must(fd >= 0, "/proc/thread-self/ns/net");
    return fd;
}

void pair_go(bool far) { must(setns(far ? far_fd : near_fd, CLONE_NEWNET) == 0, "setns"); }

static void set_feature(const char *name, uint32_t which, bool on) {
    struct ethtool_value value = {.cmd = which, .data = on};
    struct ifreq request = {.ifr_data = (char *)&value};
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    must(fd >= 0 && ioctl(fd, SIOCETHTOOL, &request) == 0, "SIOCETHTOOL");
    close(fd);
}

void pair_create(void) {
    near_fd = own_namespace();
    must(unshare(CLONE_NEWNET) == 0, "namespace (as root)");
    far_fd = own_namespace();
    without_ipv6();
    pair_go(false);
    shell("ip link add near0 address " NEAR_MAC " type veth peer name far0 address " FAR_MAC
          " netns /proc/%d/fd/%d && ip link set near0 up && ip addr add 10.3.0.1/24 dev near0 && "
          "ip neigh add 10.3.0.2 lladdr " FAR_MAC " dev near0 nud permanent",
          getpid(), far_fd);
    pair_go(true);
    shell("ip link set lo up && ip link set far0 up && ip addr add 10.3.0.2/24 dev far0 && "
          "ip neigh add 10.3.0.1 lladdr " NEAR_MAC " dev far0 nud permanent");
    pair_go(false);
}

void pair_like_wire(bool on) {
    /* A veth has NAPI once GRO was switched on, and gives it datagrams of UDP only where the
     * sender's side has no TSO. */
    shell("ip link set near0 gso_max_segs %d", on ? 1 : WHOLE);
    set_feature("near0", ETHTOOL_STSO, !on);
    pair_go(true);
    set_feature("far0", ETHTOOL_SGRO, on);
    pair_go(false);
}

bool pair_threaded(bool on) {
    pair_go(true);
    /* /sys shows the interfaces of whoever mounted it. */
    char line[160];
    snprintf(
        line, sizeof(line),
        "unshare -m sh -c 'mount -t sysfs sysfs /sys && echo %d >/sys/class/net/far0/threaded'",
        on);
    bool done = system(line) == 0;
    pair_go(false);
    return done;
}

uint32_t pair_far_index(void) {
    pair_go(true);
    uint32_t index = if_nametoindex("far0");
    pair_go(false);
    must(index != 0, "far0");
    return index;
}
