#include "pass.h"

#include <errno.h>

int pass_init(struct pass *pass, struct plane *plane, uint32_t worker, uint64_t staged_bytes_max,
              const uint8_t seed[32]) {
    pass->plane = plane;
    pass->worker = worker;
    pass->tun.fd = -1;
    pass->routes.news = pass->routes.queries = -1;
    for (int i = 0; i < PASS_SOCKETS; i++)
        pass->sockets[i].fd = -1;
    pass->connected.epoll = pass->uring.fd = -1;
    pass->tx.waiting_for = PASS_SOCKETS;
    pass->staging.bytes_max = staged_bytes_max;
    pass->aead = aead_create(&plane->aead);
    rx_init(&pass->rx, seed);
    if (plane->uring)
        uring_open(&pass->uring, plane->workers > 1, &plane->uring_refused);
    bool made = pass->aead && tx_init(&pass->tx, seed) &&
                session_table_init(&pass->sessions, seed + 16) &&
                connected_init(&pass->connected) && turns_init(&pass->turns, plane->workers) &&
                sealing_init(&pass->sealing, plane->workers);
    return made ? 0 : ENOMEM;
}

void pass_free(struct pass *pass) {
    for (int i = 0; i < PASS_SOCKETS; i++)
        socket_close(&pass->sockets[i]);
    connected_free(&pass->connected);
    routes_close(&pass->routes);
    aead_free(pass->aead);
    tx_free(&pass->tx);
    turns_free(&pass->turns);
    uring_close(&pass->uring);
    sealing_free(&pass->sealing);
    session_table_free(&pass->sessions);
}

void pass_set_endpoint(struct pass *pass, struct peer *peer,
                       const struct shoal_endpoint *endpoint) {
    peer_set_endpoint(peer, endpoint);
    atomic_store_explicit(&pass->plane->peers.entries[peer->slot].place,
                          connected_place_of(&endpoint->remote), memory_order_relaxed);
    connected_follow(pass, peer);
}

void pass_note_stall(struct pass *pass, uint64_t *since, bool stands) {
    uint64_t now = pass->now;
    if (!stands) {
        *since = 0;
        return;
    }
    if (!*since)
        *since = now;
    uint64_t until = atomic_load_explicit(&pass->alone_until, memory_order_relaxed);
    if (now < until || now - *since < PASS_STALL_NS)
        return;
    bool soon = pass->alone_for && now < until + pass->alone_for;
    uint64_t twice = 2 * pass->alone_for;
    pass->alone_for = !soon ? PASS_ALONE_NS : twice < PASS_ALONE_MAX_NS ? twice : PASS_ALONE_MAX_NS;
    atomic_store_explicit(&pass->alone_until, now + pass->alone_for, memory_order_relaxed);
}

void pass_call_help(struct pass *pass) {
    struct plane *plane = pass->plane;
    uint64_t idle = atomic_load_explicit(&plane->idle, memory_order_relaxed);
    if (pass->now < atomic_load_explicit(&pass->alone_until, memory_order_relaxed))
        return;
    while (idle) {
        uint32_t helper = (uint32_t)__builtin_ctzll(idle);
        if (atomic_compare_exchange_weak(&plane->idle, &idle, idle & ~(1ull << helper))) {
            handoff_call(&plane->boxes[helper], pass->worker);
            return;
        }
    }
}
