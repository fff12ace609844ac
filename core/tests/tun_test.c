// LDFLAGS: -Wl,--wrap=ioctl
/* Real TUN devices in a network namespace of the test's own (T22 and the fault table): birth, news,
 * addresses, death, a move to another namespace, and a TCP stream through two of them.
 * Skips where no namespace or no /dev/net/tun is to be had. */
#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "namespace.h"
#include "offload_model.h"
#include "random.h"
#include "unit.h"

/* TUNGETIFF that answers with the name of a moment ago, so many times. */
static _Atomic int renamed;

int __real_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument);
int __wrap_ioctl(int fd, unsigned long request, void *argument) {
    int result = __real_ioctl(fd, request, argument);
    if (request == TUNGETIFF && atomic_load(&renamed) > 0) {
        strcpy(((struct ifreq *)argument)->ifr_name, "before");
        atomic_fetch_sub(&renamed, 1);
    }
    return result;
}

static struct side a, b;
static struct shoal_error error;

static int32_t open_tun(struct side *side, const char *name, uint8_t number, uint32_t mtu) {
    struct shoal_device_config config = {
        .abi_version = SHOAL_ABI_VERSION, .mtu = mtu, .aead = "openssl"};
    memset(side, 0, sizeof(*side));
    strcpy(config.ifname, name);
    world_choose_io(&config);
    int32_t status =
        shoal_device_open(&config, sizeof(config), &side->device, &error, sizeof(error));
    if (status != SHOAL_OK)
        return status;
    struct shoal_device_info info;
    assert_int_equal(shoal_device_info(side->device, &info, sizeof(info)), SHOAL_OK);
    side->doorbell = info.doorbell_fd;
    side->number = side->send_key = number;
    assert_int_equal(shoal_device_bind(side->device, 0, 0, &side->port, &error, sizeof(error)),
                     SHOAL_OK);
    side->outer = (struct shoal_address){SHOAL_AF_INET, side->port, 0, {127, 0, 0, 1}};
    return SHOAL_OK;
}

static void close_tun(struct side *side) {
    assert_int_equal(shoal_device_close(side->device), SHOAL_OK);
    close(side->doorbell);
}

static struct shoal_device_info info_of(struct side *side) {
    struct shoal_device_info info;
    assert_int_equal(shoal_device_info(side->device, &info, sizeof(info)), SHOAL_OK);
    return info;
}

static void expect_link(struct side *side, uint32_t news) {
    struct shoal_mail mail;
    do
        assert_true(side_mail(side, SHOAL_MAIL_LINK, &mail, NULL));
    while (mail.value != news);
}

static int32_t link_set(struct side *side, uint32_t mtu, uint32_t up) {
    return shoal_link_set(side->device, mtu, up, &error, sizeof(error));
}

static void a_name_that_is_taken_is_refused(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    assert_int_equal(open_tun(&a, "sh%d", 1, 0), SHOAL_OK);
    struct shoal_device_info info = info_of(&a);
    assert_string_equal(info.ifname, "sh0");
    assert_int_equal(info.mtu, 1420);
    assert_int_not_equal(info.ifindex, 0);
    assert_true(info.offloads_on & SHOAL_OFFLOAD_TUN_TSO);
    assert_int_equal(open_tun(&b, "sh0", 2, 0), SHOAL_E_EXISTS);
    assert_int_equal(open_tun(&b, "lo", 2, 0), SHOAL_E_EXISTS); /* of another kind */
    assert_int_equal(open_tun(&b, "sh%d", 2, 9000), SHOAL_OK);
    info = info_of(&b);
    assert_string_equal(info.ifname, "sh1");
    assert_int_equal(info.mtu, 9000);
    close_tun(&a);
    assert_int_equal(open_tun(&a, "sh0", 1, 0), SHOAL_OK); /* gone with its device */
    close_tun(&a);
    close_tun(&b);
}

