/* T19, second half: what is joined for the TUN comes apart again as it was. */
#include "coalesce.h"

#include <stdlib.h>

#include "offload_model.h"
#include "packet.h"
#include "random.h"
#include "segment.h"
#include "unit.h"

#define BATCH COALESCE_PACKETS
#define ARENA (BATCH * 1600u + 70000u)

enum { FLOWS = 22 };

static uint8_t noise[70000];
static uint8_t arena[ARENA];
static struct coalesce coalesce;
static struct coalesce_frame frame;

/* What was put in, in order, and which flow it belongs to. */
static struct original {
    const uint8_t *data;
    size_t length;
    uint32_t flow;
    bool loose_id; /* DF, and an ID that stands still: the kernel may count it up */
    bool seen;
} originals[BATCH];
static uint32_t original_count;
static size_t arena_used;

static void clear(void) {
    original_count = 0;
    arena_used = 0;
}

static struct original *put(const struct model_spec *spec, uint32_t flow) {
    struct original *original = &originals[original_count++];
    size_t length = model_build(spec, arena + arena_used);
    *original = (struct original){arena + arena_used, length, flow, false, false};
    arena_used += length;
    assert_true(arena_used <= ARENA);
    return original;
}

static uint8_t *bytes_of(struct original *original) { return arena + (original->data - arena); }

static void add_all(void) {
    for (uint32_t i = 0; i < original_count; i++)
        assert_true(coalesce_add(&coalesce, originals[i].data, originals[i].length));
}

/* ---- Taking apart and comparing ---- */

static uint8_t linear[MODEL_FRAME_MAX];

static size_t linearise(const struct iovec *iov, uint32_t n) {
    size_t used = 0;
    for (uint32_t i = 0; i < n; i++) {
        memcpy(linear + used, iov[i].iov_base, iov[i].iov_len);
        used += iov[i].iov_len;
    }
    return used;
}

static bool same_but_id(const uint8_t *a, const uint8_t *b, size_t length) {
    return memcmp(a, b, 4) == 0 && memcmp(a + 6, b + 6, 4) == 0 &&
           memcmp(a + 12, b + 12, length - 12) == 0;
}

/* The packet must be the next one of some flow. */
static void came_out(void *context, const uint8_t *packet, size_t length) {
    (void)context;
    static bool passed[FLOWS + BATCH];
    memset(passed, 0, sizeof(passed));
    for (uint32_t i = 0; i < original_count; i++) {
        struct original *o = &originals[i];
        if (o->seen || passed[o->flow])
            continue;
        passed[o->flow] = true;
        if (o->length != length)
            continue;
        bool same = o->loose_id && length >= 20 ? same_but_id(o->data, packet, length)
                                                : memcmp(o->data, packet, length) == 0;
        if (same) {
            o->seen = true;
            return;
        }
    }
    fail_msg("a packet of %zu bytes came out that is not the next of any flow", length);
}

static uint8_t cut[MODEL_FRAME_MAX + SEGMENT_SLACK];
static size_t cut_at;
static uint8_t *model_bytes;
static size_t model_used;

static void keep(void *context, const uint8_t *packet, size_t length) {
    came_out(context, packet, length);
    memcpy(model_bytes + model_used, packet, length);
    model_used += length;
}

/* Our own segmentation must agree with the model on our own frames. */
static void cut_with_ours(size_t length, size_t packets) {
    struct segmenter segmenter;
    struct segment segment;
    memcpy(cut, linear, length);
    assert_int_equal(segment_begin(&segmenter, cut, length, 65535), SEGMENT_OK);
    assert_int_equal(segment_count(&segmenter), packets);
    for (cut_at = 0; segment_next(&segmenter, &segment); cut_at += segment.length)
        assert_memory_equal(segment.data, model_bytes + cut_at, segment.length);
    assert_int_equal(cut_at, model_used);
}

