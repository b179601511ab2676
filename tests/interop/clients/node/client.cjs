// The cases by @grpc/grpc-js: `node client.cjs PROTO TARGET [CASE ...]`.
// With a certificate named by INTEROP_CA it speaks TLS.
// Prints a line of JSON for each: {"case": NAME, "error": null or what went wrong}.
'use strict';

const fs = require('node:fs');
const assert = require('node:assert/strict');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');

const LARGE_REQUEST_BYTES = 271828;
const LARGE_RESPONSE_BYTES = 314159;
const REQUEST_BYTES = [27182, 8, 1828, 45904];
const RESPONSE_BYTES = [31415, 9, 2653, 58979];
const COMPRESSED_REQUEST_BYTES = [27182, 45904];
const COMPRESSED_RESPONSE_BYTES = [31415, 92653];
const INITIAL = ['x-grpc-test-echo-initial', 'test_initial_metadata_value'];
const TRAILING = ['x-grpc-test-echo-trailing-bin', Buffer.from([0xab, 0xab, 0xab])];
const STATUS = { code: 2, message: 'test status message' };
const SPECIAL_STATUS = {
  code: 2,
  message: '\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \u{1f608}\t\n',
};
const CALL_MS = 20_000;

const [proto, target, ...chosen] = process.argv.slice(2);
const { testing } = grpc.loadPackageDefinition(
  protoLoader.loadSync(proto, { keepCase: true, defaults: true }),
).grpc;

const certificate = process.env.INTEROP_CA;
const credentials =
  certificate === undefined
    ? grpc.credentials.createInsecure()
    : grpc.credentials.createSsl(fs.readFileSync(certificate));
const options = { 'grpc.enable_retries': 0, 'grpc.use_local_subchannel_pool': 1 };
const service = new testing.TestService(target, credentials, options);
const unknown = new testing.UnimplementedService(target, credentials, options);
const compressing = new testing.TestService(target, credentials, {
  ...options,
  'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip,
});

const zeros = (size) => ({ body: Buffer.alloc(size) });
const large = (more = {}) => ({
  response_size: LARGE_RESPONSE_BYTES,
  payload: zeros(LARGE_REQUEST_BYTES),
  ...more,
});
const ping = (size, responseSize) => ({
  response_parameters: [{ size: responseSize }],
  payload: zeros(size),
});
const limit = (ms = CALL_MS) => ({ deadline: new Date(Date.now() + ms) });

