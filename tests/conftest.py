"""Fixtures that every test may name."""

import signal

pytest_plugins = ["redis_server", "world", "recorded_history"]

# A shell lets what it starts in the background ignore SIGINT, and so would all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
