#include "binding.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "failure.h"
#include "socket.h"

#define PORT_TRIES 100 /* to find a port that is free in both families, as the Linux driver */

static const uint16_t socket_family[PASS_SOCKETS] = {
    [PASS_INET] = SHOAL_AF_INET, [PASS_INET6] = SHOAL_AF_INET6};

/* The kernel, or its settings, lack this family: not an error as long as there is the other. */
static bool family_missing(int error) {
    return error == EAFNOSUPPORT || error == EPROTONOSUPPORT || error == EADDRNOTAVAIL;
}

/* The sockets of one worker, and those of all. */
struct pair {
    struct udp_socket of[PASS_SOCKETS];
};

static void close_pair(struct pair *pair) {
    for (int i = 0; i < PASS_SOCKETS; i++)
        socket_close(&pair->of[i]);
}

static void close_all(struct device *device, struct pair *pairs) {
    for (uint32_t w = 0; w < device->worker_count; w++)
        close_pair(&pairs[w]);
    free(pairs);
}

/* Closed ones; NULL when out of memory. */
static struct pair *make_pairs(const struct device *device) {
    struct pair *pairs = calloc(device->worker_count, sizeof(*pairs));
    for (uint32_t w = 0; pairs && w < device->worker_count; w++)
        for (int i = 0; i < PASS_SOCKETS; i++)
            pairs[w].of[i].fd = -1;
    return pairs;
}

/* Both families on one port. @return 0 or an errno. */
static int open_pair(struct pair *pair, uint16_t *port, const struct socket_options *options,
                     const char **what) {
    int missing = 0;
    for (int i = 0; i < PASS_SOCKETS; i++) {
        int error = socket_open(&pair->of[i], socket_family[i], port, options, what);
        if (!error)
            continue;
        if (!family_missing(error) || ++missing == PASS_SOCKETS) {
            close_pair(pair);
            return error;
        }
    }
    return 0;
}

/* Those of worker 0, which find out whether the port is free. */
static int open_first(struct pair *pair, uint16_t *port, const struct socket_options *options,
                      const char **what) {
    uint16_t asked = *port;
    int error = 0;
    for (int i = 0; i < PORT_TRIES; i++) {
        *port = asked;
        error = open_pair(pair, port, options, what);
        if (error != EADDRINUSE || asked != 0)
            break; /* a free IPv4 port may be taken in IPv6: only then try another */
    }
    return error;
}

/* The sockets of one family of all other workers join the first one's, in order. */
static int open_group(struct device *device, struct pair *pairs, enum pass_socket which,
                      uint16_t port, const struct socket_options *options, const char **what) {
    if (pairs[0].of[which].fd < 0)
        return 0;
    *what = "SO_REUSEPORT";
    int error = socket_open_group(&pairs[0].of[which]);
    for (uint32_t w = 1; !error && w < device->worker_count; w++)
        error = socket_open(&pairs[w].of[which], socket_family[which], &port, options, what);
    if (error)
        return error;
    *what = "SO_ATTACH_REUSEPORT_CBPF";
    return steering_sockets(pairs[1].of[which].fd, device->worker_count);
}

static int open_sockets(struct device *device, struct pair *pairs, uint16_t *port,
                        struct socket_options options, const char **what) {
    int error = open_first(&pairs[0], port, &options, what);
    options.joins = true;
    for (int i = 0; !error && device->worker_count > 1 && i < PASS_SOCKETS; i++)
        error = open_group(device, pairs, i, *port, &options, what);
    return error;
}

/* What io_uring received for a socket that goes is opened before. At a standstill nobody fills the
 * list again, and each drain takes one at least. */
static void take_ahead(struct pass *pass, struct udp_socket *udp) {
    for (uint32_t i = 0; udp->ahead && i < URING_BUFFERS; i++)
        rx_drain(pass, udp);
    uring_forget(&pass->uring, udp);
}

/* Puts the sockets of a worker in place of the present ones, which it gives back. */
static int swap_pair(struct worker *worker, struct pair *pair, bool gro) {
    struct pass *pass = &worker->pass;
    int error = 0;
    for (int i = 0; i < PASS_SOCKETS; i++) {
        take_ahead(pass, &pass->sockets[i]);
        struct udp_socket old = pass->sockets[i];
        pass->sockets[i] = pair->of[i];
        pair->of[i] = old;
        if (pass->sockets[i].fd < 0)
            continue;
        if (gro)
            socket_set_gro(&pass->sockets[i], true);
        if (!error)
            error = worker_poll_socket(worker, i);
    }
    tx_resume(pass); /* a train that waited may leave here */
    return error;
}

/* Those of busy peers have the old port or mark, and are made anew. At a standstill. */
static void close_connected(struct device *device) {
    for (uint32_t w = 0; w < device->worker_count; w++)
        connected_close_all(&device->workers[w]->pass);
}

