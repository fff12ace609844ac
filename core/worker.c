#include "worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"

/* What an epoll event is about; the last two only in what is ready. */
enum source {
    SOURCE_WAKE,
    SOURCE_TUN,
    SOURCE_LINK,
    SOURCE_ROUTES,
    SOURCE_INET,
    SOURCE_INET6,
    SOURCES,
    SOURCE_TUN_UP = SOURCES,
    SOURCE_TUN_LOST
};

static int poll_set(struct worker *worker, int operation, int fd, uint32_t events, uint32_t what) {
    struct epoll_event event = {.events = events, .data = {.u32 = what}};
    return epoll_ctl(worker->epoll, operation, fd, &event) == 0 ? 0 : errno;
}

struct worker *worker_create(struct device *device, uint32_t index, const uint8_t seed[16]) {
    struct worker *worker = calloc(1, sizeof(*worker));
    if (!worker)
        return NULL;
    pthread_mutex_init(&worker->mutex, NULL);
    worker->index = index;
    worker->device = device;
    worker->tun.fd = -1;
    worker->link.news = worker->link.queries = -1;
    worker->routes.news = worker->routes.queries = -1;
    for (int i = 0; i < WORKER_SOCKETS; i++)
        worker->sockets[i].fd = -1;
    worker->epoll = epoll_create1(EPOLL_CLOEXEC);
    worker->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (worker->epoll < 0 || worker->wake < 0 || !tx_init(&worker->tx) ||
        !rx_init(&worker->rx, seed) ||
        poll_set(worker, EPOLL_CTL_ADD, worker->wake, EPOLLIN, SOURCE_WAKE) != 0) {
        int error = errno;
        worker_free(worker);
        errno = error;
        return NULL;
    }
    return worker;
}

void worker_free(struct worker *worker) {
    if (!worker)
        return;
    for (int i = 0; i < WORKER_SOCKETS; i++)
        socket_close(&worker->sockets[i]);
    link_close(&worker->link);
    routes_close(&worker->routes);
    if (worker->epoll >= 0)
        close(worker->epoll);
    if (worker->wake >= 0)
        close(worker->wake);
    tx_free(&worker->tx);
    rx_free(&worker->rx);
    pthread_mutex_destroy(&worker->mutex);
    free(worker);
}

/* ---- What is polled ---------------------------------------------------------------------- */

/* Packets, unless they would find no way out. A TUN becomes writable at the moment when it goes up
 * (tun_net_open), wherever it is: a peer's first handshake must not find the sockets still closed
 * because the next look at an interface away is a quarter of a second off. */
static uint32_t tun_events(const struct worker *worker) {
    uint32_t packets = worker->waiting_for_socket ? 0 : EPOLLIN;
    return worker->link.away && !worker->link.up ? packets | EPOLLOUT : packets;
}

static void watch_tun(struct worker *worker) {
    if (worker->tun_polled)
        poll_set(worker, EPOLL_CTL_MOD, worker->tun.fd, tun_events(worker), SOURCE_TUN);
}

int worker_poll_tun(struct worker *worker) {
    if (worker->tun.fd < 0)
        return 0;
    int error = poll_set(worker, EPOLL_CTL_ADD, worker->tun.fd, tun_events(worker), SOURCE_TUN);
    worker->tun_polled = error == 0;
    if (!error && worker->link.news >= 0)
        error = poll_set(worker, EPOLL_CTL_ADD, worker->link.news, EPOLLIN, SOURCE_LINK);
    return error;
}

int worker_poll_routes(struct worker *worker) {
    if (worker->routes.news < 0)
        return 0;
    return poll_set(worker, EPOLL_CTL_ADD, worker->routes.news, EPOLLIN | EPOLLONESHOT,
                    SOURCE_ROUTES);
}

int worker_poll_socket(struct worker *worker, enum worker_socket which) {
    int error =
        poll_set(worker, EPOLL_CTL_ADD, worker->sockets[which].fd, EPOLLIN, SOURCE_INET + which);
    return error == EEXIST ? 0 : error; /* a socket that came back after a failed move */
}

void worker_wait_for_socket(struct worker *worker, const struct udp_socket *udp) {
    enum worker_socket which = udp->family == SHOAL_AF_INET6 ? WORKER_INET6 : WORKER_INET;
    poll_set(worker, EPOLL_CTL_MOD, udp->fd, EPOLLIN | EPOLLOUT, SOURCE_INET + which);
    worker->waiting_for_socket = true;
    watch_tun(worker);
}

