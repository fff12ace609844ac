/*
 * A device: what its workers share, and the mail that they send.
 */
#ifndef SHOAL_DEVICE_H
#define SHOAL_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "around.h"
#include "binding.h"
#include "guard.h"
#include "interface.h"
#include "netlink.h"
#include "placement.h"
#include "plane.h"
#include "routes.h"
#include "shoal.h"
#include "stats.h"
#include "steering.h"
#include "tun.h"
#include "worker.h"

#define DEVICE_MTU_DEFAULT 1420u
#define DEVICE_PEERS_DEFAULT 65536u /* R17 */
#define DEVICE_PEERS_MAX (1u << 20) /* R17, the Linux driver's */
#define DEVICE_ROUTES_DEFAULT (1u << 20)
#define DEVICE_ROUTES_MAX (1u << 24)
#define DEVICE_STAGED_DEFAULT (8u << 20) /* bytes */
#define DEVICE_RECEIVE_BUFFER (4u << 20) /* bytes */
#define DEVICE_CALIBRATION_NS 5000000ull

/* Owner: the control thread (whoever holds the registry's lock of this device). */
struct device {
    uint32_t worker_count;
    struct placement placement;
    struct worker **workers;
    struct plane plane;
    struct tun tun;
    int *queues; /* of the TUN, one a worker; the first is tun.fd. NULL: all share that one */
    struct steering steering;
    struct interface interface;
    struct netlink *netlink; /* requests; NULL without interface */
    struct guard *guard;     /* NULL: nothing is guarded */
    struct routes routes;    /* questions of the control thread */
    struct around around;    /* ways of what it sends */
    uint32_t offloads_off;   /* switched off at open; what a probe finds later stays off too */
    struct stats stats;      /* of the control thread */
};

/** Creates everything and starts the workers. *error says what failed. */
enum shoal_status device_open(const struct shoal_device_config *config, struct device **device,
                              struct shoal_error *error);

/** Stops the workers, wipes keys, closes all but the doorbell's far end. */
void device_close(struct device *device);

/** Stops all workers: what they own, and the plane, is the control thread's until device_resume. */
void device_stop(struct device *device);

/** Settles every worker and lets them go on. */
void device_resume(struct device *device);

/** The worker of a peer. */
static inline struct worker *device_owner(const struct device *device, const struct peer *peer) {
    return device->workers[peer->worker];
}

/** The way of a control datagram past our own interface: around.h. */
static inline uint32_t device_way(struct device *device, const struct shoal_address *to) {
    return around_way(&device->around, &device->routes, &device->stats, &device->plane, to);
}

/** Makes kernel and coalescers follow `offload.on`. At a standstill. */
void device_apply_offloads(struct device *device);

#endif
