/*
 * Poly1305 (RFC 8439 section 2.5) of several texts at once, each with a key of its own: a lane of a
 * vector register holds one text's accumulator, so nothing has to be added up over lanes, and a
 * short text needs no more powers of its key than a long one.
 *
 * What is authenticated is a text without additional data, padded to whole blocks with zeros, and
 * behind it a block of two lengths (section 2.8). Texts of different lengths end together: a
 * shorter one begins later, and until then its lane adds zeros to zero.
 *
 *      lane 0:  [ text 0                    ][lengths]
 *      lane 1:    0   0   0  [ text 1       ][lengths]
 *
 * The work is that of the longest text of a group, for all lanes. Only the lengths decide what is
 * done: no branch and no address depends on a key or on what a text says.
 */
#ifndef SHOAL_POLY_LANES_H
#define SHOAL_POLY_LANES_H

#include <stdint.h>

#define POLY_LANES_MAX 8u

struct poly_text {
    const uint8_t *bytes;
    uint32_t length;
    uint64_t lengths[2]; /* what the last block says */
};

#if defined(__x86_64__)
/**
 * Tags of up to 8 texts with AVX-512 (F, BW, IFMA), of up to 4 with AVX2.
 * @param one_time  of each text: the halves of r, not clamped, and those of s.
 * @param tags      the halves of each, low one first.
 */
void poly_lanes_512(const uint64_t one_time[4][POLY_LANES_MAX], const struct poly_text *texts,
                    uint32_t count, uint64_t tags[POLY_LANES_MAX][2]);
void poly_lanes_256(const uint64_t one_time[4][POLY_LANES_MAX], const struct poly_text *texts,
                    uint32_t count, uint64_t tags[POLY_LANES_MAX][2]);
#endif

#endif
