/* Places in the inner network that a gateway of the machine's own network leads to: what we send
 * there leaves by it, and not by our own interface, as everybody else's packets do. Real TUN and
 * veth devices in namespaces of the test's own. */
#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "around.h"
#include "blake2s_model.h"
#include "namespace.h"
#include "unit.h"

/*
 *      sh0 10.9.0.1/24 fd09::1/64          the device: its inner network, and a route to all of it
 *       u0 10.8.0.2/24 fd08::2/64 ──── u1 10.8.0.1 fd08::1   the far machine: a gateway, behind
 *       w0 10.7.0.2/24 fd07::2/64 ──── w1 10.7.0.1 fd07::1   which 10.9.0.200 and fd09::c8 are
 */
static struct side a;
static struct shoal_error error;
static uint32_t deaf;
static pid_t far;
static int far_socket[2]; /* IPv4, IPv6 */
static struct shoal_address place[2];

static int socket_in(pid_t other, uint16_t family, uint16_t *port) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/ns/net", other);
    int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there = open(path, O_RDONLY);
    assert_true(here >= 0 && there >= 0);
    assert_int_equal(setns(there, CLONE_NEWNET), 0);
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_storage address = {.ss_family = family};
    inet_pton(family, family == AF_INET6 ? "fd09::c8" : "10.9.0.200",
              family == AF_INET6 ? (void *)&((struct sockaddr_in6 *)&address)->sin6_addr
                                 : (void *)&((struct sockaddr_in *)&address)->sin_addr);
    socklen_t size = family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                     : ((struct sockaddr_in *)&address)->sin_port);
    assert_int_equal(setns(here, CLONE_NEWNET), 0);
    close(here);
    close(there);
    return fd;
}

static void add_uplink(const char *name, unsigned number) {
    shell("ip link add %s0 type veth peer name %s1 netns %d", name, name, far);
    shell("ip addr add 10.%u.0.2/24 dev %s0; ip addr add fd0%u::2/64 dev %s0 nodad;"
          " ip link set %s0 up",
          number, name, number, name, name);
    shell("nsenter -t %d -n sh -c 'ip addr add 10.%u.0.1/24 dev %s1;"
          " ip addr add fd0%u::1/64 dev %s1 nodad; ip link set %s1 up'",
          far, number, name, number, name, name);
}

static void open_side(void) {
    struct shoal_device_config config = {
        .abi_version = SHOAL_ABI_VERSION, .ifname = "sh0", .aead = "openssl"};
    struct shoal_device_info info;
    memset(&a, 0, sizeof(a));
    world_choose_io(&config);
    assert_int_equal(shoal_device_open(&config, sizeof(config), &a.device, &error, sizeof(error)),
                     SHOAL_OK);
    assert_int_equal(shoal_device_info(a.device, &info, sizeof(info)), SHOAL_OK);
    a.doorbell = info.doorbell_fd;
    a.number = a.send_key = 1;
    assert_int_equal(shoal_device_bind(a.device, 0, 0, &a.port, &error, sizeof(error)), SHOAL_OK);
    shell("ip addr add 10.9.0.1/24 dev sh0; ip addr add fd09::1/64 dev sh0 nodad;"
          " ip link set sh0 up");
}

/* Tells the device of its inner networks, as a mesh does. */
static void set_inner(void) {
    struct shoal_prefix inner[] = {{SHOAL_AF_INET, 24, {10, 9, 0, 1}},
                                   {SHOAL_AF_INET6, 64, {0xfd, 9, [15] = 1}}};
    for (int i = 0; i < 2; i++)
        assert_int_equal(shoal_device_set_inner(a.device, &inner[i], sizeof(inner[i])), SHOAL_OK);
}

