/*
 * The exported calls about peers, sessions and routes. Each changes the tables at a standstill of
 * the workers, or reads facts without one.
 */
#include "api.h"

#include <string.h>

#include "address.h"
#include "edge.h"
#include "pass.h"

/* A peer at a standstill. Owner: the calling thread, from begin to end. */
struct standstill {
    shoal_device_t handle;
    struct device *device;
    struct pass *pass; /* of its worker */
    struct peer *peer;
};

static int32_t begin(struct standstill *still, shoal_device_t handle, shoal_peer_t peer) {
    still->handle = handle;
    still->device = registry_acquire(handle);
    if (!still->device)
        return SHOAL_E_STALE;
    still->peer = peer_table_find(&still->device->plane.peers, peer);
    if (!still->peer) {
        registry_release(handle);
        return SHOAL_E_STALE;
    }
    device_stop(still->device);
    still->pass = &device_owner(still->device, still->peer)->pass;
    tx_begin(still->pass);
    return SHOAL_OK;
}

static int32_t end(struct standstill *still, int32_t status) {
    device_resume(still->device);
    registry_release(still->handle);
    return status;
}

/* ---- Peers ------------------------------------------------------------------------------- */

bool api_endpoint_ok(const struct shoal_endpoint *endpoint) {
    const struct shoal_address *remote = &endpoint->remote, *local = &endpoint->local;
    if (endpoint->reserved)
        return false;
    if (remote->family == SHOAL_AF_NONE)
        return local->family == SHOAL_AF_NONE;
    return address_takes_datagrams(remote) &&
           (local->family == SHOAL_AF_NONE ||
            (local->family == remote->family && address_valid(local)));
}

/* What an address does not use is zero, as in what is received: the two are compared as bytes. */
static void normalise(struct shoal_address *address) {
    if (address->family != SHOAL_AF_INET6)
        memset(address->ip + 4, 0, sizeof(address->ip) - 4);
    bool link_local = address->ip[0] == 0xfe && (address->ip[1] & 0xc0) == 0x80;
    if (address->family != SHOAL_AF_INET6 || !link_local)
        address->scope = 0;
}

int32_t shoal_peer_add(shoal_device_t handle, uint32_t tag, shoal_peer_t *peer) {
    if (!peer)
        return SHOAL_E_INVALID;
    struct device *device = registry_acquire(handle);
    if (!device)
        return SHOAL_E_STALE;
    device_stop(device);
    enum shoal_status status = peer_table_add(&device->plane.peers, tag, peer);
    if (status == SHOAL_OK)
        peer_table_find(&device->plane.peers, *peer)->worker = tag % device->worker_count;
    device_resume(device);
    if (status == SHOAL_E_FULL)
        stats_add(&device->stats, COUNT_peers_refused, 1);
    registry_release(handle);
    return status;
}

/* The kernel is told whose worker a peer's prefixes lead to, and that they are spread over its
 * lanes. */
static void steer(struct standstill *still, const struct peer *peer) {
    struct shoal_prefix prefix;
    uint32_t cursor = 0;
    while (route_next(still->device->plane.routes, peer->slot, &cursor, &prefix))
        if (!steering_add(&still->device->steering, &prefix, peer->worker, peer->spread))
            stats_add(&still->device->stats, COUNT_steering_refused, 1);
}

static uint32_t lanes_at_most(const struct device *device) {
    return device->worker_count < SHOAL_LANES_MAX ? device->worker_count : SHOAL_LANES_MAX;
}

