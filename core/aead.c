#include "aead.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <sodium.h>

#define CALIBRATION_LENGTH 1424u /* a full packet at MTU 1420, padded */
#define CALIBRATION_BATCH 8u

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

/* ---- OpenSSL ---- */

static bool openssl_init(struct aead_key *key, const uint8_t bytes[AEAD_KEY_SIZE]) {
    key->cipher = EVP_CIPHER_CTX_new();
    int seal = key->direction == AEAD_SEAL;
    return key->cipher &&
           EVP_CipherInit_ex(key->cipher, EVP_chacha20_poly1305(), NULL, bytes, NULL, seal) == 1;
}

static void openssl_wipe(struct aead_key *key) {
    EVP_CIPHER_CTX_free(key->cipher); /* cleanses the key schedule */
}

static bool openssl_seal(struct aead_key *key, const struct operation *op) {
    EVP_CIPHER_CTX *cipher = key->cipher;
    int n;
    return EVP_EncryptInit_ex(cipher, NULL, NULL, NULL, op->nonce) == 1 &&
           (op->ad_length == 0 ||
            EVP_EncryptUpdate(cipher, NULL, &n, op->ad, (int)op->ad_length) == 1) &&
           EVP_EncryptUpdate(cipher, op->out, &n, op->in, (int)op->length) == 1 &&
           EVP_EncryptFinal_ex(cipher, op->out + op->length, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE,
                               op->out + op->length) == 1;
}

static bool openssl_open(struct aead_key *key, const struct operation *op) {
    EVP_CIPHER_CTX *cipher = key->cipher;
    uint8_t tag[AEAD_TAG_SIZE];
    int n;
    memcpy(tag, op->in + op->length, AEAD_TAG_SIZE);
    return EVP_DecryptInit_ex(cipher, NULL, NULL, NULL, op->nonce) == 1 &&
           EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_SIZE, tag) == 1 &&
           (op->ad_length == 0 ||
            EVP_DecryptUpdate(cipher, NULL, &n, op->ad, (int)op->ad_length) == 1) &&
           EVP_DecryptUpdate(cipher, op->out, &n, op->in, (int)op->length) == 1 &&
           EVP_DecryptFinal_ex(cipher, op->out + op->length, &n) == 1;
}

/* ---- libsodium ---- */

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

/* ---- Choice ---- */

static const struct aead_backend backends[] = {
    {"openssl", openssl_init, openssl_wipe, openssl_seal, openssl_open},
    {"libsodium", libsodium_init, libsodium_wipe, libsodium_seal, libsodium_open},
};
#define BACKENDS (sizeof(backends) / sizeof(*backends))

const struct aead_backend *aead_backend(size_t i) { return i < BACKENDS ? &backends[i] : NULL; }

const char *aead_name(const struct aead_backend *backend) { return backend->name; }

const struct aead_backend *aead_find(const char *name) {
    for (size_t i = 0; i < BACKENDS; i++)
        if (strcmp(backends[i].name, name) == 0)
            return &backends[i];
    return NULL;
}

/** Nanoseconds of one batch, UINT64_MAX when it fails. */
static uint64_t time_batch(struct aead_key *key, uint64_t (*clock)(void)) {
    static const uint8_t in[CALIBRATION_LENGTH];
    uint8_t out[CALIBRATION_LENGTH + AEAD_TAG_SIZE];
    struct aead_packet packets[CALIBRATION_BATCH];
    for (uint32_t i = 0; i < CALIBRATION_BATCH; i++)
        packets[i] = (struct aead_packet){out, in, i, CALIBRATION_LENGTH, false};
    uint64_t start = clock();
    return aead_seal(key, packets, CALIBRATION_BATCH) ? clock() - start : UINT64_MAX;
}