static int set_up(void **state) {
    (void)state;
    if (namespace_missing)
        return 0;
    far = namespace_other();
    shell("nsenter -t %d -n sh -c 'ip link set lo up; ip addr add 10.9.0.200/32 dev lo;"
          " ip addr add fd09::c8/128 dev lo nodad'",
          far);
    place[0] = (struct shoal_address){SHOAL_AF_INET, 0, 0, {10, 9, 0, 200}};
    place[1] = (struct shoal_address){SHOAL_AF_INET6, 0, 0, {0xfd, 9, [15] = 0xc8}};
    for (int i = 0; i < 2; i++)
        far_socket[i] = socket_in(far, i ? AF_INET6 : AF_INET, &place[i].port);
    add_uplink("u", 8);
    shell("ip route add default via 10.8.0.1; ip route add default via fd08::1");
    open_side();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    if (namespace_missing)
        return 0;
    shoal_device_close(a.device);
    close(a.doorbell);
    close(far_socket[0]);
    close(far_socket[1]);
    namespace_end(far);
    shell("ip link delete u0; ip link delete w0 2>/dev/null; ip route flush table 77 2>/dev/null;"
          " ip rule delete table 77 2>/dev/null; ip route flush cache");
    return 0;
}

static int32_t say(int v6, const struct shoal_address *from) {
    struct shoal_endpoint to = {.remote = place[v6]};
    if (from)
        to.local = *from;
    return shoal_datagram_send(a.device, &to, sizeof(to), 0, (const uint8_t *)"hello", 5);
}

/* The second or third byte of the address from which the next datagram came to the far machine
 * tells its uplink; its last byte is the return value's other half. 0: none came. */
struct heard {
    uint8_t uplink, host;
    size_t length;
};

static struct heard hear(int v6, int milliseconds) {
    struct heard heard = {0};
    uint8_t bytes[2000];
    struct sockaddr_storage from;
    socklen_t size = sizeof(from);
    struct timeval patience = {milliseconds / 1000, milliseconds % 1000 * 1000};
    setsockopt(far_socket[v6], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    ssize_t length =
        recvfrom(far_socket[v6], bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &size);
    if (length < 0)
        return heard;
    heard.length = (size_t)length;
    if (v6) {
        heard.uplink = ((struct sockaddr_in6 *)&from)->sin6_addr.s6_addr[1];
        heard.host = ((struct sockaddr_in6 *)&from)->sin6_addr.s6_addr[15];
    } else {
        const uint8_t *ip = (const uint8_t *)&((struct sockaddr_in *)&from)->sin_addr;
        heard.uplink = ip[1];
        heard.host = ip[3];
    }
    return heard;
}

#define WAY(at, to)                                                                                \
    shoal_link_around(a.device, to, sizeof(*(to)), at, sizeof(at), &deaf, &error, sizeof(error))

/* The interface that is named for a place, once news of routes have come; "" for none. */
static void expect_way(const struct shoal_prefix *to, const char *wanted) {
    char name[SHOAL_IFNAME_SIZE];
    for (int ms = 0; ms < WORLD_PATIENCE_MS; ms += 10) {
        int32_t status = WAY(name, to);
        if (wanted ? status == SHOAL_OK && strcmp(name, wanted) == 0
                   : status == SHOAL_E_SYSTEM && error.sys_errno == ENETUNREACH)
            return;
        usleep(10000);
    }
    fail_msg("the way is %s and stays so, wanted %s", name, wanted ? wanted : "none");
}

static struct shoal_prefix prefix_of(const struct shoal_address *address) {
    struct shoal_prefix prefix = {.family = address->family,
                                  .length = address->family == SHOAL_AF_INET6 ? 128 : 32};
    memcpy(prefix.ip, address->ip, 16);
    return prefix;
}

static void without_an_inner_network_the_kernels_way_is_taken_and_nothing_is_asked(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    for (int v6 = 0; v6 < 2; v6++) {
        assert_int_equal(say(v6, NULL), SHOAL_OK);
        side_await(&a, "drop_tx_loop", 1 + (unsigned)v6);
        assert_int_equal(hear(v6, 50).length, 0);
    }
    assert_int_equal(side_counter(&a, "around_asked"), 0);
    assert_int_equal(side_counter(&a, "tx_around"), 0);
}

static void control_and_data_leave_by_the_gateway_in_both_families(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    set_inner();
    struct shoal_session session = world_session(&a, SHOAL_ROLE_INITIATOR, 100, 555, 0);
    uint8_t packet[50] = {0};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7)};
    inet_pton(AF_INET, "10.9.0.2", &to.sin_addr);
    int user = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (int v6 = 0; v6 < 2; v6++) {
        assert_int_equal(say(v6, NULL), SHOAL_OK);
        struct heard control = hear(v6, WORLD_PATIENCE_MS);
        assert_int_equal(control.length, 5);
        assert_int_equal(control.uplink, 8);
        if (!v6) {
            a.peer = side_add_peer(&a, 12, 2, &place[0]);
            side_install(&a, &session);
        } else {
            struct shoal_endpoint endpoint = {.remote = place[1]};
            assert_int_equal(shoal_peer_set_endpoint(a.device, a.peer, &endpoint, sizeof(endpoint)),
                             SHOAL_OK);
        }
        assert_int_equal(
            sendto(user, packet, sizeof(packet), 0, (struct sockaddr *)&to, sizeof(to)),
            (ssize_t)sizeof(packet));
        struct heard data = hear(v6, WORLD_PATIENCE_MS);
        assert_true(data.length > 50);
        assert_int_equal(data.uplink, 8);
    }
    close(user);
    assert_int_equal(side_counter(&a, "drop_tx_loop"), 0);
    assert_true(side_counter(&a, "tx_around") >= 4);
    struct shoal_prefix other = {SHOAL_AF_INET, 32, {192, 0, 2, 1}};
    expect_way(&other, ""); /* not ours to look around */
}

