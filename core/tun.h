/*
 * The TUN device: frames of one virtio_net_hdr and one packet or super-packet.
 *
 * Three kinds of descriptor serve: a TUN that we create (IFF_VNET_HDR), one that we are handed
 * (perhaps without a virtio header), and a test's socketpair.
 */
#ifndef SHOAL_TUN_H
#define SHOAL_TUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "shoal.h"

/** Largest frame: virtio header, and a GSO packet of 64 KiB with its IPv6 header. */
#define TUN_FRAME_MAX (10u + 65536u + 40u)

/* Owner: the device; the descriptor is read and written by its worker. */
struct tun {
    int fd;           /* -1: none */
    bool vnet;        /* frames on the descriptor start with a virtio header */
    bool real;        /* a TUN device, not a socketpair */
    bool multi_queue; /* it may have several queues */
    uint32_t ifindex; /* at home; 0 without interface, or with one elsewhere */
    char name[SHOAL_IFNAME_SIZE];
};

/**
 * Creates an interface.
 * @param queues  above 1: it may have several. Where the kernel refuses that, because an interface
 *                of this name exists that has one, it has one: tun->multi_queue says so.
 * @return 0 or an errno; *what names the failing call.
 */
int tun_create(struct tun *tun, const char *name, uint32_t queues, const char **what);

/** Opens another queue of an interface that may have several. @return a descriptor, or a negative
 * errno. */
int tun_add_queue(const struct tun *tun);

/** Adopts a descriptor: a TUN opened with IFF_NO_PI, or with `plain` anything with frames. */
int tun_adopt(struct tun *tun, int fd, bool plain, const char **what);

void tun_close(struct tun *tun);

/** Offers TSO and USO towards us. @return mask of SHOAL_OFFLOAD_TUN_* that the kernel takes. */
uint32_t tun_set_offloads(const struct tun *tun, uint32_t offloads);

/** Reads one frame, virtio header first in any case. @return bytes, or a negative errno. */
ssize_t tun_read(const struct tun *tun, uint8_t *frame, size_t capacity);

/** Writes one frame; parts[0] starts with the virtio header. @return 0 or an errno. */
int tun_write(const struct tun *tun, struct iovec *parts, uint32_t count);

#endif
