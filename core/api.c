/*
 * The exported calls about devices, their interface and their mail: arguments are checked here,
 * once, and nowhere below. api_peer.c has those about peers.
 */
#include "api.h"

#include <errno.h>
#include <string.h>

#include <sodium.h>

#include "worker.h"

#define FLAGS_ALL                                                                                  \
    (SHOAL_DEVICE_NO_TUN | SHOAL_DEVICE_TUN_FD | SHOAL_DEVICE_TUN_FD_VNET |                        \
     SHOAL_DEVICE_WIREGUARD_ONLY)

uint32_t shoal_abi_version(void) { return SHOAL_ABI_VERSION; }

const char *shoal_offload_name(uint32_t offload) { return offload_name(offload); }

const char *shoal_aead_name(uint32_t i) {
    const struct aead_backend *backend = aead_backend(i);
    return backend ? aead_name(backend) : NULL;
}

const char *shoal_counter_name(uint32_t i) { return stats_name(i); }

static bool error_ok(const struct shoal_error *error, uint32_t error_size) {
    return error && error_size == sizeof(*error);
}

/* ---- Devices ----------------------------------------------------------------------------- */

static bool terminated(const char *text, size_t size) { return memchr(text, 0, size) != NULL; }

static enum shoal_status refuse(struct shoal_error *error, const char *what) {
    return failure(error, SHOAL_E_INVALID, 0, what);
}

static enum shoal_status check_tun(const struct shoal_device_config *config,
                                   struct shoal_error *error) {
    uint32_t kinds = config->flags & (SHOAL_DEVICE_NO_TUN | SHOAL_DEVICE_TUN_FD);
    if (kinds == (SHOAL_DEVICE_NO_TUN | SHOAL_DEVICE_TUN_FD))
        return refuse(error, "flags: NO_TUN and TUN_FD exclude each other");
    if (config->flags & SHOAL_DEVICE_TUN_FD_VNET && kinds != SHOAL_DEVICE_TUN_FD)
        return refuse(error, "flags: TUN_FD_VNET wants TUN_FD");
    if (kinds == SHOAL_DEVICE_TUN_FD && config->tun_fd < 0)
        return refuse(error, "tun_fd");
    if (!terminated(config->ifname, sizeof(config->ifname)))
        return refuse(error, "ifname: longer than 15 bytes");
    if (kinds == 0 && config->ifname[0] == 0)
        return refuse(error, "ifname: empty");
    return SHOAL_OK;
}

static enum shoal_status check_config(const struct shoal_device_config *config,
                                      struct shoal_error *error) {
    if (config->flags & ~FLAGS_ALL)
        return refuse(error, "flags: unknown bit");
    if (config->mtu && (config->mtu < SHOAL_MTU_MIN || config->mtu > SHOAL_MTU_MAX))
        return refuse(error, "mtu: 576 to 65475");
    if (config->workers > SHOAL_WORKERS_MAX)
        return refuse(error, "workers: at most 64");
    if (config->offloads_off & ~SHOAL_OFFLOAD_ALL)
        return refuse(error, "offloads_off: unknown bit");
    if (config->receive_buffer > INT32_MAX) /* the kernel takes an int and a negative one for 0 */
        return refuse(error, "receive_buffer: at most 2147483647");
    if (config->peers_max > DEVICE_PEERS_MAX)
        return refuse(error, "peers_max: at most 1048576");
    if (config->routes_max > DEVICE_ROUTES_MAX)
        return refuse(error, "routes_max: at most 16777216");
    if (!terminated(config->aead, sizeof(config->aead)) ||
        !terminated(config->io, sizeof(config->io)))
        return refuse(error, "aead, io: NUL missing");
    if (config->io[0] && strcmp(config->io, "poll") != 0 && strcmp(config->io, "uring") != 0)
        return failure(error, SHOAL_E_UNKNOWN, 0, config->io);
    return check_tun(config, error);
}

