#include "connected.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "heat.h"
#include "pass.h"
#include "train.h"

#define CLOSE_TURNS 64 /* of 256 KiB: more than a receive buffer by default */
#define FAILURES 2u    /* in a row, after which one is made anew: the first may be ICMP's */

/* What one batch reads from all of them: eight full buffers, or 128 small ones. */
#define READ_UNITS 128u

bool connected_init(struct connected *connected) {
    connected->places = calloc(CONNECTED_MAX, sizeof(*connected->places));
    if (!connected->places)
        return false;
    for (uint32_t i = 0; i < CONNECTED_MAX; i++)
        connected->places[i].udp.fd = -1;
    return true;
}

void connected_free(struct connected *connected) {
    for (uint32_t i = 0; connected->places && i < CONNECTED_MAX; i++)
        socket_close(&connected->places[i].udp);
    free(connected->places);
}

static uint64_t bit_of(uint32_t place) { return 1ull << place; }

static enum pass_socket shared_of(const struct connected_place *place) {
    return place->remote.family == SHOAL_AF_INET6 ? PASS_INET6 : PASS_INET;
}

static void count_places(struct connected *connected) {
    uint32_t count = (uint32_t)__builtin_popcountll(connected->used);
    atomic_store_explicit(&connected->count, count, memory_order_relaxed);
}

/* ---- Leaving ----------------------------------------------------------------------------- */

/* Whoever helps passes by a socket that is held: what came before lies in another one. */
static void hold(struct pass *pass, struct udp_socket *udp, bool held) {
    turns_lock(&pass->turns);
    udp->held += held ? 1u : UINT32_MAX;
    turns_unlock(&pass->turns);
}

/* Nothing comes to it from here on, and nobody else's datagrams do. */
static void begin_to_leave(struct pass *pass, uint32_t i) {
    struct connected *connected = &pass->connected;
    struct connected_place *place = &connected->places[i];
    hold(pass, &pass->sockets[shared_of(place)], true);
    (void)socket_connect(&place->udp, &place->local); /* refused: what comes last is lost */
    connected->waits &= ~bit_of(i);
    connected->goes &= ~bit_of(i);
    connected->leaves |= bit_of(i);
    place->begun = 0;
}

/* One that waits goes on waiting: what lies in the shared socket is older than what lies in it, and
 * what would come there from here on is newer. A train that waits for its room waits for that of
 * the shared socket. */
static void leave(struct pass *pass, uint32_t i, enum counter why) {
    struct connected *connected = &pass->connected;
    struct connected_place *place = &connected->places[i];
    if (place->peer)
        place->peer->connected = 0;
    place->peer = NULL;
    if (pass->tx.waiting_for == PASS_CONNECTED + i)
        pass->tx.waiting_for = shared_of(place);
    stats_add(&pass->stats, why, 1);
    if (connected->waits & bit_of(i))
        connected->goes |= bit_of(i);
    else
        begin_to_leave(pass, i);
}

static void close_place(struct pass *pass, uint32_t i) {
    struct connected *connected = &pass->connected;
    turns_lock(&pass->turns); /* a helper may be about to read it */
    uring_forget(&pass->uring, &connected->places[i].udp);
    socket_close(&connected->places[i].udp);
    turns_unlock(&pass->turns);
    hold(pass, &pass->sockets[shared_of(&connected->places[i])], false);
    connected->used &= ~bit_of(i);
    connected->leaves &= ~bit_of(i);
    count_places(connected);
}

void connected_forget(struct pass *pass, struct peer *peer) {
    if (pass->connected.wish == peer)
        pass->connected.wish = NULL;
    if (peer->connected)
        leave(pass, peer->connected - 1, COUNT_connected_moved);
}

static bool is_same_ip(const struct shoal_address *one, const struct shoal_address *other) {
    return one->family == other->family && memcmp(one->ip, other->ip, sizeof(one->ip)) == 0;
}

static bool is_same(const struct shoal_address *one, const struct shoal_address *other) {
    return is_same_ip(one, other) && one->port == other->port;
}

static bool fits(const struct connected_place *place, const struct shoal_endpoint *endpoint) {
    return is_same(&place->remote, &endpoint->remote) &&
           is_same_ip(&place->local, &endpoint->local);
}

