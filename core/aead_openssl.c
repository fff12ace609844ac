#include "aead_backend.h"

#include <string.h>

static bool openssl_init(struct aead_key *key, const uint8_t bytes[AEAD_KEY_SIZE]) {
    key->cipher = EVP_CIPHER_CTX_new();
    int seal = key->direction == AEAD_SEAL;
    return key->cipher &&
           EVP_CipherInit_ex(key->cipher, EVP_chacha20_poly1305(), NULL, bytes, NULL, seal) == 1;
}

static void openssl_wipe(struct aead_key *key) {
    EVP_CIPHER_CTX_free(key->cipher); /* cleanses the key schedule */
}

static bool openssl_seal(struct aead_key *key, const struct operation *op) {
    EVP_CIPHER_CTX *cipher = key->cipher;
    int n;
    return EVP_EncryptInit_ex(cipher, NULL, NULL, NULL, op->nonce) == 1 &&
           (op->ad_length == 0 ||
            EVP_EncryptUpdate(cipher, NULL, &n, op->ad, (int)op->ad_length) == 1) &&
           EVP_EncryptUpdate(cipher, op->out, &n, op->in, (int)op->length) == 1 &&
           EVP_EncryptFinal_ex(cipher, op->out + op->length, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_SIZE,
                               op->out + op->length) == 1;
}

static bool openssl_open(struct aead_key *key, const struct operation *op) {
    EVP_CIPHER_CTX *cipher = key->cipher;
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

const struct aead_backend aead_openssl = {
    .name = "openssl",
    .init = openssl_init,
    .wipe = openssl_wipe,
    .seal = openssl_seal,
    .open = openssl_open,
};
