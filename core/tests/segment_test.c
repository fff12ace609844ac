// LDFLAGS: -Wl,--wrap=pthread_create
/* T19, first half: super-packets from the TUN are cut as the kernel cuts them, in place. */
#include "segment.h"

#include <stdlib.h>

#include "no_threads.h"
#include "offload_model.h"
#include "random.h"
#include "unit.h"

static uint8_t noise[70000];
static uint8_t frame[MODEL_FRAME_MAX + SEGMENT_SLACK];

static int fill_noise(void **state) {
    (void)state;
    struct random random = {99};
    random_fill(&random, noise, sizeof(noise));
    return 0;
}

static struct model_spec tcp_spec(bool ipv6, uint32_t payload) {
    return (struct model_spec){
        .source = {10, 0, 0, 1},
        .destination = {10, 0, 0, 2},
        .payload = noise,
        .payload_length = payload,
        .sequence = 0xfffffff0u,
        .acknowledgement = 77,
        .source_port = 1234,
        .destination_port = 80,
        .window = 500,
        .id = 0xfffe,
        .fragment = 0x4000,
        .protocol = 6,
        .tos = 2,
        .ttl = 64,
        .flags = MODEL_ACK,
        .options = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8},
        .options_length = 12,
        .ipv6 = ipv6,
    };
}

/* ---- Comparing with the model ---- */

struct expected {
    uint8_t *bytes; /* all packets, one behind the other */
    size_t used;
    uint32_t lengths[70000];
    uint32_t count;
};

static struct expected want;

static void expect(void *context, const uint8_t *packet, size_t length) {
    (void)context;
    memcpy(want.bytes + want.used, packet, length);
    want.used += length;
    want.lengths[want.count++] = (uint32_t)length;
}

/* Cuts the frame with both and compares every byte; packets are read before the next is cut. */
static void compare_with_model(const uint8_t *original, size_t length, uint32_t mtu) {
    want.used = 0;
    want.count = 0;
    assert_true(model_segment(original, length, expect, NULL) > 0);

    memmove(frame, original, length);
    struct segmenter segmenter;
    assert_int_equal(segment_begin(&segmenter, frame, length, mtu), SEGMENT_OK);
    assert_int_equal(segment_count(&segmenter), want.count);
    struct segment segment;
    size_t at = 0;
    for (uint32_t i = 0; i < want.count; i++) {
        assert_true(segment_next(&segmenter, &segment));
        assert_int_equal(segment.length, want.lengths[i]);
        assert_memory_equal(segment.data, want.bytes + at, segment.length);
        assert_true(segment.padded - segment.length < 16);
        assert_true(segment.padded % 16 == 0 || segment.padded == mtu || segment.length > mtu);
        for (uint32_t j = segment.length; j < segment.padded; j++)
            assert_int_equal(segment.data[j], 0);
        at += segment.length;
    }
    assert_false(segment_next(&segmenter, &segment));
    assert_false(segment_next(&segmenter, &segment));
}

static uint8_t scratch[MODEL_FRAME_MAX];

static void check(const struct model_spec *spec, uint16_t gso_size) {
    size_t length = model_build_super(spec, gso_size, scratch);
    compare_with_model(scratch, length, 1420);
}

static void tcp_is_cut_with_ids_sequences_and_checksums_counting_on(void **state) {
    (void)state;
    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        struct model_spec spec = tcp_spec(ipv6, 3000);
        check(&spec, 1000); /* IDs and sequence numbers wrap on the way */
        check(&spec, 1001); /* odd shares */
        check(&spec, 2999);
        check(&spec, 3000);
        check(&spec, 65535);
        check(&spec, 1); /* headers longer than the shares */
        spec.payload_length = 0;
        check(&spec, 1000);
        spec.payload_length = 65535 - 40 - 52;
        check(&spec, 1368);
    }
}