int32_t shoal_peer_add_lane(shoal_device_t handle, shoal_peer_t peer, uint32_t tag,
                            shoal_peer_t *lane) {
    if (!lane)
        return SHOAL_E_INVALID;
    struct standstill still;
    int32_t status = begin(&still, handle, peer);
    if (status != SHOAL_OK)
        return status;
    struct device *device = still.device;
    struct peer *first = still.peer;
    if (!offload_has(&device->plane.offload, SHOAL_OFFLOAD_LANES))
        return end(&still, SHOAL_E_STATE);
    if (first->lanes[0] != first || first->speaks_for != first->slot)
        return end(&still, SHOAL_E_INVALID);
    if (first->lane_count >= lanes_at_most(device))
        return end(&still, SHOAL_E_FULL);
    uint32_t worker = (first->worker + first->lane_count) % device->worker_count;
    if (tag % device->worker_count != worker)
        return end(&still, SHOAL_E_INVALID);
    status = (int32_t)peer_table_add(&device->plane.peers, tag, lane);
    if (status == SHOAL_OK) {
        struct peer *added = peer_table_find(&device->plane.peers, *lane);
        added->worker = worker;
        peer_join_lanes(first, added);
        connected_forget(still.pass, first); /* it would take what comes for the lane */
        steer(&still, first);
    } else if (status == SHOAL_E_FULL) {
        stats_add(&device->stats, COUNT_peers_refused, 1);
    }
    return end(&still, status);
}

int32_t shoal_peer_spread(shoal_device_t handle, shoal_peer_t peer, uint32_t lanes) {
    struct standstill still;
    int32_t status = begin(&still, handle, peer);
    if (status != SHOAL_OK)
        return status;
    if (lanes < 1 || lanes > still.peer->lane_count)
        return end(&still, SHOAL_E_INVALID);
    still.peer->spread = lanes;
    steer(&still, still.peer);
    return end(&still, SHOAL_OK);
}

static void discard_staged(struct standstill *still) {
    uint32_t count = staging_clear(&still->pass->staging, &still->peer->staging);
    stats_add(&still->pass->stats, COUNT_drop_tx_staging_discarded, count);
    facts_add(&still->peer->facts.dropped, count);
    flush_remove(&still->pass->flush, still->peer);
    peer_publish_staged(still->peer);
}

static void set_guest(struct standstill *still, bool guest) {
    if (still->peer->guest != guest)
        still->device->plane.forward.guests += guest ? 1 : -1;
    still->peer->guest = guest;
}

/* The kernel forgets whose worker the peer's prefixes led to. */
static void unsteer(struct standstill *still) {
    struct shoal_prefix prefix;
    uint32_t cursor = 0;
    while (route_next(still->device->plane.routes, still->peer->slot, &cursor, &prefix))
        steering_remove(&still->device->steering, &prefix);
}

int32_t shoal_peer_remove(shoal_device_t handle, shoal_peer_t peer) {
    struct standstill still;
    int32_t status = begin(&still, handle, peer);
    if (status != SHOAL_OK)
        return status;
    tx_forget(still.pass, still.peer);
    connected_forget(still.pass, still.peer);
    discard_staged(&still);
    set_guest(&still, false);
    peer_clear_sessions(still.peer, &still.pass->sessions);
    unsteer(&still);
    struct peer *first = still.peer->lanes[0];
    peer_leave_lanes(still.peer);
    if (first != still.peer)
        steer(&still, first);
    route_remove_peer(still.device->plane.routes, still.peer->slot);
    peer_table_remove(&still.device->plane.peers, still.peer);
    return end(&still, SHOAL_OK);
}

int32_t shoal_peer_set_endpoint(shoal_device_t handle, shoal_peer_t peer,
                                const struct shoal_endpoint *endpoint, uint32_t endpoint_size) {
    if (!endpoint || endpoint_size != sizeof(*endpoint))
        return SHOAL_E_SIZE;
    if (!api_endpoint_ok(endpoint))
        return SHOAL_E_INVALID;
    struct standstill still;
    int32_t status = begin(&still, handle, peer);
    if (status != SHOAL_OK)
        return status;
    struct shoal_endpoint normal = *endpoint;
    normalise(&normal.remote);
    normalise(&normal.local);
    normal.local.port = 0;
    pass_set_endpoint(still.pass, still.peer, &normal);
    return end(&still, SHOAL_OK);
}

