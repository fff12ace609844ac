/* T19, second half: what is joined for the TUN comes apart again as it was. Case by case. */
#include "coalesce_batch.h"

#include <string.h>

#include "segment.h"
#include "unit.h"

/* ---- What joins ---- */

static void a_train_of_one_flow_is_one_frame(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        batch_begin();
        struct model_spec spec = batch_spec(i & 1, i & 2 ? 6 : 17, 1300);
        for (int n = 0; n < 40; n++, batch_advance(&spec))
            batch_put(&spec, 0);
        spec.payload_length = 7; /* a shorter last one joins and ends */
        batch_put(&spec, 0);
        batch_advance(&spec);
        spec.payload_length = 1300;
        batch_put(&spec, 0);
        batch_add();
        assert_int_equal(batch_drain(), 2);
        assert_int_equal(batch_coalesce.stats.merged, 40);
        assert_int_equal(batch_coalesce.stats.packets, 42);
        assert_int_equal(batch_coalesce.stats.frames, 2);
    }
}

static void psh_and_fin_join_and_end_a_frame(void **state) {
    (void)state;
    for (int fin = 0; fin < 2; fin++) {
        batch_begin();
        struct model_spec spec = batch_spec(false, 6, 500);
        for (int n = 0; n < 3; n++, batch_advance(&spec))
            batch_put(&spec, 0);
        spec.flags = fin ? MODEL_ACK | MODEL_FIN : MODEL_ACK | MODEL_PSH;
        batch_put(&spec, 0);
        batch_advance(&spec);
        spec.flags = MODEL_ACK;
        for (int n = 0; n < 3; n++, batch_advance(&spec))
            batch_put(&spec, 0);
        batch_add();
        assert_int_equal(batch_drain(), 2);
    }
}

static void cwr_leads_a_frame_and_ends_the_one_before(void **state) {
    (void)state;
    batch_begin();
    struct model_spec spec = batch_spec(false, 6, 500);
    for (int n = 0; n < 6; n++, batch_advance(&spec)) {
        spec.flags = n == 3 ? MODEL_ACK | MODEL_CWR : MODEL_ACK;
        batch_put(&spec, 0);
    }
    batch_add();
    assert_true(coalesce_next(&batch_coalesce, &batch_frame));
    assert_int_equal(batch_frame.packets, 3);
    assert_int_equal(batch_frame.header[1], SEGMENT_GSO_TCPV4);
    assert_true(coalesce_next(&batch_coalesce, &batch_frame));
    assert_int_equal(batch_frame.packets, 3);
    assert_int_equal(batch_frame.header[1], SEGMENT_GSO_TCPV4 | SEGMENT_GSO_ECN);
    assert_false(coalesce_next(&batch_coalesce, &batch_frame));
    batch_add();
    assert_int_equal(batch_drain(), 2);
}

static void the_header_tells_the_kernel_how_to_cut(void **state) {
    (void)state;
    batch_begin();
    struct model_spec spec = batch_spec(true, 17, 1200);
    for (int n = 0; n < 5; n++, batch_advance(&spec))
        batch_put(&spec, 0);
    batch_add();
    assert_true(coalesce_next(&batch_coalesce, &batch_frame));
    uint16_t words[4];
    memcpy(words, batch_frame.header + 2, 8);
    assert_int_equal(batch_frame.header[0], SEGMENT_NEEDS_CSUM);
    assert_int_equal(batch_frame.header[1], SEGMENT_GSO_UDP_L4);
    assert_int_equal(words[0], 48);   /* hdr_len */
    assert_int_equal(words[1], 1200); /* gso_size */
    assert_int_equal(words[2], 40);   /* csum_start */
    assert_int_equal(words[3], 6);    /* csum_offset */
    assert_int_equal(batch_frame.length, 10 + 48 + 5 * 1200);
    assert_false(coalesce_next(&batch_coalesce, &batch_frame));
}

static void a_fixed_id_joins_only_with_df(void **state) {
    (void)state;
    for (int df = 0; df < 2; df++) {
        batch_begin();
        struct model_spec spec = batch_spec(false, 17, 500);
        spec.fragment = df ? 0x4000 : 0;
        for (int n = 0; n < 4; n++)
            batch_put(&spec, 0)->loose_id = df;
        batch_add();
        assert_int_equal(batch_drain(), df ? 1 : 4);
        batch_begin(); /* 5 5 6: the second packet decided that IDs stand still */
        for (int n = 0; n < 3; n++) {
            spec.id = (uint16_t)(n < 2 ? 5 : 6);
            batch_put(&spec, 0)->loose_id = df;
        }
        batch_add();
        assert_int_equal(batch_drain(), df ? 2 : 2);
    }
}

/* ---- What does not join: one thing changes in the fourth of six packets ---- */

