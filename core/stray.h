/*
 * Of which places the control side hears that data of no session came from there. Whoever has
 * started anew gets data of sessions that it has forgotten; but anybody can send such. So each
 * source is told of ten times a second at most, and what one sends hides nothing that another
 * sends.
 */
#ifndef SHOAL_STRAY_H
#define SHOAL_STRAY_H

#include <stdbool.h>
#include <stdint.h>

#include "shoal.h"

#define STRAY_PACE_NS 100000000ull /* between two mails about one source */
#define STRAY_SOURCES 128u         /* those with one hash share a pace; there is nothing to fill */

/** Owner: the worker. */
struct stray {
    uint8_t key[16];
    uint64_t told[STRAY_SOURCES]; /* when data of no session was last told of; 0: never */
};

/** @param key 16 secret random bytes: nobody outside can choose who shares a pace. */
void stray_init(struct stray *stray, const uint8_t key[16]);

/** Whether data of no session from this place is to be told of now; true counts as told. */
bool stray_tell(struct stray *stray, const struct shoal_address *from, uint64_t now);

#endif