/* T26: the originals of a frame are the packets that went in, untouched. */
static void split_gives_the_originals(void) {
    for (uint32_t i = 0; i < frame.packets; i++) {
        static const uint8_t zeros[MODEL_VNET];
        struct iovec iov[2];
        coalesce_original(&frame, i, iov);
        assert_int_equal(iov[0].iov_len, MODEL_VNET);
        assert_memory_equal(iov[0].iov_base, zeros, MODEL_VNET);
        bool found = false;
        for (uint32_t j = 0; j < original_count && !found; j++)
            found = originals[j].data == iov[1].iov_base && originals[j].length == iov[1].iov_len;
        assert_true(found);
    }
}

/* Empties the coalescer; every original must have come out once. @return frames. */
static uint32_t drain(void) {
    uint32_t frames = 0;
    while (coalesce_next(&coalesce, &frame)) {
        size_t length = linearise(frame.iov, frame.iov_count);
        assert_int_equal(length, frame.length);
        assert_true(frame.iov_count <= 1 + COALESCE_SEGMENTS);
        assert_true(frame.length <= MODEL_VNET + 65535);
        split_gives_the_originals();
        model_used = 0;
        assert_int_equal(model_segment(linear, length, keep, NULL), frame.packets);
        cut_with_ours(length, frame.packets);
        frames++;
    }
    for (uint32_t i = 0; i < original_count; i++)
        assert_true(originals[i].seen);
    return frames;
}

static struct model_spec spec_of(bool ipv6, uint8_t protocol, uint32_t payload) {
    return (struct model_spec){
        .source = {10, 0, 0, 1},
        .destination = {10, 0, 0, 2},
        .payload = noise,
        .payload_length = payload,
        .sequence = 0xfffff000u,
        .acknowledgement = 77,
        .source_port = 1234,
        .destination_port = 80,
        .window = 500,
        .id = 0xfffd,
        .fragment = 0x4000,
        .protocol = protocol,
        .ttl = 64,
        .flags = MODEL_ACK,
        .options = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8},
        .options_length = 12,
        .ipv6 = ipv6,
    };
}

static void advance(struct model_spec *spec) {
    spec->sequence += spec->payload_length;
    spec->id++;
    spec->payload += 1;
}

static void begin(void) {
    clear();
    coalesce_init(&coalesce, true, true);
}

/* ---- What joins ---- */

static void a_train_of_one_flow_is_one_frame(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        begin();
        struct model_spec spec = spec_of(i & 1, i & 2 ? 6 : 17, 1300);
        for (int n = 0; n < 40; n++, advance(&spec))
            put(&spec, 0);
        spec.payload_length = 7; /* a shorter last one joins and ends */
        put(&spec, 0);
        advance(&spec);
        spec.payload_length = 1300;
        put(&spec, 0);
        add_all();
        assert_int_equal(drain(), 2);
        assert_int_equal(coalesce.stats.merged, 40);
        assert_int_equal(coalesce.stats.packets, 42);
        assert_int_equal(coalesce.stats.frames, 2);
    }
}

static void psh_and_fin_join_and_end_a_frame(void **state) {
    (void)state;
    for (int fin = 0; fin < 2; fin++) {
        begin();
        struct model_spec spec = spec_of(false, 6, 500);
        for (int n = 0; n < 3; n++, advance(&spec))
            put(&spec, 0);
        spec.flags = fin ? MODEL_ACK | MODEL_FIN : MODEL_ACK | MODEL_PSH;
        put(&spec, 0);
        advance(&spec);
        spec.flags = MODEL_ACK;
        for (int n = 0; n < 3; n++, advance(&spec))
            put(&spec, 0);
        add_all();
        assert_int_equal(drain(), 2);
    }
}

