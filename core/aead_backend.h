/*
 * What a back-end is to aead.c. Each has a file of its own, named after its library.
 */
#ifndef SHOAL_AEAD_BACKEND_H
#define SHOAL_AEAD_BACKEND_H

#include <openssl/evp.h>

#include "aead.h"

/** One packet with all that RFC 8439 lets vary. */
struct operation {
    uint8_t *out;
    const uint8_t *in;
    size_t length; /* of the plaintext */
    const uint8_t *nonce;
    const uint8_t *ad;
    size_t ad_length;
};

struct aead_backend {
    const char *name;
    bool (*init)(struct aead_key *key, const uint8_t bytes[AEAD_KEY_SIZE]);
    void (*wipe)(struct aead_key *key);
    bool (*seal)(struct aead_key *key, const struct operation *op);
    bool (*open)(struct aead_key *key, const struct operation *op);
};

struct aead_key {
    const struct aead_backend *backend;
    enum aead_direction direction;
    EVP_CIPHER_CTX *cipher;       /* openssl: keyed once, only the nonce changes */
    uint8_t bytes[AEAD_KEY_SIZE]; /* libsodium */
};

extern const struct aead_backend aead_openssl;
extern const struct aead_backend aead_sodium;

#endif