const CASES = {
  async empty_unary() {
    assert.deepEqual((await unary(service, 'EmptyCall', {})).response, {});
  },

  async large_unary() {
    expectLarge(await unary(service, 'UnaryCall', large()));
  },

  async client_compressed_unary() {
    expectLarge(await unary(compressing, 'UnaryCall', large({ expect_compressed: { value: true } })));
    expectLarge(await unary(service, 'UnaryCall', large({ expect_compressed: { value: false } })));
  },

  async server_compressed_unary() {
    for (const value of [true, false]) {
      expectLarge(await unary(service, 'UnaryCall', large({ response_compressed: { value } })));
    }
  },

  async client_streaming() {
    expectSum(await sendAll(service, REQUEST_BYTES), REQUEST_BYTES);
  },

  async client_compressed_streaming() {
    expectSum(await sendAll(compressing, COMPRESSED_REQUEST_BYTES), COMPRESSED_REQUEST_BYTES);
  },

  async server_streaming() {
    const parameters = RESPONSE_BYTES.map((size) => ({ size }));
    const call = service.StreamingOutputCall({ response_parameters: parameters }, limit());
    assert.deepEqual(await sizesOf(call), RESPONSE_BYTES);
  },

  async server_compressed_streaming() {
    const parameters = COMPRESSED_RESPONSE_BYTES.map((size, index) => ({
      size,
      compressed: { value: index === 0 },
    }));
    const call = service.StreamingOutputCall({ response_parameters: parameters }, limit());
    assert.deepEqual(await sizesOf(call), COMPRESSED_RESPONSE_BYTES);
  },

  async ping_pong() {
    const call = service.FullDuplexCall(limit());
    const responses = call[Symbol.asyncIterator]();
    for (const [index, size] of REQUEST_BYTES.entries()) {
      call.write(ping(size, RESPONSE_BYTES[index]));
      const { value } = await responses.next();
      assert.equal(value.payload.body.length, RESPONSE_BYTES[index]);
    }
    call.end();
    assert.ok((await responses.next()).done);
  },

  async empty_stream() {
    const call = service.FullDuplexCall(limit());
    call.end();
    assert.deepEqual(await sizesOf(call), []);
  },

  async custom_metadata() {
    expectMetadata(await unary(service, 'UnaryCall', large(), echoed()));
    const call = service.FullDuplexCall(echoed(), limit());
    const seen = seenBy(call);
    call.write(ping(1, 1));
    call.end();
    assert.deepEqual(await sizesOf(call), [1]);
    await seen.over;
    expectMetadata(seen);
  },

  async status_code_and_message() {
    const { code, message } = STATUS;
    await refused(unary(service, 'UnaryCall', { response_status: STATUS }), code, message);
    const call = service.FullDuplexCall(limit());
    call.write({ response_status: STATUS });
    call.end();
    await refused(sizesOf(call), code, message);
  },

  async special_status_message() {
    const { code, message } = SPECIAL_STATUS;
    await refused(unary(service, 'UnaryCall', { response_status: SPECIAL_STATUS }), code, message);
  },

  async unimplemented_method() {
    await refused(unary(service, 'UnimplementedCall', {}), grpc.status.UNIMPLEMENTED);
  },

  async unimplemented_service() {
    await refused(unary(unknown, 'UnimplementedCall', {}), grpc.status.UNIMPLEMENTED);
  },

  async cancel_after_begin() {
    let call;
    const reply = new Promise((resolve, reject) => {
      call = service.StreamingInputCall(limit(), (error) => (error ? reject(error) : resolve()));
    });
    call.cancel();
    await refused(reply, grpc.status.CANCELLED);
  },

  async cancel_after_first_response() {
    const call = service.FullDuplexCall(limit());
    const responses = call[Symbol.asyncIterator]();
    call.write(ping(REQUEST_BYTES[0], RESPONSE_BYTES[0]));
    const { value } = await responses.next();
    assert.equal(value.payload.body.length, RESPONSE_BYTES[0]);
    call.cancel();
    await refused(responses.next(), grpc.status.CANCELLED);
  },

  async timeout_on_sleeping_server() {
    const call = service.FullDuplexCall(limit(1));
    call.write({ payload: zeros(REQUEST_BYTES[0]) });
    await refused(sizesOf(call), grpc.status.DEADLINE_EXCEEDED);
  },
};

// Calls a unary rpc; resolves to its response and the metadata seen, rejects with its error.
async function unary(client, method, request, metadata = new grpc.Metadata()) {
  let seen;
  const response = await new Promise((resolve, reject) => {
    const call = client[method](request, metadata, limit(), (error, value) =>
      error ? reject(error) : resolve(value),
    );
    seen = seenBy(call);
  });
  await seen.over;
  return { response, ...seen };
}

function seenBy(call) {
  const seen = {};
  call.on('metadata', (metadata) => (seen.initial = metadata));
  seen.over = new Promise((resolve) => {
    call.on('status', (status) => {
      seen.trailing = status.metadata;
      resolve();
    });
  });
  return seen;
}

function sendAll(client, sizes) {
  return new Promise((resolve, reject) => {
    const call = client.StreamingInputCall(limit(), (error, value) =>
      error ? reject(error) : resolve(value),
    );
    sizes.forEach((size) => call.write({ payload: zeros(size) }));
    call.end();
  });
}

async function sizesOf(call) {
  const sizes = [];
  for await (const response of call) sizes.push(response.payload.body.length);
  return sizes;
}

function echoed() {
  const metadata = new grpc.Metadata();
  metadata.set(...INITIAL);
  metadata.set(...TRAILING);
  return metadata;
}

function expectMetadata({ initial, trailing }) {
  assert.deepEqual(initial.get(INITIAL[0]), [INITIAL[1]]);
  assert.deepEqual(trailing.get(TRAILING[0]), [TRAILING[1]]);
}

function expectLarge({ response }) {
  assert.ok(response.payload.body.equals(Buffer.alloc(LARGE_RESPONSE_BYTES)));
}

function expectSum({ aggregated_payload_size: found }, sizes) {
  assert.equal(found, sizes.reduce((sum, size) => sum + size, 0));
}

async function refused(reply, code, details) {
  await assert.rejects(reply, (error) => {
    assert.equal(error.code, code, error.message);
    if (details !== undefined) assert.equal(error.details, details);
    return true;
  });
}

async function main() {
  for (const [name, run] of Object.entries(CASES)) {
    if (chosen.length > 0 && !chosen.includes(name)) continue;
    const error = await run().then(() => null, (failure) => failure.stack ?? String(failure));
    console.log(JSON.stringify({ case: name, error }));
  }
}

// The timers of deadlines would keep the process for as long as those are away.
main().then(() => process.exit());
