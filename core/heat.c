#include "heat.h"

uint32_t heat_add(struct heat *heat, uint64_t period, uint32_t n) {
    if (heat->period != period) {
        heat->before = heat->period + 1 == period ? heat->now : 0;
        heat->now = 0;
        heat->period = period;
    }
    heat->now = heat->now > UINT32_MAX - n ? UINT32_MAX : heat->now + n;
    return heat->now;
}

uint32_t heat_of(const struct heat *heat, uint64_t period) {
    if (heat->period + 1 == period)
        return heat->now;
    if (heat->period != period)
        return 0;
    return heat->now > heat->before ? heat->now : heat->before;
}

bool heat_beats(const struct heat *heat, const struct heat *other, uint64_t period) {
    return heat_of(heat, period) / HEAT_FACTOR > heat_of(other, period);
}

bool heat_is_idle(const struct heat *heat, uint64_t period) {
    return period - heat->period > HEAT_IDLE_PERIODS;
}