int32_t shoal_device_open(const struct shoal_device_config *config, uint32_t config_size,
                          shoal_device_t *device, struct shoal_error *error, uint32_t error_size) {
    if (!error_ok(error, error_size))
        return SHOAL_E_SIZE;
    if (!config || config_size != sizeof(*config))
        return failure(error, SHOAL_E_SIZE, 0, "config_size");
    if (config->abi_version != SHOAL_ABI_VERSION)
        return failure(error, SHOAL_E_SIZE, 0, "abi_version");
    if (!device)
        return refuse(error, "device");
    enum shoal_status status = check_config(config, error);
    if (status != SHOAL_OK)
        return status;
    if (sodium_init() < 0)
        return failure(error, SHOAL_E_SYSTEM, 0, "sodium_init");
    shoal_device_t handle;
    if (registry_claim(&handle) != SHOAL_OK)
        return failure(error, SHOAL_E_FULL, 0, "64 devices are open");
    struct device *opened;
    status = device_open(config, &opened, error);
    if (status != SHOAL_OK) {
        registry_give_back(handle);
        return status;
    }
    registry_publish(handle, opened);
    *device = handle;
    return SHOAL_OK;
}

int32_t shoal_device_close(shoal_device_t handle) {
    struct device *device = registry_take(handle);
    if (!device)
        return SHOAL_E_STALE;
    device_close(device);
    registry_give_back(handle);
    return SHOAL_OK;
}

static void fill_info(struct device *device, struct shoal_device_info *info) {
    memset(info, 0, sizeof(*info));
    info->ifindex = atomic_load_explicit(&device->plane.ifindex, memory_order_relaxed);
    char name[SHOAL_IFNAME_SIZE];
    if (info->ifindex && netlink_name(device->netlink, info->ifindex, name) == 0)
        memcpy(device->tun.name, name, sizeof(name)); /* anybody may rename it */
    memcpy(info->ifname, device->tun.name, sizeof(info->ifname));
    aead_describe(&device->plane.aead, AEAD_CHACHA20_POLY1305, info->aead, sizeof(info->aead));
    aead_describe(&device->plane.aead, AEAD_AES_256_GCM, info->aead_gcm, sizeof(info->aead_gcm));
    info->io_error = atomic_load_explicit(&device->plane.uring_refused, memory_order_relaxed);
    bool uring = device->plane.uring && !info->io_error;
    strncpy(info->io, uring ? "uring" : "poll", sizeof(info->io) - 1);
    info->doorbell_fd = device->plane.post.far_bell;
    info->mtu = atomic_load_explicit(&device->plane.mtu, memory_order_relaxed);
    info->workers = device->worker_count;
    info->queues = device->tun.fd < 0 ? 0 : device->queues ? device->worker_count : 1;
    info->steered = device->steering.tries[0] >= 0;
    info->steer_error = device->steering.error;
    info->offloads_available =
        atomic_load_explicit(&device->plane.offload.available, memory_order_relaxed);
    info->offloads_on = atomic_load_explicit(&device->plane.offload.on, memory_order_relaxed);
    info->port = device->plane.port;
    info->fwmark = device->plane.fwmark;
    info->families = binding_families(device);
    info->connected_max = device->plane.connect_max * device->worker_count;
    for (uint32_t w = 0; w < device->worker_count; w++) {
        const struct connected *connected = &device->workers[w]->pass.connected;
        info->connected += atomic_load_explicit(&connected->count, memory_order_relaxed);
        int32_t failed = atomic_load_explicit(&connected->error, memory_order_relaxed);
        info->connected_error = failed ? failed : info->connected_error;
    }
    info->link_up = atomic_load_explicit(&device->interface.up, memory_order_relaxed);
}

int32_t shoal_device_info(shoal_device_t handle, struct shoal_device_info *info,
                          uint32_t info_size) {
    if (!info || info_size != sizeof(*info))
        return SHOAL_E_SIZE;
    struct device *device = registry_acquire(handle);
    if (!device)
        return SHOAL_E_STALE;
    fill_info(device, info);
    registry_release(handle);
    return SHOAL_OK;
}

