#include "turns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "pass.h"
#include "wire.h"

#define LOCK_TRIES 300u /* some 30 us; 64 KiB are received in 9 */
#define LOCK_RELAX 4u
#define RUN_MAX 45u /* messages of one call: what a gathered buffer of full ones holds */

bool turns_init(struct turns *turns, uint32_t workers) {
    pthread_mutex_init(&turns->mutex, NULL);
    turns->size = workers > 1 ? TURNS : 1;
    turns->ring = calloc(turns->size, sizeof(*turns->ring));
    turns->memory = aligned_alloc(4096, (size_t)turns->size * TURN_BYTES);
    if (!turns->ring || !turns->memory)
        return false;
    for (uint32_t i = 0; i < turns->size; i++)
        turns->ring[i].bytes = turns->memory + (size_t)i * TURN_BYTES;
    return true;
}

void turns_free(struct turns *turns) {
    if (turns->ring)
        sodium_memzero(turns->ring, turns->size * sizeof(*turns->ring));
    free(turns->ring);
    free(turns->memory);
}

/* ---- The lock ---------------------------------------------------------------------------- */

/* A processor that another thread shares gives it room; about 64 cycles on Zen and Skylake. */
static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb"); /* yield is nothing on most of them */
#endif
}

void turns_mutex_lock(pthread_mutex_t *mutex) {
    for (uint32_t i = 0; i < LOCK_TRIES; i++) {
        if (pthread_mutex_trylock(mutex) == 0)
            return;
        for (uint32_t k = 0; k < LOCK_RELAX; k++)
            relax();
    }
    pthread_mutex_lock(mutex);
}

/* ---- Taking ------------------------------------------------------------------------------ */

static uint32_t datagrams_in(const struct socket_received *received) {
    if (!received->length)
        return 1;
    return (received->length + received->segment - 1) / received->segment;
}

/* The place of a message's key among those of the turn; TURN_KEYS: it is not opened ahead. */
static uint8_t key_of(struct pass *of, struct pass *by, struct turn *turn, const uint8_t *message,
                      uint32_t length) {
    if (length < WIRE_DATA_OVERHEAD || wire_get_le32(message) != WIRE_DATA)
        return TURN_KEYS;
    uint32_t index = wire_get_le32(message + WIRE_DATA_INDEX);
    const struct session *session = session_table_find(&of->sessions, index);
    uint64_t counter = wire_get_le64(message + WIRE_DATA_COUNTER);
    if (!session || session_expired(session, by->now) || counter >= session_counter_limit(session))
        return TURN_KEYS;
    if (of == by && !replay_check(&session->replay, counter)) /* a helper may not look at it */
        return TURN_KEYS;
    for (uint32_t i = turn->keys_count; i-- > 0;)
        if (turn->keys[i].serial == session->receive.serial)
            return (uint8_t)i;
    if (turn->keys_count == TURN_KEYS)
        return TURN_KEYS;
    turn->keys[turn->keys_count] = session->receive;
    return (uint8_t)turn->keys_count++;
}

static void copy_keys(struct pass *of, struct pass *by, struct turn *turn) {
    turn->keys_count = turn->messages = 0;
    for (uint32_t p = 0; p < turn->parts_count; p++) {
        const struct turn_part *part = &turn->parts[p];
        uint32_t count = datagrams_in(&part->received), at = 0;
        for (uint32_t i = 0; i < count && turn->messages < TURN_MESSAGES; i++) {
            uint32_t left = part->received.length - at;
            uint32_t length = left < part->received.segment ? left : part->received.segment;
            turn->key_of[turn->messages++] = key_of(of, by, turn, part->bytes + at, length);
            at += length;
        }
    }
}

/* What its last use held. Nobody points there any more, since its place in the ring is free. */
static void give_back(struct uring *uring, struct turn *turn) {
    while (turn->held_count)
        uring_give_back(uring, turn->held[--turn->held_count]);
}

