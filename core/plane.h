/*
 * The plane: tables and settings that every worker reads. The control thread changes them at a
 * standstill of all workers; what is atomic anybody may read, and who writes it is said beside it.
 */
#ifndef SHOAL_PLANE_H
#define SHOAL_PLANE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "aead.h"
#include "forward.h"
#include "gate.h"
#include "handoff.h"
#include "offload.h"
#include "peer.h"
#include "post.h"
#include "route.h"

struct plane {
    bool wireguard_only; /* what is no WireGuard message is dropped */
    uint32_t workers;
    struct handoff *boxes; /* one a worker */
    _Atomic uint64_t idle; /* workers that sleep, by bit, until somebody calls them */
    struct aead_choice aead;
    struct peer_table peers;
    struct route_table *routes;
    struct forward forward;
    struct gate *gate;
    struct post post;
    struct offload offload;
    uint32_t receive_buffer;       /* SO_RCVBUF of every socket, in bytes */
    bool uring;                    /* io_uring was asked for */
    uint32_t connect_after;        /* messages in a period from which on a peer may have a socket */
    uint32_t connect_max;          /* sockets of peers, a worker */
    _Atomic int32_t uring_refused; /* why there is none all the same: an errno; 0: there is. The
                                      first worker's that is refused; all give it up */
    _Atomic bool uring_told;       /* the program above knows */
    _Atomic uint32_t fwmark;       /* of our sockets; for questions about routes */
    _Atomic uint16_t port;         /* of our sockets; 0: not bound. Both the control thread's */
    _Atomic uint32_t mtu;          /* of the interface. Worker 0's, which follows it */
    _Atomic uint32_t ifindex;      /* of the interface at home, now; 0: none, or it is in another
                                      namespace. Worker 0's */
    _Atomic uint32_t route_changes; /* news of the machine's routes so far: what was known of
                                       ways before is asked again. Worker 0's; at a standstill
                                       the control thread's, too */
};

#endif
