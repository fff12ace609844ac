/*
 * Known answers: what a back-end has to say before packets are given to it. For libraries that a
 * machine may have in a build that was never tested with this code.
 */
#ifndef SHOAL_AEAD_ANSWERS_H
#define SHOAL_AEAD_ANSWERS_H

#include "aead.h"

/** Does it seal and open as RFC 8439 and libsodium do, and refuse what is forged? */
bool aead_answers_right(struct aead *aead);

#endif
