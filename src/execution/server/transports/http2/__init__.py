"""gRPC over HTTP/2 on the event loop itself, with ngh2 for the protocol.

`server.Http2Server` is used as a `grpc.aio.Server` is: whatever generated code
adds itself to one of those can be added to it. A connection is one asyncio
Protocol; what arrives in one tick is answered in one write.
"""
