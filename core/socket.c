#include "socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103 /* linux/udp.h */
#endif
#ifndef UDP_GRO
#define UDP_GRO 104 /* linux/udp.h */
#endif

union sockaddr_any {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static int set_int(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? 0 : errno;
}

/* The forced variant ignores net.core.?mem_max and needs CAP_NET_ADMIN over the host. */
static void set_buffer(int fd, int forced, int plain, uint32_t bytes) {
    if (bytes && set_int(fd, SOL_SOCKET, forced, (int)bytes) != 0)
        set_int(fd, SOL_SOCKET, plain, (int)bytes);
}

static int configure(int fd, uint16_t family, const struct socket_options *options,
                     const char **what) {
    int error;
    *what = "setsockopt";
    if (family == SHOAL_AF_INET6) {
        if ((error = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) ||
            (error = set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)) ||
            (error = set_int(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1)))
            return error;
    } else {
        if ((error = set_int(fd, IPPROTO_IP, IP_PKTINFO, 1)) ||
            (error = set_int(fd, IPPROTO_IP, IP_RECVTOS, 1)) ||
            (error = set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)))
            return error;
    }
    (void)set_int(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1); /* without it no queue is held short */
    if ((error = set_int(fd, SOL_SOCKET, SO_RXQ_OVFL, 1)))
        return error;
    *what = "SO_MARK";
    if (options->fwmark && (error = set_int(fd, SOL_SOCKET, SO_MARK, (int)options->fwmark)))
        return error;
    set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, options->receive_buffer);
    set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, options->send_buffer);
    return 0;
}

