#include "gate.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <sodium.h>

#include "aead.h"
#include "source.h"

#define MAC_SIZE 16u
#define HASH_SIZE 32u
#define LOAD_FRACTION 8u /* of the queue (R14) */
#define TOKEN_MAX (GATE_TOKEN_COST * GATE_TOKEN_BURST)
#define WAYS 8u /* sources that share a hash value before one is refused */
#define BUCKETS (GATE_SOURCES_MAX / WAYS)

_Static_assert(WIRE_COOKIE_REPLY_SIZE <= WIRE_RESPONSE_SIZE &&
                   WIRE_COOKIE_REPLY_SIZE <= WIRE_INITIATION_SIZE,
               "no answer is longer than its question (R35)");

/** A /32 or a /64 that proved its address by a cookie. */
struct sender {
    struct source source; /* family 0: free */
    uint32_t tokens;      /* ns; each message costs GATE_TOKEN_COST */
    uint64_t last;        /* message from it, accepted or not */
};

struct gate {
    pthread_mutex_t mutex;
    uint64_t latest; /* the latest batch that asked; that of another worker may be older */
    EVP_MAC *blake2s;
    EVP_MAC_CTX *mac1;   /* keyed with HASH("mac1----" || our public key) */
    EVP_MAC_CTX *cookie; /* keyed with the secret */
    EVP_MAC_CTX *mac2;   /* keyed anew for each message */
    gate_random *random;
    void *random_context;
    uint64_t secret_born;
    uint64_t loaded_until;
    bool has_identity;
    bool has_secret;
    uint8_t cookie_key[HASH_SIZE]; /* HASH("cookie--" || our public key) */
    uint8_t seed[16];
    struct sender senders[BUCKETS][WAYS];
};

/* ---- BLAKE2s ---- */

static EVP_MAC_CTX *mac_context(EVP_MAC *blake2s) {
    size_t size = MAC_SIZE;
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
                                 OSSL_PARAM_construct_end()};
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(blake2s);
    if (context && EVP_MAC_CTX_set_params(context, params) != 1) {
        EVP_MAC_CTX_free(context);
        return NULL;
    }
    return context;
}

static bool mac_key(EVP_MAC_CTX *context, const uint8_t *key, size_t length) {
    return EVP_MAC_init(context, key, length, NULL) == 1;
}

static bool mac_of(EVP_MAC_CTX *context, const uint8_t *data, size_t length,
                   uint8_t mac[MAC_SIZE]) {
    size_t written;
    return EVP_MAC_init(context, NULL, 0, NULL) == 1 && /* from its key again */
           EVP_MAC_update(context, data, length) == 1 &&
           EVP_MAC_final(context, mac, &written, MAC_SIZE) == 1 && written == MAC_SIZE;
}

static bool labelled_hash(const char label[8], const uint8_t public_key[32],
                          uint8_t hash[HASH_SIZE]) {
    uint8_t input[8 + 32];
    memcpy(input, label, 8);
    memcpy(input + 8, public_key, 32);
    return EVP_Digest(input, sizeof(input), hash, NULL, EVP_blake2s256(), NULL) == 1;
}

/* ---- Life ---- */

struct gate *gate_create(const uint8_t seed[16], gate_random *random, void *random_context) {
    if (sodium_init() < 0)
        return NULL;
    struct gate *gate = calloc(1, sizeof(*gate));
    if (!gate)
        return NULL;
    pthread_mutex_init(&gate->mutex, NULL);
    gate->random = random;
    gate->random_context = random_context;
    memcpy(gate->seed, seed, sizeof(gate->seed));
    gate->blake2s = EVP_MAC_fetch(NULL, "BLAKE2SMAC", NULL);
    if (gate->blake2s) {
        gate->mac1 = mac_context(gate->blake2s);
        gate->cookie = mac_context(gate->blake2s);
        gate->mac2 = mac_context(gate->blake2s);
    }
    if (!gate->mac1 || !gate->cookie || !gate->mac2) {
        gate_free(gate);
        return NULL;
    }
    return gate;
}

