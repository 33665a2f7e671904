"""ONNX Runtime must not phone home: no file written, no thread started."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import json, os, sys
import numpy
before = len(os.listdir("/proc/self/task"))
if sys.argv[1] == "models":
    from models.bundle import builtin_bundle, load_bundle
    from models.policy import OnnxPolicy
    policy = OnnxPolicy(load_bundle(builtin_bundle()))
    answered = policy.propose((0.0,) * 30, policy.cold)[0] is not None
else:
    import onnxruntime
    answered = True
threads = len(os.listdir("/proc/self/task")) - before
print(json.dumps({"threads": threads, "answered": answered}))
"""


def run(home: Path, what: str) -> tuple[int, list[str]]:
    """Extra threads and files in the home folder after a child has done `what`."""
    home.mkdir()
    # little is kept: the runtime stays silent by itself where CI is set
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LD_LIBRARY_PATH", "LANG")}
    root = str(Path(__file__).parents[2])
    environment = kept | {
        "HOME": str(home),
        "PYTHONPATH": root,
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    child = subprocess.run(
        [sys.executable, "-c", CHILD, what],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        check=True,
    )
    result = json.loads(child.stdout)
    assert result["answered"]
    return result["threads"], sorted(str(p) for p in home.rglob("*") if p.is_file())


def test_an_inference_starts_no_thread_and_writes_nothing(tmp_path: Path) -> None:
    assert run(tmp_path / "with", "models") == (0, [])


def test_the_runtime_alone_would(tmp_path: Path) -> None:
    threads, files = run(tmp_path / "without", "onnxruntime")
    if not threads and not files:
        pytest.skip("this wheel carries no telemetry")
    assert threads or files


def test_one_module_imports_the_runtime() -> None:
    root = Path(__file__).parents[2]
    packages = ("core", "safety", "models", "drivers", "plant", "daemon")
    sources = (source for package in packages for source in (root / package).rglob("*.py"))
    importers = [s for s in sources if re.search(r"^\s*(import|from) onnxruntime", s.read_text(), re.M)]
    assert [str(s.relative_to(root)) for s in importers] == ["models/inference.py"]