/* Small ones lie close together afterwards, and their buffer may be filled again at once. */
static void take_ahead(struct uring *uring, struct udp_socket *udp, struct turn *turn,
                       struct turn_part *part, uint8_t *room) {
    struct uring_taken taken = uring_take(uring, udp, &part->received);
    if (part->received.length > TURN_COPY) {
        part->bytes = taken.bytes;
        turn->held[turn->held_count++] = taken.place;
        return;
    }
    memcpy(room, taken.bytes, part->received.length);
    part->bytes = room;
    uring_give_back(uring, taken.place);
}

/* An error that was queued on the socket; reading took it away. */
static void note_error(struct pass *of, struct pass *by, const struct udp_socket *udp) {
    stats_add(&by->stats, COUNT_rx_errors, 1);
    if (udp->connected)
        connected_refused(&of->connected, udp);
}

/* One receive: what io_uring brought ahead, by it, or by a plain call. @return 0 or an errno */
static int receive_part(struct pass *of, struct pass *by, struct turn *turn, struct udp_socket *udp,
                        uint8_t *room, bool *dry) {
    struct turn_part *part = &turn->parts[turn->parts_count];
    if (!udp->ahead && !*dry && by == of && uring_serves(&of->uring, udp)) {
        int error = uring_receive(&of->uring, udp, &by->stats, dry);
        if (error && !udp->ahead)
            return error;
        if (error)
            note_error(of, by, udp);
    }
    if (udp->ahead) {
        take_ahead(&of->uring, udp, turn, part, room);
        return 0;
    }
    if (*dry)
        return EAGAIN;
    part->bytes = room;
    return socket_receive(udp, room, SOCKET_RECEIVE_MAX, &part->received);
}

/* Receives what fits into a turn. @return bytes; 0 with no part: dry */
static uint32_t receive(struct pass *of, struct pass *by, struct turn *turn,
                        struct udp_socket *udp) {
    uint32_t filled = 0;
    bool dry = false;
    turn->parts_count = 0;
    give_back(&of->uring, turn);
    /* Bounded by tries, not by what they bring: an error that stays must not hold the worker. */
    for (uint32_t tries = 0; udp->fd >= 0 && tries < TURN_RECEIVES && filled < TURN_FULL; tries++) {
        struct turn_part *part = &turn->parts[turn->parts_count];
        int error = receive_part(of, by, turn, udp, turn->bytes + filled, &dry);
        if (error == EAGAIN)
            break;
        if (error) {
            note_error(of, by, udp);
            continue;
        }
        if (udp->connected)
            stats_add(&by->stats, COUNT_rx_connected, 1);
        udp->gathers = part->received.length >= URING_GATHERED;
        filled += (part->received.length + 63) & ~63u; /* what is lost below counts as well */
        if (rx_shorten(of, by, udp, part->bytes, &part->received))
            turn->parts_count++;
        else
            stats_add(&by->stats, COUNT_drop_rx_queue, part->received.overflow);
    }
    return filled;
}

/* ---- Opening ----------------------------------------------------------------------------- */

/* Opens a run of messages that have one key. */
static void open_run(struct aead *aead, const struct turn *turn, struct turn_verdict *verdicts,
                     struct aead_packet *packets, uint32_t count, uint8_t key_of_run) {
    if (!count)
        return;
    const struct aead_key *key = &turn->keys[key_of_run];
    aead_open(aead, key, packets, count);
    for (uint32_t i = 0; i < count; i++)
        verdicts[i] = (struct turn_verdict){.serial = key->serial, .right = packets[i].ok};
}

