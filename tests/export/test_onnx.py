"""From a network to a file that any ONNX Runtime of a board reads, and that equals PyTorch."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="this half of the export starts from PyTorch")

import onnx
from tests.small import SMALL, picturing

from edgesr.export.onnx import export_onnx
from edgesr.export.verify import check_parity, frames_for_checks, reference
from edgesr.runtime.backends import open_backend
from edgesr.runtime.backends.bicubic import BicubicBackend
from edgesr.runtime.errors import InputError, ParityFailed
from edgesr.runtime.spec import ModelSpec
from edgesr.train.networks import NETWORKS, Network, seeded_network

ROOT = Path(__file__).parent.parent.parent
BOARD_PYTHON = ROOT / ".venv310" / "bin" / "python"
READER = """
import sys, numpy, onnxruntime
for path in map(str.strip, sys.stdin):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (end,) = session.get_inputs()
    shape = [side if isinstance(side, int) else 36 for side in end.shape]
    (out,) = session.run(None, {end.name: numpy.zeros(shape, numpy.float32 if end.name == "low" else numpy.uint8)})
    print(*sys.version_info[:2], *shape, *out.shape, flush=True)
"""
EVERY = [(name, scale) for name, kind in NETWORKS.items() for scale in kind.scales]
ONCE = [(name, kind.scales[i % len(kind.scales)]) for i, (name, kind) in enumerate(NETWORKS.items())]
"""Every network, and in turn every scale."""


@pytest.fixture(scope="session")
def read_by_a_board() -> Iterator[Callable[[Path], list[int]] | None]:
    """Runs a file in the ONNX Runtime of a board's Python: the shapes of its input and its output. None where there is no such
    Python."""
    if not BOARD_PYTHON.is_file():
        yield None
        return
    command = [str(BOARD_PYTHON), "-c", READER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        told, answers = process.stdin, process.stdout

        def read(path: Path) -> list[int]:
            print(path, file=told, flush=True)
            answer = [int(word) for word in answers.readline().split()]
            assert answer[:2] == [3, 10], f"{path.name} was not read"
            return answer[2:]

        yield read
        told.close()


@pytest.mark.parametrize(
    ("name", "scale"), [pytest.param(*one, marks=() if one in ONCE else pytest.mark.slow) for one in EVERY]
)
def test_both_forms_equal_pytorch_and_each_other(
    tmp_path: Path, name: str, scale: int, read_by_a_board: Callable[[Path], list[int]] | None
) -> None:
    network = picturing(seeded_network(name, scale, SMALL.get(name)))
    least, step = network.min_size, network.size_multiple
    one = network.fixed_size
    odd = (one, one) if one else (max(37, least) // step * step, max(29, least) // step * step)
    (frame,) = frames_for_checks([odd])
    outputs = []
    for target, size in (("portable", None), ("cpu", None), ("portable", odd)):
        path = tmp_path / f"{target}.{size}.onnx"
        done = export_onnx(
            network, path, target=target, size=size, trained=False
        )  # checks parity at two sizes, or at this one
        assert len({(parity.width, parity.height) for parity in done.parity}) == (1 if size or one else 2)
        assert all(parity.difference <= 1 and parity.psnr_db >= 60 for parity in done.parity)
        with open_backend(path) as backend:
            outputs.append(backend.infer(frame).copy())
        if read_by_a_board:
            _, height, width, _, *out = read_by_a_board(path)
            assert out == [1, height * scale, width * scale, 3]
    inside = (outputs[0] > 0) & (outputs[0] < 255)
    assert inside.mean() >= 0.9, "where both saturate, any two networks are equal"
    assert np.array_equal(outputs[0], outputs[1])
    assert np.abs(outputs[0].astype(int) - outputs[2]).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize(("name", "scale"), [("edsr:full", 4), ("rcan", 4), ("glean", 16)])
def test_the_largest_equal_pytorch_at_full_size(tmp_path: Path, name: str, scale: int) -> None:
    done = export_onnx(picturing(seeded_network(name, scale)), tmp_path / "a.onnx", trained=False)
    assert all(parity.difference <= 1 and parity.psnr_db >= 60 for parity in done.parity)


@pytest.mark.parametrize("target", ["portable", "cpu", "bare"])
@pytest.mark.parametrize("size", [None, (40, 24)])
def test_file_has_opset_17_ir_8_and_tells_what_it_is(tmp_path: Path, target: str, size: tuple[int, int] | None) -> None:
    path = tmp_path / "a.onnx"
    export_onnx(seeded_network("ecbsr", 4), path, target=target, size=size, trained=False)
    model = onnx.load(path)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)] and model.ir_version == 8
    entries = {entry.key: entry.value for entry in model.metadata_props}
    spec = ModelSpec.from_json(entries["edgesr.spec"])
    assert (spec.name, spec.scale, spec.trained) == ("ecbsr", 4, False) and entries["edgesr.form"] == target
    assert float(entries["edgesr.memory_bytes_per_pixel"]) > 16 * 4
    dims = [d.dim_value or d.dim_param for d in model.graph.input[0].type.tensor_type.shape.dim]
    width, height = size or ("width", "height")
    assert dims == ([1, 1, height, width] if target == "bare" else [1, height, width, 3])


@pytest.mark.parametrize("name", ["rdsrn", "ecbsr"])
def test_the_onnx_runtime_of_a_boards_python_reads_bare_graphs(
    tmp_path: Path, name: str, read_by_a_board: Callable[[Path], list[int]] | None
) -> None:
    if read_by_a_board is None:
        pytest.skip("no .venv310, which `make test` makes where it finds a Python 3.10: no file is read by it")
    network = seeded_network(name, 4, SMALL.get(name))
    path = export_onnx(network, tmp_path / "a.onnx", target="bare", trained=False).path
    batch, channels, *_, height, width = read_by_a_board(path)
    assert (batch, channels, height, width) == (1, 3 if network.colour == "rgb" else 1, 144, 144)


def test_weights_are_stored_once_however_often_the_block_recurs(tmp_path: Path) -> None:
    sizes = []
    for recursions in (1, 3):
        network = seeded_network("rdsrn", 2, {"features": 32, "recursions": recursions})
        sizes.append(export_onnx(network, tmp_path / f"{recursions}.onnx", trained=False).path.stat().st_size)
    assert sizes[1] < sizes[0] * 1.2


def test_a_fixed_size_takes_no_other_frame(tmp_path: Path) -> None:
    path = export_onnx(seeded_network("ecbsr", 2), tmp_path / "a.onnx", size=(40, 24), trained=False).path
    with open_backend(path) as backend, pytest.raises(InputError, match="40x24 only"):
        backend.infer(np.zeros((24, 41, 3), np.uint8))


class Liar(BicubicBackend):
    """Claims to be the network, and is bicubic."""


def test_a_difference_is_refused_and_its_spread_told() -> None:
    network, frames = seeded_network("ecbsr", 4), frames_for_checks([(24, 16)])
    with pytest.raises(ParityFailed, match=r"differs from PyTorch by up to \d+ code values.*nothing was written"):
        check_parity(network, Liar(4), frames)


def test_nothing_is_written_when_parity_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Biased(Network):
        name, scales, colour = "ecbsr", (2,), "rgb"

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            bias = 0.0 if torch.onnx.is_in_onnx_export() else 0.02  # the file computes something else than PyTorch
            return x.repeat_interleave(2, 2).repeat_interleave(2, 3) + bias

    with pytest.raises(ParityFailed):
        export_onnx(Biased(2), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_reference_rounds_and_saturates() -> None:
    class Bright(torch.nn.Module):
        scale, colour = 1, "rgb"

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 4 - 1

    frame = np.array([[[0, 100, 128]]], np.uint8)
    assert reference(Bright(), frame).tolist() == [[[0, 145, 255]]]


def test_checks_can_use_the_users_own_images(tmp_path: Path) -> None:
    from edgesr.runtime.images import write_image

    write_image(tmp_path / "a.png", np.full((30, 50, 3), 9, np.uint8))
    assert frames_for_checks([(20, 10)], tmp_path)[0].shape == (10, 20, 3)
    with pytest.raises(ParityFailed, match="60x10 or larger"):
        frames_for_checks([(60, 10)], tmp_path)


def test_published_rdsrn_exports_with_its_learnt_scales(shared: Path, tmp_path: Path) -> None:
    from edgesr.train.published import network_from_published

    network = network_from_published(shared / "weights" / "rdsrn" / "x4.pth", "rdsrn", 4)
    done = export_onnx(network, tmp_path / "rdsrn_x4.onnx")
    assert done.spec.trained and max(parity.difference for parity in done.parity) <= 1
    assert json.loads(done.spec.to_json())["parameters"] == 682_500