static void a_packet_that_differs_neither_joins_nor_is_overtaken(void **state) {
    (void)state;
    for (size_t i = 0; i < batch_change_count; i++) {
        for (int ipv6 = 0; ipv6 < 2; ipv6++) {
            for (uint8_t protocol = 6; protocol <= 17; protocol = (uint8_t)(protocol + 11)) {
                if ((batch_changes[i].protocol && batch_changes[i].protocol != protocol) ||
                    (batch_changes[i].version && batch_changes[i].version != (ipv6 ? 6 : 4)))
                    continue;
                batch_begin();
                struct model_spec spec = batch_spec(ipv6, protocol, 500);
                for (int n = 0; n < 6; n++, batch_advance(&spec)) {
                    struct model_spec changed = spec;
                    if (n == 3)
                        batch_changes[i].apply(&changed);
                    batch_put(&changed, 0);
                }
                batch_add();
                assert_true(coalesce_next(&batch_coalesce, &batch_frame));
                if (batch_frame.packets != 3)
                    fail_msg("%s: IPv%d protocol %u: %u joined", batch_changes[i].name,
                             ipv6 ? 6 : 4, protocol, batch_frame.packets);
                while (coalesce_next(&batch_coalesce, &batch_frame))
                    ;
                batch_add();
                uint32_t frames = batch_drain();
                assert_true(frames == 2 || frames == 3);
            }
        }
    }
}

static void a_train_of_syn_rst_or_urg_is_not_joined(void **state) {
    (void)state;
    static const uint8_t flags[] = {MODEL_SYN, MODEL_RST, MODEL_URG};
    for (int i = 0; i < 3; i++) {
        batch_begin();
        struct model_spec spec = batch_spec(i & 1, 6, 500);
        spec.flags = MODEL_ACK | flags[i];
        for (int n = 0; n < 6; n++, batch_advance(&spec))
            batch_put(&spec, 0);
        batch_add();
        assert_int_equal(batch_drain(), 6);
    }
}

/* RFC 768: 0 says "none", even where it happens to be what the sum gives. */
static void udp_without_a_checksum_is_neither_joined_nor_called_wrong(void **state) {
    (void)state;
    batch_begin();
    struct model_spec spec = batch_spec(false, 17, 500);
    for (int n = 0; n < 6; n++, batch_advance(&spec)) {
        uint8_t *udp = batch_bytes(batch_put(&spec, 0)) + 20;
        uint32_t word = udp[8] * 256u + udp[9] + udp[6] * 256u + udp[7];
        word = word % 65536u + word / 65536u;
        udp[8] = (uint8_t)(word / 256u); /* the sum is 0xffff now, its complement 0 */
        udp[9] = (uint8_t)word;
        udp[6] = udp[7] = 0;
        assert_true(model_checksums_right(udp - 20, 528));
    }
    batch_add();
    assert_int_equal(batch_coalesce.stats.bad_checksum, 0);
    uint32_t frames = 0;
    for (; coalesce_next(&batch_coalesce, &batch_frame); frames++)
        assert_int_equal(batch_frame.packets, 1);
    assert_int_equal(frames, 6);
}

static void a_wrong_checksum_goes_alone_and_untouched(void **state) {
    (void)state;
    for (int kind = 0; kind < 6; kind++) {
        for (int which = 0; which < 6; which++) {
            bool ip = kind >= 4; /* the IPv4 header's */
            batch_begin();
            struct model_spec spec = batch_spec(ip ? 0 : kind & 1, kind & 2 ? 6 : 17, 500);
            for (int n = 0; n < 6; n++, batch_advance(&spec)) {
                struct original *original = batch_put(&spec, 0);
                if (n == which)
                    batch_bytes(original)[ip ? 10 : original->length - 1] ^= 0x40;
            }
            batch_add();
            bool alone = false;
            while (coalesce_next(&batch_coalesce, &batch_frame)) {
                static const uint8_t zeros[MODEL_VNET];
                alone |= batch_frame.packets == 1 &&
                         batch_frame.iov[1].iov_base == batch_originals[which].data;
                if (batch_frame.packets == 1)
                    assert_memory_equal(batch_frame.iov[0].iov_base, zeros, MODEL_VNET);
            }
            assert_true(alone);
            assert_int_equal(batch_coalesce.stats.bad_checksum, which == 0   ? 1
                                                                : which == 5 ? 1
                                                                             : 2);
            batch_add();
            batch_drain();
        }
    }
}

static void what_is_switched_off_is_not_joined(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool udp = i & 1, v6 = i & 2;
        batch_clear();
        coalesce_init(&batch_coalesce, udp, !udp); /* the other one is on */
        struct model_spec spec = batch_spec(v6, udp ? 17 : 6, 500);
        for (int n = 0; n < 6; n++, batch_advance(&spec))
            batch_put(&spec, 0);
        batch_add();
        assert_int_equal(batch_drain(), 6);
    }
}

/* ---- Order and limits ---- */

