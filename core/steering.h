/*
 * How the kernel is told which worker's socket and which worker's TUN queue a packet is for.
 *
 * Inbound, a classic BPF program on the group of SO_REUSEPORT sockets reads the receiver index of a
 * data message: its lowest byte modulo the number of workers names the owner. Everything else, and
 * whatever is too short, goes to worker 0. A program returns the place of a socket in its group, so
 * the sockets join in the order of their workers and leave together. It needs no rights.
 *
 * Outbound, a program on the TUN (TUNSETSTEERINGEBPF) looks the destination up in two tries, which
 * hold for each prefix of the routes the worker of its peer, and how many lanes it has. With
 * several, TCP and UDP are spread over these by their ports; both directions of a flow have the
 * same number. Whatever has no ports, and every fragment, goes to the peer's own worker. This needs
 * CAP_BPF and CAP_NET_ADMIN outside of any user namespace. Without it the kernel hashes flows over
 * the queues, and workers hand each other what is not theirs (handoff.h).
 */
#ifndef SHOAL_STEERING_H
#define SHOAL_STEERING_H

#include <stdbool.h>
#include <stdint.h>

#include "shoal.h"

/* Owner: the control thread at a standstill. */
struct steering {
    int tries[2]; /* IPv4, IPv6; -1: the TUN is not steered */
    int error;    /* why not: an errno; 0 while it is, or was never asked for */
};

/** The worker of a receiver index, as the program on the sockets has it. */
static inline uint32_t steering_owner(uint32_t index, uint32_t workers) {
    return workers > 1 ? (index & 0xff) % workers : 0;
}

/** Attaches the program to the group of a socket. 0 or an errno. */
int steering_sockets(int socket, uint32_t workers);

void steering_init(struct steering *steering);

/**
 * Puts the program on a TUN with several queues.
 * @param routes_max  prefixes that the tries have room for
 * @return whether it is there; steering->error says why not.
 */
bool steering_open(struct steering *steering, int tun, uint32_t routes_max);
void steering_close(struct steering *steering);

/** A prefix belongs to a worker's peer now, whose flows are spread over so many lanes with itself,
 * each in the next worker. @return false: the kernel refused it, which costs its packets a hand-off
 * or their lane, and none of them is lost. */
bool steering_add(struct steering *steering, const struct shoal_prefix *prefix, uint32_t worker,
                  uint32_t lanes);
void steering_remove(struct steering *steering, const struct shoal_prefix *prefix);

#endif
