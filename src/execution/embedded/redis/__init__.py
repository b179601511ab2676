"""A real Redis of our own: started, shared, kept alive, never left behind."""

from execution.embedded.redis.errors import (
    DataDirInUseError,
    EmbeddedRedisError,
    RedisServerMissingError,
)
from execution.embedded.redis.supervisor import EmbeddedRedis, EmbeddedRedisConfig

__all__ = [
    "DataDirInUseError",
    "EmbeddedRedis",
    "EmbeddedRedisConfig",
    "EmbeddedRedisError",
    "RedisServerMissingError",
]
