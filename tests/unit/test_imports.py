"""`import execution` is the kernel: it pulls numpy and nothing else."""

import json
import subprocess
import sys

FOREIGN_MODULES = """
import json, sys

before = set(sys.modules)
import execution

new = {name.partition(".")[0] for name in set(sys.modules) - before}
# Modules without a file (of Cython's run time) come with the compiled module itself.
foreign = {
    name
    for name in new - set(sys.stdlib_module_names)
    if getattr(sys.modules[name], "__file__", None) is not None
}
service = [name for name in sys.modules if name.startswith("execution.")]
print(json.dumps([sorted(foreign), sorted(service)]))
"""


def test_import_execution_pulls_numpy_alone() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", FOREIGN_MODULES], check=True, capture_output=True, text=True
    )
    foreign, ours = json.loads(answer.stdout)
    assert foreign == ["execution", "numpy"]
    assert ours == ["execution._match"]
