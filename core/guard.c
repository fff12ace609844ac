#include "guard.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>

#define BATCH_SIZE 4096
#define ANSWER_SIZE 8192
#define NAME_SIZE 48 /* "shoal-", a name of an interface, "-" and a number */

/* Chains of the table. What is dropped is counted in one of its own, which stays when the rules of
 * the other are replaced. */
#define ARRIVALS "arrivals"
#define DROPPED "dropped"

#define LOOPBACK_IFINDEX 1 /* the first interface of every namespace (net/core/dev.c) */

_Static_assert(SHOAL_IFNAME_SIZE == IFNAMSIZ, "a kind of interface is compared in as many bytes");

struct guard {
    struct mnl_socket *socket;
    uint32_t sequence;
    char ifname[SHOAL_IFNAME_SIZE];
    char table[NAME_SIZE];
    enum {
        TABLE_ABSENT,
        TABLE_UNSURE,
        TABLE_MADE
    } state; /* unsure: the kernel's answer was lost */
    uint64_t drops;
};

struct guard *guard_open(const char *ifname) {
    struct guard *guard = calloc(1, sizeof(*guard));
    if (!guard)
        return NULL;
    strncpy(guard->ifname, ifname, sizeof(guard->ifname) - 1);
    guard->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (!guard->socket || mnl_socket_bind(guard->socket, 0, MNL_SOCKET_AUTOPID) != 0) {
        int error = errno;
        guard_close(guard);
        errno = error;
        return NULL;
    }
    return guard;
}

void guard_close(struct guard *guard) {
    if (!guard)
        return;
    if (guard->socket)
        mnl_socket_close(guard->socket);
    free(guard);
}

/* ---- Messages ---------------------------------------------------------------------------- */

