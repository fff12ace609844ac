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
#include "topology.h"
#include "worker.h"

static void fill_random(void *context, uint8_t *buffer, size_t length) {
    (void)context;
    randombytes_buf(buffer, length); /* getrandom(2) */
}

/* ---- Opening ----------------------------------------------------------------------------- */

static enum shoal_status open_post(struct device *device, const uint8_t seed[16],
                                   struct shoal_error *error) {
    int failed = post_open(&device->plane.post, seed);
    if (failed == ENOMEM)
        return failure(error, SHOAL_E_MEMORY, failed, "mailbox");
    return failed ? failure(error, SHOAL_E_SYSTEM, failed, "socketpair") : SHOAL_OK;
}

static uint32_t or_default(uint32_t value, uint32_t otherwise) { return value ? value : otherwise; }

static enum shoal_status open_tables(struct device *device,
                                     const struct shoal_device_config *config,
                                     struct shoal_error *error) {
    uint32_t peers = or_default(config->peers_max, DEVICE_PEERS_DEFAULT);
    device->plane.gate = gate_create(config->seed, fill_random, NULL);
    device->plane.routes =
        route_create(or_default(config->routes_max, DEVICE_ROUTES_DEFAULT), peers);
    if (!device->plane.gate || !device->plane.routes ||
        !peer_table_init(&device->plane.peers, peers))
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
                     : tun_create(&device->tun, config->ifname, device->placement.count, &what);
    if (failed) {
        device->tun.fd = -1; /* an adopted descriptor stays the caller's on failure */
        return failure(error, failed == EBUSY ? SHOAL_E_EXISTS : SHOAL_E_SYSTEM, failed, what);
    }
    uint32_t tun = SHOAL_OFFLOAD_TUN_TSO | SHOAL_OFFLOAD_TUN_USO;
    offload_found(&device->plane.offload, tun_set_offloads(&device->tun, tun),
                  config->offloads_off);
    tun_set_offloads(&device->tun, atomic_load(&device->plane.offload.on));
    if (!device->tun.ifindex)
        return SHOAL_OK;
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
        offload_found(&device->plane.offload, socket_probe(&udp), device->offloads_off);
        socket_close(&udp);
        return;
    }
}

/* Each worker has one at least: what is heavy is rarely more than a few. */
static uint32_t connect_max(uint32_t workers) {
    uint32_t most = CONNECTED_ALL / workers;
    return most < 1 ? 1 : most < CONNECTED_WORKER ? most : CONNECTED_WORKER;
}

/* Which worker has which queue is the order in which they are opened; none closes before all do. */
static enum shoal_status open_queues(struct device *device,
                                     const struct shoal_device_config *config,
                                     struct shoal_error *error) {
    if (device->worker_count == 1 || !device->tun.multi_queue)
        return SHOAL_OK;
    device->queues = malloc(device->worker_count * sizeof(*device->queues));
    if (!device->queues)
        return failure(error, SHOAL_E_MEMORY, ENOMEM, "queues");
    device->queues[0] = device->tun.fd;
    for (uint32_t i = 1; i < device->worker_count; i++)
        device->queues[i] = -1;
    for (uint32_t i = 1; i < device->worker_count; i++) {
        int queue = tun_add_queue(&device->tun);
        if (queue < 0)
            return failure(error, SHOAL_E_SYSTEM, -queue, "TUNSETIFF of another queue");
        device->queues[i] = queue;
    }
    steering_open(&device->steering, device->tun.fd,
                  or_default(config->routes_max, DEVICE_ROUTES_DEFAULT));
    return SHOAL_OK;
}

static bool open_boxes(struct device *device) {
    struct plane *plane = &device->plane;
    plane->boxes = calloc(device->worker_count, sizeof(*plane->boxes));
    bool made = plane->boxes != NULL;
    for (uint32_t i = 0; made && i < device->worker_count; i++)
        made = handoff_init(&plane->boxes[i], device->workers[i]->wake);
    return made;
}

static void close_boxes(struct device *device) {
    for (uint32_t i = 0; device->plane.boxes && i < device->worker_count; i++)
        handoff_free(&device->plane.boxes[i]);
    free(device->plane.boxes);
}

/* Reading one queue in several threads would reorder flows: where there is one, worker 0 reads it,
 * and all write to it. */
