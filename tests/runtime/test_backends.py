"""One contract for every backend, and what a file must be to be run."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from edgesr.runtime import memory
from edgesr.runtime.backends import BACKENDS, DEFAULT_MODEL, DEFAULT_MODELS, Backend, open_backend
from edgesr.runtime.card import Profile
from edgesr.runtime.errors import ForeignModel, FrameTooLarge, InputError, MissingFile
from edgesr.runtime.resize import upscale

ON_CPU = [name for name in BACKENDS if name != "tensorrt"]
MOST = Profile((1, 1), (40, 30), (64, 64))


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[str], Backend]]:
    """Opens a backend of the table; TensorRT's on a machine that is played."""
    with ExitStack() as stack:

        def open_named(name: str) -> Backend:
            if name != "tensorrt":
                return open_backend({"onnxruntime": DEFAULT_MODEL, "bicubic": "bicubic"}[name], threads=1)
            pytest.importorskip("onnx", reason="the played machine needs onnx")
            from tests.nvidia.engines import install
            from tests.nvidia.machine import machine

            return open_backend(install(tmp_path, stack.enter_context(machine("10.3.0")), profiles=(MOST,)))

        yield open_named


@pytest.mark.parametrize("name", BACKENDS)
def test_frames_of_any_size_come_back_scaled(name: str, opened: Callable[[str], Backend]) -> None:
    rng = np.random.default_rng(0)
    with opened(name) as backend:
        scale = backend.spec.scale
        for height, width in ((1, 1), (5, 9), (40, 30), (5, 9)):
            frame = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
            before = frame.copy()
            out = backend.infer(frame)
            assert out.shape == (height * scale, width * scale, 3) and out.dtype == np.uint8
            assert np.array_equal(frame, before), "the frame belongs to the caller"
            assert backend.network_ns > 0
            again = out.copy()
            assert np.array_equal(backend.infer(frame), again), "the same frame gives the same bytes"
            del out  # pinned memory goes back with its last array


@pytest.mark.parametrize("name", BACKENDS)
def test_frames_it_cannot_take_are_refused(name: str, opened: Callable[[str], Backend]) -> None:
    with opened(name) as backend:
        for frame in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)):
            with pytest.raises(InputError, match=r"expected uint8 \(height, width, 3\)"):
                backend.infer(frame)


@pytest.mark.parametrize("name", ON_CPU)  # an engine takes its memory when it is opened
def test_a_frame_that_would_not_fit_is_refused_beforehand(
    name: str, opened: Callable[[str], Backend], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 50_000)
    with opened(name) as backend, pytest.raises(FrameTooLarge, match=r"300x200 .* needs about"):
        backend.infer(np.zeros((200, 300, 3), np.uint8))


@pytest.mark.parametrize("name", BACKENDS)
def test_closing_twice_does_nothing(name: str, opened: Callable[[str], Backend]) -> None:
    backend = opened(name)
    backend.close()
    backend.close()