void worker_resume(struct worker *worker) {
    for (int i = 0; i < WORKER_SOCKETS; i++)
        if (worker->sockets[i].fd >= 0)
            poll_set(worker, EPOLL_CTL_MOD, worker->sockets[i].fd, EPOLLIN, SOURCE_INET + i);
    worker->waiting_for_socket = false;
    watch_tun(worker);
    tx_flush(worker);
    if (worker->flush_list)
        worker_ring(worker); /* the control thread may be resuming, and the worker asleep */
}

/* No news come from where the interface is. */
static bool looks_again(const struct worker *worker) {
    return worker->tun_polled && (worker->link.away || worker->link.unsure);
}

/* Milliseconds to sleep at most; -1: until something happens. */
static int patience(const struct worker *worker) {
    if (worker->routes.paused)
        return (int)(ROUTES_PACE_NS / 1000000);
    return looks_again(worker) ? (int)(LINK_LOOK_NS / 1000000) : -1;
}

/* ---- The interface ----------------------------------------------------------------------- */

static void link_news(struct worker *worker, enum shoal_link_news news) {
    struct shoal_mail mail = {.kind = SHOAL_MAIL_LINK,
                              .value = news,
                              .index =
                                  atomic_load_explicit(&worker->device->mtu, memory_order_relaxed),
                              .time = worker->now};
    post_news(&worker->device->post, &worker->stats, &mail);
}

void worker_tun_gone(struct worker *worker) {
    if (!worker->tun_polled)
        return;
    poll_set(worker, EPOLL_CTL_DEL, worker->tun.fd, 0, SOURCE_TUN);
    if (worker->link.news >= 0)
        poll_set(worker, EPOLL_CTL_DEL, worker->link.news, 0, SOURCE_LINK);
    worker->link.away = false;
    worker->tun_polled = false;
    worker->tun.fd = -1; /* the device closes the descriptor */
    atomic_store_explicit(&worker->device->link_up, 0, memory_order_relaxed);
    link_news(worker, SHOAL_LINK_GONE);
}

static void publish_link(struct worker *worker) {
    struct device *device = worker->device;
    const struct link *link = &worker->link;
    atomic_store_explicit(&device->ifindex, link->away ? 0 : link->ifindex, memory_order_relaxed);
    uint32_t was_up = atomic_exchange_explicit(&device->link_up, link->up, memory_order_relaxed);
    uint32_t was_mtu = atomic_load_explicit(&device->mtu, memory_order_relaxed);
    if (link->mtu && link->mtu != was_mtu) {
        atomic_store_explicit(&device->mtu, link->mtu, memory_order_relaxed);
        link_news(worker, SHOAL_LINK_MTU);
    }
    if (was_up != link->up)
        link_news(worker, link->up ? SHOAL_LINK_UP : SHOAL_LINK_DOWN);
}

/* Looks for the interface where it is now. Where we may not look it is taken for up: it lives, and
 * its user, who moved it, surely means to use it. A look that failed for a reason that passes says
 * nothing: what was known holds until the next one. */
static void find_link(struct worker *worker) {
    struct link *link = &worker->link;
    link->last_look = worker->now;
    int error = link_locate(link, &worker->tun);
    if (error == EBADFD) {
        worker_tun_gone(worker);
        return;
    }
    link->unsure = link_error_passes(error);
    if (link->unsure)
        return;
    if (error) {
        link->away = false;
        link->ifindex = 0;
        link->up = true;
    }
    watch_tun(worker);
    publish_link(worker);
}

static void link_ready(struct worker *worker) {
    switch (link_read(&worker->link)) {
    case LINK_NEWS:
        publish_link(worker);
        break;
    case LINK_LEFT:
        find_link(worker);
        break;
    case LINK_QUIET:
        break;
    }
}

/* The peers' sources are reconsidered when something is sent to them next (tx.c); the control
 * thread does the same for what it sends. */
static void routes_ready(struct worker *worker) {
    if (!routes_read(&worker->routes))
        return;
    atomic_fetch_add_explicit(&worker->device->route_changes, 1, memory_order_relaxed);
    offload_retry(&worker->device->offload, SHOAL_OFFLOAD_UDP_GSO);
    struct shoal_mail mail = {.kind = SHOAL_MAIL_ROUTES, .time = worker->now};
    post_news(&worker->device->post, &worker->stats, &mail);
}

static void follow_routes(struct worker *worker, bool ready) {
    struct routes *routes = &worker->routes;
    if (ready) {
        routes_ready(worker);
        routes->paused = true;
        routes->last = worker->now;
    } else if (routes->paused && worker->now - routes->last >= ROUTES_PACE_NS) {
        routes->paused = false;
        poll_set(worker, EPOLL_CTL_MOD, routes->news, EPOLLIN | EPOLLONESHOT, SOURCE_ROUTES);
    }
}

