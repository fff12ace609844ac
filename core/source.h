/*
 * Where a datagram came from, as far as shares and rates are given: one IPv4 address, or the /64 of
 * an IPv6 one, since nobody is given less (R15).
 */
#ifndef SHOAL_SOURCE_H
#define SHOAL_SOURCE_H

#include <stdint.h>

#include "shoal.h"

struct source {
    uint64_t prefix;
    uint32_t family; /* enum shoal_family */
};

struct source source_of(const struct shoal_address *address);

/** SipHash-2-4 with a secret key of 16 bytes: nobody outside can choose who shares a bucket. */
uint64_t source_hash(const struct source *source, const uint8_t key[16]);

#endif
