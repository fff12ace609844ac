#include "routes.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_link.h>
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

/* ---- Questions --------------------------------------------------------------------------- */

/* Numbers are never used twice, so that a late answer is known by its own. */
static uint32_t next_number(void) {
    static _Atomic uint32_t last;
    return ++last;
}

static int read_way(const struct nlattr *attribute, void *data) {
    struct routes_way *way = data;
    uint16_t type = mnl_attr_get_type(attribute);
    uint32_t *field = type == RTA_OIF        ? &way->ifindex
                      : type == RTA_PRIORITY ? &way->metric
                      : type == RTA_TABLE    ? &way->table
                                             : NULL;
    if (field && mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
        *field = mnl_attr_get_u32(attribute);
    return MNL_CB_OK;
}

/* The answer to one question, which the kernel gives before send(2) returns. A late one of another
 * question is passed over by its number. */
static struct routes_way answer_to(int fd, uint32_t number) {
    char bytes[4096] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct routes_way way = {.type = RTN_UNSPEC};
    for (int i = 0; i < NEWS_AT_ONCE; i++) {
        ssize_t length = recv(fd, bytes, sizeof(bytes), 0);
        if (length < 0)
            break;
        const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)bytes;
        if (!mnl_nlmsg_ok(message, (int)length) || message->nlmsg_seq != number)
            continue;
        if (message->nlmsg_type == RTM_NEWROUTE &&
            mnl_nlmsg_get_payload_len(message) >= sizeof(struct rtmsg)) {
            const struct rtmsg *route = mnl_nlmsg_get_payload(message);
            way.type = route->rtm_type;
            way.length = route->rtm_dst_len;
            way.table = route->rtm_table;
            mnl_attr_parse(message, sizeof(struct rtmsg), read_way, &way);
        }
        break;
    }
    return way;
}

bool routes_ask(const struct routes *routes, const struct routes_question *question,
                struct routes_way *way) {
    bool v6 = question->family == SHOAL_AF_INET6;
    uint8_t size = v6 ? 16 : 4;
    char buffer[256] __attribute__((aligned(NLMSG_ALIGNTO))) = {0};
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type = RTM_GETROUTE;
    message->nlmsg_flags = NLM_F_REQUEST;
    message->nlmsg_seq = next_number();
    struct rtmsg *route = mnl_nlmsg_put_extra_header(message, sizeof(*route));
    route->rtm_family = v6 ? AF_INET6 : AF_INET;
    route->rtm_dst_len = (uint8_t)(8 * size);
    route->rtm_src_len = question->from ? (uint8_t)(8 * size) : 0;
    route->rtm_flags = question->wants_route ? RTM_F_FIB_MATCH | RTM_F_LOOKUP_TABLE : 0;
    mnl_attr_put(message, RTA_DST, size, question->to);
    if (question->from)
        mnl_attr_put(message, RTA_SRC, size, question->from);
    if (question->fwmark)
        mnl_attr_put_u32(message, RTA_MARK, question->fwmark);
    if (question->ifindex)
        mnl_attr_put_u32(message, RTA_OIF, question->ifindex);
    if (routes->queries < 0 || send(routes->queries, message, message->nlmsg_len, 0) < 0)
        return false;
    *way = answer_to(routes->queries, message->nlmsg_seq);
    return true;
}

bool routes_keep_source(const struct routes *routes, const struct shoal_endpoint *endpoint,
                        uint32_t fwmark) {
    if (!endpoint->ifindex || endpoint->local.family == SHOAL_AF_NONE)
        return true;
    bool v6 = endpoint->remote.family == SHOAL_AF_INET6;
    struct routes_question question = {.family = endpoint->remote.family,
                                       .to = endpoint->remote.ip,
                                       .from = endpoint->local.ip,
                                       .ifindex = v6 ? endpoint->remote.scope : 0,
                                       .fwmark = fwmark};
    struct routes_way way;
    return !routes_ask(routes, &question, &way) || way.ifindex == endpoint->ifindex;
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
    struct routes_question question = {.family = family, .to = address};
    struct routes_way way;
    if (!routes_ask(routes, &question, &way))
        return false;
    struct routes_locality *entry = &routes->asked[routes->next++ % ROUTES_ASKED];
    *entry = (struct routes_locality){.address.family = family, .changes = changes};
    memcpy(entry->address.ip, address, size);
    entry->local = way.type == RTN_LOCAL;
    return entry->local;
}

/* ---- Interfaces -------------------------------------------------------------------------- */

/* What a list of interfaces is made with. */
struct listing {
    uint32_t *out;
    uint32_t most, found;
    uint32_t except;
    bool carries_no_ip; /* the one that is read is a port of a bridge or of a bond */
};

static int read_port(const struct nlattr *attribute, void *data) {
    struct listing *listing = data;
    if (mnl_attr_get_type(attribute) == IFLA_INFO_SLAVE_KIND &&
        mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0)
        listing->carries_no_ip = strcmp(mnl_attr_get_str(attribute), "vrf") != 0;
    return MNL_CB_OK;
}

static int read_link(const struct nlattr *attribute, void *data) {
    if (mnl_attr_get_type(attribute) == IFLA_LINKINFO &&
        mnl_attr_validate(attribute, MNL_TYPE_NESTED) >= 0)
        mnl_attr_parse_nested(attribute, read_port, data);
    return MNL_CB_OK;
}

static void list_link(struct listing *listing, const struct nlmsghdr *message) {
    if (message->nlmsg_type != RTM_NEWLINK ||
        mnl_nlmsg_get_payload_len(message) < sizeof(struct ifinfomsg))
        return;
    const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
    if (!(info->ifi_flags & IFF_UP) || info->ifi_flags & IFF_LOOPBACK ||
        (uint32_t)info->ifi_index == listing->except)
        return;
    listing->carries_no_ip = false;
    mnl_attr_parse(message, sizeof(*info), read_link, listing);
    if (listing->carries_no_ip)
        return;
    if (listing->found < listing->most)
        listing->out[listing->found] = (uint32_t)info->ifi_index;
    listing->found++;
}

uint32_t routes_interfaces(const struct routes *routes, uint32_t except, uint32_t *out,
                           uint32_t most) {
    char bytes[16384] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct listing listing = {.out = out, .most = most, .except = except};
    char buffer[64] __attribute__((aligned(NLMSG_ALIGNTO))) = {0};
    struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
    request->nlmsg_type = RTM_GETLINK;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request->nlmsg_seq = next_number();
    mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
    mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    if (routes->queries < 0 || send(routes->queries, request, request->nlmsg_len, 0) < 0)
        return 0;
    /* The kernel makes the next part when one was read, so each is there at once. */
    for (;;) {
        ssize_t length = recv(routes->queries, bytes, sizeof(bytes), 0);
        if (length < 0)
            return listing.found;
        int left = (int)length;
        for (const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)bytes;
             mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
            if (message->nlmsg_seq != request->nlmsg_seq)
                continue;
            if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR)
                return listing.found;
            list_link(&listing, message);
        }
    }
}