/* Whoever moves all the time has no socket made for each place. */
void connected_follow(struct pass *pass, struct peer *peer) {
    if (!peer->connected || fits(&pass->connected.places[peer->connected - 1], &peer->endpoint))
        return;
    leave(pass, peer->connected - 1, COUNT_connected_moved);
    peer->connect_again = pass->now + CONNECTED_MOVED_NS;
}

bool connected_has(const struct pass *pass, const struct shoal_address *remote) {
    const struct connected *connected = &pass->connected;
    for (uint32_t i = 0; i < CONNECTED_MAX; i++)
        if (connected->places[i].peer && is_same(&connected->places[i].remote, remote))
            return true;
    return false;
}

static bool is_crowded_place(const struct pass *pass, const struct shoal_address *remote) {
    for (uint32_t i = 0; i < CONNECTED_CROWDS; i++) {
        const struct connected_crowd *crowd = &pass->connected.crowds[i];
        if (crowd->at && pass->now - crowd->at < CONNECTED_CROWD_NS &&
            is_same(&crowd->remote, remote))
            return true;
    }
    return false;
}

void connected_crowd_at(struct pass *pass, const struct shoal_address *remote) {
    struct connected *connected = &pass->connected;
    struct connected_crowd *place = &connected->crowds[0];
    for (uint32_t i = 0; i < CONNECTED_CROWDS; i++) {
        struct connected_crowd *crowd = &connected->crowds[i];
        if (crowd->at && is_same(&crowd->remote, remote)) {
            place = crowd;
            break;
        }
        if (crowd->at < place->at)
            place = crowd;
    }
    *place = (struct connected_crowd){*remote, pass->now};
    for (uint32_t i = 0; i < CONNECTED_MAX; i++)
        if (connected->places[i].peer && is_same(&connected->places[i].remote, remote))
            leave(pass, i, COUNT_connected_crowded);
}

uint64_t connected_place_of(const struct shoal_address *remote) {
    uint64_t hash = 0xcbf29ce484222325; /* FNV-1a, 64 bits */
    if (remote->family == SHOAL_AF_NONE)
        return 0;
    for (uint32_t i = 0; i < sizeof(remote->ip); i++)
        hash = (hash ^ remote->ip[i]) * 0x100000001b3;
    hash = (hash ^ (uint64_t)remote->family << 16 ^ remote->port) * 0x100000001b3;
    return hash ? hash : 1;
}

/* Whether another peer is at its place, as behind a relay. */
static bool is_crowded(const struct pass *pass, const struct peer *peer) {
    const struct peer_table *table = &pass->plane->peers;
    uint64_t place = connected_place_of(&peer->endpoint.remote);
    for (uint32_t i = 0; i < table->used; i++)
        if (i != peer->slot &&
            atomic_load_explicit(&table->entries[i].place, memory_order_relaxed) == place)
            return true;
    return false;
}

static void linger(void) { nanosleep(&(struct timespec){.tv_nsec = CONNECTED_LINGER_NS}, NULL); }

static void drain(struct pass *pass, struct udp_socket *udp) {
    for (int turn = 0; turn < CLOSE_TURNS && rx_drain(pass, udp); turn++)
        ;
}

/* By what is read here others may begin to leave. */
static void close_leaving(struct pass *pass) {
    struct connected *connected = &pass->connected;
    while (connected->leaves) {
        uint64_t leaves = connected->leaves;
        linger();
        for (uint32_t i = 0; i < CONNECTED_MAX; i++) {
            if (!(leaves & bit_of(i)))
                continue;
            drain(pass, &connected->places[i].udp);
            close_place(pass, i);
        }
    }
}

void connected_drain_shared(struct pass *pass, uint32_t which) {
    struct udp_socket *udp = &pass->sockets[which];
    close_leaving(pass);
    for (int turn = 0; turn < CLOSE_TURNS && udp->fd >= 0 && rx_drain(pass, udp); turn++)
        close_leaving(pass);
}

void connected_close_all(struct pass *pass) {
    struct connected *connected = &pass->connected;
    connected->wish = NULL;
    if (connected->waits) { /* what came before they were connected goes first */
        linger();
        for (uint32_t i = 0; i < PASS_SOCKETS; i++)
            connected_drain_shared(pass, i);
    }
    for (uint32_t i = 0; i < CONNECTED_MAX; i++) {
        if (connected->places[i].peer)
            leave(pass, i, COUNT_connected_moved);
        if (connected->used & ~connected->leaves & bit_of(i))
            begin_to_leave(pass, i);
    }
    close_leaving(pass);
}

