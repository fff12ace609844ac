// LDFLAGS: -Wl,--wrap=pthread_create
/* T7: cryptokey routing against fixed examples and a model that compares every prefix. */
#include "route.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "no_threads.h"
#include "random.h"
#include "unit.h"

static struct shoal_prefix prefix(const char *text) {
    char copy[64];
    snprintf(copy, sizeof(copy), "%s", text);
    char *slash = strchr(copy, '/');
    *slash = 0;
    struct shoal_prefix p = {0};
    p.family = strchr(copy, ':') ? SHOAL_AF_INET6 : SHOAL_AF_INET;
    p.length = (uint16_t)atoi(slash + 1);
    assert_int_equal(inet_pton(p.family == SHOAL_AF_INET ? AF_INET : AF_INET6, copy, p.ip), 1);
    return p;
}

static uint32_t lookup(const struct route_table *table, const char *text) {
    uint8_t ip[16];
    if (strchr(text, ':')) {
        assert_int_equal(inet_pton(AF_INET6, text, ip), 1);
        return route_lookup6(table, ip);
    }
    assert_int_equal(inet_pton(AF_INET, text, ip), 1);
    return route_lookup4(table, ip);
}

static void add(struct route_table *table, const char *text, uint32_t peer) {
    struct shoal_prefix p = prefix(text);
    assert_int_equal(route_insert(table, &p, peer), SHOAL_OK);
}

static void drop(struct route_table *table, const char *text, uint32_t peer) {
    struct shoal_prefix p = prefix(text);
    assert_int_equal(route_remove(table, &p, peer), SHOAL_OK);
}

static struct route_table *table_of(uint32_t routes) {
    struct route_table *table = route_create(routes, 1000);
    assert_non_null(table);
    return table;
}

static void r50_the_longest_prefix_decides_for_both_families(void **state) {
    (void)state;
    struct route_table *table = table_of(100);
    assert_int_equal(lookup(table, "10.0.0.1"), ROUTE_NONE);
    assert_int_equal(lookup(table, "fd00::1"), ROUTE_NONE);
    add(table, "192.168.4.0/24", 1);
    add(table, "192.168.4.4/32", 2);
    add(table, "192.168.0.0/16", 3);
    add(table, "192.95.5.64/27", 4);
    add(table, "192.95.5.96/27", 5);
    add(table, "0.0.0.0/0", 6);
    add(table, "64.15.112.0/20", 7);
    add(table, "64.15.123.128/25", 8);
    add(table, "2607:5300:60:6b00::/64", 4);
    add(table, "2607:5300:60:6b00::c05f:543/128", 3);
    add(table, "2607:5300::/32", 9);
    add(table, "2000::/3", 10);

    assert_int_equal(lookup(table, "192.168.4.20"), 1);
    assert_int_equal(lookup(table, "192.168.4.4"), 2);
    assert_int_equal(lookup(table, "192.168.200.182"), 3);
    assert_int_equal(lookup(table, "192.95.5.68"), 4);
    assert_int_equal(lookup(table, "192.95.5.97"), 5);
    assert_int_equal(lookup(table, "192.95.5.128"), 6);
    assert_int_equal(lookup(table, "64.15.116.26"), 7);
    assert_int_equal(lookup(table, "64.15.123.211"), 8);
    assert_int_equal(lookup(table, "64.15.123.1"), 7);
    assert_int_equal(lookup(table, "2607:5300:60:6b00:c05f:543::"), 4);
    assert_int_equal(lookup(table, "2607:5300:60:6b00::c05f:543"), 3);
    assert_int_equal(lookup(table, "2607:5300:60:6b01::c05f:543"), 9);
    assert_int_equal(lookup(table, "2607:5301::"), 10);
    assert_int_equal(lookup(table, "fd00::1"), ROUTE_NONE); /* the IPv4 default is not for IPv6 */
    route_free(table);
}

static void a_subnet_inside_another_peers_subnet_is_its_own(void **state) {
    (void)state;
    struct route_table *table = table_of(10);
    add(table, "10.0.0.0/8", 1);
    add(table, "10.1.0.0/16", 2);
    add(table, "10.1.1.0/24", 1);
    assert_int_equal(lookup(table, "10.1.1.9"), 1);
    assert_int_equal(lookup(table, "10.1.2.9"), 2);
    assert_int_equal(lookup(table, "10.2.0.1"), 1);
    drop(table, "10.1.0.0/16", 2);
    assert_int_equal(lookup(table, "10.1.2.9"), 1);
    assert_int_equal(lookup(table, "10.1.1.9"), 1);
    route_free(table);
}

