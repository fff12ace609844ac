/* T48, R65: a session's keys are gone from this process's memory once its slot is free, and at no
 * time lie on the stack of a thread that is done with them. The test reads all of its own writable
 * memory; the key it looks for exists nowhere, whole or in pieces, but where the library put it. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aead.h"
#include "random.h"
#include "unit.h"
#include "wipe.h"

/* Larger ones are a sanitizer's shadow and its pools. */
#define REGION_MAX (ROUNDS(256ul, 8ul) << 20)

enum which { SEND_KEY = 0x11, RECEIVE_KEY = 0x77 };

static uint8_t key_byte(enum which which, size_t i) { return (uint8_t)(i * 37 + which * 91 + 5); }

/* Byte by byte, so that no copy of the key to compare with lies in memory. */
static bool is_key(const uint8_t *bytes, enum which which) {
    for (size_t i = 0; i < 32; i++)
        if (bytes[i] != key_byte(which, i))
            return false;
    return true;
}

/* 16 bytes as a cipher holds them: half of the key (in its context, in a register, where that was
 * spilled to), or one of its words four times (as SIMD code spreads it over blocks). */
__attribute__((no_sanitize_address, no_sanitize_thread)) static bool is_piece(const uint8_t *at,
                                                                              enum which which) {
    size_t half = 0, spread = 0, word = 0;
    while (word < 32 && *at != key_byte(which, word))
        word += 4;
    if (word == 32)
        return false;
    while (spread < 16 && at[spread] == key_byte(which, word + spread % 4))
        spread++;
    while (word % 16 == 0 && half < 16 && at[half] == key_byte(which, word + half))
        half++;
    return spread == 16 || half == 16;
}

__attribute__((no_sanitize_address, no_sanitize_thread)) static int
copies_in(const uint8_t *from, const uint8_t *to, enum which which) {
    int copies = 0;
    bool begins[256] = {false};
    for (size_t word = 0; word < 32; word += 4)
        begins[key_byte(which, word)] = true;
    for (const uint8_t *at = from; at + 16 <= to; at++)
        copies += begins[*at] && is_piece(at, which);
    return copies;
}

static int copies_where(enum which which, const char *where) {
    char line[512], rights[8];
    unsigned long from, to;
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps)) {
        if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) != 3 || strncmp(rights, "rw", 2) != 0 ||
            to - from > REGION_MAX || strstr(line, "[vvar") || !strstr(line, where))
            continue;
        found += copies_in((const uint8_t *)from, (const uint8_t *)to, which);
    }
    fclose(maps);
    return found;
}

static int copies(enum which which) { return copies_where(which, ""); }

static void expect_clean_stack(void) {
    assert_int_equal(copies_where(SEND_KEY, "[stack]"), 0);
    assert_int_equal(copies_where(RECEIVE_KEY, "[stack]"), 0);
}

static uint32_t suite; /* of the sessions that are installed */

static void install(struct side *side, uint32_t role, uint32_t index) {
    struct shoal_session session = world_session(side, role, index, index + 1, 0);
    session.suite = suite;
    for (size_t i = 0; i < 32; i++) {
        session.send_key[i] = key_byte(SEND_KEY, i);
        session.receive_key[i] = key_byte(RECEIVE_KEY, i);
    }
    assert_true(is_key(session.send_key, SEND_KEY));
    side_install(side, &session);
    explicit_bzero(&session, sizeof(session));
    expect_clean_stack();
}

static void expect_copies(bool some) {
    assert_int_equal(copies(SEND_KEY) > 0, some);
    assert_int_equal(copies(RECEIVE_KEY) > 0, some);
}

static void keys_are_wiped(const char *aead) {
    struct side side;
    struct shoal_address nowhere = {SHOAL_AF_INET, 9, 0, {127, 0, 0, 1}};
    side_open(&side, 1, &(struct world_options){.aead = aead});
    side.peer = side_add_peer(&side, 1, 2, &nowhere);
    expect_copies(false);
    install(&side, SHOAL_ROLE_INITIATOR, 100);
    assert_int_equal(shoal_peer_keepalive(side.device, side.peer, 0), SHOAL_OK);
    expect_clean_stack(); /* sealed on this thread */
    expect_copies(true);  /* or the search finds nothing at all */
    assert_int_equal(shoal_peer_clear_sessions(side.device, side.peer), SHOAL_OK);
    expect_copies(false);
    install(&side, SHOAL_ROLE_RESPONDER, 200); /* pushed out of its slot */
    struct shoal_session other = world_session(&side, SHOAL_ROLE_RESPONDER, 300, 301, 0);
    side_install(&side, &other);
    expect_copies(false);
    install(&side, SHOAL_ROLE_INITIATOR, 400); /* gone with its peer */
    assert_int_equal(shoal_peer_remove(side.device, side.peer), SHOAL_OK);
    expect_copies(false);
    side.peer = side_add_peer(&side, 1, 2, &nowhere); /* and with the device */
    install(&side, SHOAL_ROLE_INITIATOR, 500);
    side_close(&side);
    expect_copies(false);
}

static void retired_keys_are_nowhere_in_memory(void **state) {
    (void)state;
    for (suite = 0; suite < AEAD_SUITES && aead_suite_here(suite); suite++)
        for (uint32_t i = 0; shoal_aead_name(i); i++)
            keys_are_wiped(shoal_aead_name(i));
}