void gate_free(struct gate *gate) {
    if (!gate)
        return;
    EVP_MAC_CTX_free(gate->mac1);
    EVP_MAC_CTX_free(gate->cookie);
    EVP_MAC_CTX_free(gate->mac2);
    EVP_MAC_free(gate->blake2s);
    pthread_mutex_destroy(&gate->mutex);
    sodium_memzero(gate, sizeof(*gate));
    free(gate);
}

bool gate_set_identity(struct gate *gate, const uint8_t public_key[32]) {
    gate->has_identity = false;
    if (sodium_is_zero(public_key, 32))
        return true;
    uint8_t key[HASH_SIZE];
    gate->has_identity = labelled_hash("mac1----", public_key, key) &&
                         mac_key(gate->mac1, key, sizeof(key)) &&
                         labelled_hash("cookie--", public_key, gate->cookie_key);
    return gate->has_identity;
}

/* ---- Load ---- */

bool gate_under_load(const struct gate *gate, uint64_t now) { return now < gate->loaded_until; }

static bool note_load(struct gate *gate, struct gate_load load, uint64_t now) {
    if (load.queued >= load.capacity / LOAD_FRACTION)
        gate->loaded_until = now + GATE_LOAD_STICKY;
    return gate_under_load(gate, now);
}

/* ---- Cookies ---- */

static bool fresh_secret(struct gate *gate, uint64_t now) {
    if (gate->has_secret && now - gate->secret_born < GATE_SECRET_LIFE)
        return true;
    uint8_t secret[HASH_SIZE];
    gate->random(gate->random_context, secret, sizeof(secret));
    gate->has_secret = mac_key(gate->cookie, secret, sizeof(secret));
    sodium_memzero(secret, sizeof(secret));
    gate->secret_born = now;
    return gate->has_secret;
}

/** What only who receives at this address and port can know (R32). */
static bool cookie_of(struct gate *gate, const struct shoal_address *source, uint64_t now,
                      uint8_t cookie[MAC_SIZE]) {
    uint8_t input[18];
    size_t length = source->family == SHOAL_AF_INET ? 4 : 16;
    memcpy(input, source->ip, length);
    input[length] = (uint8_t)(source->port >> 8);
    input[length + 1] = (uint8_t)source->port;
    return fresh_secret(gate, now) && mac_of(gate->cookie, input, length + 2, cookie);
}

/** MAC2 covers everything before itself and is keyed with the cookie (R29). */
static bool mac2_valid(struct gate *gate, const uint8_t *message, size_t length,
                       const uint8_t cookie[MAC_SIZE]) {
    uint8_t mac[MAC_SIZE];
    return mac_key(gate->mac2, cookie, MAC_SIZE) &&
           mac_of(gate->mac2, message, length - MAC_SIZE, mac) &&
           sodium_memcmp(mac, message + length - MAC_SIZE, MAC_SIZE) == 0;
}

static void build_reply(const struct gate *gate, const uint8_t *message, size_t length,
                        const uint8_t cookie[MAC_SIZE], uint8_t reply[WIRE_COOKIE_REPLY_SIZE]) {
    const uint8_t *sender = message + 4, *mac1 = message + length - 2 * MAC_SIZE;
    uint8_t *nonce = reply + 8;
    memset(reply, 0, 4);
    reply[0] = WIRE_COOKIE_REPLY;
    memcpy(reply + 4, sender, 4);
    gate->random(gate->random_context, nonce, 24);
    aead_xchacha_seal(reply + 32, cookie, MAC_SIZE, mac1, MAC_SIZE, nonce, gate->cookie_key);
}

/* ---- Sources ---- */

