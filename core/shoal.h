/*
 * libshoal: the packet path of Shoal. This header is the whole surface that ffi/ sees.
 *
 * Core moves packets between one TUN device and one UDP port, seals and opens them, and reports
 * facts. It never logs, never decides, never retries and never waits for its caller. Decisions
 * (when to shake hands, which endpoint, which key) come down as the calls below; facts go up in two
 * ways: counters and times that the caller copies out (shoal_peer_facts, shoal_device_stats), and
 * mail (datagrams that are not data, and edges) that it drains after the doorbell rang.
 *
 * Conventions
 *   - Every call returns enum shoal_status as int32_t. On failure nothing has changed.
 *   - Objects are named by handles (slot + generation << 32), never by pointers. 0 is never valid;
 *     a handle whose object is gone gives SHOAL_E_STALE, for ever.
 *   - A struct that crosses travels with its size; another size than the library's own is refused
 *     (SHOAL_E_SIZE), so that a table of offsets that drifted cannot corrupt memory.
 *   - Times are nanoseconds of CLOCK_BOOTTIME (R63); 0 means "never".
 *   - All calls may be made from any thread, one at a time per device. Each waits for the worker's
 *     batch to end: at most some 512 messages in from each socket and 256 out, or 256 KiB of each,
 *     and the frame or receive that crossed that line (what is forwarded is sealed again, beside
 *     these); about a millisecond. Longer take open and
 *     close, shoal_link_* (the kernel's own lock) and switching UDP_GRO off (it reads the sockets
 *     empty); closing connected sockets (another port or mark, switching them off) adds 0.4 ms.
 * Staged frames leave in as many batches as they need.
 *   - R.. are the rules of the WireGuard rule list, quoted in the tests by the same numbers.
 */
#ifndef SHOAL_H
#define SHOAL_H

#include <stddef.h>
#include <stdint.h>

#define SHOAL_API __attribute__((visibility("default")))

/** Raised by every change of a layout, a constant or a meaning below. */
#define SHOAL_ABI_VERSION 8u

typedef uint64_t shoal_device_t;
typedef uint64_t shoal_peer_t;

enum shoal_status {
    SHOAL_OK = 0,
    SHOAL_E_INVALID = 1,   /* an argument is outside its range */
    SHOAL_E_SIZE = 2,      /* a struct or buffer size is not the library's */
    SHOAL_E_STALE = 3,     /* the handle names nothing that lives */
    SHOAL_E_FULL = 4,      /* a table is at its stated maximum */
    SHOAL_E_MEMORY = 5,    /* out of memory */
    SHOAL_E_EXISTS = 6,    /* session index or interface name already in use */
    SHOAL_E_SYSTEM = 7,    /* the kernel refused; shoal_error says which call and errno */
    SHOAL_E_STATE = 8,     /* not possible now: no socket bound, no TUN, device closing */
    SHOAL_E_UNKNOWN = 9,   /* a name (AEAD, offload) or suite that is not to be had here */
    SHOAL_E_NO_ROUTE = 10, /* the kernel has no way to that endpoint now (ENETUNREACH and kin) */
};

/** Why a call failed with SHOAL_E_SYSTEM (or the name it did not know). Filled on failure only. */
struct shoal_error {
    int32_t status;    /* enum shoal_status */
    int32_t sys_errno; /* errno of the failing system call, 0 otherwise */
    char what[56];     /* NUL-terminated: the system call or argument at fault */
};

/* ---- Addresses --------------------------------------------------------------------------- */

enum shoal_family { SHOAL_AF_NONE = 0, SHOAL_AF_INET = 4, SHOAL_AF_INET6 = 6 };

/** An IP address with a port. IPv4 stands in ip[0..3]. v4-mapped IPv6 never appears. */
struct shoal_address {
    uint16_t family; /* enum shoal_family */
    uint16_t port;   /* host byte order */
    uint32_t scope;  /* IPv6 link-local: interface index; else 0 */
    uint8_t ip[16];  /* network byte order */
};

