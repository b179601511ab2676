"""How gRPC speaks HTTP/2, apart from who speaks it: shared by server and client."""
