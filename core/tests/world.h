/*
 * Worlds for tests of whole devices, without root: two devices in this process, each with one end
 * of a socketpair for a TUN, talking over UDP on loopback; and a stranger, a plain UDP socket that
 * forges messages with keys it was given.
 */
#ifndef SHOAL_TESTS_WORLD_H
#define SHOAL_TESTS_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shoal.h"

#define WORLD_PATIENCE_MS                                                                          \
    5000 /* bound of every wait; waits end as soon as what they wait for is so */
#define WORLD_VNET 10u
#define WORLD_FRAME_MAX 66000u

struct side {
    shoal_device_t device;
    shoal_peer_t peer; /* the other side */
    int tun;           /* our end of its TUN */
    int doorbell;
    uint16_t port;
    uint32_t workers;
    uint32_t tag;               /* of `peer`, in a world */
    uint8_t number;             /* 1 or 2: inner addresses are 10.9.0.N and fd09::N */
    uint8_t send_key;           /* every byte of the key; the other side's is the other one */
    struct shoal_address outer; /* where its socket is reached */
    _Alignas(8) uint8_t mail[65536];
    uint32_t mail_used;
    uint32_t mail_at;
};

struct world {
    struct side a, b;
};

struct world_options {
    uint16_t outer;        /* SHOAL_AF_INET by default */
    uint32_t offloads_off; /* both sides */
    uint32_t flags;        /* added to both sides' */
    uint32_t mtu;
    uint32_t staged_bytes_max;
    uint32_t peers_max;
    uint32_t routes_max;
    uint32_t workers; /* 0: one */
    const char *aead;
    const char *io; /* NULL: what world_choose_io says */
};

/** The back-end that SHOAL_TEST_IO names ("uring"), so that a whole suite runs with it. */
void world_choose_io(struct shoal_device_config *config);

/** Opens one side, bound to a port, with no peer. */
void side_open(struct side *side, uint8_t number, const struct world_options *options);
void side_close(struct side *side);

/** Peers get connected sockets after so many messages in a period, so many a worker; 0: as it is.
 */
void side_connect(const struct side *side, uint32_t after, uint32_t most);

/** Two sides that know each other's endpoint and inner addresses, without sessions. */
void world_open(struct world *world, const struct world_options *options);
void world_close(struct world *world);

/** Adds a peer at an address (NULL: nowhere) that owns 10.9.0.N/32 and fd09::N/128. */
shoal_peer_t side_add_peer(struct side *side, uint32_t tag, uint8_t number,
                           const struct shoal_address *at);

/** A session with keys made of one byte each; birth `age_ns` ago. */
struct shoal_session world_session(const struct side *side, uint32_t role, uint32_t local_index,
                                   uint32_t remote_index, uint64_t age_ns);
void side_install(struct side *side, const struct shoal_session *session);

/** `index`, or with several workers one made from it that is of the peer's worker. */
uint32_t world_index(const struct side *side, uint32_t index);

/** Installs a pair, `from` initiating; indexes are made of `index` there and index + 1 at the
 * other. */
void world_connect(struct world *world, struct side *from, struct side *to, uint32_t index);

/** Sends the keepalive that confirms the pair, and waits until both have it. */
void world_confirm(struct side *from, struct side *to);

uint64_t world_now(void);

/** The process's CPU time in milliseconds. */
long world_cpu_ms(void);

/** A UDP packet from inner N to inner M with a pattern of `seed`. @return its length. */
size_t world_packet(uint8_t *out, bool v6, uint8_t from, uint8_t to, size_t payload, uint8_t seed);

/** Puts a packet (without virtio header) into a side's TUN. */
void side_write(struct side *side, const uint8_t *packet, size_t length);

/** Reads a frame, virtio header first; 0 after `milliseconds` without one. */
size_t side_read(struct side *side, uint8_t *frame, int milliseconds);

/** Demands that this packet comes out of the TUN next. */
void side_expect(struct side *side, const uint8_t *packet, size_t length);

/** Waits for mail of a kind and copies it (with up to 1,500 bytes of payload, if wanted). */
bool side_mail(struct side *side, uint16_t kind, struct shoal_mail *mail, uint8_t *payload);

/** Takes all mail that is there now. @return how many of that kind were among it */
uint32_t side_count_mail(struct side *side, uint16_t kind);

/** Is there no mail of that kind now? Takes all other mail. */
bool side_no_mail(struct side *side, uint16_t kind);

/** Counters and facts as they are between two batches: what has left or come out is counted. */
uint64_t side_counter(struct side *side, const char *name);

/** The same without a standstill: may lag behind what was seen already. */
uint64_t side_counter_now(struct side *side, const char *name);

/** Waits until the counter has reached the value. */
void side_await(struct side *side, const char *name, uint64_t value);

struct shoal_peer_facts side_facts(struct side *side);

/** All counters whose names start with drop_. */
uint64_t side_drops(struct side *side);

/** A plain UDP socket on loopback. @return descriptor; *address is its own. */
int stranger_open(uint16_t family, struct shoal_address *address);
void stranger_send(int fd, const struct shoal_address *to, const void *bytes, size_t length);

/** Sends with UDP_SEGMENT. */
void stranger_send_train(int fd, const struct shoal_address *to, const void *bytes, size_t length,
                         uint16_t segment);

/** Receives one datagram; 0 after `milliseconds`. */
size_t stranger_receive(int fd, uint8_t *buffer, size_t capacity, int milliseconds);

/** Writes a data message whose key is 32 times `key`. @return its length. */
size_t forge(uint8_t *out, uint8_t key, uint32_t receiver_index, uint64_t counter,
             const uint8_t *plain, size_t length);

/** Opens one; returns the plaintext's length or -1. */
long unforge(uint8_t *out, uint8_t key, const uint8_t *message, size_t length);

#endif
