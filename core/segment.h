/*
 * From a TUN super-packet to the packets that travel.
 *
 * The kernel hands over one struct virtio_net_hdr (10 bytes) and up to 64 KiB of one packet. A TCP
 * or UDP super-packet is cut here without copying payload: each segment's headers are stamped in
 * place, straight in front of its share of the payload in the read buffer. That overwrites the tail
 * of the segment before, which the caller has sealed (out of place) by then:
 *
 *      buffer: [vnet][IP TCP][payload 1][payload 2][payload 3]
 *      first:        [IP TCP  payload 1]
 *      second:                  [IP TCP  payload 2]
 *      third:                              [IP TCP  payload 3][zeros]
 *
 * So a segment is valid only until the next call of segment_next. Padding (R18) is zeros written
 * behind the segment; payload that lay there is put back by the next call.
 *
 * Nothing of the virtio header is believed before it is checked; hdr_len is ignored, since for
 * forwarded packets it is the length of the whole first packet.
 */
#ifndef SHOAL_SEGMENT_H
#define SHOAL_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEGMENT_VNET_SIZE 10u /* sizeof(struct virtio_net_hdr) */
#define SEGMENT_SLACK 16u     /* bytes that the buffer must have behind the frame, for padding */
#define SEGMENT_HEADERS_MAX 192u

/* gso_type and flags of linux/virtio_net.h; UDP_L4 is younger than some system headers. */
#define SEGMENT_GSO_NONE 0u
#define SEGMENT_GSO_TCPV4 1u
#define SEGMENT_GSO_TCPV6 4u
#define SEGMENT_GSO_UDP_L4 5u
#define SEGMENT_GSO_ECN 0x80u
#define SEGMENT_NEEDS_CSUM 1u

enum segment_status {
    SEGMENT_OK = 0,
    SEGMENT_SHORT,      /* no whole virtio header, or not one byte of packet */
    SEGMENT_BAD_GSO,    /* gso_type unknown (UFO too), not of this IP version, or gso_size 0 */
    SEGMENT_BAD_PACKET, /* the IP header does not parse, is a fragment, or states another length */
    SEGMENT_BAD_TRANSPORT, /* csum_start, the TCP or UDP header or its length contradict the packet
                            */
    SEGMENT_BAD_CHECKSUM,  /* csum_start + csum_offset lies outside of the packet */
};

/** One super-packet being cut. Owner: the worker that read it. */
struct segmenter {
    uint8_t *payload; /* of the next segment */
    uint8_t *patched; /* where padding replaced the saved bytes */
    uint64_t pseudo;  /* checksum sum of the pseudo-header without its length */
    uint64_t ip_sum;  /* sum of the IPv4 header without total length, ID and checksum */
    uint64_t l4_sum; /* sum of the TCP or UDP header without what changes from segment to segment */
    uint32_t remaining;    /* payload bytes not yet handed out */
    uint32_t sequence;     /* TCP: of the next segment */
    uint32_t count;        /* segments in all */
    uint32_t index;        /* of the next segment */
    uint32_t mtu;          /* bound of the padding */
    uint16_t gso_size;     /* payload bytes of a whole segment */
    uint16_t id;           /* IPv4: of the next segment */
    uint16_t l4;           /* offset of the TCP or UDP header */
    uint16_t headers;      /* bytes of all headers */
    uint16_t saved_length; /* 0: nothing was replaced */
    uint8_t kind;          /* one of SEGMENT_GSO_* without ECN */
    bool ipv4;
    bool unsummed; /* UDP over IPv4 that carries no checksum */
    uint8_t flags; /* TCP flags byte of the super-packet */
    uint8_t saved[SEGMENT_SLACK];
    uint8_t template[SEGMENT_HEADERS_MAX];
};

/** Plaintext of one inner packet: `length` bytes, and zeros up to `padded`. */
struct segment {
    uint8_t *data;
    uint32_t length;
    uint32_t padded; /* what is sealed (R18) */
};

/**
 * Checks a frame as read from a TUN with IFF_VNET_HDR and prepares to cut it. A frame that is one
 * packet gets its partial checksum completed and comes out as one segment.
 * @param frame  starts with the virtio header; SEGMENT_SLACK writable bytes lie behind `length`.
 * @param mtu    bound of the padding (R18), not of the segments.
 */
enum segment_status segment_begin(struct segmenter *segmenter, uint8_t *frame, size_t length,
                                  uint32_t mtu);

/** How many segments will come: one counter reservation for the whole frame. */
static inline uint32_t segment_count(const struct segmenter *segmenter) { return segmenter->count; }

/** No segment of the frame is longer, padding left out. */
static inline uint32_t segment_longest(const struct segmenter *segmenter, uint32_t frame_length) {
    return segmenter->kind == SEGMENT_GSO_NONE ? frame_length
                                               : (uint32_t)segmenter->headers + segmenter->gso_size;
}

/** The next segment; false after the last. */
bool segment_next(struct segmenter *segmenter, struct segment *segment);

#endif