static bool spend(struct sender *sender, uint64_t now) {
    uint64_t tokens = sender->tokens + (now - sender->last);
    if (tokens > TOKEN_MAX)
        tokens = TOKEN_MAX;
    bool enough = tokens >= GATE_TOKEN_COST;
    sender->tokens = (uint32_t)(enough ? tokens - GATE_TOKEN_COST : tokens);
    sender->last = now;
    return enough;
}

static enum gate_verdict admit_source(struct gate *gate, const struct shoal_address *address,
                                      uint64_t now) {
    struct source wanted = source_of(address);
    struct sender *bucket = gate->senders[source_hash(&wanted, gate->seed) % BUCKETS];
    struct sender *vacant = NULL;
    for (unsigned i = 0; i < WAYS; i++) {
        struct sender *at = &bucket[i];
        if (at->source.family == wanted.family && at->source.prefix == wanted.prefix)
            return spend(at, now) ? GATE_ACCEPT : GATE_DROP_RATE;
        if (at->source.family == 0 || now - at->last >= GATE_SOURCE_IDLE)
            vacant = at;
    }
    if (!vacant)
        return GATE_DROP_FULL;
    *vacant = (struct sender){.source = wanted, .tokens = (uint32_t)TOKEN_MAX, .last = now};
    spend(vacant, now);
    return GATE_ACCEPT;
}

/* ---- Judging ---- */

/** The exact size of a handshake message of this type, 0 for another type. */
static size_t size_of_type(const uint8_t *message) {
    if (message[1] || message[2] || message[3]) /* R21 */
        return 0;
    switch (message[0]) {
    case WIRE_INITIATION:
        return WIRE_INITIATION_SIZE;
    case WIRE_RESPONSE:
        return WIRE_RESPONSE_SIZE;
    case WIRE_COOKIE_REPLY:
        return WIRE_COOKIE_REPLY_SIZE;
    default:
        return 0;
    }
}

static bool mac1_valid(struct gate *gate, const uint8_t *message, size_t length) {
    uint8_t mac[MAC_SIZE];
    size_t covered = length - 2 * MAC_SIZE;
    return gate->has_identity && mac_of(gate->mac1, message, covered, mac) &&
           sodium_memcmp(mac, message + covered, MAC_SIZE) == 0;
}

static enum gate_verdict judge(struct gate *gate, const uint8_t *message, size_t length,
                               const struct shoal_address *source, struct gate_load load,
                               uint64_t now, uint8_t reply[WIRE_COOKIE_REPLY_SIZE]) {
    if (length < 4)
        return GATE_DROP_LENGTH;
    size_t size = size_of_type(message);
    if (size == 0)
        return GATE_DROP_TYPE;
    if (length != size)
        return GATE_DROP_LENGTH;
    if (message[0] == WIRE_COOKIE_REPLY) /* nothing in it is checked here: not into the last half */
        return load.queued < load.capacity / 2 ? GATE_ACCEPT : GATE_DROP_RATE;
    bool loaded = note_load(gate, load, now);
    if (!mac1_valid(gate, message, length))
        return GATE_DROP_MAC1;
    if (!loaded)
        return GATE_ACCEPT; /* MAC2 is not looked at (R29) */

    uint8_t cookie[MAC_SIZE];
    if (!cookie_of(gate, source, now, cookie))
        return GATE_DROP_MAC1;
    if (mac2_valid(gate, message, length, cookie))
        return admit_source(gate, source, now);
    build_reply(gate, message, length, cookie, reply);
    return GATE_REPLY;
}

enum gate_verdict gate_admit(struct gate *gate, const uint8_t *message, size_t length,
                             const struct shoal_address *source, struct gate_load load,
                             uint64_t now, uint8_t reply[WIRE_COOKIE_REPLY_SIZE]) {
    pthread_mutex_lock(&gate->mutex);
    if (now > gate->latest)
        gate->latest = now;
    enum gate_verdict verdict = judge(gate, message, length, source, load, gate->latest, reply);
    pthread_mutex_unlock(&gate->mutex);
    return verdict;
}
