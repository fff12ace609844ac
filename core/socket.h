/*
 * One UDP socket of one family, unconnected or connected to one place: what it is opened with, and
 * one datagram or one train of equal datagrams in and out, with the ancillary data that WireGuard
 * needs (R19, R52, R55).
 *
 * Fragmentation stays allowed. For IPv4 we clear DF as the Linux driver does (its outer packets are
 * sent with df = 0); wireguard-go leaves the socket's default, path MTU discovery, so that an
 * ICMP-eating network turns a small path MTU into a black hole. IPv6 keeps the default: only the
 * source may fragment there, so it has to learn the path MTU.
 */
#ifndef SHOAL_SOCKET_H
#define SHOAL_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codel.h"
#include "shoal.h"

/** Largest payload of one send, a train included: 65,535 less IPv4 and UDP headers. */
#define SOCKET_PAYLOAD_MAX 65507u
/** Largest buffer that one receive may fill: what UDP_GRO gathers. */
#define SOCKET_RECEIVE_MAX 65536u
/** Most segments of one train (UDP_MAX_SEGMENTS of kernels before 6.9). */
#define SOCKET_SEGMENTS_MAX 64u

/** SO_SNDBUF of each, in bytes. */
#define SOCKET_SEND_BUFFER (1u << 20)

/* Owner: its worker; sends may come from any thread, and what receives from it is under the lock of
 * the worker's turns. */
struct udp_socket {
    int fd;             /* -1: not open */
    uint16_t family;    /* enum shoal_family */
    bool connected;     /* to one place: it receives from there only */
    uint32_t overflow;  /* SO_RXQ_OVFL's running count as last seen */
    uint32_t held;      /* reasons for which only its owner may read it; under the turns' lock */
    uint64_t read_till; /* when the datagram that was last read arrived; CLOCK_REALTIME ns */
    struct codel codel; /* does its queue stand? */
    /* Buffers that io_uring received and nobody has taken yet: uring.h. */
    uint8_t ahead, ahead_first, ahead_last;
    bool gathers; /* what was last received is a gathered buffer */
};

struct socket_options {
    uint32_t fwmark;
    uint32_t receive_buffer; /* bytes */
    uint32_t send_buffer;    /* bytes */
    bool joins;              /* a group of sockets of ours has the port (SO_REUSEPORT) */
};

/** What one receive brought. */
struct socket_received {
    struct shoal_endpoint endpoint; /* whence and to which address */
    uint32_t length;
    uint32_t segment;  /* bytes of each datagram but the last; equals length for a single one */
    uint32_t overflow; /* datagrams that the kernel dropped since the last receive */
    uint64_t arrived; /* CLOCK_REALTIME ns at which the kernel had it (the first of several); 0: not
                         told */
    uint8_t tos;
    bool truncated;         /* MSG_TRUNC */
    bool control_truncated; /* MSG_CTRUNC */
};

/**
 * Opens and binds; *port 0 lets the kernel choose and gives its choice back.
 * @param what  set to the failing call.
 * @return 0 or an errno; EAFNOSUPPORT where the kernel lacks the family.
 */
int socket_open(struct udp_socket *udp, uint16_t family, uint16_t *port,
                const struct socket_options *options, const char **what);
void socket_close(struct udp_socket *udp);

/** Lets other sockets of ours join its port. What is bound without it finds out whether the port is
 * free, so the first of a group asks for it afterwards. 0 or an errno. */
int socket_open_group(const struct udp_socket *udp);

/** Lets nobody join any more; those that did stay. */
void socket_close_group(const struct udp_socket *udp);

/**
 * Opens a socket for one place. It is bound to the source's own address, in whose list of the
 * kernel it stays: one that is bound to all addresses moves to another list when it is connected,
 * and a look-up that passes by just then finds no socket at all (Linux 6.18, one datagram in 500
 * times). Between the two calls it gets what anybody sends to that address.
 * @param local  with the port
 * @return 0 or an errno. Where connecting failed `udp` is open all the same (fd not -1) and may
 * have something in it.
 */
int socket_open_connected(struct udp_socket *udp, const struct socket_options *options, bool gro,
                          const struct shoal_address *local, const struct shoal_address *remote);

/** Connects a connected one again; its source stays. What is in its queue stays, too. 0 or an
 * errno. */
int socket_connect(const struct udp_socket *udp, const struct shoal_address *remote);

/** 0 or an errno. */
int socket_set_fwmark(const struct udp_socket *udp, uint32_t fwmark);

/** Switches UDP_GRO; 0 or an errno. */
int socket_set_gro(const struct udp_socket *udp, bool on);

/** Mask of SHOAL_OFFLOAD_UDP_GSO and SHOAL_OFFLOAD_UDP_GRO that the kernel knows. */
uint32_t socket_probe(const struct udp_socket *udp);

/**
 * Sends one datagram, or with `segment` below `length` a train of datagrams of that size.
 * @param to       NULL: whither the socket is connected, from its own source
 * @param ifindex  the interface by which it has to leave (around.h); 0: routing is the kernel's
 * @return 0 or the errno; never retried here but for EINTR.
 */
int socket_send(const struct udp_socket *udp, const struct shoal_endpoint *to, uint32_t ifindex,
                uint8_t tos, const uint8_t *bytes, uint32_t length, uint32_t segment);

/**
 * Could a sticky source be to blame for this errno? The kernel says EINVAL for an address that is
 * no longer ours, and no route where there is one from another address.
 */
bool socket_source_suspect(int error);

struct msghdr;

/**
 * What a received message's name and ancillary data say.
 * @param length  bytes of its payload
 */
void socket_read_message(struct udp_socket *udp, struct msghdr *message, uint32_t length,
                         struct socket_received *received);

/** 0 or an errno (EAGAIN: dry). */
int socket_receive(struct udp_socket *udp, uint8_t *buffer, size_t capacity,
                   struct socket_received *received);

/** Is there something to receive? Costs a system call, unless io_uring has received it already. */
bool socket_waits(const struct udp_socket *udp);

#endif
