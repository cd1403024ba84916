import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from edgesr.benchmarks.latency import LatencySettings, measure_latency
from edgesr.benchmarks.outcome import LatencyResult
from edgesr.benchmarks.parity import Parity
from edgesr.benchmarks.report import columns, latency_json, latency_markdown, rows
from edgesr.benchmarks.stored import UnreadableResult, read_results
from edgesr.runtime.backends import Backend
from edgesr.runtime.errors import InputError, MissingFile
from edgesr.runtime.frame import Pixels
from edgesr.runtime.images import write_image
from edgesr.runtime.program_card import ABOUT, ProgramCard
from edgesr.runtime.spec import ModelSpec

MakeModel = Callable[..., Path]
Hasty = Callable[..., LatencySettings]


class OffBy(Backend):
    """Repeats pixels, and then puts the first pixels wrong."""

    def __init__(self, spec: ModelSpec, wrong: int, levels: int) -> None:
        self.spec, self.wrong, self.levels = spec, wrong, levels
        self.title, self.network_ns, self.settings = "reference", 1, {}

    def infer(self, pixels: Pixels) -> Pixels:
        made = pixels.repeat(2, axis=0).repeat(2, axis=1)
        flat = made.reshape(-1, 3)[: self.wrong, 1]
        flat[...] = np.where(flat < 128, flat + self.levels, flat - self.levels)
        return made


@pytest.fixture
def reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A .pt2 that only its card is read of; PyTorch's part is played."""

    def make(
        name: str = "bytes",
        *,
        wrong: int = 0,
        levels: int = 0,
        size: tuple[int, int] = (32, 16),
        precision: str = "fp32",
    ) -> str:
        spec = ModelSpec(name=name, scale=2, colour="rgb", parameters=0, multiply_adds_per_pixel=1.0, receptive_field=1)
        card = ProgramCard(spec=spec, size=size, precision=precision, weights_sha256="ab", torch="2")
        path = tmp_path / f"{name}.pt2"
        with ZipFile(path, "w") as archive:
            archive.writestr(f"a/extra/{ABOUT}", card.to_json())
        monkeypatch.setattr(
            "edgesr.benchmarks.parity.open_reference", lambda _path, _threads: OffBy(spec, wrong, levels)
        )
        return str(path)

    return make


def test_equal_bytes(make_model: MakeModel, hasty: Hasty, reference: Callable[..., str]) -> None:
    models = make_model("bytes"), make_model("other"), make_model("bare", "bare"), "bicubic:2"
    result = measure_latency(hasty(*models, references=(reference(),)))
    assert [model.parity for model in result.models] == [Parity(1, float("inf"), 0, 0.0), None, None, None]
    place = columns(result).index("parity with PyTorch, dB")
    assert [cells[place : place + 2] for cells in rows(result)][:2] == [["equal", "0 (0 %)"], ["–", "–"]]


def test_what_differs(make_model: MakeModel, hasty: Hasty, reference: Callable[..., str], tmp_path: Path) -> None:
    result = measure_latency(hasty(make_model("bytes"), references=(reference(wrong=512, levels=3),)))
    parity = result.models[0].parity
    assert parity is not None and (parity.difference, parity.beyond_one) == (3, 0.25)  # 512 of 64x32 pixels
    assert parity.psnr_db == pytest.approx(10 * np.log10(255**2 / (9 * 0.25 / 3)))
    assert "| 49.4 | 3 (25.0 %) |" in latency_markdown(result)
    just_one = measure_latency(hasty(make_model("bytes"), references=(reference(wrong=512, levels=1),)))
    assert just_one.models[0].parity is not None and just_one.models[0].parity.beyond_one == 0
    path = tmp_path / "r.json"
    path.write_text(latency_json(result))
    assert read_results(path)[0] == result
    schema = json.loads((Path(__file__).parents[2] / "docs" / "results-schema.json").read_text())
    pytest.importorskip("jsonschema").validate(json.loads(path.read_text()), schema)


def test_photographs_that_are_large_enough(
    make_model: MakeModel, hasty: Hasty, reference: Callable[..., str], photos: Path
) -> None:
    write_image(photos / "small.png", np.zeros((15, 40, 3), np.uint8))
    result = measure_latency(hasty(make_model("bytes"), references=(reference(),), data=(str(photos),)))
    assert result.models[0].parity is not None and result.models[0].parity.frames == 2


def test_other_weights_are_not_compared(
    make_model: MakeModel, hasty: Hasty, reference: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgesr.benchmarks.parity.weights_of", lambda _model: "cd")
    result = measure_latency(hasty(make_model("bytes"), references=(reference(),)))
    assert result.models[0].parity is None and "parity with PyTorch, dB" not in columns(result)
    assert "no model here is bytes x2 with the weights of bytes.pt2: not compared with it" in result.notes


def test_what_cannot_be_a_reference(
    make_model: MakeModel, hasty: Hasty, reference: Callable[..., str], tmp_path: Path
) -> None:
    model = make_model("bytes")
    with pytest.raises(InputError, match=r"takes 64x16 alone, the run is at 32x16: export it with --size 32x16"):
        measure_latency(hasty(model, references=(reference(size=(64, 16)),)))
    with pytest.raises(InputError, match=r"is FP16; a reference is in FP32"):
        measure_latency(hasty(model, references=(reference(precision="fp16"),)))
    with pytest.raises(MissingFile, match=r"expected a \.pt2 program"):
        measure_latency(hasty(model, references=(str(tmp_path / "none.pt2"),)))


def test_results_from_before_there_was_parity(result: LatencyResult, tmp_path: Path) -> None:
    assert "parity" not in latency_markdown(result)
    path = tmp_path / "r.json"
    path.write_text(latency_json(result).replace('"parity": null,', "").replace('"references": [],', ""))
    assert read_results(path)[0] == result
    odd = replace(result.models[0], parity=Parity(1, 50.0, 1, "none"))
    path.write_text(latency_json(replace(result, models=(odd, *result.models[1:]))))
    with pytest.raises(UnreadableResult, match="its models is not what it should be"):
        read_results(path)
