/* The names of the enums of `model` by number, as they are written. A number without a name is
 * NULL. `tests/unit/test_order_words.py` compares them with the enums. */
#ifndef EXECUTION_ORDER_WORDS_H
#define EXECUTION_ORDER_WORDS_H

#include <stddef.h>

static const char *const order_direction_names[] = {NULL, "BUY", "SELL"};
static const char *const order_type_names[] = {NULL, "MARKET", "SL"};
static const char *const order_time_in_force_names[] = {NULL, "IOC", "FOK"};
static const char *const order_trigger_names[] = {NULL, "BID_ASK", "LAST", "MARK"};
static const char *const order_status_names[] = {
    NULL,      "RECEIVED", "UNTRIGGERED", "TRIGGERED", "PARTIAL",
    "FILLED", "REJECTED", "CANCELED",    "EXPIRED",
};
static const char *const order_reason_names[] = {
    "", /* NONE says nothing */
    "INSUFFICIENT_LIQUIDITY",
    "PRICE_PROTECTION",
    "NO_LIQUIDITY",
    "REDUCE_ONLY",
    "REDUCE_ONLY_CAPPED",
    "FOK_UNFILLABLE",
    "BAD_BOOK",
    "WOULD_IMMEDIATELY_TRIGGER",
    "FILTER",
    "USER_CANCELED",
    "EXPIRED_UNTRIGGERED",
    "UNKNOWN_SYMBOL",
};

#define ORDER_NAMES(names) ((long)(sizeof(names) / sizeof *(names)))

static const char *order_name_in(const char *const *names, long count, long number) {
    return number >= 0 && number < count ? names[number] : NULL;
}

enum {
    ORDER_DIRECTION,
    ORDER_TYPE,
    ORDER_TIME_IN_FORCE,
    ORDER_TRIGGER,
    ORDER_STATUS,
    ORDER_REASON
};

/* The name of a number of one of the kinds above; NULL if it has none. */
static const char *order_name(int kind, long number) {
    switch (kind) {
    case ORDER_DIRECTION:
        return order_name_in(order_direction_names, ORDER_NAMES(order_direction_names), number);
    case ORDER_TYPE:
        return order_name_in(order_type_names, ORDER_NAMES(order_type_names), number);
    case ORDER_TIME_IN_FORCE:
        return order_name_in(order_time_in_force_names, ORDER_NAMES(order_time_in_force_names),
                             number);
    case ORDER_TRIGGER:
        return order_name_in(order_trigger_names, ORDER_NAMES(order_trigger_names), number);
    case ORDER_STATUS:
        return order_name_in(order_status_names, ORDER_NAMES(order_status_names), number);
    default: return order_name_in(order_reason_names, ORDER_NAMES(order_reason_names), number);
    }
}

#endif
