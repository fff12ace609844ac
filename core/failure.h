/*
 * Why an exported call failed, in the caller's struct shoal_error.
 */
#ifndef SHOAL_FAILURE_H
#define SHOAL_FAILURE_H

#include "shoal.h"

/** Fills *error and gives the status back. @param what  the failing call or argument. */
enum shoal_status failure(struct shoal_error *error, enum shoal_status status, int sys_errno,
                          const char *what);

#endif
