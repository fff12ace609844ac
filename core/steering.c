#include "steering.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "wire.h"

#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51 /* asm-generic/socket.h */
#endif

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Sockets ----------------------------------------------------------------------------- */

int steering_sockets(int socket, uint32_t workers) {
    /* Offsets count from the UDP payload. A load past its end ends the program with 0. */
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WIRE_DATA, 0, 3),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, WIRE_DATA_INDEX), /* little-endian: the lowest byte */
        BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, workers),
        BPF_STMT(BPF_RET | BPF_A, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program;
    memset(&program, 0, sizeof(program)); /* its padding too: the kernel reads all of it */
    program.len = COUNT(code);
    program.filter = code;
    return setsockopt(socket, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) == 0
               ? 0
               : errno;
}

/* ---- TUN --------------------------------------------------------------------------------- */

/* A key of the tries: bits, and the address in network byte order. */
struct trie_key {
    uint32_t length;
    uint8_t ip[16];
};

#define KEY4 8u /* bytes of a key with an IPv4 address */
#define KEY6 20u

static int bpf(int command, union bpf_attr *attributes) {
    return (int)syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

static int create_trie(uint32_t key_size, uint32_t entries) {
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof(attributes));
    attributes.map_type = BPF_MAP_TYPE_LPM_TRIE;
    attributes.key_size = key_size;
    attributes.value_size = sizeof(uint32_t);
    attributes.max_entries = entries;
    attributes.map_flags = BPF_F_NO_PREALLOC;
    return bpf(BPF_MAP_CREATE, &attributes);
}

enum { R0, R1, R2, R6 = 6, R7, R8, R10 = 10 };

#define OP(code_, dst, src, off_, imm_)                                                            \
    (struct bpf_insn) {                                                                            \
        .code = (code_), .dst_reg = (dst), .src_reg = (src), .off = (off_), .imm = (imm_)          \
    }
#define MOVE(dst, src) OP(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0)
#define SET(dst, value) OP(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value)
#define ADD(dst, value) OP(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, value)
#define STORE32(dst, off, src) OP(BPF_STX | BPF_MEM | BPF_W, dst, src, off, 0)
#define STORE32_K(dst, off, value) OP(BPF_ST | BPF_MEM | BPF_W, dst, 0, off, value)
#define LOAD32(dst, src, off) OP(BPF_LDX | BPF_MEM | BPF_W, dst, src, off, 0)
#define PACKET8(off) OP(BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, off)
#define PACKET32(off) OP(BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, off)
#define NETWORK_ORDER(dst) OP(BPF_ALU | BPF_END | BPF_TO_BE, dst, 0, 0, 32)
#define JUMP_EQUAL(dst, value, off) OP(BPF_JMP | BPF_JEQ | BPF_K, dst, 0, off, value)
#define CALL(function) OP(BPF_JMP | BPF_CALL, 0, 0, 0, function)
#define EXIT OP(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
/* Two instructions each. */
#define MAP(dst, fd) OP(BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_FD, 0, fd), OP(0, 0, 0, 0, 0)
#define WORD_OF_KEY(packet, stack) PACKET32(packet), NETWORK_ORDER(R0), STORE32(R10, stack, R0)
#define PACKET16(off) OP(BPF_LD | BPF_ABS | BPF_H, 0, 0, 0, off)
#define PACKET32_AT(src) OP(BPF_LD | BPF_IND | BPF_W, 0, src, 0, 0)
#define ALU(op, dst, value) OP(BPF_ALU | (op) | BPF_K, dst, 0, 0, value) /* of 32 bits */
#define ALU_X(op, dst, src) OP(BPF_ALU | (op) | BPF_X, dst, src, 0, 0)
/* Looks the key up: ends with 0 without a worker, and with the worker (R7) without lanes (R8). */
#define LOOK_UP(fd, stack)                                                                         \
    MAP(R1, fd), MOVE(R2, R10), ADD(R2, stack), CALL(BPF_FUNC_map_lookup_elem),                    \
        JUMP_EQUAL(R0, 0, 6), LOAD32(R7, R0, 0), MOVE(R8, R7), ALU(BPF_RSH, R8, 8),                \
        ALU(BPF_AND, R7, 0xff), OP(BPF_JMP | BPF_JGT | BPF_K, R8, 0, 2, 1), MOVE(R0, R7), EXIT