static void up_down_and_mtu_are_news(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    struct shoal_mail mail;
    assert_int_equal(open_tun(&a, "sh0", 1, 0), SHOAL_OK);
    assert_int_equal(info_of(&a).link_up, 0);
    shell("ip -d link show sh0 | grep -q 'gso_max_segs 512 '"); /* more would drop */
    assert_int_equal(link_set(&a, 0, 1), SHOAL_OK);
    expect_link(&a, SHOAL_LINK_UP);
    assert_int_equal(info_of(&a).link_up, 1);
    assert_int_equal(link_set(&a, 1280, 2), SHOAL_OK);
    assert_true(side_mail(&a, SHOAL_MAIL_LINK, &mail, NULL));
    assert_int_equal(mail.value, SHOAL_LINK_MTU);
    assert_int_equal(mail.index, 1280);
    assert_int_equal(info_of(&a).mtu, 1280);
    shell("ip link set sh0 mtu 1400"); /* by whomever */
    expect_link(&a, SHOAL_LINK_MTU);
    assert_int_equal(info_of(&a).mtu, 1400);
    assert_int_equal(link_set(&a, 0, 0), SHOAL_OK);
    expect_link(&a, SHOAL_LINK_DOWN);
    assert_int_equal(link_set(&a, 575, 2), SHOAL_E_INVALID);
    close_tun(&a);
}

/* Does this kernel have IPv6, and on interfaces of this namespace? */
static bool has_ipv6(void) { return access("/proc/self/net/if_inet6", R_OK) == 0; }

static void a_route_that_was_taken_away_is_put_back_as_the_kernel_had_it(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    struct shoal_prefix v4 = {SHOAL_AF_INET, 10, {100, 96, 0, 1}};
    struct shoal_prefix v6 = {SHOAL_AF_INET6, 64, {0xfd, 9, [15] = 1}};
    const struct shoal_prefix *addresses[] = {&v4, &v6};
    assert_int_equal(open_tun(&a, "sh0", 1, 0), SHOAL_OK);
    assert_int_equal(link_set(&a, 0, 1), SHOAL_OK);
    for (int i = 0; i < (has_ipv6() ? 2 : 1); i++) {
        const char *family = i ? "-6" : "-4";
        const char *network = i ? "fd09::/64" : "100.64.0.0/10";
        assert_int_equal(
            shoal_link_address(a.device, addresses[i], sizeof(v4), 1, &error, sizeof(error)),
            SHOAL_OK);
        assert_int_equal(
            shoal_link_route(a.device, addresses[i], sizeof(v4), &error, sizeof(error)),
            SHOAL_E_SYSTEM);
        assert_int_equal(error.sys_errno, EEXIST);
        shell("ip %s route show dev sh0 > /tmp/shoal-before.$PPID", family);
        shell("ip %s route delete %s dev sh0", family, network);
        assert_int_equal(
            shoal_link_route(a.device, addresses[i], sizeof(v4), &error, sizeof(error)), SHOAL_OK);
        shell("ip %s route show dev sh0 | cmp - /tmp/shoal-before.$PPID; code=$?; "
              "rm /tmp/shoal-before.$PPID; exit $code",
              family);
    }
    assert_int_equal(shoal_link_route(a.device, &v4, 3, &error, sizeof(error)), SHOAL_E_INVALID);
    close_tun(&a);
}

static void the_kernel_says_nothing_on_an_interface_that_we_made(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    struct shoal_prefix v4 = {SHOAL_AF_INET, 24, {10, 9, 0, 1}};
    struct shoal_prefix v6 = {SHOAL_AF_INET6, 64, {0xfd, 9, [15] = 1}};
    assert_int_equal(open_tun(&a, "sh0", 1, 0), SHOAL_OK);
    shell("ip link show sh0 | grep -q POINTOPOINT,NOARP");
    shell("! ip link show sh0 | grep -q MULTICAST");
    assert_int_equal(shoal_link_address(a.device, &v4, sizeof(v4), 1, &error, sizeof(error)),
                     SHOAL_OK);
    if (has_ipv6()) {
        shell("ip -d link show sh0 | grep -q 'addrgenmode none'");
        assert_int_equal(shoal_link_address(a.device, &v6, sizeof(v6), 1, &error, sizeof(error)),
                         SHOAL_OK);
    }
    assert_int_equal(link_set(&a, 0, 1), SHOAL_OK);
    expect_link(&a, SHOAL_LINK_UP);
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL); /* MLD reports come at once */
    shell("test -z \"$(ip -6 addr show dev sh0 scope link)\"");
    assert_int_equal(side_counter(&a, "tun_reads"), 0);
    close_tun(&a);
}

static void a_kernel_that_refuses_silence_is_taken_as_it_is(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    /* Below its smallest MTU there is no IPv6 on an interface: EAFNOSUPPORT, as without any. */
    shell("ip tuntap add kept mode tun; ip link set kept mtu 1000");
    shell("! ip link set kept addrgenmode none 2>/dev/null");
    assert_int_equal(open_tun(&a, "kept", 1, 0), SHOAL_OK);
    assert_int_equal(info_of(&a).mtu, 1420);
    shell("! ip link show kept | grep -q MULTICAST");
    close_tun(&a);
    shell("ip link del kept");
}

