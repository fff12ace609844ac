/*
 * T16, T19: joining whatever arrived and cutting it again must give what arrived.
 * Input: packets, each behind its length in two bytes (high byte first).
 */
#include "fuzz.h"

#include "coalesce.h"
#include "segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct coalesce coalesce_fuzzed;

static struct coalesce_frame coalesce_frame;

/* IDs of IPv4 packets with DF may be counted up where they stood still: they mean nothing. */
static bool coalesce_same(const uint8_t *a, const uint8_t *b, size_t length) {
    if (memcmp(a, b, length) == 0)
        return true;
    if (a[0] >> 4 != 4 || length < 20 || !(a[6] & 0x40))
        return false;
    return memcmp(a, b, 4) == 0 && memcmp(a + 6, b + 6, 4) == 0 &&
           memcmp(a + 12, b + 12, length - 12) == 0;
}

/* TCP has two ways to write a checksum of zero (RFC 1624); the kernel's segmentation writes one. */
static void coalesce_one_zero(uint8_t *packet, size_t length, size_t checksum) {
    if (length >= checksum + 2 && packet[checksum] == 0xff && packet[checksum + 1] == 0xff)
        packet[checksum] = packet[checksum + 1] = 0;
}

static size_t coalesce_linear(uint8_t *out) {
    size_t used = 0;
    for (uint32_t i = 0; i < coalesce_frame.iov_count; i++) {
        memcpy(out + used, coalesce_frame.iov[i].iov_base, coalesce_frame.iov[i].iov_len);
        used += coalesce_frame.iov[i].iov_len;
    }
    return used;
}

static void coalesce_compare(uint8_t *packet, size_t length, uint32_t i, size_t l4, bool tcp) {
    static uint8_t original[65536];
    struct iovec iov[2];
    coalesce_original(&coalesce_frame, i, iov);
    REQUIRE(iov[1].iov_len == length);
    memcpy(original, iov[1].iov_base, length);
    if (l4) {
        coalesce_one_zero(packet, length, l4 + (tcp ? 16 : 6));
        coalesce_one_zero(original, length, l4 + (tcp ? 16 : 6));
        if (original[0] >> 4 == 4) {
            coalesce_one_zero(packet, length, 10);
            coalesce_one_zero(original, length, 10);
        }
    }
    REQUIRE(coalesce_same(original, packet, length));
}

static uint32_t coalesce_take_apart(void) {
    static uint8_t linear[70000 + SEGMENT_SLACK];
    size_t length = coalesce_linear(linear);
    REQUIRE(length == coalesce_frame.length);
    if (coalesce_frame.packets == 1) {
        coalesce_compare(linear + SEGMENT_VNET_SIZE, length - SEGMENT_VNET_SIZE, 0, 0, false);
        return 1;
    }
    struct segmenter segmenter;
    struct segment segment;
    REQUIRE(segment_begin(&segmenter, linear, length, 0) == SEGMENT_OK);
    REQUIRE(segment_count(&segmenter) == coalesce_frame.packets);
    for (uint32_t i = 0; segment_next(&segmenter, &segment); i++) {
        static uint8_t copy[65536];
        memcpy(copy, segment.data, segment.length);
        coalesce_compare(copy, segment.length, i, segmenter.l4,
                         segmenter.kind != SEGMENT_GSO_UDP_L4);
    }
    return coalesce_frame.packets;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *packets[COALESCE_PACKETS];
    uint32_t added = 0, out = 0;
    coalesce_init(&coalesce_fuzzed, true, true);
    while (size >= 2 && added < COALESCE_PACKETS) {
        size_t length = (size_t)data[0] << 8 | data[1];
        data += 2;
        size -= 2;
        length = length < size ? length : size;
        packets[added] = exact_copy(data, length, 0);
        REQUIRE(coalesce_add(&coalesce_fuzzed, packets[added], length));
        added++;
        data += length;
        size -= length;
    }
    while (coalesce_next(&coalesce_fuzzed, &coalesce_frame))
        out += coalesce_take_apart();
    REQUIRE(out == added);
    for (uint32_t i = 0; i < added; i++)
        free(packets[i]);
    return 0;
}
