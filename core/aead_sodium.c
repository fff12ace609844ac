#include "aead_backend.h"

#include <string.h>

static bool has(enum aead_suite suite) {
    return suite == AEAD_CHACHA20_POLY1305 || crypto_aead_aes256gcm_is_available();
}

static bool init(struct aead_key *key, const uint8_t bytes[AEAD_KEY_SIZE]) {
    if (key->suite == AEAD_AES_256_GCM)
        return crypto_aead_aes256gcm_beforenm(&key->sodium.gcm, bytes) == 0;
    memcpy(key->sodium.bytes, bytes, AEAD_KEY_SIZE);
    return true;
}

static void wipe(struct aead_key *key) { sodium_memzero(&key->sodium, sizeof(key->sodium)); }

static bool seal(struct aead_key *key, const struct aead_operation *op) {
    if (key->suite == AEAD_AES_256_GCM)
        return crypto_aead_aes256gcm_encrypt_afternm(op->out, NULL, op->in, op->length, op->ad,
                                                     op->ad_length, NULL, op->nonce,
                                                     &key->sodium.gcm) == 0;
    return crypto_aead_chacha20poly1305_ietf_encrypt(op->out, NULL, op->in, op->length, op->ad,
                                                     op->ad_length, NULL, op->nonce,
                                                     key->sodium.bytes) == 0;
}

static bool open_packet(struct aead_key *key, const struct aead_operation *op) {
    size_t sealed = op->length + AEAD_TAG_SIZE;
    if (key->suite == AEAD_AES_256_GCM)
        return crypto_aead_aes256gcm_decrypt_afternm(op->out, NULL, NULL, op->in, sealed, op->ad,
                                                     op->ad_length, op->nonce,
                                                     &key->sodium.gcm) == 0;
    return crypto_aead_chacha20poly1305_ietf_decrypt(op->out, NULL, NULL, op->in, sealed, op->ad,
                                                     op->ad_length, op->nonce,
                                                     key->sodium.bytes) == 0;
}

const struct aead_backend aead_sodium = {"libsodium", has, init, wipe, seal, open_packet};
