/*
 * intel-ipsec-mb, the fastest library in both suites: a packet of ChaCha20-Poly1305 costs half of
 * what OpenSSL's does, one of AES-256-GCM a third or less. It is no dependency: built where its
 * header is, used where the library is.
 *
 * The header is the vendor's, not declarations of ours: a job has 32 fields and the manager 140
 * function pointers by place, which differ between versions, and a wrong place is a call to
 * anywhere. So the library is taken only in the version of the header, by the name that says which
 * layout it has, and after it has given known answers.
 *
 * A manager (0.2 MB) belongs to one thread. It keeps pointers to keys, never a key. The schedules
 * of AES-256-GCM are ours: 1,008 bytes, made in 120 ns.
 */
#include "aead_answers.h"
#include "aead_backend.h"

#if defined(__x86_64__) && __has_include(<intel-ipsec-mb.h>)
#include <intel-ipsec-mb.h>
#endif

#if defined(IMB_VERSION_NUM) && IMB_VERSION_NUM >= 0x10300 && IMB_VERSION_NUM < 0x20000

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libIPSec_MB.so.1"
#define BURST_MAX 64u /* of 128 that 1.3 takes in one call */

/* What is called by name; all else stands in the manager. */
struct library {
    IMB_MGR *(*alloc)(uint64_t flags);
    void (*init)(IMB_MGR *manager, IMB_ARCH *arch);
    void (*free)(IMB_MGR *manager);
    int (*error)(IMB_MGR *manager);
};

struct schedule {
    _Alignas(64) struct gcm_key_data data;
    uint64_t serial; /* of the key in it; 0: none */
};

struct ipsecmb {
    struct schedule seal, open;
    IMB_MGR *manager;
};

static struct library library;
static bool loaded;

static void ipsecmb_free(void *ciphers) {
    struct ipsecmb *ipsecmb = ciphers;
    if (ipsecmb->manager)
        library.free(ipsecmb->manager);
    explicit_bzero(ipsecmb, sizeof(*ipsecmb));
    free(ipsecmb);
}

static void *ipsecmb_create(void) {
    struct ipsecmb *ipsecmb = aligned_alloc(_Alignof(struct ipsecmb), sizeof(*ipsecmb));
    if (!ipsecmb)
        return NULL;
    memset(ipsecmb, 0, sizeof(*ipsecmb));
    ipsecmb->manager = library.alloc(0);
    if (ipsecmb->manager) {
        library.init(ipsecmb->manager, NULL);
        if (library.error(ipsecmb->manager) == 0)
            return ipsecmb;
    }
    ipsecmb_free(ipsecmb); /* the CPU has no AES instructions, or a self-test failed */
    return NULL;
}

static void schedule_forget(struct schedule *schedule) {
    if (schedule->serial)
        explicit_bzero(schedule, sizeof(*schedule));
}

static void ipsecmb_forget(void *ciphers) {
    struct ipsecmb *ipsecmb = ciphers;
    schedule_forget(&ipsecmb->seal);
    schedule_forget(&ipsecmb->open);
}

/* ---- ChaCha20-Poly1305: jobs in bursts ---- */

static void fill(IMB_JOB *job, IMB_CIPHER_DIRECTION direction, const struct aead_key *key,
                 const struct aead_packet *packet, uint32_t length, const uint8_t *nonce,
                 uint8_t *tag, const struct aead_extra *extra) {
    job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
    job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
    job->cipher_direction = direction;
    job->chain_order = direction == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
    job->enc_keys = job->dec_keys = key->bytes;
    job->key_len_in_bytes = AEAD_KEY_SIZE;
    job->src = packet->in;
    job->dst = packet->out;
    job->cipher_start_src_offset_in_bytes = job->hash_start_src_offset_in_bytes = 0;
    job->msg_len_to_cipher_in_bytes = job->msg_len_to_hash_in_bytes = length;
    job->iv = nonce;
    job->iv_len_in_bytes = AEAD_NONCE_SIZE;
    job->auth_tag_output = tag;
    job->auth_tag_output_len_in_bytes = AEAD_TAG_SIZE;
    job->u.CHACHA20_POLY1305.aad = extra ? extra->ad : NULL;
    job->u.CHACHA20_POLY1305.aad_len_in_bytes = extra ? extra->ad_length : 0;
}

