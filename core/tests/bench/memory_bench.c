/*
 * What core keeps of peers: `./run bench many` runs this and reads its line, "peers configured
 * session": bytes of one peer with a route and an endpoint, its places in tables included, and the
 * bytes that a session adds.
 *
 *     memory_bench PEERS
 */
#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"

static void must(bool done, const char *what) {
    if (done)
        return;
    fprintf(stderr, "memory_bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Bytes that malloc has given away, large pieces included. */
static size_t used(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static shoal_device_t open_device(uint32_t peers_max) {
    struct shoal_device_config config = {
        .abi_version = SHOAL_ABI_VERSION, .ifname = "bench0", .workers = 1, .peers_max = peers_max};
    struct shoal_error error = {0};
    shoal_device_t device;
    must(shoal_device_open(&config, sizeof(config), &device, &error, sizeof(error)) == SHOAL_OK,
         error.what);
    return device;
}

static void close_device(shoal_device_t device) {
    must(shoal_device_close(device) == SHOAL_OK, "close");
}

/* What a device holds that may have one peer, and has none. */
static size_t used_by_device(void) {
    shoal_device_t device = open_device(1);
    close_device(device); /* what the libraries keep is there from here on */
    size_t before = used();
    device = open_device(1);
    size_t bytes = used() - before;
    close_device(device);
    return bytes;
}

static void add_peer(shoal_device_t device, uint32_t i, shoal_peer_t *peer) {
    uint8_t high = (uint8_t)(i >> 8), low = (uint8_t)i;
    struct shoal_prefix prefix = {SHOAL_AF_INET, 32, {10, 9, high, low}};
    struct shoal_endpoint endpoint = {.remote = {SHOAL_AF_INET, 6000, 0, {10, 1, high, low}}};
    must(shoal_peer_add(device, i, peer) == SHOAL_OK &&
             shoal_route_add(device, *peer, &prefix, sizeof(prefix)) == SHOAL_OK &&
             shoal_peer_set_endpoint(device, *peer, &endpoint, sizeof(endpoint)) == SHOAL_OK,
         "peer");
}

static void add_session(shoal_device_t device, uint32_t i, shoal_peer_t peer) {
    struct shoal_session session = {.role = SHOAL_ROLE_INITIATOR,
                                    .local_index = i + 1,
                                    .remote_index = i + 1,
                                    .birth = UINT64_MAX};
    must(shoal_session_install(device, peer, &session, sizeof(session)) == SHOAL_OK, "session");
}

int main(int argc, char **argv) {
    uint32_t count = argc == 2 ? (uint32_t)atoi(argv[1]) : 0;
    must(count >= 1 && count <= 65535, "usage: memory_bench PEERS (65,535 at most)");
    must(unshare(CLONE_NEWNET) == 0, "namespace (as root)");
    shoal_peer_t *peers = calloc(count, sizeof(*peers));
    must(peers != NULL, "memory");
    size_t before = used_by_device() + used();
    shoal_device_t device = open_device(count);
    for (uint32_t i = 0; i < count; i++)
        add_peer(device, i, &peers[i]);
    size_t configured = used();
    for (uint32_t i = 0; i < count; i++)
        add_session(device, i, peers[i]);
    printf("%u %.0f %.0f\n", count, (double)(configured - before) / count,
           (double)(used() - configured) / count);
    close_device(device);
    free(peers);
    return 0;
}
