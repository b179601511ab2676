// What this process believes each position to be, ahead of Redis' answers.
//
// Orders on one position are chained, each on the prediction of the one before. Every belief
// has an epoch; the first answer that shows it to be wrong begins a new one, and the answers
// that only echo the same mistake are not heard. See src/execution/adapters/positions.py.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <unordered_map>

#include "engine.h"

namespace peer {

class Positions {
 public:
  struct Belief {
    Position position;
    std::uint64_t epoch;
  };

  // Calls `use` with the belief, which nobody else touches meanwhile.
  template <class Use>
  void with(const std::string& key, Use&& use) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    if (shard.beliefs.size() >= kBeliefsMax / kShards) shard.beliefs.clear();
    const auto [found, fresh] = shard.beliefs.try_emplace(key);
    if (fresh) found->second.epoch = next_epoch();
    use(found->second);
  }

  // An answer to a commit of `epoch` shows the position to be this.
  void correct(const std::string& key, const Position& position, std::uint64_t epoch) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.beliefs.find(key);
    if (found == shard.beliefs.end() || found->second.epoch != epoch) return;
    found->second = {position, next_epoch()};
  }

 private:
  static constexpr std::size_t kShards = 64;
  // A shard that is full forgets all of it: that costs each position one correction.
  static constexpr std::size_t kBeliefsMax = 1'000'000;

  struct Shard {
    std::mutex mutex;
    std::unordered_map<std::string, Belief> beliefs;
  };

  Shard& shard_of(const std::string& key) {
    return shards_[std::hash<std::string>{}(key) % kShards];
  }
  // Never used again, so that a belief forgotten and learnt anew is not the old one.
  std::uint64_t next_epoch() { return epochs_.fetch_add(1, std::memory_order_relaxed); }

  std::array<Shard, kShards> shards_;
  std::atomic<std::uint64_t> epochs_{1};
};

}  // namespace peer