/* ---- Batches ----------------------------------------------------------------------------- */

void worker_list_flush(struct worker *worker, struct peer *peer) {
    if (peer->flush_listed || !peer->staging.count)
        return;
    peer->flush_listed = true;
    peer->flush_next = worker->flush_list;
    worker->flush_list = peer;
}

void worker_unlist_flush(struct worker *worker, struct peer *peer) {
    if (!peer->flush_listed)
        return;
    struct peer **link = &worker->flush_list;
    while (*link != peer)
        link = &(*link)->flush_next;
    *link = peer->flush_next;
    peer->flush_listed = false;
}

static void flush_listed(struct worker *worker) {
    struct peer *peer = worker->flush_list;
    while (peer && !worker->waiting_for_socket) {
        worker_unlist_flush(worker, peer);
        tx_flush_staged(worker, peer);
        if (peer->flush_listed) /* the budget is used up: the next batch goes on */
            break;
        peer = worker->flush_list;
    }
    tx_flush(worker);
    if (worker->flush_list && !worker->waiting_for_socket)
        worker_ring(worker);
}

static void run(struct worker *worker, uint32_t ready) {
    tx_begin(worker);
    if (ready & 1u << SOURCE_WAKE) {
        uint64_t rings;
        ssize_t got = read(worker->wake, &rings, sizeof(rings));
        (void)got; /* its only news is that somebody rang */
    }
    if (ready & 1u << SOURCE_LINK && worker->tun_polled)
        link_ready(worker);
    follow_routes(worker, ready & 1u << SOURCE_ROUTES);
    if (looks_again(worker) &&
        (ready & 1u << SOURCE_TUN_UP || worker->now - worker->link.last_look >= LINK_LOOK_NS))
        find_link(worker);
    for (int i = 0; i < WORKER_SOCKETS; i++)
        if (ready & 1u << (SOURCE_INET + i) && worker->sockets[i].fd >= 0)
            rx_drain(worker, &worker->sockets[i]);
    if (worker->flush_list)
        flush_listed(worker);
    if (ready & 1u << SOURCE_TUN && worker->tun_polled && !worker->waiting_for_socket)
        tx_drain(worker);
    /* Nobody reads it now and finds out, and epoll reports it for ever. Of a TUN it says that the
     * interface is being deleted; one that moves to another namespace stays registered. */
    if (ready & 1u << SOURCE_TUN_LOST && worker->waiting_for_socket)
        worker_tun_gone(worker);
}

static void *loop(void *argument) {
    struct worker *worker = argument;
    struct device *device = worker->device;
    struct epoll_event events[SOURCES];
    int sleep = patience(worker);
    while (!atomic_load(&device->stopping)) {
        int count = epoll_wait(worker->epoll, events, SOURCES, sleep);
        int error = count < 0 ? errno : 0;
        quiesce_enter(&device->quiesce, &worker->mutex);
        worker->now = clock_boottime();
        if (error && error != EINTR) {
            struct shoal_mail mail = {.kind = SHOAL_MAIL_WORKER_FAILED, .value = (uint32_t)error};
            post_news(&device->post, &worker->stats, &mail);
            quiesce_leave(&worker->mutex);
            break;
        }
        uint32_t ready = 0;
        for (int i = 0; i < count; i++) {
            uint32_t what = events[i].data.u32;
            bool writable = events[i].events & EPOLLOUT;
            ready |= 1u << what;
            if (what == SOURCE_TUN && events[i].events & (EPOLLERR | EPOLLHUP))
                ready |= 1u << SOURCE_TUN_LOST;
            if (writable && what == SOURCE_TUN)
                ready |= 1u << SOURCE_TUN_UP;
            else if (writable && worker->waiting_for_socket)
                worker_resume(worker);
        }
        run(worker, ready);
        sleep = patience(worker);
        quiesce_leave(&worker->mutex);
    }
    return NULL;
}

int worker_start(struct worker *worker) {
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
    return 0;
}

void worker_ring(struct worker *worker) {
    uint64_t one = 1;
    ssize_t sent = write(worker->wake, &one, sizeof(one));
    (void)sent; /* EAGAIN: it has been rung 2^64 - 2 times already */
}

void worker_stop(struct worker *worker) {
    if (!worker->started)
        return;
    worker_ring(worker);
    pthread_join(worker->thread, NULL);
    worker->started = false;
}