/* One transaction: all of it counts, or nothing. */
struct batch {
    struct guard *guard;
    struct nlmsghdr *last;
    size_t length;
    uint8_t bytes[BATCH_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
};

static struct nlmsghdr *put_message(struct batch *batch, uint16_t type, uint16_t flags,
                                    uint8_t family, uint16_t resource) {
    if (batch->last)
        batch->length += NLMSG_ALIGN(batch->last->nlmsg_len);
    struct nlmsghdr *message = mnl_nlmsg_put_header(batch->bytes + batch->length);
    message->nlmsg_type = type;
    message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    message->nlmsg_seq = ++batch->guard->sequence;
    struct nfgenmsg *head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
    head->nfgen_family = family;
    head->version = NFNETLINK_V0;
    head->res_id = htons(resource);
    batch->last = message;
    return message;
}

static struct nlmsghdr *put(struct batch *batch, uint16_t type, uint16_t flags) {
    return put_message(batch, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, NFPROTO_INET, 0);
}

static void put_number(struct nlmsghdr *message, uint16_t attribute, uint32_t value) {
    mnl_attr_put_u32(message, attribute, htonl(value));
}

static void put_table(struct batch *batch) {
    struct nlmsghdr *message = put(batch, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
    mnl_attr_put_strz(message, NFTA_TABLE_NAME, batch->guard->table);
    put_number(message, NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER);
}

static struct nlmsghdr *put_chain(struct batch *batch, const char *name) {
    struct nlmsghdr *message = put(batch, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    mnl_attr_put_strz(message, NFTA_CHAIN_TABLE, batch->guard->table);
    mnl_attr_put_strz(message, NFTA_CHAIN_NAME, name);
    return message;
}

/* Before the kernel tracks connections, so that what is dropped leaves no trace there. */
static void put_hooked_chain(struct batch *batch, const char *name) {
    struct nlmsghdr *message = put_chain(batch, name);
    struct nlattr *hook = mnl_attr_nest_start(message, NFTA_CHAIN_HOOK);
    put_number(message, NFTA_HOOK_HOOKNUM, NF_INET_PRE_ROUTING);
    put_number(message, NFTA_HOOK_PRIORITY, (uint32_t)NF_IP_PRI_RAW);
    mnl_attr_nest_end(message, hook);
    mnl_attr_put_strz(message, NFTA_CHAIN_TYPE, "filter");
}

static struct nlmsghdr *put_rule(struct batch *batch, uint16_t type, uint16_t flags,
                                 const char *chain) {
    struct nlmsghdr *message = put(batch, type, flags);
    mnl_attr_put_strz(message, NFTA_RULE_TABLE, batch->guard->table);
    mnl_attr_put_strz(message, NFTA_RULE_CHAIN, chain);
    return message;
}

/* ---- Expressions of a rule ---------------------------------------------------------------- */

struct expression {
    struct nlmsghdr *message;
    struct nlattr *element, *data;
};

static struct expression begin(struct nlmsghdr *message, const char *name) {
    struct expression expression = {.message = message};
    expression.element = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
    mnl_attr_put_strz(message, NFTA_EXPR_NAME, name);
    expression.data = mnl_attr_nest_start(message, NFTA_EXPR_DATA);
    return expression;
}

static void end(const struct expression *expression) {
    mnl_attr_nest_end(expression->message, expression->data);
    mnl_attr_nest_end(expression->message, expression->element);
}

static void put_value(struct nlmsghdr *message, uint16_t attribute, const void *value,
                      size_t size) {
    struct nlattr *nest = mnl_attr_nest_start(message, attribute);
    mnl_attr_put(message, NFTA_DATA_VALUE, size, value);
    mnl_attr_nest_end(message, nest);
}

/* Goes on with the rule where what was loaded is, or is not, this. */
static void compare(struct nlmsghdr *message, enum nft_cmp_ops how, const void *value,
                    size_t size) {
    struct expression expression = begin(message, "cmp");
    put_number(message, NFTA_CMP_SREG, NFT_REG_1);
    put_number(message, NFTA_CMP_OP, how);
    put_value(message, NFTA_CMP_DATA, value, size);
    end(&expression);
}

static void load_meta(struct nlmsghdr *message, enum nft_meta_keys key) {
    struct expression expression = begin(message, "meta");
    put_number(message, NFTA_META_DREG, NFT_REG_1);
    put_number(message, NFTA_META_KEY, key);
    end(&expression);
}

/* Bytes of the IP header. */
static void load_header(struct nlmsghdr *message, uint32_t offset, uint32_t size) {
    struct expression expression = begin(message, "payload");
    put_number(message, NFTA_PAYLOAD_DREG, NFT_REG_1);
    put_number(message, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
    put_number(message, NFTA_PAYLOAD_OFFSET, offset);
    put_number(message, NFTA_PAYLOAD_LEN, size);
    end(&expression);
}

static void mask(struct nlmsghdr *message, const uint8_t *bits, uint32_t size) {
    static const uint8_t zero[16];
    struct expression expression = begin(message, "bitwise");
    put_number(message, NFTA_BITWISE_SREG, NFT_REG_1);
    put_number(message, NFTA_BITWISE_DREG, NFT_REG_1);
    put_number(message, NFTA_BITWISE_LEN, size);
    put_value(message, NFTA_BITWISE_MASK, bits, size);
    put_value(message, NFTA_BITWISE_XOR, zero, size);
    end(&expression);
}

/* @param chain where it goes on; NULL: nowhere */
static void conclude(struct nlmsghdr *message, int32_t code, const char *chain) {
    struct expression expression = begin(message, "immediate");
    put_number(message, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    struct nlattr *data = mnl_attr_nest_start(message, NFTA_IMMEDIATE_DATA);
    struct nlattr *verdict = mnl_attr_nest_start(message, NFTA_DATA_VERDICT);
    put_number(message, NFTA_VERDICT_CODE, (uint32_t)code);
    if (chain)
        mnl_attr_put_strz(message, NFTA_VERDICT_CHAIN, chain);
    mnl_attr_nest_end(message, verdict);
    mnl_attr_nest_end(message, data);
    end(&expression);
}

/* ---- Rules -------------------------------------------------------------------------------- */

/* An interface that is none of a kind, as a network card, ends a rule that asks for its kind: so
 * the VRF has a rule of its own, before the one that drops. */
static void put_dropping_rules(struct batch *batch) {
    static const char vrf[IFNAMSIZ] = "vrf";
    struct nlmsghdr *rule = put_rule(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, DROPPED);
    struct nlattr *expressions = mnl_attr_nest_start(rule, NFTA_RULE_EXPRESSIONS);
    load_meta(rule, NFT_META_IIFKIND);
    compare(rule, NFT_CMP_EQ, vrf, sizeof(vrf));
    conclude(rule, NF_ACCEPT, NULL);
    mnl_attr_nest_end(rule, expressions);

    rule = put_rule(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, DROPPED);
    expressions = mnl_attr_nest_start(rule, NFTA_RULE_EXPRESSIONS);
    struct expression counter = begin(rule, "counter");
    end(&counter);
    conclude(rule, NF_DROP, NULL);
    mnl_attr_nest_end(rule, expressions);
}

/* Goes on with the rule where the packet came by another interface than ours and loopback, and
 * drops it. */
static void drop_elsewhere(struct nlmsghdr *rule, uint32_t ifindex) {
    static const uint32_t loopback = LOOPBACK_IFINDEX;
    load_meta(rule, NFT_META_IIF);
    compare(rule, NFT_CMP_NEQ, &ifindex, sizeof(ifindex));
    load_meta(rule, NFT_META_IIF);
    compare(rule, NFT_CMP_NEQ, &loopback, sizeof(loopback));
    conclude(rule, NFT_GOTO, DROPPED);
}

/* Nobody else has our own address: what bears it as its source would be forwarded into the tunnel
 * as ours (Linux drops it by itself for IPv4 alone). */
static void put_own_rule(struct batch *batch, uint32_t ifindex,
                         const struct shoal_prefix *address) {
    bool v6 = address->family == SHOAL_AF_INET6;
    uint8_t family = v6 ? NFPROTO_IPV6 : NFPROTO_IPV4;
    uint32_t size = v6 ? 16 : 4;
    struct nlmsghdr *rule = put_rule(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, ARRIVALS);
    struct nlattr *expressions = mnl_attr_nest_start(rule, NFTA_RULE_EXPRESSIONS);
    load_meta(rule, NFT_META_NFPROTO);
    compare(rule, NFT_CMP_EQ, &family, sizeof(family));
    load_header(rule, v6 ? 8 : 12, size);
    compare(rule, NFT_CMP_EQ, address->ip, size);
    drop_elsewhere(rule, ifindex);
    mnl_attr_nest_end(rule, expressions);
}

/* For nearly every packet the rule ends at the second comparison. */
static void put_guarding_rule(struct batch *batch, uint32_t ifindex,
                              const struct shoal_prefix *address) {
    bool v6 = address->family == SHOAL_AF_INET6;
    uint8_t family = v6 ? NFPROTO_IPV6 : NFPROTO_IPV4;
    uint32_t size = v6 ? 16 : 4, source = v6 ? 8 : 12;
    uint8_t bits[16], network[16];
    for (uint32_t i = 0; i < size; i++) {
        uint32_t kept = address->length > 8 * i ? address->length - 8 * i : 0;
        bits[i] = (uint8_t)(kept >= 8 ? 0xff : 0xff00u >> kept);
        network[i] = address->ip[i] & bits[i];
    }
    struct nlmsghdr *rule = put_rule(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, ARRIVALS);
    struct nlattr *expressions = mnl_attr_nest_start(rule, NFTA_RULE_EXPRESSIONS);
    load_meta(rule, NFT_META_NFPROTO);
    compare(rule, NFT_CMP_EQ, &family, sizeof(family));
    load_header(rule, source + size, size);
    compare(rule, NFT_CMP_EQ, address->ip, size);
    load_header(rule, source, size);
    mask(rule, bits, size);
    compare(rule, NFT_CMP_EQ, network, size);
    drop_elsewhere(rule, ifindex);
    mnl_attr_nest_end(rule, expressions);
}

/* ---- Transactions ------------------------------------------------------------------------- */

/* Takes in all that the kernel has answered, which it does before send(2) returns.
 * @param is_known whether the kernel said what became of the transaction
 * @return 0 when it acknowledged the message of this number; else its first error */
static int answer_to(struct guard *guard, uint32_t number, bool *is_known) {
    char bytes[ANSWER_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
    int error = 0;
    bool done = false;
    for (;;) {
        ssize_t length = mnl_socket_recvfrom(guard->socket, bytes, sizeof(bytes));
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0) {
            *is_known = error || done;
            return error ? error : done ? 0 : errno == EAGAIN ? EPROTO : errno;
        }
        int left = (int)length;
        for (const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)bytes;
             mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
            if (message->nlmsg_type != NLMSG_ERROR ||
                mnl_nlmsg_get_payload_len(message) < sizeof(struct nlmsgerr))
                continue;
            const struct nlmsgerr *answer = mnl_nlmsg_get_payload(message);
            if (!error)
                error = -answer->error;
            done = done || message->nlmsg_seq == number;
        }
    }
}

static int transact(struct guard *guard, uint32_t ifindex, const struct shoal_prefix *addresses,
                    uint32_t count) {
    struct batch batch = {.guard = guard};
    put_message(&batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    if (guard->state != TABLE_ABSENT) {
        put_rule(&batch, NFT_MSG_DELRULE, 0, ARRIVALS);
    } else {
        put_table(&batch);
        put_chain(&batch, DROPPED);
        put_dropping_rules(&batch);
        put_hooked_chain(&batch, ARRIVALS);
    }
    for (uint32_t i = 0; i < count; i++)
        put_guarding_rule(&batch, ifindex, &addresses[i]);
    for (uint32_t i = 0; i < count; i++)
        put_own_rule(&batch, ifindex, &addresses[i]);
    batch.last->nlmsg_flags |= NLM_F_ACK;
    uint32_t number = batch.last->nlmsg_seq;
    put_message(&batch, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    size_t size = batch.length + batch.last->nlmsg_len;
    if (mnl_socket_sendto(guard->socket, batch.bytes, size) < 0)
        return errno;
    bool is_known;
    int error = answer_to(guard, number, &is_known);
    if (guard->state != TABLE_MADE && (!error || !is_known))
        guard->state = error ? TABLE_UNSURE : TABLE_MADE;
    return error;
}

int guard_set(struct guard *guard, uint32_t ifindex, const struct shoal_prefix *addresses,
              uint32_t count) {
    if (guard->state == TABLE_ABSENT)
        snprintf(guard->table, sizeof(guard->table), "shoal-%s", guard->ifname);
    int error = transact(guard, ifindex, addresses, count);
    if (guard->state == TABLE_UNSURE && (error == ENOENT || error == EPERM)) {
        guard->state = TABLE_ABSENT; /* none was made, or this name is another one's */
        error = transact(guard, ifindex, addresses, count);
    }
    /* An interface that was renamed has left its name to another one, whose table is this. */
    if (guard->state == TABLE_ABSENT && (error == EEXIST || error == EPERM)) {
        snprintf(guard->table, sizeof(guard->table), "shoal-%s-%u", guard->ifname, ifindex);
        error = transact(guard, ifindex, addresses, count);
    }
    return error;
}

/* ---- What was dropped --------------------------------------------------------------------- */

/* What is read of the expressions of a rule. Within each its name comes first. */
struct reading {
    bool counts; /* the one that is read is a counter */
    uint64_t *packets;
};

static int read_number(const struct nlattr *attribute, void *data) {
    struct reading *reading = data;
    if (mnl_attr_get_type(attribute) == NFTA_COUNTER_PACKETS &&
        mnl_attr_validate(attribute, MNL_TYPE_U64) >= 0)
        *reading->packets = be64toh(mnl_attr_get_u64(attribute));
    return MNL_CB_OK;
}

static int read_expression(const struct nlattr *attribute, void *data) {
    struct reading *reading = data;
    uint16_t type = mnl_attr_get_type(attribute);
    if (type == NFTA_EXPR_NAME && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0)
        reading->counts = strcmp(mnl_attr_get_str(attribute), "counter") == 0;
    if (type == NFTA_EXPR_DATA && reading->counts)
        mnl_attr_parse_nested(attribute, read_number, data);
    return MNL_CB_OK;
}

static int read_element(const struct nlattr *attribute, void *data) {
    return mnl_attr_parse_nested(attribute, read_expression, data);
}

static int read_rule(const struct nlattr *attribute, void *data) {
    return mnl_attr_get_type(attribute) == NFTA_RULE_EXPRESSIONS
               ? mnl_attr_parse_nested(attribute, read_element, data)
               : MNL_CB_OK;
}

static void take_rule(const struct nlmsghdr *message, uint64_t *packets) {
    struct reading reading = {.packets = packets};
    if (message->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE) &&
        mnl_nlmsg_get_payload_len(message) >= sizeof(struct nfgenmsg))
        mnl_attr_parse(message, sizeof(struct nfgenmsg), read_rule, &reading);
}

uint64_t guard_drops(struct guard *guard) {
    char bytes[ANSWER_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct batch batch = {.guard = guard};
    if (guard->state == TABLE_ABSENT)
        return guard->drops;
    put_rule(&batch, NFT_MSG_GETRULE, NLM_F_DUMP, DROPPED);
    if (mnl_socket_sendto(guard->socket, batch.last, batch.last->nlmsg_len) < 0)
        return guard->drops;
    for (;;) {
        ssize_t length = mnl_socket_recvfrom(guard->socket, bytes, sizeof(bytes));
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return guard->drops;
        int left = (int)length;
        for (const struct nlmsghdr *message = (const struct nlmsghdr *)(const void *)bytes;
             mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
            take_rule(message, &guard->drops);
    }
}