const struct aead_backend *aead_calibrate(uint64_t (*clock)(void), uint64_t budget) {
    static const uint8_t zero[AEAD_KEY_SIZE]; /* seals nothing that leaves this function */
    struct aead_key *keys[BACKENDS];
    uint64_t best[BACKENDS];
    uint64_t start = clock();
    for (size_t i = 0; i < BACKENDS; i++) {
        keys[i] = aead_key_create(&backends[i], AEAD_SEAL, zero);
        best[i] = UINT64_MAX;
    }
    /* In turns, so that a slow moment of the machine hits all; the best run is the undisturbed one.
     * One round is always made. */
    do {
        for (size_t i = 0; i < BACKENDS; i++) {
            uint64_t taken = keys[i] ? time_batch(keys[i], clock) : UINT64_MAX;
            best[i] = taken < best[i] ? taken : best[i];
        }
    } while (clock() - start < budget);
    size_t winner = 0;
    for (size_t i = 0; i < BACKENDS; i++) {
        aead_key_free(keys[i]);
        if (best[i] < best[winner])
            winner = i;
    }
    return &backends[winner];
}

/* ---- Keys and batches ---- */

struct aead_key *aead_key_create(const struct aead_backend *backend, enum aead_direction direction,
                                 const uint8_t key[AEAD_KEY_SIZE]) {
    struct aead_key *created = calloc(1, sizeof(*created));
    if (!created)
        return NULL;
    created->backend = backend;
    created->direction = direction;
    if (!backend->init(created, key)) {
        aead_key_free(created);
        return NULL;
    }
    return created;
}

void aead_key_free(struct aead_key *key) {
    if (!key)
        return;
    key->backend->wipe(key);
    free(key);
}

static void nonce_of(uint8_t nonce[AEAD_NONCE_SIZE], uint64_t counter) {
    memset(nonce, 0, 4);
    for (unsigned i = 0; i < 8; i++)
        nonce[4 + i] = (uint8_t)(counter >> 8 * i);
}

bool aead_seal(struct aead_key *key, struct aead_packet *packets, size_t n) {
    uint8_t nonce[AEAD_NONCE_SIZE];
    for (size_t i = 0; i < n; i++) {
        const struct aead_packet *packet = &packets[i];
        struct operation op = {packet->out, packet->in, packet->length, nonce, NULL, 0};
        nonce_of(nonce, packet->counter);
        if (packet->length > AEAD_LENGTH_MAX || !key->backend->seal(key, &op))
            return false;
    }
    return true;
}

size_t aead_open(struct aead_key *key, struct aead_packet *packets, size_t n) {
    uint8_t nonce[AEAD_NONCE_SIZE];
    size_t right = 0;
    for (size_t i = 0; i < n; i++) {
        struct aead_packet *packet = &packets[i];
        uint32_t length = packet->length - AEAD_TAG_SIZE; /* wraps above the maximum when short */
        struct operation op = {packet->out, packet->in, length, nonce, NULL, 0};
        nonce_of(nonce, packet->counter);
        packet->ok = length <= AEAD_LENGTH_MAX && key->backend->open(key, &op);
        right += packet->ok;
    }
    return right;
}

bool aead_seal_with(struct aead_key *key, uint8_t *out, const uint8_t *in, size_t length,
                    const uint8_t *ad, size_t ad_length, const uint8_t nonce[AEAD_NONCE_SIZE]) {
    struct operation op = {out, in, length, nonce, ad, ad_length};
    return length <= AEAD_LENGTH_MAX && key->backend->seal(key, &op);
}

bool aead_open_with(struct aead_key *key, uint8_t *out, const uint8_t *in, size_t length,
                    const uint8_t *ad, size_t ad_length, const uint8_t nonce[AEAD_NONCE_SIZE]) {
    struct operation op = {out, in, length - AEAD_TAG_SIZE, nonce, ad, ad_length};
    return length >= AEAD_TAG_SIZE && op.length <= AEAD_LENGTH_MAX && key->backend->open(key, &op);
}

void aead_xchacha_seal(uint8_t *out, const uint8_t *in, size_t length, const uint8_t *ad,
                       size_t ad_length, const uint8_t nonce[24], const uint8_t key[32]) {
    crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, in, length, ad, ad_length, NULL, nonce,
                                               key);
}

bool aead_xchacha_open(uint8_t *out, const uint8_t *in, size_t length, const uint8_t *ad,
                       size_t ad_length, const uint8_t nonce[24], const uint8_t key[32]) {
    return crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, in, length, ad, ad_length,
                                                      nonce, key) == 0;
}
