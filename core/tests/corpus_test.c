/* T16: every kept input of every fuzz target, replayed by the plain test run without libFuzzer. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LLVMFuzzerTestOneInput fuzz_packet
#include "fuzz/packet_fuzz.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_segment
#include "fuzz/segment_fuzz.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_coalesce
#include "fuzz/coalesce_fuzz.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_gate
#include "fuzz/gate_fuzz.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_message
#include "fuzz/message_fuzz.c"
#undef LLVMFuzzerTestOneInput

#define LLVMFuzzerTestOneInput fuzz_forward
#include "fuzz/forward_fuzz.c"
#undef LLVMFuzzerTestOneInput

#define LLVMFuzzerTestOneInput fuzz_aead
#include "fuzz/aead_fuzz.c"
#undef LLVMFuzzerTestOneInput

#include "unit.h"

#define FOLDER "core/tests/fuzz/corpus/" /* tests run at the root of the repository */
#define INPUT_MAX (1u << 17)

typedef int target(const uint8_t *data, size_t size);

static void replay_file(const char *path, target *run) {
    static uint8_t bytes[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    if (!file) {
        fail_msg("%s cannot be read", path);
        return;
    }
    size_t size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    uint8_t *exact = exact_copy(bytes, size, 0);
    run(exact, size);
    free(exact);
}

static void replay(const char *name, target *run) {
    char path[512];
    snprintf(path, sizeof(path), FOLDER "%s", name);
    DIR *folder = opendir(path);
    if (!folder) {
        fail_msg("no corpus %s", path);
        return;
    }
    uint32_t inputs = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), FOLDER "%s/%s", name, entry->d_name);
        replay_file(path, run);
        inputs++;
    }
    closedir(folder);
    assert_true(inputs >= 5);
}

static void inner_packets(void **state) {
    (void)state;
    replay("packet", fuzz_packet);
}

static void frames_from_the_tun(void **state) {
    (void)state;
    replay("segment", fuzz_segment);
}

static void packets_to_be_joined(void **state) {
    (void)state;
    replay("coalesce", fuzz_coalesce);
}

static void handshake_messages(void **state) {
    (void)state;
    replay("gate", fuzz_gate);
}

static void buffers_of_the_udp_port(void **state) {
    (void)state;
    replay("message", fuzz_message);
}

static void what_guests_send_through_us(void **state) {
    (void)state;
    replay("forward", fuzz_forward);
}

static void batches_through_every_back_end(void **state) {
    (void)state;
    replay("aead", fuzz_aead);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inner_packets),
        cmocka_unit_test(frames_from_the_tun),
        cmocka_unit_test(packets_to_be_joined),
        cmocka_unit_test(handshake_messages),
        cmocka_unit_test(buffers_of_the_udp_port),
        cmocka_unit_test(what_guests_send_through_us),
        cmocka_unit_test(batches_through_every_back_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
