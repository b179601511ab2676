// As much JSON as a stored report needs; asked for by retries only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace peer {

struct Json {
  std::string text;  // of a string, number, true, false or null
  std::vector<Json> items;
  std::vector<std::pair<std::string, Json>> members;

  static std::optional<Json> parse(std::string_view text);

  const Json* find(std::string_view name) const;
  std::string text_of(std::string_view name) const;  // empty if there is none
};

}  // namespace peer
