/*
 * Two cipher suites behind one batch interface: ChaCha20-Poly1305 (RFC 8439), which is WireGuard's,
 * and AES-256-GCM (NIST SP 800-38D), for two nodes of ours whose processors both have instructions
 * for it. Nonce: four zero bytes, then the counter little-endian (R23); no additional data.
 * Back-ends: OpenSSL's libcrypto and libsodium; a calibration of a few milliseconds finds the
 * faster one on this machine.
 */
#ifndef SHOAL_AEAD_H
#define SHOAL_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AEAD_KEY_SIZE 32u
#define AEAD_NONCE_SIZE 12u
#define AEAD_TAG_SIZE 16u
#define AEAD_LENGTH_MAX 65535u /* plaintext bytes of one packet */

struct aead_backend;
enum aead_suite { AEAD_CHACHA20_POLY1305, AEAD_AES_256_GCM, AEAD_SUITES };
enum aead_direction { AEAD_SEAL, AEAD_OPEN };

/**
 * One session key in one direction, with its cipher context.
 * Owner: one thread. Not even sealing is concurrent on one key: every worker that seals for a
 * session has a key of its own (the counters, which must never meet, come from the caller).
 */
struct aead_key;

/** One packet of a batch. */
struct aead_packet {
    uint8_t
        *out; /* seal: length + 16 bytes, not overlapping `in`; open: length - 16, may be `in` */
    const uint8_t *in; /* seal: plaintext; open: ciphertext and tag */
    uint64_t counter;  /* nonce */
    uint32_t length;   /* of `in` */
    bool ok;           /* open: the tag was right. When false, `out` holds nothing of meaning */
};

/** The i-th back-end, NULL past the last. */
const struct aead_backend *aead_backend(size_t i);

/** "openssl" or "libsodium". */
const char *aead_name(const struct aead_backend *backend);

/** The back-end of that name, NULL for a name that this build lacks. */
const struct aead_backend *aead_find(const char *name);

/**
 * Has the back-end this suite, on this processor? NULL has none. AES-256-GCM without instructions
 * for AES and for carry-less multiplication is slow, and its tables leak the key through the cache:
 * then nothing has it.
 */
bool aead_has(const struct aead_backend *backend, enum aead_suite suite);

/** The back-end of each suite; NULL: none has it. */
struct aead_choice {
    const struct aead_backend *of[AEAD_SUITES];
};

/**
 * Seals 1,424-byte packets with each back-end in turn and picks the one with the best single run.
 * @param clock   monotonic nanoseconds.
 * @param budget  nanoseconds to spend in all.
 * @return NULL when none has the suite.
 */
const struct aead_backend *aead_fastest(enum aead_suite suite, uint64_t (*clock)(void),
                                        uint64_t budget);

/** The fastest of each suite. @param budget  of all of them, 5,000,000 at start-up. */
struct aead_choice aead_calibrate(uint64_t (*clock)(void), uint64_t budget);

/** This back-end wherever it has the suite, else another one. */
struct aead_choice aead_prefer(const struct aead_backend *backend);

/** NULL when out of memory, or the back-end lacks the suite. The caller wipes its copy of the key.
 */
struct aead_key *aead_key_create(const struct aead_backend *backend, enum aead_suite suite,
                                 enum aead_direction direction, const uint8_t key[AEAD_KEY_SIZE]);

/** Wipes the key (R65). NULL is allowed. */
void aead_key_free(struct aead_key *key);

/** Seals n packets; false when the library failed, then `out` must not be sent. */
bool aead_seal(struct aead_key *key, struct aead_packet *packets, size_t n);

/** Opens n packets, setting `ok` of each. @return how many were right. */
size_t aead_open(struct aead_key *key, struct aead_packet *packets, size_t n);

/**
 * The same back-end with any nonce and additional data: what public vectors need (T1).
 * seal writes length + 16 bytes, open length - 16.
 */
bool aead_seal_with(struct aead_key *key, uint8_t *out, const uint8_t *in, size_t length,
                    const uint8_t *ad, size_t ad_length, const uint8_t nonce[AEAD_NONCE_SIZE]);
bool aead_open_with(struct aead_key *key, uint8_t *out, const uint8_t *in, size_t length,
                    const uint8_t *ad, size_t ad_length, const uint8_t nonce[AEAD_NONCE_SIZE]);

/** XChaCha20-Poly1305 for the cookie reply (R33): writes length + 16 bytes to `out`. */
void aead_xchacha_seal(uint8_t *out, const uint8_t *in, size_t length, const uint8_t *ad,
                       size_t ad_length, const uint8_t nonce[24], const uint8_t key[32]);

/** Its inverse, for tests and peers that are under load; false for a wrong tag. */
bool aead_xchacha_open(uint8_t *out, const uint8_t *in, size_t length, const uint8_t *ad,
                       size_t ad_length, const uint8_t nonce[24], const uint8_t key[32]);

#endif
