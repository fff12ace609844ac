#include "offload_model.h"

#include <string.h>

static uint32_t get16(const uint8_t *at) { return (uint32_t)at[0] * 256u + at[1]; }

static uint32_t get32(const uint8_t *at) { return get16(at) * 65536u + get16(at + 2); }

static void put16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value / 256u % 256u);
    at[1] = (uint8_t)(value % 256u);
}

static void put32(uint8_t *at, uint32_t value) {
    put16(at, value / 65536u);
    put16(at + 2, value % 65536u);
}

uint16_t model_sum(const uint8_t *data, size_t length, uint32_t sum) {
    for (size_t i = 0; i < length; i++) {
        sum += i % 2 ? data[i] : data[i] * 256u;
        sum = sum % 65536u + sum / 65536u;
    }
    return (uint16_t)sum;
}

static uint16_t pseudo(const uint8_t *ip, uint8_t protocol, size_t length) {
    uint16_t sum = ip[0] / 16 == 4 ? model_sum(ip + 12, 8, 0) : model_sum(ip + 8, 32, 0);
    uint8_t rest[6] = {0, protocol};
    put32(rest + 2, (uint32_t)length);
    return model_sum(rest, 6, sum);
}

size_t model_transport(const struct model_spec *spec) {
    return (spec->ipv6 ? 40u : 20u) + spec->ip_extra_length;
}

static size_t build_ip(const struct model_spec *spec, uint8_t *out, size_t l4_length) {
    size_t header = model_transport(spec);
    memset(out, 0, header);
    if (spec->ipv6) {
        put32(out, 0x60000000u + spec->tos * 0x100000u + spec->flow_label % 0x100000u);
        put16(out + 4, (uint32_t)(l4_length + spec->ip_extra_length));
        out[6] = spec->protocol;
        out[7] = spec->ttl;
        memcpy(out + 8, spec->source, 16);
        memcpy(out + 24, spec->destination, 16);
        memcpy(out + 40, spec->ip_extra, spec->ip_extra_length);
        if (spec->ip_extra_length) {
            out[6] = spec->extension;
            out[40] = spec->protocol;
            out[41] = (uint8_t)(spec->ip_extra_length / 8 - 1);
        }
        return header;
    }
    out[0] = (uint8_t)(0x40u + header / 4);
    out[1] = spec->tos;
    put16(out + 2, (uint32_t)(header + l4_length));
    put16(out + 4, spec->id);
    put16(out + 6, spec->fragment);
    out[8] = spec->ttl;
    out[9] = spec->protocol;
    memcpy(out + 12, spec->source, 4);
    memcpy(out + 16, spec->destination, 4);
    memcpy(out + 20, spec->ip_extra, spec->ip_extra_length);
    put16(out + 10, 0xffffu - model_sum(out, header, 0));
    return header;
}

static size_t l4_header_length(const struct model_spec *spec) {
    if (spec->protocol == 6)
        return 20u + spec->options_length;
    return spec->protocol == 17 ? 8 : 0;
}

static void build_l4(const struct model_spec *spec, uint8_t *l4, size_t l4_length) {
    memset(l4, 0, l4_header_length(spec));
    if (spec->protocol == 6 || spec->protocol == 17) {
        put16(l4, spec->source_port);
        put16(l4 + 2, spec->destination_port);
    }
    if (spec->protocol == 6) {
        put32(l4 + 4, spec->sequence);
        put32(l4 + 8, spec->acknowledgement);
        l4[12] = (uint8_t)((20u + spec->options_length) / 4 * 16);
        l4[13] = spec->flags;
        put16(l4 + 14, spec->window);
        put16(l4 + 18, spec->urgent);
        memcpy(l4 + 20, spec->options, spec->options_length);
    } else if (spec->protocol == 17) {
        put16(l4 + 4, (uint32_t)l4_length);
    }
}

/** Fills in the TCP or UDP checksum of a packet whose other bytes stand. */
static void finish(uint8_t *ip, uint8_t *l4, size_t l4_length, uint8_t protocol) {
    uint8_t *field = l4 + (protocol == 6 ? 16 : 6);
    put16(field, 0);
    uint16_t sum = model_sum(l4, l4_length, pseudo(ip, protocol, l4_length));
    uint16_t checksum = (uint16_t)(0xffffu - sum);
    put16(field, protocol == 17 && checksum == 0 ? 0xffffu : checksum);
}

size_t model_build(const struct model_spec *spec, uint8_t *out) {
    size_t header = l4_header_length(spec), l4_length = header + spec->payload_length;
    size_t ip = build_ip(spec, out, l4_length);
    build_l4(spec, out + ip, l4_length);
    if (spec->payload_length)
        memcpy(out + ip + header, spec->payload, spec->payload_length);
    if (header && !(spec->protocol == 17 && spec->unsummed))
        finish(out, out + ip, l4_length, spec->protocol);
    return ip + l4_length;
}

