#include "aead_backend.h"

#include <string.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

/* OpenSSL computes AES-256-GCM on any processor; without instructions for it by tables. */
static bool has_aes_instructions(void) {
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__)
    return (getauxval(AT_HWCAP) & (HWCAP_AES | HWCAP_PMULL)) == (HWCAP_AES | HWCAP_PMULL);
#else
    return false;
#endif
}

static bool has(enum aead_suite suite) {
    return suite == AEAD_CHACHA20_POLY1305 || has_aes_instructions();
}

static bool init(struct aead_key *key, const uint8_t bytes[AEAD_KEY_SIZE]) {
    key->openssl = EVP_CIPHER_CTX_new();
    const EVP_CIPHER *cipher =
        key->suite == AEAD_AES_256_GCM ? EVP_aes_256_gcm() : EVP_chacha20_poly1305();
    int seal = key->direction == AEAD_SEAL;
    return key->openssl && EVP_CipherInit_ex(key->openssl, cipher, NULL, bytes, NULL, seal) == 1;
}

static void wipe(struct aead_key *key) {
    EVP_CIPHER_CTX_free(key->openssl); /* cleanses the key schedule */
}

static bool seal(struct aead_key *key, const struct aead_operation *op) {
    EVP_CIPHER_CTX *cipher = key->openssl;
    int n;
    return EVP_EncryptInit_ex(cipher, NULL, NULL, NULL, op->nonce) == 1 &&
           (op->ad_length == 0 ||
            EVP_EncryptUpdate(cipher, NULL, &n, op->ad, (int)op->ad_length) == 1) &&
           EVP_EncryptUpdate(cipher, op->out, &n, op->in, (int)op->length) == 1 &&
           EVP_EncryptFinal_ex(cipher, op->out + op->length, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE,
                               op->out + op->length) == 1;
}

static bool open_packet(struct aead_key *key, const struct aead_operation *op) {
    EVP_CIPHER_CTX *cipher = key->openssl;
    uint8_t tag[AEAD_TAG_SIZE];
    int n;
    memcpy(tag, op->in + op->length, AEAD_TAG_SIZE);
    return EVP_DecryptInit_ex(cipher, NULL, NULL, NULL, op->nonce) == 1 &&
           EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_SIZE, tag) == 1 &&
           (op->ad_length == 0 ||
            EVP_DecryptUpdate(cipher, NULL, &n, op->ad, (int)op->ad_length) == 1) &&
           EVP_DecryptUpdate(cipher, op->out, &n, op->in, (int)op->length) == 1 &&
           EVP_DecryptFinal_ex(cipher, op->out + op->length, &n) == 1;
}

const struct aead_backend aead_openssl = {"openssl", has, init, wipe, seal, open_packet};
