#include "numbers.h"

#include <algorithm>

namespace peer {
namespace {

constexpr std::size_t kTextLengthMax = 64;
constexpr std::uint64_t kAverageFactor = 100'000'000;  // 10^kAverageExtraDecimals

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::size_t digits_from(std::string_view text, std::size_t at) {
  while (at < text.size() && is_digit(text[at])) ++at;
  return at;
}

}  // namespace

std::optional<std::string> canonical(std::string_view text, std::string& why) {
  if (text.size() > kTextLengthMax) {
    why = "has " + std::to_string(text.size()) + " characters; at most 64 are read";
    return std::nullopt;
  }
  const std::size_t point = digits_from(text, 0);
  std::size_t end = point;
  if (point > 0 && point < text.size() && text[point] == '.') {
    end = digits_from(text, point + 1);
    if (end == point + 1) end = 0;
  }
  if (point == 0 || end != text.size()) {
    why = "is not plain decimal text such as 0.125 (no sign, exponent or blanks)";
    return std::nullopt;
  }
  std::size_t begin = 0;
  while (begin + 1 < point && text[begin] == '0') ++begin;
  if (end > point) {
    while (text[end - 1] == '0') --end;
    if (end == point + 1) end = point;
  }
  return std::string(text.substr(begin, end - begin));
}

Parsed scale(std::string_view text, int decimals, std::int64_t& value) {
  const std::size_t point = std::min(text.find('.'), text.size());
  const int places = point == text.size() ? 0 : static_cast<int>(text.size() - point - 1);
  if (places > decimals) return Parsed::kInexact;
  std::int64_t sum = 0;
  bool wrapped = false;
  const auto append = [&](int digit) {
    wrapped |= __builtin_mul_overflow(sum, std::int64_t{10}, &sum);
    wrapped |= __builtin_add_overflow(sum, std::int64_t{digit}, &sum);
  };
  for (const char c : text) {
    if (c != '.') append(c - '0');
  }
  for (int place = places; place < decimals; ++place) append(0);
  if (wrapped) return Parsed::kOverflow;
  value = sum;
  return Parsed::kSound;
}

std::optional<i128> parse_stored(std::string_view text, int decimals) {
  const bool negative = !text.empty() && text.front() == '-';
  if (negative) text.remove_prefix(1);
  const std::size_t point = digits_from(text, 0);
  if (point == 0) return std::nullopt;
  int places = 0;
  if (point < text.size()) {
    if (text[point] != '.' || digits_from(text, point + 1) != text.size()) return std::nullopt;
    places = static_cast<int>(text.size() - point - 1);
    if (places == 0 || places > decimals) return std::nullopt;
  }
  i128 sum = 0;
  const auto append = [&](int digit) {
    return !__builtin_mul_overflow(sum, i128{10}, &sum) &&
           !__builtin_add_overflow(sum, i128{digit}, &sum);
  };
  for (const char c : text) {
    if (c != '.' && !append(c - '0')) return std::nullopt;
  }
  for (; places < decimals; ++places) {
    if (!append(0)) return std::nullopt;
  }
  return negative ? -sum : sum;
}

void append_decimal(std::string& out, i128 value, int decimals) {
  char buffer[64];
  char* const end = buffer + sizeof buffer;
  char* at = end;
  u128 rest = value < 0 ? -static_cast<u128>(value) : static_cast<u128>(value);
  int places = decimals;
  const auto split = [](auto& number) {
    const int digit = static_cast<int>(number % 10);
    number /= 10;
    return static_cast<char>('0' + digit);
  };
  // Divisions of 128 bits are calls; most numbers soon fit in 64.
  std::uint64_t small = 0;
  const auto next = [&] {
    if (rest > UINT64_MAX) return split(rest);
    if (rest != 0) {
      small = static_cast<std::uint64_t>(rest);
      rest = 0;
    }
    return split(small);
  };
  bool significant = false;
  for (; places > 0; --places) {
    const char digit = next();
    significant |= digit != '0';
    if (significant) *--at = digit;
  }
  if (significant) *--at = '.';
  do {
    *--at = next();
  } while (rest != 0 || small != 0);
  if (value < 0) *--at = '-';
  out.append(at, static_cast<std::size_t>(end - at));
}

std::string decimal(i128 value, int decimals) {
  std::string out;
  append_decimal(out, value, decimals);
  return out;
}

u128 multiply_divide(u128 number, std::uint64_t factor, std::uint64_t divisor) {
  const u128 low = static_cast<u128>(static_cast<std::uint64_t>(number)) * factor;
  const u128 high = (number >> 64) * factor + (low >> 64);
  // Long division of the 192 bits, one 64-bit digit after the other.
  const std::uint64_t digits[] = {static_cast<std::uint64_t>(high >> 64),
                                  static_cast<std::uint64_t>(high),
                                  static_cast<std::uint64_t>(low)};
  u128 quotient = 0;
  u128 remainder = 0;
  for (const std::uint64_t digit : digits) {
    if (quotient >> 64) throw Overflow("an amount exceeds 128 bits");
    remainder = remainder << 64 | digit;
    quotient = quotient << 64 | static_cast<std::uint64_t>(remainder / divisor);
    remainder %= divisor;
  }
  const u128 twice = remainder * 2;
  if (twice > divisor || (twice == divisor && (quotient & 1))) ++quotient;
  return quotient;
}

std::string average(u128 money, std::uint64_t quantity, int price_decimals) {
  const u128 ratio = multiply_divide(money, kAverageFactor, quantity);
  return decimal(static_cast<i128>(ratio), price_decimals + kAverageExtraDecimals);
}

}  // namespace peer
