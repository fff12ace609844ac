/*
 * What ciphers leave behind. A library clears the state it keeps, but not the vector registers that
 * the key went through, nor where these were spilled to: a spill (of the dynamic linker at a first
 * call, of a signal) stays on the stack below its pointer until something else is written there.
 */
#ifndef SHOAL_WIPE_H
#define SHOAL_WIPE_H

/** Bytes of stack that are cleared: deeper than a cipher reaches under a batch or a call. */
#define WIPE_STACK 8192u

/** Clears the calling thread's stack below the caller, and the registers (R65). */
void wipe_leftovers(void);

#endif