size_t model_build_super(const struct model_spec *spec, uint16_t gso_size, uint8_t *out) {
    uint8_t *ip = out + MODEL_VNET;
    size_t length = model_build(spec, ip), l4 = model_transport(spec);
    uint16_t offset = spec->protocol == 6 ? 16 : 6;
    put16(ip + l4 + offset, pseudo(ip, spec->protocol, length - l4));
    uint16_t words[4] = {(uint16_t)(l4 + l4_header_length(spec)), gso_size, (uint16_t)l4, offset};
    out[0] = 1; /* NEEDS_CSUM */
    out[1] = spec->protocol == 17 ? 5 : spec->ipv6 ? 4 : 1;
    if (spec->protocol == 6 && spec->flags & MODEL_CWR)
        out[1] |= 0x80;
    memcpy(out + 2, words, 8);
    return MODEL_VNET + length;
}

static size_t segment_super(const uint8_t *frame, size_t length, const uint16_t words[4],
                            model_emit *emit, void *context) {
    static uint8_t out[MODEL_FRAME_MAX];
    const uint8_t *ip = frame + MODEL_VNET;
    size_t total = length - MODEL_VNET, l4 = words[2], gso_size = words[1], n = 0, done = 0;
    uint8_t protocol = frame[1] % 128 == 5 ? 17 : 6;
    size_t headers = l4 + (protocol == 17 ? 8u : ip[l4 + 12] / 16u * 4u);
    size_t payload = total - headers;
    do {
        size_t share = payload - done < gso_size ? payload - done : gso_size;
        memcpy(out, ip, headers);
        memcpy(out + headers, ip + headers + done, share);
        if (out[0] / 16 == 4) {
            put16(out + 2, (uint32_t)(headers + share));
            put16(out + 4, get16(ip + 4) + (uint32_t)n);
            put16(out + 10, 0);
            put16(out + 10, 0xffffu - model_sum(out, out[0] % 16u * 4u, 0));
        } else {
            put16(out + 4, (uint32_t)(headers + share - 40));
        }
        if (protocol == 6) {
            put32(out + l4 + 4, get32(ip + l4 + 4) + (uint32_t)done);
            if (done + share != payload)
                out[l4 + 13] &= (uint8_t) ~(MODEL_FIN | MODEL_PSH);
            if (done != 0)
                out[l4 + 13] &= (uint8_t)~MODEL_CWR;
        } else {
            put16(out + l4 + 4, (uint32_t)(8 + share));
        }
        finish(out, out + l4, headers + share - l4, protocol);
        emit(context, out, headers + share);
        done += share;
        n++;
    } while (done < payload);
    return n;
}

size_t model_segment(const uint8_t *frame, size_t length, model_emit *emit, void *context) {
    static uint8_t out[MODEL_FRAME_MAX];
    uint16_t words[4];
    if (length <= MODEL_VNET)
        return 0;
    memcpy(words, frame + 2, 8);
    size_t total = length - MODEL_VNET, start = words[2], offset = words[3];
    if (frame[1] == 0) {
        memcpy(out, frame + MODEL_VNET, total);
        if (frame[0] == 1) {
            if (start + offset + 2 > total)
                return 0;
            uint16_t checksum = (uint16_t)(0xffffu - model_sum(out + start, total - start, 0));
            put16(out + start + offset, checksum ? checksum : 0xffffu);
        }
        emit(context, out, total);
        return 1;
    }
    uint8_t type = frame[1] % 128;
    const uint8_t *ip = frame + MODEL_VNET;
    if (frame[0] != 1 || words[1] == 0 || (type != 1 && type != 4 && type != 5) ||
        offset != (type == 5 ? 6 : 16) || start + 20 > total + (type == 5 ? 12 : 0))
        return 0;
    if (type != 5 && (type == 1) != (ip[0] / 16 == 4))
        return 0;
    /* What the kernel demands of the partial checksum: the sum of the pseudo-header. */
    if (get16(ip + start + offset) != pseudo(ip, type == 5 ? 17 : 6, total - start))
        return 0;
    return segment_super(frame, length, words, emit, context);
}

bool model_checksums_right(const uint8_t *packet, size_t length) {
    bool ipv4 = packet[0] / 16 == 4;
    size_t header = ipv4 ? packet[0] % 16u * 4u : 40u;
    uint8_t protocol = ipv4 ? packet[9] : packet[6];
    if (ipv4 && model_sum(packet, header, 0) != 0xffff)
        return false;
    if (protocol != 6 && protocol != 17)
        return true;
    return model_sum(packet + header, length - header, pseudo(packet, protocol, length - header)) ==
           0xffff;
}
