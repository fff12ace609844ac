#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "clock.h"
#include "failure.h"
#include "socket.h"
#include "worker.h"

#define DRAIN_TURNS 64 /* of 256 KiB: more than a receive buffer by default */
#define PORT_TRIES 100 /* to find a port that is free in both families, as the Linux driver */

static void fill_random(void *context, uint8_t *buffer, size_t length) {
    (void)context;
    randombytes_buf(buffer, length); /* getrandom(2) */
}

/* ---- Opening ----------------------------------------------------------------------------- */

static enum shoal_status open_post(struct device *device, const uint8_t seed[16],
                                   struct shoal_error *error) {
    int failed = post_open(&device->post, seed);
    if (failed == ENOMEM)
        return failure(error, SHOAL_E_MEMORY, failed, "mailbox");
    return failed ? failure(error, SHOAL_E_SYSTEM, failed, "socketpair") : SHOAL_OK;
}

static uint32_t or_default(uint32_t value, uint32_t otherwise) { return value ? value : otherwise; }

static enum shoal_status open_tables(struct device *device,
                                     const struct shoal_device_config *config,
                                     struct shoal_error *error) {
    uint32_t peers = or_default(config->peers_max, DEVICE_PEERS_DEFAULT);
    device->gate = gate_create(config->seed, fill_random, NULL);
    device->routes = route_create(or_default(config->routes_max, DEVICE_ROUTES_DEFAULT), peers);
    device->staging.bytes_max = or_default(config->staged_bytes_max, DEVICE_STAGED_DEFAULT);
    if (!device->gate || !device->routes || !peer_table_init(&device->peers, peers) ||
        !session_table_init(&device->sessions, config->seed + 16))
        return failure(error, SHOAL_E_MEMORY, ENOMEM, "tables");
    return SHOAL_OK;
}

static enum shoal_status open_tun(struct device *device, const struct shoal_device_config *config,
                                  struct shoal_error *error) {
    if (config->flags & SHOAL_DEVICE_NO_TUN)
        return SHOAL_OK;
    const char *what = "";
    int failed = config->flags & (SHOAL_DEVICE_TUN_FD)
                     ? tun_adopt(&device->tun, config->tun_fd,
                                 config->flags & SHOAL_DEVICE_TUN_FD_VNET, &what)
                     : tun_create(&device->tun, config->ifname, &what);
    if (failed) {
        device->tun.fd = -1; /* an adopted descriptor stays the caller's on failure */
        return failure(error, failed == EBUSY ? SHOAL_E_EXISTS : SHOAL_E_SYSTEM, failed, what);
    }
    uint32_t tun = SHOAL_OFFLOAD_TUN_TSO | SHOAL_OFFLOAD_TUN_USO;
    offload_found(&device->offload, tun_set_offloads(&device->tun, tun), config->offloads_off);
    tun_set_offloads(&device->tun, atomic_load(&device->offload.on));
    if (!device->tun.ifindex) {
        atomic_store(&device->link_up, 1); /* a real one says more when its link is looked at */
        return SHOAL_OK;
    }
    device->netlink = netlink_open();
    if (!device->netlink)
        return failure(error, SHOAL_E_SYSTEM, errno, "netlink socket");
    if (!(config->flags & SHOAL_DEVICE_TUN_FD)) /* a wish, as the last one below */
        netlink_quieten(device->netlink, device->tun.ifindex);
    failed = netlink_link_set(device->netlink, device->tun.ifindex, config->mtu, 2);
    if (!failed && !config->mtu && !(config->flags & SHOAL_DEVICE_TUN_FD))
        failed = netlink_link_set(device->netlink, device->tun.ifindex, DEVICE_MTU_DEFAULT, 2);
    if (failed)
        return failure(error, SHOAL_E_SYSTEM, failed, "RTM_NEWLINK mtu");
    /* Only a wish: where the kernel has none of it, what exceeds it is dropped when read. */
    netlink_segments_max(device->netlink, device->tun.ifindex, TX_SEGMENTS_MAX);
    return SHOAL_OK;
}

