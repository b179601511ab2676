// A market-order service over gRPC's callback API: what execution-service is measured against.

#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <signal.h>

#include <charconv>
#include <cstdlib>
#include <iostream>
#include <map>
#include <set>

#include "committer.h"
#include "execution/v1/execution.grpc.pb.h"
#include "numbers.h"
#include "statuses.h"

namespace peer {
namespace {

constexpr int kMessageBytesMax = 1'048'576;
constexpr auto kDrain = std::chrono::seconds(10);
constexpr int kBookQuantityDecimals = 3;
constexpr char kUsage[] =
    "usage: cpp_peer --redis-socket PATH [--listen HOST:PORT] [--form blocking|coalescing]\n"
    "                [--threads 16] [--calls-in-flight 1] [--symbols COUNT|NAME,NAME,...]\n"
    "                [--level-quantity 1000000] [--script PATH]\n";

class Service final : public pb::ExecutionService::CallbackService {
 public:
  Service(const Market& market, Committer& committer) : market_(market), committer_(committer) {}

  grpc::ServerUnaryReactor* ExecuteMarketOrder(grpc::CallbackServerContext* context,
                                               const pb::OrderRequest* request,
                                               pb::ExecutionReport* report) override {
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    try {
      committer_.submit(std::make_unique<Call>(*request, market_.find(request->symbol()), report,
                                               *context, reactor));
    } catch (const InvalidArgument& error) {
      reactor->Finish(invalid_argument(error));
    }
    return reactor;
  }

 private:
  const Market& market_;
  Committer& committer_;
};

struct Usage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::map<std::string, std::string> read_flags(int argc, char** argv) {
  std::map<std::string, std::string> flags = {
      {"--listen", "127.0.0.1:0"}, {"--redis-socket", ""},   {"--form", "coalescing"},
      {"--threads", "16"},         {"--symbols", "100"},     {"--level-quantity", "1000000"},
      {"--script", COMMIT_SCRIPT}, {"--calls-in-flight", "1"},
  };
  for (int at = 1; at < argc; at += 2) {
    const auto flag = flags.find(argv[at]);
    if (flag == flags.end()) throw Usage(std::string("there is no ") + argv[at]);
    if (at + 1 == argc) throw Usage(flag->first + " wants a value");
    flag->second = argv[at + 1];
  }
  if (flags["--redis-socket"].empty()) throw Usage("--redis-socket is missing");
  return flags;
}

std::optional<int> read_count(const std::string& text, int max) {
  int count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || *end != '\0' || count < 1 || count > max) return std::nullopt;
  return count;
}

std::vector<std::string> read_symbols(const std::string& text) {
  std::vector<std::string> symbols;
  if (const std::optional<int> count = read_count(text, 1'000)) {
    for (int number = 0; number < *count; ++number) {
      const std::string digits = std::to_string(number);
      symbols.push_back("S" + std::string(digits.size() < 3 ? 3 - digits.size() : 0, '0') + digits);
    }
    return symbols;
  }
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    symbols.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return symbols;
}

std::int64_t read_level_quantity(const std::string& text) {
  std::string why;
  std::int64_t quantity = 0;
  const std::optional<std::string> read = canonical(text, why);
  if (!read || scale(*read, kBookQuantityDecimals, quantity) != Parsed::kSound || quantity == 0) {
    throw Usage("--level-quantity is a decimal above zero with 3 digits after the point");
  }
  return quantity;
}

std::unique_ptr<Committer> make_committer(std::map<std::string, std::string>& flags) {
  const RedisTarget target{flags["--redis-socket"], read_script(flags["--script"])};
  const auto number = [&](const std::string& flag) {
    const std::optional<int> count = read_count(flags[flag], 1'024);
    if (!count) throw Usage(flag + " is a number from 1 to 1024");
    return *count;
  };
  if (flags["--form"] == "coalescing") {
    return coalescing_committer(target, number("--calls-in-flight"));
  }
  if (flags["--form"] != "blocking") throw Usage("--form is blocking or coalescing");
  return blocking_committer(target, number("--threads"));
}

void serve(std::map<std::string, std::string>& flags) {
  // Before any thread is there: all of them leave the signals to this one.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);

  const Market market(read_symbols(flags["--symbols"]),
                      read_level_quantity(flags["--level-quantity"]));
  const std::unique_ptr<Committer> committer = make_committer(flags);
  Service service(market, *committer);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  int port = 0;
  const std::string& listen = flags["--listen"];
  builder.AddListeningPort(listen, grpc::InsecureServerCredentials(), &port);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(kMessageBytesMax);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) throw std::runtime_error(listen + " cannot be had");
  std::cout << "ready grpc=" << listen.substr(0, listen.rfind(':')) << ':' << port << std::endl;

  int signal = 0;
  sigwait(&ends, &signal);
  server->Shutdown(std::chrono::system_clock::now() + kDrain);
  server->Wait();
}

int run(int argc, char** argv) {
  try {
    std::map<std::string, std::string> flags = read_flags(argc, argv);
    serve(flags);
    return EXIT_SUCCESS;
  } catch (const Usage& error) {
    std::cerr << "cpp_peer: " << error.what() << '\n' << kUsage;
  } catch (const std::exception& error) {
    std::cerr << "cpp_peer: " << error.what() << '\n';
  }
  return 2;
}

}  // namespace
}  // namespace peer

int main(int argc, char** argv) { return peer::run(argc, argv); }
