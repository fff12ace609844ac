// LDFLAGS: -Wl,--wrap=recvmsg
/* T16, T28: whatever the ancillary data of a receive holds, what socket_receive makes of it fits
 * the datagram. The input is a length, flags, and the bytes of the control buffer. */
#include "fuzz.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "socket.h"

static const uint8_t *control_input;
static size_t control_size;

ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags) {
    (void)fd;
    (void)flags;
    memset(message->msg_name, 0, message->msg_namelen);
    ((struct sockaddr *)message->msg_name)->sa_family = control_input[2] & 1 ? AF_INET6 : AF_INET;
    message->msg_flags = control_input[3];
    size_t control = control_size - 4;
    if (control > message->msg_controllen)
        control = message->msg_controllen;
    memcpy(message->msg_control, control_input + 4, control);
    message->msg_controllen = control;
    return (control_input[0] | control_input[1] << 8) % 65536;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 4)
        return 0;
    control_input = data;
    control_size = size;
    static uint8_t buffer[SOCKET_RECEIVE_MAX];
    struct udp_socket udp = {.fd = -1, .family = SHOAL_AF_INET};
    struct socket_received received;
    REQUIRE(socket_receive(&udp, buffer, sizeof(buffer), &received) == 0);
    REQUIRE(received.length <= sizeof(buffer));
    REQUIRE(received.segment <= received.length);
    REQUIRE(received.segment > 0 || received.length == 0);
    REQUIRE(received.endpoint.remote.family == SHOAL_AF_INET ||
            received.endpoint.remote.family == SHOAL_AF_INET6);
    return 0;
}
