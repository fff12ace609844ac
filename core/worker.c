#include "worker.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "foreign.h"

/* What an epoll event is about; the last three only in what is ready. */
enum source {
    SOURCE_WAKE,
    SOURCE_TUN,
    SOURCE_LINK,
    SOURCE_ROUTES,
    SOURCE_INET,
    SOURCE_INET6,
    SOURCES,
    SOURCE_TUN_UP = SOURCES,
    SOURCE_TUN_LOST,
    SOURCE_ROOM
};

#define PACKETS (1u << SOURCE_TUN | 1u << SOURCE_INET | 1u << SOURCE_INET6)
#define EVENTS ((int)SOURCES + (int)CONNECTED_MAX)

/* What a batch is about. */
struct ready {
    uint32_t what;      /* mask of 1 << enum source */
    uint64_t connected; /* places of connected sockets */
};

static int poll_set(struct worker *worker, int operation, int fd, uint32_t events, uint32_t what) {
    struct epoll_event event = {.events = events, .data = {.u32 = what}};
    return epoll_ctl(worker->epoll, operation, fd, &event) == 0 ? 0 : errno;
}

struct worker *worker_create(struct plane *plane, uint32_t index, uint64_t staged_bytes_max,
                             const uint8_t seed[32]) {
    struct worker *worker = calloc(1, sizeof(*worker));
    if (!worker)
        return NULL;
    quiesce_init(&worker->quiesce);
    worker->index = index;
    worker->tun_polled = -1;
    worker->full = PASS_SOCKETS;
    worker->epoll = epoll_create1(EPOLL_CLOEXEC);
    int error = worker->epoll < 0 ? errno : 0;
    worker->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    error = !error && worker->wake < 0 ? errno : error;
    int pass_error = pass_init(&worker->pass, plane, index, staged_bytes_max, seed);
    error = error ? error : pass_error;
    worker->pass.connected.epoll = worker->epoll;
    if (!error)
        error = poll_set(worker, EPOLL_CTL_ADD, worker->wake, EPOLLIN, SOURCE_WAKE);
    if (!error)
        return worker;
    worker_free(worker);
    errno = error;
    return NULL;
}

void worker_free(struct worker *worker) {
    if (!worker)
        return;
    if (worker->epoll >= 0)
        close(worker->epoll);
    if (worker->wake >= 0)
        close(worker->wake);
    pass_free(&worker->pass);
    quiesce_destroy(&worker->quiesce);
    free(worker);
}

static void ring(struct worker *worker) {
    uint64_t one = 1;
    ssize_t sent = write(worker->wake, &one, sizeof(one));
    (void)sent; /* EAGAIN: it has been rung 2^64 - 2 times already */
}

/* ---- What is polled ---------------------------------------------------------------------- */

/* Packets, unless they would find no way out. A TUN becomes writable at the moment when it goes up
 * (tun_net_open), wherever it is: a peer's first handshake must not find the sockets still closed
 * because the next look at an interface away is a quarter of a second off. */
static uint32_t tun_events(const struct worker *worker) {
    uint32_t packets = worker->full == PASS_SOCKETS ? EPOLLIN : 0;
    const struct link *link = worker->interface ? &worker->interface->link : NULL;
    return link && link->away && !link->up ? packets | EPOLLOUT : packets;
}

static void watch_tun(struct worker *worker) {
    if (worker->tun_polled >= 0)
        poll_set(worker, EPOLL_CTL_MOD, worker->tun_polled, tun_events(worker), SOURCE_TUN);
}

int worker_poll_tun(struct worker *worker) {
    int tun = worker->pass.tun.fd;
    if (tun < 0)
        return 0;
    int error = poll_set(worker, EPOLL_CTL_ADD, tun, tun_events(worker), SOURCE_TUN);
    if (error)
        return error;
    worker->tun_polled = tun;
    if (!worker->interface || worker->interface->link.news < 0)
        return 0;
    return poll_set(worker, EPOLL_CTL_ADD, worker->interface->link.news, EPOLLIN, SOURCE_LINK);
}

