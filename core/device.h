/*
 * A device: what its workers share, and the mail that they send.
 */
#ifndef SHOAL_DEVICE_H
#define SHOAL_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "aead.h"
#include "forward.h"
#include "gate.h"
#include "netlink.h"
#include "offload.h"
#include "peer.h"
#include "post.h"
#include "quiesce.h"
#include "route.h"
#include "session.h"
#include "shoal.h"
#include "staging.h"
#include "stats.h"
#include "tun.h"

#define DEVICE_MTU_DEFAULT 1420u
#define DEVICE_PEERS_DEFAULT 65536u /* R17 */
#define DEVICE_PEERS_MAX (1u << 20) /* R17, the Linux driver's */
#define DEVICE_ROUTES_DEFAULT (1u << 20)
#define DEVICE_ROUTES_MAX (1u << 24)
#define DEVICE_STAGED_DEFAULT (8u << 20) /* bytes */
#define DEVICE_RECEIVE_BUFFER (4u << 20) /* bytes */
#define DEVICE_SEND_BUFFER (1u << 20)    /* bytes */
#define DEVICE_CALIBRATION_NS 5000000ull

/*
 * Owner: the control thread (whoever holds the registry's lock of this device). Workers read what
 * they need between standstills; `peers`, `routes`, `sessions`, `staging`, `forward` and `gate`
 * change only at a standstill or, sessions' removal and staging, by the worker. Atomics are read by
 * anybody.
 */
struct device {
    uint32_t flags;
    uint32_t worker_count;
    struct worker **workers;
    struct quiesce quiesce;
    struct tun tun;
    struct netlink *netlink; /* requests; NULL without interface */
    struct offload offload;
    uint32_t offloads_off; /* switched off at open; what a probe finds later stays off too */
    const struct aead_backend *aead;
    struct peer_table peers;
    struct route_table *routes;
    struct session_table sessions;
    struct staging_pool staging;
    struct forward forward;
    struct gate *gate;
    struct post post;
    _Atomic uint16_t port; /* 0: not bound */
    uint32_t fwmark;
    uint32_t receive_buffer;
    struct stats stats; /* of the control thread */
    _Atomic uint32_t mtu;
    _Atomic uint32_t link_up;
    _Atomic uint32_t ifindex; /* at home, now; 0: none, or it is in another namespace */
    _Atomic uint32_t
        route_changes; /* news of routes so far: sources older than that are asked for */
    _Atomic bool stopping;
};

/** Creates everything and starts the workers. *error says what failed. */
enum shoal_status device_open(const struct shoal_device_config *config, struct device **device,
                              struct shoal_error *error);

/** Stops the workers, wipes keys, closes all but the doorbell's far end. */
void device_close(struct device *device);

enum shoal_status device_bind(struct device *device, uint16_t port, uint32_t fwmark,
                              struct shoal_error *error);
void device_unbind(struct device *device);

enum shoal_status device_set_fwmark(struct device *device, uint32_t fwmark);

/** One control datagram; SHOAL_E_STATE, SHOAL_E_NO_ROUTE, SHOAL_E_SYSTEM. */
enum shoal_status device_send(struct device *device, const struct shoal_endpoint *to, uint8_t tos,
                              const uint8_t *bytes, uint32_t length);

/** Makes kernel and coalescers follow `offload.on`. At a standstill. */
void device_apply_offloads(struct device *device);

#endif
