"""One request by nghttp, and the frames that came back."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from google.protobuf.message import Message

GRPC: Final = {":method": "POST", "te": "trailers", "content-type": "application/grpc"}
SERVICE: Final = "grpc.testing.TestService"
SECONDS_MAX: Final = 30
END_STREAM: Final = 0x01

_FIELD: Final = re.compile(r"recv \(stream_id=\d+\) (:?[^:]+): ?(.*)")
_FRAME: Final = re.compile(r"recv (\w+) frame <length=(\d+), flags=0x(\w+), stream_id=(\d+)>")


@dataclass
class Reply:
    """The header blocks of a reply, the bytes of DATA between, and whether it was ended."""

    blocks: list[dict[str, str]] = field(default_factory=list)
    data_bytes: int = 0
    ended_by: str = ""
    """The frame with END_STREAM; a reset gives none."""


def framed(message: Message, *, flag: int = 0, packed: bytes | None = None) -> bytes:
    """A message with its prefix; `packed` goes instead of its bytes."""
    data = message.SerializeToString() if packed is None else packed
    return bytes([flag]) + len(data).to_bytes(4, "big") + data


def request(
    address: str,
    method: str,
    body: bytes | None,
    folder: Path,
    headers: Mapping[str, str] = GRPC,
) -> Reply:
    """Sends one request and reads its reply to the end."""
    command = ["nghttp", "--null-out", "--verbose", "--no-dep"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    if body is not None:
        file = folder / "body"
        file.write_bytes(body)
        command += ["--data", str(file)]
    done = subprocess.run(
        [*command, f"http://{address}/{SERVICE}/{method}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )
    return parsed(done.stdout)


def parsed(log: str) -> Reply:
    """The reply, from the log of nghttp."""
    reply, block = Reply(), dict[str, str]()
    for line in log.splitlines():
        if found := _FIELD.search(line):
            block[found[1]] = found[2]
        elif (found := _FRAME.search(line)) and found[4] != "0":
            kind, length, flags = found[1], int(found[2]), int(found[3], 16)
            if kind == "HEADERS":
                reply.blocks.append(block)
                block = {}
            if kind == "DATA":
                reply.data_bytes += length
            if kind in {"HEADERS", "DATA"} and flags & END_STREAM:
                reply.ended_by = kind
    return reply
