// Ids: of trades by what they are (UUIDv5), of orders that came without (UUIDv7).
#pragma once

#include <cstdint>
#include <string>

namespace peer {

std::string trade_id(const std::string& user_id, const std::string& order_id);
std::string new_order_id(std::int64_t time_ns);

}  // namespace peer
