#include "failure.h"

#include <string.h>

enum shoal_status failure(struct shoal_error *error, enum shoal_status status, int sys_errno,
                          const char *what) {
    memset(error, 0, sizeof(*error));
    error->status = status;
    error->sys_errno = sys_errno;
    strncpy(error->what, what, sizeof(error->what) - 1);
    return status;
}
