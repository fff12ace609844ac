/*
 * Every node stands for a prefix: one that a peer holds, or a fork where two longer ones part
 * (peer == ROUTE_NONE, always two children). So n prefixes need at most 2n - 1 nodes, and index 0
 * is free to mean "nothing". An IPv4 address occupies the high bits of the key.
 */
#include "route.h"

#include <stdlib.h>
#include <string.h>

#define ROUTES_LIMIT (1u << 30)
#define ARENA_FIRST 16u

struct node {
    uint64_t high;     /* first 64 bits of the prefix, host order, bits beyond the length zero */
    uint64_t low;      /* the rest */
    uint32_t child[2]; /* by the bit behind the prefix */
    uint32_t peer;
    uint32_t newer; /* neighbours in the peer's list */
    uint32_t older;
    uint8_t length;
    uint8_t family; /* enum shoal_family */
};

struct route_table {
    struct node *nodes; /* [0] unused */
    uint32_t *heads;    /* newest node of each peer */
    uint32_t roots[2];  /* IPv4, IPv6 */
    uint32_t capacity;  /* nodes allocated */
    uint32_t used;      /* nodes ever used, free ones included */
    uint32_t free;      /* list through child[0] */
    uint32_t free_count;
    uint32_t routes;
    uint32_t routes_max;
    uint32_t peers_max;
    uint64_t refused;
};

struct key {
    uint64_t high;
    uint64_t low;
    uint8_t length;
    uint8_t family;
};

static uint64_t read64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, 8);
    return __builtin_bswap64(value);
}

static uint64_t read32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, 4);
    return __builtin_bswap32(value);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "keys are read by swapping bytes");

static unsigned bit_at(uint64_t high, uint64_t low, unsigned i) {
    return (unsigned)((i < 64 ? high : low) >> (63 - i % 64) & 1);
}

static bool holds(const struct node *node, uint64_t high, uint64_t low) {
    unsigned length = node->length;
    if (length == 0)
        return true;
    if (length <= 64)
        return (node->high ^ high) >> (64 - length) == 0;
    return node->high == high && (node->low ^ low) >> (128 - length) == 0;
}

/** How many leading bits agree, at most `limit`. */
static unsigned agreement(const struct node *node, const struct key *key, unsigned limit) {
    uint64_t high = node->high ^ key->high, low = node->low ^ key->low;
    unsigned bits = high  ? (unsigned)__builtin_clzll(high)
                    : low ? 64 + (unsigned)__builtin_clzll(low)
                          : 128;
    return bits < limit ? bits : limit;
}

struct route_table *route_create(uint32_t routes_max, uint32_t peers_max) {
    if (routes_max == 0 || routes_max > ROUTES_LIMIT || peers_max == 0 || peers_max == ROUTE_NONE)
        return NULL;
    struct route_table *table = calloc(1, sizeof(*table));
    if (!table)
        return NULL;
    table->heads = calloc(peers_max, sizeof(*table->heads));
    table->nodes = calloc(ARENA_FIRST, sizeof(*table->nodes));
    if (!table->heads || !table->nodes) {
        route_free(table);
        return NULL;
    }
    table->capacity = ARENA_FIRST;
    table->used = 1;
    table->routes_max = routes_max;
    table->peers_max = peers_max;
    return table;
}

void route_free(struct route_table *table) {
    if (!table)
        return;
    free(table->heads);
    free(table->nodes);
    free(table);
}

uint32_t route_lookup4(const struct route_table *table, const uint8_t *address) {
    const struct node *nodes = table->nodes;
    uint64_t key = read32(address) << 32;
    uint32_t best = ROUTE_NONE;
    for (uint32_t i = table->roots[0]; i;) {
        const struct node *node = &nodes[i];
        unsigned length = node->length;
        if (length && (node->high ^ key) >> (64 - length))
            break;
        if (node->peer != ROUTE_NONE)
            best = node->peer;
        if (length == 32)
            break;
        i = node->child[key >> (63 - length) & 1];
    }
    return best;
}

