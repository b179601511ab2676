"""Fixtures that every test may name."""

pytest_plugins = ["redis_server", "world", "recorded_history"]