int worker_poll_routes(struct worker *worker) {
    if (worker->pass.routes.news < 0)
        return 0;
    return poll_set(worker, EPOLL_CTL_ADD, worker->pass.routes.news, EPOLLIN | EPOLLONESHOT,
                    SOURCE_ROUTES);
}

int worker_poll_socket(struct worker *worker, enum pass_socket which) {
    int error = poll_set(worker, EPOLL_CTL_ADD, worker->pass.sockets[which].fd, EPOLLIN,
                         SOURCE_INET + which);
    if (worker->full == which) { /* it was another socket's room */
        worker->full = PASS_SOCKETS;
        watch_tun(worker);
        ring(worker); /* frames may wait that were read before */
    }
    return error == EEXIST ? 0 : error; /* a socket that came back after a failed move */
}

/* No news come from where the interface is. */
static bool looks_again(const struct worker *worker) {
    return worker->interface && worker->tun_polled >= 0 && interface_is_silent(worker->interface);
}

static bool is_called(const struct worker *worker) {
    const struct plane *plane = worker->pass.plane;
    return plane->workers > 1 && atomic_load(&plane->boxes[worker->index].calls);
}

/* That were read from the TUN, or are sealed already. */
static bool has_frames(struct worker *worker) {
    struct pass *pass = &worker->pass;
    sealing_lock(&pass->sealing);
    bool has = tx_has_frames(&pass->tx);
    sealing_unlock(&pass->sealing);
    return has || sealing_waits(&pass->sealing);
}

/* Milliseconds to sleep at most; -1: until something happens. */
static int patience(struct worker *worker) {
    if (!tx_is_blocked(&worker->pass.tx) && has_frames(worker))
        return 0;
    if (is_called(worker) || connected_is_busy(&worker->pass.connected) ||
        uring_waits(&worker->pass.uring))
        return 0;
    if (worker->pass.routes.paused)
        return (int)(ROUTES_PACE_NS / 1000000);
    return looks_again(worker) ? (int)(LINK_LOOK_NS / 1000000) : -1;
}

/* ---- What a pass left behind ------------------------------------------------------------- */

static void let_go_of_tun(struct worker *worker) {
    worker->pass.tun_gone = false;
    if (worker->tun_polled < 0)
        return;
    poll_set(worker, EPOLL_CTL_DEL, worker->tun_polled, 0, SOURCE_TUN);
    worker->tun_polled = -1;
    if (!worker->interface)
        return;
    if (worker->interface->link.news >= 0)
        poll_set(worker, EPOLL_CTL_DEL, worker->interface->link.news, 0, SOURCE_LINK);
    interface_gone(worker->interface, &worker->pass);
}

/* Of a socket, or of one that is closed: then nothing. */
static void poll_for_room(struct worker *worker, uint32_t which, bool room) {
    struct pass *pass = &worker->pass;
    const struct udp_socket *udp = which < PASS_SOCKETS
                                       ? &pass->sockets[which]
                                       : &pass->connected.places[which - PASS_CONNECTED].udp;
    uint32_t what = which < PASS_SOCKETS ? SOURCE_INET + which
                                         : PASS_EVENT_CONNECTED + (which - PASS_CONNECTED);
    if (udp->fd >= 0)
        poll_set(worker, EPOLL_CTL_MOD, udp->fd, room ? EPOLLIN | EPOLLOUT : EPOLLIN, what);
}

/* While a train waits for a socket the TUN is left alone, and its room is news. */
static void watch_for_room(struct worker *worker) {
    const struct tx *tx = &worker->pass.tx;
    uint32_t full = tx_is_blocked(tx) ? tx->waiting_for : PASS_SOCKETS;
    if (full == worker->full)
        return;
    if (worker->full != PASS_SOCKETS)
        poll_for_room(worker, worker->full, false);
    worker->full = full;
    if (full != PASS_SOCKETS)
        poll_for_room(worker, full, true);
    watch_tun(worker);
    if (full == PASS_SOCKETS && has_frames(worker))
        ring(worker); /* a command may have made the room, and they were read before */
}

