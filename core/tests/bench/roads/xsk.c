#include "xsk.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TRIES 1000u
#define PAUSE_NS 1000000

static int bpf(enum bpf_cmd command, union bpf_attr *attribute) {
    return (int)syscall(SYS_bpf, command, attribute, sizeof(*attribute));
}

/* return bpf_redirect_map(&map, context->rx_queue_index, XDP_PASS) */
static int load_program(int map_fd) {
    const struct bpf_insn program[] = {
        {.code = BPF_LDX | BPF_MEM | BPF_W,
         .dst_reg = BPF_REG_2,
         .src_reg = BPF_REG_1,
         .off = offsetof(struct xdp_md, rx_queue_index)},
        {.code = BPF_LD | BPF_IMM | BPF_DW,
         .dst_reg = BPF_REG_1,
         .src_reg = BPF_PSEUDO_MAP_FD,
         .imm = map_fd},
        {.code = 0}, /* the upper half of the same */
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = XDP_PASS},
        {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map},
        {.code = BPF_JMP | BPF_EXIT}};
    union bpf_attr attribute;
    memset(&attribute, 0, sizeof(attribute));
    attribute.prog_type = BPF_PROG_TYPE_XDP;
    attribute.expected_attach_type = BPF_XDP;
    attribute.insns = (uintptr_t)program;
    attribute.insn_cnt = sizeof(program) / sizeof(program[0]);
    attribute.license = (uintptr_t) "MIT";
    return bpf(BPF_PROG_LOAD, &attribute);
}

static int create_map(void) {
    union bpf_attr attribute;
    memset(&attribute, 0, sizeof(attribute));
    attribute.map_type = BPF_MAP_TYPE_XSKMAP;
    attribute.key_size = attribute.value_size = sizeof(uint32_t);
    attribute.max_entries = 1;
    return bpf(BPF_MAP_CREATE, &attribute);
}

static int put_into_map(int map_fd, int fd) {
    const uint32_t queue = 0, value = (uint32_t)fd;
    union bpf_attr attribute;
    memset(&attribute, 0, sizeof(attribute));
    attribute.map_fd = (uint32_t)map_fd;
    attribute.key = (uintptr_t)&queue;
    attribute.value = (uintptr_t)&value;
    return bpf(BPF_MAP_UPDATE_ELEM, &attribute);
}

static int attach_program(int program_fd, uint32_t ifindex) {
    union bpf_attr attribute;
    memset(&attribute, 0, sizeof(attribute));
    attribute.link_create.prog_fd = (uint32_t)program_fd;
    attribute.link_create.target_ifindex = ifindex;
    attribute.link_create.attach_type = BPF_XDP;
    attribute.link_create.flags = XDP_FLAGS_DRV_MODE;
    return bpf(BPF_LINK_CREATE, &attribute);
}

static bool map_ring(struct xsk_ring *ring, int fd, const struct xdp_ring_offset *offset,
                     size_t entry, off_t at) {
    ring->size = offset->desc + XSK_FRAMES * entry;
    ring->memory =
        mmap(NULL, ring->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, at);
    if (ring->memory == MAP_FAILED)
        return false;
    uint8_t *bytes = ring->memory;
    ring->producer = (uint32_t *)(void *)(bytes + offset->producer);
    ring->consumer = (uint32_t *)(void *)(bytes + offset->consumer);
    ring->entries = bytes + offset->desc;
    return true;
}

static int set(int fd, int option, const void *value, size_t size) {
    return setsockopt(fd, SOL_XDP, option, value, (socklen_t)size);
}

