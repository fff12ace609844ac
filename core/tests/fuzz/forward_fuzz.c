/*
 * T16: what a guest or a member sends through a host to another peer. Input: one control byte, then
 * the plaintext of one data message, sealed here with the sender's key. Bit 0: a member sends, else
 * a guest. Bit 1: the other one has no session. Bit 2: it is not there. Bits 3 and 4: source and
 * destination are made right, so that most inputs get that far. The upper three bits are the outer
 * TOS's low three.
 */
#include "fuzz.h"

#include "checksum.h"
#include "clock.h"
#include "device.h"
#include "worker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FORWARD_INDEX 100u /* and the member's behind it */

enum { FORWARD_GUEST, FORWARD_MEMBER, FORWARD_PEERS };

static struct device *forward_device;
static struct peer *forward_peers[FORWARD_PEERS];
static struct session *forward_sessions[FORWARD_PEERS];
static struct aead *forward_aead;
static struct aead_key forward_key;

static void forward_close(void) {
    aead_free(forward_aead);
    device_close(forward_device);
}

/* 10.9.0.2 and 3, fd09::2 and 3; 1 is ours. */
static struct shoal_prefix forward_address(bool v6, uint8_t number, uint16_t length) {
    struct shoal_prefix prefix = {SHOAL_AF_INET, length, {10, 9, 0, number}};
    if (v6)
        prefix = (struct shoal_prefix){SHOAL_AF_INET6, length, {0xfd, 9, [15] = number}};
    return prefix;
}

static struct session *forward_session(uint32_t which) {
    struct shoal_session session = {.role = SHOAL_ROLE_INITIATOR,
                                    .local_index = FORWARD_INDEX + which,
                                    .remote_index = 200 + which,
                                    .birth = clock_boottime()};
    struct session *made = session_create(&session, forward_peers[which], clock_boottime());
    REQUIRE(made && peer_install(forward_peers[which], &forward_device->workers[0]->pass.sessions,
                                 made) == SHOAL_OK);
    return made;
}

static void forward_setup(void) {
    struct shoal_device_config config = {
        .abi_version = SHOAL_ABI_VERSION, .flags = SHOAL_DEVICE_NO_TUN, .aead = "libsodium"};
    struct shoal_error error;
    REQUIRE(device_open(&config, &forward_device, &error) == SHOAL_OK);
    device_stop(forward_device);
    for (uint32_t i = 0; i < FORWARD_PEERS; i++) {
        shoal_peer_t handle;
        REQUIRE(peer_table_add(&forward_device->plane.peers, i + 1, &handle) == SHOAL_OK);
        struct peer *peer = forward_peers[i] =
            peer_table_find(&forward_device->plane.peers, handle);
        for (int v6 = 0; v6 < 2; v6++) {
            struct shoal_prefix own = forward_address(v6, (uint8_t)(2 + i), v6 ? 128 : 32);
            REQUIRE(route_insert(forward_device->plane.routes, &own, peer->slot) == SHOAL_OK);
        }
    }
    for (int v6 = 0; v6 < 2; v6++) {
        struct shoal_prefix inner = forward_address(v6, 1, v6 ? 64 : 16);
        forward_set_inner(&forward_device->plane.forward, &inner);
    }
    forward_peers[FORWARD_GUEST]->guest = true;
    forward_device->plane.forward.guests = 1;
    uint8_t key[AEAD_KEY_SIZE] = {0};
    forward_aead = aead_create(&forward_device->plane.aead);
    REQUIRE(forward_aead);
    aead_key_init(&forward_key, AEAD_CHACHA20_POLY1305, key);
    device_resume(forward_device);
    atexit(forward_close);
}

