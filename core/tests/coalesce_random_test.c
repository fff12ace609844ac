// LDFLAGS: -Wl,--wrap=pthread_create
/* T19, second half: a million random packets through the coalescer and the naive segmentation. */
#include "coalesce_batch.h"
#include "no_threads.h"
#include "random.h"
#include "unit.h"

struct flow {
    struct model_spec spec;
    uint32_t size;
    uint32_t last_id; /* of the packet before, above 16 bits: none yet */
    bool fixed_id;
};

static void random_flow(struct random *random, struct flow *flow, uint32_t number) {
    struct model_spec *spec = &flow->spec;
    static const uint32_t sizes[] = {1, 2, 9, 64, 100, 533, 1000, 1360};
    *spec = batch_spec(random_below(random, 2), random_below(random, 2) ? 6 : 17, 0);
    spec->source[3] = (uint8_t)random_below(random, 3);
    spec->source_port = (uint16_t)number; /* keeps the flows apart */
    spec->options_length = (uint8_t)(random_below(random, 11) * 4);
    random_fill(random, spec->options, 40);
    spec->sequence = (uint32_t)random_next(random);
    spec->id = (uint16_t)random_next(random);
    spec->tos = (uint8_t)random_next(random);
    spec->fragment = random_below(random, 2) ? 0x4000 : 0;
    spec->payload = batch_noise + random_below(random, 30000);
    flow->size = sizes[random_below(random, 8)];
    flow->last_id = UINT32_MAX;
    flow->fixed_id = random_below(random, 4) == 0;
    if (number == BATCH_FLOWS - 1) { /* neither TCP nor UDP */
        spec->protocol = spec->ipv6 ? 58 : 1;
        flow->fixed_id = false;
    }
}

static bool can_perturb(const struct flow *flow, size_t i) {
    const struct model_spec *spec = &flow->spec;
    return (!batch_changes[i].protocol || batch_changes[i].protocol == spec->protocol) &&
           (!batch_changes[i].version || batch_changes[i].version == (spec->ipv6 ? 6 : 4)) &&
           spec->options_length <= 12 /* some batch_changes add options */;
}

/* Makes the checksum come out as 0, which UDP writes as 0xffff. */
static void force_zero_checksum(struct original *original, const struct model_spec *spec) {
    uint8_t *packet = batch_bytes(original);
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
        size_t i = random_below(random, (uint32_t)batch_change_count);
        if (can_perturb(flow, i))
            batch_changes[i].apply(&spec);
    } else if (dice < 10) {
        spec.flags |= (uint8_t)(1u << random_below(random, 8));
    } else if (dice < 13) {
        spec.payload_length = random_below(random, flow->size + 1);
    }
    struct original *original = batch_put(&spec, number);
    original->loose_id = !spec.ipv6 && spec.fragment & 0x4000 && spec.id == flow->last_id;
    flow->last_id = spec.id;
    if (dice == 20) {
        /* A flipped bit may make it one of another flow: that it comes out is all that counts. */
        batch_bytes(original)[random_below(random, (uint32_t)original->length)] ^= 0x10;
        original->flow = BATCH_FLOWS + batch_count - 1;
    } else if (dice == 21 || dice == 22)
        force_zero_checksum(original, &spec);
    else if (dice == 23 && original->length > 1)
        original->length = 1 + random_below(random, (uint32_t)original->length - 1);

    flow->spec.sequence = spec.sequence + spec.payload_length;
    flow->spec.payload += 1;
    if (flow->spec.payload > batch_noise + 60000)
        flow->spec.payload = batch_noise;
    if (!flow->fixed_id && dice < 98)
        flow->spec.id = (uint16_t)(spec.id + 1);
}

/* A flipped byte may turn a packet into one of another flow; then only that it comes out matters.
 */
static uint32_t random_batch(struct random *random) {
    static struct flow flows[BATCH_FLOWS];
    uint32_t flow_count = 1 + random_below(random, BATCH_FLOWS),
             packets = 1 + random_below(random, BATCH_MAX);
    for (uint32_t f = 0; f < flow_count; f++)
        random_flow(random, &flows[f], flow_count == BATCH_FLOWS ? f : f % (BATCH_FLOWS - 1));
    batch_clear();
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
    coalesce_init(&batch_coalesce, true, true);
    for (uint32_t packets = 0; packets < target;) {
        packets += random_batch(&random);
        batch_add();
        batch_drain();
    }
    assert_true(batch_coalesce.stats.packets >= target);
    assert_true(batch_coalesce.stats.merged > target / 3); /* the batches do exercise joining */
    assert_true(batch_coalesce.stats.bad_checksum > target / 1000);
    assert_true(batch_coalesce.stats.evicted > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_million_random_packets_come_apart_as_they_were),
    };
    return cmocka_run_group_tests(tests, batch_set_up, batch_tear_down);
}
