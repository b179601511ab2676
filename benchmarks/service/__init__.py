"""The service measured from outside: load generators, echo servers, what stands beside it."""
