#include "interface.h"

#include <errno.h>

#include "pass.h"

static void tell(struct pass *pass, enum shoal_link_news news) {
    struct shoal_mail mail = {.kind = SHOAL_MAIL_LINK,
                              .value = news,
                              .index =
                                  atomic_load_explicit(&pass->plane->mtu, memory_order_relaxed),
                              .time = pass->now};
    pass_news(pass, &mail);
}

static void publish(struct interface *interface, struct pass *pass) {
    struct plane *plane = pass->plane;
    const struct link *link = &interface->link;
    atomic_store_explicit(&plane->ifindex, link->away ? 0 : link->ifindex, memory_order_relaxed);
    uint32_t was_up = atomic_exchange_explicit(&interface->up, link->up, memory_order_relaxed);
    uint32_t was_mtu = atomic_load_explicit(&plane->mtu, memory_order_relaxed);
    if (link->mtu && link->mtu != was_mtu) {
        atomic_store_explicit(&plane->mtu, link->mtu, memory_order_relaxed);
        tell(pass, SHOAL_LINK_MTU);
    }
    if (was_up != link->up)
        tell(pass, link->up ? SHOAL_LINK_UP : SHOAL_LINK_DOWN);
}

void interface_init(struct interface *interface, bool up) {
    interface->link.news = interface->link.queries = -1;
    atomic_store(&interface->up, up);
}

int interface_open(struct interface *interface, struct plane *plane, const struct tun *tun) {
    struct link *link = &interface->link;
    int failed = link_open(link, tun);
    if (failed)
        return failed;
    atomic_store(&interface->up, link->up);
    atomic_store(&plane->ifindex, link->away ? 0 : link->ifindex);
    if (link->mtu)
        atomic_store(&plane->mtu, link->mtu);
    return 0;
}

void interface_close(struct interface *interface) { link_close(&interface->link); }

/* Where we may not look it is taken for up: it lives, and its user, who moved it, surely means to
 * use it. A look that failed for a reason that passes says nothing: what was known holds until the
 * next one. */
void interface_look(struct interface *interface, struct pass *pass) {
    struct link *link = &interface->link;
    link->last_look = pass->now;
    int error = link_locate(link, &pass->tun);
    if (error == EBADFD) {
        pass_lose_tun(pass, false);
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
    publish(interface, pass);
}

void interface_read(struct interface *interface, struct pass *pass) {
    switch (link_read(&interface->link)) {
    case LINK_NEWS:
        publish(interface, pass);
        break;
    case LINK_LEFT:
        interface_look(interface, pass);
        break;
    case LINK_QUIET:
        break;
    }
}

void interface_gone(struct interface *interface, struct pass *pass) {
    interface->link.away = interface->link.unsure = false;
    atomic_store_explicit(&interface->up, 0, memory_order_relaxed);
    tell(pass, SHOAL_LINK_GONE);
}
