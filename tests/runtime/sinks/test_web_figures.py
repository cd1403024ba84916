"""The page's figures: metrics, health, stats, snapshots."""

import json
import time

import numpy as np
import pytest

from edgesr.runtime.frame import Frame
from edgesr.runtime.resize import upscale
from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.streaming.controls import Controls
from edgesr.runtime.streaming.figures import AGE, Figures

aiohttp = pytest.importorskip("aiohttp", reason="the page needs pip install 'edgesr[web]'")
pytest.importorskip("prometheus_client", reason="the page needs pip install 'edgesr[web]'")
cv2 = pytest.importorskip("cv2", reason="the page needs OpenCV")

from tests.runtime.sinks.web import asked, frame, picture, unpacked

from edgesr.runtime.sinks.web import server


def test_metrics_are_what_prometheus_reads(sink: Sink) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    figures = Figures(deadline_ms=1)
    sink.attach(figures, Controls())
    figures.tell(state="running", model='ecbsr "x4"', size=(320, 180))
    figures.captured()
    figures.shown(0, 20_000_000, "", {})
    figures.add(AGE, 20_000_000)
    figures.drop("newer came", 3)
    status, body, answer = asked(sink, "/metrics")
    assert status == 200 and answer.headers["Content-Type"].startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    values = {(s.name, *sorted(s.labels.items())): s.value for f in families.values() for s in f.samples}
    assert values["edgesr_frames_captured_total",] == values["edgesr_deadline_misses_total",] == 1
    assert values["edgesr_frames_dropped_total", ("reason", "newer came")] == 3
    assert values["edgesr_stage_seconds", ("quantile", "0.5"), ("stage", AGE)] == pytest.approx(0.02)
    assert values["edgesr_stage_seconds_count", ("stage", AGE)] == 1
    assert values["edgesr_state", ("state", "running")] == 1 and values["edgesr_state", ("state", "over")] == 0
    assert values["edgesr_model", ("model", 'ecbsr "x4"')] == 1 and values["edgesr_viewers",] == 0
    for family in families.values():
        assert family.name.startswith("edgesr_") and family.type in ("counter", "gauge", "summary")
        assert all(s.name.endswith("_total") == (family.type == "counter") for s in family.samples)


def test_health_is_frames_that_come(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    controls = Controls()
    sink.attach(Figures(), controls)
    assert asked(sink, "/healthz")[:2] == (503, b"no frame has come yet\n")
    sink.write(frame())
    assert asked(sink, "/healthz")[:2] == (200, b"frames come\n")
    monkeypatch.setattr(server, "ALIVE_S", 0.0)
    status, body, _ = asked(sink, "/healthz")
    assert status == 503 and body.startswith(b"no frame for ")
    controls.paused = True
    assert asked(sink, "/healthz")[0] == 200


def test_stats_are_the_figures_as_json(sink: Sink) -> None:
    stats = json.loads(asked(sink, "/stats")[1])
    assert stats["source"] == "camera:0" and stats["state"] == "starting" and stats["drops"] == {}
    assert stats["viewers"] == 0 and stats["region"] is None and stats["pausing"] is False


def test_a_snapshot_is_without_loss_and_of_one_frame(sink: Sink) -> None:
    assert asked(sink, "/snapshot")[0] == asked(sink, "/snapshot/bicubic.png")[0] == 503
    low = picture(30, 20)
    written = Frame(upscale(low, 4) ^ 1, 5, time.perf_counter_ns(), low=low)
    sink.write(written)
    header, pictures = unpacked(asked(sink, "/snapshot")[1])
    assert header["frame"] == 5
    np.testing.assert_array_equal(pictures["high"], written.pixels)
    np.testing.assert_array_equal(pictures["bicubic"], upscale(low, 4))
    np.testing.assert_array_equal(pictures["low"], low)
    answer = asked(sink, "/snapshot/low.png")[2]
    assert answer.headers["Content-Disposition"] == 'attachment; filename="edgesr-000005-low.png"'