/** Where a peer is, and from which of our addresses we talk to it (R55: sticky source). */
struct shoal_endpoint {
    struct shoal_address remote;
    struct shoal_address local; /* family NONE: the kernel chooses; port unused */
    uint32_t ifindex;           /* where it arrived; to send, it binds a link-local source only */
    uint32_t reserved;          /* 0 */
};

/** An inner network; bits beyond the length must be zero. */
struct shoal_prefix {
    uint16_t family; /* SHOAL_AF_INET or SHOAL_AF_INET6 */
    uint16_t length; /* 0..32 or 0..128 */
    uint8_t ip[16];
};

/* ---- Device ------------------------------------------------------------------------------ */

/** Offloads by bit; names by shoal_offload_name (tun-tso tun-uso udp-gso udp-gro queue-control
 * connected-sockets lanes). */
enum shoal_offload {
    SHOAL_OFFLOAD_TUN_TSO = 1u << 0, /* TCP super-packets through the TUN, both directions */
    SHOAL_OFFLOAD_TUN_USO = 1u << 1, /* UDP super-packets through the TUN (Linux 6.2) */
    SHOAL_OFFLOAD_UDP_GSO = 1u << 2, /* UDP_SEGMENT on send */
    SHOAL_OFFLOAD_UDP_GRO = 1u << 3, /* UDP_GRO on receive */
    /* No offload, but switched like one: flows take turns, and queues that stand are shortened. */
    SHOAL_OFFLOAD_QUEUE_CONTROL = 1u << 4,
    /* No offload either: sockets of their own for the busiest peers. */
    SHOAL_OFFLOAD_CONNECTED = 1u << 5,
    /* Nor this: while it is off, shoal_peer_add_lane adds none. */
    SHOAL_OFFLOAD_LANES = 1u << 6,
};
#define SHOAL_OFFLOAD_ALL 0x7fu

enum shoal_device_flags {
    SHOAL_DEVICE_NO_TUN = 1u << 0,         /* no interface: control datagrams only */
    SHOAL_DEVICE_TUN_FD = 1u << 1,         /* adopt tun_fd (IFF_TUN | IFF_NO_PI), create nothing */
    SHOAL_DEVICE_TUN_FD_VNET = 1u << 2,    /* tun_fd is not a TUN (a test's socketpair) and carries
                                              a 10-byte virtio_net_hdr before each packet */
    SHOAL_DEVICE_WIREGUARD_ONLY = 1u << 3, /* other types drop instead of being mailed */
};

#define SHOAL_IFNAME_SIZE 16
#define SHOAL_NAME_SIZE 32
#define SHOAL_WORDS_SIZE 192 /* two lists of three back-ends */
#define SHOAL_MTU_MIN 576
#define SHOAL_MTU_MAX 65475 /* 65,535 less the 60 bytes of IPv4+UDP+WireGuard */
#define SHOAL_WORKERS_MAX 64
#define SHOAL_LANES_MAX 4 /* of a peer, the peer itself included */

struct shoal_device_config {
    uint32_t abi_version;           /* SHOAL_ABI_VERSION, else SHOAL_E_SIZE */
    uint32_t flags;                 /* enum shoal_device_flags */
    char ifname[SHOAL_IFNAME_SIZE]; /* NUL-terminated; may hold one %d */
    int32_t tun_fd;             /* with SHOAL_DEVICE_TUN_FD; the library takes ownership on OK */
    uint32_t mtu;               /* inner MTU in bytes; 0: 1420 */
    uint32_t workers;           /* threads, SHOAL_WORKERS_MAX at most; 0: chosen by the library */
    uint32_t offloads_off;      /* mask of enum shoal_offload that must stay off */
    uint32_t peers_max;         /* 0: 65,536 (R17) */
    uint32_t routes_max;        /* 0: 1,048,576 prefixes */
    uint32_t staged_bytes_max;  /* 0: 8 MiB over all peers (128 packets a peer, R16) */
    uint32_t receive_buffer;    /* SO_RCVBUF(FORCE) per UDP socket in bytes; 0: the default */
    char aead[SHOAL_NAME_SIZE]; /* "": calibrate; else a name of shoal_aead_name */
    char io[SHOAL_NAME_SIZE];   /* "" or "poll", or "uring": where the kernel grants it */
    uint8_t seed[32];           /* random bytes: hash keys of the tables */
};