static int bind_port(int fd, uint16_t family, uint16_t *port) {
    union sockaddr_any address;
    socklen_t size = family == SHOAL_AF_INET6 ? sizeof(address.v6) : sizeof(address.v4);
    memset(&address, 0, sizeof(address));
    if (family == SHOAL_AF_INET6) {
        address.v6.sin6_family = AF_INET6;
        address.v6.sin6_port = htons(*port);
    } else {
        address.v4.sin_family = AF_INET;
        address.v4.sin_port = htons(*port);
    }
    if (bind(fd, &address.any, size) != 0 || getsockname(fd, &address.any, &size) != 0)
        return errno;
    *port = ntohs(family == SHOAL_AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
    return 0;
}

/* Not bound yet. @return a descriptor, or -1 and *error */
static int open_configured(uint16_t family, const struct socket_options *options, const char **what,
                           int *error) {
    *what = "socket";
    int fd = socket(family == SHOAL_AF_INET6 ? AF_INET6 : AF_INET,
                    SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
    *error = fd < 0 ? errno : configure(fd, family, options, what);
    if (fd >= 0 && !*error && options->joins) {
        *what = "SO_REUSEPORT";
        *error = set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    if (fd >= 0 && *error) {
        close(fd);
        fd = -1;
    }
    return fd;
}

int socket_open(struct udp_socket *udp, uint16_t family, uint16_t *port,
                const struct socket_options *options, const char **what) {
    int error;
    int fd = open_configured(family, options, what, &error);
    if (fd < 0)
        return error;
    *what = "bind";
    error = bind_port(fd, family, port);
    if (error) {
        close(fd);
        return error;
    }
    *udp = (struct udp_socket){.fd = fd, .family = family};
    return 0;
}

void socket_close(struct udp_socket *udp) {
    if (udp->fd >= 0)
        close(udp->fd);
    udp->fd = -1;
}

int socket_open_group(const struct udp_socket *udp) {
    return set_int(udp->fd, SOL_SOCKET, SO_REUSEPORT, 1);
}

void socket_close_group(const struct udp_socket *udp) {
    (void)set_int(udp->fd, SOL_SOCKET, SO_REUSEPORT, 0);
}

int socket_set_fwmark(const struct udp_socket *udp, uint32_t fwmark) {
    return set_int(udp->fd, SOL_SOCKET, SO_MARK, (int)fwmark);
}

int socket_set_gro(const struct udp_socket *udp, bool on) {
    return set_int(udp->fd, SOL_UDP, UDP_GRO, on);
}

uint32_t socket_probe(const struct udp_socket *udp) {
    uint32_t found = 0;
    int value;
    socklen_t size = sizeof(value);
    if (getsockopt(udp->fd, SOL_UDP, UDP_SEGMENT, &value, &size) == 0)
        found |= SHOAL_OFFLOAD_UDP_GSO;
    /* Readable from Linux 5.12 on; kernels that can only set it do without. */
    size = sizeof(value);
    if (getsockopt(udp->fd, SOL_UDP, UDP_GRO, &value, &size) == 0)
        found |= SHOAL_OFFLOAD_UDP_GRO;
    return found;
}

/* ---- Send -------------------------------------------------------------------------------- */

/* Room for the segment size, the source address and the traffic class. */
union send_control {
    char bytes[CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(struct in6_pktinfo)) +
               CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

static void *add_control(struct msghdr *message, union send_control *control, int level, int type,
                         size_t size) {
    struct cmsghdr *header = (struct cmsghdr *)(void *)(control->bytes + message->msg_controllen);
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(size);
    message->msg_control = control->bytes;
    message->msg_controllen += CMSG_SPACE(size);
    return CMSG_DATA(header);
}

/* Only the address sticks, not the interface it came in on: routing stays the kernel's, as in the
 * Linux driver. A link-local address means nothing without its interface, and where a datagram has
 * to leave by a certain one, IPv6 has no source: around.h. */
static void add_source(struct msghdr *message, union send_control *control,
                       const struct shoal_endpoint *to, uint32_t ifindex) {
    bool has_source = to->local.family != SHOAL_AF_NONE;
    if (to->remote.family == SHOAL_AF_INET) {
        struct in_pktinfo info = {.ipi_ifindex = (int)ifindex};
        if (has_source)
            memcpy(&info.ipi_spec_dst, to->local.ip, 4);
        memcpy(add_control(message, control, IPPROTO_IP, IP_PKTINFO, sizeof(info)), &info,
               sizeof(info));
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = ifindex};
        if (has_source && !ifindex) {
            memcpy(&info.ipi6_addr, to->local.ip, 16);
            if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
                info.ipi6_ifindex = to->local.scope ? to->local.scope : to->ifindex;
        }
        memcpy(add_control(message, control, IPPROTO_IPV6, IPV6_PKTINFO, sizeof(info)), &info,
               sizeof(info));
    }
}

static socklen_t write_address(union sockaddr_any *out, const struct shoal_address *address) {
    if (address->family == SHOAL_AF_INET) {
        out->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(address->port)};
        memcpy(&out->v4.sin_addr, address->ip, 4);
        return sizeof(out->v4);
    }
    out->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
                                    .sin6_port = htons(address->port),
                                    .sin6_scope_id = address->scope};
    memcpy(&out->v6.sin6_addr, address->ip, 16);
    return sizeof(out->v6);
}

int socket_send(const struct udp_socket *udp, const struct shoal_endpoint *to, uint32_t ifindex,
                uint8_t tos, const uint8_t *bytes, uint32_t length, uint32_t segment) {
    union sockaddr_any name;
    union send_control control = {{0}}; /* no bytes of our stack between the items */
    struct iovec part = {.iov_len = length};
    memcpy(&part.iov_base, &bytes, sizeof(bytes)); /* sendmsg only reads; iovec has no const */
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (to) {
        message.msg_name = &name;
        message.msg_namelen = write_address(&name, &to->remote);
    }
    if (segment < length) {
        uint16_t size = (uint16_t)segment;
        memcpy(add_control(&message, &control, SOL_UDP, UDP_SEGMENT, sizeof(size)), &size,
               sizeof(size));
    }
    if (to && (to->local.family != SHOAL_AF_NONE || ifindex))
        add_source(&message, &control, to, ifindex);
    if (tos) {
        int value = tos;
        bool v6 = udp->family == SHOAL_AF_INET6;
        memcpy(add_control(&message, &control, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
                           v6 ? IPV6_TCLASS : IP_TOS, sizeof(value)),
               &value, sizeof(value));
    }
    ssize_t sent;
    do
        sent = sendmsg(udp->fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? errno : 0;
}

bool socket_source_suspect(int error) {
    return error == EINVAL || error == EADDRNOTAVAIL || error == ENETUNREACH ||
           error == EHOSTUNREACH;
}

/* ---- Receive ----------------------------------------------------------------------------- */

static void read_address(struct shoal_address *out, const union sockaddr_any *name) {
    if (name->any.sa_family == AF_INET6) {
        out->family = SHOAL_AF_INET6;
        out->port = ntohs(name->v6.sin6_port);
        out->scope = name->v6.sin6_scope_id;
        memcpy(out->ip, &name->v6.sin6_addr, 16);
    } else {
        out->family = SHOAL_AF_INET;
        out->port = ntohs(name->v4.sin_port);
        memcpy(out->ip, &name->v4.sin_addr, 4);
    }
}

static void read_pktinfo4(struct shoal_endpoint *endpoint, const unsigned char *data) {
    struct in_pktinfo info;
    memcpy(&info, data, sizeof(info));
    endpoint->local.family = SHOAL_AF_INET;
    /* ipi_spec_dst is the address to answer from; it differs from ipi_addr for broadcasts. */
    memcpy(endpoint->local.ip, &info.ipi_spec_dst, 4);
    endpoint->ifindex = (uint32_t)info.ipi_ifindex;
}

static void read_pktinfo6(struct shoal_endpoint *endpoint, const unsigned char *data) {
    struct in6_pktinfo info;
    memcpy(&info, data, sizeof(info));
    endpoint->ifindex = info.ipi6_ifindex;
    if (IN6_IS_ADDR_MULTICAST(&info.ipi6_addr))
        return; /* no address to answer from */
    endpoint->local.family = SHOAL_AF_INET6;
    memcpy(endpoint->local.ip, &info.ipi6_addr, 16);
    if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
        endpoint->local.scope = info.ipi6_ifindex;
}

/* One ancillary item. Each is read by its own length: what is shorter than its type is ignored. */
static void read_control(struct udp_socket *udp, const struct cmsghdr *header,
                         struct socket_received *received) {
    const unsigned char *data = CMSG_DATA(header);
    size_t size = header->cmsg_len - CMSG_LEN(0);
    int level = header->cmsg_level, type = header->cmsg_type;
    if (level == SOL_UDP && type == UDP_GRO && size >= sizeof(int)) {
        int segment;
        memcpy(&segment, data, sizeof(segment));
        if (segment > 0 && (uint32_t)segment < received->length)
            received->segment = (uint32_t)segment;
    } else if (level == IPPROTO_IP && type == IP_PKTINFO && size >= sizeof(struct in_pktinfo)) {
        read_pktinfo4(&received->endpoint, data);
    } else if (level == IPPROTO_IP && type == IP_TOS && size >= 1) {
        received->tos = data[0];
    } else if (level == IPPROTO_IPV6 && type == IPV6_PKTINFO &&
               size >= sizeof(struct in6_pktinfo)) {
        read_pktinfo6(&received->endpoint, data);
    } else if (level == IPPROTO_IPV6 && type == IPV6_TCLASS && size >= sizeof(int)) {
        int tclass;
        memcpy(&tclass, data, sizeof(tclass));
        received->tos = (uint8_t)tclass;
    } else if (level == SOL_SOCKET && type == SCM_TIMESTAMPNS && size >= sizeof(struct timespec)) {
        struct timespec time;
        memcpy(&time, data, sizeof(time));
        received->arrived = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
        udp->read_till = received->arrived;
    } else if (level == SOL_SOCKET && type == SO_RXQ_OVFL && size >= sizeof(uint32_t)) {
        uint32_t overflow;
        memcpy(&overflow, data, sizeof(overflow));
        received->overflow = overflow - udp->overflow;
        udp->overflow = overflow;
    }
}

void socket_read_message(struct udp_socket *udp, struct msghdr *message, uint32_t length,
                         struct socket_received *received) {
    memset(received, 0, sizeof(*received));
    received->length = length;
    received->segment = length;
    received->truncated = message->msg_flags & MSG_TRUNC;
    received->control_truncated = message->msg_flags & MSG_CTRUNC;
    read_address(&received->endpoint.remote, message->msg_name);
    const char *control = message->msg_control;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
         header = CMSG_NXTHDR(message, header)) {
        size_t room = message->msg_controllen - (size_t)((char *)header - control);
        if (header->cmsg_len < CMSG_LEN(0) || header->cmsg_len > room)
            break;
        read_control(udp, header, received);
    }
}

int socket_receive(struct udp_socket *udp, uint8_t *buffer, size_t capacity,
                   struct socket_received *received) {
    union sockaddr_any name;
    union {
        char bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct in6_pktinfo)) +
                   CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint32_t)) +
                   CMSG_SPACE(sizeof(struct timespec))];
        struct cmsghdr align;
    } control;
    struct iovec part = {.iov_base = buffer, .iov_len = capacity};
    struct msghdr message = {.msg_name = &name,
                             .msg_namelen = sizeof(name),
                             .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    ssize_t length;
    do
        length = recvmsg(udp->fd, &message, 0);
    while (length < 0 && errno == EINTR);
    if (length < 0)
        return errno;
    socket_read_message(udp, &message, (uint32_t)length, received);
    return 0;
}