static uint8_t flags_of(uint8_t flags, uint32_t index) {
    struct model_spec spec = tcp_spec(false, 3000);
    spec.flags = flags;
    size_t length = model_build_super(&spec, 1000, frame);
    struct segmenter segmenter;
    struct segment segment = {0};
    assert_int_equal(segment_begin(&segmenter, frame, length, 1420), SEGMENT_OK);
    for (uint32_t i = 0; i <= index; i++)
        assert_true(segment_next(&segmenter, &segment));
    return segment.data[20 + 13];
}

static void fin_and_psh_are_on_the_last_only_and_cwr_on_the_first_only(void **state) {
    (void)state;
    const uint8_t all = MODEL_ACK | MODEL_FIN | MODEL_PSH | MODEL_CWR | MODEL_ECE;
    assert_int_equal(flags_of(all, 0), MODEL_ACK | MODEL_CWR | MODEL_ECE);
    assert_int_equal(flags_of(all, 1), MODEL_ACK | MODEL_ECE);
    assert_int_equal(flags_of(all, 2), MODEL_ACK | MODEL_ECE | MODEL_FIN | MODEL_PSH);
}

static void the_ecn_bit_of_gso_type_is_masked(void **state) {
    (void)state;
    struct model_spec spec = tcp_spec(true, 3000);
    spec.flags |= MODEL_CWR;
    size_t length = model_build_super(&spec, 1000, scratch);
    assert_int_equal(scratch[1], SEGMENT_GSO_TCPV6 | SEGMENT_GSO_ECN);
    compare_with_model(scratch, length, 1420);
}

static void udp_is_cut_and_a_checksum_of_zero_is_written_ffff(void **state) {
    (void)state;
    struct random random = {1};
    bool seen = false;
    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        struct model_spec spec = tcp_spec(ipv6, 5000);
        spec.protocol = 17;
        check(&spec, 1000);
        check(&spec, 1372);
        check(&spec, 7);
        /* Payloads of 2 bytes run through all 65,536 checksums of a segment. */
        static uint8_t payload[60000];
        spec.payload = payload;
        spec.payload_length = sizeof(payload);
        for (int round = 0; round < 3; round++) {
            random_fill(&random, payload, sizeof(payload));
            size_t length = model_build_super(&spec, 2, scratch);
            compare_with_model(scratch, length, 1420);
            for (size_t at = 0, i = 0; i < want.count; at += want.lengths[i++]) {
                const uint8_t *udp = want.bytes + at + (ipv6 ? 40 : 20);
                seen |= udp[6] == 0xff && udp[7] == 0xff;
                assert_true(udp[6] || udp[7]);
            }
        }
    }
    assert_true(seen);
}

static void an_ipv6_extension_header_stays_in_every_segment(void **state) {
    (void)state;
    struct model_spec spec = tcp_spec(true, 5000);
    spec.ip_extra_length = 24;
    spec.extension = 60;
    check(&spec, 1200);
    spec.protocol = 17;
    check(&spec, 1200);
}

static void ipv4_options_stay_in_every_segment(void **state) {
    (void)state;
    struct model_spec spec = tcp_spec(false, 5000);
    spec.ip_extra_length = 8;
    memset(spec.ip_extra, 1, 8);
    check(&spec, 1200);
}

static void a_partial_checksum_of_a_single_packet_is_completed(void **state) {
    (void)state;
    for (uint32_t payload = 0; payload < 1400; payload += 9) {
        struct model_spec spec = tcp_spec(payload % 2, payload);
        spec.protocol = payload % 3 ? 6 : 17;
        size_t length = model_build_super(&spec, 0, scratch);
        scratch[1] = SEGMENT_GSO_NONE;
        compare_with_model(scratch, length, 1420);
        assert_true(model_checksums_right(want.bytes, want.used));
    }
}

static void a_whole_packet_passes_untouched(void **state) {
    (void)state;
    struct model_spec spec = tcp_spec(false, 1380 - 32);
    memset(scratch, 0, MODEL_VNET);
    size_t length = model_build(&spec, scratch + MODEL_VNET) + MODEL_VNET;
    compare_with_model(scratch, length, 1420);
    memset(scratch + MODEL_VNET, 0x30, 1); /* not even IP: the caller's parser judges it */
    compare_with_model(scratch, MODEL_VNET + 1, 1420);
}

