/*
 * ChaCha20 (RFC 8439 sections 2.3 and 2.4) for several packets of one key at once. A block of the
 * key stream depends on nothing but the key, a nonce and a block number, so each lane of a vector
 * register computes a block of its own, and it does not matter which packet it is for:
 *
 *      lanes of the first pass:  key key key key key key key key  A1 A2 A3 B1 B2 B3 C1 C2
 *      of the second one:        C3 D1 D2 D3 E1 E2 E3 ...
 *
 * "key" is block 0 of each packet, of which Poly1305 takes its one-time key (section 2.6). The
 * other blocks follow one another across the borders of packets, so that only the last pass of a
 * group has idle lanes, be the packets short or long.
 *
 * Only lengths, counters and the number of packets decide what is done: no branch and no address
 * depends on a key or a text.
 */
#ifndef SHOAL_CHACHA_LANES_H
#define SHOAL_CHACHA_LANES_H

#include <stdbool.h>
#include <stdint.h>

#define CHACHA_BLOCK 64u
#define CHACHA_LANES_MAX 16u
#define CHACHA_GROUP_MAX 8u /* packets: half of the lanes, the others begin with the texts */

/** Text of one packet; `out` may be `in`. A length that becomes 0 on the way ends its packet. */
struct chacha_text {
    const uint8_t *in;
    uint8_t *out;
    uint32_t length;
};

/** Blocks of one packet in neighbouring lanes. */
struct chacha_run {
    uint32_t text;  /* place in `texts` */
    uint32_t block; /* the first one; 0 is that of the text, not of the one-time key */
    uint32_t lane;  /* where it is */
    uint32_t count;
};

/**
 * A group of packets and the place that the work on it has reached. All of it is as secret as the
 * key; whoever owns it clears it.
 */
struct chacha_lanes {
    _Alignas(64) uint8_t stream[CHACHA_LANES_MAX * CHACHA_BLOCK]; /* of the last pass, by lane */
    /* Of each packet: the halves of r, not clamped, and those of s (RFC 8439 section 2.5). */
    _Alignas(64) uint64_t one_time[4][CHACHA_GROUP_MAX];
    _Alignas(64) uint32_t nonces[3][CHACHA_GROUP_MAX]; /* the three words of each */
    uint32_t key[8];
    struct chacha_text texts[CHACHA_GROUP_MAX];
    uint32_t count; /* of texts */
    uint32_t text;  /* the next block: of which text, and which one */
    uint32_t block;
    struct chacha_run runs[CHACHA_LANES_MAX]; /* what lies in `stream` */
    uint32_t runs_count;
};

#if defined(__x86_64__)
/* One pass, of 16 lanes with AVX-512 (F, BW) and of 8 with AVX2. Before the first one `text` and
 * `block` are 0. `first`: half of the lanes, as many as the group may have packets, make the
 * one-time keys. */
void chacha_lanes_pass_512(struct chacha_lanes *lanes, bool first);
void chacha_lanes_pass_256(struct chacha_lanes *lanes, bool first);

/* Applies what the last pass left in `stream` to the texts. */
void chacha_lanes_xor_512(const struct chacha_lanes *lanes);
void chacha_lanes_xor_256(const struct chacha_lanes *lanes);
#endif

#endif
