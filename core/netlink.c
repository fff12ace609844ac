#include "netlink.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>

#define REQUEST_SIZE 512

struct netlink {
    struct mnl_socket *socket;
    uint32_t sequence;
};

struct netlink *netlink_open(void) {
    struct netlink *netlink = calloc(1, sizeof(*netlink));
    if (!netlink)
        return NULL;
    netlink->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (!netlink->socket || mnl_socket_bind(netlink->socket, 0, MNL_SOCKET_AUTOPID) != 0) {
        int error = errno;
        netlink_close(netlink);
        errno = error;
        return NULL;
    }
    return netlink;
}

void netlink_close(struct netlink *netlink) {
    if (!netlink)
        return;
    if (netlink->socket)
        mnl_socket_close(netlink->socket);
    free(netlink);
}

/* `buffer` of REQUEST_SIZE is zeroed: libmnl 1.0.4 leaves the padding behind attributes alone. */
static struct nlmsghdr *request(char *buffer, uint16_t type, uint16_t flags) {
    memset(buffer, 0, REQUEST_SIZE);
    struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
    message->nlmsg_type = type;
    message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    return message;
}

/* Sends and waits for the acknowledgement, which the kernel writes before send(2) returns; an
 * answer before it goes to `take`. */
static int execute_for(struct netlink *netlink, struct nlmsghdr *message, mnl_cb_t take,
                       void *context) {
    char answer[4096] __attribute__((aligned(NLMSG_ALIGNTO)));
    message->nlmsg_seq = ++netlink->sequence;
    if (mnl_socket_sendto(netlink->socket, message, message->nlmsg_len) < 0)
        return errno;
    for (;;) {
        ssize_t length = mnl_socket_recvfrom(netlink->socket, answer, sizeof(answer));
        if (length < 0) {
            if (errno == EINTR)
                continue;
            return errno;
        }
        int result = mnl_cb_run(answer, (size_t)length, netlink->sequence,
                                mnl_socket_get_portid(netlink->socket), take, context);
        if (result < 0)
            return errno;
        if (result == MNL_CB_STOP)
            return 0;
    }
}

static int execute(struct netlink *netlink, struct nlmsghdr *message) {
    return execute_for(netlink, message, NULL, NULL);
}

static struct nlmsghdr *link_request(char *buffer, uint32_t ifindex, uint32_t up) {
    struct nlmsghdr *message = request(buffer, RTM_NEWLINK, 0);
    struct ifinfomsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
    info->ifi_family = AF_UNSPEC;
    info->ifi_index = (int)ifindex;
    info->ifi_change = up <= 1 ? IFF_UP : 0;
    info->ifi_flags = up == 1 ? IFF_UP : 0;
    return message;
}

