/* BLAKE2s written straight from RFC 7693, to play the other side of the gate and to check its hash.
 */
#ifndef SHOAL_TESTS_BLAKE2S_MODEL_H
#define SHOAL_TESTS_BLAKE2S_MODEL_H

#include <stddef.h>
#include <stdint.h>

/** Hash or, with a key, MAC: out_length 1..32, key_length 0..32. */
void model_blake2s(uint8_t *out, size_t out_length, const uint8_t *key, size_t key_length,
                   const uint8_t *in, size_t length);

#endif
