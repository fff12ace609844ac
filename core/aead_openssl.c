/*
 * OpenSSL's libcrypto. A context is keyed again only when the key is another than that of the
 * packet before.
 */
#include "aead_backend.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

struct context {
    EVP_CIPHER_CTX *cipher;
    uint64_t serial; /* of the key in it; 0: none */
};

/* Of a suite that the machine lacks there are none. */
struct openssl {
    struct context seal[AEAD_SUITES], open[AEAD_SUITES];
};

static bool openssl_has(enum aead_suite suite) {
    (void)suite;
    return true;
}

static void openssl_free(void *ciphers) {
    struct openssl *openssl = ciphers;
    for (int suite = 0; suite < AEAD_SUITES; suite++) {
        EVP_CIPHER_CTX_free(openssl->seal[suite].cipher); /* cleanses the key schedule */
        EVP_CIPHER_CTX_free(openssl->open[suite].cipher);
    }
    free(openssl);
}

static EVP_CIPHER_CTX *context_new(enum aead_suite suite, int seal) {
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    const EVP_CIPHER *kind =
        suite == AEAD_AES_256_GCM ? EVP_aes_256_gcm() : EVP_chacha20_poly1305();
    if (cipher && EVP_CipherInit_ex(cipher, kind, NULL, NULL, NULL, seal) == 1)
        return cipher;
    EVP_CIPHER_CTX_free(cipher);
    return NULL;
}

static void *openssl_create(void) {
    struct openssl *openssl = calloc(1, sizeof(*openssl));
    if (!openssl)
        return NULL;
    for (enum aead_suite suite = 0; suite < AEAD_SUITES; suite++) {
        if (!aead_suite_here(suite))
            continue;
        openssl->seal[suite].cipher = context_new(suite, 1);
        openssl->open[suite].cipher = context_new(suite, 0);
        if (openssl->seal[suite].cipher && openssl->open[suite].cipher)
            continue;
        openssl_free(openssl);
        return NULL;
    }
    return openssl;
}

/* A key of zeros takes the place of the last one: that is cheaper than a new context. */
static void context_forget(struct context *context) {
    static const uint8_t zero[AEAD_KEY_SIZE];
    if (context->serial)
        (void)EVP_CipherInit_ex(context->cipher, NULL, NULL, zero, zero, -1);
    context->serial = 0;
}

static void openssl_forget(void *ciphers) {
    struct openssl *openssl = ciphers;
    for (int suite = 0; suite < AEAD_SUITES; suite++) {
        context_forget(&openssl->seal[suite]);
        context_forget(&openssl->open[suite]);
    }
}

static bool start(struct context *context, const struct aead_key *key, const uint8_t *nonce) {
    const uint8_t *bytes = context->serial == key->serial ? NULL : key->bytes;
    context->serial = 0; /* until it is surely this one that is in it */
    if (EVP_CipherInit_ex(context->cipher, NULL, NULL, bytes, nonce, -1) != 1)
        return false;
    context->serial = key->serial;
    return true;
}

static bool add(EVP_CIPHER_CTX *cipher, const struct aead_extra *extra) {
    int n;
    return !extra || extra->ad_length == 0 ||
           EVP_CipherUpdate(cipher, NULL, &n, extra->ad, (int)extra->ad_length) == 1;
}

static bool openssl_seal(void *ciphers, const struct aead_key *key, struct aead_packet *packets,
                         size_t n, const struct aead_extra *extra) {
    struct context *context = &((struct openssl *)ciphers)->seal[key->suite];
    EVP_CIPHER_CTX *cipher = context->cipher;
    uint8_t nonce[AEAD_NONCE_SIZE];
    int done;
    for (size_t i = 0; i < n; i++) {
        const struct aead_packet *packet = &packets[i];
        uint8_t *tag = packet->out + packet->length;
        aead_nonce(nonce, packet->counter, extra);
        if (!start(context, key, nonce) || !add(cipher, extra) ||
            EVP_EncryptUpdate(cipher, packet->out, &done, packet->in, (int)packet->length) != 1 ||
            EVP_EncryptFinal_ex(cipher, tag, &done) != 1 ||
            EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE, tag) != 1)
            return false;
    }
    return true;
}

static void openssl_open(void *ciphers, const struct aead_key *key, struct aead_packet *packets,
                         size_t n, const struct aead_extra *extra) {
    struct context *context = &((struct openssl *)ciphers)->open[key->suite];
    EVP_CIPHER_CTX *cipher = context->cipher;
    uint8_t nonce[AEAD_NONCE_SIZE], tag[AEAD_TAG_SIZE];
    int done;
    for (size_t i = 0; i < n; i++) {
        struct aead_packet *packet = &packets[i];
        uint32_t length = packet->length - AEAD_TAG_SIZE;
        memcpy(tag, packet->in + length, AEAD_TAG_SIZE);
        aead_nonce(nonce, packet->counter, extra);
        packet->ok = start(context, key, nonce) &&
                     EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_SIZE, tag) == 1 &&
                     add(cipher, extra) &&
                     EVP_DecryptUpdate(cipher, packet->out, &done, packet->in, (int)length) == 1 &&
                     EVP_DecryptFinal_ex(cipher, packet->out + length, &done) == 1;
    }
}

const struct aead_backend aead_openssl = {
    .name = "openssl",
    .has = openssl_has,
    .create = openssl_create,
    .free = openssl_free,
    .forget = openssl_forget,
    .seal = openssl_seal,
    .open = openssl_open,
};