int netlink_link_set(struct netlink *netlink, uint32_t ifindex, uint32_t mtu, uint32_t up) {
    char buffer[REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct nlmsghdr *message = link_request(buffer, ifindex, up);
    if (mtu)
        mnl_attr_put_u32(message, IFLA_MTU, mtu);
    return execute(netlink, message);
}

int netlink_segments_max(struct netlink *netlink, uint32_t ifindex, uint32_t segments) {
    char buffer[REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct nlmsghdr *message = link_request(buffer, ifindex, 2);
    mnl_attr_put_u32(message, IFLA_GSO_MAX_SEGS, segments);
    return execute(netlink, message);
}

int netlink_quieten(struct netlink *netlink, uint32_t ifindex) {
    char buffer[REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct nlmsghdr *message = link_request(buffer, ifindex, 2);
    struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
    info->ifi_change = IFF_MULTICAST;
    int error = execute(netlink, message);
    message = link_request(buffer, ifindex, 2);
    struct nlattr *families = mnl_attr_nest_start(message, IFLA_AF_SPEC);
    struct nlattr *inet6 = mnl_attr_nest_start(message, AF_INET6);
    mnl_attr_put_u8(message, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
    mnl_attr_nest_end(message, inet6);
    mnl_attr_nest_end(message, families);
    int refused = execute(netlink, message);
    return error ? error : refused;
}

static uint8_t family_of(const struct shoal_prefix *prefix) {
    return prefix->family == SHOAL_AF_INET6 ? AF_INET6 : AF_INET;
}

static size_t size_of(const struct shoal_prefix *prefix) {
    return prefix->family == SHOAL_AF_INET6 ? 16 : 4;
}

int netlink_address(struct netlink *netlink, uint32_t ifindex, const struct shoal_prefix *address,
                    bool add) {
    char buffer[REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct nlmsghdr *message = add ? request(buffer, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE)
                                   : request(buffer, RTM_DELADDR, 0);
    struct ifaddrmsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
    info->ifa_family = family_of(address);
    info->ifa_prefixlen = (uint8_t)address->length;
    info->ifa_index = ifindex;
    /* Nobody else is on the link, so nothing is to be detected before the address may be used. */
    if (address->family == SHOAL_AF_INET6)
        info->ifa_flags = IFA_F_NODAD;
    mnl_attr_put(message, IFA_LOCAL, size_of(address), address->ip);
    mnl_attr_put(message, IFA_ADDRESS, size_of(address), address->ip);
    return execute(netlink, message);
}

#define METRIC_OF_IPV6 256 /* IP6_RT_PRIO_ADDRCONF */

int netlink_route(struct netlink *netlink, uint32_t ifindex, const struct shoal_prefix *address) {
    char buffer[REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct nlmsghdr *message = request(buffer, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
    struct rtmsg *route = mnl_nlmsg_put_extra_header(message, sizeof(*route));
    bool v6 = address->family == SHOAL_AF_INET6;
    uint8_t network[16] = {0};
    for (size_t i = 0; i < size_of(address); i++) {
        uint32_t before = 8 * (uint32_t)i;
        uint32_t kept = address->length > before ? address->length - before : 0;
        uint32_t mask = kept >= 8 ? 0xff : 0xff00u >> kept & 0xff;
        network[i] = (uint8_t)(address->ip[i] & mask);
    }
    route->rtm_family = family_of(address);
    route->rtm_dst_len = (uint8_t)address->length;
    route->rtm_table = RT_TABLE_MAIN;
    route->rtm_protocol = RTPROT_KERNEL;
    route->rtm_scope = v6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
    route->rtm_type = RTN_UNICAST;
    mnl_attr_put(message, RTA_DST, size_of(address), network);
    mnl_attr_put_u32(message, RTA_OIF, ifindex);
    if (v6)
        mnl_attr_put_u32(message, RTA_PRIORITY, METRIC_OF_IPV6);
    else
        mnl_attr_put(message, RTA_PREFSRC, 4, address->ip);
    return execute(netlink, message);
}

static int read_name(const struct nlattr *attribute, void *data) {
    char *name = data;
    if (mnl_attr_get_type(attribute) == IFLA_IFNAME &&
        mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0)
        strncpy(name, mnl_attr_get_str(attribute), SHOAL_IFNAME_SIZE - 1);
    return MNL_CB_OK;
}

static int take_name(const struct nlmsghdr *answer, void *name) {
    return answer->nlmsg_type == RTM_NEWLINK
               ? mnl_attr_parse(answer, sizeof(struct ifinfomsg), read_name, name)
               : MNL_CB_OK;
}

int netlink_name(struct netlink *netlink, uint32_t ifindex, char name[SHOAL_IFNAME_SIZE]) {
    char buffer[REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct nlmsghdr *message = request(buffer, RTM_GETLINK, 0);
    struct ifinfomsg *info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
    info->ifi_index = (int)ifindex;
    memset(name, 0, SHOAL_IFNAME_SIZE);
    return execute_for(netlink, message, take_name, name);
}

static int read_filter(const struct nlattr *attribute, void *data) {
    if (mnl_attr_get_type(attribute) == NETCONFA_RP_FILTER &&
        mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
        *(uint32_t *)data = mnl_attr_get_u32(attribute);
    return MNL_CB_OK;
}

static int take_filter(const struct nlmsghdr *answer, void *filter) {
    return answer->nlmsg_type == RTM_NEWNETCONF
               ? mnl_attr_parse(answer, sizeof(struct netconfmsg), read_filter, filter)
               : MNL_CB_OK;
}

static uint32_t filter_of(struct netlink *netlink, uint32_t ifindex) {
    char buffer[REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct nlmsghdr *message = request(buffer, RTM_GETNETCONF, 0);
    struct netconfmsg *config = mnl_nlmsg_put_extra_header(message, sizeof(*config));
    uint32_t filter = 0;
    config->ncm_family = AF_INET;
    mnl_attr_put_u32(message, NETCONFA_IFINDEX, ifindex);
    return execute_for(netlink, message, take_filter, &filter) == 0 ? filter : 0;
}

bool netlink_filters_paths(struct netlink *netlink, uint32_t ifindex) {
    uint32_t all = filter_of(netlink, (uint32_t)NETCONFA_IFINDEX_ALL);
    uint32_t here = filter_of(netlink, ifindex);
    return (all > here ? all : here) == 1; /* the greater one counts (IN_DEV_RPFILTER) */
}

static int read_interface(const struct nlattr *attribute, void *data) {
    if (mnl_attr_get_type(attribute) == RTA_OIF && mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
        *(uint32_t *)data = mnl_attr_get_u32(attribute);
    return MNL_CB_OK;
}

static int take_interface(const struct nlmsghdr *answer, void *ifindex) {
    return answer->nlmsg_type == RTM_NEWROUTE
               ? mnl_attr_parse(answer, sizeof(struct rtmsg), read_interface, ifindex)
               : MNL_CB_OK;
}

int netlink_way(struct netlink *netlink, const struct shoal_prefix *address, uint32_t *ifindex) {
    char buffer[REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct nlmsghdr *message = request(buffer, RTM_GETROUTE, 0);
    struct rtmsg *route = mnl_nlmsg_put_extra_header(message, sizeof(*route));
    route->rtm_family = family_of(address);
    route->rtm_dst_len = (uint8_t)(8 * size_of(address));
    mnl_attr_put(message, RTA_DST, size_of(address), address->ip);
    *ifindex = 0;
    return execute_for(netlink, message, take_interface, ifindex);
}
