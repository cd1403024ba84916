import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from edgesr.benchmarks.condition import ClockTrack
from edgesr.benchmarks.html_report import results_html
from edgesr.benchmarks.outcome import LatencyResult
from edgesr.benchmarks.pictures import Point, front
from edgesr.benchmarks.quality import Quality
from edgesr.benchmarks.report import as_document
from edgesr.benchmarks.statistics import summary
from edgesr.benchmarks.svg import Scale, linear, logarithmic

VOID = {"meta", "rect", "line", "path", "circle"}


class Page(HTMLParser):
    """Checks that elements are closed in order; collects cells, addresses and elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.addresses: list[str] = []
        self.cells: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "data", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "td":
            self.cells.append(data)


@pytest.fixture
def scored(result: LatencyResult) -> LatencyResult:
    """With two models on the Pareto plot."""
    better = replace(result.models[1], quality=(Quality("Set5", 5, 32.25, 0.9),))
    return replace(result, models=(result.models[0], better, result.models[2]))


def test_the_page_holds_everything_and_asks_for_nothing(scored: LatencyResult) -> None:
    text = results_html([scored])
    page = Page(text)
    assert page.addresses == [] and "@import" not in text and "url(" not in text
    assert "://" not in text
    assert page.seen.count("svg") == 1 + 2 * 3 + 1  # Pareto, two for each model, the GPU's clock
    for cell in ("fast", "slow|one (untrained)", "10.0 (10.0–10.0)", "30.50", "32.25", "1.83 (1.83–1.83)"):
        assert cell in page.cells
    for words in (
        "random weights, for timing only",
        "other programs in the rounds: 0.12 of 2 cores",
        "throttled 2 times",
    ):
        assert words in text


def test_samples_can_be_taken_away(scored: LatencyResult) -> None:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', results_html([scored]), re.DOTALL)
    assert found and json.loads(found[1]) == json.loads(json.dumps(as_document(scored)))


def test_names_are_text_and_never_markup(result: LatencyResult) -> None:
    evil = replace(result.models[0], label="</script><img src=x>", model='"><b>@@body@@')
    text = results_html([replace(result, models=(evil, *result.models[1:]), notes=("<i>",))])
    page = Page(text)
    assert "img" not in page.seen and "b" not in page.seen and "i" not in page.seen
    assert page.addresses == []


def test_several_runs_share_a_table(scored: LatencyResult) -> None:
    other = replace(scored, invalid="GPU x moved", clocks=(), started="2026-02-02")
    text = results_html([scored, other])
    page = Page(text)
    assert page.cells[:3] == ["A", "32x16", "fast"]
    assert "Run B is invalid." in text and "GPU x moved" in text and "Run A is invalid" not in text
    assert "B: fast" in text  # on the Pareto plot
    assert "does not tell them" in text


@pytest.mark.parametrize("samples", [[5_000_000] * 5, [1, 10**12, 5, 5, 5], [3_000_000] * 4 + [900_000_000]])
def test_odd_samples_are_drawn(samples: list[int], result: LatencyResult) -> None:
    model = replace(result.models[0], samples_ns={"network": samples, "whole frame": samples})
    still = ClockTrack("CPU", "x", (0.0,), (1000.0,))
    text = results_html([replace(result, models=(model,), clocks=(still,))])
    drawn = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    assert drawn.count("<svg") == 4 and not re.search(r"\b(nan|inf)\b", drawn)
    Page(text)


def test_outliers_are_counted_beside_the_histogram(result: LatencyResult) -> None:
    samples = [10_000_000 + n * 1000 for n in range(99)] + [70_000_000]
    model = replace(result.models[0], samples_ns={"network": samples, "whole frame": samples})
    assert "1 beyond, up to 70 ms" in results_html([replace(result, models=(model,), orders=((0,),) * 100)])


def test_a_sample_of_minutes_does_not_hide_the_others(result: LatencyResult) -> None:
    samples = [10_000_000] * 99 + [296_000_000_000]
    model = replace(result.models[0], samples_ns={"network": samples, "whole frame": samples})
    text = results_html([replace(result, models=(model,), orders=((0,),) * 100)])
    assert "ms (logarithmic)" in text and "up to 296000 ms" in text


def test_many_samples_weigh_little_and_keep_their_extremes(result: LatencyResult) -> None:
    samples = [10_000_000 + n % 1000 for n in range(50_000)]
    samples[777] = 90_000_000
    model = replace(result.models[0], samples_ns={"network": samples, "whole frame": samples})
    text = results_html([replace(result, models=(model,))])
    dots = max(re.findall(r'<path class="dots one" d="(.*?)"', text), key=len)
    assert dots.count("M") <= 3000
    heights = [float(y) for y in re.findall(r"M\S+ (\S+?)h0", dots)]
    assert sum(y < min(heights) + 1 for y in heights) == 1
    assert "ms (logarithmic)" not in text


def test_front_is_what_nothing_beats() -> None:
    def at(ms: int, db: float) -> Point:
        return Point(f"{ms}", summary([ms * 1_000_000]), db)

    found = front([at(10, 30), at(5, 28), at(20, 29), at(20, 31), at(30, 31), at(10, 29)])
    assert [(p.label, p.psnr_db) for p in found] == [("5", 28), ("10", 30), ("20", 31)]


@pytest.mark.parametrize("scale", [linear([3, 97], 0, 100), linear([0.9999, 1.0001], 0, 100), linear([5, 5], 0, 100)])
def test_ticks_are_round_and_inside(scale: Scale) -> None:
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 7 and all(scale.low <= tick <= scale.high for tick in ticks)
    assert scale(scale.low) == 0 and scale(scale.high) == 100


def test_logarithmic_scale() -> None:
    scale = logarithmic([3, 3000], 0, 300)
    assert {5, 10, 100, 1000} <= set(scale.ticks())
    assert scale(300) - scale(30) == pytest.approx(scale(3000) - scale(300))
    assert len(logarithmic([4, 4.2], 0, 100).ticks()) >= 2
