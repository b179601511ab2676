// The cases by grpc++, blocking: `client TARGET [CASE ...]`.
// With a certificate named by INTEROP_CA it speaks TLS.
// Prints a line of JSON for each: {"case": NAME, "error": null or what went wrong}.

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "interop/v1/testing.grpc.pb.h"

// Of libgrpc, for tests of the gRPC project itself: how the last message came.
uint32_t grpc_call_test_only_get_message_flags(grpc_call* call);

namespace grpc::testing {

// GRPC_WRITE_INTERNAL_COMPRESS and GRPC_WRITE_INTERNAL_TEST_ONLY_WAS_COMPRESSED.
constexpr uint32_t kCompressed = 0x80000000u | 0x40000000u;

// A friend of ClientContext, which tells nobody else.
class InteropClientContextInspector {
 public:
  static bool WasCompressed(const ClientContext& context) {
    return (grpc_call_test_only_get_message_flags(context.call_) & kCompressed) != 0;
  }
};

namespace {

constexpr int kLargeRequestBytes = 271828;
constexpr int kLargeResponseBytes = 314159;
const std::vector<int> kRequestBytes = {27182, 8, 1828, 45904};
const std::vector<int> kResponseBytes = {31415, 9, 2653, 58979};
const std::string kInitialKey = "x-grpc-test-echo-initial";
const std::string kInitialValue = "test_initial_metadata_value";
const std::string kTrailingKey = "x-grpc-test-echo-trailing-bin";
const std::string kTrailingValue = "\xab\xab\xab";
const std::string kStatusMessage = "test status message";
const std::string kSpecialStatusMessage =
    "\t\ntest with whitespace\r\nand Unicode BMP \xe2\x98\xba and non-BMP \xf0\x9f\x98\x88\t\n";
constexpr std::chrono::milliseconds kCallTime{20'000};

using Stub = TestService::Stub;

void Expect(bool held, const std::string& what) {
  if (!held) throw std::runtime_error(what);
}

void ExpectStatus(const Status& status, StatusCode code) {
  Expect(status.error_code() == code,
         "status " + std::to_string(status.error_code()) + ": " + status.error_message());
}

void ExpectStatus(const Status& status, StatusCode code, const std::string& message) {
  ExpectStatus(status, code);
  Expect(status.error_message() == message, "message: " + status.error_message());
}

void Limit(ClientContext& context, std::chrono::milliseconds time = kCallTime) {
  context.set_deadline(std::chrono::system_clock::now() + time);
}

SimpleRequest LargeRequest() {
  SimpleRequest request;
  request.set_response_size(kLargeResponseBytes);
  request.mutable_payload()->set_body(std::string(kLargeRequestBytes, '\0'));
  return request;
}

void ExpectLarge(const Status& status, const SimpleResponse& response) {
  ExpectStatus(status, StatusCode::OK);
  Expect(response.payload().body() == std::string(kLargeResponseBytes, '\0'), "another body");
}

StreamingInputCallRequest InputRequest(int size) {
  StreamingInputCallRequest request;
  request.mutable_payload()->set_body(std::string(size, '\0'));
  return request;
}

StreamingOutputCallRequest Ping(int size, int response_size) {
  StreamingOutputCallRequest request;
  request.add_response_parameters()->set_size(response_size);
  request.mutable_payload()->set_body(std::string(size, '\0'));
  return request;
}

void ExpectSize(const StreamingOutputCallResponse& response, int size) {
  Expect(response.payload().body().size() == static_cast<size_t>(size),
         "a body of " + std::to_string(response.payload().body().size()));
}

void AddMetadata(ClientContext& context) {
  context.AddMetadata(kInitialKey, kInitialValue);
  context.AddMetadata(kTrailingKey, kTrailingValue);
}

void ExpectMetadata(const ClientContext& context) {
  const auto& initial = context.GetServerInitialMetadata();
  const auto& trailing = context.GetServerTrailingMetadata();
  const auto in_front = initial.find(kInitialKey);
  const auto at_end = trailing.find(kTrailingKey);
  Expect(in_front != initial.end() && in_front->second == kInitialValue, "initial metadata");
  Expect(at_end != trailing.end() && at_end->second == kTrailingValue, "trailing metadata");
}

void EmptyUnary(Stub& stub) {
  ClientContext context;
  Limit(context);
  Empty response;
  ExpectStatus(stub.EmptyCall(&context, Empty(), &response), StatusCode::OK);
}

void LargeUnary(Stub& stub) {
  ClientContext context;
  Limit(context);
  SimpleResponse response;
  ExpectLarge(stub.UnaryCall(&context, LargeRequest(), &response), response);
}

void ClientCompressedUnary(Stub& stub) {
  for (const bool compressed : {true, false}) {
    ClientContext context;
    Limit(context);
    context.set_compression_algorithm(compressed ? GRPC_COMPRESS_GZIP : GRPC_COMPRESS_NONE);
    SimpleRequest request = LargeRequest();
    request.mutable_expect_compressed()->set_value(compressed);
    SimpleResponse response;
    ExpectLarge(stub.UnaryCall(&context, request, &response), response);
  }
}

void ServerCompressedUnary(Stub& stub) {
  for (const bool compressed : {true, false}) {
    ClientContext context;
    Limit(context);
    SimpleRequest request = LargeRequest();
    request.mutable_response_compressed()->set_value(compressed);
    SimpleResponse response;
    ExpectLarge(stub.UnaryCall(&context, request, &response), response);
    Expect(InteropClientContextInspector::WasCompressed(context) == compressed, "its compression");
  }
}

void ClientStreaming(Stub& stub) {
  ClientContext context;
  Limit(context);
  StreamingInputCallResponse response;
  const auto stream = stub.StreamingInputCall(&context, &response);
  int sum = 0;
  for (const int size : kRequestBytes) {
    Expect(stream->Write(InputRequest(size)), "the stream broke");
    sum += size;
  }
  stream->WritesDone();
  ExpectStatus(stream->Finish(), StatusCode::OK);
  Expect(response.aggregated_payload_size() == sum, "another sum");
}

// The first message compressed, the second not, as the description has it.
void ClientCompressedStreaming(Stub& stub) {
  ClientContext context;
  Limit(context);
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  StreamingInputCallResponse response;
  const auto stream = stub.StreamingInputCall(&context, &response);
  StreamingInputCallRequest first = InputRequest(27182);
  first.mutable_expect_compressed()->set_value(true);
  Expect(stream->Write(first), "the stream broke");
  StreamingInputCallRequest second = InputRequest(45904);
  second.mutable_expect_compressed()->set_value(false);
  Expect(stream->Write(second, WriteOptions().set_no_compression()), "the stream broke");
  stream->WritesDone();
  ExpectStatus(stream->Finish(), StatusCode::OK);
  Expect(response.aggregated_payload_size() == 27182 + 45904, "another sum");
}

void ServerStreaming(Stub& stub) {
  ClientContext context;
  Limit(context);
  StreamingOutputCallRequest request;
  for (const int size : kResponseBytes) request.add_response_parameters()->set_size(size);
  const auto stream = stub.StreamingOutputCall(&context, request);
  StreamingOutputCallResponse response;
  for (const int size : kResponseBytes) {
    Expect(stream->Read(&response), "a response is missing");
    ExpectSize(response, size);
  }
  Expect(!stream->Read(&response), "a response too many");
  ExpectStatus(stream->Finish(), StatusCode::OK);
}

void ServerCompressedStreaming(Stub& stub) {
  ClientContext context;
  Limit(context);
  const std::vector<std::pair<int, bool>> wanted = {{31415, true}, {92653, false}};
  StreamingOutputCallRequest request;
  for (const auto& [size, compressed] : wanted) {
    ResponseParameters* parameters = request.add_response_parameters();
    parameters->set_size(size);
    parameters->mutable_compressed()->set_value(compressed);
  }
  const auto stream = stub.StreamingOutputCall(&context, request);
  StreamingOutputCallResponse response;
  for (const auto& [size, compressed] : wanted) {
    Expect(stream->Read(&response), "a response is missing");
    ExpectSize(response, size);
    Expect(InteropClientContextInspector::WasCompressed(context) == compressed,
           "compression of " + std::to_string(size));
  }
  Expect(!stream->Read(&response), "a response too many");
  ExpectStatus(stream->Finish(), StatusCode::OK);
}

void PingPong(Stub& stub) {
  ClientContext context;
  Limit(context);
  const auto stream = stub.FullDuplexCall(&context);
  StreamingOutputCallResponse response;
  for (size_t i = 0; i < kRequestBytes.size(); ++i) {
    Expect(stream->Write(Ping(kRequestBytes[i], kResponseBytes[i])), "the stream broke");
    Expect(stream->Read(&response), "a response is missing");
    ExpectSize(response, kResponseBytes[i]);
  }
  stream->WritesDone();
  Expect(!stream->Read(&response), "a response too many");
  ExpectStatus(stream->Finish(), StatusCode::OK);
}

void EmptyStream(Stub& stub) {
  ClientContext context;
  Limit(context);
  const auto stream = stub.FullDuplexCall(&context);
  stream->WritesDone();
  StreamingOutputCallResponse response;
  Expect(!stream->Read(&response), "a response");
  ExpectStatus(stream->Finish(), StatusCode::OK);
}

void CustomMetadata(Stub& stub) {
  {
    ClientContext context;
    Limit(context);
    AddMetadata(context);
    SimpleResponse response;
    ExpectLarge(stub.UnaryCall(&context, LargeRequest(), &response), response);
    ExpectMetadata(context);
  }
  ClientContext context;
  Limit(context);
  AddMetadata(context);
  const auto stream = stub.FullDuplexCall(&context);
  Expect(stream->Write(Ping(1, 1)), "the stream broke");
  stream->WritesDone();
  StreamingOutputCallResponse response;
  Expect(stream->Read(&response), "a response is missing");
  Expect(!stream->Read(&response), "a response too many");
  ExpectStatus(stream->Finish(), StatusCode::OK);
  ExpectMetadata(context);
}

void StatusCodeAndMessage(Stub& stub) {
  {
    ClientContext context;
    Limit(context);
    SimpleRequest request;
    request.mutable_response_status()->set_code(2);
    request.mutable_response_status()->set_message(kStatusMessage);
    SimpleResponse response;
    ExpectStatus(stub.UnaryCall(&context, request, &response), StatusCode::UNKNOWN, kStatusMessage);
  }
  ClientContext context;
  Limit(context);
  StreamingOutputCallRequest request;
  request.mutable_response_status()->set_code(2);
  request.mutable_response_status()->set_message(kStatusMessage);
  const auto stream = stub.FullDuplexCall(&context);
  stream->Write(request);
  stream->WritesDone();
  StreamingOutputCallResponse response;
  Expect(!stream->Read(&response), "a response");
  ExpectStatus(stream->Finish(), StatusCode::UNKNOWN, kStatusMessage);
}

void SpecialStatusMessage(Stub& stub) {
  ClientContext context;
  Limit(context);
  SimpleRequest request;
  request.mutable_response_status()->set_code(2);
  request.mutable_response_status()->set_message(kSpecialStatusMessage);
  SimpleResponse response;
  ExpectStatus(stub.UnaryCall(&context, request, &response), StatusCode::UNKNOWN,
               kSpecialStatusMessage);
}

void UnimplementedMethod(Stub& stub) {
  ClientContext context;
  Limit(context);
  Empty response;
  ExpectStatus(stub.UnimplementedCall(&context, Empty(), &response), StatusCode::UNIMPLEMENTED);
}

void CancelAfterBegin(Stub& stub) {
  ClientContext context;
  Limit(context);
  StreamingInputCallResponse response;
  const auto stream = stub.StreamingInputCall(&context, &response);
  context.TryCancel();
  ExpectStatus(stream->Finish(), StatusCode::CANCELLED);
}

void CancelAfterFirstResponse(Stub& stub) {
  ClientContext context;
  Limit(context);
  const auto stream = stub.FullDuplexCall(&context);
  Expect(stream->Write(Ping(kRequestBytes[0], kResponseBytes[0])), "the stream broke");
  StreamingOutputCallResponse response;
  Expect(stream->Read(&response), "a response is missing");
  ExpectSize(response, kResponseBytes[0]);
  context.TryCancel();
  ExpectStatus(stream->Finish(), StatusCode::CANCELLED);
}

void TimeoutOnSleepingServer(Stub& stub) {
  ClientContext context;
  Limit(context, std::chrono::milliseconds(1));
  const auto stream = stub.FullDuplexCall(&context);
  StreamingOutputCallRequest request;
  request.mutable_payload()->set_body(std::string(kRequestBytes[0], '\0'));
  stream->Write(request);
  ExpectStatus(stream->Finish(), StatusCode::DEADLINE_EXCEEDED);
}

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const unsigned char byte : text) {
    if (byte < 0x20 || byte == '"' || byte == '\\' || byte > 0x7e) {
      char escaped[7];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", byte);
      quoted += escaped;
    } else {
      quoted += static_cast<char>(byte);
    }
  }
  return quoted + "\"";
}

void Run(const std::string& name, const std::function<void()>& run) {
  std::string error = "null";
  try {
    run();
  } catch (const std::exception& failure) {
    error = Quoted(failure.what());
  }
  std::cout << "{\"case\": " << Quoted(name) << ", \"error\": " << error << "}" << std::endl;
}

const std::vector<std::pair<std::string, void (*)(Stub&)>> kCases = {
    {"empty_unary", EmptyUnary},
    {"large_unary", LargeUnary},
    {"client_compressed_unary", ClientCompressedUnary},
    {"server_compressed_unary", ServerCompressedUnary},
    {"client_streaming", ClientStreaming},
    {"client_compressed_streaming", ClientCompressedStreaming},
    {"server_streaming", ServerStreaming},
    {"server_compressed_streaming", ServerCompressedStreaming},
    {"ping_pong", PingPong},
    {"empty_stream", EmptyStream},
    {"custom_metadata", CustomMetadata},
    {"status_code_and_message", StatusCodeAndMessage},
    {"special_status_message", SpecialStatusMessage},
    {"unimplemented_method", UnimplementedMethod},
    {"cancel_after_begin", CancelAfterBegin},
    {"cancel_after_first_response", CancelAfterFirstResponse},
    {"timeout_on_sleeping_server", TimeoutOnSleepingServer},
};

void UnimplementedServiceCase(const std::shared_ptr<Channel>& channel) {
  ClientContext context;
  Limit(context);
  Empty response;
  const auto stub = UnimplementedService::NewStub(channel);
  ExpectStatus(stub->UnimplementedCall(&context, Empty(), &response), StatusCode::UNIMPLEMENTED);
}

std::shared_ptr<ChannelCredentials> Credentials() {
  const char* path = std::getenv("INTEROP_CA");
  if (path == nullptr) return InsecureChannelCredentials();
  std::stringstream certificate;
  certificate << std::ifstream(path).rdbuf();
  SslCredentialsOptions options;
  options.pem_root_certs = certificate.str();
  return SslCredentials(options);
}

void RunAll(const std::string& target, const std::vector<std::string>& chosen) {
  const auto wanted = [&chosen](const std::string& name) {
    if (chosen.empty()) return true;
    for (const std::string& one : chosen) {
      if (one == name) return true;
    }
    return false;
  };
  ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto channel = CreateCustomChannel(target, Credentials(), arguments);
  const auto stub = TestService::NewStub(channel);
  for (const auto& [name, run] : kCases) {
    if (wanted(name)) Run(name, [&, run = run] { run(*stub); });
  }
  const std::string last = "unimplemented_service";
  if (wanted(last)) Run(last, [&] { UnimplementedServiceCase(channel); });
}

}  // namespace
}  // namespace grpc::testing

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  grpc::testing::RunAll(argv[1], std::vector<std::string>(argv + 2, argv + argc));
}