/* What is in the train is what was sent with one hop less and zeros behind it, or an ICMP error. */
static void forward_check(const struct train *train, const uint8_t *sent, size_t size,
                          bool carried) {
    static uint8_t plain[SOCKET_RECEIVE_MAX];
    struct packet packet, told;
    REQUIRE(train->count == 1 && train->bytes >= 32);
    uint64_t counter;
    memcpy(&counter, train->arena + 8, sizeof(counter));
    struct aead_packet sealed = {plain, train->arena + 16, counter, train->bytes - 16, false};
    REQUIRE(aead_open(forward_aead, &forward_key, &sealed, 1) == 1);
    REQUIRE(packet_parse(&packet, sent, size) == PACKET_OK);
    REQUIRE(packet_parse(&told, plain, train->bytes - 32) == PACKET_OK);
    uint32_t hops = packet.version == 4 ? 8 : 7;
    if (!carried) {
        REQUIRE(told.protocol == (packet.version == 4 ? 1 : 58));
        return;
    }
    REQUIRE(told.length == packet.length && sent[hops] > 1);
    REQUIRE(plain[hops] == sent[hops] - 1);
    for (uint32_t i = told.length; i < train->bytes - 32; i++)
        REQUIRE(plain[i] == 0);
    if (packet.version == 4) /* a checksum that was right stays right */
        REQUIRE(!checksum_ipv4_valid(sent, packet.header_length) ||
                checksum_ipv4_valid(plain, packet.header_length));
    for (uint32_t i = 0; i < packet.length; i++) {
        bool ecn = i <= 1;
        bool sum = packet.version == 4 && (i == 10 || i == 11);
        REQUIRE(ecn || sum || i == hops || plain[i] == sent[i]);
    }
}

static void forward_make_right(uint8_t *plain, size_t size, uint8_t control) {
    if (size == 0)
        return;
    bool v6 = plain[0] >> 4 == 6, member = control & 1;
    size_t length = v6 ? 16 : 4, source = v6 ? 8 : 12, destination = v6 ? 24 : 16;
    struct shoal_prefix from = forward_address(v6, member ? 3 : 2, 0);
    struct shoal_prefix to = forward_address(v6, member ? 2 : 3, 0);
    if (size < destination + length)
        return;
    if (control & 8)
        memcpy(plain + source, from.ip, length);
    if (control & 16)
        memcpy(plain + destination, to.ip, length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!forward_device)
        forward_setup();
    if (size < 1 || size - 1 > 2000)
        return 0;
    uint8_t control = data[0];
    uint32_t from = control & 1 ? FORWARD_MEMBER : FORWARD_GUEST;
    struct peer *other = forward_peers[1 - from];
    size_t length = size - 1;
    uint8_t *plain = exact_copy(data + 1, length, 0);
    forward_make_right(plain, length, control);
    uint8_t *message = exact_copy(NULL, 0, 16 + length + 16);
    memset(message, 0, 16); /* counter 0: the window is fresh for each input */
    message[0] = 4;
    message[4] = (uint8_t)(FORWARD_INDEX + from);

    device_stop(forward_device);
    struct pass *pass = &forward_device->workers[0]->pass;
    struct shoal_endpoint place = {
        .remote = {.family = SHOAL_AF_INET, .port = 9, .ip = {192, 0, 2, 1}}};
    for (uint32_t i = 0; i < FORWARD_PEERS; i++)
        forward_sessions[i] = forward_session(i);
    if (control & 2)
        peer_clear_sessions(other, &forward_device->workers[0]->pass.sessions);
    peer_set_endpoint(other, control & 4 ? &(struct shoal_endpoint){0} : &place);
    pass->now = forward_sessions[from]->birth + 1;
    struct aead_packet packet = {message + 16, plain, 0, (uint32_t)length, false};
    REQUIRE(aead_seal(forward_aead, &forward_key, &packet, 1));
    struct socket_received received = {.endpoint = place,
                                       .length = (uint32_t)length + 32,
                                       .segment = (uint32_t)length + 32,
                                       .tos = control >> 5};
    uint64_t forwarded = stats_get(&pass->stats, COUNT_forwarded);
    uint64_t opened = stats_get(&pass->stats, COUNT_rx_packets);
    rx_buffer(pass, &pass->sockets[PASS_INET], message, &received);
    rx_deliver(pass);
    REQUIRE(stats_get(&pass->stats, COUNT_rx_packets) == opened + 1);
    bool carried = stats_get(&pass->stats, COUNT_forwarded) == forwarded + 1;
    if (carried && control & 2)
        REQUIRE(other->staging.count == 1 && pass->tx.train.count == 0);
    else if (carried || pass->tx.train.count)
        forward_check(&pass->tx.train, plain, length, carried);
    tx_flush(pass);
    for (uint32_t i = 0; i < FORWARD_PEERS; i++) {
        peer_clear_sessions(forward_peers[i], &forward_device->workers[0]->pass.sessions);
        staging_clear(&forward_device->workers[0]->pass.staging, &forward_peers[i]->staging);
    }
    device_resume(forward_device);

    static uint8_t mail[1 << 18];
    while (mailbox_drain(forward_device->plane.post.mailbox, mail, sizeof(mail)) != 0)
        ;
    free(message);
    free(plain);
    return 0;
}
