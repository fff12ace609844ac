/** How long what admins sign lasts. */

/** Seconds. */
export const DAY = 86_400;
/** Days of a membership where nothing else is said. */
export const MEMBER_DAYS = 365;
/** Seconds that anything lasts at most. */
export const LONGEST = 100 * 365 * DAY;
