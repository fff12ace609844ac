#include "offload.h"

#include <stddef.h>

void offload_found(struct offload *offload, uint32_t found, uint32_t off) {
    atomic_fetch_or_explicit(&offload->available, found, memory_order_relaxed);
    atomic_fetch_or_explicit(&offload->on, found & ~off, memory_order_relaxed);
}

bool offload_demote(struct offload *offload, uint32_t which) {
    if (!(atomic_fetch_and_explicit(&offload->on, ~which, memory_order_relaxed) & which))
        return false;
    atomic_fetch_or_explicit(&offload->demoted, which, memory_order_relaxed);
    return true;
}

void offload_retry(struct offload *offload, uint32_t which) {
    uint32_t was = atomic_fetch_and_explicit(&offload->demoted, ~which, memory_order_relaxed);
    atomic_fetch_or_explicit(&offload->on, was & which, memory_order_relaxed);
}

void offload_switch(struct offload *offload, uint32_t mask, uint32_t on) {
    uint32_t available = atomic_load_explicit(&offload->available, memory_order_relaxed);
    uint32_t now = atomic_load_explicit(&offload->on, memory_order_relaxed);
    atomic_fetch_and_explicit(&offload->demoted, ~mask, memory_order_relaxed);
    atomic_store_explicit(&offload->on, ((now & ~mask) | (on & mask)) & available,
                          memory_order_relaxed);
}

const char *offload_name(uint32_t which) {
    switch (which) {
    case SHOAL_OFFLOAD_TUN_TSO:
        return "tun-tso";
    case SHOAL_OFFLOAD_TUN_USO:
        return "tun-uso";
    case SHOAL_OFFLOAD_UDP_GSO:
        return "udp-gso";
    case SHOAL_OFFLOAD_UDP_GRO:
        return "udp-gro";
    case SHOAL_OFFLOAD_QUEUE_CONTROL:
        return "queue-control";
    case SHOAL_OFFLOAD_CONNECTED:
        return "connected-sockets";
    case SHOAL_OFFLOAD_LANES:
        return "lanes";
    default:
        return NULL;
    }
}