int32_t shoal_device_set_identity(shoal_device_t handle, const uint8_t *public_key,
                                  uint32_t key_size) {
    if (!public_key || key_size != 32)
        return SHOAL_E_SIZE;
    struct device *device = registry_acquire(handle);
    if (!device)
        return SHOAL_E_STALE;
    device_stop(device);
    bool done = gate_set_identity(device->plane.gate, public_key);
    device_resume(device);
    registry_release(handle);
    return done ? SHOAL_OK : SHOAL_E_MEMORY;
}

int32_t shoal_device_bind(shoal_device_t handle, uint16_t port, uint32_t fwmark,
                          uint16_t *bound_port, struct shoal_error *error, uint32_t error_size) {
    if (!error_ok(error, error_size))
        return SHOAL_E_SIZE;
    if (!bound_port)
        return refuse(error, "bound_port");
    struct device *device = registry_acquire(handle);
    if (!device)
        return failure(error, SHOAL_E_STALE, 0, "device");
    enum shoal_status status = binding_move(device, port, fwmark, error);
    if (status == SHOAL_OK)
        *bound_port = device->plane.port;
    registry_release(handle);
    return status;
}

int32_t shoal_device_unbind(shoal_device_t handle) {
    struct device *device = registry_acquire(handle);
    if (!device)
        return SHOAL_E_STALE;
    binding_close(device);
    registry_release(handle);
    return SHOAL_OK;
}

int32_t shoal_device_set_fwmark(shoal_device_t handle, uint32_t fwmark) {
    struct device *device = registry_acquire(handle);
    if (!device)
        return SHOAL_E_STALE;
    enum shoal_status status = binding_set_fwmark(device, fwmark);
    registry_release(handle);
    return status;
}

int32_t shoal_device_set_offloads(shoal_device_t handle, uint32_t mask, uint32_t on) {
    if ((mask | on) & ~SHOAL_OFFLOAD_ALL)
        return SHOAL_E_INVALID;
    struct device *device = registry_acquire(handle);
    if (!device)
        return SHOAL_E_STALE;
    device_stop(device);
    offload_switch(&device->plane.offload, mask, on);
    device_apply_offloads(device);
    device_resume(device);
    registry_release(handle);
    return SHOAL_OK;
}

/* Family and length agree; host bits are not looked at. */
static bool prefix_ok(const struct shoal_prefix *prefix, uint32_t prefix_size) {
    if (!prefix || prefix_size != sizeof(*prefix))
        return false;
    return (prefix->family == SHOAL_AF_INET && prefix->length <= 32) ||
           (prefix->family == SHOAL_AF_INET6 && prefix->length <= 128);
}

int32_t shoal_device_set_inner(shoal_device_t handle, const struct shoal_prefix *address,
                               uint32_t prefix_size) {
    if (!address || prefix_size != sizeof(*address))
        return SHOAL_E_SIZE;
    if (!prefix_ok(address, prefix_size))
        return SHOAL_E_INVALID;
    struct device *device = registry_acquire(handle);
    if (!device)
        return SHOAL_E_STALE;
    device_stop(device);
    forward_set_inner(&device->plane.forward, address);
    /* Ways into this network were not looked for before. */
    atomic_fetch_add_explicit(&device->plane.route_changes, 1, memory_order_relaxed);
    device_resume(device);
    registry_release(handle);
    return SHOAL_OK;
}

int32_t shoal_device_counters(shoal_device_t handle, uint64_t *counters, uint32_t capacity,
                              uint32_t *written) {
    if (!counters || !written)
        return SHOAL_E_INVALID;
    if (capacity < STATS_COUNT)
        return SHOAL_E_SIZE;
    struct device *device = registry_acquire(handle);
    if (!device)
        return SHOAL_E_STALE;
    for (uint32_t i = 0; i < STATS_COUNT; i++) {
        counters[i] = stats_get(&device->stats, i);
        for (uint32_t w = 0; w < device->worker_count; w++)
            counters[i] += stats_get(&device->workers[w]->pass.stats, i);
    }
    if (device->guard)
        counters[COUNT_drop_guard] = guard_drops(device->guard);
    *written = STATS_COUNT;
    registry_release(handle);
    return SHOAL_OK;
}

