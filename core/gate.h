/*
 * The gate: which handshake messages may cost the machine more than a hash (R14, R15, R20, R21,
 * R28-R33, R35).
 *
 *      length, type ─► MAC1 ─► not under load ────────────────────────────► accept
 *                        └──► under load ─► MAC2 valid ─► source's bucket ─► accept
 *                                             └─ else ─► cookie reply
 *
 * Any worker asks, one at a time (nearly all handshakes arrive at worker 0). Time and randomness
 * come from the caller; nothing is sent from here.
 */
#ifndef SHOAL_GATE_H
#define SHOAL_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shoal.h"
#include "wire.h"

#define GATE_LOAD_STICKY 1000000000ull   /* ns: load lasts this long after the last sign (R14) */
#define GATE_SECRET_LIFE 120000000000ull /* ns: the cookie secret is rolled then (R8, R32) */
#define GATE_TOKEN_COST 50000000ull      /* ns: 20 messages a second and source (R15) */
#define GATE_TOKEN_BURST 5u              /* messages at once */
#define GATE_SOURCE_IDLE 1000000000ull   /* ns: an entry unused for so long is collected (R15) */
#define GATE_SOURCES_MAX 8192u           /* entries in the table */

enum gate_verdict {
    GATE_ACCEPT = 0,  /* to the mailbox */
    GATE_REPLY,       /* under load: send the cookie reply, nothing else */
    GATE_DROP_LENGTH, /* not the exact size of its type (R20) */
    GATE_DROP_TYPE,   /* type is not 1, 2 or 3, or reserved bytes are set (R21) */
    GATE_DROP_MAC1,   /* (R28), also while no identity is set */
    GATE_DROP_RATE, /* the source's bucket is empty (R31); a cookie reply: the queue is half full */
    GATE_DROP_FULL, /* the table is full of live sources and this one is new: it is refused */
    GATE_VERDICTS
};

/** Fills `buffer` with random bytes fit for keys. */
typedef void gate_random(void *context, uint8_t *buffer, size_t length);

struct gate;

/**
 * @param seed  16 secret random bytes: hash key of the source table.
 * @return NULL when out of memory or BLAKE2s is not to be had.
 */
struct gate *gate_create(const uint8_t seed[16], gate_random *random, void *random_context);

/** Wipes the secrets. */
void gate_free(struct gate *gate);

/** Our static public key (32 bytes); all-zero: no message passes. False when the hash failed. */
bool gate_set_identity(struct gate *gate, const uint8_t public_key[32]);

/** How full the queue of accepted handshakes is: at 1/8 and for 1 s after we are under load (R14).
 */
struct gate_load {
    uint32_t queued;
    uint32_t capacity;
};

/**
 * Judges one handshake message. Type 3 (cookie reply) is judged by length alone: whether it answers
 * anything is mesh's knowledge (R34).
 * @param now    nanoseconds of CLOCK_BOOTTIME.
 * @param reply  filled with GATE_REPLY: 64 bytes, never more than the message had (R35).
 */
enum gate_verdict gate_admit(struct gate *gate, const uint8_t *message, size_t length,
                             const struct shoal_address *source, struct gate_load load,
                             uint64_t now, uint8_t reply[WIRE_COOKIE_REPLY_SIZE]);

/** Is the gate asking for cookies at this time? */
bool gate_under_load(const struct gate *gate, uint64_t now);

#endif
