// A pool of threads, each with its own blocking connection: one script call an order.

#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "committer.h"
#include "positions.h"
#include "statuses.h"

namespace peer {
namespace {

using Reply = std::unique_ptr<redisReply, void (*)(redisReply*)>;

Reply owned(void* reply) {
  return {static_cast<redisReply*>(reply), [](redisReply* it) { freeReplyObject(it); }};
}

bool is_noscript(const redisReply& reply) {
  return reply.type == REDIS_REPLY_ERROR &&
         std::string_view(reply.str, reply.len).substr(0, 8) == "NOSCRIPT";
}

class Blocking final : public Committer {
 public:
  Blocking(const RedisTarget& target, int threads) : target_(target) {
    std::vector<std::unique_ptr<Connection>> connections;
    for (int thread = 0; thread < threads; ++thread) {
      connections.push_back(std::make_unique<Connection>(target_));
    }
    for (auto& connection : connections) {
      threads_.emplace_back(&Blocking::work, this, std::move(connection));
    }
  }

  ~Blocking() override {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
    }
    waiting_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void submit(std::unique_ptr<Call> call) override {
    {
      const std::lock_guard lock(mutex_);
      if (queue_.size() < kQueueMax) queue_.push_back(std::move(call));
    }
    if (call != nullptr) {
      call->finish(overloaded());
    } else {
      waiting_.notify_one();
    }
  }

 private:
  static constexpr std::size_t kStripes = 1'024;

  void work(std::unique_ptr<Connection> connection) {
    std::string request;
    while (true) {
      std::unique_ptr<Call> call;
      {
        std::unique_lock lock(mutex_);
        waiting_.wait(lock, [this] { return closing_ || !queue_.empty(); });
        if (queue_.empty()) return;
        call = std::move(queue_.front());
        queue_.pop_front();
      }
      call->finish(commit(*call, connection, request));
    }
  }

  grpc::Status commit(Call& call, std::unique_ptr<Connection>& connection, std::string& request) {
    // Two orders on one position would only conflict: one after the other.
    const std::size_t stripe = std::hash<std::string>{}(call.position_key) % kStripes;
    const std::lock_guard alone(stripes_[stripe]);
    try {
      while (true) {
        if (!call.has_time()) return no_time_left();
        Positions::Belief belief;
        positions_.with(call.position_key, [&](auto& known) { belief = known; });
        call.decide(belief.position);
        const Reply reply = ask(call, connection, request);
        if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1) {
          return redis_refused(reply->str == nullptr ? "no array of answers" : reply->str);
        }
        const Answer answer = read_answer(*reply->element[0], call);
        if (std::holds_alternative<Committed>(answer) && call.outcome.after) {
          positions_.correct(call.position_key, *call.outcome.after, belief.epoch);
        } else if (const auto* const moved = std::get_if<Moved>(&answer)) {
          positions_.correct(call.position_key, moved->position, belief.epoch);
        }
        if (std::optional<grpc::Status> status = conclude(call, answer)) return *std::move(status);
      }
    } catch (const Overflow& error) {
      return overflow(error.what());
    } catch (const std::runtime_error& error) {
      connection.reset();
      return redis_unavailable(error.what());
    }
  }

  // The reply to the commit. Throws std::runtime_error where the connection is lost.
  Reply ask(const Call& call, std::unique_ptr<Connection>& connection, std::string& request) const {
    for (bool again = false;; again = true) {
      if (connection == nullptr) connection = std::make_unique<Connection>(target_);
      redisContext* const context = connection->context.get();
      request.clear();
      pack_batch(request, connection->digest, {&call});
      redisAppendFormattedCommand(context, request.data(), request.size());
      void* answered = nullptr;
      if (redisGetReply(context, &answered) != REDIS_OK) throw std::runtime_error(context->errstr);
      Reply reply = owned(answered);
      if (again || !is_noscript(*reply)) return reply;
      connection.reset();  // a new one loads it
    }
  }

  const RedisTarget target_;
  Positions positions_;
  std::array<std::mutex, kStripes> stripes_;
  std::mutex mutex_;
  std::condition_variable waiting_;
  std::deque<std::unique_ptr<Call>> queue_;
  bool closing_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<Committer> blocking_committer(const RedisTarget& target, int threads) {
  return std::make_unique<Blocking>(target, threads);
}

}  // namespace peer