/* Ends with the peer's own worker unless the protocol, in R0, is TCP or UDP. */
#define UNLESS_PORTS JUMP_EQUAL(R0, 6, 3), JUMP_EQUAL(R0, 17, 2), MOVE(R0, R7), EXIT
/* Both ports are in R0: ends with the worker of the flow's lane. The same for either direction. */
#define END_WITH_LANE                                                                              \
    OP(BPF_ALU | BPF_MOV | BPF_X, R1, R0, 0, 0), ALU(BPF_RSH, R1, 16), ALU_X(BPF_XOR, R0, R1),     \
        ALU(BPF_AND, R0, 0xffff), ALU(BPF_MUL, R0, (int)0x9e3779b1), ALU(BPF_RSH, R0, 16),         \
        ALU_X(BPF_MOD, R0, R8), ALU_X(BPF_ADD, R0, R7), EXIT

static int load_program(const int tries[2]) {
    /* The packet begins with its IP header. A load past its end ends the program with 0. */
    const struct bpf_insn code[] = {
        MOVE(R6, R1), /* what loads from the packet go by */
        PACKET8(0),
        OP(BPF_ALU64 | BPF_RSH | BPF_K, R0, 0, 0, 4),
        JUMP_EQUAL(R0, 6, 43),
        JUMP_EQUAL(R0, 4, 2),
        SET(R0, 0),
        EXIT,
        STORE32_K(R10, -8, 32),
        WORD_OF_KEY(16, -4),
        LOOK_UP(tries[0], -8),
        PACKET8(9),
        UNLESS_PORTS,
        PACKET16(6), /* a fragment? */
        ALU(BPF_AND, R0, 0x3fff),
        JUMP_EQUAL(R0, 0, 2),
        MOVE(R0, R7),
        EXIT,
        PACKET8(0),
        ALU(BPF_AND, R0, 15),
        ALU(BPF_LSH, R0, 2),
        PACKET32_AT(R0),
        END_WITH_LANE,
        STORE32_K(R10, -20, 128),
        WORD_OF_KEY(24, -16),
        WORD_OF_KEY(28, -12),
        WORD_OF_KEY(32, -8),
        WORD_OF_KEY(36, -4),
        LOOK_UP(tries[1], -20),
        PACKET8(6),
        UNLESS_PORTS, /* a fragment has another header there */
        PACKET32(40),
        END_WITH_LANE,
    };
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof(attributes));
    attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    attributes.insns = (uint64_t)(uintptr_t)code;
    attributes.insn_cnt = COUNT(code);
    attributes.license = (uint64_t)(uintptr_t) "MIT";
    memcpy(attributes.prog_name, "shoal_tun", sizeof("shoal_tun"));
    return bpf(BPF_PROG_LOAD, &attributes);
}

void steering_init(struct steering *steering) { *steering = (struct steering){.tries = {-1, -1}}; }

bool steering_open(struct steering *steering, int tun, uint32_t routes_max) {
    static const uint32_t sizes[2] = {KEY4, KEY6};
    int program = -1;
    bool made = true;
    for (int i = 0; made && i < 2; i++)
        made = (steering->tries[i] = create_trie(sizes[i], routes_max)) >= 0;
    if (made)
        made = (program = load_program(steering->tries)) >= 0;
    if (made)
        made = ioctl(tun, TUNSETSTEERINGEBPF, &program) == 0;
    int error = made ? 0 : errno;
    if (program >= 0)
        close(program); /* the TUN holds it */
    if (!made)
        steering_close(steering);
    steering->error = error;
    return made;
}

void steering_close(struct steering *steering) {
    for (int i = 0; i < 2; i++)
        if (steering->tries[i] >= 0)
            close(steering->tries[i]);
    steering_init(steering);
}

static bool change(const struct steering *steering, const struct shoal_prefix *prefix, int command,
                   uint32_t value) {
    int trie = steering->tries[prefix->family == SHOAL_AF_INET6];
    if (trie < 0) /* there is nothing to tell */
        return true;
    struct trie_key key = {.length = prefix->length};
    memcpy(key.ip, prefix->ip, sizeof(key.ip));
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof(attributes));
    attributes.map_fd = (uint32_t)trie;
    attributes.key = (uint64_t)(uintptr_t)&key;
    if (command == BPF_MAP_UPDATE_ELEM) /* the others want nothing behind the key */
        attributes.value = (uint64_t)(uintptr_t)&value;
    return bpf(command, &attributes) == 0;
}

bool steering_add(struct steering *steering, const struct shoal_prefix *prefix, uint32_t worker,
                  uint32_t lanes) {
    return change(steering, prefix, BPF_MAP_UPDATE_ELEM, worker | lanes << 8);
}

void steering_remove(struct steering *steering, const struct shoal_prefix *prefix) {
    (void)change(steering, prefix, BPF_MAP_DELETE_ELEM, 0); /* one that was refused is not there */
}
