/*
 * The post: the mailbox with its doorbell, a socketpair whose far end the caller polls. Any thread
 * posts.
 */
#ifndef SHOAL_POST_H
#define SHOAL_POST_H

#include <stdbool.h>
#include <stdint.h>

#include "mailbox.h"
#include "stats.h"

/* Owner: the device; whoever posts only writes to `bell`. */
struct post {
    struct mailbox *mailbox;
    int bell;     /* our end; -1: not open */
    int far_bell; /* the caller's end, as told in shoal_device_info, and the caller's to close */
};

/** @param seed  16 secret random bytes. @return 0 or an errno; post_close frees what there is. */
int post_open(struct post *post, const uint8_t seed[16]);

/** Frees all but the far end of the doorbell. */
void post_close(struct post *post);

/** Posts a record and rings when the box was empty; MAILBOX_POSTED_RING is never returned. */
enum mailbox_result post_mail(struct post *post, enum mailbox_lane lane,
                              const struct shoal_mail *mail, const void *payload);

/** Posts an edge or news; counts on `stats` when the box is full. False then. */
bool post_news(struct post *post, struct stats *stats, const struct shoal_mail *mail);

/** News that others can cause as often as they like: half of the lane is for other news. */
bool post_frequent_news(struct post *post, struct stats *stats, const struct shoal_mail *mail);

#endif