void worker_settle(struct worker *worker) {
    struct pass *pass = &worker->pass;
    if (pass->tun_gone)
        let_go_of_tun(worker);
    watch_for_room(worker);
    if ((pass->flush.first && !tx_is_blocked(&pass->tx)) || connected_is_busy(&pass->connected))
        ring(worker); /* what one batch did not hold; and the control thread finds us asleep */
}

/* ---- Batches ----------------------------------------------------------------------------- */

/* The peers' sources are reconsidered when something is sent to them next (train.c); the control
 * thread does the same for what it sends. */
static void routes_ready(struct pass *pass) {
    struct plane *plane = pass->plane;
    if (!routes_read(&pass->routes))
        return;
    atomic_fetch_add_explicit(&plane->route_changes, 1, memory_order_relaxed);
    offload_retry(&plane->offload, SHOAL_OFFLOAD_UDP_GSO);
    struct shoal_mail mail = {.kind = SHOAL_MAIL_ROUTES, .time = pass->now};
    pass_news(pass, &mail);
}

static void follow_routes(struct worker *worker, bool ready) {
    struct routes *routes = &worker->pass.routes;
    uint64_t now = worker->pass.now;
    if (ready) {
        routes_ready(&worker->pass);
        routes->paused = true;
        routes->last = now;
    } else if (routes->paused && now - routes->last >= ROUTES_PACE_NS) {
        routes->paused = false;
        poll_set(worker, EPOLL_CTL_MOD, routes->news, EPOLLIN | EPOLLONESHOT, SOURCE_ROUTES);
    }
}

static void follow_interface(struct worker *worker, uint32_t ready) {
    struct interface *interface = worker->interface;
    if (!interface || worker->tun_polled < 0)
        return;
    bool out = interface->link.away && !interface->link.up;
    if (ready & 1u << SOURCE_LINK)
        interface_read(interface, &worker->pass);
    if (interface_is_silent(interface) &&
        (ready & 1u << SOURCE_TUN_UP ||
         worker->pass.now - interface->link.last_look >= LINK_LOOK_NS))
        interface_look(interface, &worker->pass);
    if (out != (interface->link.away && !interface->link.up))
        watch_tun(worker);
}

/* ---- Helping ----------------------------------------------------------------------------- */

/* Its thread may sleep: then what is done is put out from here. If it does not, it looks itself. */
static void put_out_for(struct worker *worker, struct worker *other, bool inbound) {
    struct pass *pass = &other->pass;
    if (atomic_load(inbound ? &pass->turns.draining : &pass->sealing.draining))
        return;
    if (!quiesce_try(&other->quiesce)) {
        ring(other);
        return;
    }
    if (pass->now < worker->pass.now) { /* our batch may have begun before its last one */
        pass->now = worker->pass.now;
        pass->realtime = worker->pass.realtime;
    }
    if (inbound)
        turns_put_out(pass);
    else if (sealing_put_out(pass))
        tx_flush(pass);
    worker_settle(other);
    aead_forget(pass->aead);
    quiesce_leave(&other->quiesce);
}

/* Takes some turns at one socket. @return whether there may be more */
static bool help_at(struct worker *worker, struct worker *other, struct udp_socket *udp) {
    enum turn_taken taken = TURN_FILLED;
    for (uint32_t turn = 0; turn < RX_TURNS && taken == TURN_FILLED; turn++) {
        taken = turns_take(&other->pass, &worker->pass, udp);
        if (taken == TURN_OPENED || taken == TURN_FILLED)
            put_out_for(worker, other, true);
    }
    return taken == TURN_FILLED;
}

/* Takes some turns. @return whether there may be more */
static bool help_one(struct worker *worker, struct worker *other) {
    bool more = false;
    for (int i = 0; i < PASS_SOCKETS; i++)
        more |= help_at(worker, other, &other->pass.sockets[i]);
    struct udp_socket *busy = atomic_load_explicit(&other->pass.turns.busy, memory_order_relaxed);
    if (busy && busy != &other->pass.sockets[PASS_INET] && busy != &other->pass.sockets[PASS_INET6])
        more |= help_at(worker, other, busy);
    enum turn_taken taken = TURN_FILLED;
    for (uint32_t turn = 0; turn < RX_TURNS && taken == TURN_FILLED; turn++) {
        taken = sealing_take(&other->pass, &worker->pass);
        if (taken == TURN_OPENED || taken == TURN_FILLED)
            put_out_for(worker, other, false);
    }
    if (taken != TURN_FILLED && has_frames(other)) /* read by us: its TUN does not wake it */
        ring(other);
    return more || taken == TURN_FILLED;
}

