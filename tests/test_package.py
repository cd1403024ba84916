"""The wheel holds what it should, and nothing else."""

import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("train", "export", "runtime", "benchmarks", "jetson")
DATA = {
    "jetson/boards.json",
    "jetson/bundle_install.sh",
    *(f"jetson/containers/{name}" for name in ("Dockerfile.jetpack6", "Dockerfile.jetpack7", "compose.yaml")),
    *(f"benchmarks/{name}.json" for name in ("networks", "roofline")),
    *(f"benchmarks/matrices/{name}.yaml" for name in ("cpu", "board", "rtx")),
    *(f"benchmarks/page/report.{suffix}" for suffix in ("html", "css", "js")),
    *(f"runtime/models/ecbsr_x{scale}{form}.onnx" for scale in (2, 3, 4) for form in ("", ".cpu")),
    *(f"runtime/sinks/web/page.{suffix}" for suffix in ("html", "css", "js")),
    *(f"runtime/sinks/web/{name}.js" for name in ("view", "bicubic", "chart")),
    *(f"{part}/py.typed" for part in PARTS),
}


@pytest.mark.skipif(find_spec("build") is None, reason="needs the package build, which the dev extra brings")
def test_wheel_holds_the_five_parts_and_their_data(tmp_path: Path) -> None:
    source = tmp_path / "source"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(source)], check=True)
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry_points = archive.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
    committed = subprocess.run(["git", "ls-files", *PARTS], cwd=source, capture_output=True, text=True, check=True)
    wanted = {name for name in committed.stdout.splitlines() if name.endswith(".py") or name in DATA}
    wanted |= {name for name in committed.stdout.splitlines() if name.startswith("train/recipes/")}
    found = {name.removeprefix("edgesr/") for name in names if not name.startswith("edgesr-")}
    assert found == wanted
    assert found >= DATA
    assert [line.split(" ")[0] for line in sorted(entry_points.splitlines()) if line.startswith("edgesr")] == [
        "edgesr-bench",
        "edgesr-export",
        "edgesr-jetson",
        "edgesr-run",
        "edgesr-train",
    ]


def test_every_part_is_typed_and_linked() -> None:
    for part in PARTS:
        assert (ROOT / part / "py.typed").is_file()
        link = ROOT / ".links" / "edgesr" / part
        assert link.is_symlink() and link.resolve() == ROOT / part
    assert not (ROOT / "edgesr").exists(), "a folder named edgesr would shadow the installed package"


def test_the_default_models_stay_small() -> None:
    models = list((ROOT / "runtime" / "models").glob("*.onnx"))
    assert sum(model.stat().st_size for model in models) < 1_000_000
