#include "times.h"

#include <array>
#include <cstdio>
#include <cstring>
#include <ctime>

namespace peer {
namespace {

constexpr std::size_t kSecondLength = 19;

// Times of one load lie in few seconds; the calendar is the costly part.
std::string_view second_text(std::int64_t seconds) {
  thread_local std::int64_t known = -1;
  thread_local std::array<char, 32> text;
  if (seconds != known) {
    const std::time_t moment = seconds;
    std::tm fields{};
    gmtime_r(&moment, &fields);
    std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &fields);
    known = seconds;
  }
  return {text.data(), kSecondLength};
}

}  // namespace

std::int64_t wall_clock_ns() {
  std::timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * kNsPerSecond + now.tv_nsec;
}

void set_time(google::protobuf::Timestamp& time, std::int64_t time_ns) {
  time.set_seconds(time_ns / kNsPerSecond);
  time.set_nanos(static_cast<std::int32_t>(time_ns % kNsPerSecond));
}

std::int64_t time_ns(const google::protobuf::Timestamp& time) {
  return time.seconds() * kNsPerSecond + time.nanos();
}

void append_rfc3339(std::string& out, const google::protobuf::Timestamp& time) {
  out += second_text(time.seconds());
  if (time.nanos() != 0) {
    char digits[10] = ".";
    std::int32_t rest = time.nanos();
    for (int at = 9; at > 0; --at, rest /= 10) digits[at] = static_cast<char>('0' + rest % 10);
    out.append(digits, sizeof digits);
  }
  out += 'Z';
}

bool parse_rfc3339(std::string_view text, google::protobuf::Timestamp& time) {
  if (text.size() < kSecondLength + 1 || text.back() != 'Z') return false;
  const std::string whole(text.substr(0, kSecondLength));
  std::tm fields{};
  const char* const end = strptime(whole.c_str(), "%Y-%m-%dT%H:%M:%S", &fields);
  if (end == nullptr || *end != '\0') return false;
  std::string_view fraction = text.substr(kSecondLength, text.size() - kSecondLength - 1);
  std::int32_t nanos = 0;
  if (!fraction.empty()) {
    if (fraction.front() != '.' || fraction.size() < 2 || fraction.size() > 10) return false;
    for (std::size_t at = 1; at < 10; ++at) {
      const char digit = at < fraction.size() ? fraction[at] : '0';
      if (digit < '0' || digit > '9') return false;
      nanos = nanos * 10 + (digit - '0');
    }
  }
  time.set_seconds(timegm(&fields));
  time.set_nanos(nanos);
  return true;
}

std::string utc_seconds(std::int64_t seconds) {
  std::string text(second_text(seconds));
  text[10] = ' ';
  return text;
}

}  // namespace peer