/* Without the library's checks, which cost a tenth of a small packet: nothing here is NULL, and all
 * lengths but the packet's are constants. */
static bool run(IMB_MGR *manager, IMB_JOB **jobs, uint32_t n) {
    IMB_JOB *done[BURST_MAX];
    memcpy(done, jobs, n * sizeof(*jobs));
    uint32_t ended = IMB_SUBMIT_BURST_NOCHECK(manager, n, done);
    while (ended < n) {
        uint32_t more = IMB_FLUSH_BURST(manager, n - ended, done);
        if (more == 0)
            return false;
        ended += more;
    }
    for (uint32_t i = 0; i < n; i++)
        if (jobs[i]->status != IMB_STATUS_COMPLETED)
            return false;
    return true;
}

static bool chacha_seal(IMB_MGR *manager, const struct aead_key *key, struct aead_packet *packets,
                        size_t n, const struct aead_extra *extra) {
    uint8_t nonces[BURST_MAX][AEAD_NONCE_SIZE];
    IMB_JOB *jobs[BURST_MAX];
    for (size_t from = 0; from < n; from += BURST_MAX) {
        uint32_t count = n - from < BURST_MAX ? (uint32_t)(n - from) : BURST_MAX;
        if (IMB_GET_NEXT_BURST(manager, count, jobs) != count)
            return false;
        for (uint32_t i = 0; i < count; i++) {
            const struct aead_packet *packet = &packets[from + i];
            aead_nonce(nonces[i], packet->counter, extra);
            fill(jobs[i], IMB_DIR_ENCRYPT, key, packet, packet->length, nonces[i],
                 packet->out + packet->length, extra);
        }
        if (!run(manager, jobs, count))
            return false;
    }
    return true;
}

static void chacha_open(IMB_MGR *manager, const struct aead_key *key, struct aead_packet *packets,
                        size_t n, const struct aead_extra *extra) {
    uint8_t nonces[BURST_MAX][AEAD_NONCE_SIZE], tags[BURST_MAX][AEAD_TAG_SIZE];
    IMB_JOB *jobs[BURST_MAX];
    for (size_t from = 0; from < n; from += BURST_MAX) {
        uint32_t count = n - from < BURST_MAX ? (uint32_t)(n - from) : BURST_MAX;
        bool done = IMB_GET_NEXT_BURST(manager, count, jobs) == count;
        for (uint32_t i = 0; done && i < count; i++) {
            const struct aead_packet *packet = &packets[from + i];
            aead_nonce(nonces[i], packet->counter, extra);
            fill(jobs[i], IMB_DIR_DECRYPT, key, packet, packet->length - AEAD_TAG_SIZE, nonces[i],
                 tags[i], extra);
        }
        done = done && run(manager, jobs, count);
        for (uint32_t i = 0; i < count; i++) {
            struct aead_packet *packet = &packets[from + i];
            const uint8_t *tag = packet->in + packet->length - AEAD_TAG_SIZE;
            packet->ok = done && aead_tags_equal(tags[i], tag);
        }
    }
}

/* ---- AES-256-GCM: direct calls, since version 1.3 has no other for many packets ---- */

static const struct gcm_key_data *scheduled(IMB_MGR *manager, struct schedule *schedule,
                                            const struct aead_key *key) {
    if (schedule->serial != key->serial) {
        IMB_AES256_GCM_PRE(manager, key->bytes, &schedule->data);
        schedule->serial = key->serial;
    }
    return &schedule->data;
}

