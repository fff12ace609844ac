#include "aead_backend.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#define CALIBRATION_LONGEST 1424u /* a full packet at MTU 1420, padded */

static const uint32_t class_length[AEAD_CLASSES] = {64, 576, CALIBRATION_LONGEST};
static const uint32_t class_max[AEAD_CLASSES] = {AEAD_SMALL_MAX, AEAD_MEDIUM_MAX, AEAD_LENGTH_MAX};
static const uint32_t count_min[AEAD_COUNTS] = {1, AEAD_FEW_MIN, AEAD_MANY_MIN};

static const struct aead_backend *const backends[] = {&aead_openssl, &aead_sodium, &aead_ipsecmb,
                                                      &aead_lanes_512, &aead_lanes_256};
#define BACKENDS (sizeof(backends) / sizeof(*backends))

struct aead {
    struct aead_choice choice;
    void *ciphers[BACKENDS]; /* of those that were chosen; in the order of `backends` */
    uint8_t place[AEAD_SUITES][AEAD_COUNTS][AEAD_CLASSES]; /* where the chosen one's are */
    bool counts[AEAD_SUITES]; /* the choice depends on how many packets there are */
    bool gains[AEAD_SUITES];  /* of many at once, in some size */
};

/* ---- Choice ---- */

bool aead_has(const struct aead_backend *backend, enum aead_suite suite) {
    return aead_suite_here(suite) && backend->has(suite);
}

const struct aead_backend *aead_backend(size_t i) {
    for (size_t k = 0; k < BACKENDS; k++)
        if (aead_has(backends[k], AEAD_CHACHA20_POLY1305) && i-- == 0)
            return backends[k];
    return NULL;
}

const char *aead_name(const struct aead_backend *backend) { return backend->name; }

const struct aead_backend *aead_find(const char *name) {
    for (size_t i = 0; i < BACKENDS; i++)
        if (strcmp(backends[i]->name, name) == 0)
            return aead_has(backends[i], AEAD_CHACHA20_POLY1305) ? backends[i] : NULL;
    return NULL;
}

struct aead_choice aead_prefer(const struct aead_backend *backend,
                               const struct aead_choice *choice) {
    struct aead_choice preferred = {0};
    if (choice)
        preferred = *choice;
    for (enum aead_suite suite = 0; suite < AEAD_SUITES; suite++) {
        if (aead_has(backend, suite))
            aead_choose(&preferred, suite, backend);
    }
    return preferred;
}

/* Adds "openssl", or "libsodium up to 320 bytes, openssl above". @return where the text ends */
static size_t describe(const struct aead_backend *const of[AEAD_CLASSES], char *text, size_t size,
                       size_t used) {
    bool first = true;
    for (int class = 0; class < AEAD_CLASSES && used < size; class ++) {
        bool last = class == AEAD_CLASSES - 1;
        if (!last && of[class] == of[class + 1])
            continue;
        const char *comma = first ? "" : ", ";
        int n = !last ? snprintf(text + used, size - used, "%s%s up to %u bytes", comma,
                                 of[class]->name, class_max[class])
                      : snprintf(text + used, size - used, "%s%s%s", comma, of[class]->name,
                                 first ? "" : " above");
        used += (size_t)n;
        first = false;
    }
    return used;
}

/* The one for many packets, and ", alone" the one for a single one, where that is another. */
void aead_describe(const struct aead_choice *choice, enum aead_suite suite, char *text,
                   size_t size) {
    static const char alone[] = ", alone ";
    const struct aead_backend *const(*of)[AEAD_CLASSES] = choice->of[suite];
    text[0] = 0;
    if (!of[AEAD_MANY][0])
        return;
    size_t used = describe(of[AEAD_MANY], text, size, 0);
    if (memcmp(of[AEAD_MANY], of[AEAD_LONE], sizeof(of[AEAD_LONE])) == 0 || used >= size)
        return;
    used += (size_t)snprintf(text + used, size - used, "%s", alone);
    describe(of[AEAD_LONE], text, size, used);
}

/** Nanoseconds of sealing AEAD_MANY_MIN packets, so many at a time; UINT64_MAX when it fails. */
static uint64_t time_batches(const struct aead_backend *backend, void *ciphers,
                             const struct aead_key *key, uint32_t length, uint32_t count,
                             uint64_t (*clock)(void)) {
    static const uint8_t in[CALIBRATION_LONGEST];
    uint8_t out[AEAD_MANY_MIN][CALIBRATION_LONGEST + AEAD_TAG_SIZE];
    struct aead_packet packets[AEAD_MANY_MIN];
    for (uint32_t i = 0; i < AEAD_MANY_MIN; i++)
        packets[i] = (struct aead_packet){out[i], in, i, length, false};
    uint64_t start = clock();
    for (uint32_t i = 0; i < AEAD_MANY_MIN; i += count)
        if (!backend->seal(ciphers, key, packets + i, count, NULL))
            return UINT64_MAX;
    return clock() - start;
}

