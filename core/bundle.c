#include "bundle.h"

#include <string.h>

#include "wire.h"

bool bundle_add(struct bundle *bundle, const struct aead *aead, const struct aead_key *key,
                uint8_t *message, uint32_t index, uint64_t counter, const uint8_t *plain,
                uint32_t length) {
    uint8_t *text = message + WIRE_DATA_HEADER;
    bool waits = aead_gains_by_numbers(aead, key->suite);
    wire_put_le32(message, WIRE_DATA);
    wire_put_le32(message + WIRE_DATA_INDEX, index);
    wire_put_le64(message + WIRE_DATA_COUNTER, counter);
    if (waits)
        memcpy(text, plain, length);
    bundle->packets[bundle->count++] = (struct aead_packet){
        .out = text, .in = waits ? text : plain, .counter = counter, .length = length};
    return !waits || bundle->count == BUNDLE_MAX;
}

bool bundle_seal(struct bundle *bundle, struct aead *aead, const struct aead_key *key) {
    uint32_t count = bundle->count;
    bundle->count = 0;
    return aead_seal(aead, key, bundle->packets, count);
}
