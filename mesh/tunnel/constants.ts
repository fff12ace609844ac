/** The protocol's constants, by rule number. Times in milliseconds. */

/** R1: after so many messages a session asks to be replaced. */
export const REKEY_AFTER_MESSAGES = 1n << 60n;
/** R3: after so long the initiator of a session replaces it when it sends. */
export const REKEY_AFTER_TIME = 120_000;
/** R4: so old a session neither sends nor receives. */
export const REJECT_AFTER_TIME = 180_000;
/**
 * R5: repeated initiations without an answer, that is REKEY_ATTEMPT_TIME / REKEY_TIMEOUT; with the
 * first one and the one that the counter lets through last, 20 are sent.
 */
export const MAX_RETRIES = 18;
/** R6, R38: the least time between two initiations to a peer. */
export const REKEY_TIMEOUT = 5_000;
/** R6, R12: up to so much is added at random, in whole milliseconds. */
export const MAX_JITTER = 333;
/** R7: after so long a receiver that had nothing to say says so. */
export const KEEPALIVE_TIMEOUT = 10_000;
/** R9, R39: 50 initiations of a peer are taken each second. */
export const INITIATION_INTERVAL = 20;
/** R10, R61: without a new session for so long, all keys are zeroed. */
export const ZERO_KEYS_AFTER = 3 * REJECT_AFTER_TIME;
/** R11: so old a session is replaced by its initiator when it receives. */
export const REKEY_ON_RECEIVE_AFTER = REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT;
/** R12: data without any answer for so long asks for a new session. */
export const NO_ANSWER_TIMEOUT = KEEPALIVE_TIMEOUT + REKEY_TIMEOUT;
/** R17. */
export const MAX_PEERS = 1 << 16;
/** R19: DSCP AF41, no ECN. */
export const HANDSHAKE_TOS = 0x88;
/**
 * How far the boot clock, or a fact read after it, may be off without meaning anything: another
 * thread wrote it between two readings. More is a clock that stepped (R64).
 */
export const CLOCK_TOLERANCE = 1_000;
/** T8: a timestamp further ahead than this is worth a word to a person. */
export const FUTURE_TIMESTAMP = 86_400_000;

/**
 * Ours, not WireGuard's: how long a peer may yet be heard after the network has said by ICMP that its
 * endpoint takes nothing. Then a handshake asks the peer itself.
 */
export const REFUSED_AFTER = 1_000;

/** Ours, not WireGuard's: so often the handshake of a lane is tried again; its peer answers, or did. */
export const LANE_RETRIES = 3;

/** Ours, not WireGuard's: how long data may yet come from the old place of a peer that is heard at another. */
export const ELSEWHERE_AFTER = 1_000;

/** Ours, not WireGuard's: how long after the last of a member's initiations that are too old people hear of them. */
export const OUTDATED_FOR = 600_000;
/** For how long such ones must have come before: a clock that was put right a moment ago is no news. */
export const OUTDATED_SINCE = 60_000;

/** Ours, not WireGuard's: how long people hear of handshakes that are begun in a member's name and not finished. */
export const NAMED_FOR = 600_000;
