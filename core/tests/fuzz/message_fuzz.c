/*
 * T16: the UDP port: buffers as UDP_GRO delivers them, through the receive path of a device without
 * a TUN. Input: one control byte, two bytes of segment size, then either the buffer as it arrives
 * (bit 0 clear) or the plaintext of one data message, which is sealed here with the session's key
 * so that the code behind the tag is reached (bit 0 set). The upper six bits are the outer TOS's
 * low six.
 */
#include "fuzz.h"

#include "clock.h"
#include "device.h"
#include "worker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MESSAGE_INDEX 100u

static struct device *message_device;
static struct session *message_session;
static struct aead *message_aead;
static struct aead_key message_key;

static void message_close(void) {
    aead_free(message_aead);
    device_close(message_device);
}

static void message_open(void) {
    struct shoal_device_config config = {
        .abi_version = SHOAL_ABI_VERSION, .flags = SHOAL_DEVICE_NO_TUN, .aead = "libsodium"};
    struct shoal_error error;
    REQUIRE(device_open(&config, &message_device, &error) == SHOAL_OK);
    device_stop(message_device);
    shoal_peer_t handle;
    REQUIRE(peer_table_add(&message_device->plane.peers, 1, &handle) == SHOAL_OK);
    struct peer *peer = peer_table_find(&message_device->plane.peers, handle);
    static const struct shoal_prefix prefixes[] = {{.family = SHOAL_AF_INET},
                                                   {.family = SHOAL_AF_INET6}};
    for (int i = 0; i < 2; i++)
        REQUIRE(route_insert(message_device->plane.routes, &prefixes[i], peer->slot) == SHOAL_OK);
    struct shoal_session session = {.role = SHOAL_ROLE_INITIATOR,
                                    .local_index = MESSAGE_INDEX,
                                    .remote_index = 200,
                                    .birth = clock_boottime()};
    message_session = session_create(&session, peer, clock_boottime());
    REQUIRE(message_session && peer_install(peer, &message_device->workers[0]->pass.sessions,
                                            message_session) == SHOAL_OK);
    message_aead = aead_create(&message_device->plane.aead);
    REQUIRE(message_aead);
    aead_key_init(&message_key, AEAD_CHACHA20_POLY1305, session.receive_key);
    device_resume(message_device);
    atexit(message_close);
}

/* @return the data message, `*size` bytes of it now. */
static uint8_t *message_seal(const uint8_t *plain, size_t *size) {
    uint8_t *message = exact_copy(NULL, 0, 16 + *size + 16);
    memset(message, 0, 16); /* counter 0: the window is fresh for each input */
    message[0] = 4;
    message[4] = MESSAGE_INDEX;
    struct aead_packet packet = {message + 16, plain, 0, (uint32_t)*size, false};
    REQUIRE(aead_seal(message_aead, &message_key, &packet, 1));
    *size += 32;
    return message;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!message_device)
        message_open();
    if (size < 3 || size - 3 > SOCKET_RECEIVE_MAX - 32)
        return 0;
    bool seal = data[0] & 1;
    size_t length = size - 3;
    uint32_t segment = (uint32_t)data[1] << 8 | data[2];
    uint8_t *buffer = seal ? message_seal(data + 3, &length) : exact_copy(data + 3, length, 0);
    struct socket_received received = {
        .endpoint = {.remote = {.family = SHOAL_AF_INET, .port = 9, .ip = {192, 0, 2, 1}}},
        .length = (uint32_t)length,
        .segment = seal || segment == 0 || segment > length ? (uint32_t)length : segment,
        .tos = data[0] >> 2,
    };

    device_stop(message_device);
    struct pass *pass = &message_device->workers[0]->pass;
    pass->now = message_session->birth + 1;
    memset(&message_session->replay, 0, sizeof(message_session->replay));
    uint64_t before = stats_get(&pass->stats, COUNT_rx_packets);
    rx_buffer(pass, &pass->sockets[PASS_INET], buffer, &received);
    rx_deliver(pass);
    uint64_t opened = stats_get(&pass->stats, COUNT_rx_packets) - before;
    REQUIRE(opened == (seal ? 1 : 0)); /* R46: what was not sealed with the key is not believed */
    if (!seal)
        REQUIRE(message_session->replay.next == 0); /* and moves no window */
    device_resume(message_device);

    static uint8_t mail[1 << 18];
    while (mailbox_drain(message_device->plane.post.mailbox, mail, sizeof(mail)) != 0)
        ;
    free(buffer);
    return 0;
}
