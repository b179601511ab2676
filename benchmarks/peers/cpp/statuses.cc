#include "statuses.h"

#include "call.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace peer {
namespace {

constexpr std::size_t kMessageLengthMax = 1'000;
constexpr int kNoRetry = 0;

grpc::Status with_details(grpc::StatusCode code, const std::string& message,
                          google::rpc::Status& status) {
  const std::string shown = message.substr(0, kMessageLengthMax);
  status.set_code(code);
  status.set_message(shown);
  return {code, shown, status.SerializeAsString()};
}

grpc::Status failure(grpc::StatusCode code, const char* reason, const std::string& message,
                     int retry_after_ms) {
  google::rpc::Status status;
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("execution-service");
  status.add_details()->PackFrom(info);
  if (retry_after_ms != kNoRetry) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(retry_after_ms / 1'000);
    retry.mutable_retry_delay()->set_nanos(retry_after_ms % 1'000 * 1'000'000);
    status.add_details()->PackFrom(retry);
  }
  return with_details(code, message, status);
}

}  // namespace

grpc::Status invalid_argument(const InvalidArgument& error) {
  google::rpc::BadRequest request;
  for (const Violation& violation : error.violations) {
    auto& named = *request.add_field_violations();
    named.set_field(violation.field);
    named.set_description(violation.description);
  }
  google::rpc::Status status;
  status.add_details()->PackFrom(request);
  return with_details(grpc::StatusCode::INVALID_ARGUMENT, error.what(), status);
}

grpc::Status order_id_reused(std::string_view order_id) {
  return failure(grpc::StatusCode::ALREADY_EXISTS, "ORDER_ID_REUSED",
                 "order_id " + std::string(order_id) +
                     " was used for another order; a new order needs a new id",
                 kNoRetry);
}

grpc::Status overflow(const std::string& why) {
  return failure(grpc::StatusCode::OUT_OF_RANGE, "OVERFLOW", why, kNoRetry);
}

grpc::Status overloaded() {
  return failure(grpc::StatusCode::RESOURCE_EXHAUSTED, "OVERLOADED",
                 "too many orders wait already; nothing was sent", 100);
}

grpc::Status no_time_left() {
  return failure(grpc::StatusCode::DEADLINE_EXCEEDED, "DEADLINE_TOO_SHORT",
                 "no time was left to finish the commit; nothing was sent", kNoRetry);
}

grpc::Status position_contended(std::string_view order_id) {
  return failure(grpc::StatusCode::UNAVAILABLE, "POSITION_CONTENDED",
                 "the position changed under " + std::to_string(kAttemptsMax) +
                     " attempts to commit order " + std::string(order_id) +
                     "; retry with the same id",
                 200);
}

grpc::Status redis_unavailable(const std::string& why) {
  return failure(grpc::StatusCode::UNAVAILABLE, "REDIS_UNAVAILABLE", "Redis: " + why, 200);
}

grpc::Status redis_refused(const std::string& why) {
  return failure(grpc::StatusCode::UNAVAILABLE, "REDIS_NOT_WRITABLE", "Redis: " + why, 1'000);
}

}  // namespace peer