/* Which UDP offloads are there is known before the first bind: any socket tells. */
static void probe_udp(struct device *device) {
    static const uint16_t families[] = {SHOAL_AF_INET, SHOAL_AF_INET6};
    for (int i = 0; i < 2; i++) {
        struct udp_socket udp;
        uint16_t port = 0;
        const char *what;
        if (socket_open(&udp, families[i], &port, &(struct socket_options){0}, &what) != 0)
            continue;
        offload_found(&device->offload, socket_probe(&udp), device->offloads_off);
        socket_close(&udp);
        return;
    }
}

static enum shoal_status open_workers(struct device *device,
                                      const struct shoal_device_config *config,
                                      struct shoal_error *error) {
    device->workers = calloc(device->worker_count, sizeof(struct worker *));
    if (!device->workers)
        return failure(error, SHOAL_E_MEMORY, ENOMEM, "workers");
    for (uint32_t i = 0; i < device->worker_count; i++) {
        device->workers[i] = worker_create(device, i, config->seed);
        if (!device->workers[i])
            return failure(error, SHOAL_E_SYSTEM, errno, "worker");
    }
    struct worker *first = device->workers[0];
    first->tun = device->tun;
    if (device->tun.real) {
        int failed = link_open(&first->link, &device->tun);
        if (failed)
            return failure(error, SHOAL_E_SYSTEM, failed, "rtnetlink news");
        atomic_store(&device->link_up, first->link.up);
        atomic_store(&device->ifindex, first->link.away ? 0 : first->link.ifindex);
        if (first->link.mtu)
            atomic_store(&device->mtu, first->link.mtu);
    }
    device_apply_offloads(device);
    /* Where no news can be had, a source that has become wrong is found out by silence (R54). */
    for (uint32_t i = 0; i < device->worker_count; i++)
        (void)routes_open(&device->workers[i]->routes, i == 0);
    int failed = worker_poll_routes(first);
    if (!failed)
        failed = worker_poll_tun(first);
    for (uint32_t i = 0; !failed && i < device->worker_count; i++)
        failed = worker_start(device->workers[i]);
    return failed ? failure(error, SHOAL_E_SYSTEM, failed, "worker thread") : SHOAL_OK;
}

static enum shoal_status pick_aead(struct device *device, const char *name,
                                   struct shoal_error *error) {
    device->aead =
        name[0] ? aead_find(name) : aead_calibrate(clock_monotonic, DEVICE_CALIBRATION_NS);
    return device->aead ? SHOAL_OK : failure(error, SHOAL_E_UNKNOWN, 0, name);
}

enum shoal_status device_open(const struct shoal_device_config *config, struct device **out,
                              struct shoal_error *error) {
    struct device *device = calloc(1, sizeof(*device));
    if (!device)
        return failure(error, SHOAL_E_MEMORY, ENOMEM, "device");
    device->flags = config->flags;
    device->worker_count = or_default(config->workers, 1);
    device->tun.fd = device->post.bell = device->post.far_bell = -1;
    device->offloads_off = config->offloads_off;
    device->receive_buffer = or_default(config->receive_buffer, DEVICE_RECEIVE_BUFFER);
    atomic_store(&device->mtu, or_default(config->mtu, DEVICE_MTU_DEFAULT));
    enum shoal_status status = pick_aead(device, config->aead, error);
    if (status == SHOAL_OK)
        status = open_post(device, config->seed, error);
    if (status == SHOAL_OK)
        status = open_tables(device, config, error);
    if (status == SHOAL_OK)
        status = open_tun(device, config, error);
    if (status == SHOAL_OK) {
        probe_udp(device);
        status = open_workers(device, config, error);
    }
    if (status == SHOAL_OK) {
        *out = device;
        return SHOAL_OK;
    }
    if (config->flags & SHOAL_DEVICE_TUN_FD)
        device->tun.fd = -1; /* the caller keeps it: nothing has changed */
    if (device->post.far_bell >= 0)
        close(device->post.far_bell);
    device_close(device);
    return status;
}

