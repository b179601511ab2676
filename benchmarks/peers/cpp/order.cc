#include "order.h"

#include <array>

#include "ids.h"
#include "numbers.h"

namespace peer {
namespace {

constexpr std::size_t kIdLengthMax = 64;
constexpr std::size_t kSymbolLengthMax = 32;
constexpr char kIdRule[] = "must match [A-Za-z0-9._-]{1,64}";
constexpr char kSymbolRule[] = "must match [A-Za-z0-9._/-]{1,32}";
constexpr char kStopsOnly[] = "applies to stop-loss orders only";

constexpr std::array<bool, 256> alphabet(std::string_view extra) {
  std::array<bool, 256> in{};
  for (int c = 'A'; c <= 'Z'; ++c) in[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) in[static_cast<std::size_t>(c)] = true;
  for (int c = '0'; c <= '9'; ++c) in[static_cast<std::size_t>(c)] = true;
  for (const char c : extra) in[static_cast<unsigned char>(c)] = true;
  return in;
}

constexpr auto kIdAlphabet = alphabet("._-");
constexpr auto kSymbolAlphabet = alphabet("._/-");

class Reader {
 public:
  void bad(std::string field, std::string description) {
    violations_.push_back({std::move(field), std::move(description)});
  }

  void matching(const char* field, const std::string& text, const std::array<bool, 256>& in,
                std::size_t length_max, const char* rule) {
    bool fits = !text.empty() && text.size() <= length_max;
    for (const char c : text) fits &= in[static_cast<unsigned char>(c)];
    if (!fits) bad(field, text.empty() ? "is empty" : rule);
  }

  std::string above_zero(const char* field, const std::string& text) {
    if (text.empty()) {
      bad(field, "is empty; send decimal text above zero such as 0.125");
      return text;
    }
    std::string why;
    std::optional<std::string> read = canonical(text, why);
    if (!read) {
      bad(field, std::move(why));
      return text;
    }
    if (*read == "0") bad(field, "must be above zero");
    return *std::move(read);
  }

  std::int64_t scaled(const char* field, const std::string& text, int decimals,
                      const std::string& symbol) {
    std::int64_t value = 0;
    const std::string scale_text = std::to_string(decimals) + " decimals";
    switch (scale(text, decimals, value)) {
      case Parsed::kSound:
        break;
      case Parsed::kInexact:
        bad(field, "is " + text + ", finer than the " + scale_text + " of " + symbol);
        break;
      case Parsed::kOverflow:
        bad(field, "is " + text + ", more than int64 holds at " + scale_text);
    }
    return value;
  }

  void done() {
    if (!violations_.empty()) throw InvalidArgument(std::move(violations_));
  }

 private:
  std::vector<Violation> violations_;
};

std::string sentence(const std::vector<Violation>& violations) {
  std::string text;
  for (const Violation& violation : violations) {
    if (!text.empty()) text += "; ";
    text += violation.field + ' ' + violation.description;
  }
  return text;
}

}  // namespace

InvalidArgument::InvalidArgument(std::vector<Violation> all)
    : std::runtime_error(sentence(all)), violations(std::move(all)) {}

std::string Order::payload() const {
  std::string text;
  text.reserve(128);
  text.append("MARKET|").append(user_id).append("|").append(symbol).append("|").append(side());
  text.append("|").append(quantity).append(reduce_only ? "|1|" : "|0|");
  text.append(fill_or_kill ? "FOK|" : "IOC|").append(limit_price.value_or("")).append("|");
  if (max_slippage_bps) text += std::to_string(*max_slippage_bps);
  return text.append("||BID_ASK|0|");
}

Order read_order(const pb::OrderRequest& request, const Book* book, std::int64_t received_ns) {
  Reader read;
  if (!request.order_id().empty()) {
    read.matching("order_id", request.order_id(), kIdAlphabet, kIdLengthMax, kIdRule);
  }
  if (request.has_trigger_price()) read.bad("trigger_price", kStopsOnly);
  if (request.trigger_by() != 0) read.bad("trigger_by", kStopsOnly);
  if (request.reject_if_triggered()) read.bad("reject_if_triggered", kStopsOnly);
  if (request.has_expire_time()) read.bad("expire_time", kStopsOnly);
  read.matching("user_id", request.user_id(), kIdAlphabet, kIdLengthMax, kIdRule);
  read.matching("symbol", request.symbol(), kSymbolAlphabet, kSymbolLengthMax, kSymbolRule);
  const int direction = request.direction();
  if (direction != pb::DIRECTION_BUY && direction != pb::DIRECTION_SELL) {
    read.bad("direction", "is " + std::to_string(direction) + "; must be one of BUY, SELL");
  }
  const int time_in_force = request.time_in_force();
  if (time_in_force < 0 || time_in_force > pb::TIME_IN_FORCE_FOK) {
    read.bad("time_in_force", "is " + std::to_string(time_in_force) + "; must be one of IOC, FOK");
  }
  Order order{
      request.order_id(),
      request.user_id(),
      request.symbol(),
      request.direction(),
      read.above_zero("quantity", request.quantity()),
      request.reduce_only(),
      time_in_force == pb::TIME_IN_FORCE_FOK,
      std::nullopt,
      std::nullopt,
      received_ns,
  };
  if (request.has_limit_price()) {
    order.limit_price = read.above_zero("limit_price", request.limit_price());
  }
  if (request.has_max_slippage_bps()) order.max_slippage_bps = request.max_slippage_bps();
  read.done();

  const int price_decimals = book != nullptr ? book->price_decimals : kDefaultDecimals;
  const int quantity_decimals = book != nullptr ? book->quantity_decimals : kDefaultDecimals;
  order.scaled_quantity = read.scaled("quantity", order.quantity, quantity_decimals, order.symbol);
  if (order.limit_price) {
    order.scaled_limit =
        read.scaled("limit_price", *order.limit_price, price_decimals, order.symbol);
  }
  read.done();
  if (order.order_id.empty()) order.order_id = new_order_id(received_ns);
  return order;
}

}  // namespace peer