static void an_address_may_be_set_twice_and_taken_away(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    struct shoal_prefix v4 = {SHOAL_AF_INET, 24, {10, 9, 0, 1}};
    struct shoal_prefix v6 = {SHOAL_AF_INET6, 64, {0xfd, 9, [15] = 1}};
    const struct shoal_prefix *addresses[] = {&v4, &v6};
    assert_int_equal(open_tun(&a, "sh0", 1, 0), SHOAL_OK);
    assert_int_equal(link_set(&a, 0, 1), SHOAL_OK);
    for (int i = 0; i < 4; i++)
        assert_int_equal(
            shoal_link_address(a.device, addresses[i % 2], sizeof(v4), 1, &error, sizeof(error)),
            SHOAL_OK);
    shell("ip -4 addr show sh0 | grep -q 'inet 10.9.0.1/24'");
    shell("ip -6 addr show sh0 | grep -q 'inet6 fd09::1/64'");
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            shoal_link_address(a.device, addresses[i], sizeof(v4), 0, &error, sizeof(error)),
            SHOAL_OK);
    shell("test -z \"$(ip addr show sh0 | grep inet)\"");
    close_tun(&a);
}

static void a_deleted_interface_is_told_once_and_costs_no_more_time(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    assert_int_equal(open_tun(&a, "sh0", 1, 0), SHOAL_OK);
    assert_int_equal(link_set(&a, 0, 1), SHOAL_OK);
    shell("ip link del sh0");
    expect_link(&a, SHOAL_LINK_GONE);
    long before = world_cpu_ms();
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    assert_true(world_cpu_ms() - before < 100); /* a worker that spins burns all 200 */
    assert_true(side_no_mail(&a, SHOAL_MAIL_LINK));
    assert_int_equal(link_set(&a, 0, 1), SHOAL_E_SYSTEM);
    assert_int_equal(error.sys_errno, ENODEV);
    close_tun(&a);
}

static void what_is_delivered_while_the_interface_is_down_drops(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    uint8_t plain[200], message[300];
    struct shoal_address stranger;
    assert_int_equal(open_tun(&a, "sh0", 1, 0), SHOAL_OK);
    int fd = stranger_open(SHOAL_AF_INET, &stranger);
    a.peer = side_add_peer(&a, 12, 2, &stranger);
    struct shoal_session session = world_session(&a, SHOAL_ROLE_INITIATOR, 100, 555, 0);
    side_install(&a, &session);
    size_t length = world_packet(plain, false, 2, 1, 50, 1);
    stranger_send(fd, &a.outer, message, forge(message, 2, 100, 1, plain, length));
    side_await(&a, "drop_rx_link_down", 1);
    assert_int_equal(link_set(&a, 0, 1), SHOAL_OK);
    stranger_send(fd, &a.outer, message, forge(message, 2, 100, 2, plain, length));
    side_await(&a, "tun_writes", 1);
    close(fd);
    close_tun(&a);
}

/* A TUN as a program that hands it over (WG_TUN_FD) would open it. */
static int foreign_tun(const char *name, int flags) {
    struct ifreq request = {0};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    strcpy(request.ifr_name, name);
    request.ifr_flags = (short)flags;
    assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
    return fd;
}

static void adopt(int fd) {
    struct shoal_device_config config = {.abi_version = SHOAL_ABI_VERSION,
                                         .flags = SHOAL_DEVICE_TUN_FD,
                                         .tun_fd = fd,
                                         .aead = "openssl"};
    memset(&a, 0, sizeof(a));
    world_choose_io(&config);
    assert_int_equal(shoal_device_open(&config, sizeof(config), &a.device, &error, sizeof(error)),
                     SHOAL_OK);
    assert_int_equal(shoal_device_bind(a.device, 0, 0, &a.port, &error, sizeof(error)), SHOAL_OK);
    a.doorbell = info_of(&a).doorbell_fd;
    a.send_key = 1;
    a.outer = (struct shoal_address){SHOAL_AF_INET, a.port, 0, {127, 0, 0, 1}};
}

