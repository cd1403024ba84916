import io
import json
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from rich.console import Console
from tests.benchmarks.test_html_report import Page

from edgesr.benchmarks import layer_profile
from edgesr.benchmarks.__main__ import run
from edgesr.benchmarks.contenders import open_contender
from edgesr.benchmarks.diff import compare_runs
from edgesr.benchmarks.html_report import results_html
from edgesr.benchmarks.latency import LatencySettings, measure_latency
from edgesr.benchmarks.layer_profile import LayerMedian, LayerProfile
from edgesr.benchmarks.layer_report import layer_lines, layer_rows, short_name
from edgesr.benchmarks.merge import merged_json, merged_markdown
from edgesr.benchmarks.outcome import LatencyResult
from edgesr.benchmarks.report import as_document, latency_json, latency_markdown, latency_table
from edgesr.benchmarks.rivals.openvino import OpenVino
from edgesr.benchmarks.stored import UnreadableResult, read_results
from edgesr.runtime.backends import open_backend
from edgesr.runtime.backends.onnxruntime import OnnxRuntimeBackend
from edgesr.runtime.command import command
from edgesr.runtime.errors import BackendFailed, InputError
from edgesr.runtime.onnx_profile import profile_session

MakeModel = Callable[..., Path]
Hasty = Callable[..., LatencySettings]
FRAME = np.random.default_rng(0).integers(0, 256, (16, 32, 3)).astype(np.uint8)

PROFILE = LayerProfile(
    frames=20,
    plain_ms=11.0,
    frame_ms=12.5,
    in_layers_ms=10.2,
    layers=(
        LayerMedian("/a|b/<i>", "Conv", 3.0),
        LayerMedian("cast", "", 0.5),
        LayerMedian("/c", "Conv", 5.0),
        LayerMedian("/d", "Add", 1.5),
    ),
)
"""Its layers are 10 ms together."""


@pytest.fixture
def profiled(result: LatencyResult) -> LatencyResult:
    """The first of three models has a profile."""
    first = replace(result.models[0], layer_profile=PROFILE)
    return replace(result, models=(first, *result.models[1:]), settings=replace(result.settings, profile=2))


# What the runtimes tell


def test_every_frame_has_a_time_for_every_layer_and_they_make_up_the_frame() -> None:
    with open_backend("default:2") as backend:
        times = backend.layer_times(np.repeat(np.repeat(FRAME, 6, axis=0), 6, axis=1), 5)
        assert times is not None and len(times.network_ns) == 5
        assert backend.infer(FRAME).shape == (32, 64, 3)  # and it runs on
    assert sum(layer.kind == "Conv" for layer in times.layers) > 10
    assert all(len(layer.samples_ns) == 5 for layer in times.layers)
    in_layers = np.sum([layer.samples_ns for layer in times.layers], axis=0)
    assert (in_layers < np.array(times.network_ns) + 50_000).all() and (in_layers > 0).all()


def test_bare_graphs_tell_their_layers(make_model: MakeModel) -> None:
    contender = open_contender(str(make_model("floats", "bare")), 1)
    times = contender.layer_times(FRAME, 3)
    assert times is not None
    ((name, kind, samples),) = [(layer.name, layer.kind, layer.samples_ns) for layer in times.layers]
    assert kind == "Resize" and name and len(samples) == 3
    contender.check(FRAME[:8])
    contender.close()


def test_profiles_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with open_backend("default:2") as backend:
        backend.layer_times(FRAME, 2)
    assert list(tmp_path.iterdir()) == []