/* Socket, memory and rings, and all frames offered. */
static bool open_socket(struct xsk *xsk, const char **what) {
    const uint32_t count = XSK_FRAMES;
    struct xdp_mmap_offsets offsets;
    socklen_t size = sizeof(offsets);
    *what = "socket(AF_XDP)";
    xsk->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (xsk->fd < 0)
        return false;
    *what = "memory of AF_XDP";
    xsk->frames = mmap(NULL, (size_t)XSK_FRAMES * XSK_FRAME, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (xsk->frames == MAP_FAILED)
        return false;
    struct xdp_umem_reg memory = {.addr = (uintptr_t)xsk->frames,
                                  .len = (uint64_t)XSK_FRAMES * XSK_FRAME,
                                  .chunk_size = XSK_FRAME};
    *what = "rings of AF_XDP";
    if (set(xsk->fd, XDP_UMEM_REG, &memory, sizeof(memory)) != 0 ||
        set(xsk->fd, XDP_UMEM_FILL_RING, &count, sizeof(count)) != 0 ||
        set(xsk->fd, XDP_UMEM_COMPLETION_RING, &count, sizeof(count)) != 0 ||
        set(xsk->fd, XDP_RX_RING, &count, sizeof(count)) != 0 ||
        getsockopt(xsk->fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &size) != 0 ||
        !map_ring(&xsk->fill, xsk->fd, &offsets.fr, sizeof(uint64_t),
                  (off_t)XDP_UMEM_PGOFF_FILL_RING) ||
        !map_ring(&xsk->received, xsk->fd, &offsets.rx, sizeof(struct xdp_desc), XDP_PGOFF_RX_RING))
        return false;
    for (uint32_t i = 0; i < XSK_FRAMES; i++)
        ((uint64_t *)xsk->fill.entries)[i] = (uint64_t)i * XSK_FRAME;
    __atomic_store_n(xsk->fill.producer, XSK_FRAMES, __ATOMIC_RELEASE);
    return true;
}

static bool open_all(struct xsk *xsk, uint32_t ifindex, uint16_t flags, const char **what) {
    if (!open_socket(xsk, what))
        return false;
    *what = "BPF program";
    if ((xsk->map_fd = create_map()) < 0 || (xsk->program_fd = load_program(xsk->map_fd)) < 0)
        return false;
    *what = "XDP on this interface";
    if ((xsk->link_fd = attach_program(xsk->program_fd, ifindex)) < 0)
        return false;
    struct sockaddr_xdp address = {
        .sxdp_family = AF_XDP, .sxdp_ifindex = ifindex, .sxdp_flags = flags};
    *what = flags & XDP_ZEROCOPY ? "bind with XDP_ZEROCOPY" : "bind with XDP_COPY";
    /* The kernel takes its time to let go of the queue that another socket had. */
    for (uint32_t tries = 0; bind(xsk->fd, (struct sockaddr *)&address, sizeof(address)) != 0;) {
        if (errno != EBUSY || ++tries == TRIES)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
    return put_into_map(xsk->map_fd, xsk->fd) == 0;
}

int xsk_open(struct xsk *xsk, uint32_t ifindex, uint16_t flags, const char **what) {
    *xsk = (struct xsk){.fd = -1, .map_fd = -1, .program_fd = -1, .link_fd = -1};
    if (open_all(xsk, ifindex, flags, what))
        return 0;
    int error = errno;
    xsk_close(xsk);
    return error;
}

static void close_one(int fd) {
    if (fd >= 0)
        close(fd);
}

static void unmap(void *memory, size_t size) {
    if (memory && memory != MAP_FAILED)
        munmap(memory, size);
}

void xsk_close(struct xsk *xsk) {
    close_one(xsk->link_fd);
    close_one(xsk->program_fd);
    close_one(xsk->map_fd);
    close_one(xsk->fd);
    unmap(xsk->fill.memory, xsk->fill.size);
    unmap(xsk->received.memory, xsk->received.size);
    unmap(xsk->frames, (size_t)XSK_FRAMES * XSK_FRAME);
}

uint32_t xsk_receive(struct xsk *xsk, xsk_taker take) {
    const struct xdp_desc *received = xsk->received.entries;
    uint64_t *fill = xsk->fill.entries;
    uint32_t first = *xsk->received.consumer, offered = *xsk->fill.producer;
    uint32_t count = __atomic_load_n(xsk->received.producer, __ATOMIC_ACQUIRE) - first;
    for (uint32_t i = 0; i < count; i++) {
        const struct xdp_desc *one = &received[(first + i) % XSK_FRAMES];
        take(xsk->frames + one->addr, one->len);
        fill[(offered + i) % XSK_FRAMES] = one->addr / XSK_FRAME * XSK_FRAME;
    }
    __atomic_store_n(xsk->received.consumer, first + count, __ATOMIC_RELEASE);
    __atomic_store_n(xsk->fill.producer, offered + count, __ATOMIC_RELEASE);
    return count;
}