static void udp_without_a_checksum_stays_without(void **state) {
    (void)state;
    struct model_spec spec = tcp_spec(false, 100);
    spec.protocol = 17;
    spec.unsummed = true;
    size_t length = MODEL_VNET + model_build(&spec, frame + MODEL_VNET);
    memset(frame, 0, MODEL_VNET);
    const uint16_t gso_size = 50;
    frame[1] = SEGMENT_GSO_UDP_L4;
    memcpy(frame + 4, &gso_size, 2);
    struct segmenter segmenter;
    struct segment segment;
    assert_int_equal(segment_begin(&segmenter, frame, length, 1420), SEGMENT_OK);
    while (segment_next(&segmenter, &segment)) {
        assert_int_equal(segment.data[26], 0);
        assert_int_equal(segment.data[27], 0);
    }
}

static void random_super_packets_are_cut_as_the_model_cuts_them(void **state) {
    (void)state;
    struct random random = {2};
    const uint32_t rounds = ROUNDS(20000, 1000);
    for (uint32_t i = 0; i < rounds; i++) {
        struct model_spec spec = tcp_spec(random_below(&random, 2), 0);
        random_fill(&random, spec.source, 32);
        random_fill(&random, spec.options, 40);
        spec.protocol = random_below(&random, 2) ? 6 : 17;
        spec.options_length = (uint8_t)(random_below(&random, 11) * 4);
        uint32_t most = random_below(&random, 8) ? 4000 : 65535 - 100;
        spec.payload_length = random_below(&random, most);
        spec.payload = noise + random_below(&random, 4000);
        spec.id = (uint16_t)random_next(&random);
        spec.sequence = (uint32_t)random_next(&random);
        spec.flags = (uint8_t)random_next(&random);
        spec.tos = (uint8_t)random_next(&random);
        spec.flow_label = (uint32_t)random_next(&random);
        uint32_t gso_size = 1 + random_below(&random, random_below(&random, 8) ? 1460 : 65535);
        if (spec.payload_length / gso_size > 2000)
            gso_size = 100;
        size_t length = model_build_super(&spec, (uint16_t)gso_size, scratch);
        compare_with_model(scratch, length, 576 + random_below(&random, 1000));
    }
}

/* ---- Hostile frames ---- */

static enum segment_status begin(size_t length) {
    struct segmenter segmenter;
    memcpy(frame, scratch, length);
    return segment_begin(&segmenter, frame, length, 1420);
}

static void set16(size_t offset, uint16_t value) { memcpy(scratch + offset, &value, 2); }

static size_t good(void) {
    struct model_spec spec = tcp_spec(false, 3000);
    return model_build_super(&spec, 1000, scratch);
}

static void a_virtio_header_that_contradicts_the_packet_is_refused(void **state) {
    (void)state;
    size_t length = good();
    assert_int_equal(begin(length), SEGMENT_OK);
    assert_int_equal(begin(0), SEGMENT_SHORT);
    assert_int_equal(begin(9), SEGMENT_SHORT);
    assert_int_equal(begin(10), SEGMENT_SHORT);
    assert_int_equal(begin(length - 1), SEGMENT_BAD_PACKET); /* states more than is there */
    assert_int_equal(begin(length + 1), SEGMENT_BAD_PACKET); /* and less */
    set16(4, 0);                                             /* gso_size */
    assert_int_equal(begin(length), SEGMENT_BAD_GSO);
    for (unsigned type = 0; type < 128; type++) {
        good();
        scratch[1] = (uint8_t)type;
        enum segment_status status = begin(length);
        if (type == SEGMENT_GSO_NONE || type == SEGMENT_GSO_TCPV4)
            assert_int_equal(status, SEGMENT_OK);
        else if (type == SEGMENT_GSO_UDP_L4) /* of a TCP packet */
            assert_int_equal(status, SEGMENT_BAD_TRANSPORT);
        else
            assert_int_equal(status, SEGMENT_BAD_GSO); /* UFO (3) among them */
    }
    for (unsigned start = 0; start < 65536; start++) {
        good();
        set16(6, (uint16_t)start);
        assert_int_equal(begin(length), start == 20 ? SEGMENT_OK : SEGMENT_BAD_TRANSPORT);
    }
    good();
    set16(8, 6);
    assert_int_equal(begin(length), SEGMENT_BAD_CHECKSUM);
    good();
    scratch[10 + 20 + 12] = 0x40; /* TCP header of 16 bytes */
    assert_int_equal(begin(length), SEGMENT_BAD_TRANSPORT);
    good();
    scratch[10 + 9] = 17;
    assert_int_equal(begin(length), SEGMENT_BAD_TRANSPORT);
    good();
    scratch[10 + 6] = 0x20; /* a fragment cannot be a super-packet */
    assert_int_equal(begin(length), SEGMENT_BAD_PACKET);
    good();
    scratch[1] = SEGMENT_GSO_NONE;
    set16(6, 65535);
    assert_int_equal(begin(length), SEGMENT_BAD_CHECKSUM);
}

