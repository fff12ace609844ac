#include "aead_backend.h"

#include <string.h>

#include <sodium.h>

static bool libsodium_init(struct aead_key *key, const uint8_t bytes[AEAD_KEY_SIZE]) {
    if (sodium_init() < 0) /* picks the SIMD code; safe to repeat */
        return false;
    memcpy(key->bytes, bytes, AEAD_KEY_SIZE);
    return true;
}

static void libsodium_wipe(struct aead_key *key) { sodium_memzero(key->bytes, AEAD_KEY_SIZE); }

static bool libsodium_seal(struct aead_key *key, const struct operation *op) {
    return crypto_aead_chacha20poly1305_ietf_encrypt(op->out, NULL, op->in, op->length, op->ad,
                                                     op->ad_length, NULL, op->nonce,
                                                     key->bytes) == 0;
}

static bool libsodium_open(struct aead_key *key, const struct operation *op) {
    return crypto_aead_chacha20poly1305_ietf_decrypt(op->out, NULL, NULL, op->in,
                                                     op->length + AEAD_TAG_SIZE, op->ad,
                                                     op->ad_length, op->nonce, key->bytes) == 0;
}

const struct aead_backend aead_sodium = {
    .name = "libsodium",
    .init = libsodium_init,
    .wipe = libsodium_wipe,
    .seal = libsodium_seal,
    .open = libsodium_open,
};