struct shoal_device_info {
    char ifname[SHOAL_IFNAME_SIZE];  /* as it is called now, or was last at home; "" without TUN */
    char aead[SHOAL_WORDS_SIZE];     /* what seals and opens ChaCha20-Poly1305: "openssl", or
                                        "libsodium up to 320 bytes, openssl above", and where
                                        one packet is another's: ", alone ipsec-mb" */
    char aead_gcm[SHOAL_WORDS_SIZE]; /* AES-256-GCM; "" where the CPU has no instructions for it */
    char io[SHOAL_NAME_SIZE];        /* "poll" or "uring": how is received now */
    int32_t doorbell_fd; /* our end of a socketpair: readable when mail waits. The caller owns it
                            (and closes it, after shoal_device_close) */
    uint32_t ifindex;    /* 0 without TUN, and while it is in another network namespace */
    uint32_t mtu;        /* inner MTU that core uses now */
    uint32_t workers;
    uint32_t queues;  /* of the TUN; 1 with several workers: worker 0 reads it for all */
    uint32_t steered; /* 1: the kernel knows whose queue a packet is for; 0: it guesses, and workers
                         hand each other what is not theirs */
    int32_t steer_error; /* why it does not know: an errno; 0: it does, or has nothing to know */
    uint32_t offloads_available; /* what the kernel granted at the probe */
    uint32_t offloads_on;        /* available, not switched off, not demoted */
    uint32_t port;               /* bound UDP port, host order; 0: not bound */
    uint32_t fwmark;
    uint32_t families;       /* bound sockets: bit 0 IPv4, bit 1 IPv6 */
    uint32_t link_up;        /* 1 while the interface is IFF_UP */
    uint32_t connected;      /* sockets of busy peers that are open now */
    uint32_t connected_max;  /* as many there may be */
    int32_t connected_error; /* why the last one could not be made: an errno; 0: all could */
    int32_t io_error;        /* why "uring" was asked for and is not used: an errno; 0: it is, or
                                was not */
};

SHOAL_API uint32_t shoal_abi_version(void);

/**
 * Creates (or adopts) the TUN device, starts the workers, opens no UDP socket yet. On an interface
 * that it creates the kernel says nothing by itself: no link-local address, no multicast.
 * @return SHOAL_E_EXISTS when another process holds ifname, SHOAL_E_UNKNOWN for an AEAD or io name,
 *         SHOAL_E_FULL when the registry's 64 devices are open, SHOAL_E_SYSTEM with *error.
 */
SHOAL_API int32_t shoal_device_open(const struct shoal_device_config *config, uint32_t config_size,
                                    shoal_device_t *device, struct shoal_error *error,
                                    uint32_t error_size);

/** Rings the workers, joins them, wipes every key, closes every descriptor except the doorbell. */
SHOAL_API int32_t shoal_device_close(shoal_device_t device);

SHOAL_API int32_t shoal_device_info(shoal_device_t device, struct shoal_device_info *info,
                                    uint32_t info_size);

/** Our static public key: the gate checks MAC1 with it (R28). All-zero: no handshake passes. */
SHOAL_API int32_t shoal_device_set_identity(shoal_device_t device, const uint8_t *public_key,
                                            uint32_t key_size);

/**
 * Opens one UDP socket per family on port (0: the kernel picks one, the same for both) and gives
 * the port back. A device that is bound moves: the old sockets serve until the new ones are open.
 * A family that the kernel lacks is left out; SHOAL_E_SYSTEM with EADDRINUSE when the port is busy.
 */
