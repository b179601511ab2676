// The books: held in memory, made at start, as every order shows them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "execution/v1/execution.pb.h"

namespace peer {

namespace pb = execution::v1;

struct Side {
  std::vector<std::int64_t> prices;  // best first
  std::vector<std::int64_t> quantities;
};

struct Book {
  std::string symbol;
  int price_decimals;
  int quantity_decimals;
  Side bids;
  Side asks;
  pb::SnapshotRef ref;

  int money_decimals() const { return price_decimals + quantity_decimals; }
};

class Market {
 public:
  // Book number i of `symbols`, in ticks of 0.1: asks 100,001 + 100 i + level, bids
  // 99,999 + 100 i - level, for 20 levels of `level_quantity` (scaled by 1,000) a side.
  Market(const std::vector<std::string>& symbols, std::int64_t level_quantity);

  // Null if there is no such symbol.
  const Book* find(const std::string& symbol) const;

 private:
  std::unordered_map<std::string, Book> books_;
};

}  // namespace peer