static void gcm_seal(struct ipsecmb *ipsecmb, const struct aead_key *key,
                     struct aead_packet *packets, size_t n, const struct aead_extra *extra) {
    const struct gcm_key_data *data = scheduled(ipsecmb->manager, &ipsecmb->seal, key);
    struct gcm_context_data context;
    uint8_t nonce[AEAD_NONCE_SIZE];
    for (size_t i = 0; i < n; i++) {
        const struct aead_packet *packet = &packets[i];
        aead_nonce(nonce, packet->counter, extra);
        IMB_AES256_GCM_ENC(ipsecmb->manager, data, &context, packet->out, packet->in,
                           packet->length, nonce, extra ? extra->ad : NULL,
                           extra ? extra->ad_length : 0, packet->out + packet->length,
                           AEAD_TAG_SIZE);
    }
}

static void gcm_open(struct ipsecmb *ipsecmb, const struct aead_key *key,
                     struct aead_packet *packets, size_t n, const struct aead_extra *extra) {
    const struct gcm_key_data *data = scheduled(ipsecmb->manager, &ipsecmb->open, key);
    struct gcm_context_data context;
    uint8_t nonce[AEAD_NONCE_SIZE], tag[AEAD_TAG_SIZE];
    for (size_t i = 0; i < n; i++) {
        struct aead_packet *packet = &packets[i];
        uint32_t length = packet->length - AEAD_TAG_SIZE;
        aead_nonce(nonce, packet->counter, extra);
        IMB_AES256_GCM_DEC(ipsecmb->manager, data, &context, packet->out, packet->in, length, nonce,
                           extra ? extra->ad : NULL, extra ? extra->ad_length : 0, tag,
                           AEAD_TAG_SIZE);
        packet->ok = aead_tags_equal(tag, packet->in + length);
    }
}

/* ---- Both ---- */

static bool ipsecmb_seal(void *ciphers, const struct aead_key *key, struct aead_packet *packets,
                         size_t n, const struct aead_extra *extra) {
    struct ipsecmb *ipsecmb = ciphers;
    if (key->suite != AEAD_AES_256_GCM)
        return chacha_seal(ipsecmb->manager, key, packets, n, extra);
    gcm_seal(ipsecmb, key, packets, n, extra);
    return true;
}

static void ipsecmb_open(void *ciphers, const struct aead_key *key, struct aead_packet *packets,
                         size_t n, const struct aead_extra *extra) {
    struct ipsecmb *ipsecmb = ciphers;
    if (key->suite == AEAD_AES_256_GCM)
        gcm_open(ipsecmb, key, packets, n, extra);
    else
        chacha_open(ipsecmb->manager, key, packets, n, extra);
}

/* ---- Loading ---- */

static bool resolve(void *handle) {
    unsigned (*version)(void);
    *(void **)&version = dlsym(handle, "imb_get_version");
    *(void **)&library.alloc = dlsym(handle, "alloc_mb_mgr");
    *(void **)&library.init = dlsym(handle, "init_mb_mgr_auto");
    *(void **)&library.free = dlsym(handle, "free_mb_mgr");
    *(void **)&library.error = dlsym(handle, "imb_get_errno");
    return version && version() == IMB_VERSION_NUM && library.alloc && library.init &&
           library.free && library.error;
}

static void load(void) {
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return;
    loaded = resolve(handle);
    /* All of it or nothing: a library that is wrong in one suite is not trusted with the other. */
    for (enum aead_suite suite = 0; suite < AEAD_SUITES; suite++)
        loaded = loaded && (!aead_suite_here(suite) || aead_backend_right(&aead_ipsecmb, suite));
    if (!loaded)
        dlclose(handle);
}

static bool ipsecmb_has(enum aead_suite suite) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)suite;
    pthread_once(&once, load);
    return loaded;
}

const struct aead_backend aead_ipsecmb = {
    .name = "ipsec-mb",
    .has = ipsecmb_has,
    .create = ipsecmb_create,
    .free = ipsecmb_free,
    .forget = ipsecmb_forget,
    .seal = ipsecmb_seal,
    .open = ipsecmb_open,
};

#else

static bool never(enum aead_suite suite) {
    (void)suite;
    return false;
}

const struct aead_backend aead_ipsecmb = {.name = "ipsec-mb", .has = never};

#endif
