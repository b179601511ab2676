// What both forms are: orders go in, each is answered once.
#pragma once

#include <memory>
#include <string>

#include "call.h"
#include "commit_script.h"

namespace peer {

// Orders that may wait; one more is refused at once.
inline constexpr std::size_t kQueueMax = 20'000;
// Silence of Redis for which a commit waits.
inline constexpr int kCommitTimeoutMs = 2'000;

class Committer {
 public:
  virtual ~Committer() = default;
  virtual void submit(std::unique_ptr<Call> call) = 0;
};

// The status of a call that is answered; nothing where it is to be decided again.
std::optional<grpc::Status> conclude(Call& call, const Answer& answer);

struct RedisTarget {
  std::string socket_path;
  std::string script;
};

// A connection with the script loaded. Throws std::runtime_error.
struct Connection {
  explicit Connection(const RedisTarget& target);
  std::unique_ptr<redisContext, decltype(&redisFree)> context;
  std::string digest;
};

// 16 (or so) threads, each with a connection of its own: one script call an order.
std::unique_ptr<Committer> blocking_committer(const RedisTarget& target, int threads);
// One connection: whatever waits goes out in one script call, with so many of them under way.
std::unique_ptr<Committer> coalescing_committer(const RedisTarget& target,
                                                int calls_in_flight_max);

}  // namespace peer