def test_runs_are_told_apart_and_times_are_microseconds(tmp_path: Path) -> None:
    """A node in a loop runs twice in a frame; what is no kernel's time does not count."""

    def node(name: str, us: int, end: str = "_kernel_time") -> dict[str, Any]:
        return {"cat": "Node", "name": f"{name}{end}", "dur": us, "args": {"op_name": "Conv", "node_index": "7"}}

    run_ = {"cat": "Session", "name": "model_run", "dur": 99, "args": {}}
    events = [node("a", 3), node("a", 4), node("a", 50, "_fence_before"), run_, node("b", 2), node("a", 1), run_]
    written = tmp_path / "p.json"
    written.write_text(json.dumps(events))
    session: Any = SimpleNamespace(end_profiling=lambda: str(written))
    times = profile_session(onnxruntime.SessionOptions(), lambda _: session, lambda: 9, 2)
    assert times.network_ns == (9, 9)
    assert [(layer.name, layer.samples_ns) for layer in times.layers] == [("a", (7000, 1000)), ("b", (0, 2000))]


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"cat": "Node"}]', "null", "[]", '[{"name": "model_run"}]', "\xff"])
def test_what_a_profiler_wrote_wrongly_is_one_line(text: str, tmp_path: Path) -> None:
    written = tmp_path / "p.json"
    written.write_text(text, encoding="latin-1")
    session: Any = SimpleNamespace(end_profiling=lambda: str(written))
    with pytest.raises(BackendFailed, match="profiler wrote") as caught:
        profile_session(onnxruntime.SessionOptions(), lambda _: session, lambda: 1, 2)
    assert "\n" not in str(caught.value)


def test_the_last_run_is_found_in_openvinos_means() -> None:
    """Two layers over three runs: it tells means, here of 100, 300, 200 and of nothing, 40, 80 microseconds."""
    status = Enum("status", ["NOT_RUN", "EXECUTED"])

    def node(name: str, us: float, ran: bool = True) -> Any:
        real_time = SimpleNamespace(total_seconds=lambda: us / 1e6)
        state = status.EXECUTED if ran else status.NOT_RUN
        return SimpleNamespace(node_name=name, node_type="Convolution", real_time=real_time, status=state)

    graph = object.__new__(OpenVino)
    graph._profiled_runs, graph._spent_ns = 0, {}
    found = []
    for means in ((100, 0), (200, 20), (200, 40)):
        nodes = [node("a", means[0]), node("b", means[1]), node("relu", 0, ran=False)]
        graph._request = SimpleNamespace(profiling_info=nodes)
        found.append([round(time / 1000) for time in graph.layer_times().values()])
    assert found == [[100, 0], [300, 40], [200, 80]]


def test_opencv_tells_its_layers(make_model: MakeModel) -> None:
    pytest.importorskip("cv2")
    contender = open_contender(f"opencv:{make_model('floats', 'bare')}", 1)
    times = contender.layer_times(FRAME, 2)
    assert times is not None and any(layer.kind.startswith("Resize") for layer in times.layers)


def test_openvino_tells_its_layers(make_model: MakeModel) -> None:
    pytest.importorskip("openvino")
    times = open_contender(f"openvino:{make_model('bytes')}", 1).layer_times(FRAME, 2)
    assert times is not None and times.layers and all(min(layer.samples_ns) >= 0 for layer in times.layers)


# In a run


def test_layers_are_timed_after_the_rounds(make_model: MakeModel, hasty: Hasty) -> None:
    told: list[str] = []
    models = ("default:2", make_model("floats", "bare"), "bicubic:2")
    found = measure_latency(hasty(*models, profile=3), tell=told.append)
    assert told.index("layers of default:2") > max(place for place, line in enumerate(told) if "round" in line)
    ours, bare, none = (model.layer_profile for model in found.models)
    assert ours is not None and bare is not None and none is None
    assert len(ours.layers) > 20 and [layer.kind for layer in bare.layers] == ["Resize"]
    assert 5 <= ours.frames <= 30 and min(ours.plain_ms, ours.frame_ms, ours.in_layers_ms) > 0
    assert sum(ours.share(layer.median_ms) for layer in ours.layers) == pytest.approx(1)
    assert "no layers of bicubic:2: no profiler of bicubic is read" in found.notes


def test_without_being_asked_nothing_is_profiled(hasty: Hasty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_profile, "open_contender", lambda *_: pytest.fail("opened once more"))
    found = measure_latency(hasty("bicubic:2"))
    assert found.models[0].layer_profile is None and found.settings.profile is None


