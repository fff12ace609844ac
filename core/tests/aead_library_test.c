/* intel-ipsec-mb as a machine may have it: not at all, in another version, or answering wrongly. A
 * library is looked at once a process, so each case is a child of its own. */
// LDFLAGS: -Wl,--wrap=dlopen -Wl,--wrap=dlsym
#include "aead.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__) && __has_include(<intel-ipsec-mb.h>)
#include <intel-ipsec-mb.h>
#endif

#include "clock.h"
#include "unit.h"

enum fault {
    NONE,
    MISSING,
    OTHER_VERSION,
    NO_CALL,
    SEALS_WRONGLY,
    TAKES_FORGERIES,
    DOES_NOTHING,
    GCM_IS_WRONG
};

static enum fault fault;

void *__real_dlopen(const char *name, int flags);
void *__wrap_dlopen(const char *name, int flags);
void *__real_dlsym(void *handle, const char *name);
void *__wrap_dlsym(void *handle, const char *name);

void *__wrap_dlopen(const char *name, int flags) {
    return fault == MISSING ? NULL : __real_dlopen(name, flags);
}

#ifdef IMB_VERSION_NUM

static void (*real_init)(IMB_MGR *manager, IMB_ARCH *arch);
static burst_fn_t real_submit;

/* Whether this machine has the library in the version of the header, by no code of ours. */
static bool library_is_there(void) {
    void *handle = __real_dlopen("libIPSec_MB.so.1", RTLD_NOW);
    unsigned (*version)(void) = NULL;
    if (handle)
        *(void **)&version = __real_dlsym(handle, "imb_get_version");
    return version && version() == IMB_VERSION_NUM;
}

static unsigned other_version(void) { return IMB_VERSION_NUM + 1; }

static uint32_t faulty_submit(IMB_MGR *manager, const uint32_t n, IMB_JOB **jobs) {
    IMB_JOB *submitted[IMB_MAX_BURST_SIZE];
    memcpy(submitted, jobs, n * sizeof(*jobs));
    if (fault == DOES_NOTHING) {
        for (uint32_t i = 0; i < n; i++)
            jobs[i]->status = IMB_STATUS_COMPLETED;
        return n;
    }
    uint32_t done = real_submit(manager, n, jobs);
    for (uint32_t i = 0; i < n; i++) {
        const IMB_JOB *job = submitted[i];
        if (fault == SEALS_WRONGLY && job->cipher_direction == IMB_DIR_ENCRYPT &&
            job->msg_len_to_cipher_in_bytes == 1424)
            job->dst[1423] ^= 1;
        if (fault == TAKES_FORGERIES && job->cipher_direction == IMB_DIR_DECRYPT)
            memcpy(job->auth_tag_output, job->src + job->msg_len_to_cipher_in_bytes, 16);
    }
    return done;
}

static aes_gcm_enc_dec_t real_gcm;

static void faulty_gcm(const struct gcm_key_data *key, struct gcm_context_data *context,
                       uint8_t *out, const uint8_t *in, uint64_t length, const uint8_t *iv,
                       const uint8_t *ad, uint64_t ad_length, uint8_t *tag, uint64_t tag_length) {
    real_gcm(key, context, out, in, length, iv, ad, ad_length, tag, tag_length);
    tag[15] ^= length == 1424;
}

static void faulty_init(IMB_MGR *manager, IMB_ARCH *arch) {
    real_init(manager, arch);
    real_submit = manager->submit_burst_nocheck;
    manager->submit_burst_nocheck = faulty_submit;
    if (fault != GCM_IS_WRONG)
        return;
    real_gcm = manager->gcm256_enc;
    manager->gcm256_enc = faulty_gcm;
}

void *__wrap_dlsym(void *handle, const char *name) {
    if (fault == OTHER_VERSION && strcmp(name, "imb_get_version") == 0)
        return (void *)other_version;
    if (fault == NO_CALL && strcmp(name, "imb_get_errno") == 0)
        return NULL;
    if (fault >= SEALS_WRONGLY && strcmp(name, "init_mb_mgr_auto") == 0) {
        *(void **)&real_init = __real_dlsym(handle, name);
        return (void *)faulty_init;
    }
    return __real_dlsym(handle, name);
}

#else

static bool library_is_there(void) { return false; }

void *__wrap_dlsym(void *handle, const char *name) { return __real_dlsym(handle, name); }

#endif

/* What a process with this fault finds: bit 0: ipsec-mb; bit 1: what was chosen seals and opens. */
static int found_with(enum fault injected) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        fault = injected;
        struct aead_choice chosen = aead_calibrate(clock_monotonic, 1000000);
        struct aead *aead = aead_create(&chosen);
        struct aead_key key;
        uint8_t bytes[32] = {1}, text[48] = {2}, sealed[64], out[48];
        aead_key_init(&key, AEAD_CHACHA20_POLY1305, bytes);
        struct aead_packet packet = {sealed, text, 3, 48, false},
                           back = {out, sealed, 3, 64, false};
        bool good = aead && aead_seal(aead, &key, &packet, 1) &&
                    aead_open(aead, &key, &back, 1) == 1 && memcmp(out, text, 48) == 0;
        aead_free(aead);
        _exit((aead_find("ipsec-mb") ? 1 : 0) | (good ? 2 : 0));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void without_the_library_everything_works_as_before(void **state) {
    (void)state;
    assert_int_equal(found_with(MISSING), 2);
}

static void the_library_that_is_there_is_used(void **state) {
    (void)state;
    assert_int_equal(found_with(NONE), 3);
}

static void a_library_of_another_version_is_not_used(void **state) {
    (void)state;
    assert_int_equal(found_with(OTHER_VERSION), 2);
    assert_int_equal(found_with(NO_CALL), 2);
}

static void a_library_that_answers_wrongly_is_not_used(void **state) {
    (void)state;
    assert_int_equal(found_with(SEALS_WRONGLY), 2);
    assert_int_equal(found_with(TAKES_FORGERIES), 2);
    assert_int_equal(found_with(DOES_NOTHING), 2);
    assert_int_equal(found_with(GCM_IS_WRONG), aead_suite_here(AEAD_AES_256_GCM) ? 2 : 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_the_library_everything_works_as_before),
        cmocka_unit_test(the_library_that_is_there_is_used),
        cmocka_unit_test(a_library_of_another_version_is_not_used),
        cmocka_unit_test(a_library_that_answers_wrongly_is_not_used),
    };
    if (!library_is_there()) {
        const struct CMUnitTest one[] = {tests[0]}; /* the others would say nothing */
        return cmocka_run_group_tests_name("aead_library", one, NULL, NULL);
    }
    return cmocka_run_group_tests_name("aead_library", tests, NULL, NULL);
}
