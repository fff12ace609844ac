#include "routes.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#define NEWS_AT_ONCE 64 /* reads in one go; what is left comes with the next */

static const int groups[] = {RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                             RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,  RTNLGRP_IPV4_RULE,
                             RTNLGRP_IPV6_RULE};

static int open_rtnetlink(void) {
    return socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
}

int routes_open(struct routes *routes, bool hears_news) {
    *routes = (struct routes){.news = -1, .queries = open_rtnetlink()};
    int error = routes->queries < 0 ? errno : 0;
    if (error || !hears_news)
        return error;
    routes->news = open_rtnetlink();
    /* Without a port of its own it would count as the kernel's, which hears no news of itself. */
    struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    if (routes->news < 0 || bind(routes->news, (struct sockaddr *)&address, sizeof(address)) != 0)
        error = errno;
    for (size_t i = 0; !error && i < sizeof(groups) / sizeof(groups[0]); i++) {
        /* A kernel without one of these sends nothing of it. */
        if (setsockopt(routes->news, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
                       sizeof(groups[i])) != 0 &&
            errno != EINVAL)
            error = errno;
    }
    if (error)
        routes_close(routes);
    return error;
}

void routes_close(struct routes *routes) {
    if (routes->news >= 0)
        close(routes->news);
    if (routes->queries >= 0)
        close(routes->queries);
    routes->news = routes->queries = -1;
}

bool routes_read(struct routes *routes) {
    char buffer[16384];
    bool some = false;
    for (int i = 0; i < NEWS_AT_ONCE; i++) {
        ssize_t length = recv(routes->news, buffer, sizeof(buffer), 0);
        if (length < 0)
            return some || errno == ENOBUFS;
        some = true;
    }
    return some;
}

static int read_interface(const struct nlattr *attribute, void *data) {
    uint32_t *ifindex = data;
    if (mnl_attr_get_type(attribute) == RTA_OIF && mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
        *ifindex = mnl_attr_get_u32(attribute);
    return MNL_CB_OK;
}

/* What the kernel says of one way. */
struct answer {
    uint8_t type;     /* RTN_LOCAL and so on; RTN_UNSPEC: no way */
    uint32_t ifindex; /* where it leaves; 0: no way */
};

/* The answer to one question, which the kernel gives before send(2) returns. A late one of another
 * question is passed over by its number. */
static struct answer answer_to(int fd, uint32_t number) {
    char bytes[4096] __attribute__((aligned(NLMSG_ALIGNTO)));
    for (int i = 0; i < NEWS_AT_ONCE; i++) {
        ssize_t length = recv(fd, bytes, sizeof(bytes), 0);
        if (length < 0)
            break;
        const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)bytes;
        if (!mnl_nlmsg_ok(message, (int)length) || message->nlmsg_seq != number)
            continue;
        struct answer answer = {.type = RTN_UNSPEC};
        if (message->nlmsg_type == RTM_NEWROUTE &&
            mnl_nlmsg_get_payload_len(message) >= sizeof(struct rtmsg)) {
            const struct rtmsg *route = mnl_nlmsg_get_payload(message);
            answer.type = route->rtm_type;
            mnl_attr_parse(message, sizeof(struct rtmsg), read_interface, &answer.ifindex);
        }
        return answer;
    }
    return (struct answer){.type = RTN_UNSPEC};
}

/* Begins a question: the way to an address of `size` bytes. */
static struct nlmsghdr *ask_way(char buffer[static 256], const uint8_t *to, uint8_t size) {
    static _Atomic uint32_t last;
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type = RTM_GETROUTE;
    message->nlmsg_flags = NLM_F_REQUEST;
    message->nlmsg_seq = ++last;
    struct rtmsg *route = mnl_nlmsg_put_extra_header(message, sizeof(*route));
    route->rtm_family = size == 16 ? AF_INET6 : AF_INET;
    route->rtm_dst_len = (uint8_t)(8 * size);
    mnl_attr_put(message, RTA_DST, size, to);
    return message;
}

bool routes_keep_source(const struct routes *routes, const struct shoal_endpoint *endpoint,
                        uint32_t fwmark) {
    if (routes->queries < 0 || !endpoint->ifindex || endpoint->local.family == SHOAL_AF_NONE)
        return true;
    bool v6 = endpoint->remote.family == SHOAL_AF_INET6;
    uint8_t size = v6 ? 16 : 4;
    char buffer[256] __attribute__((aligned(NLMSG_ALIGNTO))) = {0};
    struct nlmsghdr *message = ask_way(buffer, endpoint->remote.ip, size);
    ((struct rtmsg *)mnl_nlmsg_get_payload(message))->rtm_src_len = (uint8_t)(8 * size);
    mnl_attr_put(message, RTA_SRC, size, endpoint->local.ip);
    if (fwmark)
        mnl_attr_put_u32(message, RTA_MARK, fwmark);
    if (v6 && endpoint->remote.scope)
        mnl_attr_put_u32(message, RTA_OIF, endpoint->remote.scope);
    if (send(routes->queries, message, message->nlmsg_len, 0) < 0)
        return true;
    return answer_to(routes->queries, message->nlmsg_seq).ifindex == endpoint->ifindex;
}

bool routes_is_local(struct routes *routes, uint16_t family, const uint8_t *address,
                     uint32_t changes) {
    uint8_t size = family == SHOAL_AF_INET6 ? 16 : 4;
    for (uint32_t i = 0; i < ROUTES_ASKED; i++) {
        const struct routes_locality *known = &routes->asked[i];
        if (known->address.family == family && known->changes == changes &&
            memcmp(known->address.ip, address, size) == 0)
            return known->local;
    }
    if (routes->queries < 0)
        return false;
    char buffer[256] __attribute__((aligned(NLMSG_ALIGNTO))) = {0};
    struct nlmsghdr *message = ask_way(buffer, address, size);
    if (send(routes->queries, message, message->nlmsg_len, 0) < 0)
        return false;
    struct routes_locality *entry = &routes->asked[routes->next++ % ROUTES_ASKED];
    *entry = (struct routes_locality){.address.family = family, .changes = changes};
    memcpy(entry->address.ip, address, size);
    entry->local = answer_to(routes->queries, message->nlmsg_seq).type == RTN_LOCAL;
    return entry->local;
}
