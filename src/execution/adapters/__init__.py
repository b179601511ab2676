"""The ports of the executor over real gRPC and real Redis."""
