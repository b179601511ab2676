// commit.lua as this program speaks to it; see src/execution/adapters/commit_script.py.
#pragma once

#include <hiredis/hiredis.h>

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "call.h"

namespace peer {

using Calls = std::vector<std::unique_ptr<Call>>;

// Texts as the script answers them.
struct Committed {};
struct Stored {
  std::string_view payload;
  std::string_view report;
};
struct Moved {
  Position position;
};
struct Refused {
  std::string message;
};
// Views live as long as the reply they were read from.
using Answer = std::variant<Committed, Stored, Moved, Refused>;

// The script's source. Throws std::runtime_error if it is not there, or takes other
// arguments than those that are packed here.
std::string read_script(const std::string& path);

// The call's keys and arguments, as RESP.
void pack(Call& call);

// EVALSHA for the calls, appended to `out`.
void pack_batch(std::string& out, const std::string& digest, const std::vector<const Call*>& calls);

void append_command(std::string& out, std::initializer_list<std::string_view> words);

// What the script says of one order.
Answer read_answer(const redisReply& item, const Call& call);

}  // namespace peer