/* Memory of exactly the promised size, so that a sanitizer sees every byte beyond. */
static void no_frame_whatsoever_reads_or_writes_beyond_its_buffer(void **state) {
    (void)state;
    struct random random = {3};
    const uint32_t rounds = ROUNDS(200000, 30000);
    uint32_t taken = 0;
    for (uint32_t i = 0; i < rounds; i++) {
        struct model_spec spec = tcp_spec(random_below(&random, 2), random_below(&random, 200));
        spec.protocol = random_below(&random, 2) ? 6 : 17;
        if (random_below(&random, 4) == 0) {
            spec.ip_extra_length = 8;
            spec.extension = 60;
            memset(spec.ip_extra, 1, 8);
        }
        size_t length =
            model_build_super(&spec, (uint16_t)(1 + random_below(&random, 100)), scratch);
        if (random_below(&random, 4) == 0)
            length = random_below(&random, (uint32_t)length + 1);
        for (uint32_t flips = random_below(&random, 4); flips > 0; flips--)
            scratch[random_below(&random, 90)] = (uint8_t)random_next(&random);
        uint8_t *exact = malloc(length + SEGMENT_SLACK);
        assert_non_null(exact);
        memcpy(exact, scratch, length);
        struct segmenter segmenter;
        struct segment segment;
        if (segment_begin(&segmenter, exact, length, 1420) == SEGMENT_OK) {
            uint32_t count = 0;
            while (segment_next(&segmenter, &segment)) {
                assert_true(segment.data >= exact + SEGMENT_VNET_SIZE);
                assert_true(segment.data + segment.padded <= exact + length + SEGMENT_SLACK);
                count++;
            }
            assert_int_equal(count, segment_count(&segmenter));
            taken++;
        }
        free(exact);
    }
    assert_true(taken > rounds / 10 && taken < rounds);
}

int main(void) {
    want.bytes = malloc(70000u * 120u + 70000u);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp_is_cut_with_ids_sequences_and_checksums_counting_on),
        cmocka_unit_test(fin_and_psh_are_on_the_last_only_and_cwr_on_the_first_only),
        cmocka_unit_test(the_ecn_bit_of_gso_type_is_masked),
        cmocka_unit_test(udp_is_cut_and_a_checksum_of_zero_is_written_ffff),
        cmocka_unit_test(an_ipv6_extension_header_stays_in_every_segment),
        cmocka_unit_test(ipv4_options_stay_in_every_segment),
        cmocka_unit_test(a_partial_checksum_of_a_single_packet_is_completed),
        cmocka_unit_test(a_whole_packet_passes_untouched),
        cmocka_unit_test(udp_without_a_checksum_stays_without),
        cmocka_unit_test(random_super_packets_are_cut_as_the_model_cuts_them),
        cmocka_unit_test(a_virtio_header_that_contradicts_the_packet_is_refused),
        cmocka_unit_test(no_frame_whatsoever_reads_or_writes_beyond_its_buffer),
    };
    int failed = cmocka_run_group_tests(tests, fill_noise, NULL);
    free(want.bytes);
    return failed;
}
