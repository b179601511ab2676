// One connection, group commit: whatever waits goes out in one script call.
//
// The threads of gRPC decide and queue, so that the orders of one position are queued in the
// order in which they are chained; one thread writes, one reads and answers.

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>

#include "committer.h"
#include "positions.h"
#include "statuses.h"

namespace peer {
namespace {

constexpr std::size_t kOrdersPerCallMax = 128;
constexpr auto kReconnectPause = std::chrono::milliseconds(25);

class Coalescing final : public Committer {
 public:
  Coalescing(const RedisTarget& target, std::size_t calls_in_flight_max)
      : target_(target),
        calls_in_flight_max_(calls_in_flight_max),
        connection_(std::make_unique<Connection>(target)),
        writer_(&Coalescing::write, this),
        reader_(&Coalescing::read, this) {}

  ~Coalescing() override {
    {
      const std::lock_guard lock(mutex_);
      closing_ = true;
    }
    changed_.notify_all();
    writer_.join();
    {
      const std::lock_guard lock(sending_);
      if (connection_ != nullptr) ::shutdown(connection_->context->fd, SHUT_RDWR);
    }
    reader_.join();
  }

  void submit(std::unique_ptr<Call> call) override {
    if (waiting_.load(std::memory_order_relaxed) >= kQueueMax) return call->finish(overloaded());
    decide_and_queue(std::move(call));
  }

 private:
  // One script call on its way; of no orders: the script is loaded.
  using Batch = Calls;

  // Under the position's lock: what is chained on this order is queued after it.
  void decide_and_queue(std::unique_ptr<Call> call) {
    if (!call->has_time()) return call->finish(no_time_left());
    std::string failure;
    const std::string key = call->position_key;
    positions_.with(key, [&](Positions::Belief& belief) {
      try {
        call->decide(belief.position);
      } catch (const Overflow& error) {
        failure = error.what();
        return;
      }
      call->epoch = belief.epoch;
      if (call->outcome.after) belief.position = *call->outcome.after;
      push(std::move(call));
    });
    if (call != nullptr) call->finish(overflow(failure));
  }

  void push(std::unique_ptr<Call> call) {
    bool idle;
    // Before the writer can take it away again: the count must not fall below zero.
    waiting_.fetch_add(1, std::memory_order_relaxed);
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back(std::move(call));
      idle = writer_waits_;
      writer_waits_ = false;
    }
    if (idle) changed_.notify_one();
  }

  // The writer.

  void write() {
    std::string request;
    std::vector<const Call*> calls;
    while (true) {
      Batch batch;
      bool load = false;
      {
        std::unique_lock lock(mutex_);
        const auto may_send = [this] {
          return closing_ || (!queue_.empty() && in_flight_.size() < calls_in_flight_max_);
        };
        while (!may_send()) {
          writer_waits_ = true;
          changed_.wait(lock);
        }
        writer_waits_ = false;
        if (queue_.empty()) return;
        load = std::exchange(script_missing_, false);
        const std::size_t count = std::min(queue_.size(), kOrdersPerCallMax);
        for (std::size_t taken = 0; taken < count; ++taken) {
          batch.push_back(std::move(queue_.front()));
          queue_.pop_front();
        }
      }
      waiting_.fetch_sub(batch.size(), std::memory_order_relaxed);
      const std::lock_guard sending(sending_);
      if (connection_ == nullptr) {
        fail(batch, redis_unavailable("there is no connection; nothing was sent"));
        continue;
      }
      calls.clear();
      for (const auto& call : batch) calls.push_back(call.get());
      request.clear();
      if (load) append_command(request, {"SCRIPT", "LOAD", target_.script});
      pack_batch(request, connection_->digest, calls);
      {
        const std::lock_guard lock(mutex_);
        if (load) in_flight_.emplace_back();
        in_flight_.push_back(std::move(batch));
      }
      send_all(request);
    }
  }

