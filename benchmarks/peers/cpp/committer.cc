#include "committer.h"

#include <sys/time.h>

#include <stdexcept>

#include "records.h"
#include "statuses.h"

namespace peer {
namespace {

template <class... Handlers>
struct Overloads : Handlers... {
  using Handlers::operator()...;
};
template <class... Handlers>
Overloads(Handlers...) -> Overloads<Handlers...>;

grpc::Status repeat(Call& call, const Stored& stored) {
  if (stored.payload != call.payload) return order_id_reused(call.order.order_id);
  if (!read_report_json(stored.report, *call.report)) {
    return redis_refused("CORRUPT " + call.order_key + " is not a record of this version");
  }
  return grpc::Status::OK;
}

}  // namespace

std::optional<grpc::Status> conclude(Call& call, const Answer& answer) {
  using Status = std::optional<grpc::Status>;
  return std::visit(
      Overloads{
          [](const Committed&) -> Status { return grpc::Status::OK; },
          [&](const Stored& stored) -> Status { return repeat(call, stored); },
          [&](const Moved&) -> Status {
            if (call.attempts < kAttemptsMax) return std::nullopt;
            return position_contended(call.order.order_id);
          },
          [](const Refused& refused) -> Status { return redis_refused(refused.message); },
      },
      answer);
}

Connection::Connection(const RedisTarget& target)
    : context(redisConnectUnix(target.socket_path.c_str()), redisFree) {
  if (context == nullptr) throw std::runtime_error("hiredis has no memory");
  if (context->err != 0) throw std::runtime_error(target.socket_path + ": " + context->errstr);
  redisSetTimeout(context.get(), {kCommitTimeoutMs / 1'000, kCommitTimeoutMs % 1'000 * 1'000});
  const std::unique_ptr<void, decltype(&freeReplyObject)> reply(
      redisCommand(context.get(), "SCRIPT LOAD %b", target.script.data(), target.script.size()),
      freeReplyObject);
  const auto* const loaded = static_cast<const redisReply*>(reply.get());
  if (loaded == nullptr) throw std::runtime_error(context->errstr);
  const std::string text(loaded->str == nullptr ? "" : loaded->str, loaded->len);
  if (loaded->type != REDIS_REPLY_STRING) throw std::runtime_error("SCRIPT LOAD: " + text);
  digest = text;
}

}  // namespace peer
