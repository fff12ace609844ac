// LDFLAGS: -Wl,--wrap=pthread_create
/*
 * T1: Wycheproof's ChaCha20-Poly1305 and XChaCha20-Poly1305 vectors through the code that the
 * packets take. The files come from SHOAL_VECTORS or ../shared/vectors beside the repository.
 */
#include <stdio.h>
#include <stdlib.h>

#include "aead.h"
#include "no_threads.h"
#include "random.h"
#include "unit.h"

#define FIELD_MAX 8192u
#define SKIPPED 77

struct field {
    uint8_t bytes[FIELD_MAX];
    size_t length;
};

struct vector {
    struct field key, iv, aad, msg, ct, tag;
    unsigned id;
    bool valid;
};

/* ---- Just enough JSON for files that one generator wrote: flat objects of strings ---- */

static char *folder_file(const char *name) {
    static char path[4096];
    const char *folder = getenv("SHOAL_VECTORS");
    snprintf(path, sizeof(path), "%s/%s", folder ? folder : "../shared/vectors", name);
    return path;
}

static char *read_whole(const char *name) {
    FILE *file = fopen(folder_file(name), "r");
    if (!file)
        return NULL;
    const size_t most = 4u << 20;
    char *text = malloc(most + 1);
    assert_non_null(text);
    size_t length = fread(text, 1, most, file);
    text[length] = 0;
    fclose(file);
    return text;
}

/* The value of "name" between `at` and `end`; NULL when it is not there. */
static const char *value_of(const char *at, const char *end, const char *name) {
    char quoted[64];
    int n = snprintf(quoted, sizeof(quoted), "\"%s\"", name);
    const char *found = strstr(at, quoted);
    if (!found || found >= end)
        return NULL;
    found += n;
    return found + strspn(found, " :\n");
}

static unsigned nibble(char c) {
    assert_true((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void read_hex(struct field *field, const char *at, const char *end, const char *name) {
    const char *text = value_of(at, end, name);
    if (!text || *text++ != '"') {
        fail_msg("no field %s", name);
        return;
    }
    for (field->length = 0; *text != '"'; text += 2) {
        assert_true(field->length < FIELD_MAX);
        field->bytes[field->length++] = (uint8_t)(nibble(text[0]) << 4 | nibble(text[1]));
    }
}

typedef void check_vector(const struct vector *vector);

static void each_vector(const char *text, check_vector *check, unsigned expected) {
    static struct vector vector;
    unsigned count = 0;
    for (const char *at = strstr(text, "\"tcId\""); at; at = strstr(at + 1, "\"tcId\"")) {
        const char *end = strchr(at, '}');
        assert_non_null(end);
        vector.id = (unsigned)atoi(value_of(at, end, "tcId"));
        read_hex(&vector.key, at, end, "key");
        read_hex(&vector.iv, at, end, "iv");
        read_hex(&vector.aad, at, end, "aad");
        read_hex(&vector.msg, at, end, "msg");
        read_hex(&vector.ct, at, end, "ct");
        read_hex(&vector.tag, at, end, "tag");
        const char *result = value_of(at, end, "result");
        assert_non_null(result);
        vector.valid = strncmp(result, "\"valid\"", 7) == 0;
        assert_true(vector.valid || strncmp(result, "\"invalid\"", 9) == 0);
        check(&vector);
        count++;
    }
    assert_int_equal(count, expected);
    assert_int_equal(atoi(value_of(text, text + strlen(text), "numberOfTests")), expected);
}

/* ---- The vectors ---- */

static uint8_t sealed[FIELD_MAX + 16], opened[FIELD_MAX];

static size_t join(const struct vector *v) {
    assert_true(v->ct.length <= FIELD_MAX);
    memcpy(sealed, v->ct.bytes, v->ct.length);
    memcpy(sealed + v->ct.length, v->tag.bytes, v->tag.length);
    return v->ct.length + v->tag.length;
}

static unsigned other_nonces;

static void check_chacha(const struct vector *v) {
    assert_int_equal(v->key.length, 32);
    if (v->iv.length != AEAD_NONCE_SIZE) { /* cannot be said through this interface */
        assert_false(v->valid);
        other_nonces++;
        return;
    }
    for (size_t i = 0; aead_backend(i); i++) {
        struct aead_choice choice = aead_prefer(aead_backend(i), NULL);
        struct aead *aead = aead_create(&choice);
        struct aead_key key;
        assert_non_null(aead);
        aead_key_init(&key, AEAD_CHACHA20_POLY1305, v->key.bytes);
        size_t length = join(v);
        bool good = aead_open_with(aead, &key, opened, sealed, length, v->aad.bytes, v->aad.length,
                                   v->iv.bytes);
        if (good != v->valid)
            fail_msg("%s: vector %u", aead_name(aead_backend(i)), v->id);
        if (v->valid) {
            assert_memory_equal(opened, v->msg.bytes, v->msg.length);
            memset(sealed, 0, sizeof(sealed));
            assert_true(aead_seal_with(aead, &key, sealed, v->msg.bytes, v->msg.length,
                                       v->aad.bytes, v->aad.length, v->iv.bytes));
            assert_memory_equal(sealed, v->ct.bytes, v->ct.length);
            assert_memory_equal(sealed + v->ct.length, v->tag.bytes, 16);
        }
        aead_free(aead);
    }
}

static void check_xchacha(const struct vector *v) {
    assert_int_equal(v->key.length, 32);
    if (v->iv.length != 24) {
        assert_false(v->valid);
        other_nonces++;
        return;
    }
    size_t length = join(v);
    bool good = aead_xchacha_open(opened, sealed, length, v->aad.bytes, v->aad.length, v->iv.bytes,
                                  v->key.bytes);
    if (good != v->valid)
        fail_msg("xchacha: vector %u", v->id);
    if (!v->valid)
        return;
    assert_memory_equal(opened, v->msg.bytes, v->msg.length);
    aead_xchacha_seal(sealed, v->msg.bytes, v->msg.length, v->aad.bytes, v->aad.length, v->iv.bytes,
                      v->key.bytes);
    assert_memory_equal(sealed, v->ct.bytes, v->ct.length);
    assert_memory_equal(sealed + v->ct.length, v->tag.bytes, 16);
}

static void run(const char *name, check_vector *check, unsigned expected) {
    char *text = read_whole(name);
    assert_non_null(text);
    other_nonces = 0;
    each_vector(text, check, expected);
    assert_true(other_nonces < expected / 10);
    free(text);
}

static void t1_chacha20_poly1305_passes_all_325(void **state) {
    (void)state;
    run("chacha20_poly1305_test.json", check_chacha, 325);
}

static void t1_xchacha20_poly1305_passes_all_315(void **state) {
    (void)state;
    run("xchacha20_poly1305_test.json", check_xchacha, 315);
}

int main(void) {
    FILE *file = fopen(folder_file("chacha20_poly1305_test.json"), "r");
    if (!file) {
        const char *ci = getenv("CI");
        printf("no Wycheproof vectors: set SHOAL_VECTORS to their folder\n");
        return ci && strcmp(ci, "true") == 0 ? 1 : SKIPPED;
    }
    fclose(file);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(t1_chacha20_poly1305_passes_all_325),
        cmocka_unit_test(t1_xchacha20_poly1305_passes_all_315),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