/* ---- Sending ----------------------------------------------------------------------------- */

struct udp_socket *connected_of(struct pass *pass, const struct peer *peer) {
    return peer->connected ? &pass->connected.places[peer->connected - 1].udp : NULL;
}

static void tell(struct pass *pass, struct peer *peer, int error) {
    stats_add(&pass->stats, COUNT_connected_errors, 1);
    if (peer->refused_told && pass->now - peer->refused_told < CONNECTED_TELL_NS)
        return;
    peer->refused_told = pass->now;
    struct shoal_mail mail = {.kind = SHOAL_MAIL_REFUSED,
                              .tag = peer->tag,
                              .value = (uint32_t)error,
                              .time = pass->now,
                              .endpoint = peer->endpoint};
    post_frequent_news(&pass->plane->post, &pass->stats, &mail);
}

void connected_sent(struct pass *pass, const struct peer *peer) {
    pass->connected.places[peer->connected - 1].failures = 0;
    stats_add(&pass->stats, COUNT_tx_connected, 1);
}

void connected_failed(struct pass *pass, struct peer *peer, int error, int shared_error) {
    if (!peer->connected || shared_error) /* not this socket's fault, or gone already */
        return;
    uint32_t i = peer->connected - 1;
    tell(pass, peer, error);
    if (++pass->connected.places[i].failures >= FAILURES)
        leave(pass, i, COUNT_connected_refused);
}

/* ---- Receiving --------------------------------------------------------------------------- */

void connected_refused(struct connected *connected, const struct udp_socket *udp) {
    const struct connected_place *place =
        (const struct connected_place *)(const void *)((const uint8_t *)udp -
                                                       offsetof(struct connected_place, udp));
    atomic_fetch_or(&connected->refused, bit_of((uint32_t)(place - connected->places)));
}

static void tell_refused(struct pass *pass) {
    struct connected *connected = &pass->connected;
    if (!atomic_load_explicit(&connected->refused, memory_order_relaxed))
        return;
    uint64_t refused = atomic_exchange(&connected->refused, 0);
    for (uint32_t i = 0; i < CONNECTED_MAX; i++)
        if (refused & bit_of(i) && connected->places[i].peer)
            tell(pass, connected->places[i].peer, ECONNREFUSED);
}

/* In the batches after the one in which it was connected, so that what that one took is not
 * counted. */
static void begin(const struct pass *pass, struct connected_place *place) {
    if (place->begun)
        return;
    place->begun = pass->now;
    place->since = pass->realtime;
}

void connected_read_leaving(struct pass *pass) {
    struct connected *connected = &pass->connected;
    uint64_t leaves = connected->leaves;
    for (uint32_t i = 0; i < CONNECTED_MAX; i++) {
        struct connected_place *place = &connected->places[i];
        if (!(leaves & bit_of(i)))
            continue;
        begin(pass, place);
        bool more = rx_drain(pass, &place->udp);
        if (!more && pass->now - place->begun >= CONNECTED_LINGER_NS)
            close_place(pass, i);
    }
}

void connected_read(struct pass *pass, uint64_t ready) {
    struct connected *connected = &pass->connected;
    uint32_t first = connected->turn;
    pass->rx.units = 0;
    for (uint32_t n = 0; n < CONNECTED_MAX; n++) {
        uint32_t i = (first + n) % CONNECTED_MAX;
        if (!(ready & connected->used & ~connected->leaves & bit_of(i)))
            continue;
        if (pass->rx.units >= READ_UNITS)
            break;
        rx_drain(pass, &connected->places[i].udp);
        connected->turn = (i + 1) % CONNECTED_MAX;
    }
}

/* A train may wait for its room already: it is sent by before it is read. */
static bool poll_place(struct pass *pass, uint32_t i) {
    struct connected *connected = &pass->connected;
    bool full = tx_is_blocked(&pass->tx) && pass->tx.waiting_for == PASS_CONNECTED + i;
    struct epoll_event event = {.events = full ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                .data = {.u32 = PASS_EVENT_CONNECTED + i}};
    return epoll_ctl(connected->epoll, EPOLL_CTL_ADD, connected->places[i].udp.fd, &event) == 0;
}

