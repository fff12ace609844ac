/*
 * The binding of a device: its port, its mark, and the sockets of its workers, which move to
 * another port as a whole or not at all.
 */
#ifndef SHOAL_BINDING_H
#define SHOAL_BINDING_H

#include <stdint.h>

#include "shoal.h"

struct device;

/** Moves to a port; 0: one that the kernel chooses, the same in both families. */
enum shoal_status binding_move(struct device *device, uint16_t port, uint32_t fwmark,
                               struct shoal_error *error);

/** Closes the sockets. */
void binding_close(struct device *device);

/** SHOAL_E_SYSTEM with errno: nothing has changed. */
enum shoal_status binding_set_fwmark(struct device *device, uint32_t fwmark);

/** One control datagram; SHOAL_E_STATE, SHOAL_E_NO_ROUTE, SHOAL_E_SYSTEM. */
enum shoal_status binding_send(struct device *device, const struct shoal_endpoint *to, uint8_t tos,
                               const uint8_t *bytes, uint32_t length);

/** Mask of families whose sockets are open: bit 0 IPv4, bit 1 IPv6. */
uint32_t binding_families(const struct device *device);

#endif
