#include "stray.h"

#include <string.h>

#include "source.h"

void stray_init(struct stray *stray, const uint8_t key[16]) {
    memset(stray, 0, sizeof(*stray));
    memcpy(stray->key, key, sizeof(stray->key));
}

bool stray_tell(struct stray *stray, const struct shoal_address *from, uint64_t now) {
    struct source source = source_of(from);
    uint64_t *told = &stray->told[source_hash(&source, stray->key) % STRAY_SOURCES];
    if (*told && now - *told < STRAY_PACE_NS)
        return false;
    *told = now;
    return true;
}
