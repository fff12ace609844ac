/*
 * T16: a batch through every back-end of a suite. Input: one control byte (bit 0: the suite; bit 1:
 * opened in place), 8 bytes of counter, one byte n, then n records of four bytes (length in two,
 * what is forged, and where), then text that repeats. Back-ends seal alike, open exactly what was
 * left alone, and touch nothing beyond the packet.
 */
#include "fuzz.h"

#include "aead.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define AEAD_BATCH 70u /* more than a back-end takes in one burst */
#define AEAD_BACKENDS 5u
#define AEAD_TEXT 2047u

enum { AEAD_LEFT_ALONE, AEAD_FLIPPED, AEAD_CUT, AEAD_SHORT, AEAD_FATES };

static struct aead *aead_tools[AEAD_BACKENDS];
static const struct aead_backend *aead_backends[AEAD_BACKENDS];

static void aead_close(void) {
    for (uint32_t i = 0; i < AEAD_BACKENDS; i++)
        aead_free(aead_tools[i]);
}

static void aead_open_tools(void) {
    for (uint32_t i = 0; i < AEAD_BACKENDS && aead_backend(i); i++) {
        aead_backends[i] = aead_backend(i);
        struct aead_choice choice = aead_prefer(aead_backends[i], NULL);
        aead_tools[i] = aead_create(&choice);
        REQUIRE(aead_tools[i]);
    }
    atexit(aead_close);
}

struct aead_input {
    uint64_t counter;
    uint32_t n;
    const uint8_t *records, *text;
    size_t text_length;
};

static uint32_t aead_length(const struct aead_input *input, uint32_t i) {
    const uint8_t *record = input->records + 4 * i;
    return ((uint32_t)record[0] << 8 | record[1]) & AEAD_TEXT;
}

/* Each packet in memory of exactly its size. @return what was sealed, one after the other. */
static void aead_seal_all(struct aead *aead, const struct aead_key *key,
                          const struct aead_input *input, struct aead_packet *packets) {
    uint8_t *texts[AEAD_BATCH];
    for (uint32_t i = 0; i < input->n; i++) {
        uint32_t length = aead_length(input, i);
        texts[i] = exact_copy(NULL, 0, length);
        for (uint32_t k = 0; k < length; k++)
            texts[i][k] = input->text_length ? input->text[(i + k) % input->text_length] : 0;
        packets[i] = (struct aead_packet){exact_copy(NULL, 0, length + 16), texts[i],
                                          input->counter + i, length, false};
    }
    REQUIRE(aead_seal(aead, key, packets, input->n));
    for (uint32_t i = 0; i < input->n; i++)
        free(texts[i]);
}

/* Forges, opens, compares with the text. Frees what was sealed. */
static void aead_open_all(struct aead *aead, const struct aead_key *key,
                          const struct aead_input *input, struct aead_packet *packets,
                          bool in_place) {
    uint32_t right = 0;
    for (uint32_t i = 0; i < input->n; i++) {
        const uint8_t *record = input->records + 4 * i;
        uint32_t sealed = packets[i].length + 16, fate = record[2] % AEAD_FATES;
        uint32_t shown = fate == AEAD_CUT ? sealed - 1 : fate == AEAD_SHORT ? 15 : sealed;
        uint8_t *message = exact_copy(packets[i].out, shown, 0);
        free(packets[i].out);
        if (fate == AEAD_FLIPPED)
            message[record[3] % shown] ^= (uint8_t)(1u << record[2] / AEAD_FATES % 8);
        uint32_t plain = shown < 16 ? 0 : shown - 16;
        packets[i] = (struct aead_packet){in_place ? message : exact_copy(NULL, 0, plain), message,
                                          input->counter + i, shown, fate != AEAD_LEFT_ALONE};
        right += fate == AEAD_LEFT_ALONE;
    }
    REQUIRE(aead_open(aead, key, packets, input->n) == right);
    for (uint32_t i = 0; i < input->n; i++) {
        REQUIRE(packets[i].ok == (input->records[4 * i + 2] % AEAD_FATES == AEAD_LEFT_ALONE));
        for (uint32_t k = 0; packets[i].ok && k < packets[i].length - 16; k++)
            REQUIRE(packets[i].out[k] ==
                    (input->text_length ? input->text[(i + k) % input->text_length] : 0));
        if (!in_place)
            free(packets[i].out);
    }
}

static void aead_free_messages(struct aead_packet *packets, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *in = packets[i].in;
        uint8_t *message;
        memcpy(&message, &in, sizeof(message));
        free(message);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!aead_tools[0])
        aead_open_tools();
    if (size < 10 || data[9] > AEAD_BATCH || size - 10 < 4u * data[9])
        return 0;
    enum aead_suite suite = data[0] & 1;
    if (!aead_suite_here(suite))
        return 0;
    struct aead_input input = {.n = data[9], .records = data + 10};
    memcpy(&input.counter, data + 1, sizeof(input.counter));
    input.text = input.records + 4 * input.n;
    input.text_length = size - 10 - 4 * input.n;
    static const uint8_t bytes[AEAD_KEY_SIZE] = "a key that is known to everybody";
    struct aead_key key;
    aead_key_init(&key, suite, bytes);
    struct aead_packet packets[AEAD_BACKENDS][AEAD_BATCH];
    uint32_t first = AEAD_BACKENDS;
    for (uint32_t b = 0; b < AEAD_BACKENDS && aead_tools[b]; b++) {
        if (!aead_has(aead_backends[b], suite))
            continue;
        aead_seal_all(aead_tools[b], &key, &input, packets[b]);
        first = first < b ? first : b;
        for (uint32_t i = 0; i < input.n; i++)
            REQUIRE(memcmp(packets[b][i].out, packets[first][i].out, packets[b][i].length + 16) ==
                    0);
    }
    for (uint32_t b = 0; b < AEAD_BACKENDS && aead_tools[b]; b++) {
        if (!aead_has(aead_backends[b], suite))
            continue;
        aead_open_all(aead_tools[b], &key, &input, packets[b], data[0] & 2);
        aead_free_messages(packets[b], input.n);
    }
    return 0;
}
