#include "link.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/net_namespace.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#define NEWS_AT_ONCE 64 /* messages read in one go; the rest waits for the next batch */

static int open_rtnetlink(uint32_t groups) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return -1;
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* ---- State out of a message --------------------------------------------------------------- */

static int read_mtu(const struct nlattr *attribute, void *data) {
    uint32_t *mtu = data;
    if (mnl_attr_get_type(attribute) == IFLA_MTU && mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
        *mtu = mnl_attr_get_u32(attribute);
    return MNL_CB_OK;
}

static const struct ifinfomsg *info_of(const struct nlmsghdr *message) {
    bool link = message->nlmsg_type == RTM_NEWLINK || message->nlmsg_type == RTM_DELLINK;
    return link && mnl_nlmsg_get_payload_len(message) >= sizeof(struct ifinfomsg)
               ? mnl_nlmsg_get_payload(message)
               : NULL;
}

static void take_state(struct link *link, const struct nlmsghdr *message,
                       const struct ifinfomsg *info) {
    uint32_t mtu = 0;
    mnl_attr_parse(message, sizeof(*info), read_mtu, &mtu);
    link->ifindex = (uint32_t)info->ifi_index;
    link->up = info->ifi_flags & IFF_UP;
    link->mtu = mtu ? mtu : link->mtu;
}

/* ---- Questions ---------------------------------------------------------------------------- */

/* Sends and hands the answer's first message to `take`. The kernel answers before send(2) returns,
 * so nothing is waited for. @return 0, or the errno of the answer. */
static int query(int fd, struct nlmsghdr *message,
                 void (*take)(void *context, const struct nlmsghdr *answer), void *context) {
    char answer[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
    if (send(fd, message, message->nlmsg_len, 0) < 0)
        return errno;
    ssize_t length = recv(fd, answer, sizeof(answer), 0);
    if (length < 0)
        return errno;
    const struct nlmsghdr *first = (const struct nlmsghdr *)(const void *)answer;
    if (!mnl_nlmsg_ok(first, (int)length))
        return EPROTO;
    if (first->nlmsg_type == NLMSG_ERROR) {
        const struct nlmsgerr *error = mnl_nlmsg_get_payload(first);
        return -error->error;
    }
    take(context, first);
    return 0;
}

static void take_link(void *context, const struct nlmsghdr *answer) {
    const struct ifinfomsg *info = info_of(answer);
    if (info)
        take_state(context, answer, info);
}

/* By name, since the index may be another one there. */
static int query_link(struct link *link, const char *name) {
    char buffer[256] __attribute__((aligned(NLMSG_ALIGNTO))) = {0};
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type = RTM_GETLINK;
    message->nlmsg_flags = NLM_F_REQUEST;
    mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
    mnl_attr_put_strz(message, IFLA_IFNAME, name);
    if (link->away)
        mnl_attr_put_u32(message, IFLA_TARGET_NETNSID, (uint32_t)link->nsid);
    return query(link->queries, message, take_link, link);
}

static int read_nsid(const struct nlattr *attribute, void *data) {
    if (mnl_attr_get_type(attribute) == NETNSA_NSID)
        *(int32_t *)data = (int32_t)mnl_attr_get_u32(attribute);
    return MNL_CB_OK;
}

static void take_nsid(void *context, const struct nlmsghdr *answer) {
    if (answer->nlmsg_type == RTM_NEWNSID)
        mnl_attr_parse(answer, sizeof(struct rtgenmsg), read_nsid, context);
}

static int nsid_request(int fd, uint16_t type, uint16_t flags, int namespace, int32_t *nsid) {
    char buffer[128] __attribute__((aligned(NLMSG_ALIGNTO))) = {0};
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type = type;
    message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    mnl_nlmsg_put_extra_header(message, sizeof(struct rtgenmsg));
    mnl_attr_put_u32(message, NETNSA_FD, (uint32_t) namespace);
    if (type == RTM_NEWNSID)
        mnl_attr_put_u32(message, NETNSA_NSID, (uint32_t)NETNSA_NSID_NOT_ASSIGNED);
    return query(fd, message, take_nsid, nsid);
}

/* Home's id for a namespace; one is given to it if it has none. */
static int nsid_of(struct link *link, int namespace) {
    link->nsid = NETNSA_NSID_NOT_ASSIGNED;
    int error = nsid_request(link->queries, RTM_GETNSID, 0, namespace, &link->nsid);
    if (error || link->nsid != NETNSA_NSID_NOT_ASSIGNED)
        return error;
    error = nsid_request(link->queries, RTM_NEWNSID, NLM_F_ACK, namespace, &link->nsid);
    return error ? error : nsid_request(link->queries, RTM_GETNSID, 0, namespace, &link->nsid);
}

/* ---- Where it is -------------------------------------------------------------------------- */

static bool is_home(const struct link *link, int namespace) {
    struct stat status;
    return fstat(namespace, &status) == 0 && status.st_dev == link->home_dev &&
           status.st_ino == link->home_ino;
}

bool link_error_passes(int error) {
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS ||
           error == EAGAIN;
}

int link_locate(struct link *link, const struct tun *tun) {
    struct ifreq request = {0};
    if (ioctl(tun->fd, TUNGETIFF, &request) != 0)
        return errno;
    int namespace = ioctl(tun->fd, TUNGETDEVNETNS);
    int error = 0;
    if (namespace >= 0) {
        link->away = !is_home(link, namespace);
        error = link->away ? nsid_of(link, namespace) : 0;
        close(namespace);
    } else if (link_error_passes(errno)) {
        return errno;
    } else {
        link->away = false; /* no right to know, or Linux before 5.2: it is here or we are blind */
    }
    if (!error)
        error = query_link(link, request.ifr_name);
    /* In that namespace it is, so nothing of that name means that it was renamed meanwhile. */
    return error == ENODEV && namespace >= 0 ? EAGAIN : error;
}

int link_open(struct link *link, const struct tun *tun) {
    struct stat home;
    *link = (struct link){.news = -1, .queries = -1};
    if (stat("/proc/thread-self/ns/net", &home) == 0) {
        link->home_dev = home.st_dev;
        link->home_ino = home.st_ino;
    }
    link->news = open_rtnetlink(RTMGRP_LINK);
    link->queries = open_rtnetlink(0);
    int error = link->news < 0 || link->queries < 0 ? errno : link_locate(link, tun);
    if (error)
        link_close(link);
    return error;
}

void link_close(struct link *link) {
    if (link->news >= 0)
        close(link->news);
    if (link->queries >= 0)
        close(link->queries);
    link->news = link->queries = -1;
}

/* ---- News at home ------------------------------------------------------------------------- */

static enum link_event message_in(struct link *link, const struct nlmsghdr *message) {
    const struct ifinfomsg *info = info_of(message);
    if (!info || link->away || (uint32_t)info->ifi_index != link->ifindex)
        return LINK_QUIET;
    if (message->nlmsg_type == RTM_DELLINK)
        return LINK_LEFT;
    take_state(link, message, info);
    return LINK_NEWS;
}

enum link_event link_read(struct link *link) {
    char buffer[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
    enum link_event event = LINK_QUIET;
    for (int i = 0; i < NEWS_AT_ONCE && event != LINK_LEFT; i++) {
        ssize_t length = recv(link->news, buffer, sizeof(buffer), 0);
        if (length < 0)
            /* ENOBUFS: news were lost, so look for it anew. */
            return errno == ENOBUFS ? LINK_LEFT : event;
        int left = (int)length;
        for (const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)buffer;
             mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
            enum link_event one = message_in(link, message);
            event = one > event ? one : event;
        }
    }
    return event;
}
