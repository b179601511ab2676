#include "engine.h"

#include <algorithm>

#include "ids.h"
#include "times.h"

namespace peer {
namespace {

constexpr std::int64_t kBps = 10'000;

struct Walked {
  std::int64_t filled = 0;
  u128 notional = 0;
};

void begin(const Order& order, std::int64_t now_ns, pb::ExecutionReport& report) {
  report.Clear();
  report.set_order_id(order.order_id);
  report.set_user_id(order.user_id);
  report.set_symbol(order.symbol);
  report.set_direction(order.direction);
  report.set_order_type(pb::ORDER_TYPE_MARKET);
  report.set_quantity(order.quantity);
  report.set_realized_pnl("0");
  report.set_fee("0");
  report.set_notional("0");
  report.set_reduce_only(order.reduce_only);
  set_time(*report.mutable_received_time(), order.received_ns);
  set_time(*report.mutable_transact_time(), now_ns);
  report.set_version(1);
}

Outcome reject(const Order& order, const Book* book, pb::Reason reason, std::string message,
               pb::ExecutionReport& report) {
  report.set_status(pb::ORDER_STATUS_REJECTED);
  report.set_effective_quantity(order.quantity);
  report.set_filled_quantity("0");
  report.set_remaining_quantity(order.quantity);
  report.clear_fills();
  report.set_reason(reason);
  report.set_message(std::move(message));
  if (book != nullptr) *report.mutable_snapshot() = book->ref;
  return {std::nullopt, order.reduce_only};
}

std::int64_t reducible(const Order& order, const Position& position) {
  const bool closes = order.buys() ? position.quantity < 0 : position.quantity > 0;
  if (!closes) return 0;
  return position.quantity < 0 ? -position.quantity : position.quantity;
}

// The worst acceptable price: the tighter of limit and slippage, both inclusive.
std::optional<std::int64_t> worst_price(const Order& order, const Side& side) {
  if (!order.max_slippage_bps) return order.scaled_limit;
  const i128 best = side.prices.front();
  const std::int64_t bps = *order.max_slippage_bps;
  if (order.buys()) {
    const auto slipped = static_cast<std::int64_t>(
        std::min<i128>(best * (kBps + bps) / kBps, kInt64Max));
    return std::min(slipped, order.scaled_limit.value_or(kInt64Max));
  }
  // Rounded up; beyond the whole price there is no bound.
  const i128 left = std::max<i128>(kBps - bps, 0);
  const auto slipped = static_cast<std::int64_t>((best * left + kBps - 1) / kBps);
  return std::max(slipped, order.scaled_limit.value_or(0));
}

Walked walk(const Side& side, std::int64_t wanted, std::optional<std::int64_t> bound,
            const Order& order, const Book& book, pb::ExecutionReport& report) {
  Walked walked;
  for (std::size_t level = 0; level < side.prices.size() && wanted > 0; ++level) {
    const std::int64_t price = side.prices[level];
    if (bound && (order.buys() ? price > *bound : price < *bound)) break;
    const std::int64_t taken = std::min(side.quantities[level], wanted);
    if (taken == 0) continue;
    wanted -= taken;
    walked.filled += taken;
    walked.notional += static_cast<u128>(price) * static_cast<u128>(taken);
    pb::Fill& fill = *report.add_fills();
    append_decimal(*fill.mutable_price(), price, book.price_decimals);
    append_decimal(*fill.mutable_quantity(), taken, book.quantity_decimals);
  }
  return walked;
}

// Why less than the order was filled: its own price bound, or the book.
std::pair<pb::Reason, std::string> shortfall(const Order& order, const Book& book,
                                             const Side& side, std::optional<std::int64_t> bound,
                                             bool nothing) {
  if (bound) {
    for (std::size_t level = side.prices.size(); level-- > 0;) {
      const std::int64_t price = side.prices[level];
      if ((order.buys() ? price > *bound : price < *bound) && side.quantities[level] != 0) {
        return {pb::REASON_PRICE_PROTECTION, "the rest of the book is worse than " +
                                                 decimal(*bound, book.price_decimals)};
      }
    }
  }
  const std::string name = order.buys() ? "ask" : "bid";
  if (nothing) return {pb::REASON_NO_LIQUIDITY, "nothing is left on the " + name + " side"};
  return {pb::REASON_INSUFFICIENT_LIQUIDITY, "the " + name + " side ended before the order did"};
}

// money x part / whole, half-even: never more than there is.
i128 share(i128 money, std::int64_t part, std::int64_t whole) {
  if (part == 0) return 0;
  if (part == whole) return money;
  return static_cast<i128>(multiply_divide(static_cast<u128>(money),
                                           static_cast<std::uint64_t>(part),
                                           static_cast<std::uint64_t>(whole)));
}

i128 sum(i128 left, i128 right) {
  i128 result;
  if (__builtin_add_overflow(left, right, &result)) throw Overflow("money exceeds 128 bits");
  return result;
}

// The position after a fill, by average cost; `pnl` is what the fill realised.
Position settle(const Order& order, const Book& book, const Position& position,
                const Walked& walked, i128& pnl) {
  const auto money = static_cast<i128>(walked.notional);
  const std::int64_t held = position.quantity < 0 ? -position.quantity : position.quantity;
  const bool opposite = order.buys() ? position.quantity < 0 : position.quantity > 0;
  const std::int64_t closed = opposite ? std::min(held, walked.filled) : 0;
  const i128 cost_out = share(position.entry_cost, closed, held);
  const i128 closed_money = share(money, closed, walked.filled);
  pnl = order.buys() ? cost_out - closed_money : closed_money - cost_out;

  Position after;
  const std::int64_t change = order.buys() ? walked.filled : -walked.filled;
  if (__builtin_add_overflow(position.quantity, change, &after.quantity) ||
      after.quantity == INT64_MIN) {
    throw Overflow("the position would exceed int64");
  }
  after.entry_cost = sum(position.entry_cost - cost_out, money - closed_money);
  after.realized_pnl = sum(position.realized_pnl, pnl);
  after.version = position.version + 1;
  if (after.quantity != 0) {
    const auto size = static_cast<std::uint64_t>(after.quantity < 0 ? -after.quantity
                                                                    : after.quantity);
    after.entry_price = average(static_cast<u128>(after.entry_cost), size, book.price_decimals);
  }
  return after;
}

}  // namespace

Outcome execute(const Order& order, const Book* book, const Position& position,
                std::int64_t now_ns, pb::ExecutionReport& report) {
  begin(order, now_ns, report);
  std::int64_t effective = order.scaled_quantity;
  if (order.reduce_only) effective = std::min(effective, reducible(order, position));
  if (effective == 0) {
    return reject(order, book, pb::REASON_REDUCE_ONLY,
                  "reduce_only, and there is no position to reduce", report);
  }
  if (book == nullptr) {
    return reject(order, book, pb::REASON_UNKNOWN_SYMBOL,
                  "symbol '" + order.symbol + "' is not known to the market data source", report);
  }
  const Side& side = order.buys() ? book->asks : book->bids;
  const std::optional<std::int64_t> bound = worst_price(order, side);
  const Walked walked = walk(side, effective, bound, order, *book, report);
  const std::int64_t remaining = effective - walked.filled;
  if (remaining == 0) {
    if (effective < order.scaled_quantity) {
      report.set_reason(pb::REASON_REDUCE_ONLY_CAPPED);
      report.set_message("reduce_only cut the order to the position");
    }
  } else {
    if (order.fill_or_kill) {
      return reject(order, book, pb::REASON_FOK_UNFILLABLE,
                    "fill-or-kill, and " + decimal(remaining, book->quantity_decimals) +
                        " cannot be filled",
                    report);
    }
    auto [reason, message] = shortfall(order, *book, side, bound, walked.filled == 0);
    if (walked.filled == 0) return reject(order, book, reason, std::move(message), report);
    report.set_reason(reason);
    report.set_message(std::move(message));
  }

  i128 pnl = 0;
  Position after = settle(order, *book, position, walked, pnl);
  report.set_status(remaining == 0 ? pb::ORDER_STATUS_FILLED : pb::ORDER_STATUS_PARTIAL);
  report.set_effective_quantity(decimal(effective, book->quantity_decimals));
  report.set_filled_quantity(decimal(walked.filled, book->quantity_decimals));
  report.set_remaining_quantity(decimal(remaining, book->quantity_decimals));
  report.set_average_price(average(walked.notional, static_cast<std::uint64_t>(walked.filled),
                                   book->price_decimals));
  report.set_notional(decimal(static_cast<i128>(walked.notional), book->money_decimals()));
  report.set_trade_id(trade_id(order.user_id, order.order_id));
  report.set_realized_pnl(decimal(pnl, book->money_decimals()));
  *report.mutable_snapshot() = book->ref;
  return {std::move(after), true};
}

}  // namespace peer