static void cwr_leads_a_frame_and_ends_the_one_before(void **state) {
    (void)state;
    begin();
    struct model_spec spec = spec_of(false, 6, 500);
    for (int n = 0; n < 6; n++, advance(&spec)) {
        spec.flags = n == 3 ? MODEL_ACK | MODEL_CWR : MODEL_ACK;
        put(&spec, 0);
    }
    add_all();
    assert_true(coalesce_next(&coalesce, &frame));
    assert_int_equal(frame.packets, 3);
    assert_int_equal(frame.header[1], SEGMENT_GSO_TCPV4);
    assert_true(coalesce_next(&coalesce, &frame));
    assert_int_equal(frame.packets, 3);
    assert_int_equal(frame.header[1], SEGMENT_GSO_TCPV4 | SEGMENT_GSO_ECN);
    assert_false(coalesce_next(&coalesce, &frame));
    add_all();
    assert_int_equal(drain(), 2);
}

static void the_header_tells_the_kernel_how_to_cut(void **state) {
    (void)state;
    begin();
    struct model_spec spec = spec_of(true, 17, 1200);
    for (int n = 0; n < 5; n++, advance(&spec))
        put(&spec, 0);
    add_all();
    assert_true(coalesce_next(&coalesce, &frame));
    uint16_t words[4];
    memcpy(words, frame.header + 2, 8);
    assert_int_equal(frame.header[0], SEGMENT_NEEDS_CSUM);
    assert_int_equal(frame.header[1], SEGMENT_GSO_UDP_L4);
    assert_int_equal(words[0], 48);   /* hdr_len */
    assert_int_equal(words[1], 1200); /* gso_size */
    assert_int_equal(words[2], 40);   /* csum_start */
    assert_int_equal(words[3], 6);    /* csum_offset */
    assert_int_equal(frame.length, 10 + 48 + 5 * 1200);
    assert_false(coalesce_next(&coalesce, &frame));
}

static void a_fixed_id_joins_only_with_df(void **state) {
    (void)state;
    for (int df = 0; df < 2; df++) {
        begin();
        struct model_spec spec = spec_of(false, 17, 500);
        spec.fragment = df ? 0x4000 : 0;
        for (int n = 0; n < 4; n++)
            put(&spec, 0)->loose_id = df;
        add_all();
        assert_int_equal(drain(), df ? 1 : 4);
        begin(); /* 5 5 6: the second packet decided that IDs stand still */
        for (int n = 0; n < 3; n++) {
            spec.id = (uint16_t)(n < 2 ? 5 : 6);
            put(&spec, 0)->loose_id = df;
        }
        add_all();
        assert_int_equal(drain(), df ? 2 : 2);
    }
}

/* ---- What does not join: change one thing in the fourth of six packets ---- */

typedef void perturb(struct model_spec *spec);
static void other_tos(struct model_spec *s) { s->tos = 3; }
static void other_ttl(struct model_spec *s) { s->ttl = 63; }
static void other_df(struct model_spec *s) { s->fragment ^= 0x4000; }
static void reserved_bit(struct model_spec *s) { s->fragment |= 0x8000; }
static void id_gap(struct model_spec *s) { s->id = (uint16_t)(s->id + 7); }
static void other_label(struct model_spec *s) { s->flow_label = 9; }
static void other_ack(struct model_spec *s) { s->acknowledgement++; }
static void other_window(struct model_spec *s) { s->window++; }
static void other_urgent(struct model_spec *s) { s->urgent++; }
static void other_option(struct model_spec *s) { s->options[5]++; }
static void more_options(struct model_spec *s) { s->options_length = 16; }
static void sequence_gap(struct model_spec *s) { s->sequence += 3; }
static void duplicate(struct model_spec *s) { s->sequence -= s->payload_length; }
static void ece(struct model_spec *s) { s->flags |= MODEL_ECE; }
static void syn(struct model_spec *s) { s->flags |= MODEL_SYN; }
static void rst(struct model_spec *s) { s->flags |= MODEL_RST; }
static void urg(struct model_spec *s) { s->flags |= MODEL_URG; }
static void longer(struct model_spec *s) { s->payload_length += 4; }
static void empty(struct model_spec *s) { s->payload_length = 0; }
static void unsummed(struct model_spec *s) { s->unsummed = true; }
static void fragment_more(struct model_spec *s) { s->fragment = 0x2000; }
static void fragment_offset(struct model_spec *s) { s->fragment = 0x0010; }
static void ip_options(struct model_spec *s) { s->ip_extra_length = 4; }
static void extension(struct model_spec *s) {
    s->ip_extra_length = 8;
    s->extension = 60;
}

