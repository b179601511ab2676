// A request becomes an order: strictly, every bad field named at once.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "market.h"

namespace peer {

struct Violation {
  std::string field;
  std::string description;
};

// Nothing is recorded; the answer is INVALID_ARGUMENT.
struct InvalidArgument : std::runtime_error {
  explicit InvalidArgument(std::vector<Violation> all);
  std::vector<Violation> violations;
};

struct Order {
  std::string order_id;
  std::string user_id;
  std::string symbol;
  pb::Direction direction;
  std::string quantity;  // canonical text
  bool reduce_only;
  bool fill_or_kill;
  std::optional<std::string> limit_price;
  std::optional<std::uint32_t> max_slippage_bps;
  std::int64_t received_ns;

  // At the scales of the symbol.
  std::int64_t scaled_quantity = 0;
  std::optional<std::int64_t> scaled_limit = std::nullopt;

  bool buys() const { return direction == pb::DIRECTION_BUY; }
  std::string_view side() const { return buys() ? "BUY" : "SELL"; }
  // The request as one text: two requests under one id are the same if these are.
  std::string payload() const;
};

// Throws InvalidArgument. `book` is null where the symbol is unknown.
Order read_order(const pb::OrderRequest& request, const Book* book, std::int64_t received_ns);

}  // namespace peer
