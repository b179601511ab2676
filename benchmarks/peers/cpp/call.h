// One order under way: from the request to the answer.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <string>

#include "engine.h"
#include "order.h"

namespace peer {

// Commits of one order before a contended position is given up for now.
inline constexpr int kAttemptsMax = 8;

struct Call {
  Order order;
  const Book* book;  // null where the symbol is unknown
  pb::ExecutionReport* report;
  grpc::ServerUnaryReactor* reactor;
  std::chrono::system_clock::time_point deadline;

  std::string payload;
  std::string order_key;
  std::string position_key;

  // Of the present attempt.
  Position basis;
  Outcome outcome;
  std::uint64_t epoch = 0;
  std::string report_text;
  std::string keys;       // RESP
  std::string arguments;  // RESP
  int attempts = 0;

  // Throws InvalidArgument.
  Call(const pb::OrderRequest& request, const Book* book_of_symbol, pb::ExecutionReport* report,
       grpc::CallbackServerContext& context, grpc::ServerUnaryReactor* reactor);

  // Executes on `position` and packs the commit. Throws Overflow.
  void decide(const Position& position);
  // Whether there is time left to finish the commit.
  bool has_time() const;
  void finish(const grpc::Status& status) const { reactor->Finish(status); }
};

}  // namespace peer