/* One measurement of each back-end for a suite, number and size; `best` keeps the fastest. */
static void measure(void *const ciphers[BACKENDS], const struct aead_key *key,
                    enum aead_count count, enum aead_class class, uint64_t (*clock)(void),
                    uint64_t best[BACKENDS]) {
    for (size_t i = 0; i < BACKENDS; i++) {
        if (!ciphers[i] || !aead_has(backends[i], key->suite))
            continue;
        uint64_t taken = time_batches(backends[i], ciphers[i], key, class_length[class],
                                      count_min[count], clock);
        best[i] = taken < best[i] ? taken : best[i];
    }
}

static const struct aead_backend *fastest(const uint64_t best[BACKENDS]) {
    size_t winner = 0;
    for (size_t i = 1; i < BACKENDS; i++)
        if (best[i] < best[winner])
            winner = i;
    return best[winner] == UINT64_MAX ? NULL : backends[winner];
}

struct aead_choice aead_calibrate(uint64_t (*clock)(void), uint64_t budget) {
    static const uint8_t zero[AEAD_KEY_SIZE]; /* seals nothing that leaves this function */
    uint64_t start = clock();
    uint64_t best[AEAD_SUITES][AEAD_COUNTS][AEAD_CLASSES][BACKENDS];
    struct aead_key keys[AEAD_SUITES];
    struct aead_choice choice = {0};
    void *ciphers[BACKENDS];
    memset(best, 0xff, sizeof(best));
    for (enum aead_suite suite = 0; suite < AEAD_SUITES; suite++)
        aead_key_init(&keys[suite], suite, zero);
    for (size_t i = 0; i < BACKENDS; i++)
        ciphers[i] = aead_has(backends[i], AEAD_CHACHA20_POLY1305) ? backends[i]->create() : NULL;
    /* In turns, so that a slow moment of the machine hits all; the best run is the undisturbed one.
     * One round is always made. */
    do {
        for (enum aead_suite suite = 0; suite < AEAD_SUITES; suite++)
            for (enum aead_count count = 0; count < AEAD_COUNTS; count++)
                for (enum aead_class class = 0; class < AEAD_CLASSES; class ++)
                    measure(ciphers, &keys[suite], count, class, clock, best[suite][count][class]);
    } while (clock() - start < budget);
    for (size_t i = 0; i < BACKENDS; i++)
        if (ciphers[i])
            backends[i]->free(ciphers[i]);
    for (enum aead_suite suite = 0; suite < AEAD_SUITES; suite++)
        for (int count = 0; count < AEAD_COUNTS; count++)
            for (int class = 0; class < AEAD_CLASSES; class ++)
                choice.of[suite][count][class] = fastest(best[suite][count][class]);
    return choice;
}

/* ---- Keys and ciphers ---- */

void aead_key_init(struct aead_key *key, enum aead_suite suite,
                   const uint8_t bytes[AEAD_KEY_SIZE]) {
    static _Atomic uint64_t serials;
    key->serial = atomic_fetch_add_explicit(&serials, 1, memory_order_relaxed) + 1;
    key->suite = suite;
    memcpy(key->bytes, bytes, AEAD_KEY_SIZE);
}

/* Of one place in the choice; the same ciphers serve all places of a back-end. */
static bool make_ciphers(struct aead *aead, enum aead_suite suite, int count, int class) {
    const struct aead_backend *chosen = aead->choice.of[suite][count][class];
    size_t i = 0;
    while (i < BACKENDS && backends[i] != chosen)
        i++;
    if (i == BACKENDS)
        return true; /* none */
    aead->place[suite][count][class] = (uint8_t)i;
    if (!aead->ciphers[i])
        aead->ciphers[i] = chosen->create();
    return aead->ciphers[i] != NULL;
}

static bool make_all_ciphers(struct aead *aead) {
    for (int suite = 0; suite < AEAD_SUITES; suite++)
        for (int count = 0; count < AEAD_COUNTS; count++)
            for (int class = 0; class < AEAD_CLASSES; class ++)
                if (!make_ciphers(aead, suite, count, class))
                    return false;
    return true;
}

struct aead *aead_create(const struct aead_choice *choice) {
    struct aead *aead = calloc(1, sizeof(*aead));
    if (!aead)
        return NULL;
    aead->choice = *choice;
    for (int suite = 0; suite < AEAD_SUITES; suite++)
        for (int count = 1; count < AEAD_COUNTS; count++)
            aead->counts[suite] |= memcmp(choice->of[suite][count], choice->of[suite][0],
                                          sizeof(choice->of[suite][0])) != 0;
    for (int suite = 0; suite < AEAD_SUITES; suite++)
        for (int class = 0; class < AEAD_CLASSES; class ++)
            aead->gains[suite] |= choice->of[suite][AEAD_MANY][class] &&
                                  choice->of[suite][AEAD_MANY][class]->gains_by_numbers;
    if (make_all_ciphers(aead))
        return aead;
    aead_free(aead);
    return NULL;
}

void aead_free(struct aead *aead) {
    if (!aead)
        return;
    for (size_t i = 0; i < BACKENDS; i++)
        if (aead->ciphers[i])
            backends[i]->free(aead->ciphers[i]);
    free(aead);
}