/* In: to a UDP socket behind the interface. Out: what that socket answers. */
static void answer_through_it(int inner) {
    uint8_t plain[200], message[300];
    struct shoal_address stranger;
    int fd = stranger_open(SHOAL_AF_INET, &stranger);
    a.peer = side_add_peer(&a, 12, 2, &stranger);
    struct shoal_session session = world_session(&a, SHOAL_ROLE_INITIATOR, 100, 555, 0);
    side_install(&a, &session);
    size_t length = world_packet(plain, false, 2, 1, 50, 1);
    stranger_send(fd, &a.outer, message, forge(message, 2, 100, 1, plain, length));
    struct sockaddr_in from;
    socklen_t size = sizeof(from);
    assert_int_equal(recvfrom(inner, message, sizeof(message), 0, (struct sockaddr *)&from, &size),
                     50);
    assert_memory_equal(message, plain + 28, 50);
    assert_int_equal(sendto(inner, message, 50, 0, (struct sockaddr *)&from, size), 50);
    length = stranger_receive(fd, message, sizeof(message), WORLD_PATIENCE_MS);
    assert_int_equal(unforge(plain, 1, message, length), 80);
    assert_true(model_checksums_right(plain, 78)); /* one that was partial is complete */
    close(fd);
}

static void a_descriptor_that_was_handed_over_is_used_as_it_is(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    static const int flags[] = {IFF_TUN | IFF_NO_PI, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
    for (int i = 0; i < 2; i++) {
        int fd = foreign_tun("given", flags[i]);
        shell("ip link set given mtu 1300 up; ip addr add 10.9.0.1/24 dev given");
        adopt(fd);
        struct shoal_device_info info = info_of(&a);
        assert_string_equal(info.ifname, "given");
        assert_int_equal(info.mtu, 1300);
        assert_int_equal(info.link_up, 1);
        assert_int_equal(info.offloads_on & SHOAL_OFFLOAD_TUN_TSO, i ? SHOAL_OFFLOAD_TUN_TSO : 0);
        int inner = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(5000)};
        inet_pton(AF_INET, "10.9.0.1", &name.sin_addr);
        assert_int_equal(bind(inner, (struct sockaddr *)&name, sizeof(name)), 0);
        answer_through_it(inner);
        close(inner);
        close_tun(&a);
    }
}

static void a_persistent_interface_forgets_its_last_users_header(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    int fd = foreign_tun("kept", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR), size = 12;
    assert_int_equal(ioctl(fd, TUNSETVNETHDRSZ, &size), 0);
    assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
    close(fd);
    assert_int_equal(open_tun(&a, "kept", 1, 0), SHOAL_OK);
    shell("ip addr add 10.9.0.1/24 dev kept; ip link set kept up");
    side_add_peer(&a, 1, 2, NULL);
    int inner = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(5000)};
    inet_pton(AF_INET, "10.9.0.2", &to.sin_addr);
    assert_int_equal(sendto(inner, "hello", 5, 0, (struct sockaddr *)&to, sizeof(to)), 5);
    side_await(&a, "drop_tx_no_endpoint", 1); /* it was read as what it is */
    close(inner);
    close_tun(&a);
    shell("ip link del kept");
}

static void a_descriptor_that_we_cannot_read_stays_its_owners(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    struct shoal_device_config config = {
        .abi_version = SHOAL_ABI_VERSION, .flags = SHOAL_DEVICE_TUN_FD, .aead = "openssl"};
    config.tun_fd = foreign_tun("given", IFF_TAP | IFF_NO_PI); /* Ethernet frames */
    world_choose_io(&config);
    assert_int_equal(shoal_device_open(&config, sizeof(config), &a.device, &error, sizeof(error)),
                     SHOAL_E_SYSTEM);
    assert_memory_equal(error.what, "tun_fd", 6);
    assert_int_equal(close(config.tun_fd), 0);
}

static void a_moved_interface_lives_on_and_is_followed(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    pid_t other = namespace_other();
    assert_int_equal(open_tun(&a, "sh0", 1, 0), SHOAL_OK);
    shell("ip link set sh0 netns %d", other);
    shell("nsenter -t %d -n ip link set sh0 up", other);
    expect_link(&a, SHOAL_LINK_UP); /* GONE did not come before: expect_link would have read it */
    shell("nsenter -t %d -n ip link set sh0 mtu 1300", other);
    expect_link(&a, SHOAL_LINK_MTU);
    assert_int_equal(info_of(&a).mtu, 1300);
    close_tun(&a); /* from here it can be closed as well */
    namespace_end(other);
}

/* Until what the interface says of itself is so. */
static void await_home(uint32_t ifindex) {
    for (int ms = 0; info_of(&a).ifindex != ifindex; ms++) {
        assert_true(ms < WORLD_PATIENCE_MS);
        usleep(1000);
    }
}

