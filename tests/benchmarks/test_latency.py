from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgesr.benchmarks.latency import LatencySettings, WarmUp, measure_latency
from edgesr.benchmarks.quality import measure_quality
from edgesr.benchmarks.rounds import SETTLE_FRAMES, _is_enough
from edgesr.benchmarks.settings import LEAST_ROUNDS
from edgesr.runtime.backends import open_backend
from edgesr.runtime.errors import InputError, MissingFile
from edgesr.runtime.images import image_files, read_image
from edgesr.runtime.quality import RULER, crop_to_multiple, psnr
from edgesr.runtime.resize import downscale, upscale

MakeModel = Callable[..., Path]
Hasty = Callable[..., LatencySettings]


def test_every_sample_of_every_stage_is_kept(make_model: MakeModel, hasty: Hasty) -> None:
    found = measure_latency(hasty("bicubic:2", make_model("bytes"), make_model("floats", "bare"), rounds=6))
    assert found.rounds == 6
    for model in found.models[:2]:
        assert {stage: len(samples) for stage, samples in model.samples_ns.items()} == dict.fromkeys(
            ("read", "network", "infer", "write", "whole frame"), 6
        )
        whole, network = model.samples_ns["whole frame"], model.samples_ns["network"]
        assert all(outer > inner > 0 for outer, inner in zip(whole, network, strict=True))
        assert all(len(samples) == 6 * SETTLE_FRAMES for samples in model.settling_ns.values())  # they are quick
        assert len(model.warm_up_ns["network"]) >= 2
        assert model.settle_frames == SETTLE_FRAMES and model.is_warm
    assert found.settings.models[0] == "bicubic:2"
    assert found.models[1].sha256 is not None and found.models[0].sha256 is None


def test_a_bare_graph_has_network_time_alone(make_model: MakeModel, hasty: Hasty) -> None:
    found = measure_latency(hasty(make_model("floats", "bare"), make_model("bytes")))
    assert set(found.models[0].samples_ns) == {"network"}
    assert found.models[0].form == "bare"
    assert found.ratio(1, "network") is not None
    assert found.ratio(1, "whole frame") is None  # nothing to compare with
    assert found.ratio(0, "network") is None
    assert any("bare float graph" in note and "floats" in note for note in found.notes)


def test_a_model_that_works_more_takes_longer(hasty: Hasty) -> None:
    """bicubic x8 makes sixteen times the pixels of x2."""
    found = measure_latency(hasty("bicubic:2", "bicubic:8", width=64, height=64, rounds=9))
    ratio = found.ratio(1, "network")
    assert ratio is not None and ratio.low > 1


def test_rounds_are_shuffled_by_the_seed(hasty: Hasty) -> None:
    models = ["bicubic:2"] * 3
    orders = {seed: measure_latency(hasty(*models, rounds=8, seed=seed)).orders for seed in (1, 2)}
    assert measure_latency(hasty(*models, rounds=8, seed=1)).orders == orders[1] != orders[2]
    assert all(sorted(order) == [0, 1, 2] for order in orders[1])
    assert len(set(orders[1])) > 1


def test_slow_models_do_not_settle(hasty: Hasty) -> None:
    found = measure_latency(hasty("bicubic:2", settle_ms=0.0))
    assert found.models[0].settle_frames == 0
    assert found.models[0].settling_ns["network"] == []
    assert len(found.models[0].samples_ns["network"]) == 5


def test_a_budget_that_holds_too_little_says_so(hasty: Hasty) -> None:
    found = measure_latency(hasty("bicubic:2", rounds=None, budget_s=1e-6))
    assert found.rounds == LEAST_ROUNDS
    assert any("the budget of 0 s did not hold 5 rounds" in note for note in found.notes)


def test_a_budget_is_used_and_kept(hasty: Hasty) -> None:
    found = measure_latency(hasty("bicubic:2", rounds=None, budget_s=1.0))
    assert found.rounds > LEAST_ROUNDS  # of under a millisecond each
    assert not any("budget" in note for note in found.notes)


@pytest.mark.parametrize(
    ("rounds", "budget_s", "done", "elapsed_s", "enough"),
    [
        (None, None, 29, 1e9, False),  # 30 rounds where nothing is said, however long
        (None, None, 30, 0.0, True),
        (10, None, 10, 0.0, True),
        (10, 60.0, 9, 50.0, False),
        (10, 60.0, 9, 59.5, True),  # one more of 1 s would not fit
        (None, 60.0, 5000, 50.0, False),
        (None, 60.0, LEAST_ROUNDS - 1, 1e9, False),
    ],
)
def test_when_it_is_enough(
    rounds: int | None, budget_s: float | None, done: int, elapsed_s: float, enough: bool
) -> None:
    settings = LatencySettings(models=("bicubic",), width=32, height=16, rounds=rounds, budget_s=budget_s)
    assert _is_enough(settings, done, elapsed_s, [1.0] * done) is enough