static const struct {
    const char *name;
    perturb *change;
    uint8_t protocol; /* 0: both */
    uint8_t version;  /* 0: both */
} changes[] = {
    {"TOS", other_tos, 0, 0},
    {"TTL", other_ttl, 0, 0},
    {"DF", other_df, 0, 4},
    {"reserved bit", reserved_bit, 0, 4},
    {"ID gap", id_gap, 0, 4},
    {"flow label", other_label, 0, 6},
    {"acknowledgement", other_ack, 6, 0},
    {"window", other_window, 6, 0},
    {"urgent pointer", other_urgent, 6, 0},
    {"option", other_option, 6, 0},
    {"more options", more_options, 6, 0},
    {"sequence gap", sequence_gap, 6, 0},
    {"duplicate", duplicate, 6, 0},
    {"ECE", ece, 6, 0},
    {"SYN", syn, 6, 0},
    {"RST", rst, 6, 0},
    {"URG", urg, 6, 0},
    {"longer", longer, 0, 0},
    {"no payload", empty, 0, 0},
    {"no checksum", unsummed, 17, 4},
    {"more fragments", fragment_more, 0, 4},
    {"fragment offset", fragment_offset, 0, 4},
    {"IP options", ip_options, 0, 4},
    {"extension header", extension, 0, 6},
};

static void a_packet_that_differs_neither_joins_nor_is_overtaken(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
        for (int ipv6 = 0; ipv6 < 2; ipv6++) {
            for (uint8_t protocol = 6; protocol <= 17; protocol = (uint8_t)(protocol + 11)) {
                if ((changes[i].protocol && changes[i].protocol != protocol) ||
                    (changes[i].version && changes[i].version != (ipv6 ? 6 : 4)))
                    continue;
                begin();
                struct model_spec spec = spec_of(ipv6, protocol, 500);
                for (int n = 0; n < 6; n++, advance(&spec)) {
                    struct model_spec changed = spec;
                    if (n == 3)
                        changes[i].change(&changed);
                    put(&changed, 0);
                }
                add_all();
                assert_true(coalesce_next(&coalesce, &frame));
                if (frame.packets != 3)
                    fail_msg("%s: IPv%d protocol %u: %u joined", changes[i].name, ipv6 ? 6 : 4,
                             protocol, frame.packets);
                while (coalesce_next(&coalesce, &frame))
                    ;
                add_all();
                uint32_t frames = drain();
                assert_true(frames == 2 || frames == 3);
            }
        }
    }
}

static void a_wrong_checksum_goes_alone_and_untouched(void **state) {
    (void)state;
    for (int kind = 0; kind < 6; kind++) {
        for (int which = 0; which < 6; which++) {
            bool ip = kind >= 4; /* the IPv4 header's */
            begin();
            struct model_spec spec = spec_of(ip ? 0 : kind & 1, kind & 2 ? 6 : 17, 500);
            for (int n = 0; n < 6; n++, advance(&spec)) {
                struct original *original = put(&spec, 0);
                if (n == which)
                    bytes_of(original)[ip ? 10 : original->length - 1] ^= 0x40;
            }
            add_all();
            bool alone = false;
            while (coalesce_next(&coalesce, &frame)) {
                static const uint8_t zeros[MODEL_VNET];
                alone |= frame.packets == 1 && frame.iov[1].iov_base == originals[which].data;
                if (frame.packets == 1)
                    assert_memory_equal(frame.iov[0].iov_base, zeros, MODEL_VNET);
            }
            assert_true(alone);
            assert_int_equal(coalesce.stats.bad_checksum, which == 0 ? 1 : which == 5 ? 1 : 2);
            add_all();
            drain();
        }
    }
}