void connected_shared_read(struct pass *pass, uint32_t which, bool dry) {
    struct connected *connected = &pass->connected;
    turns_lock(&pass->turns);
    uint64_t till = pass->sockets[which].read_till;
    turns_unlock(&pass->turns);
    for (uint32_t i = 0; i < CONNECTED_MAX; i++) {
        struct connected_place *place = &connected->places[i];
        if (!(connected->waits & bit_of(i)) || shared_of(place) != which)
            continue;
        begin(pass, place);
        uint64_t waited = pass->now - place->begun;
        bool later = till >= place->since + CONNECTED_LINGER_NS;
        if (waited < CONNECTED_LINGER_NS || (!dry && !later && waited < CONNECTED_WAIT_NS))
            continue;
        connected->waits &= ~bit_of(i);
        hold(pass, &place->udp, false);
        if (connected->goes & bit_of(i)) {
            begin_to_leave(pass, i);
        } else if (!poll_place(pass, i)) {
            atomic_store_explicit(&connected->error, errno, memory_order_relaxed);
            leave(pass, i, COUNT_connected_refused);
        }
    }
}

/* ---- Which peers ------------------------------------------------------------------------- */

void connected_note(struct pass *pass, struct peer *peer, uint32_t n) {
    const struct plane *plane = pass->plane;
    if (!offload_has(&plane->offload, SHOAL_OFFLOAD_CONNECTED))
        return;
    struct peer *wish = pass->connected.wish;
    uint32_t now = heat_add(&peer->heat, heat_period(pass->now), n);
    if (!peer->connected && now >= plane->connect_after && (!wish || now > wish->heat.now))
        pass->connected.wish = peer;
}

static bool may_connect(struct pass *pass, const struct peer *peer) {
    const struct plane *plane = pass->plane;
    const struct shoal_endpoint *endpoint = &peer->endpoint;
    return !peer->connected && !peer_has_lanes(peer) && peer->way == AROUND_PLAIN &&
           endpoint->remote.family != SHOAL_AF_NONE &&
           endpoint->local.family == endpoint->remote.family && !endpoint->remote.scope &&
           !is_crowded_place(pass, &endpoint->remote) &&
           pass->sockets[endpoint->remote.family == SHOAL_AF_INET6].fd >= 0 &&
           atomic_load_explicit(&plane->port, memory_order_relaxed);
}

/* The least busy one of those that are open: neither new, nor leaving already. */
static uint32_t coldest(const struct connected *connected, uint64_t period) {
    uint32_t found = CONNECTED_MAX, least = UINT32_MAX;
    for (uint32_t i = 0; i < CONNECTED_MAX; i++) {
        if (!connected->places[i].peer || connected->waits & bit_of(i))
            continue;
        uint32_t heat = heat_of(&connected->places[i].peer->heat, period);
        if (found == CONNECTED_MAX || heat < least) {
            found = i;
            least = heat;
        }
    }
    return found;
}

/* A place that is free; CONNECTED_MAX: none, and perhaps there will be one. */
static uint32_t find_place(struct pass *pass, const struct peer *peer) {
    struct connected *connected = &pass->connected;
    if (connected->goes) /* that may be connected to the place where the peer is */
        return CONNECTED_MAX;
    if ((uint32_t)__builtin_popcountll(connected->used) < pass->plane->connect_max)
        return (uint32_t)__builtin_ctzll(~connected->used);
    if (connected->leaves)
        return CONNECTED_MAX; /* soon */
    uint64_t period = heat_period(pass->now);
    uint32_t cold = coldest(connected, period);
    if (cold != CONNECTED_MAX &&
        heat_beats(&peer->heat, &connected->places[cold].peer->heat, period))
        leave(pass, cold, COUNT_connected_evicted);
    else
        connected->next_try = pass->now + CONNECTED_PACE_NS;
    return CONNECTED_MAX;
}

static void occupy(struct pass *pass, uint32_t i, const struct udp_socket *udp, struct peer *peer) {
    struct connected *connected = &pass->connected;
    struct connected_place *place = &connected->places[i];
    turns_lock(&pass->turns);
    place->udp = *udp;
    place->udp.held = 1; /* until the shared one has given what came before */
    turns_unlock(&pass->turns);
    place->peer = peer;
    place->remote = peer->endpoint.remote;
    place->local = peer->endpoint.local;
    place->local.port = atomic_load_explicit(&pass->plane->port, memory_order_relaxed);
    place->begun = 0;
    place->failures = 0;
    peer->connected = i + 1;
    connected->used |= bit_of(i);
    connected->waits |= bit_of(i);
    count_places(connected);
}

