#include "aead_answers.h"

#include <string.h>

#include "aead_backend.h"

#define BATCH 24u
#define ROOM 2048u

/* RFC 8439 section 2.8.2. */
static bool says_what_rfc_8439_says(struct aead *aead) {
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
    aead_key_init(&key, AEAD_CHACHA20_POLY1305, bytes);
    return aead_seal_with(aead, &key, out, (const uint8_t *)text, length, ad, 12, nonce) &&
           memcmp(out + length, tag, 16) == 0 &&
           aead_open_with(aead, &key, out, out, length + 16, ad, 12, nonce) &&
           memcmp(out, text, length) == 0;
}

/* Lengths about the borders of blocks (16, 64) and of wide passes (256, 512, 1,024). */
static uint32_t length_of(uint32_t i) {
    static const uint32_t lengths[BATCH] = {0,   1,   15,  16,  17,  63,  64,   65,
                                            127, 128, 255, 256, 257, 511, 512,  513,
                                            575, 576, 767, 896, 960, 961, 1024, 1424};
    return lengths[i];
}

/* Test case 16 of the proposal of GCM (McGrew and Viega), which NIST's own vectors repeat. */
static bool says_what_the_authors_of_gcm_say(struct aead *aead) {
    static const uint8_t half[16] = {0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c,
                                     0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08};
    static const uint8_t nonce[12] = {0xca, 0xfe, 0xba, 0xbe, 0xfa, 0xce,
                                      0xdb, 0xad, 0xde, 0xca, 0xf8, 0x88};
    static const uint8_t ad[20] = {0xfe, 0xed, 0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xfe, 0xed,
                                   0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xab, 0xad, 0xda, 0xd2};
    static const uint8_t text[60] = {
        0xd9, 0x31, 0x32, 0x25, 0xf8, 0x84, 0x06, 0xe5, 0xa5, 0x59, 0x09, 0xc5, 0xaf, 0xf5, 0x26,
        0x9a, 0x86, 0xa7, 0xa9, 0x53, 0x15, 0x34, 0xf7, 0xda, 0x2e, 0x4c, 0x30, 0x3d, 0x8a, 0x31,
        0x8a, 0x72, 0x1c, 0x3c, 0x0c, 0x95, 0x95, 0x68, 0x09, 0x53, 0x2f, 0xcf, 0x0e, 0x24, 0x49,
        0xa6, 0xb5, 0x25, 0xb1, 0x6a, 0xed, 0xf5, 0xaa, 0x0d, 0xe6, 0x57, 0xba, 0x63, 0x7b, 0x39};
    static const uint8_t tag[16] = {0x76, 0xfc, 0x6e, 0xce, 0x0f, 0x4e, 0x17, 0x68,
                                    0xcd, 0xdf, 0x88, 0x53, 0xbb, 0x2d, 0x55, 0x1b};
    uint8_t bytes[AEAD_KEY_SIZE], out[sizeof(text) + AEAD_TAG_SIZE] = {0};
    struct aead_key key;
    memcpy(bytes, half, 16);
    memcpy(bytes + 16, half, 16);
    aead_key_init(&key, AEAD_AES_256_GCM, bytes);
    return aead_seal_with(aead, &key, out, text, sizeof(text), ad, sizeof(ad), nonce) &&
           memcmp(out + sizeof(text), tag, 16) == 0 &&
           aead_open_with(aead, &key, out, out, sizeof(text) + 16, ad, sizeof(ad), nonce) &&
           memcmp(out, text, sizeof(text)) == 0;
}

/* One batch, sealed and opened in place; every third packet is forged before. */
static bool says_what_another_says(struct aead *aead, struct aead *other, enum aead_suite suite) {
    static const uint8_t bytes[AEAD_KEY_SIZE] = "a key that is known to everybody";
    uint8_t plain[ROOM], expected[ROOM], sealed[BATCH][ROOM] = {{0}};
    struct aead_packet packets[BATCH];
    struct aead_key key;
    aead_key_init(&key, suite, bytes);
    for (uint32_t i = 0; i < ROOM; i++)
        plain[i] = (uint8_t)(i * 7 + i / 256);
    for (uint32_t i = 0; i < BATCH; i++)
        packets[i] = (struct aead_packet){sealed[i], plain, i * 0x10001ull, length_of(i), false};
    if (!aead_seal(aead, &key, packets, BATCH))
        return false;
    for (uint32_t i = 0; i < BATCH; i++) {
        uint32_t length = length_of(i);
        struct aead_packet right = packets[i];
        right.out = expected;
        if (!aead_seal(other, &key, &right, 1) ||
            memcmp(sealed[i], expected, length + AEAD_TAG_SIZE) != 0)
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

/* Without asking whether it has the suite: it is about to find out. */
static struct aead *only(const struct aead_backend *backend, enum aead_suite suite) {
    struct aead_choice choice = {0};
    aead_choose(&choice, suite, backend);
    return aead_create(&choice);
}

bool aead_backend_right(const struct aead_backend *backend, enum aead_suite suite) {
    bool gcm = suite == AEAD_AES_256_GCM;
    struct aead *aead = only(backend, suite),
                *other = only(gcm ? &aead_openssl : &aead_sodium, suite);
    bool right = aead && other &&
                 (gcm ? says_what_the_authors_of_gcm_say(aead) : says_what_rfc_8439_says(aead)) &&
                 says_what_another_says(aead, other, suite);
    aead_free(aead);
    aead_free(other);
    return right;
}