/* ---- Closing ----------------------------------------------------------------------------- */

void device_close(struct device *device) {
    atomic_store(&device->stopping, true);
    for (uint32_t i = 0; device->workers && i < device->worker_count; i++)
        if (device->workers[i])
            worker_stop(device->workers[i]);
    for (uint32_t i = 0; i < device->peers.used; i++) {
        struct peer *peer = device->peers.entries[i].peer;
        if (!peer)
            continue;
        peer_clear_sessions(peer, &device->sessions);
        staging_clear(&device->staging, &peer->staging);
        peer_table_remove(&device->peers, peer);
    }
    for (uint32_t i = 0; device->workers && i < device->worker_count; i++)
        worker_free(device->workers[i]);
    free(device->workers);
    tun_close(&device->tun);
    netlink_close(device->netlink);
    session_table_free(&device->sessions);
    peer_table_free(&device->peers);
    if (device->routes)
        route_free(device->routes);
    if (device->gate)
        gate_free(device->gate);
    post_close(&device->post);
    free(device);
}

/* ---- Sockets ----------------------------------------------------------------------------- */

static const uint16_t socket_family[WORKER_SOCKETS] = {
    [WORKER_INET] = SHOAL_AF_INET, [WORKER_INET6] = SHOAL_AF_INET6};

/* The kernel, or its settings, lack this family: not an error as long as there is the other. */
static bool family_missing(int error) {
    return error == EAFNOSUPPORT || error == EPROTONOSUPPORT || error == EADDRNOTAVAIL;
}

static void close_all(struct udp_socket sockets[WORKER_SOCKETS]) {
    for (int i = 0; i < WORKER_SOCKETS; i++)
        socket_close(&sockets[i]);
}

/* Both families on one port. @return 0 or an errno. */
static int open_pair(struct udp_socket sockets[WORKER_SOCKETS], uint16_t *port,
                     const struct socket_options *options, const char **what) {
    int missing = 0;
    for (int i = 0; i < WORKER_SOCKETS; i++)
        sockets[i].fd = -1;
    for (int i = 0; i < WORKER_SOCKETS; i++) {
        int error = socket_open(&sockets[i], socket_family[i], port, options, what);
        if (!error)
            continue;
        if (!family_missing(error) || ++missing == WORKER_SOCKETS) {
            close_all(sockets);
            return error;
        }
    }
    return 0;
}

static int open_sockets(struct udp_socket sockets[WORKER_SOCKETS], uint16_t *port,
                        const struct socket_options *options, const char **what) {
    uint16_t asked = *port;
    int error = 0;
    for (int i = 0; i < PORT_TRIES; i++) {
        *port = asked;
        error = open_pair(sockets, port, options, what);
        if (error != EADDRINUSE || asked != 0)
            break; /* a free IPv4 port may be taken in IPv6: only then try another */
    }
    return error;
}

static int swap_sockets(struct device *device, struct udp_socket sockets[WORKER_SOCKETS]) {
    struct worker *worker = device->workers[0];
    bool gro = offload_has(&device->offload, SHOAL_OFFLOAD_UDP_GRO);
    int error = 0;
    quiesce_begin(device);
    worker->now = clock_boottime(); /* a train that waited may leave here */
    for (int i = 0; i < WORKER_SOCKETS; i++) {
        struct udp_socket old = worker->sockets[i];
        worker->sockets[i] = sockets[i];
        sockets[i] = old;
        if (worker->sockets[i].fd < 0)
            continue;
        if (gro)
            socket_set_gro(&worker->sockets[i], true);
        if (!error)
            error = worker_poll_socket(worker, i);
    }
    if (worker->waiting_for_socket)
        worker_resume(worker);
    quiesce_end(device);
    return error;
}