/* ---- Interface --------------------------------------------------------------------------- */

/* What the netlink calls have in common. */
struct link_call {
    struct device *device; /* acquired; NULL: not, and `status` says why */
    uint32_t ifindex;
    enum shoal_status status;
};

/* While the interface is in another namespace its index may be another's at home (ENODEV). */
static struct link_call link_begin(shoal_device_t handle, struct shoal_error *error) {
    struct link_call call = {.device = registry_acquire(handle)};
    if (!call.device) {
        call.status = failure(error, SHOAL_E_STALE, 0, "device");
        return call;
    }
    call.ifindex = atomic_load_explicit(&call.device->plane.ifindex, memory_order_relaxed);
    if (!call.device->netlink)
        call.status = failure(error, SHOAL_E_STATE, 0, "the device has no interface");
    else if (!call.ifindex)
        call.status = failure(error, SHOAL_E_SYSTEM, ENODEV, "the interface is not here");
    if (call.status == SHOAL_OK)
        return call;
    registry_release(handle);
    call.device = NULL;
    return call;
}

static int32_t link_end(shoal_device_t handle, int failed, const char *what,
                        struct shoal_error *error) {
    registry_release(handle);
    return failed ? failure(error, SHOAL_E_SYSTEM, failed, what) : SHOAL_OK;
}

int32_t shoal_link_set(shoal_device_t handle, uint32_t mtu, uint32_t up, struct shoal_error *error,
                       uint32_t error_size) {
    if (!error_ok(error, error_size))
        return SHOAL_E_SIZE;
    if (mtu && (mtu < SHOAL_MTU_MIN || mtu > SHOAL_MTU_MAX))
        return refuse(error, "mtu: 576 to 65475");
    if (up > 2)
        return refuse(error, "up: 0, 1 or 2");
    struct link_call call = link_begin(handle, error);
    if (!call.device)
        return call.status;
    int failed = netlink_link_set(call.device->netlink, call.ifindex, mtu, up);
    return link_end(handle, failed, "RTM_NEWLINK", error);
}

int32_t shoal_link_address(shoal_device_t handle, const struct shoal_prefix *address,
                           uint32_t prefix_size, uint32_t add, struct shoal_error *error,
                           uint32_t error_size) {
    if (!error_ok(error, error_size))
        return SHOAL_E_SIZE;
    if (!prefix_ok(address, prefix_size))
        return refuse(error, "address");
    struct link_call call = link_begin(handle, error);
    if (!call.device)
        return call.status;
    int failed = netlink_address(call.device->netlink, call.ifindex, address, add);
    return link_end(handle, failed, add ? "RTM_NEWADDR" : "RTM_DELADDR", error);
}

int32_t shoal_link_route(shoal_device_t handle, const struct shoal_prefix *address,
                         uint32_t prefix_size, struct shoal_error *error, uint32_t error_size) {
    if (!error_ok(error, error_size))
        return SHOAL_E_SIZE;
    if (!prefix_ok(address, prefix_size))
        return refuse(error, "address");
    struct link_call call = link_begin(handle, error);
    if (!call.device)
        return call.status;
    int failed = netlink_route(call.device->netlink, call.ifindex, address);
    return link_end(handle, failed, "RTM_NEWROUTE", error);
}

int32_t shoal_link_way(shoal_device_t handle, const struct shoal_prefix *address,
                       uint32_t prefix_size, char *name, uint32_t name_size,
                       struct shoal_error *error, uint32_t error_size) {
    if (!error_ok(error, error_size) || !name || name_size != SHOAL_IFNAME_SIZE)
        return SHOAL_E_SIZE;
    if (!prefix_ok(address, prefix_size))
        return refuse(error, "address");
    struct link_call call = link_begin(handle, error);
    if (!call.device)
        return call.status;
    uint32_t ifindex;
    int failed = netlink_way(call.device->netlink, address, &ifindex);
    if (!failed)
        failed = netlink_name(call.device->netlink, ifindex, name);
    return link_end(handle, failed, "RTM_GETROUTE", error);
}

