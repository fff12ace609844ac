#include "aead_answers.h"

#include <string.h>

#include <sodium.h>

#define BATCH 24u
#define ROOM 2048u

/* RFC 8439 section 2.8.2. */
static bool says_what_the_rfc_says(struct aead *aead) {
    static const char text[] =
        "Ladies and Gentlemen of the class of '99: If I could offer you only "
        "one tip for the future, sunscreen would be it.";
    static const uint8_t ad[12] = {0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1,
                                   0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7};
    static const uint8_t nonce[12] = {7, 0, 0, 0, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47};
    static const uint8_t tag[16] = {0x1a, 0xe1, 0x0b, 0x59, 0x4f, 0x09, 0xe2, 0x6a,
                                    0x7e, 0x90, 0x2e, 0xcb, 0xd0, 0x60, 0x06, 0x91};
    const size_t length = sizeof(text) - 1;
    uint8_t bytes[AEAD_KEY_SIZE], out[sizeof(text) + AEAD_TAG_SIZE] = {0};
    struct aead_key key;
    for (unsigned i = 0; i < AEAD_KEY_SIZE; i++)
        bytes[i] = (uint8_t)(0x80 + i);
    aead_key_init(&key, bytes);
    return aead_seal_with(aead, &key, out, (const uint8_t *)text, length, ad, 12, nonce) &&
           memcmp(out + length, tag, 16) == 0 &&
           aead_open_with(aead, &key, out, out, length + 16, ad, 12, nonce) &&
           memcmp(out, text, length) == 0;
}

static void reference(uint8_t *out, const uint8_t *in, uint32_t length, uint64_t counter,
                      const uint8_t *key) {
    uint8_t nonce[AEAD_NONCE_SIZE] = {0};
    for (unsigned i = 0; i < 8; i++)
        nonce[4 + i] = (uint8_t)(counter >> 8 * i);
    crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, in, length, NULL, 0, NULL, nonce, key);
}

/* Lengths about the borders of blocks (16, 64) and of wide passes (256, 512, 1,024). */
static uint32_t length_of(uint32_t i) {
    static const uint32_t lengths[BATCH] = {0,   1,   15,  16,  17,  63,  64,   65,
                                            127, 128, 255, 256, 257, 511, 512,  513,
                                            575, 576, 767, 896, 960, 961, 1024, 1424};
    return lengths[i];
}

/* One batch, sealed and opened in place; every third packet is forged before. */
static bool says_what_libsodium_says(struct aead *aead) {
    static const uint8_t bytes[AEAD_KEY_SIZE] = "a key that is known to everybody";
    uint8_t plain[ROOM], expected[ROOM], sealed[BATCH][ROOM] = {{0}};
    struct aead_packet packets[BATCH];
    struct aead_key key;
    aead_key_init(&key, bytes);
    for (uint32_t i = 0; i < ROOM; i++)
        plain[i] = (uint8_t)(i * 7 + i / 256);
    for (uint32_t i = 0; i < BATCH; i++)
        packets[i] = (struct aead_packet){sealed[i], plain, i * 0x10001ull, length_of(i), false};
    if (!aead_seal(aead, &key, packets, BATCH))
        return false;
    for (uint32_t i = 0; i < BATCH; i++) {
        uint32_t length = length_of(i);
        reference(expected, plain, length, packets[i].counter, bytes);
        if (memcmp(sealed[i], expected, length + AEAD_TAG_SIZE) != 0)
            return false;
        if (i % 3 == 0)
            sealed[i][length + i % AEAD_TAG_SIZE] ^= 0x10;
        packets[i].in = sealed[i];
        packets[i].length = length + AEAD_TAG_SIZE;
    }
    if (aead_open(aead, &key, packets, BATCH) != BATCH - (BATCH + 2) / 3)
        return false;
    for (uint32_t i = 0; i < BATCH; i++)
        if (packets[i].ok != (i % 3 != 0) ||
            (packets[i].ok && memcmp(sealed[i], plain, length_of(i)) != 0))
            return false;
    return true;
}

bool aead_answers_right(struct aead *aead) {
    return sodium_init() >= 0 && says_what_the_rfc_says(aead) && says_what_libsodium_says(aead);
}