static void while_it_is_elsewhere_nothing_is_done_to_who_has_its_number_here(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    pid_t other = namespace_other();
    struct shoal_prefix v4 = {SHOAL_AF_INET, 24, {10, 9, 0, 1}};
    char name[SHOAL_IFNAME_SIZE];
    assert_int_equal(open_tun(&a, "sh0", 1, 0), SHOAL_OK);
    uint32_t ifindex = info_of(&a).ifindex;
    shell("ip link set sh0 netns %d", other);
    await_home(0);
    shell("ip link add decoy index %u type veth peer name decoy2", ifindex);
    assert_int_equal(shoal_link_address(a.device, &v4, sizeof(v4), 1, &error, sizeof(error)),
                     SHOAL_E_SYSTEM);
    assert_int_equal(error.sys_errno, ENODEV);
    assert_int_equal(shoal_link_route(a.device, &v4, sizeof(v4), &error, sizeof(error)),
                     SHOAL_E_SYSTEM);
    assert_int_equal(link_set(&a, 0, 1), SHOAL_E_SYSTEM);
    assert_int_equal(
        shoal_link_way(a.device, &v4, sizeof(v4), name, sizeof(name), &error, sizeof(error)),
        SHOAL_E_SYSTEM);
    shell("! ip address show dev decoy | grep -q inet");
    assert_string_equal(info_of(&a).ifname, "sh0");
    shell("ip link delete decoy; nsenter -t %d -n ip link set sh0 netns %d", other, getpid());
    await_home(ifindex);
    assert_int_equal(shoal_link_address(a.device, &v4, sizeof(v4), 1, &error, sizeof(error)),
                     SHOAL_OK);
    shell("ip address show dev sh0 | grep -q 10.9.0.1/24");
    close_tun(&a);
    namespace_end(other);
}

static void an_interface_is_told_by_the_name_that_it_has_now(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    assert_int_equal(open_tun(&a, "sh0", 1, 0), SHOAL_OK);
    shell("ip link set sh0 name mesh0");
    assert_string_equal(info_of(&a).ifname, "mesh0");
    assert_int_equal(link_set(&a, 0, 1), SHOAL_OK);
    shell("ip link show dev mesh0 | grep -q UP");
    close_tun(&a);
}

static void the_way_to_an_address_is_what_the_kernel_would_take(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    struct shoal_prefix v4 = {SHOAL_AF_INET, 24, {10, 9, 0, 1}}, to = v4;
    char name[SHOAL_IFNAME_SIZE];
    to.ip[3] = 254;
    assert_int_equal(open_tun(&a, "sh0", 1, 0), SHOAL_OK);
#define WAY(size) shoal_link_way(a.device, &to, sizeof(to), name, size, &error, sizeof(error))
    assert_int_equal(WAY(sizeof(name)), SHOAL_E_SYSTEM);
    assert_int_equal(error.sys_errno, ENETUNREACH);
    assert_int_equal(shoal_link_address(a.device, &v4, sizeof(v4), 1, &error, sizeof(error)),
                     SHOAL_OK);
    assert_int_equal(link_set(&a, 0, 1), SHOAL_OK);
    assert_int_equal(WAY(sizeof(name)), SHOAL_OK);
    assert_string_equal(name, "sh0");
    shell("ip link add decoy type veth peer name decoy2; ip link set decoy2 up; ip link set decoy "
          "up");
    shell("ip route prepend 10.9.0.0/24 dev decoy scope link"); /* before ours, as metrics go */
    assert_int_equal(WAY(sizeof(name)), SHOAL_OK);
    assert_string_equal(name, "decoy");
    shell("ip route delete 10.9.0.0/24 dev decoy; ip link delete decoy");
    shell("ip route add blackhole 10.9.0.254/32");
    assert_int_equal(WAY(sizeof(name)), SHOAL_E_SYSTEM);
    assert_int_equal(error.sys_errno, EINVAL);
    shell("ip route delete blackhole 10.9.0.254/32");
    assert_int_equal(WAY(sizeof(name) - 1), SHOAL_E_SIZE);
#undef WAY
    close_tun(&a);
}

