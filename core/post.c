#include "post.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

int post_open(struct post *post, const uint8_t seed[16]) {
    *post = (struct post){.mailbox = mailbox_create(seed), .bell = -1, .far_bell = -1};
    if (!post->mailbox)
        return ENOMEM;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
        return errno;
    post->bell = pair[0];
    post->far_bell = pair[1];
    return 0;
}

void post_close(struct post *post) {
    if (post->mailbox)
        mailbox_free(post->mailbox);
    if (post->bell >= 0)
        close(post->bell);
    post->mailbox = NULL;
    post->bell = -1;
}

enum mailbox_result post_mail(struct post *post, enum mailbox_lane lane,
                              const struct shoal_mail *mail, const void *payload) {
    enum mailbox_result result = mailbox_post(post->mailbox, lane, mail, payload);
    if (result != MAILBOX_POSTED_RING)
        return result;
    /* One byte a rising edge; a full pipe has rung already. */
    ssize_t sent = send(post->bell, "!", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent;
    return MAILBOX_POSTED;
}

bool post_news(struct post *post, struct stats *stats, const struct shoal_mail *mail) {
    bool posted = post_mail(post, MAILBOX_EVENTS, mail, NULL) == MAILBOX_POSTED;
    if (!posted)
        stats_add(stats, COUNT_mail_dropped_edges, 1);
    return posted;
}

bool post_frequent_news(struct post *post, struct stats *stats, const struct shoal_mail *mail) {
    if (mailbox_fill(post->mailbox, MAILBOX_EVENTS) < MAILBOX_EVENTS_MAX / 2)
        return post_news(post, stats, mail);
    stats_add(stats, COUNT_mail_dropped_edges, 1);
    return false;
}
