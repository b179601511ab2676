"""The gRPC service: messages to model and back, transports, wiring."""
