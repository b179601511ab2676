"""What a failed call carries, read as a client of any language would."""

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from execution.v1 import execution_pb2 as pb

if TYPE_CHECKING:
    from google.protobuf.message import Message

_Detail = TypeVar("_Detail", bound="Message")


async def refusal(call: Awaitable[Any]) -> grpc.aio.AioRpcError:
    """The error the call ends with; fails if it does not."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def bad_fields(error: grpc.aio.AioRpcError) -> set[str]:
    bad: Any = detail(error, error_details_pb2.BadRequest)
    return {violation.field for violation in bad.field_violations}


def reason(error: grpc.aio.AioRpcError) -> str:
    info: Any = detail(error, error_details_pb2.ErrorInfo)
    return str(info.reason)


def present_state(error: grpc.aio.AioRpcError) -> pb.ExecutionReport:
    return detail(error, pb.ExecutionReport)


def detail(error: grpc.aio.AioRpcError, kind: type[_Detail]) -> _Detail:
    """The detail of that kind; fails if there is none."""
    trailers: Any = error.trailing_metadata()
    status = status_pb2.Status.FromString(dict(trailers)["grpc-status-details-bin"])
    for packed in status.details:
        message = kind()
        if packed.Unpack(message):
            return message
    raise AssertionError(f"{kind.__name__} is not among the details of {error!r}")