static void what_is_switched_off_is_not_joined(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        bool udp = i & 1, v6 = i & 2;
        clear();
        coalesce_init(&coalesce, udp, !udp); /* the other one is on */
        struct model_spec spec = spec_of(v6, udp ? 17 : 6, 500);
        for (int n = 0; n < 6; n++, advance(&spec))
            put(&spec, 0);
        add_all();
        assert_int_equal(drain(), 6);
    }
}

/* ---- Order and limits ---- */

static void flows_are_told_apart_and_each_is_joined(void **state) {
    (void)state;
    begin();
    struct model_spec flows[COALESCE_FLOWS];
    for (uint32_t f = 0; f < COALESCE_FLOWS; f++) {
        flows[f] = spec_of(f & 1, f & 2 ? 6 : 17, 400);
        flows[f].source_port = (uint16_t)(f / 4);
        if (f & 4)
            flows[f].source[3]++;
    }
    for (uint32_t n = 0; n < 10; n++)
        for (uint32_t f = 0; f < COALESCE_FLOWS; f++) {
            put(&flows[f], f);
            advance(&flows[f]);
        }
    add_all();
    assert_int_equal(drain(), COALESCE_FLOWS);
    assert_int_equal(coalesce.stats.evicted, 0);
}

static void one_flow_too_many_closes_the_oldest(void **state) {
    (void)state;
    begin();
    struct model_spec spec = spec_of(false, 17, 400);
    for (uint16_t f = 0; f <= COALESCE_FLOWS; f++) {
        spec.source_port = f;
        put(&spec, f);
    }
    spec.id++;
    spec.source_port = 1; /* still open */
    put(&spec, 1);
    spec.source_port = 0; /* closed: a new frame, in order */
    put(&spec, 0);
    add_all();
    assert_int_equal(coalesce.stats.evicted, 2);
    assert_int_equal(drain(), COALESCE_FLOWS + 2);
}

static void a_frame_holds_64_packets_and_65535_bytes(void **state) {
    (void)state;
    for (int ipv6 = 0; ipv6 < 2; ipv6++) {
        begin();
        struct model_spec spec = spec_of(ipv6, 17, 10);
        for (uint32_t n = 0; n < COALESCE_SEGMENTS + 1; n++, advance(&spec))
            put(&spec, 0);
        add_all();
        assert_true(coalesce_next(&coalesce, &frame));
        assert_int_equal(frame.packets, COALESCE_SEGMENTS);
        while (coalesce_next(&coalesce, &frame))
            ;
        begin();
        spec = spec_of(ipv6, 6, 1448);
        for (uint32_t n = 0; n < 60; n++, advance(&spec))
            put(&spec, 0);
        add_all();
        assert_true(coalesce_next(&coalesce, &frame));
        assert_int_equal(frame.packets, (65535 - (ipv6 ? 72 : 52)) / 1448);
        while (coalesce_next(&coalesce, &frame))
            ;
        add_all();
        assert_int_equal(drain(), 2);
    }
}

static void a_full_coalescer_refuses_until_it_is_emptied(void **state) {
    (void)state;
    begin();
    struct model_spec spec = spec_of(false, 17, 1);
    for (uint32_t n = 0; n < COALESCE_PACKETS; n++, advance(&spec))
        put(&spec, 0);
    add_all();
    assert_false(coalesce_add(&coalesce, originals[0].data, originals[0].length));
    assert_true(coalesce_next(&coalesce, &frame));
    assert_false(coalesce_add(&coalesce, originals[0].data, originals[0].length));
    while (coalesce_next(&coalesce, &frame))
        ;
    assert_true(coalesce_add(&coalesce, originals[0].data, originals[0].length));
    assert_int_equal(coalesce.stats.packets, COALESCE_PACKETS + 1);
}

