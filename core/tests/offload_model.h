/*
 * The independent half of T19: packets written field by field, and a segmentation as plain as the
 * kernel's is clever. Nothing here is shared with the code under test, sums go byte by byte.
 */
#ifndef SHOAL_TESTS_OFFLOAD_MODEL_H
#define SHOAL_TESTS_OFFLOAD_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_VNET 10u
#define MODEL_FRAME_MAX 65600u

enum model_flags {
    MODEL_FIN = 0x01,
    MODEL_SYN = 0x02,
    MODEL_RST = 0x04,
    MODEL_PSH = 0x08,
    MODEL_ACK = 0x10,
    MODEL_URG = 0x20,
    MODEL_ECE = 0x40,
    MODEL_CWR = 0x80,
};

/** Everything that a packet says; model_build writes it down with right lengths and checksums. */
struct model_spec {
    uint8_t source[16];
    uint8_t destination[16];
    uint8_t options[40];  /* TCP */
    uint8_t ip_extra[24]; /* IPv4 options, or one IPv6 extension header: multiples of 4 or 8 */
    const uint8_t *payload;
    uint32_t payload_length;
    uint32_t sequence;
    uint32_t acknowledgement;
    uint32_t flow_label;
    uint16_t source_port;
    uint16_t destination_port;
    uint16_t window;
    uint16_t urgent;
    uint16_t id;
    uint16_t fragment; /* IPv4: flags and offset */
    uint8_t protocol;  /* 6 TCP, 17 UDP, else the payload follows the IP header */
    uint8_t tos;
    uint8_t ttl;
    uint8_t flags;
    uint8_t options_length;
    uint8_t ip_extra_length;
    uint8_t extension; /* IPv6: next header value of ip_extra */
    bool ipv6;
    bool unsummed; /* UDP without checksum */
};

/** Writes the packet. @return its length. */
size_t model_build(const struct model_spec *spec, uint8_t *out);

/** Where the TCP or UDP header of a built packet starts. */
size_t model_transport(const struct model_spec *spec);

/** Writes a virtio_net_hdr and the packet as a kernel hands a super-packet out: partial checksum.
 */
size_t model_build_super(const struct model_spec *spec, uint16_t gso_size, uint8_t *out);

typedef void model_emit(void *context, const uint8_t *packet, size_t length);

/**
 * Cuts a frame as the kernel does. @return packets emitted; 0 when the virtio header makes no
 * sense.
 */
size_t model_segment(const uint8_t *frame, size_t length, model_emit *emit, void *context);

/** RFC 1071, byte by byte, big-endian, folded; not inverted. */
uint16_t model_sum(const uint8_t *data, size_t length, uint32_t sum);

/** Are all checksums of this (whole, unfragmented, extension-free) packet right? */
bool model_checksums_right(const uint8_t *packet, size_t length);

#endif
