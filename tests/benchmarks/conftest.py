"""Tiny models of the real kinds, and results without any measuring."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgesr.benchmarks.condition import ClockNow, ClockTrack, Condition
from edgesr.benchmarks.latency import WHOLE_FRAME_IS, LatencyResult, LatencySettings, WarmUp
from edgesr.benchmarks.machine import Machine
from edgesr.benchmarks.outcome import ModelResult
from edgesr.benchmarks.quality import Quality
from edgesr.runtime.images import write_image
from edgesr.runtime.spec import ModelSpec

HASTY = WarmUp(window=1, slow_window=1, tolerance=1e9, least_s=0.0, limit_s=1.0)
"""Warm after two frames, whatever they took."""


@pytest.fixture
def hasty() -> Callable[..., LatencySettings]:
    """Settings for a run of half a second at 32x16."""

    def make(*models: str | Path, **options: Any) -> LatencySettings:
        given = {"width": 32, "height": 16, "threads": 1, "rounds": 5, "warm_up": HASTY, **options}
        return LatencySettings(models=tuple(str(model) for model in models), **given)

    return make


def spec_of(name: str, *, scale: int = 2, trained: bool = True, **more: Any) -> ModelSpec:
    return ModelSpec(
        name=name,
        scale=scale,
        colour="rgb",
        parameters=0,
        multiply_adds_per_pixel=1.0,
        receptive_field=1,
        trained=trained,
        **more,
    )


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """Write an .onnx file that repeats pixels, with the ends and metadata of edgesr-export.

    form: "cpu" (bytes) or "bare" (floats). size: width and height; None leaves them open.
    """
    onnx = pytest.importorskip("onnx")

    def make(
        name: str, form: str = "cpu", *, size: tuple[int, int] | None = None, metadata: bool = True, **spec: Any
    ) -> Path:
        told = spec_of(name, **spec)
        width, height = size or ("width", "height")
        open_ends = size is None
        if form == "bare":
            kind, names = onnx.TensorProto.FLOAT, ("low", "high")
            into = [1, 3, height, width]
            scales = [1, 1, told.scale, told.scale]
        else:
            kind, names = onnx.TensorProto.UINT8, ("frame", "upscaled")
            into = [1, height, width, 3]
            scales = [1, told.scale, told.scale, 1]
        out = [
            f"out_{side}" if isinstance(side, str) else side * int(scale)
            for side, scale in zip(into, scales, strict=True)
        ]
        assert open_ends == any(isinstance(side, str) for side in out)
        helper = onnx.helper
        resize = helper.make_node(
            "Resize", [names[0], "", "scales"], [names[1]], mode="nearest", coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )  # fmt: skip
        graph = helper.make_graph(
            [resize],
            name,
            [helper.make_tensor_value_info(names[0], kind, into)],
            [helper.make_tensor_value_info(names[1], kind, out)],
            [onnx.numpy_helper.from_array(np.array(scales, np.float32), "scales")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        if metadata:
            entries = {"edgesr.spec": told.to_json(), "edgesr.form": form, "edgesr.memory_bytes_per_pixel": "100.0"}
            helper.set_model_props(model, entries)
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return make


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of two images that are smooth enough to be upscaled, of odd sizes."""
    pytest.importorskip("cv2")
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, width, height in (("a", 47, 41), ("b", 38, 52)):
        y, x = np.mgrid[:height, :width]
        waves = [np.sin(x / (3 + channel)) * np.cos(y / (4 + channel)) for channel in range(3)]
        write_image(folder / f"{name}.png", (127.5 + 100 * np.stack(waves, axis=-1)).astype(np.uint8))
    return folder


CONDITION = Condition(
    at="2026-01-01T00:00:00+00:00",
    power_mode="15W",
    clocks=(ClockNow("GPU", "17000000.gpu", "nvhost_podgov", 624.75, 306.0, 624.75),),
    temperatures_c={"cpu-thermal": 48.5, "gpu-thermal": 47.25},
    available_mib=5120,
    swap_free_mib=None,
    load=(1.5, 1.0, 0.5),
    throttled=0,
)


@pytest.fixture
def result() -> LatencyResult:
    """Three models whose figures can be reckoned in the head: 10 ms, 20 ms untrained, and bare 5 ms."""
    kinds = (
        ("fast", 10, True, "cpu", (Quality("Set5", 5, 30.5, 0.875),)),
        ("slow|one", 20, False, "portable", ()),
        ("floats", 5, True, "bare", ()),
    )
    models = []
    for label, ms, trained, form, quality in kinds:
        samples = {"network": [ms * 1_000_000] * 5}
        if form != "bare":
            samples |= {"whole frame": [(ms + 2) * 1_000_000] * 5}
        models.append(
            ModelResult(
                label=label,
                model=f"{label}.onnx",
                sha256=None,
                spec=spec_of(label, trained=trained),
                form=form,
                settings={"threads": 1},
                is_warm=True,
                settle_frames=0,
                warm_up_ns={"network": [1]},
                settling_ns={"network": []},
                samples_ns=samples,
                quality=quality,
            )
        )
    return LatencyResult(
        settings=LatencySettings(models=tuple(m.model for m in models), width=32, height=16, threads=1),
        machine=Machine("a processor", 2, (1.5, 1.0, 0.5), {"edgesr": "0", "numpy": "2"}, {}),
        started="2026-01-01T00:00:00+00:00",
        measured_s=1.0,
        whole_frame=WHOLE_FRAME_IS,
        models=tuple(models),
        orders=((0, 1, 2),) * 5,
        notes=("untrained (random weights, for timing only): slow|one",),
        before=CONDITION,
        after=replace(CONDITION, throttled=2),
        clocks=(ClockTrack("GPU", "17000000.gpu", (0.0, 1.0, 2.0), (612.0, 624.75, 620.0)),),
        other_cores=0.12,
        invalid=None,
    )