static void a_fragment_is_overtaken_by_nothing(void **state) {
    (void)state;
    begin();
    struct model_spec spec = spec_of(false, 17, 400);
    put(&spec, 0);
    advance(&spec);
    struct model_spec fragment = spec;
    fragment.fragment = 0x00b9; /* has no ports: bytes 20.. are payload */
    put(&fragment, 0);
    advance(&spec);
    put(&spec, 0);
    add_all();
    assert_int_equal(drain(), 3);
}

/* ---- Random batches ---- */

struct flow {
    struct model_spec spec;
    uint32_t size;
    uint32_t last_id; /* of the packet before, above 16 bits: none yet */
    bool fixed_id;
};

static void random_flow(struct random *random, struct flow *flow, uint32_t number) {
    struct model_spec *spec = &flow->spec;
    static const uint32_t sizes[] = {1, 2, 9, 64, 100, 533, 1000, 1360};
    *spec = spec_of(random_below(random, 2), random_below(random, 2) ? 6 : 17, 0);
    spec->source[3] = (uint8_t)random_below(random, 3);
    spec->source_port = (uint16_t)number; /* keeps the flows apart */
    spec->options_length = (uint8_t)(random_below(random, 11) * 4);
    random_fill(random, spec->options, 40);
    spec->sequence = (uint32_t)random_next(random);
    spec->id = (uint16_t)random_next(random);
    spec->tos = (uint8_t)random_next(random);
    spec->fragment = random_below(random, 2) ? 0x4000 : 0;
    spec->payload = noise + random_below(random, 30000);
    flow->size = sizes[random_below(random, 8)];
    flow->last_id = UINT32_MAX;
    flow->fixed_id = random_below(random, 4) == 0;
    if (number == FLOWS - 1) { /* neither TCP nor UDP */
        spec->protocol = spec->ipv6 ? 58 : 1;
        flow->fixed_id = false;
    }
}

static bool can_perturb(const struct flow *flow, size_t i) {
    const struct model_spec *spec = &flow->spec;
    return (!changes[i].protocol || changes[i].protocol == spec->protocol) &&
           (!changes[i].version || changes[i].version == (spec->ipv6 ? 6 : 4)) &&
           spec->options_length <= 12 /* some changes add options */;
}

/* Makes the checksum come out as 0, which UDP writes as 0xffff. */
static void force_zero_checksum(struct original *original, const struct model_spec *spec) {
    uint8_t *packet = bytes_of(original);
    size_t l4 = model_transport(spec), field = l4 + (spec->protocol == 6 ? 16u : 6u);
    if (spec->payload_length < 2 || spec->unsummed || spec->ip_extra_length)
        return;
    size_t word = original->length - spec->payload_length;
    uint32_t old = packet[word] * 256u + packet[word + 1];
    uint32_t checksum = packet[field] * 256u + packet[field + 1];
    uint32_t now = old + checksum; /* moves the checksum's value into the payload */
    now = (now & 0xffff) + (now >> 16);
    packet[word] = (uint8_t)(now >> 8);
    packet[word + 1] = (uint8_t)now;
    packet[field] = packet[field + 1] = spec->protocol == 17 ? 0xff : 0;
}

