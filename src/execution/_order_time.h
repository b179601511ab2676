/* The calendar, without a library: days since the epoch to year, month and day.
 * Source: Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days. */
#ifndef EXECUTION_ORDER_TIME_H
#define EXECUTION_ORDER_TIME_H

#include "_order_buffer.h"

#define ORDER_SECOND_MIN (-62135596800ll) /* the first of year 1 */
#define ORDER_SECOND_MAX 253402300799ll   /* the last of year 9999 */
#define ORDER_SECOND_TEXT 19              /* YYYY-MM-DDTHH:MM:SS */

MATCH_INLINE void order_put_pair(char *at, unsigned number) {
    memcpy(at, match_digit_pairs + 2 * number, 2);
}

/* Writes ORDER_SECOND_TEXT characters; `seconds` lies between the limits above. */
MATCH_INLINE void order_second(char *at, int64_t seconds, char between) {
    int64_t days = seconds / 86400, rest = seconds % 86400, era;
    unsigned day_of_era, year_of_era, day_of_year, shifted, day, month, year;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    days += 719468;
    era = (days >= 0 ? days : days - 146096) / 146097;
    day_of_era = (unsigned)(days - era * 146097);
    year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    shifted = (5 * day_of_year + 2) / 153;
    day = day_of_year - (153 * shifted + 2) / 5 + 1;
    month = shifted < 10 ? shifted + 3 : shifted - 9;
    year = (unsigned)((int64_t)year_of_era + era * 400 + (month <= 2));
    order_put_pair(at, year / 100);
    order_put_pair(at + 2, year % 100);
    at[4] = at[7] = '-';
    order_put_pair(at + 5, month);
    order_put_pair(at + 8, day);
    at[10] = between;
    order_put_pair(at + 11, (unsigned)(rest / 3600));
    at[13] = at[16] = ':';
    order_put_pair(at + 14, (unsigned)(rest / 60 % 60));
    order_put_pair(at + 17, (unsigned)(rest % 60));
}

#define ORDER_TIME_TEXT 30 /* with the nine digits of a second, and Z */

/* RFC 3339; returns the length. `at` has room for ORDER_TIME_TEXT. */
MATCH_INLINE int order_rfc3339(char *at, int64_t seconds, unsigned nanos) {
    order_second(at, seconds, 'T');
    if (!nanos) {
        at[ORDER_SECOND_TEXT] = 'Z';
        return ORDER_SECOND_TEXT + 1;
    }
    at[ORDER_SECOND_TEXT] = '.';
    match_put_digits(at + ORDER_TIME_TEXT - 1, nanos, 9);
    at[ORDER_TIME_TEXT - 1] = 'Z';
    return ORDER_TIME_TEXT;
}

#endif
