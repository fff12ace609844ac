#include "tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "segment.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20 /* linux/if_tun.h, Linux 6.2 */
#define TUN_F_USO6 0x40
#endif

/* 0 with errno. if_nametoindex of libc opens a socket just as well; this one needs no second header
 * of the same structs (net/if.h and linux/if.h do not mix). */
static uint32_t index_of(const char *name) {
    struct ifreq request = {0};
    memcpy(request.ifr_name, name, SHOAL_IFNAME_SIZE);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    int failed = ioctl(fd, SIOCGIFINDEX, &request), error = errno;
    close(fd);
    errno = error;
    return failed ? 0 : (uint32_t)request.ifr_ifindex;
}

/* Is the interface of this descriptor in the calling thread's namespace? A descriptor that was
 * handed over may come from elsewhere, where its name means another interface. */
static bool is_here(int fd) {
    struct stat here, there;
    int namespace = ioctl(fd, TUNGETDEVNETNS);
    if (namespace < 0)
        return true; /* no right to know, or Linux before 5.2 */
    bool same = fstat(namespace, &there) == 0 && stat("/proc/thread-self/ns/net", &here) == 0 &&
                here.st_dev == there.st_dev && here.st_ino == there.st_ino;
    close(namespace);
    return same;
}

static int attach(int fd, struct ifreq *request, const char *name, short flags) {
    memset(request, 0, sizeof(*request));
    memcpy(request->ifr_name, name, strnlen(name, sizeof(request->ifr_name) - 1));
    request->ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | flags);
    return ioctl(fd, TUNSETIFF, request) == 0 ? 0 : errno;
}

int tun_create(struct tun *tun, const char *name, uint32_t queues, const char **what) {
    *what = "/dev/net/tun";
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return errno;
    struct ifreq request;
    bool several = queues > 1;
    *what = "TUNSETIFF";
    int error = attach(fd, &request, name, several ? IFF_MULTI_QUEUE : 0);
    if (error == EINVAL && several) {
        several = false;
        error = attach(fd, &request, name, 0);
    }
    if (error) {
        close(fd);
        /* EBUSY: a TUN that another process holds. EINVAL: an interface of another kind. */
        return error == EINVAL && index_of(name) ? EBUSY : error;
    }
    *tun = (struct tun){.fd = fd, .vnet = true, .real = true, .multi_queue = several};
    memcpy(tun->name, request.ifr_name, sizeof(tun->name));
    tun->name[SHOAL_IFNAME_SIZE - 1] = 0;
    *what = "SIOCGIFINDEX";
    tun->ifindex = index_of(tun->name);
    if (!tun->ifindex) {
        error = errno;
        tun_close(tun);
        return error;
    }
    /* A persistent interface that existed remembers the header size of whoever had it before. */
    int size = SEGMENT_VNET_SIZE;
    *what = "TUNSETVNETHDRSZ";
    if (ioctl(fd, TUNSETVNETHDRSZ, &size) != 0) {
        error = errno;
        tun_close(tun);
        return error;
    }
    return 0;
}

int tun_add_queue(const struct tun *tun) {
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct ifreq request;
    int error = attach(fd, &request, tun->name, IFF_MULTI_QUEUE);
    if (!error)
        return fd;
    close(fd);
    return -error;
}

int tun_adopt(struct tun *tun, int fd, bool plain, const char **what) {
    *tun = (struct tun){.fd = fd, .vnet = true};
    *what = "fcntl";
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return errno;
    if (!plain) {
        struct ifreq request = {0};
        *what = "TUNGETIFF";
        if (ioctl(fd, TUNGETIFF, &request) != 0)
            return errno;
        /* IFF_NO_PI cannot be asked for: its bit means IFF_NOFILTER in the answer. */
        *what = "tun_fd: not IFF_TUN";
        if (!(request.ifr_flags & IFF_TUN))
            return EINVAL;
        tun->vnet = request.ifr_flags & IFF_VNET_HDR;
        tun->real = true;
        memcpy(tun->name, request.ifr_name, sizeof(tun->name));
        tun->name[SHOAL_IFNAME_SIZE - 1] = 0;
        tun->ifindex = is_here(fd) ? index_of(tun->name) : 0;
        if (tun->vnet) {
            int size = SEGMENT_VNET_SIZE;
            *what = "TUNSETVNETHDRSZ";
            if (ioctl(fd, TUNSETVNETHDRSZ, &size) != 0)
                return errno;
        }
    }
    *what = "fcntl";
    if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return errno;
    return 0;
}

void tun_close(struct tun *tun) {
    if (tun->fd >= 0)
        close(tun->fd);
    tun->fd = -1;
}

uint32_t tun_set_offloads(const struct tun *tun, uint32_t offloads) {
    if (tun->fd < 0 || !tun->vnet)
        return 0;
    if (!tun->real)
        return offloads;
    unsigned long tso = offloads & SHOAL_OFFLOAD_TUN_TSO ? TUN_F_TSO4 | TUN_F_TSO6 : 0;
    unsigned long uso = offloads & SHOAL_OFFLOAD_TUN_USO ? TUN_F_USO4 | TUN_F_USO6 : 0;
    uint32_t both = SHOAL_OFFLOAD_TUN_TSO | SHOAL_OFFLOAD_TUN_USO;
    if (ioctl(tun->fd, TUNSETOFFLOAD, TUN_F_CSUM | tso | uso) == 0)
        return offloads & both;
    if (uso && ioctl(tun->fd, TUNSETOFFLOAD, TUN_F_CSUM | tso) == 0) /* before Linux 6.2 */
        return offloads & SHOAL_OFFLOAD_TUN_TSO;
    ioctl(tun->fd, TUNSETOFFLOAD, TUN_F_CSUM);
    return 0;
}

ssize_t tun_read(const struct tun *tun, uint8_t *frame, size_t capacity) {
    size_t offset = tun->vnet ? 0 : SEGMENT_VNET_SIZE;
    if (offset)
        memset(frame, 0, offset);
    ssize_t length;
    do
        length = read(tun->fd, frame + offset, capacity - offset);
    while (length < 0 && errno == EINTR);
    return length < 0 ? -errno : length + (ssize_t)offset;
}

int tun_write(const struct tun *tun, struct iovec *parts, uint32_t count) {
    if (!tun->vnet) {
        /* Nothing is coalesced for such a device, so the header says nothing. */
        parts[0].iov_base = (uint8_t *)parts[0].iov_base + SEGMENT_VNET_SIZE;
        parts[0].iov_len -= SEGMENT_VNET_SIZE;
        if (parts[0].iov_len == 0) {
            parts++;
            count--;
        }
    }
    ssize_t written;
    do
        written = writev(tun->fd, parts, (int)count);
    while (written < 0 && errno == EINTR);
    return written < 0 ? errno : 0;
}
