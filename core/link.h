/*
 * News of the interface: up, down, MTU. Deleted is what the TUN descriptor says (EBADFD), never
 * what netlink says: an interface that moves to another namespace also sends RTM_DELLINK to where
 * it was born, and then nothing more.
 *
 * At home rtnetlink's news arrive by themselves. Away we ask: TUNGETDEVNETNS names the namespace,
 * the kernel gives us an id for it, and RTM_GETLINK with IFLA_TARGET_NETNSID answers from there,
 * LINK_LOOK_NS apart. A socket inside would bring news at once, but would keep the namespace alive
 * after everybody else has left it; wireguard-go asks too, once a second.
 */
#ifndef SHOAL_LINK_H
#define SHOAL_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tun.h"

#define LINK_LOOK_NS 250000000ull

/* Owner: worker 0. */
struct link {
    int news;       /* rtnetlink at home, subscribed, non-blocking; -1: no interface */
    int queries;    /* the same for questions */
    dev_t home_dev; /* the namespace in which both were opened */
    ino_t home_ino;
    bool away;
    int32_t nsid; /* away: home's id for where the interface is */
    uint32_t ifindex;
    bool up;
    uint32_t mtu;       /* 0: not known */
    bool unsure;        /* the last look failed for a reason that passes */
    uint64_t last_look; /* away or unsure */
};

/** Opens in the calling thread's namespace and finds the interface. 0 or an errno. */
int link_open(struct link *link, const struct tun *tun);
void link_close(struct link *link);

/**
 * Finds the interface, wherever it is, and its state.
 * @return 0 or an errno (EPERM: may not look; EAGAIN: it was renamed while we looked).
 */
int link_locate(struct link *link, const struct tun *tun);

/** Did a look fail for a reason that passes? Then nothing is known, and another look will tell. */
bool link_error_passes(int error);

enum link_event { LINK_QUIET, LINK_NEWS, LINK_LEFT };

/** Takes news at home in: LINK_LEFT when the interface is no longer here (or not at all). */
enum link_event link_read(struct link *link);

#endif
