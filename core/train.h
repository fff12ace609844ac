/*
 * A train: sealed messages of one peer, one behind the other, whose bytes are the payload of one
 * sendmsg (UDP_SEGMENT cuts them). All have the size of the first one but the last, which may be
 * shorter and then ends the train.
 *
 *      WHOLE ──refused for its segments──► SINGLY          what the kernel answers, and what
 *        │                                   │             becomes of the messages: see train_send
 *        └──────────── socket full ──────────┴──► WAITS
 */
#ifndef SHOAL_TRAIN_H
#define SHOAL_TRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "peer.h"
#include "socket.h"

#define TRAIN_ARENA_SIZE 65536u

/* Owner: the worker. */
struct train {
    uint8_t *arena;
    struct peer *peer;   /* NULL while count is 0 */
    uint32_t bytes;      /* sealed into the arena */
    uint32_t at;         /* where those begin that have not left yet */
    uint32_t count;      /* messages from there on */
    uint32_t keepalives; /* empty ones among them */
    uint32_t stride;     /* size of every message but the last */
    bool closed;         /* a shorter message ended it */
    uint8_t tos;
};

struct pass;

/** False when out of memory. */
bool train_init(struct train *train);
void train_free(struct train *train);

/** Takes all messages out. */
void train_empty(struct train *train);

/** May a message of `size` bytes to this peer come behind those in it? An empty one takes any. */
bool train_fits(const struct train *train, const struct peer *peer, uint32_t size, uint8_t tos);

/** Counts a message that was sealed at arena + bytes. */
void train_add(struct train *train, struct peer *peer, uint32_t size, uint8_t tos);

/**
 * Sends what is in it, each message once.
 *
 *      0                        all have left
 *      EIO, EINVAL, EMSGSIZE    of several: the path or the device refuses segments; they go singly
 *      a source is suspect      once more without one (R54)
 *      EAGAIN, may_wait         WAITS: what has not left stays in the train
 *      anything else            dropped, counted by reason
 *
 * @return false when the socket is full and the train waits.
 */
bool train_send(struct pass *pass, struct train *train, bool may_wait);

/** News of routes came since the last send, or the endpoint is new: asks for the way past our own
 * interface, and whether the source is still one that leaves where it was heard. */
void train_reconsider_way(struct pass *pass, struct peer *peer);

#endif
