#include "replay.h"

#define RING_WORDS (REPLAY_BITS / 64u)

static uint64_t word_of(uint64_t counter) { return (counter / 64) % RING_WORDS; }

bool replay_check(const struct replay *replay, uint64_t counter) {
    if (counter >= REPLAY_COUNTER_LIMIT)
        return false;
    if (counter >= replay->next)
        return true;
    if (replay->next - 1 - counter > REPLAY_WINDOW)
        return false;
    return !(replay->ring[word_of(counter)] >> (counter % 64) & 1);
}

bool replay_commit(struct replay *replay, uint64_t counter) {
    if (!replay_check(replay, counter))
        return false;
    if (counter >= replay->next) {
        /* Words that the window enters still hold the bits of one turn ago. On a fresh ring the
         * word of counter 0 is entered too, but holds nothing: all words are zero. */
        uint64_t newest = replay->next ? replay->next - 1 : 0;
        uint64_t steps = counter / 64 - newest / 64;
        if (steps > RING_WORDS)
            steps = RING_WORDS;
        for (uint64_t i = 1; i <= steps; i++)
            replay->ring[(newest / 64 + i) % RING_WORDS] = 0;
        replay->next = counter + 1;
    }
    replay->ring[word_of(counter)] |= UINT64_C(1) << (counter % 64);
    return true;
}