uint32_t route_lookup6(const struct route_table *table, const uint8_t *address) {
    const struct node *nodes = table->nodes;
    uint64_t high = read64(address), low = read64(address + 8);
    uint32_t best = ROUTE_NONE;
    for (uint32_t i = table->roots[1]; i;) {
        const struct node *node = &nodes[i];
        if (!holds(node, high, low))
            break;
        if (node->peer != ROUTE_NONE)
            best = node->peer;
        if (node->length == 128)
            break;
        i = node->child[bit_at(high, low, node->length)];
    }
    return best;
}

/** False for a family, length or host bits that no prefix has. */
static bool key_of(const struct shoal_prefix *prefix, struct key *key) {
    bool ipv4 = prefix->family == SHOAL_AF_INET;
    if (!ipv4 && prefix->family != SHOAL_AF_INET6)
        return false;
    unsigned length = prefix->length;
    if (length > (ipv4 ? 32u : 128u))
        return false;
    key->high = ipv4 ? read32(prefix->ip) << 32 : read64(prefix->ip);
    key->low = ipv4 ? 0 : read64(prefix->ip + 8);
    key->length = (uint8_t)length;
    key->family = (uint8_t)prefix->family;
    uint64_t high_host = length >= 64 ? 0 : UINT64_MAX >> length;
    uint64_t low_host = length <= 64 ? UINT64_MAX : length == 128 ? 0 : UINT64_MAX >> (length - 64);
    return (key->high & high_host) == 0 && (key->low & low_host) == 0;
}

static uint32_t *root_of(struct route_table *table, uint8_t family) {
    return &table->roots[family == SHOAL_AF_INET6];
}

/** Makes sure that two nodes can be taken, so that an insertion cannot fail half-way. */
static bool reserve_two(struct route_table *table) {
    if (table->free_count + (table->capacity - table->used) >= 2)
        return true;
    size_t capacity = (size_t)table->capacity * 2;
    struct node *nodes = realloc(table->nodes, capacity * sizeof(*nodes));
    if (!nodes)
        return false;
    table->nodes = nodes;
    table->capacity = (uint32_t)capacity;
    return true;
}

static uint32_t node_take(struct route_table *table, const struct key *key, unsigned length) {
    uint32_t i = table->free;
    if (i) {
        table->free = table->nodes[i].child[0];
        table->free_count--;
    } else {
        i = table->used++;
    }
    uint64_t high_mask = length == 0 ? 0 : length >= 64 ? UINT64_MAX : UINT64_MAX << (64 - length);
    uint64_t low_mask = length <= 64 ? 0 : UINT64_MAX << (128 - length);
    table->nodes[i] = (struct node){
        .high = key->high & high_mask,
        .low = key->low & low_mask,
        .peer = ROUTE_NONE,
        .length = (uint8_t)length,
        .family = key->family,
    };
    return i;
}

static void node_give(struct route_table *table, uint32_t i) {
    table->nodes[i].child[0] = table->free;
    table->free = i;
    table->free_count++;
}

static void list_add(struct route_table *table, uint32_t i, uint32_t peer) {
    struct node *node = &table->nodes[i];
    uint32_t head = table->heads[peer];
    node->peer = peer;
    node->newer = 0;
    node->older = head;
    if (head)
        table->nodes[head].newer = i;
    table->heads[peer] = i;
    table->routes++;
}

static void list_drop(struct route_table *table, uint32_t i) {
    struct node *node = &table->nodes[i];
    if (node->newer)
        table->nodes[node->newer].older = node->older;
    else
        table->heads[node->peer] = node->older;
    if (node->older)
        table->nodes[node->older].newer = node->newer;
    node->peer = ROUTE_NONE;
    table->routes--;
}

/** Hangs a new node for the key into the slot where its descent ended. */
static uint32_t graft(struct route_table *table, uint32_t *slot, const struct key *key) {
    uint32_t below = *slot;
    if (!below)
        return *slot = node_take(table, key, key->length);

    struct node *nodes = table->nodes;
    unsigned limit = nodes[below].length < key->length ? nodes[below].length : key->length;
    unsigned common = agreement(&nodes[below], key, limit);
    uint32_t leaf = node_take(table, key, key->length);
    uint32_t top = common == key->length ? leaf : node_take(table, key, common);
    nodes[top].child[bit_at(nodes[below].high, nodes[below].low, common)] = below;
    if (top != leaf)
        nodes[top].child[bit_at(key->high, key->low, common)] = leaf;
    *slot = top;
    return leaf;
}

