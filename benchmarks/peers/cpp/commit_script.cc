#include "commit_script.h"

#include <charconv>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "records.h"
#include "times.h"

namespace peer {
namespace {

constexpr std::string_view kSharedKeys[] = {"STREAM:TRADE",    "STREAM:REJECT", "STREAM:ORDER",
                                            "EXECUTION:FENCE", "STREAM:STOP",   "STOPS:RESTING"};
constexpr std::size_t kOrderKeys = 2;
constexpr std::size_t kOrderArguments = 27;
constexpr long long kCommitted = 1;
constexpr long long kStored = 2;
constexpr long long kConflict = 3;
constexpr long long kRefused = 4;

void append_header(std::string& out, char kind, std::size_t number) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out += kind;
  out.append(digits, static_cast<std::size_t>(end - digits)).append("\r\n");
}

void append_bulk(std::string& out, std::string_view text) {
  append_header(out, '$', text.size());
  out.append(text).append("\r\n");
}

int money_decimals(const Call& call) { return call.book->money_decimals(); }

void append_state(std::string& out, const Call& call, const Position& position) {
  append_bulk(out, decimal(position.quantity, call.book->quantity_decimals));
  append_bulk(out, decimal(position.entry_cost, money_decimals(call)));
  append_bulk(out, decimal(position.realized_pnl, money_decimals(call)));
}

void append_basis(std::string& out, const Call& call) {
  if (!call.outcome.rests_on_position) {
    for (int empty = 0; empty < 4; ++empty) append_bulk(out, {});
    return;
  }
  append_bulk(out, std::to_string(call.basis.version));
  if (call.book != nullptr) return append_state(out, call, call.basis);
  // Nothing was ever executed in a symbol that is unknown.
  for (int zero = 0; zero < 3; ++zero) append_bulk(out, "0");
}

void append_position(std::string& out, const Call& call) {
  if (!call.outcome.after) {
    for (int empty = 0; empty < 5; ++empty) append_bulk(out, {});
    return;
  }
  const Position& after = *call.outcome.after;
  append_bulk(out, std::to_string(after.version));
  append_bulk(out, decimal(after.quantity, call.book->quantity_decimals));
  append_bulk(out, after.entry_price);
  append_bulk(out, decimal(after.entry_cost, money_decimals(call)));
  append_bulk(out, decimal(after.realized_pnl, money_decimals(call)));
}

std::string_view text_of(const redisReply& reply) { return {reply.str, reply.len}; }

bool all_texts(const redisReply& item, std::size_t count) {
  if (item.elements != count + 1) return false;
  for (std::size_t at = 1; at <= count; ++at) {
    if (item.element[at]->type != REDIS_REPLY_STRING) return false;
  }
  return true;
}

Answer read_moved(const redisReply& item, const Call& call) {
  const auto text = [&](std::size_t at) { return text_of(*item.element[at]); };
  const int quantity_decimals = call.book != nullptr ? call.book->quantity_decimals : 0;
  const int decimals = call.book != nullptr ? call.book->money_decimals() : 0;
  const std::optional<i128> version = parse_stored(text(1), 0);
  const std::optional<i128> quantity = parse_stored(text(2), quantity_decimals);
  const std::optional<i128> cost = parse_stored(text(3), decimals);
  const std::optional<i128> pnl = parse_stored(text(4), decimals);
  if (!version || !quantity || !cost || !pnl || *quantity > kInt64Max || *quantity < -kInt64Max) {
    return Refused{"CORRUPT " + call.position_key + " is not a position at the scales of " +
                   call.order.symbol};
  }
  return Moved{{static_cast<std::int64_t>(*quantity), *cost, *pnl, std::string(text(5)),
                static_cast<std::uint64_t>(*version)}};
}

}  // namespace

std::string read_script(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream source;
  source << file.rdbuf();
  const std::string text = source.str();
  if (!file || text.empty()) throw std::runtime_error(path + " cannot be read");
  for (const char* const known : {"\nlocal WIDTH = 27\n", "\nlocal SHARED = 6\n"}) {
    if (text.find(known) == std::string::npos) {
      throw std::runtime_error(path + " takes other arguments than commit_script.cc packs");
    }
  }
  return text;
}

void pack(Call& call) {
  const pb::ExecutionReport& report = *call.report;
  const bool filled = call.outcome.after.has_value();
  const std::int64_t ms = time_ns(report.transact_time()) / kNsPerMs;
  call.report_text = report_json(report);
  call.keys.clear();
  append_bulk(call.keys, call.order_key);
  append_bulk(call.keys, call.position_key);
  std::string& out = call.arguments;
  out.clear();
  out.reserve(2048);
  append_bulk(out, call.payload);
  append_bulk(out, call.report_text);
  append_bulk(out, bare_status(report.status()));
  append_bulk(out, report.filled_quantity());
  append_bulk(out, report.remaining_quantity());
  append_bulk(out, report.average_price());
  append_bulk(out, report.user_id());
  append_bulk(out, report.symbol());
  append_bulk(out, bare_direction(report.direction()));
  append_bulk(out, report.quantity());
  append_bulk(out, report.trade_id());
  append_bulk(out, bare_reason(report.reason()));
  append_bulk(out, std::to_string(report.version()));
  append_bulk(out, std::to_string(ms));
  append_bulk(out, filled ? trade_json(report) : std::string());
  append_bulk(out, filled ? utc_seconds(report.transact_time().seconds()) : std::string());
  append_bulk(out, filled ? std::string() : reject_json(report));
  append_basis(out, call);
  append_position(out, call);
  append_bulk(out, {});  // it never rests
}

void append_command(std::string& out, std::initializer_list<std::string_view> words) {
  append_header(out, '*', words.size());
  for (const std::string_view word : words) append_bulk(out, word);
}

void pack_batch(std::string& out, const std::string& digest,
                const std::vector<const Call*>& calls) {
  const std::size_t keys = std::size(kSharedKeys) + kOrderKeys * calls.size();
  append_header(out, '*', 3 + keys + 1 + kOrderArguments * calls.size());
  append_bulk(out, "EVALSHA");
  append_bulk(out, digest);
  append_bulk(out, std::to_string(keys));
  for (const std::string_view key : kSharedKeys) append_bulk(out, key);
  for (const Call* const call : calls) out += call->keys;
  append_bulk(out, {});  // durability `memory`: no fence
  for (const Call* const call : calls) out += call->arguments;
}

Answer read_answer(const redisReply& item, const Call& call) {
  if (item.type == REDIS_REPLY_INTEGER && item.integer == kCommitted) return Committed{};
  if (item.type == REDIS_REPLY_ARRAY && item.elements > 0 &&
      item.element[0]->type == REDIS_REPLY_INTEGER) {
    const long long kind = item.element[0]->integer;
    if (kind == kStored && all_texts(item, 3)) {
      return Stored{text_of(*item.element[1]), text_of(*item.element[2])};
    }
    if (kind == kConflict && all_texts(item, 5)) return read_moved(item, call);
    if (kind == kRefused && all_texts(item, 1)) {
      return Refused{std::string(text_of(*item.element[1]))};
    }
  }
  return Refused{"commit.lua answered something else than it promises"};
}

}  // namespace peer