bool socket_waits(const struct udp_socket *udp) {
    struct pollfd waits = {.fd = udp->fd, .events = POLLIN};
    return udp->ahead || (poll(&waits, 1, 0) > 0 && waits.revents & POLLIN);
}

/* ---- Connected --------------------------------------------------------------------------- */

int socket_connect(const struct udp_socket *udp, const struct shoal_address *remote) {
    union sockaddr_any name;
    memset(&name, 0, sizeof(name));
    socklen_t size = write_address(&name, remote);
    return connect(udp->fd, &name.any, size) == 0 ? 0 : errno;
}

int socket_open_connected(struct udp_socket *udp, const struct socket_options *options, bool gro,
                          const struct shoal_address *local, const struct shoal_address *remote) {
    const char *what;
    int error;
    int fd = open_configured(remote->family, options, &what, &error);
    if (fd < 0)
        return error;
    *udp = (struct udp_socket){.fd = fd, .family = remote->family, .connected = true};
    if (gro)
        socket_set_gro(udp, true);
    union sockaddr_any name;
    memset(&name, 0, sizeof(name));
    socklen_t size = write_address(&name, local);
    error = bind(fd, &name.any, size) == 0 ? 0 : errno;
    if (!error)
        error = socket_connect(udp, remote);
    return error;
}