enum shoal_status route_insert(struct route_table *table, const struct shoal_prefix *prefix,
                               uint32_t peer) {
    struct key key;
    if (peer >= table->peers_max || !key_of(prefix, &key))
        return SHOAL_E_INVALID;
    if (!reserve_two(table))
        return SHOAL_E_MEMORY;

    uint32_t *slot = root_of(table, key.family);
    while (*slot) {
        struct node *node = &table->nodes[*slot];
        if (node->length > key.length || !holds(node, key.high, key.low))
            break;
        if (node->length == key.length) {
            if (node->peer == peer)
                return SHOAL_OK;
            if (node->peer != ROUTE_NONE) {
                list_drop(table, *slot);
            } else if (table->routes >= table->routes_max) {
                table->refused++;
                return SHOAL_E_FULL;
            }
            list_add(table, *slot, peer);
            return SHOAL_OK;
        }
        slot = &node->child[bit_at(key.high, key.low, node->length)];
    }
    if (table->routes >= table->routes_max) {
        table->refused++;
        return SHOAL_E_FULL;
    }
    list_add(table, graft(table, slot, &key), peer);
    return SHOAL_OK;
}

/** Takes out of the trie what no longer is a prefix or a fork. */
static void prune(struct route_table *table, uint32_t *slot, uint32_t *above) {
    uint32_t i = *slot;
    struct node *node = &table->nodes[i];
    if (node->child[0] && node->child[1])
        return;
    *slot = node->child[0] ? node->child[0] : node->child[1];
    node_give(table, i);
    if (*slot || !above)
        return;
    /* The node above lost a child: a mere fork with one way is no fork. */
    uint32_t j = *above;
    struct node *fork = &table->nodes[j];
    if (fork->peer != ROUTE_NONE)
        return;
    *above = fork->child[0] ? fork->child[0] : fork->child[1];
    node_give(table, j);
}

static void remove_key(struct route_table *table, const struct key *key, uint32_t peer) {
    uint32_t *above = NULL, *slot = root_of(table, key->family);
    while (*slot) {
        struct node *node = &table->nodes[*slot];
        if (node->length > key->length || !holds(node, key->high, key->low))
            return;
        if (node->length == key->length) {
            if (node->peer != peer)
                return;
            list_drop(table, *slot);
            prune(table, slot, above);
            return;
        }
        above = slot;
        slot = &node->child[bit_at(key->high, key->low, node->length)];
    }
}

enum shoal_status route_remove(struct route_table *table, const struct shoal_prefix *prefix,
                               uint32_t peer) {
    struct key key;
    if (peer >= table->peers_max || !key_of(prefix, &key))
        return SHOAL_E_INVALID;
    remove_key(table, &key, peer);
    return SHOAL_OK;
}

void route_remove_peer(struct route_table *table, uint32_t peer) {
    if (peer >= table->peers_max)
        return;
    while (table->heads[peer]) {
        const struct node *node = &table->nodes[table->heads[peer]];
        struct key key = {node->high, node->low, node->length, node->family};
        remove_key(table, &key, peer);
    }
}

bool route_next(const struct route_table *table, uint32_t peer, uint32_t *cursor,
                struct shoal_prefix *prefix) {
    if (peer >= table->peers_max || *cursor == ROUTE_NONE)
        return false;
    uint32_t i = *cursor ? *cursor : table->heads[peer];
    if (!i)
        return false;
    const struct node *node = &table->nodes[i];
    uint64_t high = __builtin_bswap64(node->high), low = __builtin_bswap64(node->low);
    *prefix = (struct shoal_prefix){.family = node->family, .length = node->length};
    memcpy(prefix->ip, &high, 8);
    memcpy(prefix->ip + 8, &low, 8);
    *cursor = node->older ? node->older : ROUTE_NONE;
    return true;
}

uint32_t route_count(const struct route_table *table) { return table->routes; }

uint32_t route_nodes(const struct route_table *table) {
    return table->used - 1 - table->free_count; /* [0] is none */
}

uint64_t route_refused(const struct route_table *table) { return table->refused; }