def test_a_warm_up_that_never_settles_ends_and_says_so(hasty: Hasty) -> None:
    never = WarmUp(tolerance=-1.0, least_s=0.0, limit_s=0.05)
    found = measure_latency(hasty("bicubic:2", warm_up=never))
    assert not found.models[0].is_warm
    assert any("bicubic:2 was not yet stable" in note for note in found.notes)


def test_untrained_and_other_scales_are_noted(make_model: MakeModel, hasty: Hasty, photos: Path) -> None:
    random = make_model("random", trained=False, scale=4)
    found = measure_latency(hasty("bicubic:2", random, data=(str(photos),)))
    assert "untrained (random weights, for timing only): random" in found.notes
    assert any("scales differ (bicubic:2 x2, random x4)" in note for note in found.notes)
    assert [len(model.quality) for model in found.models] == [1, 0]


def test_quality_is_that_of_the_ruler(photos: Path) -> None:
    """Reckoned here by hand for bicubic, whose output is known."""
    expected = []
    for file in image_files(photos):
        high = crop_to_multiple(read_image(file)[0], 2)
        ours = upscale(downscale(high, 2), 2)
        expected.append(psnr(RULER.luma(ours), RULER.luma(high), 2))
    with open_backend("bicubic:2") as backend:
        found = measure_quality(backend, photos, "photos")
    assert (found.data, found.images) == ("photos", 2)
    assert found.psnr_db == pytest.approx(np.mean(expected), abs=1e-9)
    assert 0.5 < found.ssim < 1


def test_quality_differs_from_model_to_model(make_model: MakeModel, hasty: Hasty, photos: Path) -> None:
    found = measure_latency(hasty("bicubic:2", make_model("nearest"), data=(str(photos),)))
    bicubic, nearest = (model.quality[0].psnr_db for model in found.models)
    assert bicubic > nearest + 1


def test_a_fixed_size_model_has_no_quality_and_that_is_said(make_model: MakeModel, hasty: Hasty, photos: Path) -> None:
    found = measure_latency(hasty(make_model("fixed", size=(32, 16)), "bicubic:2", data=(str(photos),)))
    assert [len(model.quality) for model in found.models] == [0, 1]
    assert any("no quality of fixed: photos/a.png" in note and "32x16 only" in note for note in found.notes)


def test_sizes_that_a_model_does_not_take(make_model: MakeModel, hasty: Hasty) -> None:
    with pytest.raises(InputError, match=r"the frame is 32x16; fixed x2 .* 64x32 only"):
        measure_latency(hasty(make_model("fixed", size=(64, 32))))
    with pytest.raises(InputError, match=r"needs at least 24x24"):
        measure_latency(hasty(make_model("large", min_size=24)))
    with pytest.raises(InputError, match="sizes are even"):
        measure_latency(hasty("bicubic:2", width=31))


def test_missing_files_are_found_before_any_work(hasty: Hasty, tmp_path: Path) -> None:
    told: list[str] = []
    for settings in (hasty("bicubic:2", tmp_path / "none.onnx"), hasty("bicubic:2", data=(str(tmp_path / "none"),))):
        with pytest.raises(MissingFile, match="none"):
            measure_latency(settings, tell=told.append)
    assert told == []


def test_no_plot_without_quality(make_model: MakeModel, hasty: Hasty, photos: Path) -> None:
    told: list[str] = []
    random = make_model("random", trained=False)
    with pytest.raises(InputError, match="no model here has it"):
        measure_latency(hasty(random, data=(str(photos),), needs_quality=True), tell=told.append)
    assert told == []  # refused before any clip was made
    with pytest.raises(InputError, match="add --data"):
        hasty("bicubic:2", needs_quality=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rounds": 4}, "rounds is 4; expected at least 5"),
        ({"threads": 0}, "threads is 0"),
        ({"budget_s": 0.0}, "budget is 0 s"),
    ],
)
def test_settings_that_cannot_be(options: dict[str, float], words: str, hasty: Hasty) -> None:
    with pytest.raises(InputError, match=words):
        hasty("bicubic", **options)
    with pytest.raises(InputError, match="no model"):
        hasty()


def test_cpu_form_against_its_bare_graph(tmp_path: Path, hasty: Hasty) -> None:
    """The real thing: what issue 2 asks of the ratio is measured with these two files."""
    pytest.importorskip("torch")
    from edgesr.export.onnx import export_onnx
    from edgesr.train.networks import seeded_network

    network = seeded_network("ecbsr", 4)
    bare = export_onnx(network, tmp_path / "e.bare.onnx", target="bare", trained=False).path
    cpu = export_onnx(network, tmp_path / "e.cpu.onnx", target="cpu", trained=False).path
    found = measure_latency(hasty(bare, cpu, width=64, height=32))
    ratio = found.ratio(1, "network")
    assert ratio is not None and 0 < ratio.low <= ratio.value <= ratio.high
    assert [model.form for model in found.models] == ["bare", "cpu"]
    assert [model.settings["threads"] for model in found.models] == [1, 1]
