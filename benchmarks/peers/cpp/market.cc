#include "market.h"

#include "numbers.h"
#include "times.h"

namespace peer {
namespace {

constexpr int kDepth = 20;
constexpr int kPriceDecimals = 1;
constexpr int kQuantityDecimals = 3;
constexpr std::int64_t kBase = 100'000;
constexpr std::int64_t kApart = 100;

}  // namespace

Market::Market(const std::vector<std::string>& symbols, std::int64_t level_quantity) {
  const std::int64_t now_ns = wall_clock_ns();
  std::int64_t middle = kBase;
  for (const std::string& symbol : symbols) {
    Book book{symbol, kPriceDecimals, kQuantityDecimals, {}, {}, {}};
    for (std::int64_t level = 1; level <= kDepth; ++level) {
      book.asks.prices.push_back(middle + level);
      book.bids.prices.push_back(middle - level);
    }
    book.asks.quantities.assign(kDepth, level_quantity);
    book.bids.quantities.assign(kDepth, level_quantity);
    book.ref.set_source("memory");
    book.ref.set_sequence(1);
    set_time(*book.ref.mutable_source_time(), now_ns);
    book.ref.set_best_bid(decimal(book.bids.prices.front(), kPriceDecimals));
    book.ref.set_best_ask(decimal(book.asks.prices.front(), kPriceDecimals));
    books_.emplace(symbol, std::move(book));
    middle += kApart;
  }
}

const Book* Market::find(const std::string& symbol) const {
  const auto found = books_.find(symbol);
  return found == books_.end() ? nullptr : &found->second;
}

}  // namespace peer