static void an_interface_that_moved_while_no_descriptor_was_free_is_found_later(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    pid_t other = namespace_other();
    assert_int_equal(open_tun(&a, "sh0", 1, 0), SHOAL_OK);
    assert_int_equal(link_set(&a, 0, 1), SHOAL_OK);
    expect_link(&a, SHOAL_LINK_UP);
    struct rlimit before, none = {.rlim_cur = 3};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none.rlim_max = before.rlim_max;
    pid_t mover = fork(); /* moving takes it down */
    if (mover == 0) {
        usleep(100000);
        shell("ip link set sh0 netns %d", other);
        _exit(0);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(waitpid(mover, NULL, 0), mover);
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    bool down = info_of(&a).link_up == 0; /* and not up again for want of a look */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(down);
    shell("nsenter -t %d -n ip link set sh0 up", other);
    expect_link(&a, SHOAL_LINK_UP);
    shell("nsenter -t %d -n ip link set sh0 mtu 1300", other);
    expect_link(&a, SHOAL_LINK_MTU);
    close_tun(&a);
    namespace_end(other);
}

static void an_interface_that_is_renamed_while_we_look_is_found_later(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    pid_t other = namespace_other();
    assert_int_equal(open_tun(&a, "sh0", 1, 0), SHOAL_OK);
    atomic_store(&renamed, 2);
    shell("ip link set sh0 netns %d name eth7", other);
    shell("nsenter -t %d -n ip link set eth7 up", other);
    expect_link(&a, SHOAL_LINK_UP);
    assert_int_equal(atomic_load(&renamed), 0);
    shell("nsenter -t %d -n ip link set eth7 mtu 1300", other);
    expect_link(&a, SHOAL_LINK_MTU);
    shell("nsenter -t %d -n ip link set eth7 down", other);
    expect_link(&a, SHOAL_LINK_DOWN);
    close_tun(&a);
    namespace_end(other);
}

static void an_interface_that_dies_with_its_namespace_is_gone(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    pid_t other = namespace_other();
    assert_int_equal(open_tun(&a, "sh0", 1, 0), SHOAL_OK);
    shell("ip link set sh0 netns %d", other);
    shell("nsenter -t %d -n ip link set sh0 up", other);
    expect_link(&a, SHOAL_LINK_UP);
    namespace_end(other);
    expect_link(&a, SHOAL_LINK_GONE);
    close_tun(&a);
}

/* ---- A stream through two devices ------------------------------------------------------------ */

#define STREAM_BYTES (4u << 20)

/* In the other namespace: sends everything that arrives back. */
static void echo(int ns_pid, int port, int ready) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/ns/net", ns_pid);
    int ns = open(path, O_RDONLY);
    if (ns < 0 || setns(ns, CLONE_NEWNET) != 0)
        _exit(1);
    int listener = socket(AF_INET6, SOCK_STREAM, 0), on = 0;
    setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    if (bind(listener, (struct sockaddr *)&name, sizeof(name)) != 0 || listen(listener, 4) != 0 ||
        write(ready, "x", 1) != 1)
        _exit(2);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        static char buffer[65536];
        ssize_t length;
        while ((length = recv(fd, buffer, sizeof(buffer), 0)) > 0)
            if (send(fd, buffer, (size_t)length, MSG_NOSIGNAL) != length)
                _exit(3);
        close(fd);
    }
}

/* Sends STREAM_BYTES and demands them back. */
static void stream(int family, const void *address, socklen_t size) {
    static uint8_t out[STREAM_BYTES], in[STREAM_BYTES];
    struct random random = {.state = 5};
    random_fill(&random, out, sizeof(out));
    int fd = socket(family, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, address, size), 0);
    pid_t writer = fork();
    assert_true(writer >= 0);
    if (writer == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (size_t at = 0; at < sizeof(out);) {
            ssize_t sent = send(fd, out + at, sizeof(out) - at, MSG_NOSIGNAL);
            if (sent <= 0)
                _exit(1);
            at += (size_t)sent;
        }
        _exit(0);
    }
    for (size_t at = 0; at < sizeof(in);) {
        ssize_t got = recv(fd, in + at, sizeof(in) - at, 0);
        assert_true(got > 0);
        at += (size_t)got;
    }
    assert_memory_equal(in, out, sizeof(in));
    waitpid(writer, NULL, 0);
    close(fd);
}

static void stream_both_families(uint32_t offloads) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(7777)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(7777)};
    inet_pton(AF_INET, "10.9.0.2", &v4.sin_addr);
    inet_pton(AF_INET6, "fd09::2", &v6.sin6_addr);
    assert_int_equal(shoal_device_set_offloads(a.device, SHOAL_OFFLOAD_ALL, offloads), SHOAL_OK);
    assert_int_equal(shoal_device_set_offloads(b.device, SHOAL_OFFLOAD_ALL, offloads), SHOAL_OK);
    stream(AF_INET, &v4, sizeof(v4));
    stream(AF_INET6, &v6, sizeof(v6));
}

