/* T16: frames from the TUN. Input: the MTU in two bytes, then virtio_net_hdr and packet. */
#include "fuzz.h"

#include "checksum.h"
#include "packet.h"
#include "segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was cut from a super-packet has right checksums, whatever the super-packet had. */
static void segment_check(const struct segmenter *segmenter, const struct segment *segment) {
    struct packet packet;
    REQUIRE(packet_parse(&packet, segment->data, segment->length) == PACKET_OK);
    REQUIRE(packet.length == segment->length);
    if (packet.version == 4)
        REQUIRE(checksum_ipv4_valid(segment->data, packet.header_length));
    if (segmenter->l4 != packet.header_length || segmenter->unsummed)
        return;
    uint32_t length = segment->length - segmenter->l4;
    uint64_t pseudo = packet.version == 4
                          ? checksum_pseudo4(packet.source, packet.destination, packet.protocol)
                          : checksum_pseudo6(packet.source, packet.destination, packet.protocol);
    REQUIRE(
        checksum_valid(segment->data + segmenter->l4, length, pseudo + checksum_length(length)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    uint32_t mtu = (uint32_t)data[0] << 8 | data[1];
    size_t length = size - 2;
    uint8_t *frame = exact_copy(data + 2, length, SEGMENT_SLACK);
    struct segmenter segmenter;
    struct segment segment;
    if (segment_begin(&segmenter, frame, length, mtu) == SEGMENT_OK) {
        uint32_t count = 0, payload = 0;
        uint32_t headers = segmenter.kind == SEGMENT_GSO_NONE ? 0 : segmenter.headers;
        const uint8_t *original = data + 2 + SEGMENT_VNET_SIZE + headers;
        while (segment_next(&segmenter, &segment)) {
            REQUIRE(segment.data >= frame + SEGMENT_VNET_SIZE);
            REQUIRE(segment.data + segment.padded <= frame + length + SEGMENT_SLACK);
            REQUIRE(segment.padded >= segment.length && segment.padded - segment.length < 16);
            for (uint32_t i = segment.length; i < segment.padded; i++)
                REQUIRE(segment.data[i] == 0);
            uint32_t share = segment.length - headers;
            if (headers) {
                segment_check(&segmenter, &segment);
                REQUIRE(memcmp(segment.data + headers, original + payload, share) == 0);
            }
            payload += share;
            count++;
        }
        REQUIRE(count == segment_count(&segmenter) && count > 0);
        REQUIRE(payload + headers == length - SEGMENT_VNET_SIZE); /* nothing lost, nothing twice */
    }
    free(frame);
    return 0;
}
