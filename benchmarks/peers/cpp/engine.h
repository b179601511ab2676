// An order, a book and a position in, a report and the position after it out. Pure.
#pragma once

#include <optional>
#include <string>

#include "numbers.h"
#include "order.h"

namespace peer {

// What is committed for one user in one symbol. The symbols' scales are fixed here, so
// quantity is at the quantity scale and money at price + quantity decimals.
struct Position {
  std::int64_t quantity = 0;  // signed
  i128 entry_cost = 0;        // never negative
  i128 realized_pnl = 0;
  std::string entry_price;
  std::uint64_t version = 0;
};

struct Outcome {
  std::optional<Position> after;  // nothing if unchanged
  bool rests_on_position = false;
};

// Writes `report` anew. `book` is null where the symbol is unknown. Throws Overflow.
Outcome execute(const Order& order, const Book* book, const Position& position,
                std::int64_t now_ns, pb::ExecutionReport& report);

}  // namespace peer
