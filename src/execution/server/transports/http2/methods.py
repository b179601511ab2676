"""From a path to what answers it, for whatever generated code adds."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import grpc

from execution.server.transports.call import PlainHandler, PlainStreamHandler
from execution.server.transports.http2.blocking import Threads

GENERIC_PATHS_MAX: Final = 4_096
"""Paths that are remembered for handlers which are asked by path."""

RpcHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


@dataclass(frozen=True, slots=True)
class Method:
    """One rpc, ready to be called."""

    path: str
    request_streaming: bool = False
    response_streaming: bool = False
    plain: PlainHandler | None = None
    """Where this or the next is set, nothing below is."""
    plain_stream: PlainStreamHandler | None = None
    handle: Callable[[Any, Any], Any] | None = None
    """A coroutine function, or an asynchronous generator where it streams replies."""
    yields: bool = False
    deserialize: Callable[[bytes], Any] | None = None
    serialize: Callable[[Any], bytes] | None = None


@dataclass(frozen=True, slots=True)
class _Details(grpc.HandlerCallDetails):
    """What a generic handler is asked with."""

    method: str
    invocation_metadata: tuple[()] = ()


class Methods:
    """Every rpc of a server; those of generic handlers are looked up once."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._known: dict[bytes, Method] = {}
        self._generic: list[Any] = []

    def add_generic(self, handlers: Iterable[Any]) -> None:
        """Adds handlers that are asked by path."""
        self._generic.extend(handlers)

    def add(self, service: str, handlers: Mapping[str, RpcHandler]) -> None:
        """Adds the rpcs of one service."""
        for name, handler in handlers.items():
            path = f"/{service}/{name}"
            self._known[path.encode()] = self._method(path, handler)

    def add_plain(self, service: str, handlers: Mapping[str, PlainHandler]) -> None:
        """Adds unary rpcs that need no task."""
        for name, handler in handlers.items():
            path = f"/{service}/{name}"
            self._known[path.encode()] = Method(path, plain=handler)

    def add_plain_streams(self, service: str, handlers: Mapping[str, PlainStreamHandler]) -> None:
        """Adds rpcs whose requests are answered one by one, without a task."""
        for name, handler in handlers.items():
            path = f"/{service}/{name}"
            self._known[path.encode()] = Method(path, True, True, plain_stream=handler)

    def of(self, path: bytes) -> Method | None:
        """The rpc, None where there is none."""
        method = self._known.get(path)
        if method is None and self._generic and path.isascii():
            text = path.decode()
            for generic in self._generic:
                handler = generic.service(_Details(text))
                if handler is not None:
                    method = self._method(text, handler)
                    # Some answer to any path, and a client can think of many.
                    if len(self._known) < GENERIC_PATHS_MAX:
                        self._known[path] = method
                    break
        return method

    def _method(self, path: str, handler: Any) -> Method:
        shape = (bool(handler.request_streaming), bool(handler.response_streaming))
        handle = getattr(handler, _SHAPES[shape])
        yields = inspect.isasyncgenfunction(handle)
        if not yields and not inspect.iscoroutinefunction(handle):
            handle = self._threads.run(handle, *shape)
            yields = shape[1]
        return Method(
            path,
            *shape,
            handle=handle,
            yields=yields,
            deserialize=handler.request_deserializer,
            serialize=handler.response_serializer,
        )


_SHAPES: Final = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}
