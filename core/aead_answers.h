/*
 * Known answers: what a back-end has to say before packets are given to it. For libraries that a
 * machine may have in a build that was never tested with this code, and for code of ours that most
 * machines that it is tested on cannot run.
 */
#ifndef SHOAL_AEAD_ANSWERS_H
#define SHOAL_AEAD_ANSWERS_H

#include "aead.h"

/**
 * Does a back-end seal and open a suite that the machine has as the suite's authors and a library
 * that is always there do (libsodium, or OpenSSL for AES-256-GCM), and refuse what is forged?
 */
bool aead_backend_right(const struct aead_backend *backend, enum aead_suite suite);

#endif
