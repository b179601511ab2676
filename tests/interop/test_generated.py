"""The committed code of the test service is what its proto gives."""

from pathlib import Path

from interop.generate import FOLDER, generate


def test_the_generated_code_is_fresh(tmp_path: Path) -> None:
    generate(tmp_path)
    fresh = {file.name: file.read_text() for file in (tmp_path / "interop/v1").iterdir()}
    committed = {file.name: file.read_text() for file in (FOLDER / "v1").glob("*.py*")}
    assert fresh == committed