int32_t shoal_link_around(shoal_device_t handle, const struct shoal_prefix *address,
                          uint32_t prefix_size, char *name, uint32_t name_size, uint32_t *deaf,
                          struct shoal_error *error, uint32_t error_size) {
    if (!error_ok(error, error_size) || !name || name_size != SHOAL_IFNAME_SIZE)
        return SHOAL_E_SIZE;
    if (!prefix_ok(address, prefix_size) || !deaf)
        return refuse(error, "address, deaf");
    struct link_call call = link_begin(handle, error);
    if (!call.device)
        return call.status;
    struct shoal_address to = {.family = address->family};
    memcpy(to.ip, address->ip, sizeof(to.ip));
    uint32_t way = device_way(call.device, &to);
    int failed = way == AROUND_NONE ? ENETUNREACH : 0;
    bool named = !failed && way != AROUND_PLAIN;
    memset(name, 0, SHOAL_IFNAME_SIZE);
    *deaf = named && to.family == SHOAL_AF_INET && netlink_filters_paths(call.device->netlink, way);
    if (named)
        failed = netlink_name(call.device->netlink, way, name);
    return link_end(handle, failed, "RTM_GETROUTE", error);
}

/* The first call makes it: plain WireGuard has none. */
static int guard_addresses(const struct link_call *call, const struct shoal_prefix *addresses,
                           uint32_t count) {
    struct device *device = call->device;
    if (!device->guard)
        device->guard = guard_open(device->tun.name);
    return device->guard ? guard_set(device->guard, call->ifindex, addresses, count) : errno;
}

int32_t shoal_link_guard(shoal_device_t handle, const struct shoal_prefix *addresses,
                         uint32_t addresses_size, uint32_t count, struct shoal_error *error,
                         uint32_t error_size) {
    if (!error_ok(error, error_size) || addresses_size != count * sizeof(*addresses))
        return SHOAL_E_SIZE;
    if (count > SHOAL_GUARDED_MAX)
        return refuse(error, "count: at most 2");
    for (uint32_t i = 0; i < count; i++)
        if (!addresses || !prefix_ok(&addresses[i], sizeof(addresses[i])))
            return refuse(error, "addresses");
    struct link_call call = link_begin(handle, error);
    if (!call.device)
        return call.status;
    int failed = guard_addresses(&call, addresses, count);
    return link_end(handle, failed, "nf_tables", error);
}

/* ---- Datagrams and mail ------------------------------------------------------------------ */

int32_t shoal_mailbox_drain(shoal_device_t handle, uint8_t *buffer, uint32_t capacity,
                            uint32_t *used) {
    if (!buffer || !used)
        return SHOAL_E_INVALID;
    if (capacity < MAILBOX_DRAIN_MIN)
        return SHOAL_E_SIZE;
    struct device *device = registry_acquire(handle);
    if (!device)
        return SHOAL_E_STALE;
    *used = (uint32_t)mailbox_drain(device->plane.post.mailbox, buffer, capacity);
    registry_release(handle);
    return SHOAL_OK;
}

int32_t shoal_datagram_send(shoal_device_t handle, const struct shoal_endpoint *to,
                            uint32_t endpoint_size, uint32_t tos, const uint8_t *bytes,
                            uint32_t length) {
    if (!to || endpoint_size != sizeof(*to))
        return SHOAL_E_SIZE;
    if (!api_endpoint_ok(to) || to->remote.family == SHOAL_AF_NONE || tos > 255 || !bytes ||
        length == 0 || length > SHOAL_DATAGRAM_MAX)
        return SHOAL_E_INVALID;
    struct device *device = registry_acquire(handle);
    if (!device)
        return SHOAL_E_STALE;
    enum shoal_status status = binding_send(device, to, (uint8_t)tos, bytes, length);
    registry_release(handle);
    return status;
}
