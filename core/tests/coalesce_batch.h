/*
 * A batch of packets on its way through the coalescer: what was put in, and the check that it comes
 * out once, in order, byte by byte (T19). Shared by the cases and the random test.
 */
#ifndef SHOAL_TESTS_COALESCE_BATCH_H
#define SHOAL_TESTS_COALESCE_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coalesce.h"
#include "offload_model.h"

#define BATCH_MAX COALESCE_PACKETS
#define BATCH_FLOWS 22u
#define BATCH_NOISE 70000u

struct original {
    const uint8_t *data;
    size_t length;
    uint32_t flow; /* below BATCH_FLOWS + BATCH_MAX; packets of one flow must keep their order */
    bool loose_id; /* DF, and an ID that stands still: the kernel may count it up */
    bool seen;
};

/** One way in which a packet can differ from its neighbours. */
struct batch_change {
    const char *name;
    void (*apply)(struct model_spec *spec);
    uint8_t protocol; /* that it is for; 0: both */
    uint8_t version;  /* 0: both */
};

extern uint8_t batch_noise[BATCH_NOISE]; /* payload */
extern struct coalesce batch_coalesce;
extern struct coalesce_frame batch_frame;
extern struct original batch_originals[BATCH_MAX];
extern uint32_t batch_count;
extern const struct batch_change batch_changes[];
extern const size_t batch_change_count;

/** cmocka group fixtures. */
int batch_set_up(void **state);
int batch_tear_down(void **state);

/** Forgets the batch; begin also starts a fresh coalescer that joins everything. */
void batch_clear(void);
void batch_begin(void);

/** A plain packet with payload from batch_noise, and the next one of the same flow. */
struct model_spec batch_spec(bool ipv6, uint8_t protocol, uint32_t payload);
void batch_advance(struct model_spec *spec);

/** Builds a packet as the batch's next. */
struct original *batch_put(const struct model_spec *spec, uint32_t flow);

/** The packet's bytes, to be spoilt. */
uint8_t *batch_bytes(const struct original *original);

/** Gives the whole batch to the coalescer. */
void batch_add(void);

/** Empties the coalescer and demands every original back. @return frames. */
uint32_t batch_drain(void);

#endif
