/*
 * What a back-end of aead.h is made of.
 */
#ifndef SHOAL_AEAD_BACKEND_H
#define SHOAL_AEAD_BACKEND_H

#include <openssl/evp.h>
#include <sodium.h>

#include "aead.h"

/** One packet with all that the RFCs let vary. */
struct aead_operation {
    uint8_t *out;
    const uint8_t *in;
    size_t length; /* of the plaintext */
    const uint8_t *nonce;
    const uint8_t *ad;
    size_t ad_length;
};

struct aead_backend {
    const char *name;
    bool (*has)(enum aead_suite suite);
    bool (*init)(struct aead_key *key, const uint8_t bytes[AEAD_KEY_SIZE]);
    void (*wipe)(struct aead_key *key);
    bool (*seal)(struct aead_key *key, const struct aead_operation *op);
    bool (*open)(struct aead_key *key, const struct aead_operation *op);
};

/* What a back-end keeps of a key. Only its own member is filled. */
struct aead_key {
    const struct aead_backend *backend;
    enum aead_suite suite;
    enum aead_direction direction;
    EVP_CIPHER_CTX *openssl; /* keyed once, only the nonce changes */
    union {
        uint8_t bytes[AEAD_KEY_SIZE];
        crypto_aead_aes256gcm_state gcm; /* the key schedule and the powers of H */
    } sodium;
};

extern const struct aead_backend aead_openssl;
extern const struct aead_backend aead_sodium;

#endif
