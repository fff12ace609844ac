#include "around.h"

#include <linux/rtnetlink.h>
#include <string.h>

#include "plane.h"

static uint8_t size_of(const struct shoal_address *address) {
    return address->family == SHOAL_AF_INET6 ? 16 : 4;
}

static bool is_inner(const struct plane *plane, const struct shoal_address *to) {
    const struct shoal_prefix *inner = &plane->forward.inner[to->family == SHOAL_AF_INET6];
    return inner->family != SHOAL_AF_NONE && forward_holds(inner, to->ip);
}

/* Rules that a person or a program has made come before the main table's, and that of "default"
 * after it. */
static int rank_of(uint32_t table) {
    return table == RT_TABLE_DEFAULT ? 2 : table == RT_TABLE_MAIN ? 1 : 0;
}

static bool is_better(const struct routes_way *one, const struct routes_way *other) {
    int rank = rank_of(one->table), than = rank_of(other->table);
    if (rank != than)
        return rank < than;
    return one->length != other->length ? one->length > other->length : one->metric < other->metric;
}

static void list(struct around *around, const struct routes *routes, struct stats *stats,
                 uint32_t own, uint32_t changes) {
    if (around->listed == changes)
        return;
    around->listed = changes;
    around->count = routes_interfaces(routes, own, around->interfaces, AROUND_INTERFACES);
    if (around->count <= AROUND_INTERFACES)
        return;
    stats_add(stats, COUNT_around_cut, around->count - AROUND_INTERFACES);
    around->count = AROUND_INTERFACES;
}

/* The interface with the best route, of all that are listed. */
static uint32_t find(const struct around *around, const struct routes *routes,
                     const struct routes_question *plain) {
    uint32_t found = AROUND_NONE;
    struct routes_way best, way;
    for (uint32_t i = 0; i < around->count; i++) {
        struct routes_question question = *plain;
        question.ifindex = around->interfaces[i];
        question.wants_route = true;
        if (!routes_ask(routes, &question, &way) || way.type != RTN_UNICAST)
            continue;
        if (found != AROUND_NONE && !is_better(&way, &best))
            continue;
        found = around->interfaces[i];
        best = way;
    }
    return found;
}

static uint32_t ask(struct around *around, const struct routes *routes, struct stats *stats,
                    const struct plane *plane, const struct shoal_address *to, uint32_t changes) {
    uint32_t own = atomic_load_explicit(&plane->ifindex, memory_order_relaxed);
    struct routes_question plain = {.family = to->family, .to = to->ip, .fwmark = plane->fwmark};
    struct routes_way way;
    stats_add(stats, COUNT_around_asked, 1);
    if (!routes_ask(routes, &plain, &way) || way.ifindex != own)
        return AROUND_PLAIN;
    list(around, routes, stats, own, changes);
    return find(around, routes, &plain);
}

uint32_t around_way(struct around *around, const struct routes *routes, struct stats *stats,
                    const struct plane *plane, const struct shoal_address *to) {
    if (!atomic_load_explicit(&plane->ifindex, memory_order_relaxed) || !is_inner(plane, to))
        return AROUND_PLAIN;
    uint32_t changes = atomic_load_explicit(&plane->route_changes, memory_order_relaxed);
    for (uint32_t i = 0; i < AROUND_PLACES; i++) {
        const struct around_place *known = &around->places[i];
        if (known->to.family == to->family && known->changes == changes &&
            memcmp(known->to.ip, to->ip, size_of(to)) == 0)
            return known->way;
    }
    struct around_place *entry = &around->places[around->next++ % AROUND_PLACES];
    *entry = (struct around_place){.to.family = to->family, .changes = changes};
    memcpy(entry->to.ip, to->ip, size_of(to));
    entry->way = ask(around, routes, stats, plane, to, changes);
    return entry->way;
}

uint32_t around_back(const struct plane *plane, const struct shoal_endpoint *from) {
    bool known = atomic_load_explicit(&plane->ifindex, memory_order_relaxed) && from->ifindex;
    return known && is_inner(plane, &from->remote) ? from->ifindex : AROUND_PLAIN;
}

bool around_came_from_inside(const struct plane *plane, const struct shoal_endpoint *from) {
    bool is_mesh = plane->forward.inner[0].family || plane->forward.inner[1].family;
    uint32_t own = atomic_load_explicit(&plane->ifindex, memory_order_relaxed);
    return is_mesh && own && from->ifindex == own;
}