int32_t shoal_peer_clear_source(shoal_device_t handle, shoal_peer_t peer) {
    struct standstill still;
    int32_t status = begin(&still, handle, peer);
    if (status != SHOAL_OK)
        return status;
    struct shoal_endpoint endpoint = still.peer->endpoint;
    memset(&endpoint.local, 0, sizeof(endpoint.local));
    endpoint.ifindex = 0;
    pass_set_endpoint(still.pass, still.peer, &endpoint);
    return end(&still, SHOAL_OK);
}

int32_t shoal_peer_set_offline(shoal_device_t handle, shoal_peer_t peer, uint32_t offline) {
    if (offline > 1)
        return SHOAL_E_INVALID;
    struct standstill still;
    int32_t status = begin(&still, handle, peer);
    if (status != SHOAL_OK)
        return status;
    still.peer->offline = offline;
    return end(&still, SHOAL_OK);
}

int32_t shoal_peer_set_guest(shoal_device_t handle, shoal_peer_t peer, uint32_t guest) {
    if (guest > 1)
        return SHOAL_E_INVALID;
    struct standstill still;
    int32_t status = begin(&still, handle, peer);
    if (status != SHOAL_OK)
        return status;
    if (still.peer->speaks_for != still.peer->slot)
        return end(&still, SHOAL_E_INVALID);
    set_guest(&still, guest);
    return end(&still, SHOAL_OK);
}

int32_t shoal_peer_set_staying(shoal_device_t handle, shoal_peer_t peer, uint32_t staying) {
    if (staying > 1)
        return SHOAL_E_INVALID;
    struct standstill still;
    int32_t status = begin(&still, handle, peer);
    if (status != SHOAL_OK)
        return status;
    still.peer->staying = staying;
    return end(&still, SHOAL_OK);
}

int32_t shoal_peer_arm(shoal_device_t handle, shoal_peer_t peer, uint32_t edges) {
    if (edges & ~SHOAL_EDGE_ALL)
        return SHOAL_E_INVALID;
    struct standstill still;
    int32_t status = begin(&still, handle, peer);
    if (status != SHOAL_OK)
        return status;
    edge_arm(still.pass, still.peer, edges);
    return end(&still, SHOAL_OK);
}

int32_t shoal_peer_keepalive(shoal_device_t handle, shoal_peer_t peer, uint32_t flags) {
    if (flags & ~SHOAL_KEEPALIVE_UNLESS_SENT)
        return SHOAL_E_INVALID;
    struct standstill still;
    int32_t status = begin(&still, handle, peer);
    if (status != SHOAL_OK)
        return status;
    struct session *session = still.peer->sessions[PEER_CURRENT];
    if (!session_can_send(session, still.pass->now, 1) ||
        still.peer->endpoint.remote.family == SHOAL_AF_NONE)
        return end(&still, SHOAL_E_STATE);
    bool sent = still.peer->flush_listed ||
                atomic_load_explicit(&session->counter, memory_order_relaxed) > 0;
    if (!(flags & SHOAL_KEEPALIVE_UNLESS_SENT) || !sent) {
        if (!tx_keepalive(still.pass, still.peer, session))
            return end(&still, SHOAL_E_STATE);
        tx_flush(still.pass);
    }
    return end(&still, SHOAL_OK);
}

int32_t shoal_peer_drop_staged(shoal_device_t handle, shoal_peer_t peer) {
    struct standstill still;
    int32_t status = begin(&still, handle, peer);
    if (status != SHOAL_OK)
        return status;
    discard_staged(&still);
    return end(&still, SHOAL_OK);
}

int32_t shoal_peer_clear_sessions(shoal_device_t handle, shoal_peer_t peer) {
    struct standstill still;
    int32_t status = begin(&still, handle, peer);
    if (status != SHOAL_OK)
        return status;
    peer_clear_sessions(still.peer, &still.pass->sessions);
    return end(&still, SHOAL_OK);
}

