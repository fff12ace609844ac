#include "sink.h"

#include <netinet/in.h>
#include <netinet/udp.h>

#include "contrast.h"

#define BUFFER (64u << 20)

void sink_create(void) {
    shell("ip link set lo up && ip link add sink1 type veth peer name far1 && ip link set far1 up "
          "&& ip link set sink1 up && ip addr add 10.1.0.1/24 dev sink1 && "
          "ip neigh add 10.1.0.2 lladdr 02:00:00:00:00:01 dev sink1 nud permanent");
    shell("ip link add sink2 type ifb && ip link set sink2 up && ip addr add 10.2.0.1/24 dev sink2 "
          "&& ip link set sink2 txqueuelen 0");
}

int sink_open(uint32_t which, int segment) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(6000)};
    to.sin_addr.s_addr = htonl(0x0a000002u + (which << 16));
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    must(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0, "sink");
    must(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &(int){BUFFER}, sizeof(int)) == 0, "SO_SNDBUF");
    must(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)) == 0, "UDP_SEGMENT");
    return fd;
}

void sink_send(int fd, const uint8_t *bytes, size_t length) {
    must(send(fd, bytes, length, 0) == (ssize_t)length, "send");
}
