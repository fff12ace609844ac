/*
 * The registry of open devices: the only global state of the library.
 *
 * A handle is slot + generation << 32. Every call on a device holds its slot's lock from acquire to
 * release, so calls on one device follow one another and none meets a device that is being closed.
 */
#ifndef SHOAL_REGISTRY_H
#define SHOAL_REGISTRY_H

#include "shoal.h"

#define REGISTRY_DEVICES_MAX 64u

struct device;

/** Claims a slot for a device that is being made; SHOAL_E_FULL when all are claimed. */
enum shoal_status registry_claim(shoal_device_t *handle);

/** Fills the claimed slot: the handle is valid from here on. */
void registry_publish(shoal_device_t handle, struct device *device);

/** Takes the device out, so that no later call finds it; NULL for a handle that names none. */
struct device *registry_take(shoal_device_t handle);

/** Gives a claimed or emptied slot back; its handle is stale for ever. */
void registry_give_back(shoal_device_t handle);

/** The device, with its slot locked; NULL and nothing locked for a handle that names none. */
struct device *registry_acquire(shoal_device_t handle);

void registry_release(shoal_device_t handle);

#endif
