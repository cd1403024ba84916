import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgesr.benchmarks.__main__ import run
from edgesr.benchmarks.plan import known_plans, plan_of, plan_of_file
from edgesr.benchmarks.roofline import Board, Layer, Plan, boards, estimate
from edgesr.jetson.known import known
from edgesr.runtime.command import command
from edgesr.runtime.errors import InputError

ROOT = Path(__file__).parents[2]
BOARD = Board("b", "a board", 8, 100, 10, "by hand", ())


def plan(*layers: Layer, scale: int = 1, peak: float = 1) -> Plan:
    return Plan("n", scale, layers, peak)


def test_the_longer_of_arithmetic_and_memory_counts_layer_by_layer() -> None:
    """A million pixels; 10 TFLOPS and 100 GB/s: 1 FLOP/pixel is 0.1 µs, 1 byte/pixel 10 µs."""
    busy = Layer(2, multiply_adds=50_000, elements=1, weights=0)  # 10 ms each by arithmetic, 0.02 ms by memory
    wide = Layer(1, multiply_adds=5, elements=500, weights=0)  # 0.001 ms, 10 ms
    found = estimate(plan(busy, wide), BOARD, 1000, 1000)
    ends = 0.06  # 3 bytes in, 3 out
    assert found.compute_ms == pytest.approx(20.001)
    assert found.memory_ms == pytest.approx(10.04 + ends)
    assert found.floor_ms == pytest.approx(30 + ends)
    assert found.expected_ms == (pytest.approx(found.floor_ms / 0.6), pytest.approx(found.floor_ms / 0.3))


@pytest.mark.parametrize(("fps", "verdict"), [(9, "likely"), (11, "perhaps"), (25, "unlikely"), (34, "no")])
def test_verdicts(fps: float, verdict: str) -> None:
    """30 ms at best, 50 to 100 ms expected."""
    found = estimate(plan(Layer(1, 149_700, 0, 0)), BOARD, 1000, 1000)
    assert found.floor_ms == pytest.approx(30)
    assert found.verdict(fps) == verdict


def test_what_does_not_fit_is_never_promised() -> None:
    found = estimate(plan(Layer(1, 1, 1, 0), peak=1000), BOARD, 1920, 1080)
    assert found.memory_mib == pytest.approx(1450 + 2 * 4 * 1000 * 1920 * 1080 / 2**20)
    assert (found.fits, found.verdict(1)) == ("no", "no")
    assert estimate(plan(Layer(1, 1, 1, 0)), BOARD, 64, 64).fits == "yes"


def test_boards_have_sources_and_are_the_modules_that_we_know() -> None:
    data = json.loads((ROOT / "benchmarks" / "roofline.json").read_text())
    for name, board in boards().items():
        entry = data["boards"][name]
        module = known().modules[entry["jetson_module"]]
        assert board.memory_gb in module.memory_gb and board.sources and board.how
        cores = next((count for count in (16, 32, 48, 56, 64) if f"{count} tensor cores x" in board.how), None)
        if cores:
            assert f"{cores} tensor cores" in module.gpu
            flops, mhz = board.how.split(" x ")[1:]
            reckoned = cores * float(flops.split()[0]) * float(mhz.split()[0]) / 1e6
            assert board.fp16_tflops == pytest.approx(reckoned, rel=0.01)


def test_a_file_says_what_its_network_says(tmp_path: Path) -> None:
    """The same layers, whether PyTorch counted them or the ONNX file; the file has no bicubic layers of its own."""
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from edgesr.export.onnx import export_onnx
    from edgesr.train.networks import seeded_network

    for name, share in (("imdn", 0.02), ("fsrcnn", 0.02)):
        path = export_onnx(seeded_network(name, 4), tmp_path / f"{name}.onnx", target="bare", trained=False).path
        ours, theirs = plan_of(name, 320, 180, None), plan_of_file(path, 320, 180)
        for figure in ("compute_ms", "memory_ms", "floor_ms"):
            values = [getattr(estimate(each, BOARD, 320, 180), figure) for each in (ours, theirs)]
            assert values[0] == pytest.approx(values[1], rel=share), (name, figure)
        assert ours.peak_elements == pytest.approx(theirs.peak_elements, rel=0.35), name


def test_the_table_has_not_drifted_from_the_networks() -> None:
    pytest.importorskip("torch")
    spec = importlib.util.spec_from_file_location("networks_plan", ROOT / "scripts" / "networks_plan.py")
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    from edgesr.train.networks import NETWORKS, build_network

    entries = {(each["name"], each["scale"]): each for each in json.loads(made.TABLE.read_text())["networks"]}
    assert {name for name, _ in entries if ":" not in name} == {
        name for name, kind in NETWORKS.items() if set(kind.scales) & set(made.SCALES)
    }
    for name, scale in (("ecbsr", 4), ("rdsrn", 4), ("fsrcnn:s", 2)):
        assert made.entry(name, build_network(name, scale)) == entries[name, scale], "make networks writes it anew"


def test_table_counts_as_the_page_of_networks_does() -> None:
    """docs/networks.md: RDSRN x4 makes 135.73 G multiply-adds for 1280x720."""
    layers = known_plans()["rdsrn", 4].layers
    assert sum(layer.count * layer.multiply_adds for layer in layers) * 320 * 180 == pytest.approx(135.73e9, rel=1e-4)


def plan_command(*arguments: str) -> int:
    return command(run, ["plan", "--board", "orin-nano-super", "--size", "320x180", *arguments])


def test_everything_is_marked_as_an_estimate(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan_command("--model", "rdsrn") == 0
    text = capsys.readouterr().out
    assert text.startswith("ESTIMATE, nothing was measured: rdsrn x4 at 320x180 on Jetson Orin Nano 8 GB")
    assert "networks x4, estimated" in text and "source: NVIDIA" in text and "measure on the board" in text
    assert plan_command("--model", "espcn", "--scale", "2", "--fps", "60", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert "nothing was measured" in found["estimate"]
    assert {each["scale"] for each in found["networks"]} == {2}
    floors = [each["floor_ms"] for each in found["networks"]]
    assert floors == sorted(floors) and found["model"]["verdict"] == "likely"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--board", "orin-nano-sup"], "did you mean orin-nano-super? Known: nano, "),
        (["--model", "rdsr"], "did you mean rdsrn?"),
        (["--model", "lapsrn", "--scale", "3"], "lapsrn is known at x2, x4"),
        (["--model", "none.onnx"], "none.onnx does not exist"),
        (["--model", "default", "--scale", "4"], "says its scale itself"),
        (["--fps", "0"], "fps is 0"),
        (["--size", "big"], "'big' is no size"),
    ],
)
def test_one_clear_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx")
    assert plan_command(*arguments) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_files_that_cannot_be_counted(make_model: Callable[..., Path], tmp_path: Path) -> None:
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(b"\x08junk")
    for path, words in (
        (junk, "cannot be read as ONNX"),
        (make_model("foreign", metadata=False), "was not written by edgesr-export"),
        (make_model("nearest"), "no convolution"),
        (make_model("fixed", size=(64, 32)), "exported for 32 x 64"),
    ):
        with pytest.raises(InputError, match=words):
            plan_of_file(path, 320, 180)