enum shoal_status device_bind(struct device *device, uint16_t port, uint32_t fwmark,
                              struct shoal_error *error) {
    struct socket_options options = {.fwmark = fwmark,
                                     .receive_buffer = device->receive_buffer,
                                     .send_buffer = DEVICE_SEND_BUFFER};
    struct udp_socket sockets[WORKER_SOCKETS];
    const char *what = "";
    if (port && port == device->port) { /* our own sockets hold it */
        if (fwmark != device->fwmark && device_set_fwmark(device, fwmark) != SHOAL_OK)
            return failure(error, SHOAL_E_SYSTEM, errno, "SO_MARK");
        return SHOAL_OK;
    }
    int failed = open_sockets(sockets, &port, &options, &what);
    if (!failed) {
        failed = swap_sockets(device, sockets);
        what = "epoll_ctl";
        if (failed)
            swap_sockets(device, sockets);
        close_all(sockets);
    }
    if (failed)
        return failure(error, SHOAL_E_SYSTEM, failed, what);
    device->port = port;
    device->fwmark = fwmark;
    return SHOAL_OK;
}

void device_unbind(struct device *device) {
    struct udp_socket sockets[WORKER_SOCKETS] = {{.fd = -1}, {.fd = -1}};
    swap_sockets(device, sockets);
    close_all(sockets);
    device->port = 0;
}

/* @return 0, or the errno of the socket that refused; the others have the mark even so. */
static int mark_all(struct device *device, uint32_t fwmark) {
    int error = 0;
    for (uint32_t w = 0; w < device->worker_count; w++)
        for (int i = 0; i < WORKER_SOCKETS; i++) {
            const struct udp_socket *udp = &device->workers[w]->sockets[i];
            int one = udp->fd >= 0 ? socket_set_fwmark(udp, fwmark) : 0;
            error = error ? error : one;
        }
    return error;
}

enum shoal_status device_set_fwmark(struct device *device, uint32_t fwmark) {
    int error = mark_all(device, fwmark);
    if (error) {
        mark_all(device, device->fwmark); /* nothing has changed; who had it may have it again */
        errno = error;
        return SHOAL_E_SYSTEM;
    }
    device->fwmark = fwmark;
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
        return SHOAL_E_NO_ROUTE;
    default:
        return SHOAL_E_SYSTEM;
    }
}

enum shoal_status device_send(struct device *device, const struct shoal_endpoint *to, uint8_t tos,
                              const uint8_t *bytes, uint32_t length) {
    const struct udp_socket *udp = worker_socket_for(device->workers[0], to->remote.family);
    if (!udp)
        return SHOAL_E_STATE;
    int error = socket_send(udp, to, tos, bytes, length, length);
    if (to->local.family != SHOAL_AF_NONE && socket_source_suspect(error)) {
        struct shoal_endpoint anywhere = {.remote = to->remote};
        error = socket_send(udp, &anywhere, tos, bytes, length, length);
    }
    if (!error)
        stats_add(&device->stats, COUNT_control_sent, 1);
    return send_status(error);
}

void device_apply_offloads(struct device *device) {
    tun_set_offloads(&device->tun, atomic_load(&device->offload.on));
    bool gro = offload_has(&device->offload, SHOAL_OFFLOAD_UDP_GRO);
    for (uint32_t w = 0; w < device->worker_count; w++) {
        struct worker *worker = device->workers[w];
        worker->now = clock_boottime();
        rx_deliver(worker); /* nothing waits between batches: this only sets the coalescer's mind */
        for (int i = 0; i < WORKER_SOCKETS; i++) {
            struct udp_socket *udp = &worker->sockets[i];
            if (udp->fd < 0)
                continue;
            /* What was gathered already loses its segment size together with the option. */
            for (int turn = 0; !gro && turn < DRAIN_TURNS && rx_drain(worker, udp); turn++)
                ;
            socket_set_gro(udp, gro);
        }
        if (worker->flush_list) /* a session was confirmed by what was drained */
            worker_ring(worker);
    }
}
