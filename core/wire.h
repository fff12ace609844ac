/*
 * WireGuard's messages as bytes: types, sizes and offsets, and integers in both byte orders. They
 * may stand at any address, so they are copied (which the compiler makes one instruction of).
 */
#ifndef SHOAL_WIRE_H
#define SHOAL_WIRE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

/** The type with its three reserved bytes (R21), as one little-endian number. */
enum wire_type {
    WIRE_INITIATION = 1,
    WIRE_RESPONSE = 2,
    WIRE_COOKIE_REPLY = 3,
    WIRE_DATA = 4,
};

/** The exact sizes of handshake messages (R20). */
#define WIRE_INITIATION_SIZE 148u
#define WIRE_RESPONSE_SIZE 92u
#define WIRE_COOKIE_REPLY_SIZE 64u

/** A data message: type, receiver index, counter, then what is sealed with its tag. */
#define WIRE_DATA_INDEX 4u
#define WIRE_DATA_COUNTER 8u
#define WIRE_DATA_HEADER 16u
#define WIRE_DATA_TAG 16u
/** What a data message adds to what it carries; alone it is a keepalive, the shortest (R20). */
#define WIRE_DATA_OVERHEAD (WIRE_DATA_HEADER + WIRE_DATA_TAG)

#define WIRE_HANDSHAKE_TOS 0x88u /* DSCP AF41, no ECN (R19) */

static inline uint32_t wire_get_le32(const uint8_t *bytes) {
    uint32_t value;
    memcpy(&value, bytes, sizeof(value));
    return le32toh(value);
}

static inline uint64_t wire_get_le64(const uint8_t *bytes) {
    uint64_t value;
    memcpy(&value, bytes, sizeof(value));
    return le64toh(value);
}

static inline void wire_put_le32(uint8_t *out, uint32_t value) {
    value = htole32(value);
    memcpy(out, &value, sizeof(value));
}

static inline void wire_put_le64(uint8_t *out, uint64_t value) {
    value = htole64(value);
    memcpy(out, &value, sizeof(value));
}

static inline uint16_t wire_get_be16(const uint8_t *bytes) {
    uint16_t value;
    memcpy(&value, bytes, sizeof(value));
    return be16toh(value);
}

static inline void wire_put_be16(uint8_t *out, uint16_t value) {
    value = htobe16(value);
    memcpy(out, &value, sizeof(value));
}

static inline void wire_put_be32(uint8_t *out, uint32_t value) {
    value = htobe32(value);
    memcpy(out, &value, sizeof(value));
}

#endif