SHOAL_API int32_t shoal_device_bind(shoal_device_t device, uint16_t port, uint32_t fwmark,
                                    uint16_t *bound_port, struct shoal_error *error,
                                    uint32_t error_size);

/** Closes the UDP sockets. Nothing is received or sent until the next bind. */
SHOAL_API int32_t shoal_device_unbind(shoal_device_t device);

SHOAL_API int32_t shoal_device_set_fwmark(shoal_device_t device, uint32_t fwmark);

/**
 * Our own inner address of one family, with the length of the mesh's network, in place of an
 * earlier one. From then on a peer's packet of that family reaches the TUN only if it is for this
 * address; what is not for it and not forwarded is dropped, and answered from there. Datagrams of
 * the device itself to that network do not go by its own interface, and those that come by it are
 * dropped. Without it (plain WireGuard) the TUN takes what any peer may send, whatever its
 * destination.
 */
SHOAL_API int32_t shoal_device_set_inner(shoal_device_t device, const struct shoal_prefix *address,
                                         uint32_t prefix_size);

/** Switches offloads at run time (contract 10): on only where the probe found them. */
SHOAL_API int32_t shoal_device_set_offloads(shoal_device_t device, uint32_t mask, uint32_t on);

/** "tun-tso" and so on for one bit of enum shoal_offload; NULL for another value. */
SHOAL_API const char *shoal_offload_name(uint32_t offload);

/**
 * The i-th AEAD back-end that this machine has ("openssl", "libsodium", "ipsec-mb"); NULL past the
 * last.
 */
SHOAL_API const char *shoal_aead_name(uint32_t i);

/* ---- The interface (rtnetlink, in the namespace where the device was opened) -------------
 *
 * SHOAL_E_SYSTEM with ENODEV while the interface is in another namespace. */

/** mtu 0: leave; up 0: down, 1: up, 2: leave. Core's own MTU follows the link's news. */
SHOAL_API int32_t shoal_link_set(shoal_device_t device, uint32_t mtu, uint32_t up,
                                 struct shoal_error *error, uint32_t error_size);

/** The address keeps its host bits: ip is the whole address, length the on-link prefix. */
SHOAL_API int32_t shoal_link_address(shoal_device_t device, const struct shoal_prefix *address,
                                     uint32_t prefix_size, uint32_t add, struct shoal_error *error,
                                     uint32_t error_size);

/**
 * Puts back the route that the kernel makes of such an address and that somebody took away. EEXIST
 * (SHOAL_E_SYSTEM): nothing is missing.
 */
SHOAL_API int32_t shoal_link_route(shoal_device_t device, const struct shoal_prefix *address,
                                   uint32_t prefix_size, struct shoal_error *error,
                                   uint32_t error_size);

/**
 * Fills `name` (SHOAL_IFNAME_SIZE bytes) with the interface by which the kernel sends to an address
 * now; the length of the prefix is not looked at. SHOAL_E_SYSTEM with ENETUNREACH: by none; with
 * EHOSTUNREACH, EACCES or EINVAL: a route refuses it.
 */
SHOAL_API int32_t shoal_link_way(shoal_device_t device, const struct shoal_prefix *address,
                                 uint32_t prefix_size, char *name, uint32_t name_size,
                                 struct shoal_error *error, uint32_t error_size);

/**
 * The same for what the device itself sends, whose datagrams to a place in the inner network
 * (shoal_device_set_inner) name another interface where the kernel would send them by our own:
 * `name` is that interface, or "" where nothing is named. SHOAL_E_SYSTEM with ENETUNREACH: nothing
 * but our own interface leads there, and nothing is sent.
 * @param deaf  1 where the kernel drops what comes back by that interface (a strict rp_filter)
 */