static void ipv4_keeps_the_source_that_a_peer_knows_and_ipv6_leaves_it_to_the_kernel(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    set_inner();
    shell("ip addr add 10.8.0.9/24 dev u0; ip addr add fd08::9/64 dev u0 nodad preferred_lft 0");
    struct shoal_address known[] = {{SHOAL_AF_INET, 0, 0, {10, 8, 0, 9}},
                                    {SHOAL_AF_INET6, 0, 0, {0xfd, 8, [15] = 9}}};
    for (int v6 = 0; v6 < 2; v6++) {
        assert_int_equal(say(v6, &known[v6]), SHOAL_OK);
        struct heard heard = hear(v6, WORLD_PATIENCE_MS);
        assert_int_equal(heard.uplink, 8);
        assert_int_equal(heard.host, v6 ? 2 : 9);
    }
    shell("ip addr del 10.8.0.9/24 dev u0"); /* one that is ours no more is given up */
    assert_int_equal(say(0, &known[0]), SHOAL_OK);
    assert_int_equal(hear(0, WORLD_PATIENCE_MS).host, 2);
}

static void the_way_follows_the_routes(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    set_inner();
    add_uplink("w", 7);
    struct shoal_session session = world_session(&a, SHOAL_ROLE_INITIATOR, 100, 555, 0);
    a.peer = side_add_peer(&a, 12, 2, &place[0]);
    side_install(&a, &session);
    struct shoal_prefix to4 = prefix_of(&place[0]), to6 = prefix_of(&place[1]);
    static const struct {
        const char *change, *way4, *way6;
        uint8_t uplink;
    } steps[] = {
        {"true", "u0", "u0", 8},
        {"ip route add default via 10.7.0.1 metric 5; ip route add default via fd07::1 metric 5",
         "u0", "w0", 8},
        {"ip route del default via 10.8.0.1; ip route del default via fd08::1", "w0", "w0", 7},
        /* The longer prefix, whatever its metric. */
        {"ip route add 10.0.0.0/8 via 10.8.0.1 metric 99; ip route add fd00::/8 via fd08::1 metric "
         "2000",
         "u0", "u0", 8},
        /* A route that is longer than ours is the kernel's own choice. */
        {"ip route add 10.9.0.200/32 via 10.7.0.1; ip route add fd09::c8/128 via fd07::1", "", "",
         7},
        {"ip route del 10.9.0.200/32; ip route del fd09::c8/128", "u0", "u0", 8},
        /* A rule before the main table's, for what leaves by this interface. */
        {"ip rule add oif w0 table 77; ip route add default via 10.7.0.1 table 77", "w0", "u0", 7},
        {"ip rule del oif w0 table 77", "u0", "u0", 8},
        {"ip link set u0 down", "w0", "w0", 7},
        {"ip link set w0 down", NULL, NULL, 0},
    };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        shell("%s", steps[i].change);
        expect_way(&to4, steps[i].way4);
        expect_way(&to6, steps[i].way6);
        uint64_t lost = side_counter(&a, "drop_tx_unreachable");
        assert_int_equal(say(0, NULL), steps[i].uplink ? SHOAL_OK : SHOAL_E_NO_ROUTE);
        assert_int_equal(shoal_peer_keepalive(a.device, a.peer, 0), SHOAL_OK);
        if (!steps[i].uplink) {
            assert_int_equal(side_counter(&a, "drop_tx_unreachable"), lost + 1);
            continue;
        }
        for (int datagram = 0; datagram < 2; datagram++)
            assert_int_equal(hear(0, WORLD_PATIENCE_MS).uplink, steps[i].uplink);
    }
    assert_int_equal(side_counter(&a, "drop_tx_loop"), 0);
}

