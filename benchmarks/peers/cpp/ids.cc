#include "ids.h"

#include <openssl/evp.h>

#include <array>
#include <memory>
#include <random>
#include <stdexcept>

#include "times.h"

namespace peer {
namespace {

using Bytes = std::array<unsigned char, EVP_MAX_MD_SIZE>;

// TRADE_NAMESPACE of src/execution/engine.py: 6f4a7b1e-52a8-5e0c-9d43-0f3b7f1c2a90.
constexpr unsigned char kTradeNamespace[] = {0x6f, 0x4a, 0x7b, 0x1e, 0x52, 0xa8, 0x5e, 0x0c,
                                             0x9d, 0x43, 0x0f, 0x3b, 0x7f, 0x1c, 0x2a, 0x90};

std::string uuid_text(Bytes& bytes, unsigned char version) {
  constexpr char kHex[] = "0123456789abcdef";
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | version << 4);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);
  std::string text;
  text.reserve(36);
  for (std::size_t at = 0; at < 16; ++at) {
    if (at == 4 || at == 6 || at == 8 || at == 10) text += '-';
    text += kHex[bytes[at] >> 4];
    text += kHex[bytes[at] & 0x0f];
  }
  return text;
}

}  // namespace

std::string trade_id(const std::string& user_id, const std::string& order_id) {
  // Fetched once: what is looked up by name at every digest costs more than the digest.
  static EVP_MD* const sha1 = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  thread_local const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(
      EVP_MD_CTX_new(), EVP_MD_CTX_free);
  Bytes digest;
  if (EVP_DigestInit_ex2(context.get(), sha1, nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), kTradeNamespace, sizeof kTradeNamespace) != 1 ||
      EVP_DigestUpdate(context.get(), user_id.data(), user_id.size()) != 1 ||
      EVP_DigestUpdate(context.get(), "/", 1) != 1 ||
      EVP_DigestUpdate(context.get(), order_id.data(), order_id.size()) != 1 ||
      EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) != 1) {
    throw std::runtime_error("OpenSSL has no SHA-1");
  }
  return uuid_text(digest, 5);
}

std::string new_order_id(std::int64_t time_ns) {
  thread_local std::mt19937_64 chance{std::random_device{}()};
  Bytes bytes;
  std::uint64_t milliseconds = static_cast<std::uint64_t>(time_ns / kNsPerMs);
  for (std::size_t at = 6; at-- > 0; milliseconds >>= 8) {
    bytes[at] = static_cast<unsigned char>(milliseconds);
  }
  std::uint64_t random = 0;
  for (std::size_t at = 6; at < 16; ++at, random >>= 8) {
    if (at == 6 || at == 14) random = chance();
    bytes[at] = static_cast<unsigned char>(random);
  }
  return uuid_text(bytes, 7);
}

}  // namespace peer
