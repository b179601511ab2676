// What a report looks like in Redis; see src/execution/adapters/records.py.
#pragma once

#include <string>
#include <string_view>

#include "market.h"

namespace peer {

std::string report_json(const pb::ExecutionReport& report);
// False if the text is nothing that report_json wrote.
bool read_report_json(std::string_view text, pb::ExecutionReport& report);

std::string trade_json(const pb::ExecutionReport& report);
std::string reject_json(const pb::ExecutionReport& report);

// Enums by bare name: FILLED, BUY.
std::string_view bare_status(pb::OrderStatus status);
std::string_view bare_direction(pb::Direction direction);
std::string_view bare_reason(pb::Reason reason);  // empty for none

}  // namespace peer