/* Who has work of its own does that: its peers would get half of a processor, and another's one and
 * a half. Whoever called calls again when this one sleeps, unless it is better off alone. */
static void help(struct worker *worker, bool busy) {
    struct handoff *box = &worker->pass.plane->boxes[worker->index];
    uint64_t calls = atomic_exchange(&box->calls, 0);
    for (uint32_t i = 0; i < SHOAL_WORKERS_MAX && calls >> i; i++) {
        struct worker *other = worker->all[i];
        if (!(calls >> i & 1))
            continue;
        if (busy || worker->pass.now < atomic_load(&other->pass.alone_until)) {
            if (has_frames(other))
                ring(other); /* read by us, perhaps: its TUN does not wake it */
        } else if (help_one(worker, other)) {
            atomic_fetch_or(&box->calls, 1ull << i); /* the next batch goes on */
        }
    }
}

/* Others may call it only while it sleeps. */
static void set_idle(struct worker *worker, bool idle) {
    struct plane *plane = worker->pass.plane;
    uint64_t bit = 1ull << worker->index;
    if (plane->workers == 1)
        return;
    if (idle)
        atomic_fetch_or(&plane->idle, bit);
    else
        atomic_fetch_and(&plane->idle, ~bit);
}

/* What io_uring received and no batch has taken: its sockets may be dry by now, and epoll says
 * nothing. */
static void add_ahead(struct pass *pass, struct ready *ready) {
    if (!uring_waits(&pass->uring))
        return;
    turns_lock(&pass->turns);
    for (uint32_t i = 0; i < PASS_SOCKETS; i++)
        ready->what |= pass->sockets[i].ahead ? 1u << (SOURCE_INET + i) : 0;
    for (uint32_t i = 0; i < CONNECTED_MAX; i++)
        ready->connected |= pass->connected.places[i].udp.ahead ? 1ull << i : 0;
    turns_unlock(&pass->turns);
}

/* Once, whichever worker finds it first. */
static void tell_uring(struct pass *pass) {
    struct plane *plane = pass->plane;
    int32_t error = atomic_load_explicit(&plane->uring_refused, memory_order_relaxed);
    if (!error || atomic_load_explicit(&plane->uring_told, memory_order_relaxed) ||
        atomic_exchange(&plane->uring_told, true))
        return;
    struct shoal_mail mail = {
        .kind = SHOAL_MAIL_IO_REFUSED, .value = (uint32_t)error, .time = pass->now};
    if (!pass_news(pass, &mail))
        atomic_store(&plane->uring_told, false);
}

/* What leaves goes first, and what is new last: so each peer's messages keep their order. */
static void receive(struct worker *worker, const struct ready *ready) {
    struct pass *pass = &worker->pass;
    struct connected *connected = &pass->connected;
    if (connected->leaves)
        connected_read_leaving(pass);
    for (uint32_t i = 0; i < PASS_SOCKETS; i++) {
        bool first = connected->waits; /* of which family, it knows */
        if (pass->sockets[i].fd < 0 || pass->sockets[i].held ||
            !(first || ready->what & 1u << (SOURCE_INET + i)))
            continue;
        bool more = rx_drain(pass, &pass->sockets[i]);
        if (connected->waits)
            connected_shared_read(pass, i, !more);
    }
    if (ready->connected)
        connected_read(pass, ready->connected);
}