static void open_ahead(struct aead *aead, struct turn *turn) {
    struct aead_packet packets[RUN_MAX];
    uint32_t number = 0, run = 0;
    uint8_t of_run = TURN_KEYS;
    for (uint32_t p = 0; p < turn->parts_count; p++) {
        const struct turn_part *part = &turn->parts[p];
        uint32_t count = datagrams_in(&part->received), at = 0;
        for (uint32_t i = 0; i < count && number < turn->messages; i++, number++) {
            uint32_t left = part->received.length - at;
            uint32_t length = left < part->received.segment ? left : part->received.segment;
            uint8_t key = turn->key_of[number];
            if (key != of_run || run == RUN_MAX) {
                open_run(aead, turn, &turn->verdicts[number - run], packets, run, of_run);
                of_run = key;
                run = 0;
            }
            if (key == TURN_KEYS) {
                turn->verdicts[number] = (struct turn_verdict){0};
            } else {
                uint8_t *message = part->bytes + at, *plain = message + WIRE_DATA_HEADER;
                packets[run++] =
                    (struct aead_packet){.out = plain,
                                         .in = plain,
                                         .counter = wire_get_le64(message + WIRE_DATA_COUNTER),
                                         .length = length - WIRE_DATA_HEADER};
            }
            at += length;
        }
    }
    open_run(aead, turn, &turn->verdicts[number - run], packets, run, of_run);
    sodium_memzero(turn->keys, turn->keys_count * sizeof(turn->keys[0]));
}

enum turn_taken turns_take(struct pass *of, struct pass *by, struct udp_socket *udp) {
    struct turns *turns = &of->turns;
    turns_lock(turns);
    uint32_t first = atomic_load_explicit(&turns->first, memory_order_acquire);
    if (turns->next - first == turns->size) {
        turns_unlock(turns);
        return TURN_NO_ROOM;
    }
    if (by != of && udp->held) {
        turns_unlock(turns);
        return TURN_DRY;
    }
    struct turn *turn = &turns->ring[turns->next % turns->size];
    uint32_t bytes = receive(of, by, turn, udp);
    bool got = turn->parts_count > 0;
    if (got) {
        copy_keys(of, by, turn);
        atomic_store_explicit(&turn->state, TURN_TAKEN, memory_order_relaxed);
        turns->next++;
    }
    turns_unlock(turns);
    if (!got)
        return TURN_DRY;
    if (by != of)
        stats_add(&by->stats, COUNT_turns_helped, 1);
    open_ahead(by->aead, turn);
    atomic_store(&turn->state, TURN_DONE);
    return bytes < TURN_FULL ? TURN_OPENED : TURN_FILLED;
}

/* ---- Putting out ------------------------------------------------------------------------- */

static void put_out(struct pass *pass, struct turn *turn) {
    uint32_t number = 0;
    for (uint32_t p = 0; p < turn->parts_count; p++) {
        struct turn_part *part = &turn->parts[p];
        uint32_t count = datagrams_in(&part->received);
        uint32_t known = number + count <= turn->messages ? count : turn->messages - number;
        /* What is answered leaves by the shared socket: another one may be closed by now. */
        uint16_t family = part->received.endpoint.remote.family;
        rx_opened_buffer(pass, &pass->sockets[family == SHOAL_AF_INET6 ? PASS_INET6 : PASS_INET],
                         part->bytes, &part->received, &turn->verdicts[number], known);
        number += known;
    }
}

bool turns_put_out(struct pass *pass) {
    struct turns *turns = &pass->turns;
    uint32_t begin = atomic_load_explicit(&turns->first, memory_order_relaxed), first = begin;
    while (first - begin < turns->size &&
           atomic_load(&turns->ring[first % turns->size].state) == TURN_DONE)
        put_out(pass, &turns->ring[first++ % turns->size]);
    if (first == begin)
        return false;
    rx_deliver(pass); /* until here it points into the turns */
    tx_flush(pass);   /* what was forwarded */
    for (uint32_t i = begin; i != first; i++)
        atomic_store_explicit(&turns->ring[i % turns->size].state, TURN_FREE, memory_order_relaxed);
    atomic_store_explicit(&turns->first, first, memory_order_release);
    return true;
}
