/*
 * Counters of a device. One list names them all; the enum, the names that the caller sees and the
 * documentation come from it. Every reason why a packet is not delivered has one of its own, and a
 * dropped packet counts exactly once (a TUN super-packet that was not cut yet counts as one).
 */
#ifndef SHOAL_STATS_H
#define SHOAL_STATS_H

#include <stdatomic.h>
#include <stdint.h>

/* clang-format off */
#define STATS_LIST(X) \
    /* outbound */ \
    X(tun_reads)                  /* frames read from the TUN */ \
    X(tx_packets)                 /* data messages handed to the kernel, keepalives included */ \
    X(tx_bytes)                   /* their bytes, header and tag included */ \
    X(tx_trains)                  /* sendmsg calls that carried them */ \
    X(tx_keepalives)              /* empty data messages among tx_packets */ \
    X(tx_blocked)                 /* trains that waited for room in the socket */ \
    X(tx_source_cleared)          /* sticky sources given up because the kernel refused them (R54) */ \
    X(tx_gso_refused)             /* trains sent again singly because UDP_SEGMENT was refused */ \
    X(tx_around)                  /* sends that named an interface, past our own route (around.h) */ \
    X(around_asked)               /* times the kernel was asked for that way */ \
    X(around_cut)                 /* interfaces beyond 64 that it was not asked about */ \
    X(tx_marked)                  /* packets marked because their queue stands (RFC 3168) */ \
    X(tx_connected)               /* sends by a connected socket of the peer (connected.h) */ \
    X(tx_staged)                  /* frames that waited for a session (R16) */ \
    /* inbound */ \
    X(rx_buffers)                 /* recvmsg calls that returned something */ \
    X(rx_packets)                 /* data messages that opened, keepalives included */ \
    X(rx_bytes)                   /* their bytes, header and tag included */ \
    X(rx_keepalives)              /* empty data messages among rx_packets */ \
    X(rx_control_truncated)       /* buffers with MSG_CTRUNC: ancillary data lost */ \
    X(rx_connected)               /* recvmsg calls at connected sockets among those of rx_buffers */ \
    X(rx_errors)                  /* errors of recvmsg */ \
    X(uring_receives)             /* receives by io_uring, of up to 64 buffers each (uring.h) */ \
    X(uring_buffers)              /* buffers that they filled */ \
    X(uring_short)                /* those that ended because no buffer was offered any more */ \
    X(uring_plain)                /* plain calls in the place of one that could not be made */ \
    X(tun_writes)                 /* frames written to the TUN */ \
    X(tun_gso_refused)            /* super-packets written again singly */ \
    X(tun_unreachable)            /* packets that reach nobody, answered so by ICMP */ \
    /* connected sockets (connected.h) */ \
    X(connected_opened)           /* made for a busy peer */ \
    X(connected_evicted)          /* given up for a busier peer */ \
    X(connected_crowded)          /* given up since other peers are at its place, too */ \
    X(connected_idle)             /* given up since its peer was quiet */ \
    X(connected_moved)            /* given up since endpoint, source, port or mark are others (R53) */ \
    X(connected_refused)          /* could not be made, or failed twice where the shared one sent */ \
    X(connected_again)            /* connected again on news of routes */ \
    X(connected_errors)           /* errors on them, ICMP's most likely: hints and nothing more */ \
    /* between workers (handoff.h) */ \
    X(handoff_messages)           /* data messages that went on to their session's worker */ \
    X(handoff_frames)             /* frames that went on to their peer's worker */ \
    X(turns_helped)               /* turns that another worker took (turns.h) */ \
    /* between a guest and other peers */ \
    X(forwarded)                  /* packets that opened and went on to another peer */ \
    X(forward_errors)             /* those that could not, answered so by ICMP */ \
    /* everything that is not data */ \
    X(control_received)           /* datagrams put into the mailbox */ \
    X(control_sent)               /* datagrams of shoal_datagram_send */ \
    X(cookies_sent)               /* cookie replies (R30) */ \
    X(mail_dropped_edges)         /* edges and news that found the mailbox full; edges ring again */ \
    X(routes_refused)             /* prefixes refused because the table is at its maximum */ \
    X(peers_refused)              /* peers refused for the same reason */ \
    X(steering_refused)           /* prefixes that the kernel refused: workers hand their packets on */ \
    /* outbound drops */ \
    X(drop_tx_malformed)          /* no IPv4 or IPv6 header, or one that contradicts the frame (R49) */ \
    X(drop_tx_offload)            /* a virtio header that contradicts its frame */ \
    X(drop_tx_segments)           /* a super-packet of more than 512 packets */ \
    X(drop_tx_loop)               /* our own datagrams, which a route led into the tunnel */ \
    X(drop_tx_source)             /* inner source is not ours: this machine forwards for others */ \
    X(drop_tx_no_route)           /* no peer has the destination (R51) */ \
    X(drop_tx_offline)            /* the peer is known not to be there, and no session is answered */ \
    X(drop_tx_no_endpoint)        /* the peer has no endpoint (R51) */ \
    X(drop_tx_no_socket)          /* no UDP socket of the endpoint's family is bound */ \
    X(drop_tx_staging_peer)       /* oldest of a peer's 128 staged (R16) */ \
    X(drop_tx_staging_total)      /* oldest of all, at staged_bytes_max (R16) */ \
    X(drop_tx_staging_discarded)  /* staged, then given up by command (R62) or with the peer */ \
    X(drop_tx_memory)             /* no memory to stage it */ \
    X(drop_tx_standing)           /* lost because its queue stands while others wait (RFC 8290) */ \
    X(drop_tx_seal)               /* the cipher failed, or another worker took the last counters */ \
    X(drop_tx_too_big)            /* larger than a datagram can be, EMSGSIZE included */ \
    X(drop_tx_buffer)             /* EAGAIN twice, ENOBUFS, ENOMEM */ \
    X(drop_tx_unreachable)        /* ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, ENETDOWN, ENODEV */ \
    X(drop_tx_denied)             /* EPERM, EACCES: a filter */ \
    X(drop_tx_error)              /* any other error of sendmsg */ \
    /* inbound drops */ \
    X(drop_guard)                 /* by the kernel: past the tunnel, in a peer's name (guard.h) */ \
    X(drop_rx_queue)              /* by the kernel before us: receive buffer full (SO_RXQ_OVFL); \
                                     with UDP_GRO a gathered buffer of many datagrams counts as one, \
                                     so the number is a lower bound */ \
    X(drop_rx_standing)           /* lost because the socket's queue stands (RFC 8289) */ \
    X(drop_rx_truncated)          /* MSG_TRUNC, or segments of unknown size after MSG_CTRUNC */ \
    X(drop_rx_unanswerable)       /* from port 0, or from an IPv4-mapped IPv6 address */ \
    X(drop_rx_inside)             /* by our own interface: what comes out of the mesh is no place */ \
    X(drop_rx_short)              /* a data message below 32 bytes (R20), or nothing at all */ \
    X(drop_rx_oversized)          /* not data, and above 1,500 bytes */ \
    X(drop_rx_unknown_type)       /* with SHOAL_DEVICE_WIREGUARD_ONLY */ \
    X(drop_rx_mailbox)            /* a datagram for the mailbox, its lane full */ \
    X(drop_rx_mailbox_share)      /* the same, while 256 datagrams of its source wait there (T39) */ \
    X(drop_rx_index)              /* receiver index of no session */ \
    X(drop_rx_expired)            /* session of 180 s (R4) */ \
    X(drop_rx_counter_limit)      /* counter at REJECT_AFTER_MESSAGES (R47) */ \
    X(drop_rx_replay)             /* seen before, or older than the window */ \
    X(drop_rx_authentication)     /* the tag is wrong */ \
    X(drop_rx_malformed)          /* what opened is no IP packet (R49) */ \
    X(drop_rx_source)             /* inner source is not this peer's (R50) */ \
    X(drop_rx_destination)        /* for an address that is neither ours nor a guest's */ \
    X(drop_rx_ecn)                /* congestion marked on a packet that cannot say so (R52) */ \
    X(drop_rx_no_tun)             /* the device has no TUN, or lost it */ \
    X(drop_rx_link_down)          /* EIO: the interface is down */ \
    X(drop_rx_tun)                /* any other error of the TUN write */ \
    /* drops between workers */ \
    X(drop_handoff_full)          /* the box of the owner is full */ \
    X(drop_handoff_gone)          /* the peer was removed meanwhile */ \
    /* drops between a guest and other peers */ \
    X(drop_forward_hops)          /* the hop limit ran out */ \
    X(drop_forward_too_big)       /* larger than the inner MTU */ \
    X(drop_forward_back)          /* for whoever sent it */ \
    X(drop_forward_no_route)      /* a guest's, for an address of the mesh that nobody has */ \
    X(drop_forward_buffer)        /* the socket is full */ \
    /* handshakes */ \
    X(drop_handshake_length)      /* not the exact size of its type (R20) */ \
    X(drop_handshake_type)        /* reserved bytes set (R21) */ \
    X(drop_handshake_mac1)        /* (R28) */ \
    X(drop_handshake_cookie)      /* answered by a cookie reply (R30) */ \
    X(drop_handshake_rate)        /* the source's bucket is empty (R31), or a cookie reply found the queue half full */ \
    X(drop_handshake_full)        /* the table of sources is full */
/* clang-format on */

enum counter {
#define X(name) COUNT_##name,
    STATS_LIST(X)
#undef X
        STATS_COUNT
};

/* Owner: one thread writes (a worker, or the control thread while it holds the standstill or, for
 * the device's own set, the registry's lock); anybody reads. */
struct stats {
    _Atomic uint64_t values[STATS_COUNT];
};

static inline void stats_add(struct stats *stats, enum counter which, uint64_t n) {
    _Atomic uint64_t *value = &stats->values[which];
    atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline uint64_t stats_get(const struct stats *stats, enum counter which) {
    return atomic_load_explicit(&stats->values[which], memory_order_relaxed);
}

/** Name of a counter, NULL past the last. */
const char *stats_name(uint32_t which);

#endif
