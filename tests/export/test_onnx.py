"""From a network to a file that any ONNX Runtime of a board reads, and that equals PyTorch."""

import json
import subprocess
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
OURS = ("rdsrn", "ecbsr")
EVERY = [(name, scale) for name, kind in NETWORKS.items() for scale in kind.scales]


@pytest.mark.parametrize(("name", "scale"), EVERY)
def test_both_forms_equal_pytorch_and_each_other(tmp_path: Path, name: str, scale: int) -> None:
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


def test_the_onnx_runtime_of_a_boards_python_reads_every_network(tmp_path: Path) -> None:
    python = ROOT / ".venv310" / "bin" / "python"
    if not python.is_file():
        pytest.skip("no .venv310, which `make test` makes where it finds a Python 3.10")
    for name in NETWORKS:
        for target in ("portable", "cpu", "bare") if name in OURS else ("portable",):
            network = seeded_network(name, max(s for s in NETWORKS[name].scales if s <= 8), SMALL.get(name))
            export_onnx(network, tmp_path / f"{name}.{target}.onnx", target=target, trained=False)
    code = (
        "import sys, numpy, onnxruntime\n"
        "print(sys.version_info[:2], onnxruntime.__version__)\n"
        "for path in sys.argv[1:]:\n"
        "    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])\n"
        "    (end,) = session.get_inputs()\n"
        "    bare = end.name == 'low'\n"
        "    sides = [s if isinstance(s, int) else 36 for s in (end.shape[2:] if bare else end.shape[1:3])]\n"
        "    shape = [1, end.shape[1], *sides] if bare else [1, *sides, 3]\n"
        "    (out,) = session.run(None, {end.name: numpy.zeros(shape, numpy.float32 if bare else numpy.uint8)})\n"
        "    assert out.shape[2 if bare else 1] in (64, 144, 288), out.shape\n"
    )
    paths = sorted(str(path) for path in tmp_path.glob("*.onnx"))
    assert len(paths) == len(NETWORKS) + 2 * len(OURS)
    done = subprocess.run([str(python), "-c", code, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(3, 10)")


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
