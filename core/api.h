/*
 * What the files of exported calls share: checks of arguments that come from outside.
 */
#ifndef SHOAL_API_H
#define SHOAL_API_H

#include <stdbool.h>
#include <stdint.h>

#include "device.h"
#include "failure.h"
#include "registry.h"
#include "shoal.h"

/** Families known and equal, a port where there is a remote, no v4-mapped IPv6; or no remote. */
bool api_endpoint_ok(const struct shoal_endpoint *endpoint);

#endif
