// Exact decimals: text and scaled integers, 128-bit money, one rounding (half-even).
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace peer {

__extension__ using i128 = __int128;
__extension__ using u128 = unsigned __int128;

inline constexpr int kDefaultDecimals = 8;
// Digits that a rounded average price has beyond the price scale.
inline constexpr int kAverageExtraDecimals = 8;
inline constexpr std::int64_t kInt64Max = INT64_MAX;

// A number left its type; never a wrapped one instead.
struct Overflow : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The one spelling of an unsigned decimal; on failure `why` says what is wrong with it.
std::optional<std::string> canonical(std::string_view text, std::string& why);

enum class Parsed { kSound, kInexact, kOverflow };

// Scales canonical text by 10^decimals.
Parsed scale(std::string_view text, int decimals, std::int64_t& value);

// Signed decimal text as `append_decimal` writes it, or nothing.
std::optional<i128> parse_stored(std::string_view text, int decimals);

// Decimal text of a scaled integer, trailing zeros stripped.
void append_decimal(std::string& out, i128 value, int decimals);
std::string decimal(i128 value, int decimals);

// number x factor / divisor, half-even, through 192 bits. `divisor` is above zero.
u128 multiply_divide(u128 number, std::uint64_t factor, std::uint64_t divisor);

// money (price + quantity decimals) / quantity, at the price scale + 8 digits.
std::string average(u128 money, std::uint64_t quantity, int price_decimals);

}  // namespace peer