SHOAL_API int32_t shoal_link_around(shoal_device_t device, const struct shoal_prefix *address,
                                    uint32_t prefix_size, char *name, uint32_t name_size,
                                    uint32_t *deaf, struct shoal_error *error, uint32_t error_size);

#define SHOAL_GUARDED_MAX 2 /* our own address in either family */

/**
 * Has the kernel drop what comes by another interface than ours (loopback aside), with a source in
 * the inner network and one of these addresses for its destination: nobody near speaks to us in a
 * peer's name, past the tunnel. What was guarded before is no more, in one transaction. It ends
 * with the device, or the process, however that ends (an nf_tables table "inet shoal-IFNAME" of
 * our own, counted as drop_guard). count 0: nothing is guarded.
 * @param addresses  with host bits, and the length of the inner network
 * @return SHOAL_E_SYSTEM, and then all is as before: with EPERM, no right to it; EOPNOTSUPP,
 *         EPROTONOSUPPORT or EINVAL, not in this kernel (Linux 5.12 with nf_tables)
 */
SHOAL_API int32_t shoal_link_guard(shoal_device_t device, const struct shoal_prefix *addresses,
                                   uint32_t addresses_size, uint32_t count,
                                   struct shoal_error *error, uint32_t error_size);

/* ---- Peers, routes, sessions ------------------------------------------------------------- */

/** One-shot edges that the caller arms (shoal_peer_arm) and core disarms by mailing them. */
enum shoal_edge {
    SHOAL_EDGE_SESSION_NEEDED = 1u << 0,  /* a packet was staged and no session may send (R45) */
    SHOAL_EDGE_UNANSWERED_DATA = 1u << 1, /* data sent, nothing authenticated since (R12, R60) */
    SHOAL_EDGE_UNSENT_REPLY = 1u << 2,    /* data received, nothing sent since (R57, R58) */
};
#define SHOAL_EDGE_ALL 0x7u

/**
 * @param tag  the caller's number for this peer, repeated in its mail. Modulo the number of workers
 *             it names the one that has this peer's packets.
 * A new peer has all edges armed, no endpoint, no session, no route.
 */
SHOAL_API int32_t shoal_peer_add(shoal_device_t device, uint32_t tag, shoal_peer_t *peer);

/** Wipes its sessions, drops what it staged, removes its routes. */
SHOAL_API int32_t shoal_peer_remove(shoal_device_t device, shoal_peer_t peer);

SHOAL_API int32_t shoal_peer_set_endpoint(shoal_device_t device, shoal_peer_t peer,
                                          const struct shoal_endpoint *endpoint,
                                          uint32_t endpoint_size);

/** Forgets the sticky source address and interface (R54). */
SHOAL_API int32_t shoal_peer_clear_source(shoal_device_t device, shoal_peer_t peer);

/** Arms edges again. One whose condition holds already is mailed at once. */
SHOAL_API int32_t shoal_peer_arm(shoal_device_t device, shoal_peer_t peer, uint32_t edges);

enum shoal_keepalive_flags {
    SHOAL_KEEPALIVE_UNLESS_SENT = 1u << 0, /* only if this session sent nothing yet (R41) */
};

/** Sends one empty data message on the current session; SHOAL_E_STATE without a usable one. */
SHOAL_API int32_t shoal_peer_keepalive(shoal_device_t device, shoal_peer_t peer, uint32_t flags);

/**
 * Says whether the peer is known not to be there: then what is sent to it is answered by ICMP while
 * it has no session, or one in which data was not answered for 11 s. The edge rings all the same.
 */
SHOAL_API int32_t shoal_peer_set_offline(shoal_device_t device, shoal_peer_t peer,
                                         uint32_t offline);

/**
 * Says whether the peer is a guest: a device that knows nobody but us. What it sends to the inner
 * address of another peer, and what another peer sends to it, is opened, its hop limit lowered, and
 * sealed for that one, without the TUN. What cannot be carried on is answered by ICMP. A lane is
 * none (SHOAL_E_INVALID).
 */
