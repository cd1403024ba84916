"""Who may import whom, and what must work without torch."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_USE: dict[str, set[str]] = {
    "runtime": set(),
    "jetson": set(),
    "train": {"runtime"},
    "export": {"train", "runtime"},
    "benchmarks": {"runtime", "jetson"},
}
NEEDS_TORCH = {"export.graph", "export.onnx", "export.program", "export.program_file", "export.verify"}
"""The half of export that starts from PyTorch; the other half runs on the board."""


def imported_names(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are by full name"
            found.add(node.module or "")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("edgesr."):
            found.add(node.value.partition(":")[0])  # the tables name their members by string
    return found


def modules(part: str) -> list[str]:
    files = sorted((ROOT / part).rglob("*.py"))
    names = [file.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for file in files]
    return [name.removesuffix(".__init__") for name in names]


@pytest.mark.parametrize("part", MAY_USE)
def test_imports_only_what_it_may(part: str) -> None:
    allowed = MAY_USE[part] | {part}
    for file in (ROOT / part).rglob("*.py"):
        used = {name.split(".")[1] for name in imported_names(file) if name.startswith("edgesr.")}
        assert used & set(MAY_USE) <= allowed, f"{file.relative_to(ROOT)} imports {used & set(MAY_USE) - allowed}"


def test_the_guard_sees_an_upward_import(tmp_path: Path) -> None:
    planted = tmp_path / "oops.py"
    planted.write_text('import edgesr.train.fit\nTABLE = {"x": "edgesr.export.onnx:run"}\n')
    assert imported_names(planted) == {"edgesr.train.fit", "edgesr.export.onnx"}


@pytest.mark.parametrize("part", ["runtime", "jetson", "benchmarks", "export"])
def test_imports_without_torch(part: str) -> None:
    names = [f"edgesr.{name}" for name in modules(part) if name not in NEEDS_TORCH]
    assert len(names) > 3
    code = f"import sys, importlib\nsys.modules['torch'] = None\nfor name in {names}: importlib.import_module(name)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".links")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_torch_really_is_needed_where_it_is_said_to_be() -> None:
    for name in NEEDS_TORCH:
        used = imported_names(ROOT / (name.replace(".", "/") + ".py"))
        assert any(n == "torch" or n.startswith("edgesr.train") for n in used)