/* ---- Stacks ---- */

#define STAGED 8

/* Full packets, since a cipher spreads its key only over several blocks. */
static void write_packets(struct side *side, int count) {
    uint8_t packet[1400];
    for (int i = 0; i < count; i++)
        side_write(side, packet, world_packet(packet, false, 1, 2, 1300, (uint8_t)i));
}

static void traffic_leaves_no_key_on_a_stack(const char *aead) {
    struct side side;
    struct shoal_address stranger;
    uint8_t message[1500];
    side_open(&side, 1, &(struct world_options){.aead = aead});
    int fd = stranger_open(SHOAL_AF_INET, &stranger);
    side.peer = side_add_peer(&side, 1, 2, &stranger);
    write_packets(&side, STAGED);
    side_await(&side, "tx_staged", STAGED);
    install(&side, SHOAL_ROLE_INITIATOR, 100); /* seals what is staged, on this thread */
    for (int i = 0; i < STAGED; i++)
        assert_true(stranger_receive(fd, message, sizeof(message), WORLD_PATIENCE_MS) > 1300);
    assert_int_equal(shoal_peer_clear_sessions(side.device, side.peer), SHOAL_OK);
    expect_copies(false);

    install(&side, SHOAL_ROLE_INITIATOR, 200); /* and now the worker seals and opens */
    write_packets(&side, 1);
    size_t length = stranger_receive(fd, message, sizeof(message), WORLD_PATIENCE_MS);
    assert_true(length > 1300);
    message[4] = 200;
    stranger_send(fd, &side.outer, message, length); /* sealed with the other key: does not open */
    side_await(&side, "drop_rx_authentication", 1);
    assert_int_equal(shoal_peer_clear_sessions(side.device, side.peer), SHOAL_OK);
    expect_copies(false);
    close(fd);
    side_close(&side);
}

static void no_thread_keeps_a_key_on_its_stack(void **state) {
    (void)state;
    for (suite = 0; suite < AEAD_SUITES && aead_suite_here(suite); suite++)
        for (uint32_t i = 0; shoal_aead_name(i); i++)
            traffic_leaves_no_key_on_a_stack(shoal_aead_name(i));
}

/* Of what a key went through, most of the stack below keeps it until it is written over. */
__attribute__((noinline, no_sanitize_address, no_sanitize_thread)) static void
leave_copies_below(void) {
    volatile uint8_t below[WIPE_STACK - 1024];
    for (size_t i = 0; i < sizeof(below); i++)
        below[i] = key_byte(SEND_KEY, i % 32);
}

__attribute__((no_sanitize_address, no_sanitize_thread)) static int
copies_below(void (*between)(void)) {
    const uint8_t *here = __builtin_frame_address(0);
    leave_copies_below();
    if (between)
        between();
    return copies_in(here - WIPE_STACK, here, SEND_KEY);
}

static void leftovers_of_a_key_on_the_stack_are_cleared(void **state) {
    (void)state;
    assert_true(copies_below(NULL) > 0); /* or the search finds nothing at all */
    assert_int_equal(copies_below(wipe_leftovers), 0);
}

#if defined(__x86_64__)
/* Register 3 is all ones to the end that this CPU has, and 20, which only AVX-512 has. */
__attribute__((noinline)) static void fill_registers(void) {
    static const uint64_t ones[8] = {~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull};
    if (__builtin_cpu_supports("avx512f"))
        __asm__ volatile("vmovdqu64 %0, %%zmm3\n\tvmovdqu64 %0, %%zmm20" ::"m"(ones) : "xmm3");
    else if (__builtin_cpu_supports("avx"))
        __asm__ volatile("vmovdqu %0, %%ymm3" ::"m"(ones) : "xmm3");
    else
        __asm__ volatile("movdqu %0, %%xmm3" ::"m"(ones) : "xmm3");
}

__attribute__((noinline)) static uint64_t read_registers(void) {
    uint64_t held[16] = {0}, any = 0;
    if (__builtin_cpu_supports("avx512f"))
        __asm__ volatile("vmovdqu64 %%zmm3, %0\n\tvmovdqu64 %%zmm20, 64%0" : "+m"(held));
    else if (__builtin_cpu_supports("avx"))
        __asm__ volatile("vmovdqu %%ymm3, %0" : "+m"(held));
    else
        __asm__ volatile("movdqu %%xmm3, %0" : "+m"(held));
    for (int i = 0; i < 16; i++)
        any |= held[i];
    return any;
}

static void wide_registers_are_cleared_to_their_ends(void **state) {
    (void)state;
    fill_registers();
    assert_true(read_registers() != 0); /* or the test sees nothing at all */
    fill_registers();
    wipe_leftovers();
    assert_true(read_registers() == 0);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leftovers_of_a_key_on_the_stack_are_cleared),
#if defined(__x86_64__)
        cmocka_unit_test(wide_registers_are_cleared_to_their_ends),
#endif
        cmocka_unit_test(retired_keys_are_nowhere_in_memory),
        cmocka_unit_test(no_thread_keeps_a_key_on_its_stack),
    };
    return cmocka_run_group_tests_name("wipe", tests, NULL, NULL);
}