SHOAL_API int32_t shoal_peer_set_guest(shoal_device_t device, shoal_peer_t peer, uint32_t guest);

/**
 * Says whether the peer's endpoint stays where the caller has set it. R53 lets authentic data from
 * another place move it, and so whoever has the keys leads what is sent to it to a third party, by
 * one packet with an invented source. With this the data counts, and where it came from is mailed
 * (SHOAL_MAIL_ENDPOINT_MOVED, at most ten times a second and peer): the caller finds out whether
 * the peer is there. Without an endpoint the first packet sets it. A responder's session, too,
 * takes the place of none but an earlier unconfirmed one, until it is confirmed: R42 frees the
 * previous one, by which the peer may send where both sides have begun at once.
 */
SHOAL_API int32_t shoal_peer_set_staying(shoal_device_t device, shoal_peer_t peer,
                                         uint32_t staying);

/**
 * Adds a lane to a peer: a peer with sessions, an endpoint, facts and edges of its own, in another
 * worker, that has the routes of the first one. What is sent to those goes by the lane whose worker
 * reads it from the TUN (by flow, where the kernel is told: TCP and UDP by their ports, everything
 * else to the peer itself), and by the peer itself while the lane has no session that may send, or
 * no endpoint, or is offline: then the edge of the lane rings. A lane ends with shoal_peer_remove,
 * which adds what it has counted to its peer's facts, and those behind it end with it; so do all
 * with their peer. They are no lanes any more then, and what comes on them is dropped
 * (drop_rx_source) until they are removed, too.
 *
 * @param tag  as of shoal_peer_add; of lane k (1, 2 …), modulo the number of workers, the peer's
 *             worker and k, else SHOAL_E_INVALID
 * SHOAL_E_FULL: it has as many lanes as there are workers, or SHOAL_LANES_MAX, or there is no room
 * for a peer; SHOAL_E_STATE: lanes are switched off; SHOAL_E_INVALID: a lane has no lanes.
 */
SHOAL_API int32_t shoal_peer_add_lane(shoal_device_t device, shoal_peer_t peer, uint32_t tag,
                                      shoal_peer_t *lane);

/**
 * Says over how many of a peer's lanes, with itself, the kernel spreads flows: over all of them
 * when one was added, until this says otherwise. A lane without a session had better not be among
 * them, since what it cannot send is handed to the peer's worker by a box of 256 KiB.
 * SHOAL_E_INVALID for none, or more than there are.
 */
SHOAL_API int32_t shoal_peer_spread(shoal_device_t device, shoal_peer_t peer, uint32_t lanes);

/** Drops what waits for a session (R62). */
SHOAL_API int32_t shoal_peer_drop_staged(shoal_device_t device, shoal_peer_t peer);

/** Wipes and frees the peer's sessions in all three slots (R61, R65). */
SHOAL_API int32_t shoal_peer_clear_sessions(shoal_device_t device, shoal_peer_t peer);

/** What seals a session's packets. */
enum shoal_suite {
    SHOAL_SUITE_CHACHA20_POLY1305 = 0, /* WireGuard's */
    SHOAL_SUITE_AES_256_GCM = 1,       /* where both CPUs have instructions for it */
};

enum shoal_role { SHOAL_ROLE_INITIATOR = 1, SHOAL_ROLE_RESPONDER = 2 };

/**
 * A derived session. Core enforces, beside what is asked here, its own hard limits: no packet is
 * sealed or opened 180 s after birth (R4) or at counter 2^64 - 2^13 - 1 (R2, R47, R48); with
 * AES-256-GCM at counter 2^28, and none is sealed at 2^23 once one of more than 2,048 bytes was.
 */