static void run(struct worker *worker, struct ready *is) {
    struct pass *pass = &worker->pass;
    add_ahead(pass, is);
    uint32_t ready = is->what;
    tx_begin(pass);
    if (ready & 1u << SOURCE_WAKE) {
        uint64_t rings;
        ssize_t got = read(worker->wake, &rings, sizeof(rings));
        (void)got; /* its only news is that somebody rang */
    }
    if (ready & 1u << SOURCE_ROOM)
        tx_resume(pass);
    if (pass->plane->workers > 1 && handoff_waits(&pass->plane->boxes[pass->worker]))
        foreign_drain(pass);
    if (turns_waits(&pass->turns))
        turns_put_out(pass);
    follow_interface(worker, ready);
    follow_routes(worker, ready & 1u << SOURCE_ROUTES);
    receive(worker, is);
    tell_uring(pass);
    if (pass->flush.first)
        tx_flush_listed(pass);
    if ((ready & 1u << SOURCE_TUN && pass->tun.fd >= 0) || has_frames(worker))
        tx_drain(pass);
    /* TUN reads are paused then, so EBADFD would go unseen and epoll would report it for ever. Of a
     * TUN it says that the interface is being deleted; one that moves to another namespace stays
     * registered. */
    if (ready & 1u << SOURCE_TUN_LOST && tx_is_blocked(&pass->tx))
        pass_lose_tun(pass, false);
    connected_settle(pass);
    worker_settle(worker);
    if (is_called(worker))
        help(worker, (ready & PACKETS) != 0 || is->connected != 0);
}

/* What epoll reports. */
static struct ready ready_of(const struct epoll_event *events, int count) {
    struct ready ready = {0};
    for (int i = 0; i < count; i++) {
        uint32_t what = events[i].data.u32;
        if (what >= PASS_EVENT_CONNECTED)
            ready.connected |= 1ull << (what - PASS_EVENT_CONNECTED);
        else
            ready.what |= 1u << what;
        if (what == SOURCE_TUN && events[i].events & (EPOLLERR | EPOLLHUP))
            ready.what |= 1u << SOURCE_TUN_LOST;
        if (events[i].events & EPOLLOUT)
            ready.what |= 1u << (what == SOURCE_TUN ? SOURCE_TUN_UP : SOURCE_ROOM);
    }
    return ready;
}

/* Its ring belongs to the thread that enables it. */
static void enable_uring(struct worker *worker) {
    quiesce_enter(&worker->quiesce);
    (void)uring_enable(&worker->pass.uring); /* refused: the plane says so */
    quiesce_leave(&worker->quiesce);
}

static void *loop(void *argument) {
    struct worker *worker = argument;
    struct pass *pass = &worker->pass;
    struct epoll_event events[EVENTS];
    int sleep = 0; /* the first batch finds out */
    enable_uring(worker);
    while (!atomic_load(&worker->stopping)) {
        set_idle(worker, sleep != 0);
        int count = epoll_wait(worker->epoll, events, EVENTS, sleep);
        int error = count < 0 ? errno : 0;
        set_idle(worker, false);
        quiesce_enter(&worker->quiesce);
        pass->now = clock_boottime();
        pass->realtime = clock_realtime();
        if (error && error != EINTR) {
            struct shoal_mail mail = {.kind = SHOAL_MAIL_WORKER_FAILED, .value = (uint32_t)error};
            pass_news(pass, &mail);
            quiesce_leave(&worker->quiesce);
            break;
        }
        struct ready ready = ready_of(events, count);
        run(worker, &ready);
        sleep = patience(worker);
        aead_forget(pass->aead); /* other threads may free the session meanwhile */
        quiesce_leave(&worker->quiesce);
    }
    return NULL;
}

/* A wish: a processor that went offline meanwhile is no reason to move no packets. */
static void pin(pthread_t thread, int32_t cpu) {
    cpu_set_t set;
    if (cpu == PLACEMENT_ANYWHERE)
        return;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    (void)pthread_setaffinity_np(thread, sizeof(set), &set);
}

int worker_start(struct worker *worker, int32_t cpu) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the host program's */
    int error = pthread_create(&worker->thread, NULL, loop, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        return error;
    worker->started = true;
    char name[16];
    snprintf(name, sizeof(name), "shoal-%u", worker->index);
    pthread_setname_np(worker->thread, name);
    pin(worker->thread, cpu);
    return 0;
}

void worker_stop(struct worker *worker) {
    if (!worker->started)
        return;
    atomic_store(&worker->stopping, true);
    ring(worker);
    pthread_join(worker->thread, NULL);
    worker->started = false;
}
