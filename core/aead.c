#include "aead_backend.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#define CALIBRATION_LENGTH 1424u /* a full packet at MTU 1420, padded */
#define CALIBRATION_BATCH 8u

struct aead {
    const struct aead_backend *backend;
    void *ciphers;
};

/* ---- Choice ---- */

static const struct aead_backend *const backends[] = {&aead_openssl, &aead_sodium, &aead_ipsecmb};
#define BACKENDS (sizeof(backends) / sizeof(*backends))

static bool works(const struct aead_backend *backend) {
    return !backend->works || backend->works();
}

const struct aead_backend *aead_backend(size_t i) {
    for (size_t k = 0; k < BACKENDS; k++)
        if (works(backends[k]) && i-- == 0)
            return backends[k];
    return NULL;
}

const char *aead_name(const struct aead_backend *backend) { return backend->name; }

const struct aead_backend *aead_find(const char *name) {
    for (size_t i = 0; i < BACKENDS; i++)
        if (strcmp(backends[i]->name, name) == 0)
            return works(backends[i]) ? backends[i] : NULL;
    return NULL;
}

/** Nanoseconds of one batch, UINT64_MAX when it fails. */
static uint64_t time_batch(struct aead *aead, uint64_t (*clock)(void)) {
    static const uint8_t in[CALIBRATION_LENGTH];
    static const uint8_t zero[AEAD_KEY_SIZE]; /* seals nothing that leaves this function */
    struct aead_key key;
    uint8_t out[CALIBRATION_LENGTH + AEAD_TAG_SIZE];
    struct aead_packet packets[CALIBRATION_BATCH];
    for (uint32_t i = 0; i < CALIBRATION_BATCH; i++)
        packets[i] = (struct aead_packet){out, in, i, CALIBRATION_LENGTH, false};
    aead_key_init(&key, zero);
    uint64_t start = clock();
    return aead_seal(aead, &key, packets, CALIBRATION_BATCH) ? clock() - start : UINT64_MAX;
}

const struct aead_backend *aead_calibrate(uint64_t (*clock)(void), uint64_t budget) {
    struct aead *aeads[BACKENDS];
    uint64_t best[BACKENDS];
    uint64_t start = clock();
    for (size_t i = 0; i < BACKENDS; i++) {
        aeads[i] = works(backends[i]) ? aead_create(backends[i]) : NULL;
        best[i] = UINT64_MAX;
    }
    /* In turns, so that a slow moment of the machine hits all; the best run is the undisturbed one.
     * One round is always made. */
    do {
        for (size_t i = 0; i < BACKENDS; i++) {
            if (!aeads[i])
                continue;
            uint64_t taken = time_batch(aeads[i], clock);
            best[i] = taken < best[i] ? taken : best[i];
        }
    } while (clock() - start < budget);
    size_t winner = 0;
    for (size_t i = 0; i < BACKENDS; i++) {
        aead_free(aeads[i]);
        if (best[i] < best[winner])
            winner = i;
    }
    return backends[winner];
}

/* ---- Keys and ciphers ---- */

void aead_key_init(struct aead_key *key, const uint8_t bytes[AEAD_KEY_SIZE]) {
    static _Atomic uint64_t serials;
    key->serial = atomic_fetch_add_explicit(&serials, 1, memory_order_relaxed) + 1;
    memcpy(key->bytes, bytes, AEAD_KEY_SIZE);
}

struct aead *aead_create(const struct aead_backend *backend) {
    struct aead *aead = calloc(1, sizeof(*aead));
    if (!aead)
        return NULL;
    aead->backend = backend;
    aead->ciphers = backend->create();
    if (aead->ciphers)
        return aead;
    free(aead);
    return NULL;
}

void aead_free(struct aead *aead) {
    if (!aead)
        return;
    aead->backend->free(aead->ciphers);
    free(aead);
}

void aead_forget(struct aead *aead) { aead->backend->forget(aead->ciphers); }

/* ---- Batches ---- */

bool aead_seal(struct aead *aead, const struct aead_key *key, struct aead_packet *packets,
               size_t n) {
    for (size_t i = 0; i < n; i++)
        if (packets[i].length > AEAD_LENGTH_MAX)
            return false;
    return aead->backend->seal(aead->ciphers, key, packets, n, NULL);
}

static bool can_be_opened(const struct aead_packet *packet) {
    return packet->length >= AEAD_TAG_SIZE && packet->length - AEAD_TAG_SIZE <= AEAD_LENGTH_MAX;
}

size_t aead_open(struct aead *aead, const struct aead_key *key, struct aead_packet *packets,
                 size_t n) {
    size_t right = 0;
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from; to < n && can_be_opened(&packets[to]);)
            to++;
        if (to > from)
            aead->backend->open(aead->ciphers, key, packets + from, to - from, NULL);
        else
            packets[to++].ok = false;
        for (size_t i = from; i < to; i++)
            right += packets[i].ok;
    }
    return right;
}

bool aead_seal_with(struct aead *aead, const struct aead_key *key, uint8_t *out, const uint8_t *in,
                    size_t length, const uint8_t *ad, size_t ad_length,
                    const uint8_t nonce[AEAD_NONCE_SIZE]) {
    struct aead_packet packet = {out, in, 0, (uint32_t)length, false};
    struct aead_extra extra = {nonce, ad, ad_length};
    return length <= AEAD_LENGTH_MAX && aead->backend->seal(aead->ciphers, key, &packet, 1, &extra);
}

bool aead_open_with(struct aead *aead, const struct aead_key *key, uint8_t *out, const uint8_t *in,
                    size_t length, const uint8_t *ad, size_t ad_length,
                    const uint8_t nonce[AEAD_NONCE_SIZE]) {
    struct aead_packet packet = {out, in, 0, (uint32_t)length, false};
    struct aead_extra extra = {nonce, ad, ad_length};
    if (length > AEAD_LENGTH_MAX + AEAD_TAG_SIZE || !can_be_opened(&packet))
        return false;
    aead->backend->open(aead->ciphers, key, &packet, 1, &extra);
    return packet.ok;
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
