/*
 * T16: handshake messages. Input: records of one control byte, one source byte, two length bytes
 * and the message. Control: bit 0 under load, bit 1 IPv6, bit 2 make MAC1 right, bits 3..7 advance
 * the clock by their square in 10 ms.
 */
#include "fuzz.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "aead.h"
#include "gate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t gate_key[32];

static void gate_draw(void *context, uint8_t *buffer, size_t length) {
    uint8_t *next = context;
    for (size_t i = 0; i < length; i++)
        buffer[i] = (*next)++;
}

static void gate_hash(const char *label, uint8_t hash[32]) {
    uint8_t input[40];
    memcpy(input, label, 8);
    memcpy(input + 8, gate_key, 32);
    REQUIRE(EVP_Digest(input, 40, hash, NULL, EVP_blake2s256(), NULL) == 1);
}

static void gate_mac(const uint8_t *key, size_t key_length, uint8_t *message, size_t covered) {
    size_t size = 16, written;
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
                                 OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "BLAKE2SMAC", NULL);
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(mac);
    REQUIRE(EVP_MAC_init(context, key, key_length, params) == 1 &&
            EVP_MAC_update(context, message, covered) == 1 &&
            EVP_MAC_final(context, message + covered, &written, 16) == 1);
    EVP_MAC_CTX_free(context);
    EVP_MAC_free(mac);
}

static void gate_mac1(uint8_t *message, size_t length) {
    uint8_t key[32];
    gate_hash("mac1----", key);
    gate_mac(key, 32, message, length - 32);
}

static void gate_mac2(uint8_t *message, size_t length, const uint8_t *reply) {
    uint8_t key[32], cookie[16];
    gate_hash("cookie--", key);
    REQUIRE(aead_xchacha_open(cookie, reply + 32, 32, message + length - 32, 16, reply + 8, key));
    gate_mac(cookie, 16, message, length - 16);
}

static void gate_check(enum gate_verdict verdict, const uint8_t *message, size_t length, bool valid,
                       bool loaded, const uint8_t *reply) {
    bool cookie = length == 64 && message[0] == 3;
    REQUIRE(verdict < GATE_VERDICTS);
    if (verdict == GATE_ACCEPT && !cookie)
        REQUIRE(valid && (length == 148 || length == 92)); /* R20, R28 */
    if (verdict == GATE_REPLY) {
        REQUIRE(valid && loaded && length >= WIRE_COOKIE_REPLY_SIZE); /* R30, R35 */
        REQUIRE(reply[0] == 3 && memcmp(reply + 4, message + 4, 4) == 0);
    }
    if (valid)
        REQUIRE(verdict != GATE_DROP_MAC1 && verdict != GATE_DROP_LENGTH);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t seed[16] = {0}, random = 1, reply[WIRE_COOKIE_REPLY_SIZE];
    gate_key[0] = 1;
    struct gate *gate = gate_create(seed, gate_draw, &random);
    REQUIRE(gate && gate_set_identity(gate, gate_key));
    uint64_t now = 1000000000;
    while (size >= 4) {
        uint8_t control = data[0];
        struct shoal_address source = {.family = control & 2 ? SHOAL_AF_INET6 : SHOAL_AF_INET,
                                       .port = data[1]};
        source.ip[3] = data[1];
        size_t length = (size_t)data[2] << 8 | data[3];
        data += 4;
        size -= 4;
        length = length < size ? length : size;
        uint8_t *message = exact_copy(data, length, 0);
        bool sized = (length == 148 && message[0] == 1) || (length == 92 && message[0] == 2);
        bool valid = control & 4 && sized && !message[1] && !message[2] && !message[3];
        if (valid)
            gate_mac1(message, length);
        now += (uint64_t)(control >> 3) * (control >> 3) * 10000000;
        struct gate_load load = {control & 1 ? 512 : 0, 4096};
        enum gate_verdict verdict = gate_admit(gate, message, length, &source, load, now, reply);
        gate_check(verdict, message, length, valid, gate_under_load(gate, now), reply);
        if (verdict == GATE_REPLY) { /* whoever gets the cookie is believed */
            gate_mac2(message, length, reply);
            verdict = gate_admit(gate, message, length, &source, load, now, reply);
            REQUIRE(verdict == GATE_ACCEPT || verdict == GATE_DROP_RATE ||
                    verdict == GATE_DROP_FULL);
        }
        free(message);
        data += length;
        size -= length;
    }
    gate_free(gate);
    return 0;
}
