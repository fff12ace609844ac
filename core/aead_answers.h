/*
 * Known answers: what a back-end has to say before packets are given to it. For libraries that a
 * machine may have in a build that was never tested with this code.
 */
#ifndef SHOAL_AEAD_ANSWERS_H
#define SHOAL_AEAD_ANSWERS_H

#include "aead.h"

/**
 * Does it seal and open as the suite's authors and a library that is always there do (libsodium, or
 * OpenSSL for AES-256-GCM), and refuse what is forged?
 */
bool aead_answers_right(struct aead *aead, enum aead_suite suite);

#endif
