#include "source.h"

#include <string.h>

#include <sodium.h>

struct source source_of(const struct shoal_address *address) {
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct source source = {.family = address->family};
    if (address->family == SHOAL_AF_INET) {
        memcpy(&source.prefix, address->ip, 4);
    } else if (memcmp(address->ip, mapped, sizeof(mapped)) == 0) {
        source.family = SHOAL_AF_INET; /* all of IPv4 must not share one /64 */
        memcpy(&source.prefix, address->ip + 12, 4);
    } else {
        memcpy(&source.prefix, address->ip, 8);
    }
    return source;
}

uint64_t source_hash(const struct source *source, const uint8_t key[16]) {
    uint8_t input[12], hash[8];
    uint64_t value;
    memcpy(input, &source->prefix, 8);
    memcpy(input + 8, &source->family, 4);
    crypto_shorthash(hash, input, sizeof(input), key);
    memcpy(&value, hash, 8);
    return value;
}