static int poll_queues(struct device *device) {
    int failed = 0;
    for (uint32_t i = 0; !failed && i < device->worker_count; i++)
        if (device->workers[i]->pass.reads_tun)
            failed = worker_poll_tun(device->workers[i]);
    return failed;
}

static void give_queues(struct device *device) {
    for (uint32_t i = 0; i < device->worker_count; i++) {
        struct tun *tun = &device->workers[i]->pass.tun;
        *tun = device->tun;
        device->workers[i]->pass.reads_tun = i == 0 || device->queues;
        if (device->queues)
            tun->fd = device->queues[i];
    }
}

static enum shoal_status open_workers(struct device *device,
                                      const struct shoal_device_config *config,
                                      struct shoal_error *error) {
    device->plane.workers = device->worker_count;
    device->workers = calloc(device->worker_count, sizeof(struct worker *));
    if (!device->workers)
        return failure(error, SHOAL_E_MEMORY, ENOMEM, "workers");
    uint64_t staged =
        or_default(config->staged_bytes_max, DEVICE_STAGED_DEFAULT) / device->worker_count;
    for (uint32_t i = 0; i < device->worker_count; i++) {
        device->workers[i] = worker_create(&device->plane, i, staged, config->seed);
        if (!device->workers[i])
            return failure(error, SHOAL_E_SYSTEM, errno, "worker");
        device->workers[i]->all = device->workers;
    }
    if (!open_boxes(device))
        return failure(error, SHOAL_E_MEMORY, ENOMEM, "boxes of the workers");
    give_queues(device);
    struct worker *first = device->workers[0];
    first->interface = &device->interface;
    int failed =
        device->tun.real ? interface_open(&device->interface, &device->plane, &device->tun) : 0;
    if (failed)
        return failure(error, SHOAL_E_SYSTEM, failed, "rtnetlink news");
    device_apply_offloads(device);
    /* Where no news can be had, a source that has become wrong is found out by silence (R54). */
    for (uint32_t i = 0; i < device->worker_count; i++)
        (void)routes_open(&device->workers[i]->pass.routes, i == 0);
    (void)routes_open(&device->routes, false);
    failed = worker_poll_routes(first);
    if (!failed)
        failed = poll_queues(device);
    for (uint32_t i = 0; !failed && i < device->worker_count; i++)
        failed = worker_start(device->workers[i], device->placement.cpus[i]);
    return failed ? failure(error, SHOAL_E_SYSTEM, failed, "worker thread") : SHOAL_OK;
}

static enum shoal_status pick_aead(struct device *device, const char *name,
                                   struct shoal_error *error) {
    const struct aead_backend *wanted = name[0] ? aead_find(name) : NULL;
    if (name[0] && !wanted)
        return failure(error, SHOAL_E_UNKNOWN, 0, name);
    device->plane.aead = aead_calibrate(clock_monotonic, DEVICE_CALIBRATION_NS);
    if (wanted)
        device->plane.aead = aead_prefer(wanted, &device->plane.aead);
    return SHOAL_OK;
}

static void place(struct device *device, uint32_t wanted) {
    struct topology topology;
    topology_here(&topology);
    placement_choose(&device->placement, &topology, wanted);
}

/* Several workers on one queue have to hand on what the first one reads: that is for whoever asked
 * for it. */
static uint32_t worker_count(const struct device *device,
                             const struct shoal_device_config *config) {
    return config->workers || device->tun.multi_queue ? device->placement.count : 1;
}

