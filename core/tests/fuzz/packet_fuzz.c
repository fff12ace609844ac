/* T16: inner packets. Input: the outer TOS byte, then the packet. */
#include "fuzz.h"

#include "checksum.h"
#include "icmp.h"
#include "packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    uint8_t outer = data[0], *bytes = exact_copy(data + 1, size - 1, 0);
    size_t length = size - 1;
    struct packet packet;
    if (packet_parse(&packet, bytes, length) == PACKET_OK) {
        uint32_t address = packet.version == 4 ? 4 : 16;
        REQUIRE(packet.version == 4 || packet.version == 6);
        REQUIRE(packet.length <= length && packet.header_length <= packet.length);
        REQUIRE(packet.source >= bytes && packet.destination == packet.source + address);
        REQUIRE(packet.destination + address <= bytes + packet.header_length);
        bool right = packet.version == 6 || checksum_ipv4_valid(bytes, packet.header_length);
        packet_ecn_decapsulate(bytes, outer);
        if (right && packet.version == 4)
            REQUIRE(checksum_ipv4_valid(bytes, packet.header_length));
        struct packet again;
        REQUIRE(packet_parse(&again, bytes, length) == PACKET_OK);
        REQUIRE(again.length == packet.length && (again.tos | 3) == (packet.tos | 3));
        uint8_t answer[ICMP_MAX];
        struct icmp_error error = {.kind = outer % 3, .mtu = 1280};
        size_t answered = icmp_answer(answer, &again, bytes, &error);
        if (answered) {
            REQUIRE(packet_parse(&packet, answer, answered) == PACKET_OK);
            REQUIRE(packet.length == answered && packet.version == again.version);
            REQUIRE(icmp_answer(answer, &packet, answer, &error) == 0);
        }
    }
    free(bytes);
    return 0;
}
