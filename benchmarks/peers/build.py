"""Builds the C++ contender of the service into build/bench, where its libraries are there.

    python benchmarks/peers/build.py

prints the path of the program, or says what is missing (exit status 2). Built once: again
only when a source, a proto, the compiler, CXX or CXXFLAGS changes.
"""

import fcntl
import hashlib
import importlib.resources
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCES: Final = Path(__file__).with_name("cpp")
BUILT: Final = ROOT / "build" / "bench" / "cpp_peer"
PROTO: Final = ROOT / "proto" / "execution" / "v1" / "execution.proto"
SCRIPT: Final = ROOT / "src" / "execution" / "adapters" / "commit.lua"
GOOGLE_RPC: Final = ("status.proto", "error_details.proto")

_PACKAGES: Final = {
    "grpc++": "libgrpc++-dev",
    "protobuf": "libprotobuf-dev",
    "hiredis": "libhiredis-dev",
    "libcrypto": "libssl-dev",
}
_TOOLS: Final = {
    "pkg-config": "pkg-config",
    "protoc": "protobuf-compiler",
    "grpc_cpp_plugin": "protobuf-compiler-grpc",
}
_WARNINGS: Final = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion")


class MissingError(Exception):
    """Something that the build needs is not installed; the message says what."""


def build() -> Path:
    """The program, built if it is not yet. Raises `MissingError`."""
    compiler = _compiler()
    _require_packages()
    sources = sorted(SOURCES.glob("*.cc"))
    headers = sorted(SOURCES.glob("*.h"))
    protos = [PROTO, *_google_protos()]
    flags = ["-std=c++17", "-O2", "-DNDEBUG", f'-DCOMMIT_SCRIPT="{SCRIPT}"']
    flags += [*shlex.split(os.environ.get("CXXFLAGS", "")), *_pkg_config("--cflags")]
    version = _output(compiler, "--version") + _output("protoc", "--version")
    generated_key = _digest(shlex.join([compiler, *flags]), version, *protos)
    common = _digest(generated_key, *headers)
    BUILT.mkdir(parents=True, exist_ok=True)
    with _alone():
        program = BUILT / f"cpp_peer-{_digest(common, *sources)}"
        if program.exists():
            return program
        generated = _generate(protos, generated_key)
        compile_flags = [*flags, f"-I{generated}"]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            ours = pool.map(
                lambda it: _compile(it, common, [compiler, *compile_flags, *_WARNINGS]), sources
            )
            theirs = pool.map(
                lambda it: _compile(it, generated_key, [compiler, *compile_flags]),
                sorted(generated.rglob("*.cc")),
            )
            objects = [*ours, *theirs]
        unfinished = program.with_suffix(".part")
        link = [compiler, *flags, *map(str, objects), "-o", str(unfinished)]
        _run(*link, *_pkg_config("--libs"))
        unfinished.rename(program)
        _remove_others(program, objects, generated)
        return program


def _compiler() -> str:
    wanted = os.environ.get("CXX", "c++")
    if shutil.which(wanted) is None:
        raise MissingError(f"there is no C++ compiler {wanted} (Debian: g++)")
    return wanted


def _require_packages() -> None:
    missing = [package for tool, package in _TOOLS.items() if shutil.which(tool) is None]
    if shutil.which("pkg-config") is not None:
        missing += [
            package
            for library, package in _PACKAGES.items()
            if subprocess.run(["pkg-config", "--exists", library], check=False).returncode
        ]
    if missing:
        raise MissingError(f"not installed: {', '.join(missing)} (names of Debian's packages)")


def _google_protos() -> list[Path]:
    """As googleapis-common-protos ships them."""
    try:
        folder = importlib.resources.files("google.rpc")
    except ModuleNotFoundError as error:
        raise MissingError("not installed: googleapis-common-protos (of PyPI)") from error
    return [Path(str(folder / name)) for name in GOOGLE_RPC]


def _generate(protos: Sequence[Path], key: str) -> Path:
    generated = BUILT / f"generated-{key}"
    if generated.exists():
        return generated
    unfinished = BUILT / "generated.part"
    shutil.rmtree(unfinished, ignore_errors=True)
    google_rpc = unfinished / "google" / "rpc"
    google_rpc.mkdir(parents=True)
    for proto in protos[1:]:
        shutil.copy(proto, google_rpc)
    inputs = [str(PROTO.relative_to(ROOT / "proto")), *(f"google/rpc/{it}" for it in GOOGLE_RPC)]
    includes = (f"-I{ROOT / 'proto'}", f"-I{unfinished}")
    _run("protoc", *includes, f"--cpp_out={unfinished}", *inputs)
    plugin = f"--plugin=protoc-gen-grpc={shutil.which('grpc_cpp_plugin')}"
    _run("protoc", *includes, plugin, f"--grpc_out={unfinished}", inputs[0])
    unfinished.rename(generated)
    return generated


def _compile(source: Path, common: str, command: Sequence[str]) -> Path:
    built = BUILT / f"{source.stem}-{_digest(common, source)}.o"
    if not built.exists():
        unfinished = built.with_suffix(".part")
        _run(*command, "-c", str(source), "-o", str(unfinished))
        unfinished.rename(built)
    return built


def _remove_others(program: Path, objects: Sequence[Path], generated: Path) -> None:
    kept = {program, generated, *objects}
    for path in BUILT.iterdir():
        if path in kept or path.name == "lock":
            continue
        if path.is_dir():
            shutil.rmtree(path)
        elif not path.name.startswith("cpp_peer-"):
            # An older program may be running; it is small.
            path.unlink()


@contextmanager
def _alone() -> Iterator[None]:
    """One build at a time, of all processes."""
    with (BUILT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _pkg_config(what: str) -> list[str]:
    return shlex.split(_output("pkg-config", what, *_PACKAGES))


def _digest(*parts: str | Path) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part.read_bytes())
        digest.update(b"\0")
    return digest.hexdigest()[:12]


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode or done.stderr:
        print(done.stderr, file=sys.stderr)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command)


if __name__ == "__main__":
    try:
        print(build())
    except MissingError as missing:
        print(f"the C++ contender cannot be built: {missing}", file=sys.stderr)
        sys.exit(2)
