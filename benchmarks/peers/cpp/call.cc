#include "call.h"

#include "commit_script.h"
#include "times.h"

namespace peer {
namespace {

constexpr auto kCommitReserve = std::chrono::milliseconds(2);

}  // namespace

Call::Call(const pb::OrderRequest& request, const Book* book_of_symbol,
           pb::ExecutionReport* answer, grpc::CallbackServerContext& context,
           grpc::ServerUnaryReactor* answerer)
    : order(read_order(request, book_of_symbol, wall_clock_ns())),
      book(book_of_symbol),
      report(answer),
      reactor(answerer),
      deadline(context.deadline()),
      payload(order.payload()),
      order_key("ORDER:" + order.order_id),
      position_key("POSITION:" + order.user_id + ':' + order.symbol) {}

void Call::decide(const Position& position) {
  ++attempts;
  basis = position;
  outcome = execute(order, book, position, wall_clock_ns(), *report);
  pack(*this);
}

bool Call::has_time() const {
  return deadline == std::chrono::system_clock::time_point::max() ||
         deadline - std::chrono::system_clock::now() >= kCommitReserve;
}

}  // namespace peer
