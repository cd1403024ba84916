import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from edgesr.benchmarks.latency import LatencySettings, measure_latency
from edgesr.benchmarks.merge import merged_json
from edgesr.benchmarks.outcome import LatencyResult
from edgesr.benchmarks.quality import Quality
from edgesr.benchmarks.report import SCHEMA, as_document, latency_json
from edgesr.benchmarks.stored import OPTIONAL, UnreadableResult, read_results
from edgesr.runtime.errors import MissingFile

OPTIONAL_HERE = OPTIONAL | {"drift"}
SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "results-schema.json"


@pytest.fixture
def published() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(SCHEMA_FILE.read_text())
    return schema


@pytest.fixture
def is_valid(published: dict[str, Any]) -> Callable[[Any], bool]:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(published)
    return jsonschema.Draft202012Validator(published).is_valid


def test_what_is_written_is_what_the_schema_says(
    result: LatencyResult, hasty: Callable[..., LatencySettings], is_valid: Callable[[Any], bool]
) -> None:
    measured = measure_latency(hasty("bicubic:2", "default:2"))
    for text in (latency_json(result), latency_json(measured), merged_json((result, measured))):
        assert is_valid(json.loads(text))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda document: document.pop("before"),
        lambda document: document.update(schema=1),
        lambda document: document.update(extra=1),
        lambda document: document["models"][0]["samples_ns"].update(network=[1.5]),
        lambda document: document["models"][0]["spec"].update(scale="4"),
        lambda document: document["clocks"][0].pop("mhz"),
        lambda document: document["settings"].update(width=0),
    ],
)
def test_the_schema_refuses_what_is_never_written(
    spoil: Callable[[dict[str, Any]], None], result: LatencyResult, is_valid: Callable[[Any], bool]
) -> None:
    document = json.loads(latency_json(result))
    assert is_valid(document)
    spoil(document)
    assert not is_valid(document)


def test_the_schema_names_every_key(result: LatencyResult, published: dict[str, Any]) -> None:
    """Without a validator: no key came or went without the page, and its version, hearing of it."""
    document, defs = as_document(result), published["$defs"]
    for made, described in (
        (document, defs["result"]),
        (document["settings"], defs["settings"]),
        (document["settings"]["warm_up"], defs["settings"]["properties"]["warm_up"]),
        (document["machine"], defs["machine"]),
        (document["before"], defs["condition"]),
        (document["clocks"][0], defs["track"]),
        (document["models"][0], defs["model"]),
        (document["models"][0]["spec"], defs["spec"]),
    ):
        assert set(made) - OPTIONAL_HERE == set(described["required"])
        assert set(made) | OPTIONAL_HERE >= set(described["properties"]) >= set(made)
    assert defs["result"]["properties"]["schema"]["const"] == SCHEMA
    assert {field.name for field in fields(LatencyResult)} <= set(document)


def test_a_result_comes_back_as_it_was(result: LatencyResult, tmp_path: Path) -> None:
    same = replace(result.models[0], quality=(Quality("Set5", 5, float("inf"), 1.0),))
    result = replace(result, models=(same, *result.models[1:]), invalid="a clock moved", other_cores=None)
    path = tmp_path / "r.json"
    path.write_text(latency_json(result))
    assert read_results(path) == (result,)
    path.write_text(merged_json((result, result)))
    assert read_results(path) == (result, result)


def test_a_file_from_before_the_optional_keys_is_read(
    result: LatencyResult, is_valid: Callable[[Any], bool], tmp_path: Path
) -> None:
    document = json.loads(latency_json(result))
    for name in OPTIONAL:
        document.pop(name, None)
        document["settings"].pop(name, None)
        for model in document["models"]:
            model.pop(name, None)
    assert is_valid(document)
    path = tmp_path / "r.json"
    path.write_text(json.dumps(document))
    assert read_results(path) == (result,)


def test_a_figure_that_was_tampered_with_is_reckoned_anew(result: LatencyResult, tmp_path: Path) -> None:
    document = json.loads(latency_json(result))
    document["models"][0]["summary"]["network"]["median_ms"] = 1.0
    path = tmp_path / "r.json"
    path.write_text(json.dumps(document))
    (found,) = read_results(path)
    assert found.summaries(0)["network"].median_ms == 10


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda d: d.update(schema=1), "version 1, this edgesr reads version 2: measure again"),
        (lambda d: d.update(kind="edgesr-bench stream"), "kind is 'edgesr-bench stream'; expected"),
        (lambda d: d.pop("clocks"), "lacks clocks"),
        (lambda d: d["models"].clear(), "holds no models, or no rounds"),
        (lambda d: d["models"][0]["samples_ns"].update(network=[]), "fast has 0 samples of network in 5 rounds"),
        (lambda d: d["models"][0]["samples_ns"].update(network=[1, 1, 1, 1, 0]), "one of no length"),
        (lambda d: d["models"][0].update(label=3), "models is not what it should be"),
        (lambda d: d["models"][0]["spec"].update(colour="grey"), "colour is 'grey'"),
        (lambda d: d["models"][0].update(samples_ns=None), "models is not what it should be"),
        (lambda d: d.update(orders=[[0, 0, 1]] * 5), "does not name every model once"),
        (lambda d: d.update(orders="none"), "orders is not what it should be"),
        (lambda d: d.update(settings=[]), "where an object was expected"),
        (lambda d: d.update(round_ends_s=[1.0]), "1 ends of 5 rounds"),
        (lambda d: d["clocks"][0].update(mhz=[]), "a clock has no readings"),
        (lambda d: d["machine"].update(facts=[float("nan")]), "beyond all bounds"),
    ],
)
def test_one_line_for_what_cannot_be_read(
    spoil: Callable[[dict[str, Any]], None], words: str, result: LatencyResult, tmp_path: Path
) -> None:
    document = json.loads(latency_json(result))
    spoil(document)
    path = tmp_path / "r.json"
    path.write_text(json.dumps(document))
    with pytest.raises(UnreadableResult, match=r"r\.json is no result that can be used: .*" + words) as caught:
        read_results(path)
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="does not exist"):
        read_results(tmp_path / "none.json")
    for text in ("", "[]", "{", '{"schema": 2, "kind": "edgesr-bench merged", "results": []}', "{}", "\0"):
        path = tmp_path / "r.json"
        path.write_text(text)
        with pytest.raises(UnreadableResult):
            read_results(path)
