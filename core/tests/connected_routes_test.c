/* Addresses and routes of the machine change under connected sockets (R54), in a network namespace
 * of the test's own. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "busy.h"
#include "namespace.h"
#include "unit.h"

#define ONE BUSY_FIRST

static struct busy busy;
static struct side *const side = &busy.side;

/* A socket of the peer's own machine. */
static int socket_in(pid_t machine) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)machine);
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int there = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(setns(there, CLONE_NEWNET), 0);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setns(home, CLONE_NEWNET), 0);
    close(there);
    close(home);
    return fd;
}

static pid_t machine;

/* The peer is at 10.77.0.2 behind a wire, and writes to 10.77.0.1 or .3 of ours. */
static void start(void) {
    struct sockaddr_in name = {.sin_family = AF_INET};
    socklen_t size = sizeof(name);
    machine = namespace_other();
    shell(
        "ip link set lo up && ip link add d0 type veth peer name d1 netns %d && ip link set d0 up "
        "&& ip addr add 10.77.0.1/32 dev d0 && ip addr add 10.77.0.3/32 dev d0 && ip route add "
        "10.77.0.2 dev d0 && nsenter -t %d -n sh -c 'ip link set d1 up && ip addr add "
        "10.77.0.2/24 dev d1'",
        (int)machine, (int)machine);
    busy_open(&busy, SHOAL_AF_INET, 1, 1, 4);
    close(busy.sockets[ONE]);
    busy.sockets[ONE] = socket_in(machine);
    inet_pton(AF_INET, "10.77.0.2", &name.sin_addr);
    assert_int_equal(bind(busy.sockets[ONE], (struct sockaddr *)&name, size), 0);
    assert_int_equal(getsockname(busy.sockets[ONE], (struct sockaddr *)&name, &size), 0);
    busy.places[ONE].port = ntohs(name.sin_port);
    memcpy(busy.places[ONE].ip, &name.sin_addr, 4);
    memcpy(side->outer.ip, (uint8_t[]){10, 77, 0, 1}, 4);
    side->peer = busy.peers[ONE];
}

static void stop(void) {
    busy_close(&busy);
    shell("ip link del d0");
    namespace_end(machine);
}

static uint8_t source_now(void) { return side_facts(side).endpoint.local.ip[3]; }

/* Where the peer hears us from. */
static uint8_t heard_from(void) {
    uint8_t packet[256], message[512];
    struct sockaddr_in from = {0};
    socklen_t size = sizeof(from);
    side_write(side, packet, world_packet(packet, false, 1, ONE, 100, 3));
    struct timeval patience = {.tv_sec = WORLD_PATIENCE_MS / 1000};
    setsockopt(busy.sockets[ONE], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    assert_true(recvfrom(busy.sockets[ONE], message, sizeof(message), 0, (struct sockaddr *)&from,
                         &size) > 0);
    return (uint8_t)(ntohl(from.sin_addr.s_addr) & 0xff);
}

static void news_of_routes_connect_it_again(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    start();
    busy_warm(&busy, ONE);
    busy_by_own(&busy, ONE);
    assert_int_equal(source_now(), 1);
    shell("ip route add 10.99.0.0/24 dev d0");
    side_await(side, "connected_again", 1);
    assert_int_equal(busy_count(&busy), 1);
    uint64_t sent = side_counter(side, "tx_connected");
    assert_int_equal(heard_from(), 1);
    assert_int_equal(side_counter(side, "tx_connected"), sent + 1);
    assert_int_equal(side_counter(side, "connected_moved"), 0);
    assert_int_equal(side_drops(side), 0);
    stop();
}

/* Its source is no address of ours any more: the socket goes at once, not with the next packet, and
 * the peer is reached from another address. */
static void a_socket_goes_with_its_source(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    start();
    busy_warm(&busy, ONE);
    busy_by_own(&busy, ONE);
    shell("ip addr del 10.77.0.1/32 dev d0");
    side_await(side, "connected_moved", 1);
    busy_await(&busy, 0);
    assert_true(heard_from() != 1);
    assert_int_equal(side_drops(side), 0);
    memcpy(side->outer.ip, (uint8_t[]){10, 77, 0, 3}, 4); /* the peer follows */
    busy_by_own(&busy, ONE);
    assert_int_equal(source_now(), 3);
    assert_int_equal(heard_from(), 3);
    stop();
}

/* R55: a peer that writes to another address of ours is answered from there, at once, and has its
 * socket there. Routes alone would choose the first address. */
static void it_answers_from_the_address_that_the_peer_wrote_to(void **state) {
    (void)state;
    NEEDS_NAMESPACE;
    start();
    busy_warm(&busy, ONE);
    memcpy(side->outer.ip, (uint8_t[]){10, 77, 0, 3}, 4);
    busy_from(&busy, ONE, busy.sockets[ONE]);
    assert_int_equal(heard_from(), 3);
    busy_by_own(&busy, ONE);
    uint64_t sent = side_counter(side, "tx_connected");
    assert_int_equal(heard_from(), 3);
    assert_int_equal(side_counter(side, "tx_connected"), sent + 1);
    assert_int_equal(side_drops(side), 0);
    stop();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(news_of_routes_connect_it_again),
        cmocka_unit_test(a_socket_goes_with_its_source),
        cmocka_unit_test(it_answers_from_the_address_that_the_peer_wrote_to),
    };
    return cmocka_run_group_tests_name("connected routes", tests, namespace_enter, NULL);
}