@pytest.mark.parametrize("scale", DEFAULT_MODELS)
def test_the_shipped_network_beats_bicubic_on_photographs(scale: int) -> None:
    data = pytest.importorskip("skimage.data")
    from edgesr.runtime.quality import RULER, psnr
    from edgesr.runtime.resize import downscale

    with open_backend(f"default:{scale}") as backend:
        assert backend.spec.trained and backend.spec.scale == scale
        for picture in (data.astronaut(), data.coffee(), data.chelsea()):
            truth = np.ascontiguousarray(picture[:200, :300, ::-1])
            truth = truth[: 200 // scale * scale, : 300 // scale * scale]
            low = np.asarray(downscale(truth, scale), np.uint8)
            network, bicubic = (
                psnr(RULER.luma(pixels), RULER.luma(truth), border=scale)
                for pixels in (backend.infer(low), upscale(low, scale))
            )
            assert network > bicubic + 0.5


@pytest.mark.parametrize("scale", DEFAULT_MODELS)
def test_both_shipped_forms_give_the_same_bytes(scale: int) -> None:
    portable = DEFAULT_MODELS[scale].with_name(f"ecbsr_x{scale}.onnx")
    frame = np.random.default_rng(1).integers(0, 256, (45, 61, 3), dtype=np.uint8)
    with open_backend(f"default:{scale}") as a, open_backend(portable) as b:
        assert (a.settings["form"], b.settings["form"]) == ("cpu", "portable") and a.spec == b.spec
        assert a.spec.scale == scale
        assert np.array_equal(a.infer(frame), b.infer(frame))


def test_shipped_network_reaches_the_promised_quality_on_set5(shared: Path) -> None:
    from edgesr.runtime.images import read_image
    from edgesr.runtime.quality import RULER, crop_to_multiple, psnr
    from edgesr.runtime.resize import downscale

    scores = []
    with open_backend() as backend:
        for file in sorted((shared / "data" / "Set5").glob("*.png")):
            high = np.asarray(crop_to_multiple(read_image(file)[0], 4), np.uint8)
            out = backend.infer(np.asarray(downscale(high, 4), np.uint8))
            scores.append(psnr(RULER.luma(out), RULER.luma(high), border=4))
    assert np.mean(scores) >= 30.7, scores


@pytest.mark.parametrize("model", ["bicubic:5", "bicubic:x", "model.engine", "model", ""])
def test_what_is_no_model_is_refused(model: str) -> None:
    with pytest.raises(InputError, match="expected"):
        open_backend(model)


def test_bicubic_is_the_rulers() -> None:
    frame = np.random.default_rng(2).integers(0, 256, (9, 8, 3), dtype=np.uint8)
    assert np.array_equal(open_backend("bicubic:3").infer(frame), upscale(frame, 3))


def test_files_that_are_not_ours_are_refused_in_one_line(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="makes the foreign files")
    with pytest.raises(MissingFile):
        open_backend(tmp_path / "nowhere.onnx")
    noise = tmp_path / "noise.onnx"
    noise.write_bytes(b"no model")
    model = onnx.load(DEFAULT_MODEL)
    entries = {entry.key: entry.value for entry in model.metadata_props}
    cases = {"no ONNX": noise}
    for name, change in {
        "foreign": {},
        "bare": {**entries, "edgesr.form": "bare"},
        "damaged": {**entries, "edgesr.spec": "{}"},
    }.items():
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, change)
        cases[name] = tmp_path / f"{name}.onnx"
        onnx.save(model, cases[name])
    for path in cases.values():
        with pytest.raises(InputError) as caught:
            open_backend(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(ForeignModel, match="not written by edgesr-export"):
        open_backend(cases["foreign"])


def test_threads_are_checked_and_reported() -> None:
    with pytest.raises(InputError, match="threads is 0"):
        open_backend(DEFAULT_MODEL, threads=0)
    with open_backend(DEFAULT_MODEL, threads=1) as backend:
        assert backend.settings["threads"] == 1


def test_memory_is_the_smaller_of_machine_and_cgroup(tmp_path: Path) -> None:
    assert memory.available_bytes(tmp_path) is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 8000 kB\nMemAvailable:    4000 kB\n")
    assert memory.available_bytes(tmp_path) == 4000 * 1024
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("1000000\n")
    assert memory.available_bytes(tmp_path) == 4000 * 1024
    (group / "memory.max").write_text("3000000\n")
    assert memory.available_bytes(tmp_path) == 2_000_000


def test_sizes_that_take_turns_keep_their_buffers() -> None:
    rng = np.random.default_rng(5)
    with open_backend() as backend:
        small, large = (rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((16, 24), (20, 20)))
        first = backend.infer(small)
        kept = first.copy()
        backend.infer(large)
        again = backend.infer(small)
        assert again is first and (again == kept).all()
        for height in range(30, 40):  # more sizes than are kept: they still come out right
            backend.infer(rng.integers(0, 256, (height, 16, 3), dtype=np.uint8))
        assert (backend.infer(small) == kept).all()
