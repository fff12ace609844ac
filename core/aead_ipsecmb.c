/*
 * intel-ipsec-mb, whose ChaCha20-Poly1305 is the fastest here: a packet costs less than half of
 * OpenSSL's set-up. It is no dependency: built where its header is, used where the library is.
 *
 * The header is the vendor's, not declarations of ours: a job has 32 fields and the manager 140
 * function pointers by place, which differ between versions, and a wrong place is a call to
 * anywhere. So the library is taken only in the version of the header, by the name that says which
 * layout it has, and after it has given known answers.
 *
 * A manager (0.2 MB) belongs to one thread. It keeps pointers to keys, never a key.
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

#include <sodium.h>

#define LIBRARY "libIPSec_MB.so.1"
#define BURST_MAX 64u /* of 128 that 1.3 takes in one call */

/* What is called by name; all else stands in the manager. */
struct library {
    IMB_MGR *(*alloc)(uint64_t flags);
    void (*init)(IMB_MGR *manager, IMB_ARCH *arch);
    void (*free)(IMB_MGR *manager);
    int (*error)(IMB_MGR *manager);
};

static struct library library;
static bool loaded;

static void ipsecmb_free(void *ciphers) { library.free(ciphers); }

static void *ipsecmb_create(void) {
    IMB_MGR *manager = library.alloc(0);
    if (!manager)
        return NULL;
    library.init(manager, NULL);
    if (library.error(manager) == 0)
        return manager;
    ipsecmb_free(manager); /* the CPU has no AES instructions, or a self-test failed */
    return NULL;
}

static void ipsecmb_forget(void *ciphers) { (void)ciphers; }

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

static bool ipsecmb_seal(void *ciphers, const struct aead_key *key, struct aead_packet *packets,
                         size_t n, const struct aead_extra *extra) {
    uint8_t nonces[BURST_MAX][AEAD_NONCE_SIZE];
    IMB_JOB *jobs[BURST_MAX];
    for (size_t from = 0; from < n; from += BURST_MAX) {
        uint32_t count = n - from < BURST_MAX ? (uint32_t)(n - from) : BURST_MAX;
        if (IMB_GET_NEXT_BURST((IMB_MGR *)ciphers, count, jobs) != count)
            return false;
        for (uint32_t i = 0; i < count; i++) {
            const struct aead_packet *packet = &packets[from + i];
            aead_nonce(nonces[i], packet->counter, extra);
            fill(jobs[i], IMB_DIR_ENCRYPT, key, packet, packet->length, nonces[i],
                 packet->out + packet->length, extra);
        }
        if (!run(ciphers, jobs, count))
            return false;
    }
    return true;
}

static void ipsecmb_open(void *ciphers, const struct aead_key *key, struct aead_packet *packets,
                         size_t n, const struct aead_extra *extra) {
    uint8_t nonces[BURST_MAX][AEAD_NONCE_SIZE], tags[BURST_MAX][AEAD_TAG_SIZE];
    IMB_JOB *jobs[BURST_MAX];
    for (size_t from = 0; from < n; from += BURST_MAX) {
        uint32_t count = n - from < BURST_MAX ? (uint32_t)(n - from) : BURST_MAX;
        bool done = IMB_GET_NEXT_BURST((IMB_MGR *)ciphers, count, jobs) == count;
        for (uint32_t i = 0; done && i < count; i++) {
            const struct aead_packet *packet = &packets[from + i];
            aead_nonce(nonces[i], packet->counter, extra);
            fill(jobs[i], IMB_DIR_DECRYPT, key, packet, packet->length - AEAD_TAG_SIZE, nonces[i],
                 tags[i], extra);
        }
        done = done && run(ciphers, jobs, count);
        for (uint32_t i = 0; i < count; i++) {
            struct aead_packet *packet = &packets[from + i];
            const uint8_t *tag = packet->in + packet->length - AEAD_TAG_SIZE;
            packet->ok = done && sodium_memcmp(tags[i], tag, AEAD_TAG_SIZE) == 0;
        }
    }
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
    struct aead *aead = resolve(handle) ? aead_create(&aead_ipsecmb) : NULL;
    loaded = aead && aead_answers_right(aead);
    aead_free(aead);
    if (!loaded)
        dlclose(handle);
}

static bool ipsecmb_works(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return loaded;
}

const struct aead_backend aead_ipsecmb = {
    .name = "ipsec-mb",
    .works = ipsecmb_works,
    .create = ipsecmb_create,
    .free = ipsecmb_free,
    .forget = ipsecmb_forget,
    .seal = ipsecmb_seal,
    .open = ipsecmb_open,
};

#else

static bool never(void) { return false; }

const struct aead_backend aead_ipsecmb = {.name = "ipsec-mb", .works = never};

#endif