struct shoal_session {
    uint32_t role;             /* enum shoal_role */
    uint32_t local_index;      /* receiver index of what the peer sends us; unique in the device */
    uint32_t remote_index;     /* receiver index of what we send */
    uint32_t suite;            /* enum shoal_suite */
    uint64_t birth;            /* when the keys were derived; like the next two an instant */
    uint64_t rekey_after_time; /* sending then or later mails REKEY_DUE (R3); 0: never */
    uint64_t rekey_on_receive; /* receiving then or later does (R11); 0: never */
    uint64_t rekey_after_messages; /* a send counter from here on does (R1); 0: never */
    uint8_t send_key[32];
    uint8_t receive_key[32];
};

/**
 * Initiator: becomes current at once (R41), staged packets leave with it. Responder: becomes next
 * and is not sent on until the first authenticated packet confirms it (R42, R43).
 * The lowest byte of local_index, modulo the number of workers, names the one that gets what comes
 * for it: it has to be the peer's (see shoal_peer_add), else SHOAL_E_INVALID.
 * The caller wipes its copy. SHOAL_E_EXISTS when local_index lives already, SHOAL_E_UNKNOWN for
 * AES-256-GCM where the CPU has no instructions for it (its aead_gcm is "").
 */
SHOAL_API int32_t shoal_session_install(shoal_device_t device, shoal_peer_t peer,
                                        const struct shoal_session *session, uint32_t session_size);

/** Adds an allowed prefix; one that another peer holds moves to this one. SHOAL_E_INVALID for a
 * lane, which has those of its peer. */
SHOAL_API int32_t shoal_route_add(shoal_device_t device, shoal_peer_t peer,
                                  const struct shoal_prefix *prefix, uint32_t prefix_size);

/** Removes a prefix if this peer holds it; otherwise changes nothing and is no error. */
SHOAL_API int32_t shoal_route_remove(shoal_device_t device, shoal_peer_t peer,
                                     const struct shoal_prefix *prefix, uint32_t prefix_size);

/* ---- Facts ------------------------------------------------------------------------------- */

/** Bytes count whole WireGuard data messages (header, padding, tag) as `wg show` does. */
struct shoal_peer_facts {
    uint64_t tx_bytes;
    uint64_t rx_bytes;
    uint64_t tx_packets;
    uint64_t rx_packets;
    uint64_t last_authenticated_receive; /* any data message that opened, keepalives included */
    uint64_t last_data_receive;          /* the same without keepalives */
    uint64_t last_authenticated_send;
    uint64_t last_data_send;
    uint64_t first_unanswered_data; /* first data sent since the last authenticated receive, or 0 */
    uint64_t first_unsent_reply; /* first data received since the last authenticated send, or 0 */
    uint64_t dropped;  /* packets of this peer, staged ones and all that names its session included;
                          not what opened and the TUN then refused (drop_rx_no_tun, _link_down,
                          _tun):  frames are coalesced by then, over all peers */
    uint32_t staged;   /* packets waiting for a session */
    uint32_t sessions; /* bit 0 previous, bit 1 current, bit 2 next lives */
    struct shoal_endpoint endpoint; /* where data goes now */
};

SHOAL_API int32_t shoal_peer_facts(shoal_device_t device, shoal_peer_t peer,
                                   struct shoal_peer_facts *facts, uint32_t facts_size);

/**
 * The device's counters as an array of uint64_t, in the order of shoal_counter_name. Names that
 * start with "drop_" are reasons why a packet was not delivered; each dropped packet counts once.
 * @param written  how many were written; SHOAL_E_SIZE when capacity is too small.
 */
SHOAL_API int32_t shoal_device_counters(shoal_device_t device, uint64_t *counters,
                                        uint32_t capacity, uint32_t *written);

/** "rx_packets", "drop_replay" and so on; NULL past the last. */
SHOAL_API const char *shoal_counter_name(uint32_t i);

/* ---- Datagrams and mail ------------------------------------------------------------------ */

#define SHOAL_DATAGRAM_MAX 1500 /* longer ones that are not data drop, counted */

