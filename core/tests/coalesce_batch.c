#include "coalesce_batch.h"

#include <stdlib.h>

#include "random.h"
#include "segment.h"
#include "unit.h"

#define ARENA (BATCH_MAX * 1600u + 70000u)

uint8_t batch_noise[70000];
static uint8_t arena[ARENA];
struct coalesce batch_coalesce;
struct coalesce_frame batch_frame;

struct original batch_originals[BATCH_MAX];
uint32_t batch_count;
static size_t arena_used;

void batch_clear(void) {
    batch_count = 0;
    arena_used = 0;
}

struct original *batch_put(const struct model_spec *spec, uint32_t flow) {
    struct original *original = &batch_originals[batch_count++];
    size_t length = model_build(spec, arena + arena_used);
    *original = (struct original){arena + arena_used, length, flow, false, false};
    arena_used += length;
    assert_true(arena_used <= ARENA);
    return original;
}

uint8_t *batch_bytes(const struct original *original) { return arena + (original->data - arena); }

void batch_add(void) {
    for (uint32_t i = 0; i < batch_count; i++)
        assert_true(
            coalesce_add(&batch_coalesce, batch_originals[i].data, batch_originals[i].length));
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
    static bool passed[BATCH_FLOWS + BATCH_MAX];
    memset(passed, 0, sizeof(passed));
    for (uint32_t i = 0; i < batch_count; i++) {
        struct original *o = &batch_originals[i];
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

/* T26: the batch_originals of a batch_frame are the packets that went in, untouched. */
static void split_gives_the_originals(void) {
    for (uint32_t i = 0; i < batch_frame.packets; i++) {
        static const uint8_t zeros[MODEL_VNET];
        struct iovec iov[2];
        coalesce_original(&batch_frame, i, iov);
        assert_int_equal(iov[0].iov_len, MODEL_VNET);
        assert_memory_equal(iov[0].iov_base, zeros, MODEL_VNET);
        bool found = false;
        for (uint32_t j = 0; j < batch_count && !found; j++)
            found = batch_originals[j].data == iov[1].iov_base &&
                    batch_originals[j].length == iov[1].iov_len;
        assert_true(found);
    }
}

/* Empties the coalescer; every original must have come out once. @return frames. */
uint32_t batch_drain(void) {
    uint32_t frames = 0;
    while (coalesce_next(&batch_coalesce, &batch_frame)) {
        size_t length = linearise(batch_frame.iov, batch_frame.iov_count);
        assert_int_equal(length, batch_frame.length);
        assert_true(batch_frame.iov_count <= 1 + COALESCE_SEGMENTS);
        assert_true(batch_frame.length <= MODEL_VNET + 65535);
        split_gives_the_originals();
        model_used = 0;
        assert_int_equal(model_segment(linear, length, keep, NULL), batch_frame.packets);
        cut_with_ours(length, batch_frame.packets);
        frames++;
    }
    for (uint32_t i = 0; i < batch_count; i++)
        assert_true(batch_originals[i].seen);
    return frames;
}

struct model_spec batch_spec(bool ipv6, uint8_t protocol, uint32_t payload) {
    return (struct model_spec){
        .source = {10, 0, 0, 1},
        .destination = {10, 0, 0, 2},
        .payload = batch_noise,
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

void batch_advance(struct model_spec *spec) {
    spec->sequence += spec->payload_length;
    spec->id++;
    spec->payload += 1;
}

void batch_begin(void) {
    batch_clear();
    coalesce_init(&batch_coalesce, true, true);
}

int batch_set_up(void **state) {
    (void)state;
    struct random random = {98};
    random_fill(&random, batch_noise, sizeof(batch_noise));
    model_bytes = malloc(MODEL_FRAME_MAX * 2 + COALESCE_SEGMENTS * 120);
    return model_bytes ? 0 : -1;
}

int batch_tear_down(void **state) {
    (void)state;
    free(model_bytes);
    return 0;
}

/* ---- What makes a packet not join ---- */

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

const struct batch_change batch_changes[] = {
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
const size_t batch_change_count = sizeof(batch_changes) / sizeof(*batch_changes);
