"""Types of a call of our HTTP/2 server; `python -m mypy.stubtest execution._call` proves them."""

import asyncio
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Final, Protocol, Self, final, type_check_only

import ngh2
from typing_extensions import disjoint_base

from execution.http2.wire import Deframer, Headers
from execution.server.admission import Call as Admitted
from execution.server.transports.call import PlainCall
from execution.server.transports.http2.call import Call, Link
from execution.server.transports.http2.library import Http2
from execution.server.transports.http2.request import Read, Request

BEGIN: Final[Headers]
OK_TRAILERS: Final[Headers]

def know_ngh2(module: ModuleType) -> None: ...
def find_nghttp2(address: Callable[[str], int | None]) -> bool: ...
def same_headers(one: Headers, other: Headers, but: int = -1) -> bool: ...

@final
class ServerConnection:
    def __new__(cls, config: ngh2.Configuration) -> Self: ...
    def initiate_connection(self, settings: Mapping[int, int]) -> None: ...
    def receive_data(self, data: bytes) -> None: ...
    def events(self) -> list[ngh2.Event]: ...
    def data_to_send(self, amount: int | None = None) -> bytes: ...
    def send_response(
        self, stream_id: int, headers: Headers, *, end_stream: bool = False
    ) -> None: ...
    def send_data(self, stream_id: int, data: bytes, *, end_stream: bool = False) -> None: ...
    def send_trailers(self, stream_id: int, headers: Headers) -> None: ...
    def reset_stream(self, stream_id: int, error_code: int) -> None: ...
    def ping(self, opaque_data: bytes = ...) -> None: ...
    def send_shutdown_notice(self) -> None: ...
    def send_goaway(self, error_code: int = 0) -> None: ...
    def acknowledge_received_data(self, amount: int, stream_id: int) -> None: ...
    def set_local_window_size(self, window_size: int) -> None: ...
    def queued_body_size(self, stream_id: int | None = None) -> int: ...
    @property
    def remote_window_size(self) -> int: ...
    def stream_remote_window_size(self, stream_id: int) -> int: ...

@disjoint_base
class CallCounts:
    started: int
    answered: list[float]

@disjoint_base
class Counted:
    metrics: CallCounts | None
    since: float
    def count_in(self, metrics: CallCounts) -> None: ...
    def count_out(self, code: int) -> None: ...

@final
class Door:
    closed: bool

@final
class Entrance:
    def __new__(
        cls,
        metrics: CallCounts,
        answer: Callable[[bytes, Admitted, PlainCall], None],
        anybody: Admitted | None,
        anybody_until: Callable[[int], Admitted],
        now_ns: Callable[[], int],
        known: Callable[[PlainCall], Admitted],
        door: Door,
        refuse: Callable[[], object],
    ) -> Self: ...
    def __call__(self, message: bytes, plain: PlainCall, /) -> None: ...

def on_clock(deadline: float, now_ns: Callable[[], int]) -> int: ...
def timeout_of(value: bytes) -> float | None: ...

@type_check_only
class Expiring(Protocol):
    """A call, as far as its deadline goes."""

    over: bool
    def expire(self) -> None: ...

@final
class Deadlines:
    def __new__(cls, loop: asyncio.AbstractEventLoop) -> Self: ...
    def add(self, call: Expiring, seconds: float) -> float: ...
    def close(self) -> None: ...
    def __len__(self) -> int: ...

@disjoint_base
class Exchange(Counted):
    request: Request
    deadline: float | None
    gone: Callable[[], object] | None
    stream_id: int
    over: bool
    half_closed: bool
    _link: Link
    _deframer: Deframer | None
    _begun: bool
    _held: int
    def open(
        self, link: Link, stream_id: int, request: Request, timeout_seconds: float | None
    ) -> None: ...
    def received(self, data: bytes, end_stream: bool) -> None: ...
    def _handle(self, message: bytes) -> None: ...
    def reply(self, message: bytes) -> None: ...

@disjoint_base
class Conversation:
    calls: dict[int, Call]
    unfinished: set[int]
    last_stream_id: int
    h2: Http2
    _read: Read
    _read_headers: Headers
    _timeout: float | None
    _kind: type[Call] | None
    _timeout_at: int
    _unsent_max: int
    def act_on_events(self, link: Link) -> None: ...