enum shoal_mail_kind {
    SHOAL_MAIL_DATAGRAM = 1, /* payload: the datagram; endpoint: whence and to which address */
    SHOAL_MAIL_SESSION_NEEDED = 2,    /* edge */
    SHOAL_MAIL_UNANSWERED_DATA = 3,   /* edge; time: when the first unanswered data left */
    SHOAL_MAIL_UNSENT_REPLY = 4,      /* edge; time: when the first unreplied data arrived */
    SHOAL_MAIL_SESSION_CONFIRMED = 5, /* index: local index of what is current now (R43) */
    SHOAL_MAIL_REKEY_DUE = 6,         /* index; value: enum shoal_rekey_why; once per session */
    SHOAL_MAIL_ENDPOINT_MOVED = 7,    /* endpoint: from authenticated data (R53); of a peer that
                                         stays where it was set nothing has moved */
    SHOAL_MAIL_LINK = 8,              /* value: enum shoal_link_news; index: MTU */
    SHOAL_MAIL_OFFLOAD_DEMOTED =
        9, /* value: enum shoal_offload; index: errno; tag not 0: only towards this peer */
    SHOAL_MAIL_WORKER_FAILED = 10, /* value: errno; the data plane stands still */
    SHOAL_MAIL_ROUTES = 11,        /* addresses, routes, rules or links of the machine changed */
    SHOAL_MAIL_STRAY = 12, /* endpoint: whence data of no session came; ten a second and source */
    SHOAL_MAIL_LOOP = 13, /* endpoint: whither a route leads our own datagrams through the tunnel */
    SHOAL_MAIL_REFUSED = 14,    /* a hint, once a second and peer: the network says by ICMP, which
                                   anybody can forge, that the peer's endpoint takes no datagrams.
                                   value: the errno of a send, or ECONNREFUSED where a receive found
                                   it; endpoint: the peer's */
    SHOAL_MAIL_IO_REFUSED = 15, /* value: errno; io_uring was asked for; plain calls do it */
};

enum shoal_rekey_why { SHOAL_REKEY_AGE = 1, SHOAL_REKEY_RECEIVE = 2, SHOAL_REKEY_MESSAGES = 3 };

enum shoal_link_news {
    SHOAL_LINK_UP = 1,
    SHOAL_LINK_DOWN = 2,
    SHOAL_LINK_MTU = 3,
    SHOAL_LINK_GONE = 4, /* the TUN descriptor answers EBADFD: deleted, not moved */
};

/** One record of the drained buffer; the next one starts `size` bytes further (8-aligned). */
struct shoal_mail {
    uint32_t size;   /* of this record with payload and padding */
    uint16_t kind;   /* enum shoal_mail_kind */
    uint16_t length; /* payload bytes, directly behind this struct */
    uint32_t tag;    /* of the peer; 0 where none is meant */
    uint32_t index;
    uint32_t value;
    uint32_t reserved;
    uint64_t time;
    struct shoal_endpoint endpoint;
};

/**
 * Copies as many whole records as fit and removes them. Reads the doorbell dry is the caller's
 * part; the bell rings again at the first mail after a drain that emptied the box.
 * @param used  bytes written; 0 when the box is empty. SHOAL_E_SIZE when capacity < 2,048.
 */
SHOAL_API int32_t shoal_mailbox_drain(shoal_device_t device, uint8_t *buffer, uint32_t capacity,
                                      uint32_t *used);

/**
 * Sends one datagram from the device's port. Never retried, but for a source address that is no
 * longer ours: then once more from the address that the kernel chooses.
 * @param tos  the whole DSCP+ECN byte (R19: 0x88 for handshakes).
 * @return SHOAL_E_NO_ROUTE, SHOAL_E_STATE (not bound, or no socket of that family),
 *         SHOAL_E_SYSTEM for a full socket or a filter.
 */
SHOAL_API int32_t shoal_datagram_send(shoal_device_t device, const struct shoal_endpoint *to,
                                      uint32_t endpoint_size, uint32_t tos, const uint8_t *bytes,
                                      uint32_t length);

#endif
