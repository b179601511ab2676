"""What can go wrong with the embedded Redis; each message says what to do."""

from execution.errors import StartupError


class EmbeddedRedisError(StartupError):
    """The embedded Redis cannot run."""


class RedisServerMissingError(EmbeddedRedisError):
    """No server binary that fits is on this machine."""


class DataDirInUseError(EmbeddedRedisError):
    """Another process holds the data dir and its server cannot be shared."""
