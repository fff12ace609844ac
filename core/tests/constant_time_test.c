/*
 * Our own ChaCha20-Poly1305 does the same for every key and text. The program runs itself under
 * valgrind, which follows what was declared unknown and complains where a branch or an address
 * depends on it. Valgrind knows no AVX-512, so this is about AVX2; the code for AVX-512 is the same
 * but for the width of its registers and the arithmetic of their limbs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aead.h"
#include "unit.h"

#define SKIPPED 77

#if defined(__x86_64__) && __has_include(<valgrind/memcheck.h>) && !defined(__SANITIZE_ADDRESS__) &&\
    !defined(__SANITIZE_THREAD__)
#include <valgrind/memcheck.h>

#define FOUND 9 /* exit code: valgrind complained */
#define PACKETS 9u
#define LONGEST 1500u

static uint8_t text[PACKETS][LONGEST], sealed[PACKETS][LONGEST + AEAD_TAG_SIZE];

static bool seal_unknown(struct aead *aead) {
    const uint8_t bytes[AEAD_KEY_SIZE] = {7};
    struct aead_packet packets[PACKETS];
    struct aead_key key;
    aead_key_init(&key, AEAD_CHACHA20_POLY1305, bytes);
    for (uint32_t i = 0; i < PACKETS; i++)
        packets[i] = (struct aead_packet){sealed[i], text[i], i, i * 163 + 1, false};
    VALGRIND_MAKE_MEM_UNDEFINED(key.bytes, sizeof(key.bytes));
    VALGRIND_MAKE_MEM_UNDEFINED(text, sizeof(text));
    return aead_seal(aead, &key, packets, PACKETS);
}

/* What opening adds: a look at the tag, whose outcome is public. */
static bool compare_unknown(struct aead *aead) {
    const uint8_t bytes[AEAD_KEY_SIZE] = {7};
    struct aead_packet packet = {sealed[0], sealed[0], 0, 100, false};
    struct aead_key key;
    aead_key_init(&key, AEAD_CHACHA20_POLY1305, bytes);
    VALGRIND_MAKE_MEM_UNDEFINED(key.bytes, sizeof(key.bytes));
    return aead_open(aead, &key, &packet, 1) == 1;
}

static int child(const char *what) {
    struct aead_choice choice = aead_prefer(aead_find("shoal-avx2"), NULL);
    struct aead *aead = aead_create(&choice);
    bool done = aead != NULL;
    if (strcmp(what, "seal") == 0)
        done = done && seal_unknown(aead);
    if (strcmp(what, "open") == 0)
        done = done && compare_unknown(aead);
    aead_free(aead);
    return done ? 0 : 1;
}

static const char *self;

static int under_valgrind(const char *what) {
    char command[4096];
    snprintf(command, sizeof(command), "valgrind -q --error-exitcode=%d '%s' %s >/dev/null 2>&1",
             FOUND, self, what);
    return WEXITSTATUS(system(command));
}

static void no_branch_and_no_address_depends_on_a_key_or_a_text(void **state) {
    (void)state;
    assert_int_equal(under_valgrind("seal"), 0);
}

/* That valgrind would say so: here it has to. */
static void the_verdict_on_a_tag_is_a_branch(void **state) {
    (void)state;
    assert_int_equal(under_valgrind("open"), FOUND);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_branch_and_no_address_depends_on_a_key_or_a_text),
        cmocka_unit_test(the_verdict_on_a_tag_is_a_branch),
    };
    if (argc == 2)
        return child(argv[1]);
    self = argv[0];
    if (!aead_find("shoal-avx2") || under_valgrind("nothing") != 0) {
        printf("no AVX2, or no valgrind that can read this build\n");
        return SKIPPED;
    }
    return cmocka_run_group_tests_name("constant_time", tests, NULL, NULL);
}

#else

int main(void) {
    printf("no valgrind/memcheck.h, no x86-64, or a sanitizer is on\n");
    return SKIPPED;
}

#endif