static void a_stream_crosses_both_ways_with_every_offload_and_with_none(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    pid_t other = namespace_other();
    assert_int_equal(open_tun(&a, "sh0", 1, 0), SHOAL_OK);
    assert_int_equal(open_tun(&b, "sh1", 2, 0), SHOAL_OK);
    /* The interface moves, the sockets stay: what wg-quick users do with namespaces. */
    shell("ip link set sh1 netns %d", other);
    shell("nsenter -t %d -n sh -c 'ip link set lo up; ip addr add 10.9.0.2/24 dev sh1;"
          " ip addr add fd09::2/64 dev sh1 nodad; ip link set sh1 up'",
          other);
    shell("ip addr add 10.9.0.1/24 dev sh0; ip addr add fd09::1/64 dev sh0 nodad; ip link set sh0 "
          "up");
    a.peer = side_add_peer(&a, 12, 2, &b.outer);
    b.peer = side_add_peer(&b, 21, 1, &a.outer);
    struct world pair = {0};
    world_connect(&pair, &a, &b, 100);
    world_confirm(&a, &b);
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t server = fork();
    assert_true(server >= 0);
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        echo(other, 7777, ready[1]);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);

    stream_both_families(SHOAL_OFFLOAD_ALL);
    uint64_t packets = side_counter(&a, "tx_packets"), reads = side_counter(&a, "tun_reads");
    uint64_t writes = side_counter(&b, "tun_writes"), trains = side_counter(&a, "tx_trains");
    assert_true(packets > 4 * reads);  /* super-packets come out of the TUN */
    assert_true(packets > 4 * trains); /* leave as trains */
    assert_true(packets > 4 * writes); /* and enter the other as super-packets again */
    for (uint32_t bit = 1; bit < SHOAL_OFFLOAD_ALL; bit <<= 1)
        stream_both_families(SHOAL_OFFLOAD_ALL & ~bit); /* T27: each switched off, live */
    stream_both_families(0);
    struct shoal_peer_facts facts;
    assert_int_equal(shoal_peer_facts(b.device, b.peer, &facts, sizeof(facts)), SHOAL_OK);
    assert_true(facts.rx_bytes > 12 * STREAM_BYTES);
    assert_int_equal(side_counter(&b, "drop_rx_authentication"), 0);
    assert_int_equal(side_counter(&a, "tun_gso_refused") + side_counter(&b, "tun_gso_refused"), 0);
    namespace_end(server);
    namespace_end(other);
    close(ready[0]);
    close(ready[1]);
    close_tun(&a);
    close_tun(&b);
}

/* Sends a UDP packet of `size` bytes, as a machine behind us would, with a source of its choice. */
static void send_raw(bool v6, const uint8_t *packet, size_t size) {
    int raw = socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    assert_true(raw >= 0);
    struct sockaddr_in to4 = {.sin_family = AF_INET};
    struct sockaddr_in6 to6 = {.sin6_family = AF_INET6};
    memcpy(&to4.sin_addr, packet + 16, 4);
    memcpy(&to6.sin6_addr, packet + 24, 16);
    assert_int_equal(v6 ? sendto(raw, packet, size, 0, (struct sockaddr *)&to6, sizeof(to6))
                        : sendto(raw, packet, size, 0, (struct sockaddr *)&to4, sizeof(to4)),
                     size);
    close(raw);
}

