/*
 * What an outer address must be before anything is sent to it. The exported calls refuse every
 * other one, and a datagram that came from such an address is dropped where it arrives: nobody
 * above ever learns of a place that it may not answer.
 */
#ifndef SHOAL_ADDRESS_H
#define SHOAL_ADDRESS_H

#include <stdbool.h>
#include <string.h>

#include "shoal.h"

/** Of a family, and not an IPv4 address written as IPv6 (::ffff:a.b.c.d). */
static inline bool address_valid(const struct shoal_address *address) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return address->family == SHOAL_AF_INET ||
           (address->family == SHOAL_AF_INET6 && memcmp(address->ip, mapped, sizeof(mapped)) != 0);
}

/** Valid, and with a port: 0 is the source port of a sender that wants no answer (RFC 768). */
static inline bool address_takes_datagrams(const struct shoal_address *address) {
    return address_valid(address) && address->port != 0;
}

#endif
