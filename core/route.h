/*
 * Cryptokey routing: which peer may send from, and is sent to for, an inner address (R50, R51).
 *
 * One table a device, both families. A path-compressed binary trie in one arena of nodes that name
 * each other by index: a look-up allocates nothing and visits at most one node per distinct prefix
 * length on the way. Each prefix belongs to exactly one peer; inserting one that another peer holds
 * moves it. The prefixes of one peer are also a list, so that removing a peer costs what it holds.
 *
 * Owner: the device. Not synchronised: a mutation must exclude look-ups and other mutations.
 */
#ifndef SHOAL_ROUTE_H
#define SHOAL_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shoal.h"

/** No peer: not a value that may be inserted. */
#define ROUTE_NONE UINT32_MAX

struct route_table;

/**
 * @param routes_max  most prefixes that the table holds, 1..2^30; memory grows with use only.
 * @param peers_max   peer slots are 0..peers_max-1.
 * @return NULL when out of memory or an argument is out of range.
 */
struct route_table *route_create(uint32_t routes_max, uint32_t peers_max);

void route_free(struct route_table *table);

/** The peer of the longest prefix that holds this IPv4 address (4 bytes); ROUTE_NONE without one.
 */
uint32_t route_lookup4(const struct route_table *table, const uint8_t *address);

/** The same for an IPv6 address (16 bytes). */
uint32_t route_lookup6(const struct route_table *table, const uint8_t *address);

/**
 * Gives the prefix to the peer, taking it from whoever holds it.
 * @return SHOAL_E_INVALID for a wrong family, length, peer or for host bits set; SHOAL_E_FULL at
 *         routes_max (counted in route_refused); SHOAL_E_MEMORY. On failure nothing has changed.
 */
enum shoal_status route_insert(struct route_table *table, const struct shoal_prefix *prefix,
                               uint32_t peer);

/** Takes the prefix from the peer; one that it does not hold stays as it is, without error. */
enum shoal_status route_remove(struct route_table *table, const struct shoal_prefix *prefix,
                               uint32_t peer);

/** Removes every prefix of the peer. */
void route_remove_peer(struct route_table *table, uint32_t peer);

/**
 * Walks a peer's prefixes. Start with *cursor = 0; false when there is none left. The table must
 * not change during the walk.
 */
bool route_next(const struct route_table *table, uint32_t peer, uint32_t *cursor,
                struct shoal_prefix *prefix);

/** Prefixes held now. */
uint32_t route_count(const struct route_table *table);

/** Trie nodes in use: never more than twice the prefixes, or removal would leak them. */
uint32_t route_nodes(const struct route_table *table);

/** Insertions refused because the table was at routes_max. */
uint64_t route_refused(const struct route_table *table);

#endif