static void flows_are_told_apart_and_each_is_joined(void **state) {
    (void)state;
    batch_begin();
    struct model_spec flows[COALESCE_FLOWS];
    for (uint32_t f = 0; f < COALESCE_FLOWS; f++) {
        flows[f] = batch_spec(f & 1, f & 2 ? 6 : 17, 400);
        flows[f].source_port = (uint16_t)(f / 4);
        if (f & 4)
            flows[f].source[3]++;
    }
    for (uint32_t n = 0; n < 10; n++)
        for (uint32_t f = 0; f < COALESCE_FLOWS; f++) {
            batch_put(&flows[f], f);
            batch_advance(&flows[f]);
        }
    batch_add();
    assert_int_equal(batch_drain(), COALESCE_FLOWS);
    assert_int_equal(batch_coalesce.stats.evicted, 0);
}

static void one_flow_too_many_closes_the_oldest(void **state) {
    (void)state;
    batch_begin();
    struct model_spec spec = batch_spec(false, 17, 400);
    for (uint16_t f = 0; f <= COALESCE_FLOWS; f++) {
        spec.source_port = f;
        batch_put(&spec, f);
    }
    spec.id++;
    spec.source_port = 1; /* still open */
    batch_put(&spec, 1);
    spec.source_port = 0; /* closed: a new batch_frame, in order */
    batch_put(&spec, 0);
    batch_add();
    assert_int_equal(batch_coalesce.stats.evicted, 2);
    assert_int_equal(batch_drain(), COALESCE_FLOWS + 2);
}

static void a_frame_holds_64_packets_and_65535_bytes(void **state) {
    (void)state;
    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        batch_begin();
        struct model_spec spec = batch_spec(ipv6, 17, 10);
        for (uint32_t n = 0; n < COALESCE_SEGMENTS + 1; n++, batch_advance(&spec))
            batch_put(&spec, 0);
        batch_add();
        assert_true(coalesce_next(&batch_coalesce, &batch_frame));
        assert_int_equal(batch_frame.packets, COALESCE_SEGMENTS);
        while (coalesce_next(&batch_coalesce, &batch_frame))
            ;
        batch_begin();
        spec = batch_spec(ipv6, 6, 1448);
        for (uint32_t n = 0; n < 60; n++, batch_advance(&spec))
            batch_put(&spec, 0);
        batch_add();
        assert_true(coalesce_next(&batch_coalesce, &batch_frame));
        assert_int_equal(batch_frame.packets, (65535 - (ipv6 ? 72 : 52)) / 1448);
        while (coalesce_next(&batch_coalesce, &batch_frame))
            ;
        batch_add();
        assert_int_equal(batch_drain(), 2);
    }
}

static void a_full_coalescer_refuses_until_it_is_emptied(void **state) {
    (void)state;
    batch_begin();
    struct model_spec spec = batch_spec(false, 17, 1);
    for (uint32_t n = 0; n < COALESCE_PACKETS; n++, batch_advance(&spec))
        batch_put(&spec, 0);
    batch_add();
    assert_false(coalesce_add(&batch_coalesce, batch_originals[0].data, batch_originals[0].length));
    assert_true(coalesce_next(&batch_coalesce, &batch_frame));
    assert_false(coalesce_add(&batch_coalesce, batch_originals[0].data, batch_originals[0].length));
    while (coalesce_next(&batch_coalesce, &batch_frame))
        ;
    assert_true(coalesce_add(&batch_coalesce, batch_originals[0].data, batch_originals[0].length));
    assert_int_equal(batch_coalesce.stats.packets, COALESCE_PACKETS + 1);
}

static void a_fragment_is_overtaken_by_nothing(void **state) {
    (void)state;
    batch_begin();
    struct model_spec spec = batch_spec(false, 17, 400);
    batch_put(&spec, 0);
    batch_advance(&spec);
    struct model_spec fragment = spec;
    fragment.fragment = 0x00b9; /* has no ports: bytes 20.. are payload */
    batch_put(&fragment, 0);
    batch_advance(&spec);
    batch_put(&spec, 0);
    batch_add();
    assert_int_equal(batch_drain(), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_train_of_one_flow_is_one_frame),
        cmocka_unit_test(psh_and_fin_join_and_end_a_frame),
        cmocka_unit_test(cwr_leads_a_frame_and_ends_the_one_before),
        cmocka_unit_test(the_header_tells_the_kernel_how_to_cut),
        cmocka_unit_test(a_fixed_id_joins_only_with_df),
        cmocka_unit_test(a_packet_that_differs_neither_joins_nor_is_overtaken),
        cmocka_unit_test(a_train_of_syn_rst_or_urg_is_not_joined),
        cmocka_unit_test(udp_without_a_checksum_is_neither_joined_nor_called_wrong),
        cmocka_unit_test(a_wrong_checksum_goes_alone_and_untouched),
        cmocka_unit_test(what_is_switched_off_is_not_joined),
        cmocka_unit_test(flows_are_told_apart_and_each_is_joined),
        cmocka_unit_test(one_flow_too_many_closes_the_oldest),
        cmocka_unit_test(a_frame_holds_64_packets_and_65535_bytes),
        cmocka_unit_test(a_full_coalescer_refuses_until_it_is_emptied),
        cmocka_unit_test(a_fragment_is_overtaken_by_nothing),
    };
    return cmocka_run_group_tests(tests, batch_set_up, batch_tear_down);
}
