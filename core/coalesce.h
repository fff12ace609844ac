/*
 * From the packets of one receive drain to super-packets for the TUN.
 *
 * Packets stay where they were decrypted; this keeps pointers. TCP segments and UDP datagrams of
 * one flow that follow each other as the kernel's GRO wants (same headers but for length, checksum,
 * ID, sequence; equal size, shorter last; PSH, FIN last; at most 64 packets and 65,535 bytes)
 * become one frame with a virtio_net_hdr that lets the kernel treat, forward or cut them as one.
 * Everything else is a frame of its own, untouched.
 *
 * Order: frames come out in the order in which they were opened. A packet that may not join closes
 * its flow's frame and opens a new one behind it, so packets of one flow never overtake each other;
 * an IP fragment, whose flow is unknown, closes all. Different flows may be reordered.
 *
 * Checksums: two packets join only when the checksums of both are right. A packet that stays alone
 * is not summed at all: the kernel does it. A wrong one therefore arrives as it was sent.
 */
#ifndef SHOAL_COALESCE_H
#define SHOAL_COALESCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define COALESCE_PACKETS 256u /* in one drain; coalesce_add refuses more until it is emptied */
#define COALESCE_SEGMENTS 64u /* in one frame (UDP_MAX_SEGMENTS of kernels before 6.9) */
#define COALESCE_FLOWS 16u    /* open at once; the one opened first closes to let another in */

/** One frame for writev(2) on the TUN. iov[0] points into the frame itself: it cannot be copied. */
struct coalesce_frame {
    struct iovec iov[1 + COALESCE_SEGMENTS]; /* [0]: virtio_net_hdr and rebuilt headers */
    uint32_t iov_count;
    uint32_t packets;  /* inner packets in it */
    uint32_t length;   /* bytes of all iovecs */
    uint32_t stripped; /* header bytes in front of each iov[1..] in its original packet; or 0 */
    uint8_t header[10 + 120];
};

struct coalesce_stats {
    uint64_t frames;       /* handed out */
    uint64_t packets;      /* taken in */
    uint64_t merged;       /* packets that joined another */
    uint64_t bad_checksum; /* packets that would have joined but for their checksum */
    uint64_t evicted;      /* frames closed because COALESCE_FLOWS were open */
};

struct coalesce_packet {
    const uint8_t *data;
    uint32_t length;
    uint32_t next; /* packet of the same frame */
};

struct coalesce_entry {
    uint64_t pseudo;   /* checksum of the pseudo-header without its length */
    uint32_t sequence; /* TCP: expected of the next packet */
    uint32_t total;    /* bytes of the frame's packet: headers and all payload */
    uint16_t first;    /* packet */
    uint16_t last;     /* packet */
    uint16_t count;    /* packets */
    uint16_t size;     /* payload bytes of the first packet: gso_size */
    uint16_t id;       /* IPv4: of the last packet */
    uint8_t l4;        /* offset of the TCP or UDP header */
    uint8_t headers;   /* bytes of all headers */
    uint8_t kind;      /* gso_type, 0 for what never joins */
    uint8_t flags;     /* TCP: FIN and PSH gathered */
    bool fixed_id;     /* the IDs stand still (DF set) */
};

/** Owner: one worker. Some 12 KiB; zero it, or coalesce_init it. */
struct coalesce {
    bool tcp; /* join TCP (tun-tso is on) */
    bool udp; /* join UDP (tun-uso is on) */
    uint16_t packet_count;
    uint16_t entry_count;
    uint16_t next_entry; /* first not handed out */
    uint16_t open_count;
    uint16_t open[COALESCE_FLOWS];      /* entries, oldest first */
    uint32_t open_hash[COALESCE_FLOWS]; /* their flows */
    struct coalesce_stats stats;
    struct coalesce_packet packets[COALESCE_PACKETS];
    struct coalesce_entry entries[COALESCE_PACKETS];
};

void coalesce_init(struct coalesce *coalesce, bool tcp, bool udp);

/**
 * Takes one inner packet: `length` is its own (packet_parse), without padding, at most 65,535. The
 * bytes are borrowed, unchanged, until its frame has been written.
 * @return false when COALESCE_PACKETS are waiting, or frames are being handed out: empty it with
 *         coalesce_next first.
 */
bool coalesce_add(struct coalesce *coalesce, const uint8_t *packet, size_t length);

/** The next frame; false when all were handed out, and the coalescer is empty again. */
bool coalesce_next(struct coalesce *coalesce, struct coalesce_frame *frame);

/**
 * One original packet of a frame, untouched, behind an empty virtio_net_hdr: what to write when the
 * kernel refuses the frame (T26).
 * @param i  0 .. frame->packets-1, in order.
 */
void coalesce_original(const struct coalesce_frame *frame, uint32_t i, struct iovec iov[2]);

#endif