/* Where a worker is alone its socket lets others have the port only meanwhile: SO_REUSEPORT costs
 * each datagram a hash. */
static int open_place(struct pass *pass, struct udp_socket *udp, const struct peer *peer) {
    const struct plane *plane = pass->plane;
    const struct udp_socket *shared = pass_socket_for(pass, peer->endpoint.remote.family);
    struct socket_options options = {.fwmark = plane->fwmark,
                                     .receive_buffer = plane->receive_buffer,
                                     .send_buffer = SOCKET_SEND_BUFFER,
                                     .joins = true};
    struct shoal_address local = peer->endpoint.local;
    local.port = plane->port;
    int error = plane->workers > 1 ? 0 : socket_open_group(shared);
    pass->connected.gro = offload_has(&plane->offload, SHOAL_OFFLOAD_UDP_GRO);
    if (!error)
        error = socket_open_connected(udp, &options, pass->connected.gro, &local,
                                      &peer->endpoint.remote);
    if (plane->workers == 1)
        socket_close_group(shared);
    return error;
}

static void promote(struct pass *pass, struct peer *peer) {
    struct connected *connected = &pass->connected;
    uint32_t i = find_place(pass, peer);
    if (i == CONNECTED_MAX)
        return;
    struct udp_socket udp = {.fd = -1};
    int error = open_place(pass, &udp, peer);
    if (udp.fd >= 0)
        occupy(pass, i, &udp, peer);
    if (!error) {
        stats_add(&pass->stats, COUNT_connected_opened, 1);
        return;
    }
    atomic_store_explicit(&connected->error, error, memory_order_relaxed);
    peer->connect_again = connected->next_try = pass->now + CONNECTED_REST_NS;
    if (udp.fd >= 0) { /* bound for a moment: others have written to it, and would go on */
        connected->waits &= ~bit_of(i);
        leave(pass, i, COUNT_connected_refused);
    } else
        stats_add(&pass->stats, COUNT_connected_refused, 1);
}

static void sweep(struct pass *pass) {
    struct connected *connected = &pass->connected;
    uint64_t period = heat_period(pass->now);
    if (connected->sweep == period)
        return;
    connected->sweep = period;
    for (uint32_t i = 0; i < CONNECTED_MAX; i++) {
        const struct peer *peer = connected->places[i].peer;
        if (peer && heat_is_idle(&peer->heat, period))
            leave(pass, i, COUNT_connected_idle);
    }
}

/* ---- News of routes ---------------------------------------------------------------------- */

/* The source is asked about now, not at the next send; and what the kernel remembers of the way is
 * replaced. */
static void reconnect(struct pass *pass, uint32_t i) {
    struct connected_place *place = &pass->connected.places[i];
    struct peer *peer = place->peer;
    train_reconsider_way(pass, peer);
    if (!place->peer) /* it has lost its source */
        return;
    if (peer->way != AROUND_PLAIN || socket_connect(&place->udp, &place->remote) != 0)
        leave(pass, i, COUNT_connected_moved);
    else
        stats_add(&pass->stats, COUNT_connected_again, 1);
}

static void follow_routes(struct pass *pass) {
    struct connected *connected = &pass->connected;
    uint32_t changes = atomic_load_explicit(&pass->plane->route_changes, memory_order_relaxed);
    if (connected->routes_seen == changes)
        return;
    connected->routes_seen = changes;
    for (uint32_t i = 0; i < CONNECTED_MAX; i++)
        if (connected->places[i].peer)
            reconnect(pass, i);
}

void connected_settle(struct pass *pass) {
    struct connected *connected = &pass->connected;
    struct peer *wish = connected->wish;
    connected->wish = NULL;
    if (connected->used) {
        follow_routes(pass);
        tell_refused(pass);
        sweep(pass);
    }
    if (!wish || pass->now < connected->next_try || pass->now < wish->connect_again)
        return;
    if (wish->endpoint.remote.family != SHOAL_AF_NONE)
        train_reconsider_way(pass, wish);
    if (!may_connect(pass, wish))
        return;
    if (is_crowded(pass, wish)) {
        connected_crowd_at(pass, &wish->endpoint.remote);
        connected->next_try = pass->now + CONNECTED_PACE_NS;
        return;
    }
    promote(pass, wish);
}
