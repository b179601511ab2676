"""Writes tests/interop/v1 from tests/interop/proto: `python tests/interop/generate.py`."""

import sys
import sysconfig
from pathlib import Path
from typing import Final

from grpc_tools import protoc

FOLDER: Final = Path(__file__).resolve().parent
PROTO: Final = FOLDER / "proto"
SOURCE: Final = "interop/v1/testing.proto"


def generate(target: Path) -> None:
    """Runs protoc; the modules come to lie in `target`/interop/v1."""
    plugins = Path(sysconfig.get_path("scripts"))
    arguments = [
        "protoc",
        f"-I{PROTO}",
        f"--plugin=protoc-gen-mypy={plugins / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={plugins / 'protoc-gen-mypy_grpc'}",
        f"--python_out={target}",
        f"--grpc_python_out={target}",
        f"--mypy_out=quiet:{target}",
        f"--mypy_grpc_out=quiet:{target}",
        SOURCE,
    ]
    if protoc.main(arguments) != 0:
        sys.exit("protoc failed")


if __name__ == "__main__":
    generate(FOLDER.parent)
