#include "stats.h"

#include <stddef.h>

static const char *const names[] = {
#define X(name) #name,
    STATS_LIST(X)
#undef X
};

_Static_assert(sizeof(names) / sizeof(names[0]) == STATS_COUNT, "every counter has a name");

const char *stats_name(uint32_t which) { return which < STATS_COUNT ? names[which] : NULL; }