static void a_bridges_port_is_no_way_and_interfaces_beyond_the_limit_are_counted(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    set_inner();
    struct shoal_prefix to = prefix_of(&place[0]);
    shell("ip link add br7 type bridge; ip link set br7 up");
    for (unsigned i = 0; i < AROUND_INTERFACES; i++)
        shell("ip link add p%u type veth peer name q%u; ip link set p%u master br7 up", i, i, i);
    expect_way(&to, "u0");
    assert_int_equal(side_counter(&a, "around_cut"), 0);
    for (unsigned i = 0; i < AROUND_INTERFACES; i++)
        shell("ip link set q%u up", i);
    for (int ms = 0; side_counter(&a, "around_cut") == 0; ms += 10) {
        assert_true(ms < WORLD_PATIENCE_MS);
        char name[SHOAL_IFNAME_SIZE];
        assert_int_equal(WAY(name, &to), SHOAL_OK);
        assert_string_equal(name, "u0"); /* the first ones are asked about */
        usleep(10000);
    }
    for (unsigned i = 0; i < AROUND_INTERFACES; i++)
        shell("ip link delete p%u", i);
    shell("ip link delete br7");
}

static void the_ways_of_64_places_are_kept_and_the_oldest_makes_room(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    set_inner();
    struct shoal_prefix to = {SHOAL_AF_INET, 32, {10, 9, 0, 0}};
    char name[SHOAL_IFNAME_SIZE];
    usleep(300000); /* news of what was set up have come */
    assert_int_equal(side_counter(&a, "around_asked"), 0);
    for (uint8_t host = 100; host < 100 + AROUND_PLACES; host++)
        for (int twice = 0; twice < 2; twice++) {
            to.ip[3] = host;
            assert_int_equal(WAY(name, &to), SHOAL_OK);
            assert_string_equal(name, "u0");
        }
    assert_int_equal(side_counter(&a, "around_asked"), AROUND_PLACES);
    to.ip[3] = 2;
    assert_int_equal(WAY(name, &to), SHOAL_OK);
    to.ip[3] = 101;
    assert_int_equal(WAY(name, &to), SHOAL_OK);
    assert_int_equal(side_counter(&a, "around_asked"), AROUND_PLACES + 1);
    to.ip[3] = 100;
    assert_int_equal(WAY(name, &to), SHOAL_OK);
    assert_int_equal(side_counter(&a, "around_asked"), AROUND_PLACES + 2);
}

/* A handshake that costs a hash: under load it is answered by a cookie reply. */
static void initiation(uint8_t message[148]) {
    uint8_t input[40], key[32];
    memset(message, 7, 148);
    memcpy(message, (uint8_t[]){1, 0, 0, 0}, 4);
    memcpy(input, "mac1----", 8);
    memset(input + 8, 0x55, 32);
    model_blake2s(key, 32, NULL, 0, input, sizeof(input));
    model_blake2s(message + 116, 16, key, 32, message, 116);
}

