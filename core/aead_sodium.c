/* libsodium, for ChaCha20-Poly1305. It works on the raw key and keeps nothing between packets. */
#include "aead_backend.h"

#include <sodium.h>

static bool sodium_has(enum aead_suite suite) { return suite == AEAD_CHACHA20_POLY1305; }

static void *sodium_create(void) {
    static char nothing;
    return sodium_init() < 0 ? NULL : &nothing; /* picks the SIMD code; safe to repeat */
}

static void sodium_keeps_nothing(void *ciphers) { (void)ciphers; }

static bool sodium_seal(void *ciphers, const struct aead_key *key, struct aead_packet *packets,
                        size_t n, const struct aead_extra *extra) {
    uint8_t nonce[AEAD_NONCE_SIZE];
    (void)ciphers;
    for (size_t i = 0; i < n; i++) {
        aead_nonce(nonce, packets[i].counter, extra);
        if (crypto_aead_chacha20poly1305_ietf_encrypt(
                packets[i].out, NULL, packets[i].in, packets[i].length, extra ? extra->ad : NULL,
                extra ? extra->ad_length : 0, NULL, nonce, key->bytes) != 0)
            return false;
    }
    return true;
}

static void sodium_open(void *ciphers, const struct aead_key *key, struct aead_packet *packets,
                        size_t n, const struct aead_extra *extra) {
    uint8_t nonce[AEAD_NONCE_SIZE];
    (void)ciphers;
    for (size_t i = 0; i < n; i++) {
        aead_nonce(nonce, packets[i].counter, extra);
        packets[i].ok =
            crypto_aead_chacha20poly1305_ietf_decrypt(
                packets[i].out, NULL, NULL, packets[i].in, packets[i].length,
                extra ? extra->ad : NULL, extra ? extra->ad_length : 0, nonce, key->bytes) == 0;
    }
}

const struct aead_backend aead_sodium = {
    .name = "libsodium",
    .has = sodium_has,
    .create = sodium_create,
    .free = sodium_keeps_nothing,
    .forget = sodium_keeps_nothing,
    .seal = sodium_seal,
    .open = sodium_open,
};