enum shoal_status device_open(const struct shoal_device_config *config, struct device **out,
                              struct shoal_error *error) {
    struct device *device = calloc(1, sizeof(*device));
    if (!device)
        return failure(error, SHOAL_E_MEMORY, ENOMEM, "device");
    device->plane.wireguard_only = config->flags & SHOAL_DEVICE_WIREGUARD_ONLY;
    steering_init(&device->steering);
    interface_init(&device->interface, !(config->flags & SHOAL_DEVICE_NO_TUN));
    device->routes.news = device->routes.queries = -1;
    device->tun.fd = device->plane.post.bell = device->plane.post.far_bell = -1;
    device->offloads_off = config->offloads_off;
    device->plane.uring = strcmp(config->io, "uring") == 0;
    offload_found(&device->plane.offload,
                  SHOAL_OFFLOAD_QUEUE_CONTROL | SHOAL_OFFLOAD_CONNECTED | SHOAL_OFFLOAD_LANES,
                  config->offloads_off);
    device->plane.receive_buffer = or_default(config->receive_buffer, DEVICE_RECEIVE_BUFFER);
    atomic_store(&device->plane.mtu, or_default(config->mtu, DEVICE_MTU_DEFAULT));
    enum shoal_status status = pick_aead(device, config->aead, error);
    if (status == SHOAL_OK)
        status = open_post(device, config->seed, error);
    if (status == SHOAL_OK)
        status = open_tables(device, config, error);
    place(device, config->workers);
    if (status == SHOAL_OK)
        status = open_tun(device, config, error);
    if (status == SHOAL_OK) {
        device->worker_count = worker_count(device, config);
        device->plane.connect_after = HEAT_BUSY;
        device->plane.connect_max = connect_max(device->worker_count);
        status = open_queues(device, config, error);
    }
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
    if (device->plane.post.far_bell >= 0)
        close(device->plane.post.far_bell);
    device_close(device);
    return status;
}

/* ---- Closing ----------------------------------------------------------------------------- */

static void close_peers(struct device *device) {
    for (uint32_t i = 0; i < device->plane.peers.used; i++) {
        struct peer *peer = device->plane.peers.entries[i].peer;
        if (!peer)
            continue;
        struct pass *pass = &device_owner(device, peer)->pass;
        peer_clear_sessions(peer, &pass->sessions);
        staging_clear(&pass->staging, &peer->staging);
        peer_table_remove(&device->plane.peers, peer);
    }
}

void device_close(struct device *device) {
    for (uint32_t i = 0; device->workers && i < device->worker_count; i++)
        if (device->workers[i])
            worker_stop(device->workers[i]);
    if (device->workers) /* before there were any no peer could come */
        close_peers(device);
    for (uint32_t i = 0; device->workers && i < device->worker_count; i++)
        worker_free(device->workers[i]);
    close_boxes(device);
    free(device->workers);
    interface_close(&device->interface);
    for (uint32_t i = 1; device->queues && i < device->worker_count; i++)
        if (device->queues[i] >= 0)
            close(device->queues[i]);
    free(device->queues);
    steering_close(&device->steering);
    tun_close(&device->tun);
    guard_close(device->guard);
    netlink_close(device->netlink);
    routes_close(&device->routes);
    peer_table_free(&device->plane.peers);
    if (device->plane.routes)
        route_free(device->plane.routes);
    if (device->plane.gate)
        gate_free(device->plane.gate);
    post_close(&device->plane.post);
    free(device);
}

/* ---- Standstill -------------------------------------------------------------------------- */

void device_stop(struct device *device) {
    for (uint32_t i = 0; i < device->worker_count; i++)
        quiesce_stop(&device->workers[i]->quiesce);
    uint64_t now = clock_boottime();
    for (uint32_t i = 0; i < device->worker_count; i++)
        device->workers[i]->pass.now = now;
}

void device_resume(struct device *device) {
    for (uint32_t i = 0; i < device->worker_count; i++)
        worker_settle(device->workers[i]);
    for (uint32_t i = device->worker_count; i-- > 0;) {
        aead_forget(device->workers[i]->pass.aead);
        quiesce_resume(&device->workers[i]->quiesce);
    }
}

/* Offload flags are read again while the coalescer is empty, as it is between batches. */
static void apply_to(struct pass *pass) {
    bool gro = offload_has(&pass->plane->offload, SHOAL_OFFLOAD_UDP_GRO);
    if (!offload_has(&pass->plane->offload, SHOAL_OFFLOAD_CONNECTED) || pass->connected.gro != gro)
        connected_close_all(pass); /* those that come again gather, or do not */
    rx_deliver(pass);
    for (uint32_t i = 0; i < PASS_SOCKETS; i++) {
        struct udp_socket *udp = &pass->sockets[i];
        if (udp->fd < 0)
            continue;
        /* What was gathered already loses its segment size together with the option. */
        if (!gro)
            connected_drain_shared(pass, i);
        socket_set_gro(udp, gro);
    }
}

void device_apply_offloads(struct device *device) {
    tun_set_offloads(&device->tun, atomic_load(&device->plane.offload.on));
    for (uint32_t i = 0; i < device->worker_count; i++)
        apply_to(&device->workers[i]->pass);
}