static void a_cookie_reply_goes_back_by_where_the_handshake_came_from(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    uint8_t identity[32], message[148];
    struct shoal_address local, us = {SHOAL_AF_INET, a.port, 0, {127, 0, 0, 1}};
    struct sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = htons(a.port)};
    struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons(a.port)};
    inet_pton(AF_INET, "10.8.0.2", &to4.sin_addr);
    inet_pton(AF_INET6, "fd08::2", &to6.sin6_addr);
    set_inner();
    memset(identity, 0x55, sizeof(identity));
    assert_int_equal(shoal_device_set_identity(a.device, identity, sizeof(identity)), SHOAL_OK);
    initiation(message);
    int crowd = stranger_open(SHOAL_AF_INET, &local);
    uint64_t asked = side_counter(&a, "around_asked");
    for (int v6 = 0; v6 < 2; v6++) {
        /* A load is over after a second, which a busy machine may need for a lap. */
        for (uint64_t sent = side_counter(&a, "cookies_sent"), wanted = sent + 1; sent < wanted;
             sent = side_counter(&a, "cookies_sent"))
            stranger_send(crowd, &us, message, sizeof(message));
        assert_int_equal(v6 ? sendto(far_socket[1], message, sizeof(message), 0,
                                     (struct sockaddr *)&to6, sizeof(to6))
                            : sendto(far_socket[0], message, sizeof(message), 0,
                                     (struct sockaddr *)&to4, sizeof(to4)),
                         sizeof(message));
        struct heard reply = hear(v6, WORLD_PATIENCE_MS);
        assert_int_equal(reply.length, 64);
        assert_int_equal(reply.uplink, 8);
    }
    assert_int_equal(side_counter(&a, "around_asked"), asked); /* a flood asks nothing */
    assert_int_equal(side_counter(&a, "drop_tx_loop"), 0);
    close(crowd);
}

/* A UDP packet from the peer's inner address to our own inner address and port, sealed by it. */
static size_t from_inside(uint8_t *message, bool v6, uint64_t counter) {
    uint8_t packet[200] = {0};
    size_t size = world_packet(packet, v6, 2, 1, 20, 1), udp = v6 ? 40 : 20;
    packet[udp + 2] = (uint8_t)(a.port >> 8);
    packet[udp + 3] = (uint8_t)a.port;
    packet[udp + 6] = packet[udp + 7] = 0; /* no checksum in IPv4; the port changed it */
    if (v6) {
        uint32_t sum = 17 + (uint32_t)(size - udp);
        for (size_t i = 8; i < size; i += 2)
            sum += (uint32_t)(packet[i] << 8 | packet[i + 1]);
        while (sum >> 16)
            sum = (sum & 0xffff) + (sum >> 16);
        packet[udp + 6] = (uint8_t)(~sum >> 8);
        packet[udp + 7] = (uint8_t)~sum;
    }
    return forge(message, 2, 100, counter, packet, size);
}

static void what_comes_out_of_the_mesh_to_our_own_port_is_dropped(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    uint8_t message[300];
    struct shoal_session session = world_session(&a, SHOAL_ROLE_INITIATOR, 100, 555, 0);
    struct shoal_address local, us = {SHOAL_AF_INET, a.port, 0, {127, 0, 0, 1}};
    int peer = stranger_open(SHOAL_AF_INET, &local);
    a.peer = side_add_peer(&a, 12, 2, &local);
    side_install(&a, &session);
    for (int v6 = 0; v6 < 2; v6++) { /* a device that knows of no mesh takes it for any datagram */
        stranger_send(peer, &us, message, from_inside(message, v6, (unsigned)v6));
        side_await(&a, "control_received", 1 + (unsigned)v6);
    }
    set_inner();
    for (int v6 = 0; v6 < 2; v6++) {
        stranger_send(peer, &us, message, from_inside(message, v6, 2 + (unsigned)v6));
        side_await(&a, "drop_rx_inside", 1 + (unsigned)v6);
    }
    assert_int_equal(side_counter(&a, "control_received"), 2);
    stranger_send(peer, &us, "hello", 5); /* what comes by another interface is heard */
    side_await(&a, "control_received", 3);
    close(peer);
}