@pytest.mark.parametrize("error", [BackendFailed("the profiler gave way"), OSError("the profiler gave way")])
def test_a_profile_that_fails_loses_no_measurement(
    error: Exception, hasty: Hasty, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(OnnxRuntimeBackend, "layer_times", fail)
    found = measure_latency(hasty("default:2", profile=3))
    assert found.models[0].layer_profile is None and found.rounds == 5
    assert "no layers of default:2: the profiler gave way" in found.notes


@pytest.mark.parametrize(("line", "seconds"), [("layers of", 0.1), ("12 rounds", 600.0)])
def test_ctrl_c_keeps_what_a_long_run_measured(line: str, seconds: float, hasty: Hasty) -> None:
    def tell(text: str) -> None:
        if line in text:
            raise KeyboardInterrupt

    found = measure_latency(hasty("bicubic:2", rounds=None, duration_s=seconds, profile=3), tell=tell)
    assert found.rounds >= 5 and "no layers: stopped by Ctrl-C" in found.notes
    if line == "layers of":
        with pytest.raises(KeyboardInterrupt):
            measure_latency(hasty("bicubic:2", profile=3), tell=tell)


def test_slow_models_get_few_frames(hasty: Hasty, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    contender = SimpleNamespace(
        settings={"backend": "x"},
        network_ns=1,
        check=lambda _: None,
        layer_times=lambda _, frames: asked.append(frames),
        close=lambda: None,
    )
    monkeypatch.setattr(layer_profile, "open_contender", lambda *_: contender)
    settings = hasty("a", "b", "c", profile=1)
    layer_profile.measure_layers(settings, settings.models, [1.0, 400.0, 1e5], [], lambda _: None)
    assert asked == [33, 15, 8]  # the first 3 are left out


def test_no_number_of_layers(hasty: Hasty) -> None:
    with pytest.raises(InputError, match="profile is 0; expected 1 or more"):
        hasty("bicubic:2", profile=0)


# What is said of it


def test_rows_add_up() -> None:
    assert list(layer_rows(PROFILE, 2)) == [
        ["/c", "Conv", "5.00", "50.0"],
        ["/a|b/<i>", "Conv", "3.00", "30.0"],
        ["the 2 slowest", "", "8.00", "80.0"],
        ["2 others", "", "2.00", "20.0"],
        ["all 4 layers", "", "10.0", "100.0"],
    ]
    assert [row[0] for row in layer_rows(PROFILE, 9)] == ["/c", "/a|b/<i>", "/d", "cast", "all 4 layers"]
    assert next(row for row in layer_rows(PROFILE, 9) if row[0] == "cast")[1] == "–"


def test_lines_tell_kinds_and_what_the_profiler_cost(profiled: LatencyResult) -> None:
    kinds, took, layers = layer_lines(profiled.models[0], PROFILE)
    assert kinds == "by kind: Conv 8.00 ms (80%), Add 1.50 ms (15%), not told 0.50 ms (5%)"
    assert took == (
        "the network took 12.5 ms with the profiler and 11.0 ms without, right before (medians of 20 frames each); "
        "10.0 ms in the rounds"
    )
    assert layers == "the layers took 10.2 ms of a profiled frame"
    assert "add up to 10.0 ms" in layer_lines(profiled.models[0], replace(PROFILE, in_layers_ms=14.0))[2]


def test_long_names_keep_both_ends() -> None:
    name = "{ForeignNode[/body/body.0/Conv..." + "x" * 3000 + ".../shuffle/DepthToSpace]}"
    assert len(short_name(name)) <= 42
    assert short_name(name).startswith("{ForeignNode[/body") and short_name(name).endswith("DepthToSpace]}")


def test_every_output_shows_the_slowest(profiled: LatencyResult) -> None:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(latency_table(profiled))
    screen = console.export_text()
    assert max(map(len, screen.splitlines())) <= 80 and "layers of fast" in screen
    markdown, page = latency_markdown(profiled), results_html([profiled])
    assert "**Layers of fast**" in markdown and "| /a\\|b/<i> | Conv | 3.00 | 30.0 |" in markdown
    for text in (screen, markdown):
        assert "2 others" in text and "/d" not in text and "profiler" in text
    assert "fast: the slowest layers" in page and "/a|b/&lt;i&gt;: 3.00 ms · 30.0% · Conv" in page
    assert "/d" in Page(page).cells  # the folded table has all


def test_a_run_without_profile_says_nothing_of_layers(result: LatencyResult) -> None:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(latency_table(result))
    for text in (console.export_text(), latency_markdown(result)):
        assert "layer" not in text.lower()
    assert "slowest layers" not in results_html([result])


def test_layers_that_took_no_time_are_drawn(profiled: LatencyResult) -> None:
    still = replace(PROFILE, layers=(LayerMedian("x", "", 0.0),))
    first = replace(profiled.models[0], layer_profile=still)
    text = results_html([replace(profiled, models=(first, *profiled.models[1:]))])
    assert "nan" not in text[text.index("The slowest layers") : text.index("What was measured")]
    Page(text)


# In files


def test_it_comes_back_as_it_was_and_is_merged_and_compared(profiled: LatencyResult, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(latency_json(profiled))
    assert read_results(path) == (profiled,)
    path.write_text(merged_json((profiled, replace(profiled, started="2026-02-02"))))
    both = read_results(path)
    assert both[0] == profiled and results_html(both).count("fast: the slowest layers</title>") == 2
    assert "fast" in merged_markdown(both)
    without = replace(profiled, models=tuple(replace(model, layer_profile=None) for model in profiled.models))
    assert not [change for change in compare_runs(without, profiled).changes if change.is_regression(1.05)]


def test_json_tells_shares_and_what_the_slowest_are(profiled: LatencyResult) -> None:
    found = as_document(profiled)["models"][0]["layer_profile"]
    assert found["slowest"] == {"count": 2, "ms": 8.0, "share": 0.8} and found["sum_ms"] == 10
    assert [layer["share"] for layer in found["layers"]] == [0.3, 0.05, 0.5, 0.15]
    assert as_document(profiled)["models"][1]["layer_profile"] is None


def test_the_schema_knows_it(profiled: LatencyResult) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(__file__).parents[2] / "docs" / "results-schema.json").read_text())
    check = jsonschema.Draft202012Validator(schema)
    document = json.loads(latency_json(profiled))
    assert check.is_valid(document)
    document["models"][0]["layer_profile"]["layers"][0].pop("share")
    assert not check.is_valid(document)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p: p.update(layers=[]), "the profile of fast has no layers"),
        (lambda p: p["layers"][0].update(median_ms=-1.0), "took less than nothing"),
        (lambda p: p["layers"][0].update(name=3), "models is not what it should be"),
        (lambda p: p.pop("frame_ms"), "lacks frame_ms"),
        (lambda p: p.update(layers="x"), "models is not what it should be"),
    ],
)
def test_a_damaged_profile_is_refused(
    spoil: Callable[[dict[str, Any]], None], words: str, profiled: LatencyResult, tmp_path: Path
) -> None:
    document = json.loads(latency_json(profiled))
    spoil(document["models"][0]["layer_profile"])
    path = tmp_path / "r.json"
    path.write_text(json.dumps(document))
    with pytest.raises(UnreadableResult, match=words):
        read_results(path)


# On the command line


@pytest.mark.parametrize(("given", "shown"), [(["--profile"], 10), (["--profile", "3"], 3), ([], None)])
def test_profile_is_an_option(given: list[str], shown: int | None, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    line = ["latency", "default:2", "--size", "32x16", "--rounds", "5", "--threads", "1", "--json", str(path), *given]
    assert command(run, line) == 0
    (found,) = read_results(path)
    assert found.settings.profile == shown and (found.models[0].layer_profile is not None) == bool(shown)


@pytest.mark.parametrize("number", ["default:2", "0", "-1", "1.5", "٣"])
def test_a_model_is_no_number_of_layers(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(run, ["latency", "bicubic:2", "--size", "32x16", f"--profile={number}"]) == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error and "expected" in error
