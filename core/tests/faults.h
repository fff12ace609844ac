/*
 * Faults that a test plans for a system call that it wraps at link time.
 */
#ifndef SHOAL_TESTS_FAULTS_H
#define SHOAL_TESTS_FAULTS_H

#include <stdatomic.h>
#include <stdbool.h>

/* One planned fault: the next `times` matching calls fail with `error`. */
struct fault {
    _Atomic int times;
    _Atomic int error;
    _Atomic bool only_trains;  /* sendmsg: only with UDP_SEGMENT; writev: only with a gso_type */
    _Atomic bool only_sourced; /* sendmsg: only with a source address */
    _Atomic int calls;         /* all calls since it was planned */
};

/** The next `times` calls fail with `error`; what was planned before is forgotten. */
void plan(struct fault *fault, int error, int times);

/** The same for calls that carry a train or super-packet. */
void plan_trains(struct fault *fault, int error, int times);

/** Does this call fail? Sets errno then. */
bool strikes(struct fault *fault, bool train, bool sourced);

#endif
