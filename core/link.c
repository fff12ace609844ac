#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

/* Asks for the interface's state; the answer comes like any other news. */
static int ask(int fd, uint32_t ifindex) {
    char buffer[256] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type = RTM_GETLINK;
    message->nlmsg_flags = NLM_F_REQUEST;
    struct ifinfomsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
    info->ifi_family = AF_UNSPEC;
    info->ifi_index = (int)ifindex;
    return send(fd, message, message->nlmsg_len, 0) < 0 ? errno : 0;
}

static int subscribe(void) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return -1;
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* Takes the present state in at once: the kernel answers a request before send(2) returns. */
static int start(struct link *link, int fd, uint32_t ifindex) {
    *link = (struct link){.fd = fd, .ifindex = ifindex};
    int error = ask(fd, ifindex);
    if (error) {
        link_close(link);
        return error;
    }
    bool more = true;
    while (more && link_read(link, &more) == LINK_SAME)
        ;
    return 0;
}

int link_open(struct link *link, uint32_t ifindex) {
    int fd = subscribe();
    if (fd < 0) {
        *link = (struct link){.fd = -1};
        return errno;
    }
    return start(link, fd, ifindex);
}

void link_close(struct link *link) {
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
}

static int attribute(const struct nlattr *attribute, void *data) {
    uint32_t *mtu = data;
    if (mnl_attr_get_type(attribute) == IFLA_MTU && mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
        *mtu = mnl_attr_get_u32(attribute);
    return MNL_CB_OK;
}

static enum link_state message_in(struct link *link, const struct nlmsghdr *message) {
    if (message->nlmsg_type != RTM_NEWLINK && message->nlmsg_type != RTM_DELLINK)
        return LINK_SAME;
    if (mnl_nlmsg_get_payload_len(message) < sizeof(struct ifinfomsg))
        return LINK_SAME;
    const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
    if ((uint32_t)info->ifi_index != link->ifindex)
        return LINK_SAME;
    if (message->nlmsg_type == RTM_DELLINK)
        return LINK_MOVED; /* or deleted: the TUN descriptor knows */
    uint32_t mtu = 0;
    mnl_attr_parse(message, sizeof(*info), attribute, &mtu);
    link->up = info->ifi_flags & IFF_UP;
    if (mtu)
        link->mtu = mtu;
    return LINK_CHANGED;
}

enum link_state link_read(struct link *link, bool *more) {
    char buffer[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
    ssize_t length = recv(link->fd, buffer, sizeof(buffer), 0);
    *more = length >= 0;
    if (length < 0) {
        if (errno != ENOBUFS)
            return LINK_SAME;
        *more = true;
        ask(link->fd, link->ifindex); /* news were lost: ask for what is true now */
        return LINK_LOST;
    }
    enum link_state state = LINK_SAME;
    int left = (int)length;
    for (const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)buffer;
         mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
        enum link_state one = message_in(link, message);
        if (one > state)
            state = one;
    }
    return state;
}

/* ---- Following --------------------------------------------------------------------------- */

struct journey {
    int netns;
    int tun;
    int fd;
    uint32_t ifindex;
    int error;
};

static uint32_t index_there(int tun) {
    struct ifreq request = {0};
    if (ioctl(tun, TUNGETIFF, &request) != 0)
        return 0;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    int failed = ioctl(fd, SIOCGIFINDEX, &request);
    close(fd);
    return failed ? 0 : (uint32_t)request.ifr_ifindex;
}

/* A namespace is entered by a thread, and stays with it: so this one ends. */
static void *enter(void *argument) {
    struct journey *journey = argument;
    if (setns(journey->netns, CLONE_NEWNET) != 0) {
        journey->error = errno;
        return NULL;
    }
    journey->ifindex = index_there(journey->tun);
    journey->fd = journey->ifindex ? subscribe() : -1;
    journey->error = journey->fd < 0 ? ENODEV : 0;
    return NULL;
}

int link_follow(struct link *link, const struct tun *tun) {
    struct journey journey = {.netns = ioctl(tun->fd, TUNGETDEVNETNS), .tun = tun->fd, .fd = -1};
    if (journey.netns < 0)
        return errno;
    fcntl(journey.netns, F_SETFD, FD_CLOEXEC);
    pthread_t thread;
    int error = pthread_create(&thread, NULL, enter, &journey);
    if (!error) {
        pthread_join(thread, NULL);
        error = journey.error;
    }
    close(journey.netns);
    return error ? error : start(link, journey.fd, journey.ifindex);
}
