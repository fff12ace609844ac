/*
 * What the kernel can do for us, found out once, and what is in use now: granted at the probe, not
 * switched off by the caller, not demoted because the kernel refused it at run time (contract 10).
 */
#ifndef SHOAL_OFFLOAD_H
#define SHOAL_OFFLOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shoal.h"

/* Owner: the control thread at a standstill, or the worker that demotes; anybody reads. */
struct offload {
    _Atomic uint32_t available; /* mask of enum shoal_offload */
    _Atomic uint32_t on;        /* subset of available */
    _Atomic uint32_t demoted;   /* refused at run time, and not tried again since */
};

static inline bool offload_has(const struct offload *offload, uint32_t which) {
    return (atomic_load_explicit(&offload->on, memory_order_relaxed) & which) == which;
}

/** The probe found these; they go on unless `off` names them. */
void offload_found(struct offload *offload, uint32_t found, uint32_t off);

/** The kernel refused it at run time. @return false when it was off already. */
bool offload_demote(struct offload *offload, uint32_t which);

/** Tries again what was refused at run time: what refused it may be gone. */
void offload_retry(struct offload *offload, uint32_t which);

/** By request; on only where available. */
void offload_switch(struct offload *offload, uint32_t mask, uint32_t on);

/** "tun-tso" and so on; NULL for what is not one bit of enum shoal_offload. */
const char *offload_name(uint32_t which);

#endif
