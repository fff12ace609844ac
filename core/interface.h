/*
 * The network interface of a device, followed wherever it goes: up, down, MTU, moved to another
 * namespace, deleted. What changes is published, and told to the caller as news.
 */
#ifndef SHOAL_INTERFACE_H
#define SHOAL_INTERFACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "link.h"

struct pass;
struct plane;

/* Owner: worker 0; the control thread until the workers start. Atomics anybody reads. */
struct interface {
    struct link link;
    _Atomic uint32_t up; /* 1 while IFF_UP */
};

/** No interface to look at: that of a TUN which is a pair of sockets counts as up. */
void interface_init(struct interface *interface, bool up);

/** Finds the interface of a TUN; its index and MTU become the plane's. 0 or an errno. */
int interface_open(struct interface *interface, struct plane *plane, const struct tun *tun);
void interface_close(struct interface *interface);

/** Takes in what rtnetlink says at home. The TUN may be found deleted (pass->tun_gone). */
void interface_read(struct interface *interface, struct pass *pass);

/** Looks where it is now, and how. The TUN may be found deleted (pass->tun_gone). */
void interface_look(struct interface *interface, struct pass *pass);

/** The TUN is deleted: publishes that, and says so. */
void interface_gone(struct interface *interface, struct pass *pass);

/** No news come from where it is: it has to be looked at, LINK_LOOK_NS apart. */
static inline bool interface_is_silent(const struct interface *interface) {
    return interface->link.away || interface->link.unsure;
}

#endif