static void a_kernel_that_drops_what_comes_back_is_told(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    set_inner();
    struct shoal_prefix to4 = prefix_of(&place[0]), to6 = prefix_of(&place[1]);
    static const struct {
        int all, here;
        uint32_t deaf;
    } filters[] = {{0, 0, 0}, {0, 1, 1}, {1, 0, 1}, {1, 2, 0}, {2, 1, 0}};
    for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
        shell("cd /proc/sys/net/ipv4/conf; echo %d > all/rp_filter; echo %d > u0/rp_filter",
              filters[i].all, filters[i].here);
        expect_way(&to4, "u0");
        assert_int_equal(deaf, filters[i].deaf);
        expect_way(&to6, "u0");
        assert_int_equal(deaf, 0); /* there is none in IPv6 */
    }
    shell("echo 1 > /proc/sys/net/ipv4/conf/u0/rp_filter; ip route add 10.9.0.200 via 10.8.0.1");
    expect_way(&to4, "");
    assert_int_equal(deaf, 0); /* by its own route the kernel lets it in */
    shell("echo 2 > /proc/sys/net/ipv4/conf/all/rp_filter");
}

static void a_question_about_a_way_is_checked(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    struct shoal_prefix to = prefix_of(&place[0]), wrong = to;
    char name[SHOAL_IFNAME_SIZE];
    wrong.family = 5;
    assert_int_equal(WAY(name, &wrong), SHOAL_E_INVALID);
    assert_int_equal(
        shoal_link_around(a.device, &to, sizeof(to), name, 16, NULL, &error, sizeof(error)),
        SHOAL_E_INVALID);
    assert_int_equal(
        shoal_link_around(a.device, &to, sizeof(to), name, 15, &deaf, &error, sizeof(error)),
        SHOAL_E_SIZE);
    assert_int_equal(
        shoal_link_around(a.device, &to, sizeof(to), NULL, 16, &deaf, &error, sizeof(error)),
        SHOAL_E_SIZE);
    assert_int_equal(shoal_link_around(a.device, &to, sizeof(to), name, 16, &deaf, &error, 1),
                     SHOAL_E_SIZE);
    assert_int_equal(shoal_link_around(7, &to, sizeof(to), name, 16, &deaf, &error, sizeof(error)),
                     SHOAL_E_STALE);
}

static int enter(void **state) {
    namespace_enter(state);
    if (!namespace_missing && access("/proc/self/net/if_inet6", R_OK) != 0)
        namespace_missing = "no IPv6";
    if (!namespace_missing) /* what comes from a place that our route leads to is heard */
        shell("echo 2 > /proc/sys/net/ipv4/conf/all/rp_filter");
    return 0;
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(without_an_inner_network_the_kernels_way_is_taken_and_nothing_is_asked),
        TEST(control_and_data_leave_by_the_gateway_in_both_families),
        TEST(ipv4_keeps_the_source_that_a_peer_knows_and_ipv6_leaves_it_to_the_kernel),
        TEST(the_way_follows_the_routes),
        TEST(a_bridges_port_is_no_way_and_interfaces_beyond_the_limit_are_counted),
        TEST(the_ways_of_64_places_are_kept_and_the_oldest_makes_room),
        TEST(a_cookie_reply_goes_back_by_where_the_handshake_came_from),
        TEST(what_comes_out_of_the_mesh_to_our_own_port_is_dropped),
        TEST(a_kernel_that_drops_what_comes_back_is_told),
        TEST(a_question_about_a_way_is_checked),
    };
    return cmocka_run_group_tests_name("around", tests, enter, NULL);
}