static void inserting_moves_a_prefix_from_its_holder(void **state) {
    (void)state;
    struct route_table *table = table_of(10);
    add(table, "10.0.0.0/24", 1);
    add(table, "10.0.0.0/24", 1);
    assert_int_equal(route_count(table), 1);
    add(table, "10.0.0.0/24", 2);
    assert_int_equal(route_count(table), 1);
    assert_int_equal(lookup(table, "10.0.0.7"), 2);
    drop(table, "10.0.0.0/24", 1); /* not the holder: nothing happens */
    assert_int_equal(lookup(table, "10.0.0.7"), 2);
    route_remove_peer(table, 1);
    assert_int_equal(lookup(table, "10.0.0.7"), 2);
    drop(table, "10.0.0.0/25", 2); /* held by nobody */
    drop(table, "10.0.0.0/24", 2);
    assert_int_equal(lookup(table, "10.0.0.7"), ROUTE_NONE);
    assert_int_equal(route_count(table), 0);
    route_free(table);
}

static void a_peers_prefixes_can_be_walked_and_removed_together(void **state) {
    (void)state;
    static const char *const texts[] = {"0.0.0.0/0",   "10.0.0.0/8",    "10.0.0.1/32", "::/0",
                                        "fd00:1::/32", "fd00:1::1/128", "128.0.0.0/1"};
    const uint32_t n = sizeof(texts) / sizeof(*texts);
    struct route_table *table = table_of(100);
    for (uint32_t i = 0; i < n; i++) {
        add(table, texts[i], 3);
    }
    add(table, "10.0.0.2/32", 4);
    uint32_t cursor = 0, found = 0;
    struct shoal_prefix p;
    while (route_next(table, 3, &cursor, &p)) {
        bool known = false;
        for (uint32_t i = 0; i < n; i++) {
            struct shoal_prefix want = prefix(texts[i]);
            known |= memcmp(&want, &p, sizeof(p)) == 0;
        }
        assert_true(known);
        found++;
    }
    assert_int_equal(found, n);
    cursor = 0;
    assert_false(route_next(table, 5, &cursor, &p));
    route_remove_peer(table, 3);
    assert_int_equal(route_count(table), 1);
    assert_int_equal(lookup(table, "10.0.0.1"), ROUTE_NONE);
    assert_int_equal(lookup(table, "10.0.0.2"), 4);
    assert_int_equal(lookup(table, "fd00:1::1"), ROUTE_NONE);
    cursor = 0;
    assert_false(route_next(table, 3, &cursor, &p));
    route_free(table);
}

static void the_table_refuses_more_than_its_limit_and_counts(void **state) {
    (void)state;
    struct route_table *table = table_of(3);
    add(table, "10.0.0.0/8", 1);
    add(table, "11.0.0.0/8", 1);
    add(table, "fd00::/8", 1);
    struct shoal_prefix fork = prefix("10.0.0.0/7"), more = prefix("12.0.0.0/8");
    assert_int_equal(route_insert(table, &more, 1), SHOAL_E_FULL);
    assert_int_equal(route_insert(table, &fork, 1), SHOAL_E_FULL); /* its node exists as a fork */
    assert_int_equal(route_refused(table), 2);
    assert_int_equal(lookup(table, "12.0.0.1"), ROUTE_NONE);
    add(table, "10.0.0.0/8", 2); /* moving needs no room */
    drop(table, "11.0.0.0/8", 1);
    assert_int_equal(route_insert(table, &more, 1), SHOAL_OK);
    assert_int_equal(lookup(table, "12.0.0.1"), 1);
    route_free(table);
}