void aead_forget(struct aead *aead) {
    for (size_t i = 0; i < BACKENDS; i++)
        if (aead->ciphers[i])
            backends[i]->forget(aead->ciphers[i]);
}

/* ---- Batches ---- */

static enum aead_class class_of(uint32_t plain) {
    return plain <= AEAD_SMALL_MAX ? AEAD_SMALL
                                   : (plain <= AEAD_MEDIUM_MAX ? AEAD_MEDIUM : AEAD_LARGE);
}

/* The packets from the first one on that the same back-end works on. Where one does all sizes, as
 * most often, these are all. */
struct run {
    const struct aead_backend *backend; /* NULL: the first packet is refused */
    void *ciphers;
    size_t n;
};

/* Of what is chosen for a number of packets.
 * @param overhead  what `length` of a packet counts beside the plaintext: none, or the tag. */
static struct run run_in(const struct aead *aead, const struct aead_key *key, enum aead_count count,
                         const struct aead_packet *packets, size_t n, uint32_t overhead) {
    const struct aead_backend *const *of = aead->choice.of[key->suite][count];
    struct run run = {.n = 0};
    for (; run.n < n; run.n++) {
        uint32_t plain = packets[run.n].length - overhead; /* wraps above the maximum when short */
        if (plain > AEAD_LENGTH_MAX)
            break;
        enum aead_class class = class_of(plain);
        if (run.n == 0)
            run = (struct run){of[class], aead->ciphers[aead->place[key->suite][count][class]], 0};
        if (!run.backend || of[class] != run.backend)
            break;
    }
    if (run.n == 0)
        run.backend = NULL;
    return run;
}

/* As many as there are in a row; many go in whole groups, and what is left over is few or one. */
static struct run run_of(const struct aead *aead, const struct aead_key *key,
                         const struct aead_packet *packets, size_t n, uint32_t overhead) {
    for (enum aead_count count = AEAD_MANY; aead->counts[key->suite] && count > AEAD_LONE;
         count--) {
        if (n < count_min[count])
            continue;
        struct run run = run_in(aead, key, count, packets, n, overhead);
        if (run.n < count_min[count])
            continue;
        run.n -= count == AEAD_MANY ? run.n % AEAD_MANY_MIN : 0;
        return run;
    }
    return run_in(aead, key, AEAD_LONE, packets, n, overhead);
}

static bool seal_batch(struct aead *aead, const struct aead_key *key, struct aead_packet *packets,
                       size_t n, const struct aead_extra *extra) {
    while (n > 0) {
        struct run run = run_of(aead, key, packets, n, 0);
        if (!run.backend || !run.backend->seal(run.ciphers, key, packets, run.n, extra))
            return false;
        packets += run.n;
        n -= run.n;
    }
    return true;
}

static size_t open_batch(struct aead *aead, const struct aead_key *key, struct aead_packet *packets,
                         size_t n, const struct aead_extra *extra) {
    size_t right = 0;
    while (n > 0) {
        struct run run = run_of(aead, key, packets, n, AEAD_TAG_SIZE);
        if (run.backend)
            run.backend->open(run.ciphers, key, packets, run.n, extra);
        else
            packets[run.n++].ok = false;
        for (size_t i = 0; i < run.n; i++)
            right += packets[i].ok;
        packets += run.n;
        n -= run.n;
    }
    return right;
}

bool aead_gains_by_numbers(const struct aead *aead, enum aead_suite suite) {
    return aead->gains[suite];
}

bool aead_seal(struct aead *aead, const struct aead_key *key, struct aead_packet *packets,
               size_t n) {
    return seal_batch(aead, key, packets, n, NULL);
}

size_t aead_open(struct aead *aead, const struct aead_key *key, struct aead_packet *packets,
                 size_t n) {
    return open_batch(aead, key, packets, n, NULL);
}

static struct aead_packet one(uint8_t *out, const uint8_t *in, size_t length) {
    return (struct aead_packet){
        .out = out, .in = in, .length = length > UINT32_MAX ? UINT32_MAX : (uint32_t)length};
}

bool aead_seal_with(struct aead *aead, const struct aead_key *key, uint8_t *out, const uint8_t *in,
                    size_t length, const uint8_t *ad, size_t ad_length,
                    const uint8_t nonce[AEAD_NONCE_SIZE]) {
    struct aead_packet packet = one(out, in, length);
    struct aead_extra extra = {nonce, ad, ad_length};
    return seal_batch(aead, key, &packet, 1, &extra);
}

bool aead_open_with(struct aead *aead, const struct aead_key *key, uint8_t *out, const uint8_t *in,
                    size_t length, const uint8_t *ad, size_t ad_length,
                    const uint8_t nonce[AEAD_NONCE_SIZE]) {
    struct aead_packet packet = one(out, in, length);
    struct aead_extra extra = {nonce, ad, ad_length};
    return open_batch(aead, key, &packet, 1, &extra) == 1;
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
