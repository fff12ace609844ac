/*
 * What a back-end is to aead.c. Each has a file of its own, named after its library.
 */
#ifndef SHOAL_AEAD_BACKEND_H
#define SHOAL_AEAD_BACKEND_H

#include <string.h>

#include "aead.h"

/** What public vectors vary beside the packet; packets have a nonce of their counter and no data.
 */
struct aead_extra {
    const uint8_t *nonce;
    const uint8_t *ad;
    size_t ad_length;
};

struct aead_backend {
    const char *name;
    bool gains_by_numbers; /* it works on several packets side by side */
    /** Has it this suite, which the machine has? Loads and tests what has to be, once. */
    bool (*has)(enum aead_suite suite);
    /** The ciphers of one thread, NULL when out of memory or the library refuses. */
    void *(*create)(void);
    void (*free)(void *ciphers);
    /** Clears the keys that they hold. */
    void (*forget)(void *ciphers);
    /** Lengths are in bounds. @param extra  NULL, or of the one packet. */
    bool (*seal)(void *ciphers, const struct aead_key *key, struct aead_packet *packets, size_t n,
                 const struct aead_extra *extra);
    /** Sets `ok` of each; lengths are in bounds, tag included. */
    void (*open)(void *ciphers, const struct aead_key *key, struct aead_packet *packets, size_t n,
                 const struct aead_extra *extra);
};

extern const struct aead_backend aead_openssl;
extern const struct aead_backend aead_sodium;
extern const struct aead_backend aead_ipsecmb;
extern const struct aead_backend aead_lanes_512;
extern const struct aead_backend aead_lanes_256;

/** It alone for a suite. */
static inline void aead_choose(struct aead_choice *choice, enum aead_suite suite,
                               const struct aead_backend *backend) {
    for (int count = 0; count < AEAD_COUNTS; count++)
        for (int class = 0; class < AEAD_CLASSES; class ++)
            choice->of[suite][count][class] = backend;
}

/** Twelve bytes: the extra nonce where there is one, else of the counter (R23). */
static inline void aead_nonce(uint8_t nonce[AEAD_NONCE_SIZE], uint64_t counter,
                              const struct aead_extra *extra) {
    if (extra) {
        memcpy(nonce, extra->nonce, AEAD_NONCE_SIZE);
        return;
    }
    memset(nonce, 0, 4);
    for (unsigned i = 0; i < 8; i++)
        nonce[4 + i] = (uint8_t)(counter >> 8 * i);
}

/** In the same time wherever they differ: two words, one branch. (sodium_memcmp goes byte by byte
 * through volatile memory, 5 % of all that receiving AES-256-GCM costs.) */
static inline bool aead_tags_equal(const void *a, const void *b) {
    uint64_t x[2], y[2];
    _Static_assert(AEAD_TAG_SIZE == sizeof(x), "a tag is two words");
    memcpy(x, a, sizeof(x));
    memcpy(y, b, sizeof(y));
    return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

#endif