static void what_is_no_prefix_is_refused_and_changes_nothing(void **state) {
    (void)state;
    struct route_table *table = table_of(3);
    struct shoal_prefix p = prefix("10.0.0.1/24"); /* host bits */
    assert_int_equal(route_insert(table, &p, 1), SHOAL_E_INVALID);
    p = prefix("fd00::1/64");
    assert_int_equal(route_insert(table, &p, 1), SHOAL_E_INVALID);
    p = prefix("fd00:0:0:1::/63");
    assert_int_equal(route_insert(table, &p, 1), SHOAL_E_INVALID);
    p = prefix("10.0.0.0/24");
    p.length = 33;
    assert_int_equal(route_insert(table, &p, 1), SHOAL_E_INVALID);
    p = prefix("::/0");
    p.length = 129;
    assert_int_equal(route_insert(table, &p, 1), SHOAL_E_INVALID);
    p.length = 0;
    p.family = 5;
    assert_int_equal(route_insert(table, &p, 1), SHOAL_E_INVALID);
    p = prefix("10.0.0.0/24");
    assert_int_equal(route_insert(table, &p, 1000), SHOAL_E_INVALID); /* beyond peers_max */
    assert_int_equal(route_insert(table, &p, ROUTE_NONE), SHOAL_E_INVALID);
    assert_int_equal(route_remove(table, &p, ROUTE_NONE), SHOAL_E_INVALID);
    assert_int_equal(route_count(table), 0);
    assert_null(route_create(0, 1));
    assert_null(route_create(1, 0));
    route_free(table);
}

/* ---- The model: a list, searched from end to end ---- */

struct model_route {
    struct shoal_prefix prefix;
    uint32_t peer;
};

struct model {
    struct model_route routes[64000];
    uint32_t count;
};

static bool prefix_holds(const struct shoal_prefix *p, const uint8_t *ip) {
    for (unsigned i = 0; i < p->length; i++)
        if (((p->ip[i / 8] ^ ip[i / 8]) >> (7 - i % 8)) & 1)
            return false;
    return true;
}

static uint32_t model_lookup(const struct model *model, uint16_t family, const uint8_t *ip) {
    uint32_t peer = ROUTE_NONE;
    int best = -1;
    for (uint32_t i = 0; i < model->count; i++) {
        const struct model_route *route = &model->routes[i];
        if (route->prefix.family == family && route->prefix.length > best &&
            prefix_holds(&route->prefix, ip)) {
            best = route->prefix.length;
            peer = route->peer;
        }
    }
    return peer;
}

static struct model_route *model_find(struct model *model, const struct shoal_prefix *p) {
    for (uint32_t i = 0; i < model->count; i++)
        if (memcmp(&model->routes[i].prefix, p, sizeof(*p)) == 0)
            return &model->routes[i];
    return NULL;
}

static void model_insert(struct model *model, const struct shoal_prefix *p, uint32_t peer) {
    struct model_route *route = model_find(model, p);
    if (!route)
        route = &model->routes[model->count++];
    *route = (struct model_route){*p, peer};
}

static void model_remove(struct model *model, const struct shoal_prefix *p, uint32_t peer) {
    struct model_route *route = model_find(model, p);
    if (route && route->peer == peer)
        *route = model->routes[--model->count];
}

static struct shoal_prefix random_prefix(struct random *random) {
    struct shoal_prefix p = {.family = random_below(random, 2) ? SHOAL_AF_INET6 : SHOAL_AF_INET};
    unsigned bits = p.family == SHOAL_AF_INET ? 32 : 128;
    random_fill(random, p.ip, bits / 8);
    p.length = (uint16_t)random_below(random, bits + 1);
    for (unsigned i = p.length; i < bits; i++)
        p.ip[i / 8] = (uint8_t)(p.ip[i / 8] & ~(0x80u >> i % 8));
    return p;
}

/* The same network with a few bits flipped and another length: prefixes that nest and part late. */
static struct shoal_prefix mutate(struct random *random, struct shoal_prefix p) {
    unsigned bits = p.family == SHOAL_AF_INET ? 32 : 128;
    for (uint32_t flips = random_below(random, 4); flips > 0; flips--) {
        unsigned bit = random_below(random, bits);
        p.ip[bit / 8] = (uint8_t)(p.ip[bit / 8] ^ 0x80u >> bit % 8);
    }
    p.length = (uint16_t)random_below(random, bits + 1);
    for (unsigned i = p.length; i < bits; i++)
        p.ip[i / 8] = (uint8_t)(p.ip[i / 8] & ~(0x80u >> i % 8));
    return p;
}