static void
our_own_datagrams_that_a_route_leads_into_the_tunnel_drop_and_are_told_of_once(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    struct shoal_mail mail;
    uint8_t packet[200];
    assert_int_equal(open_tun(&a, "sh0", 1, 0), SHOAL_OK);
    shell("ip addr add 10.9.0.1/24 dev sh0; ip addr add fd09::1/64 dev sh0 nodad; ip link set sh0 "
          "up; ip link set lo up");
    /* The peer is reached through the tunnel itself. */
    struct shoal_address inside = {SHOAL_AF_INET, 5555, 0, {10, 9, 0, 3}};
    a.peer = side_add_peer(&a, 12, 2, &inside);
    side_add_peer(&a, 13, 3, &inside);
    struct shoal_session session = world_session(&a, SHOAL_ROLE_INITIATOR, 100, 555, 0);
    side_install(&a, &session);
    int users = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7)};
    inet_pton(AF_INET, "10.9.0.2", &to.sin_addr);
    for (unsigned i = 1; i <= 10; i++) {
        assert_int_equal(sendto(users, "ping", 4, 0, (struct sockaddr *)&to, sizeof(to)), 4);
        side_await(&a, "drop_tx_loop", i); /* several at once would be one super-packet */
    }
    close(users);
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    assert_int_equal(side_counter(&a, "tx_packets"), 10);
    assert_true(side_mail(&a, SHOAL_MAIL_LOOP, &mail, NULL));
    assert_memory_equal(mail.endpoint.remote.ip, inside.ip, 4);
    assert_int_equal(mail.endpoint.remote.port, inside.port);
    assert_true(side_no_mail(&a, SHOAL_MAIL_LOOP));
    struct shoal_endpoint outside = {.remote = {SHOAL_AF_INET, 9, 0, {127, 0, 0, 1}}};
    assert_int_equal(shoal_peer_set_endpoint(a.device, a.peer, &outside, sizeof(outside)),
                     SHOAL_OK);
    for (int v6 = 0; v6 < (has_ipv6() ? 2 : 1); v6++) {
        /* Another machine that uses the same port is no loop, nor is another port of ours. */
        size_t size = world_packet(packet, v6, 7, 2, 50, 1), udp = v6 ? 40 : 20;
        uint64_t sent = side_counter(&a, "tx_packets"), drops = side_counter(&a, "drop_tx_loop");
        packet[udp] = (uint8_t)(a.port >> 8);
        packet[udp + 1] = (uint8_t)a.port;
        send_raw(v6, packet, size);
        side_await(&a, "tx_packets", sent + 1);
        packet[v6 ? 23 : 15] = 1; /* our address */
        send_raw(v6, packet, size);
        side_await(&a, "drop_tx_loop", drops + 1);
        packet[udp + 1] ^= 1;
        send_raw(v6, packet, size);
        side_await(&a, "tx_packets", sent + 2);
        assert_int_equal(side_counter(&a, "drop_tx_loop"), drops + 1);
        /* An address that we get later is ours from then on, and no longer than we have it. */
        packet[udp + 1] ^= 1;
        packet[v6 ? 23 : 15] = 7;
        shell(v6 ? "ip addr add fd09::7/128 dev lo" : "ip addr add 10.9.0.7/32 dev lo");
        nanosleep(&(struct timespec){.tv_nsec = 250000000}, NULL);
        send_raw(v6, packet, size);
        side_await(&a, "drop_tx_loop", drops + 2);
        shell(v6 ? "ip addr del fd09::7/128 dev lo" : "ip addr del 10.9.0.7/32 dev lo");
        nanosleep(&(struct timespec){.tv_nsec = 250000000}, NULL);
        send_raw(v6, packet, size);
        side_await(&a, "tx_packets", sent + 3);
    }
    close_tun(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_that_is_taken_is_refused),
        cmocka_unit_test(up_down_and_mtu_are_news),
        cmocka_unit_test(a_route_that_was_taken_away_is_put_back_as_the_kernel_had_it),
        cmocka_unit_test(the_kernel_says_nothing_on_an_interface_that_we_made),
        cmocka_unit_test(a_kernel_that_refuses_silence_is_taken_as_it_is),
        cmocka_unit_test(an_address_may_be_set_twice_and_taken_away),
        cmocka_unit_test(a_deleted_interface_is_told_once_and_costs_no_more_time),
        cmocka_unit_test(what_is_delivered_while_the_interface_is_down_drops),
        cmocka_unit_test(a_descriptor_that_was_handed_over_is_used_as_it_is),
        cmocka_unit_test(a_persistent_interface_forgets_its_last_users_header),
        cmocka_unit_test(a_descriptor_that_we_cannot_read_stays_its_owners),
        cmocka_unit_test(a_moved_interface_lives_on_and_is_followed),
        cmocka_unit_test(while_it_is_elsewhere_nothing_is_done_to_who_has_its_number_here),
        cmocka_unit_test(an_interface_is_told_by_the_name_that_it_has_now),
        cmocka_unit_test(the_way_to_an_address_is_what_the_kernel_would_take),
        cmocka_unit_test(an_interface_that_moved_while_no_descriptor_was_free_is_found_later),
        cmocka_unit_test(an_interface_that_is_renamed_while_we_look_is_found_later),
        cmocka_unit_test(an_interface_that_dies_with_its_namespace_is_gone),
        cmocka_unit_test(a_stream_crosses_both_ways_with_every_offload_and_with_none),
        cmocka_unit_test(
            our_own_datagrams_that_a_route_leads_into_the_tunnel_drop_and_are_told_of_once),
    };
    return cmocka_run_group_tests_name("tun", tests, namespace_enter, NULL);
}
