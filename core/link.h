/*
 * News of the interface: up, down, MTU. Deleted is what the TUN descriptor says (EBADFD), never
 * what netlink says: an interface that moves to another namespace also sends RTM_DELLINK to where
 * it was born. Then we follow it: TUNGETDEVNETNS names the namespace, and a thread that lives for
 * one socket(2) enters it. Where we may not enter, there is no further news.
 */
#ifndef SHOAL_LINK_H
#define SHOAL_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "tun.h"

enum link_state { LINK_SAME = 0, LINK_CHANGED, LINK_MOVED, LINK_LOST };

/* Owner: worker 0. */
struct link {
    int fd; /* rtnetlink, non-blocking; -1: no news */
    uint32_t ifindex;
    bool up;
    uint32_t mtu;
};

/** Subscribes in the calling thread's namespace and asks for the present state. 0 or an errno. */
int link_open(struct link *link, uint32_t ifindex);
void link_close(struct link *link);

/**
 * Reads one message's worth of news.
 * @return LINK_MOVED when the interface left this namespace; LINK_SAME when nothing was there.
 */
enum link_state link_read(struct link *link, bool *more);

/** Subscribes where the TUN is now. 0 or an errno (EPERM: may not enter). */
int link_follow(struct link *link, const struct tun *tun);

#endif