int32_t shoal_peer_facts(shoal_device_t handle, shoal_peer_t peer, struct shoal_peer_facts *facts,
                         uint32_t facts_size) {
    if (!facts || facts_size != sizeof(*facts))
        return SHOAL_E_SIZE;
    struct device *device = registry_acquire(handle);
    if (!device)
        return SHOAL_E_STALE;
    struct peer *found = peer_table_find(&device->plane.peers, peer);
    if (found)
        facts_copy(&found->facts, facts);
    registry_release(handle);
    return found ? SHOAL_OK : SHOAL_E_STALE;
}

/* ---- Sessions ---------------------------------------------------------------------------- */

int32_t shoal_session_install(shoal_device_t handle, shoal_peer_t peer,
                              const struct shoal_session *description, uint32_t session_size) {
    if (!description || session_size != sizeof(*description))
        return SHOAL_E_SIZE;
    if (description->suite >= AEAD_SUITES ||
        (description->role != SHOAL_ROLE_INITIATOR && description->role != SHOAL_ROLE_RESPONDER))
        return SHOAL_E_INVALID;
    if (!aead_suite_here(description->suite))
        return SHOAL_E_UNKNOWN;
    struct standstill still;
    int32_t status = begin(&still, handle, peer);
    if (status != SHOAL_OK)
        return status;
    if (steering_owner(description->local_index, still.device->worker_count) != still.peer->worker)
        return end(&still, SHOAL_E_INVALID);
    struct session *session = session_create(description, still.peer, still.pass->now);
    if (!session)
        return end(&still, SHOAL_E_MEMORY);
    status = peer_install(still.peer, &still.pass->sessions, session);
    if (status != SHOAL_OK) {
        session_free(session);
        return end(&still, status);
    }
    if (session->role == SHOAL_ROLE_INITIATOR && still.peer->staging.count) {
        tx_flush_staged(still.pass, still.peer);
        tx_flush(still.pass);
    }
    return end(&still, SHOAL_OK);
}

/* ---- Routes ------------------------------------------------------------------------------ */

int32_t shoal_route_add(shoal_device_t handle, shoal_peer_t peer, const struct shoal_prefix *prefix,
                        uint32_t prefix_size) {
    if (!prefix || prefix_size != sizeof(*prefix))
        return SHOAL_E_SIZE;
    struct standstill still;
    int32_t status = begin(&still, handle, peer);
    if (status != SHOAL_OK)
        return status;
    if (still.peer->speaks_for != still.peer->slot)
        return end(&still, SHOAL_E_INVALID);
    status = (int32_t)route_insert(still.device->plane.routes, prefix, still.peer->slot);
    if (status == SHOAL_E_FULL)
        stats_add(&still.pass->stats, COUNT_routes_refused, 1);
    if (status == SHOAL_OK &&
        !steering_add(&still.device->steering, prefix, still.peer->worker, still.peer->spread))
        stats_add(&still.device->stats, COUNT_steering_refused, 1);
    return end(&still, status);
}

int32_t shoal_route_remove(shoal_device_t handle, shoal_peer_t peer,
                           const struct shoal_prefix *prefix, uint32_t prefix_size) {
    if (!prefix || prefix_size != sizeof(*prefix))
        return SHOAL_E_SIZE;
    struct standstill still;
    int32_t status = begin(&still, handle, peer);
    if (status != SHOAL_OK)
        return status;
    const struct route_table *routes = still.device->plane.routes;
    uint32_t before = route_count(routes);
    status = (int32_t)route_remove(still.device->plane.routes, prefix, still.peer->slot);
    if (route_count(routes) < before) /* it was this peer's */
        steering_remove(&still.device->steering, prefix);
    return end(&still, status);
}
