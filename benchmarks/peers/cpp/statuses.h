// Failures as gRPC statuses, with the details a program can act on.
#pragma once

#include <grpcpp/grpcpp.h>

#include <string>
#include <string_view>

#include "order.h"

namespace peer {

grpc::Status invalid_argument(const InvalidArgument& error);
grpc::Status order_id_reused(std::string_view order_id);
grpc::Status overflow(const std::string& why);
grpc::Status overloaded();
grpc::Status no_time_left();
grpc::Status position_contended(std::string_view order_id);
grpc::Status redis_unavailable(const std::string& why);
grpc::Status redis_refused(const std::string& why);

}  // namespace peer
