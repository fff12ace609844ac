/*
 * A bundle: messages of one session that are sealed together, since lanes across packets
 * (aead_lanes.c) need several at once. Segments of a super-packet cannot wait for each other where
 * they are: the headers of one overwrite the end of the one before (segment.h). So they are copied
 * to where they will be sent from, 20 ns each, and sealed there. Where a back-end gains nothing by
 * numbers, nothing is copied: each message is a bundle of its own.
 */
#ifndef SHOAL_BUNDLE_H
#define SHOAL_BUNDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "aead.h"

#define BUNDLE_MAX AEAD_MANY_MIN /* small enough to stay in the nearest cache meanwhile */

/* Owner: whoever seals; empty between frames. */
struct bundle {
    struct aead_packet packets[BUNDLE_MAX];
    uint32_t count;
};

/**
 * Takes a message on. The caller seals when it is full, before any of it is sent, and before the
 * plaintext changes where this returns true.
 * @param message  header and place for the sealed text and tag; the header is written here.
 * @return it is to be sealed now.
 */
bool bundle_add(struct bundle *bundle, const struct aead *aead, const struct aead_key *key,
                uint8_t *message, uint32_t index, uint64_t counter, const uint8_t *plain,
                uint32_t length);

/** Seals and empties it. @return false: none of its messages may be sent */
bool bundle_seal(struct bundle *bundle, struct aead *aead, const struct aead_key *key);

#endif
