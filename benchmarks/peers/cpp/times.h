// Wall clock, and the texts of its times.
#pragma once

#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace peer {

inline constexpr std::int64_t kNsPerSecond = 1'000'000'000;
inline constexpr std::int64_t kNsPerMs = 1'000'000;

std::int64_t wall_clock_ns();
void set_time(google::protobuf::Timestamp& time, std::int64_t time_ns);
std::int64_t time_ns(const google::protobuf::Timestamp& time);

// RFC 3339 in UTC, with nine digits of a second, or none where they are zero.
void append_rfc3339(std::string& out, const google::protobuf::Timestamp& time);
bool parse_rfc3339(std::string_view text, google::protobuf::Timestamp& time);

// `YYYY-MM-DD HH:MM:SS` in UTC.
std::string utc_seconds(std::int64_t seconds);

}  // namespace peer
