#include "json.h"

#include <charconv>

namespace peer {
namespace {

constexpr int kDepthMax = 8;

void append_utf8(std::string& out, unsigned code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    out += static_cast<char>(0xe0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  }
}

class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  bool value(Json& json, int depth) {
    if (depth > kDepthMax || rest_.empty()) return false;
    switch (rest_.front()) {
      case '{':
        return object(json, depth);
      case '[':
        return array(json, depth);
      case '"':
        return string(json.text);
      default:
        return plain(json.text);
    }
  }

  bool at_end() const { return rest_.empty(); }

 private:
  bool take(char wanted) {
    if (rest_.empty() || rest_.front() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool object(Json& json, int depth) {
    take('{');
    if (take('}')) return true;
    do {
      auto& [name, member] = json.members.emplace_back();
      if (!string(name) || !take(':') || !value(member, depth + 1)) return false;
    } while (take(','));
    return take('}');
  }

  bool array(Json& json, int depth) {
    take('[');
    if (take(']')) return true;
    do {
      if (!value(json.items.emplace_back(), depth + 1)) return false;
    } while (take(','));
    return take(']');
  }

  bool string(std::string& out) {
    if (!take('"')) return false;
    while (!rest_.empty()) {
      const char next = rest_.front();
      rest_.remove_prefix(1);
      if (next == '"') return true;
      if (next != '\\') {
        out += next;
      } else if (!escaped(out)) {
        return false;
      }
    }
    return false;
  }

  bool escaped(std::string& out) {
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    if (rest_.empty()) return false;
    const char name = rest_.front();
    rest_.remove_prefix(1);
    if (const std::size_t at = kNames.find(name); at != std::string_view::npos) {
      out += kMeanings[at];
      return true;
    }
    unsigned code = 0;
    if (name != 'u' || rest_.size() < 4) return false;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + 4, code, 16);
    const bool surrogate = code >= 0xd800 && code < 0xe000;
    if (error != std::errc() || end != rest_.data() + 4 || surrogate) return false;
    rest_.remove_prefix(4);
    append_utf8(out, code);
    return true;
  }

  bool plain(std::string& out) {
    const std::size_t length = std::min(rest_.find_first_of(",]}"), rest_.size());
    out.assign(rest_.substr(0, length));
    rest_.remove_prefix(length);
    return length != 0;
  }

  std::string_view rest_;
};

}  // namespace

std::optional<Json> Json::parse(std::string_view text) {
  Json json;
  Reader reader(text);
  if (!reader.value(json, 0) || !reader.at_end()) return std::nullopt;
  return json;
}

const Json* Json::find(std::string_view name) const {
  for (const auto& [known, member] : members) {
    if (known == name) return &member;
  }
  return nullptr;
}

std::string Json::text_of(std::string_view name) const {
  const Json* const member = find(name);
  return member == nullptr ? std::string() : member->text;
}

}  // namespace peer