  // A failure is for the reader to find, who answers what is in flight.
  void send_all(std::string_view rest) {
    const int socket = connection_->context->fd;
    while (!rest.empty()) {
      const ssize_t sent = ::send(socket, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent <= 0) {
        ::shutdown(socket, SHUT_RDWR);
        return;
      }
      rest.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  // The reader.

  void read() {
    while (true) {
      const std::string why = read_until_lost(connection_->context->fd);
      if (!reconnect(why)) return;
    }
  }

  std::string read_until_lost(int socket) {
    const std::unique_ptr<redisReader, decltype(&redisReaderFree)> parser(redisReaderCreate(),
                                                                          redisReaderFree);
    std::array<char, 65'536> buffer;
    while (true) {
      const ssize_t received = ::recv(socket, buffer.data(), buffer.size(), 0);
      if (received < 0 && errno == EINTR) continue;
      if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        if (nothing_in_flight()) continue;
        return "no answer";
      }
      if (received <= 0) return "the connection was lost";
      redisReaderFeed(parser.get(), buffer.data(), static_cast<std::size_t>(received));
      while (true) {
        void* parsed = nullptr;
        if (redisReaderGetReply(parser.get(), &parsed) != REDIS_OK) return parser->errstr;
        if (parsed == nullptr) break;
        const std::unique_ptr<void, decltype(&freeReplyObject)> reply(parsed, freeReplyObject);
        settle(*static_cast<const redisReply*>(parsed));
      }
    }
  }

  bool nothing_in_flight() {
    const std::lock_guard lock(mutex_);
    return in_flight_.empty();
  }

  void settle(const redisReply& reply) {
    Batch batch;
    {
      const std::lock_guard lock(mutex_);
      if (in_flight_.empty()) return;
      batch = std::move(in_flight_.front());
      in_flight_.pop_front();
    }
    changed_.notify_one();
    if (batch.empty()) return;
    if (reply.type == REDIS_REPLY_ARRAY && reply.elements == batch.size()) {
      for (std::size_t at = 0; at < batch.size(); ++at) {
        settle_one(std::move(batch[at]), *reply.element[at]);
      }
      return;
    }
    const std::string_view error(reply.str == nullptr ? "no array of answers" : reply.str);
    if (error.substr(0, 8) == "NOSCRIPT") {
      // Nothing ran, and it goes before what is new: others may be chained on it.
      const std::lock_guard lock(mutex_);
      script_missing_ = true;
      waiting_.fetch_add(batch.size(), std::memory_order_relaxed);
      queue_.insert(queue_.begin(), std::make_move_iterator(batch.begin()),
                    std::make_move_iterator(batch.end()));
      changed_.notify_one();
      return;
    }
    fail(batch, redis_refused(std::string(error)));
  }

  void settle_one(std::unique_ptr<Call> call, const redisReply& item) {
    const Answer answer = read_answer(item, *call);
    if (const auto* const moved = std::get_if<Moved>(&answer)) {
      positions_.correct(call->position_key, moved->position, call->epoch);
    } else if (!std::holds_alternative<Committed>(answer)) {
      disbelieve(*call);
    }
    if (const std::optional<grpc::Status> status = conclude(*call, answer)) {
      call->finish(*status);
    } else {
      decide_and_queue(std::move(call));
    }
  }

  // False once this is closing.
  bool reconnect(const std::string& why) {
    {
      const std::lock_guard sending(sending_);
      connection_.reset();
    }
    while (true) {
      std::deque<Batch> lost;
      {
        const std::lock_guard lock(mutex_);
        lost.swap(in_flight_);
      }
      for (const Batch& batch : lost) fail(batch, redis_unavailable(why));
      changed_.notify_one();
      {
        const std::lock_guard lock(mutex_);
        if (closing_) return false;
      }
      try {
        auto connection = std::make_unique<Connection>(target_);
        const std::lock_guard sending(sending_);
        connection_ = std::move(connection);
        return true;
      } catch (const std::runtime_error&) {
        std::this_thread::sleep_for(kReconnectPause);
      }
    }
  }

  void fail(const Batch& batch, const grpc::Status& status) {
    for (const auto& call : batch) {
      disbelieve(*call);
      call->finish(status);
    }
  }

  // Its outcome is not, or may not be, what was believed; its basis is the best guess.
  void disbelieve(const Call& call) {
    if (call.outcome.rests_on_position) {
      positions_.correct(call.position_key, call.basis, call.epoch);
    }
  }

  const RedisTarget target_;
  const std::size_t calls_in_flight_max_;
  Positions positions_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::unique_ptr<Call>> queue_;
  std::deque<Batch> in_flight_;
  bool writer_waits_ = false;
  bool script_missing_ = false;
  bool closing_ = false;
  std::atomic<std::size_t> waiting_{0};

  // Held while the connection is written to or replaced.
  std::mutex sending_;
  std::unique_ptr<Connection> connection_;

  std::thread writer_;
  std::thread reader_;
};

}  // namespace

std::unique_ptr<Committer> coalescing_committer(const RedisTarget& target,
                                                int calls_in_flight_max) {
  return std::make_unique<Coalescing>(target, static_cast<std::size_t>(calls_in_flight_max));
}

}  // namespace peer