static void compare(struct route_table *table, struct model *model, struct random *random,
                    uint32_t lookups) {
    for (uint32_t i = 0; i < lookups; i++) {
        uint8_t ip[16];
        random_fill(random, ip, 16);
        uint16_t family = random_below(random, 2) ? SHOAL_AF_INET6 : SHOAL_AF_INET;
        if (model->count && random_below(random, 10) < 9) { /* near a route: hits deep nodes */
            const struct model_route *near = &model->routes[random_below(random, model->count)];
            family = near->prefix.family;
            unsigned keep = near->prefix.length;
            for (unsigned b = 0; b < keep; b++) {
                uint8_t mask = (uint8_t)(0x80u >> b % 8);
                ip[b / 8] = (uint8_t)((ip[b / 8] & ~mask) | (near->prefix.ip[b / 8] & mask));
            }
        }
        uint32_t got =
            family == SHOAL_AF_INET ? route_lookup4(table, ip) : route_lookup6(table, ip);
        assert_int_equal(got, model_lookup(model, family, ip));
    }
    assert_int_equal(route_count(table), model->count);
    assert_true(route_nodes(table) <= 2 * model->count); /* forks go when they stop to fork */
}

static void random_tables_agree_with_the_model(void **state) {
    (void)state;
    /* 400 routes, 100 mutations of each, look-ups after every 16th change: over a million. */
    const uint32_t seeds = ROUNDS(400, 40);
    struct model *model = calloc(1, sizeof(*model));
    assert_non_null(model);
    struct random random = {7};
    for (uint32_t i = 0; i < seeds; i++) {
        struct route_table *table = table_of(64000);
        model->count = 0;
        struct shoal_prefix base = random_prefix(&random);
        for (uint32_t m = 0; m < 100; m++) {
            struct shoal_prefix p = m % 25 == 24 ? random_prefix(&random) : mutate(&random, base);
            uint32_t peer = random_below(&random, 12);
            uint32_t action = random_below(&random, 10);
            if (action < 7) {
                assert_int_equal(route_insert(table, &p, peer), SHOAL_OK);
                model_insert(model, &p, peer);
            } else if (action < 9 && model->count) {
                struct model_route victim = model->routes[random_below(&random, model->count)];
                assert_int_equal(route_remove(table, &victim.prefix, victim.peer), SHOAL_OK);
                model_remove(model, &victim.prefix, victim.peer);
            } else if (action == 9 && m % 3 == 0) {
                route_remove_peer(table, peer);
                for (uint32_t r = 0; r < model->count;)
                    if (model->routes[r].peer == peer)
                        model->routes[r] = model->routes[--model->count];
                    else
                        r++;
            }
            compare(table, model, &random, 25);
        }
        route_free(table);
    }
    free(model);
}

static void one_large_table_agrees_with_the_model(void **state) {
    (void)state;
    const uint32_t bases = ROUNDS(40, 10);
    struct model *model = calloc(1, sizeof(*model));
    struct route_table *table = table_of(64000);
    assert_non_null(model);
    struct random random = {8};
    for (uint32_t i = 0; i < bases; i++) {
        struct shoal_prefix base = random_prefix(&random);
        for (uint32_t m = 0; m < 100; m++) {
            struct shoal_prefix p = mutate(&random, base);
            assert_int_equal(route_insert(table, &p, i), SHOAL_OK);
            model_insert(model, &p, i);
        }
        compare(table, model, &random, 500);
    }
    for (uint32_t i = 0; i < bases; i++) { /* and empty it again, peer by peer */
        route_remove_peer(table, i);
        for (uint32_t r = 0; r < model->count;)
            if (model->routes[r].peer == i)
                model->routes[r] = model->routes[--model->count];
            else
                r++;
        compare(table, model, &random, 100);
    }
    assert_int_equal(route_count(table), 0);
    assert_int_equal(route_nodes(table), 0);
    route_free(table);
    free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(r50_the_longest_prefix_decides_for_both_families),
        cmocka_unit_test(a_subnet_inside_another_peers_subnet_is_its_own),
        cmocka_unit_test(inserting_moves_a_prefix_from_its_holder),
        cmocka_unit_test(a_peers_prefixes_can_be_walked_and_removed_together),
        cmocka_unit_test(the_table_refuses_more_than_its_limit_and_counts),
        cmocka_unit_test(what_is_no_prefix_is_refused_and_changes_nothing),
        cmocka_unit_test(random_tables_agree_with_the_model),
        cmocka_unit_test(one_large_table_agrees_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
