"""The client programs: how each is built, once for all that want it, and run."""

import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

FOLDER: Final = Path(__file__).resolve().parent
ROOT: Final = FOLDER.parents[1]
BUILD: Final = ROOT / "build" / "interop"
PROTO: Final = "interop/v1/testing.proto"
RUN_SECONDS_MAX: Final = 100
BUILD_SECONDS_MAX: Final = 240
ENVIRONMENT: Final = {**os.environ, "PYTHONPATH": str(FOLDER.parent)}

NODE: Final = FOLDER / "clients" / "node"
CPP: Final = FOLDER / "clients" / "cpp" / "client.cc"
CPP_FLAGS: Final = ("-std=c++17", "-O0", "-Wall", "-Wextra")
OFFLINE: Final = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT")


@dataclass(frozen=True)
class Served:
    """Where a server is, and the certificate by which clients know it."""

    address: str
    certificate: Path | None


@dataclass(frozen=True)
class Outcome:
    """What a client program said of its cases, and how it ended."""

    errors: dict[str, str | None]
    end: str


def run(client: str, server: Served) -> Outcome:
    """Runs every case of a client."""
    command = CLIENTS[client]()
    environment = ENVIRONMENT
    if server.certificate is not None:
        environment = {**ENVIRONMENT, "INTEROP_CA": str(server.certificate)}
    try:
        done = subprocess.run(
            [*command, server.address],
            check=False,
            capture_output=True,
            text=True,
            env=environment,
            timeout=RUN_SECONDS_MAX,
        )
    except subprocess.TimeoutExpired as error:
        said = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
        return Outcome(errors_of(said), f"not done in {RUN_SECONDS_MAX} s")
    return Outcome(errors_of(done.stdout), f"status {done.returncode}\n{done.stderr}")


def errors_of(lines: str) -> dict[str, str | None]:
    results = [json.loads(line) for line in lines.rpartition("\n")[0].splitlines()]
    return {result["case"]: result["error"] for result in results}


def python_program(name: str, needs: str) -> list[str]:
    if importlib.util.find_spec(needs) is None:
        pytest.skip(f"{needs} is not installed: pip install -e '.[dev]'")
    return [sys.executable, "-m", f"interop.clients.{name}"]


def node_program() -> list[str]:
    need("node", "nodejs")
    need("npm", "npm")
    lock = NODE / "package-lock.json"
    installed = built("node", (NODE / "package.json", lock), install_packages)
    modules = installed / "node_modules"
    proto = str(FOLDER / "proto" / PROTO)
    return ["env", f"NODE_PATH={modules}", "node", str(NODE / "client.cjs"), proto]


def cpp_program() -> list[str]:
    need("g++", "g++")
    need("protoc", "protobuf-compiler")
    need("grpc_cpp_plugin", "protobuf-compiler-grpc")
    need("pkg-config", "pkg-config")
    if subprocess.run(["pkg-config", "--exists", "grpc++"], check=False).returncode != 0:
        pytest.skip("grpc++ is missing: apt-get install libgrpc++-dev")
    return [str(built("cpp", (CPP, FOLDER / "proto" / PROTO), compile_client) / "client")]


CLIENTS: Final[dict[str, Callable[[], list[str]]]] = {
    "grpcio_sync": lambda: python_program("grpcio_sync", "grpc"),
    "grpcio_aio": lambda: python_program("grpcio_aio", "grpc"),
    "grpclib": lambda: python_program("grpclib_client", "grpclib"),
    "grpc_js": node_program,
    "grpc_cpp": cpp_program,
}


def need(tool: str, package: str) -> None:
    """Skips the test where there is no such tool."""
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is missing: apt-get install {package}")


def built(name: str, sources: Sequence[Path], build: Callable[[Path], None]) -> Path:
    """The folder that `build` has filled from the sources; builds it anew where they changed."""
    content = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()
    folder = BUILD / f"{name}-{content[:16]}"
    with locked(BUILD / f"{name}.lock"):
        if not folder.exists():
            for stale in BUILD.glob(f"{name}-*"):
                shutil.rmtree(stale)
            unfinished = BUILD / f"{name}-unfinished"
            unfinished.mkdir()
            build(unfinished)
            unfinished.rename(folder)
    return folder


def install_packages(folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(NODE / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        checked(command, folder)
    except AssertionError as error:
        if OFFLINE.search(str(error)):
            pytest.skip(f"npm cannot reach its registry: {error}")
        raise


def compile_client(folder: Path) -> None:
    plugin = f"--plugin=protoc-gen-grpc={shutil.which('grpc_cpp_plugin')}"
    checked(
        ["protoc", f"-I{FOLDER / 'proto'}", "--cpp_out=.", "--grpc_out=.", plugin, PROTO], folder
    )
    flags = shlex.split(checked(["pkg-config", "--cflags", "grpc++", "protobuf"], folder))
    libraries = shlex.split(checked(["pkg-config", "--libs", "grpc++", "protobuf"], folder))
    sources = [str(CPP), "interop/v1/testing.pb.cc", "interop/v1/testing.grpc.pb.cc"]
    compiler = ["g++", *CPP_FLAGS, "-I.", *flags, *sources, "-o", "client"]
    checked([*compiler, "-Wl,--as-needed", *libraries], folder)


def checked(command: list[str], folder: Path) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=BUILD_SECONDS_MAX,
    )
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