static void put_random(struct random *random, struct flow *flow, uint32_t number) {
    struct model_spec spec = flow->spec;
    spec.payload_length = flow->size;
    uint32_t dice = random_below(random, 100);
    if (dice < 6) {
        size_t i = random_below(random, sizeof(changes) / sizeof(*changes));
        if (can_perturb(flow, i))
            changes[i].change(&spec);
    } else if (dice < 10) {
        spec.flags |= (uint8_t)(1u << random_below(random, 8));
    } else if (dice < 13) {
        spec.payload_length = random_below(random, flow->size + 1);
    }
    struct original *original = put(&spec, number);
    original->loose_id = !spec.ipv6 && spec.fragment & 0x4000 && spec.id == flow->last_id;
    flow->last_id = spec.id;
    if (dice == 20) {
        /* A flipped bit may make it one of another flow: that it comes out is all that counts. */
        bytes_of(original)[random_below(random, (uint32_t)original->length)] ^= 0x10;
        original->flow = FLOWS + original_count - 1;
    } else if (dice == 21 || dice == 22)
        force_zero_checksum(original, &spec);
    else if (dice == 23 && original->length > 1)
        original->length = 1 + random_below(random, (uint32_t)original->length - 1);

    flow->spec.sequence = spec.sequence + spec.payload_length;
    flow->spec.payload += 1;
    if (flow->spec.payload > noise + 60000)
        flow->spec.payload = noise;
    if (!flow->fixed_id && dice < 98)
        flow->spec.id = (uint16_t)(spec.id + 1);
}

/* A flipped byte may turn a packet into one of another flow; then only that it comes out matters.
 */
static uint32_t random_batch(struct random *random) {
    static struct flow flows[FLOWS];
    uint32_t flow_count = 1 + random_below(random, FLOWS),
             packets = 1 + random_below(random, BATCH);
    for (uint32_t f = 0; f < flow_count; f++)
        random_flow(random, &flows[f], flow_count == FLOWS ? f : f % (FLOWS - 1));
    clear();
    uint32_t f = 0;
    for (uint32_t i = 0; i < packets; i++) {
        if (random_below(random, 6) == 0) /* trains of one flow, as they arrive */
            f = random_below(random, flow_count);
        put_random(random, &flows[f], f);
    }
    return packets;
}

static void a_million_random_packets_come_apart_as_they_were(void **state) {
    (void)state;
    const uint32_t target = ROUNDS(1000000, 60000);
    struct random random = {19};
    coalesce_init(&coalesce, true, true);
    for (uint32_t packets = 0; packets < target;) {
        packets += random_batch(&random);
        add_all();
        drain();
    }
    assert_true(coalesce.stats.packets >= target);
    assert_true(coalesce.stats.merged > target / 3); /* the batches do exercise joining */
    assert_true(coalesce.stats.bad_checksum > target / 1000);
    assert_true(coalesce.stats.evicted > 0);
}

static int set_up(void **state) {
    (void)state;
    struct random random = {98};
    random_fill(&random, noise, sizeof(noise));
    model_bytes = malloc(MODEL_FRAME_MAX * 2 + COALESCE_SEGMENTS * 120);
    return model_bytes ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_train_of_one_flow_is_one_frame),
        cmocka_unit_test(psh_and_fin_join_and_end_a_frame),
        cmocka_unit_test(cwr_leads_a_frame_and_ends_the_one_before),
        cmocka_unit_test(the_header_tells_the_kernel_how_to_cut),
        cmocka_unit_test(a_fixed_id_joins_only_with_df),
        cmocka_unit_test(a_packet_that_differs_neither_joins_nor_is_overtaken),
        cmocka_unit_test(a_wrong_checksum_goes_alone_and_untouched),
        cmocka_unit_test(what_is_switched_off_is_not_joined),
        cmocka_unit_test(flows_are_told_apart_and_each_is_joined),
        cmocka_unit_test(one_flow_too_many_closes_the_oldest),
        cmocka_unit_test(a_frame_holds_64_packets_and_65535_bytes),
        cmocka_unit_test(a_full_coalescer_refuses_until_it_is_emptied),
        cmocka_unit_test(a_fragment_is_overtaken_by_nothing),
        cmocka_unit_test(a_million_random_packets_come_apart_as_they_were),
    };
    int failed = cmocka_run_group_tests(tests, set_up, NULL);
    free(model_bytes);
    return failed;
}
