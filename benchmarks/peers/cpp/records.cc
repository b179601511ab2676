#include "records.h"

#include <charconv>
#include <cstdint>

#include "json.h"
#include "times.h"

namespace peer {
namespace {

constexpr std::string_view kDirectionPrefix = "DIRECTION_";
constexpr std::string_view kOrderTypePrefix = "ORDER_TYPE_";
constexpr std::string_view kStatusPrefix = "ORDER_STATUS_";
constexpr std::string_view kReasonPrefix = "REASON_";

// Every text here is of ids, decimals and our own sentences: none has a character that
// JSON would want escaped.
void text_member(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  if (out.back() != '{') out += ',';
  out.append("\"").append(name).append("\":\"").append(value).append("\"");
}

void plain_member(std::string& out, std::string_view name, std::string_view value) {
  if (out.back() != '{') out += ',';
  out.append("\"").append(name).append("\":").append(value);
}

void time_member(std::string& out, std::string_view name,
                 const google::protobuf::Timestamp& time) {
  if (out.back() != '{') out += ',';
  out.append("\"").append(name).append("\":\"");
  append_rfc3339(out, time);
  out += '"';
}

void snapshot_members(std::string& out, const pb::SnapshotRef& ref) {
  text_member(out, "source", ref.source());
  if (ref.sequence() != 0) plain_member(out, "sequence", std::to_string(ref.sequence()));
  if (ref.has_source_time()) time_member(out, "source_time", ref.source_time());
  text_member(out, "best_bid", ref.best_bid());
  text_member(out, "best_ask", ref.best_ask());
}

template <class Enum>
bool read_enum(const Json& json, std::string_view name, std::string_view prefix,
               bool (*parse)(const std::string&, Enum*), Enum& value) {
  const Json* const member = json.find(name);
  return member != nullptr && parse(std::string(prefix) + member->text, &value);
}

bool read_time(const Json& json, std::string_view name, google::protobuf::Timestamp& time) {
  const Json* const member = json.find(name);
  return member != nullptr && parse_rfc3339(member->text, time);
}

std::uint64_t number(const Json& json, std::string_view name) {
  const Json* const member = json.find(name);
  std::uint64_t value = 0;
  if (member != nullptr) {
    std::from_chars(member->text.data(), member->text.data() + member->text.size(), value);
  }
  return value;
}

}  // namespace

std::string_view bare_status(pb::OrderStatus status) {
  return std::string_view(pb::OrderStatus_Name(status)).substr(kStatusPrefix.size());
}

std::string_view bare_direction(pb::Direction direction) {
  return std::string_view(pb::Direction_Name(direction)).substr(kDirectionPrefix.size());
}

std::string_view bare_reason(pb::Reason reason) {
  if (reason == pb::REASON_UNSPECIFIED) return {};
  return std::string_view(pb::Reason_Name(reason)).substr(kReasonPrefix.size());
}

std::string report_json(const pb::ExecutionReport& report) {
  std::string out;
  out.reserve(1024);
  out += '{';
  text_member(out, "order_id", report.order_id());
  text_member(out, "user_id", report.user_id());
  text_member(out, "symbol", report.symbol());
  text_member(out, "direction", bare_direction(report.direction()));
  text_member(out, "order_type", "MARKET");
  text_member(out, "status", bare_status(report.status()));
  text_member(out, "quantity", report.quantity());
  text_member(out, "effective_quantity", report.effective_quantity());
  text_member(out, "filled_quantity", report.filled_quantity());
  text_member(out, "remaining_quantity", report.remaining_quantity());
  text_member(out, "average_price", report.average_price());
  text_member(out, "notional", report.notional());
  text_member(out, "trade_id", report.trade_id());
  text_member(out, "reason", bare_reason(report.reason()));
  text_member(out, "message", report.message());
  text_member(out, "realized_pnl", report.realized_pnl());
  text_member(out, "fee", report.fee());
  time_member(out, "received_time", report.received_time());
  time_member(out, "transact_time", report.transact_time());
  if (report.fills_size() != 0) {
    plain_member(out, "fills", "[");
    for (const pb::Fill& fill : report.fills()) {
      out += '{';
      text_member(out, "price", fill.price());
      text_member(out, "quantity", fill.quantity());
      out += "},";
    }
    out.back() = ']';
  }
  if (report.reduce_only()) plain_member(out, "reduce_only", "true");
  if (report.has_snapshot()) {
    plain_member(out, "snapshot", "{");
    snapshot_members(out, report.snapshot());
    out += '}';
  }
  plain_member(out, "version", std::to_string(report.version()));
  out += '}';
  return out;
}

bool read_report_json(std::string_view text, pb::ExecutionReport& report) {
  report.Clear();
  const std::optional<Json> json = Json::parse(text);
  if (!json) return false;
  pb::Direction direction;
  pb::OrderType order_type;
  pb::OrderStatus status;
  if (!read_enum(*json, "direction", kDirectionPrefix, pb::Direction_Parse, direction) ||
      !read_enum(*json, "order_type", kOrderTypePrefix, pb::OrderType_Parse, order_type) ||
      !read_enum(*json, "status", kStatusPrefix, pb::OrderStatus_Parse, status)) {
    return false;
  }
  report.set_order_id(json->text_of("order_id"));
  report.set_user_id(json->text_of("user_id"));
  report.set_symbol(json->text_of("symbol"));
  report.set_direction(direction);
  report.set_order_type(order_type);
  report.set_status(status);
  report.set_quantity(json->text_of("quantity"));
  report.set_effective_quantity(json->text_of("effective_quantity"));
  report.set_filled_quantity(json->text_of("filled_quantity"));
  report.set_remaining_quantity(json->text_of("remaining_quantity"));
  report.set_average_price(json->text_of("average_price"));
  report.set_notional(json->text_of("notional"));
  report.set_trade_id(json->text_of("trade_id"));
  report.set_message(json->text_of("message"));
  report.set_realized_pnl(json->text_of("realized_pnl"));
  report.set_fee(json->text_of("fee"));
  report.set_trigger_price(json->text_of("trigger_price"));
  report.set_triggered_by_price(json->text_of("triggered_by_price"));
  if (pb::Reason reason; read_enum(*json, "reason", kReasonPrefix, pb::Reason_Parse, reason)) {
    report.set_reason(reason);
  }
  if (const Json* const fills = json->find("fills")) {
    for (const Json& item : fills->items) {
      pb::Fill& fill = *report.add_fills();
      fill.set_price(item.text_of("price"));
      fill.set_quantity(item.text_of("quantity"));
    }
  }
  report.set_reduce_only(json->text_of("reduce_only") == "true");
  if (const Json* const snapshot = json->find("snapshot")) {
    pb::SnapshotRef& ref = *report.mutable_snapshot();
    ref.set_source(snapshot->text_of("source"));
    ref.set_sequence(number(*snapshot, "sequence"));
    if (snapshot->find("source_time") != nullptr &&
        !read_time(*snapshot, "source_time", *ref.mutable_source_time())) {
      return false;
    }
    ref.set_best_bid(snapshot->text_of("best_bid"));
    ref.set_best_ask(snapshot->text_of("best_ask"));
  }
  report.set_version(number(*json, "version"));
  return read_time(*json, "received_time", *report.mutable_received_time()) &&
         read_time(*json, "transact_time", *report.mutable_transact_time());
}

std::string trade_json(const pb::ExecutionReport& report) {
  std::string out;
  out.reserve(512);
  out += '{';
  text_member(out, "user", report.user_id());
  text_member(out, "symbol", report.symbol());
  plain_member(out, "price", report.average_price());
  plain_member(out, "qty", report.filled_quantity());
  text_member(out, "side", bare_direction(report.direction()));
  plain_member(out, "pnl", report.realized_pnl());
  text_member(out, "order_id", report.order_id());
  text_member(out, "trade_id", report.trade_id());
  plain_member(out, "fee", report.fee());
  plain_member(out, "fills", "[");
  for (const pb::Fill& fill : report.fills()) {
    out.append("[").append(fill.price()).append(",").append(fill.quantity()).append("],");
  }
  out.back() = ']';
  plain_member(out, "ts", std::to_string(time_ns(report.transact_time()) / kNsPerMs));
  const pb::SnapshotRef& ref = report.snapshot();
  plain_member(out, "snapshot", "{");
  text_member(out, "source", ref.source());
  plain_member(out, "sequence", std::to_string(ref.sequence()));
  time_member(out, "source_time", ref.source_time());
  plain_member(out, "best_bid", ref.best_bid());
  plain_member(out, "best_ask", ref.best_ask());
  out += "}}";
  return out;
}

std::string reject_json(const pb::ExecutionReport& report) {
  std::string out = "{";
  text_member(out, "order_id", report.order_id());
  text_member(out, "symbol", report.symbol());
  text_member(out, "user", report.user_id());
  plain_member(out, "qty", report.quantity());
  text_member(out, "side", bare_direction(report.direction()));
  text_member(out, "reason", bare_reason(report.reason()));
  text_member(out, "message", report.message());
  out += '}';
  return out;
}

}  // namespace peer
