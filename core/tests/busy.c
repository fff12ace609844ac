#include "busy.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"

enum { OURS = 1, KEY = 2, PAYLOAD = 100 };

uint32_t busy_index(const struct busy *busy, uint32_t number) {
    return 0x5a00u | number << 16 | number % busy->workers;
}

void busy_open(struct busy *busy, uint16_t family, uint32_t workers, uint32_t peers,
               uint32_t most) {
    memset(busy, 0, sizeof(*busy));
    busy->workers = workers;
    busy->last = BUSY_FIRST + peers - 1;
    side_open(&busy->side, OURS, &(struct world_options){.workers = workers, .outer = family});
    side_connect(&busy->side, 1, most);
    for (uint32_t i = BUSY_FIRST; i <= busy->last; i++) {
        busy->sockets[i] = stranger_open(family, &busy->places[i]);
        busy->peers[i] = side_add_peer(&busy->side, i, (uint8_t)i, &busy->places[i]);
        struct shoal_session session =
            world_session(&busy->side, SHOAL_ROLE_INITIATOR, busy_index(busy, i), i, 0);
        busy->side.peer = busy->peers[i];
        side_install(&busy->side, &session);
    }
}

void busy_close(struct busy *busy) {
    for (uint32_t i = BUSY_FIRST; i <= busy->last; i++)
        close(busy->sockets[i]);
    side_close(&busy->side);
}

size_t busy_send(struct busy *busy, uint32_t number, int by, uint8_t *packet) {
    uint8_t message[PAYLOAD + 128];
    uint64_t counter = busy->counters[number]++;
    size_t length = world_packet(packet, false, (uint8_t)number, OURS, PAYLOAD, (uint8_t)counter);
    size_t size = forge(message, KEY, busy_index(busy, number), counter, packet, length);
    stranger_send(by, &busy->side.outer, message, size);
    return length;
}

void busy_from(struct busy *busy, uint32_t number, int by) {
    uint8_t packet[PAYLOAD + 64];
    size_t length = busy_send(busy, number, by, packet);
    side_expect(&busy->side, packet, length);
}

void busy_to(struct busy *busy, uint32_t number, int at) {
    uint8_t packet[PAYLOAD + 64], message[PAYLOAD + 128], plain[PAYLOAD + 128];
    size_t length = world_packet(packet, false, OURS, (uint8_t)number, PAYLOAD, 7);
    side_write(&busy->side, packet, length);
    size_t size = stranger_receive(at, message, sizeof(message), WORLD_PATIENCE_MS);
    assert_true(size > 0);
    assert_true(unforge(plain, OURS, message, size) >= (long)length);
    assert_memory_equal(plain, packet, length);
}

void busy_warm(struct busy *busy, uint32_t number) {
    uint64_t before = side_counter_now(&busy->side, "connected_opened");
    for (int i = 0; i < 1000; i++) {
        busy_from(busy, number, busy->sockets[number]);
        busy_to(busy, number, busy->sockets[number]);
        if (side_counter_now(&busy->side, "connected_opened") > before)
            return;
    }
    fail_msg("peer %u has no socket of its own", number);
}

void busy_by_own(struct busy *busy, uint32_t number) {
    uint64_t until = world_now() + WORLD_PATIENCE_MS * 1000000ull;
    while (world_now() < until) {
        uint64_t before = side_counter(&busy->side, "rx_connected");
        busy_from(busy, number, busy->sockets[number]);
        if (side_counter(&busy->side, "rx_connected") > before)
            return;
    }
    fail_msg("peer %u is not heard by a socket of its own", number);
}

uint32_t busy_count(struct busy *busy) {
    struct shoal_device_info info;
    assert_int_equal(shoal_device_info(busy->side.device, &info, sizeof(info)), SHOAL_OK);
    return info.connected;
}

void busy_await(struct busy *busy, uint32_t count) {
    uint64_t until = world_now() + WORLD_PATIENCE_MS * 1000000ull;
    while (busy_count(busy) != count) {
        if (world_now() > until)
            fail_msg("%u sockets are connected, wanted %u", busy_count(busy), count);
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
    }
}

void busy_switch(struct busy *busy, bool on) {
    assert_int_equal(shoal_device_set_offloads(busy->side.device, SHOAL_OFFLOAD_CONNECTED,
                                               on ? SHOAL_OFFLOAD_CONNECTED : 0),
                     SHOAL_OK);
}
