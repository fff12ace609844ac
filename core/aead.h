/*
 * Two suites behind one batch interface: ChaCha20-Poly1305 (RFC 8439), which WireGuard has, and
 * AES-256-GCM (NIST SP 800-38D), for sessions between nodes of ours whose CPUs have instructions
 * for it. Nonce of both: four zero bytes, then the counter little-endian (R23); no additional data.
 * Back-ends: OpenSSL's libcrypto, libsodium (the first suite only), where the machine has it
 * intel-ipsec-mb, and code of our own for batches of the first suite (aead_lanes.c); a calibration
 * of a few milliseconds finds the fastest one for each suite, size and number of packets.
 *
 * A session holds its keys raw, 48 bytes each, and any thread may use them. What a library needs to
 * work with a key (a cipher context, a key schedule) belongs to the thread: one for sealing and one
 * for opening, which keep the key of the last packet, so that packets of one session in a row cost
 * no new set-up. Measured on Zen 4: such a context of OpenSSL's costs 1,056 bytes, and setting the
 * key beside the nonce 30 to 90 ns a packet (of 400 at 64 bytes, of 940 at 1,424), once a session
 * and batch; AES-256-GCM's key schedule is 1,008 bytes and 120 ns. A context a key, as there was
 * before, was 2.4 KiB for every session of every peer.
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

enum aead_suite { AEAD_CHACHA20_POLY1305 = 0, AEAD_AES_256_GCM = 1, AEAD_SUITES };

/* Sizes of packets for which back-ends are chosen apart: the best one for small ones
 * (acknowledgments, voice) need not be the best one for full ones. Measured at 64, 576 and 1,424
 * bytes. */
enum aead_class { AEAD_SMALL, AEAD_MEDIUM, AEAD_LARGE, AEAD_CLASSES };
#define AEAD_SMALL_MAX 320u /* plaintext bytes */
#define AEAD_MEDIUM_MAX 1000u

/* And numbers of packets at once: what works on several of them side by side is slow with one.
 * Measured with 1, 4 and 8. */
enum aead_count { AEAD_LONE, AEAD_FEW, AEAD_MANY, AEAD_COUNTS };
#define AEAD_FEW_MIN 4u
#define AEAD_MANY_MIN 8u

struct aead_backend;

/** Which back-end does what; NULL in all classes of a suite that this machine lacks. */
struct aead_choice {
    const struct aead_backend *of[AEAD_SUITES][AEAD_COUNTS][AEAD_CLASSES];
};

/* One session key in one direction. Owner: the session; any thread may read it. */
struct aead_key {
    uint64_t serial; /* no other key of this process has it: contexts know by it what they hold */
    enum aead_suite suite;
    uint8_t bytes[AEAD_KEY_SIZE];
};

/* The ciphers of one thread. Between batches they hold no key: aead_forget. Owner: one thread. */
struct aead;

/** One packet of a batch. */
struct aead_packet {
    uint8_t *out;      /* seal: length + 16 bytes; open: length - 16; may be `in` */
    const uint8_t *in; /* seal: plaintext; open: ciphertext and tag */
    uint64_t counter;  /* nonce */
    uint32_t length;   /* of `in` */
    bool ok;           /* open: the tag was right. When false, `out` holds nothing of meaning */
};

/** The i-th back-end that has ChaCha20-Poly1305 on this machine, NULL past the last. */
const struct aead_backend *aead_backend(size_t i);

/** "openssl", "libsodium", "ipsec-mb", "shoal-avx512" or "shoal-avx2". */
const char *aead_name(const struct aead_backend *backend);

/** The back-end of that name, NULL for one that this build or this machine lacks. */
const struct aead_backend *aead_find(const char *name);

/**
 * Whether sessions of a suite are possible here. AES-256-GCM needs a CPU with AES instructions and
 * carry-less multiplication: without them it is slow, and its tables tell keys to whoever shares
 * the cache.
 */
bool aead_suite_here(enum aead_suite suite);

/** Whether a back-end has a suite on this machine. */
bool aead_has(const struct aead_backend *backend, enum aead_suite suite);

/**
 * Seals packets of each size, in each number, with each back-end in turn and picks those with the
 * best single run.
 * @param clock   monotonic nanoseconds.
 * @param budget  nanoseconds to spend in all, 5,000,000 at start-up.
 */
struct aead_choice aead_calibrate(uint64_t (*clock)(void), uint64_t budget);

/** This back-end for all that it has, and for the rest what `choice` says (NULL: nothing). */
struct aead_choice aead_prefer(const struct aead_backend *backend,
                               const struct aead_choice *choice);

/** The choice for a suite in words, for many packets and, where it differs, for one; "" for a suite
 * that this machine lacks; always terminated. */
void aead_describe(const struct aead_choice *choice, enum aead_suite suite, char *text,
                   size_t size);

/** Fills a key. The caller wipes its copy of the bytes, and the key itself in the end (R65). */
void aead_key_init(struct aead_key *key, enum aead_suite suite, const uint8_t bytes[AEAD_KEY_SIZE]);

/** NULL when out of memory or a library refuses. */
struct aead *aead_create(const struct aead_choice *choice);

/** NULL is allowed. */
void aead_free(struct aead *aead);

/** Clears every key that the ciphers hold (R65): after a batch, and before a key ends. */
void aead_forget(struct aead *aead);

/** Does it pay to seal several packets of a suite at once? */
bool aead_gains_by_numbers(const struct aead *aead, enum aead_suite suite);

/** Seals n packets; false when the library failed, then no `out` may be sent. */
bool aead_seal(struct aead *aead, const struct aead_key *key, struct aead_packet *packets,
               size_t n);

/** Opens n packets, setting `ok` of each. @return how many were right. */
size_t aead_open(struct aead *aead, const struct aead_key *key, struct aead_packet *packets,
                 size_t n);

/**
 * The same back-end with any nonce and additional data: what public vectors need (T1).
 * seal writes length + 16 bytes, open length - 16.
 */
bool aead_seal_with(struct aead *aead, const struct aead_key *key, uint8_t *out, const uint8_t *in,
                    size_t length, const uint8_t *ad, size_t ad_length,
                    const uint8_t nonce[AEAD_NONCE_SIZE]);
bool aead_open_with(struct aead *aead, const struct aead_key *key, uint8_t *out, const uint8_t *in,
                    size_t length, const uint8_t *ad, size_t ad_length,
                    const uint8_t nonce[AEAD_NONCE_SIZE]);

/** XChaCha20-Poly1305 for the cookie reply (R33): writes length + 16 bytes to `out`. */
void aead_xchacha_seal(uint8_t *out, const uint8_t *in, size_t length, const uint8_t *ad,
                       size_t ad_length, const uint8_t nonce[24], const uint8_t key[32]);

/** Its inverse, for tests and peers that are under load; false for a wrong tag. */
bool aead_xchacha_open(uint8_t *out, const uint8_t *in, size_t length, const uint8_t *ad,
                       size_t ad_length, const uint8_t nonce[24], const uint8_t key[32]);

#endif