static int swap_sockets(struct device *device, struct pair *pairs) {
    bool gro = offload_has(&device->plane.offload, SHOAL_OFFLOAD_UDP_GRO);
    int error = 0;
    device_stop(device);
    close_connected(device);
    for (uint32_t w = 0; w < device->worker_count; w++) {
        int one = swap_pair(device->workers[w], &pairs[w], gro);
        error = error ? error : one;
    }
    device_resume(device);
    return error;
}

enum shoal_status binding_move(struct device *device, uint16_t port, uint32_t fwmark,
                               struct shoal_error *error) {
    struct socket_options options = {.fwmark = fwmark,
                                     .receive_buffer = device->plane.receive_buffer,
                                     .send_buffer = SOCKET_SEND_BUFFER};
    const char *what = "";
    if (port && port == device->plane.port) { /* our own sockets hold it */
        if (fwmark != device->plane.fwmark && binding_set_fwmark(device, fwmark) != SHOAL_OK)
            return failure(error, SHOAL_E_SYSTEM, errno, "SO_MARK");
        return SHOAL_OK;
    }
    struct pair *pairs = make_pairs(device);
    if (!pairs)
        return failure(error, SHOAL_E_MEMORY, ENOMEM, "sockets");
    int failed = open_sockets(device, pairs, &port, options, &what);
    if (!failed) {
        failed = swap_sockets(device, pairs);
        what = "epoll_ctl";
        if (failed)
            swap_sockets(device, pairs);
    }
    close_all(device, pairs);
    if (failed)
        return failure(error, SHOAL_E_SYSTEM, failed, what);
    device->plane.port = port;
    device->plane.fwmark = fwmark;
    return SHOAL_OK;
}

void binding_close(struct device *device) {
    device_stop(device);
    close_connected(device);
    for (uint32_t w = 0; w < device->worker_count; w++) {
        struct pair none = {{{.fd = -1}, {.fd = -1}}};
        swap_pair(device->workers[w], &none, false);
        close_pair(&none);
    }
    device_resume(device);
    device->plane.port = 0;
}

/* @return 0, or the errno of the socket that refused; the others have the mark even so. */
static int mark_all(struct device *device, uint32_t fwmark) {
    int error = 0;
    for (uint32_t w = 0; w < device->worker_count; w++)
        for (int i = 0; i < PASS_SOCKETS; i++) {
            const struct udp_socket *udp = &device->workers[w]->pass.sockets[i];
            int one = udp->fd >= 0 ? socket_set_fwmark(udp, fwmark) : 0;
            error = error ? error : one;
        }
    return error;
}

enum shoal_status binding_set_fwmark(struct device *device, uint32_t fwmark) {
    int error = mark_all(device, fwmark);
    if (error) {
        mark_all(device,
                 device->plane.fwmark); /* nothing has changed; who had it may have it again */
        errno = error;
        return SHOAL_E_SYSTEM;
    }
    device->plane.fwmark = fwmark;
    device_stop(device);
    close_connected(device);
    device_resume(device);
    return SHOAL_OK;
}

static enum shoal_status send_status(int error) {
    switch (error) {
    case 0:
        return SHOAL_OK;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL:
    case ENETDOWN:
    case ENODEV:
        return SHOAL_E_NO_ROUTE;
    default:
        return SHOAL_E_SYSTEM;
    }
}

enum shoal_status binding_send(struct device *device, const struct shoal_endpoint *to, uint8_t tos,
                               const uint8_t *bytes, uint32_t length) {
    const struct udp_socket *udp = pass_socket_for(&device->workers[0]->pass, to->remote.family);
    if (!udp)
        return SHOAL_E_STATE;
    uint32_t way = device_way(device, &to->remote);
    if (way == AROUND_NONE)
        return SHOAL_E_NO_ROUTE;
    uint32_t by = way == AROUND_PLAIN ? 0 : way;
    stats_add(&device->stats, COUNT_tx_around, by != 0);
    int error = socket_send(udp, to, by, tos, bytes, length, length);
    if (to->local.family != SHOAL_AF_NONE && socket_source_suspect(error)) {
        struct shoal_endpoint anywhere = {.remote = to->remote};
        error = socket_send(udp, &anywhere, by, tos, bytes, length, length);
    }
    if (!error)
        stats_add(&device->stats, COUNT_control_sent, 1);
    return send_status(error);
}

uint32_t binding_families(const struct device *device) {
    uint32_t families = 0;
    for (int i = 0; i < PASS_SOCKETS; i++)
        families |= device->workers[0]->pass.sockets[i].fd >= 0 ? 1u << i : 0;
    return families;
}
