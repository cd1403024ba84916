"""What `make compare` tells: from the JSON alone, whichever way it falls."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from edgesr.benchmarks.outcome import LatencyResult
from edgesr.benchmarks.quality import Quality
from edgesr.benchmarks.report import latency_json
from edgesr.runtime.errors import InputError

ROOT = Path(__file__).parent.parent.parent

Compared = Callable[..., LatencyResult]


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import compare_page

    return compare_page


@pytest.fixture
def compared(result: LatencyResult) -> Compared:
    """A run of RDSRN, RDN, CARN and ECBSR whose frames took exactly so many milliseconds, and a half more as a whole."""

    def make(rdsrn: int = 400, rdn: int = 3000, carn: int = 300, ecbsr: int = 4) -> LatencyResult:
        models = []
        taken = {"rdsrn": (rdsrn, 32.28), "rdn": (rdn, None), "carn": (carn, None), "ecbsr": (ecbsr, 30.97)}
        for name, (ms, psnr_db) in taken.items():
            before = result.models[0]
            spec = replace(
                before.spec,
                name=name,
                scale=4,
                scales=(4,),
                parameters=1234,
                multiply_adds_per_pixel=1e6,
                trained=psnr_db is not None,
            )
            quality = (Quality("Set5", 5, psnr_db, 0.9),) if psnr_db else ()
            samples = {"network": [ms * 1_000_000] * 5, "whole frame": [ms * 1_500_000] * 5}
            models.append(
                replace(before, label=f"{name}_x4", spec=spec, quality=quality, samples_ns=samples, form="cpu")
            )
        return replace(result, models=tuple(models), orders=((0, 1, 2, 3),) * 5, clocks=())

    return make


def test_the_verdict_is_what_was_measured(page: ModuleType, compared: Compared) -> None:
    text = "\n".join(page.verdict(compared()))
    assert "| CARN | 10.8 | 1.32 | 0.75 (0.75–0.75) | 0.75 (0.75–0.75) | 57.6 |" in text
    assert "by the sources RDSRN, CARN, RDN; here CARN, RDSRN, RDN" in text
    assert "here hold 2:" in text
    assert "CARN takes 0.75 (0.75–0.75) times as long as RDSRN, claimed 1.32: the order is the other way round." in text
    assert "RDN takes 10.0 (10.0–10.0) times as long as CARN, claimed 1.59: the order holds." in text
    assert "`ecbsr_x4` (1,234 parameters, 57.6 G) takes 0.01 (0.01–0.01) times RDSRN's network time" in text
    assert "1.31 dB less on Set5." in text


def test_the_verdict_falls_the_other_way_where_the_times_do(page: ModuleType, compared: Compared) -> None:
    text = "\n".join(page.verdict(compared(rdsrn=200)))
    assert "here RDSRN, CARN, RDN" in text and "here hold 3:" in text and "other way round" not in text
    text = "\n".join(page.verdict(compared(rdsrn=3000, rdn=300, carn=3000)))
    assert "here hold 0:" in text
    assert "CARN takes 1.00 (1.00–1.00) times as long as RDSRN, claimed 1.32: no difference seen." in text


def test_whole_frames_that_say_otherwise_are_told(page: ModuleType, compared: Compared) -> None:
    run = compared()
    carn = run.models[2]
    slow = replace(carn, samples_ns=carn.samples_ns | {"whole frame": [900_000_000] * 5})
    text = "\n".join(page.verdict(replace(run, models=(*run.models[:2], slow, run.models[3]))))
    assert "the order is the other way round; its whole frame 1.50 (1.50–1.50) times: the order holds." in text


def test_a_run_of_other_networks_is_refused(page: ModuleType, result: LatencyResult) -> None:
    with pytest.raises(InputError, match="the run has no rdsrn, carn, rdn at x4"):
        page.markdown(result)


def test_both_pages_are_made_from_the_run_that_is_kept(
    page: ModuleType, compared: Compared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("README", "BENCHMARKS", "KEPT"):
        monkeypatch.setattr(page, name, tmp_path / name)
    monkeypatch.setattr(page, "ROOT", tmp_path)
    for path in (page.README, page.BENCHMARKS):
        path.write_text(f"before\n{page.BEGIN}typed by hand\n{page.END}after\n")
    report = tmp_path / "report.json"
    report.write_text(latency_json(compared()))
    page.run(["--keep", str(report)])
    made = page.README.read_text()
    assert made.startswith(f"before\n{page.BEGIN}") and made.endswith(f"{page.END}after\n")
    assert "typed by hand" not in made and "| rdn_x4 (untrained) | x4 cpu | 3000 " in made
    assert "2000 draws" in page.BENCHMARKS.read_text() and "2000 draws" not in made
    page.README.write_text(made.replace("3000", "30"))
    page.run([])
    assert page.README.read_text() == made


@pytest.mark.parametrize("damage", ["no marks", "{end}{begin}", "{begin}{end}{begin}{end}"])
def test_a_page_without_its_marks_is_left_alone(page: ModuleType, damage: str) -> None:
    with pytest.raises(InputError, match=r"page\.md lacks its marks"):
        page.page(damage.format(begin=page.BEGIN, end=page.END), "made", Path("page.md"))


def test_an_invalid_run_is_not_shown(page: ModuleType, compared: Compared, tmp_path: Path) -> None:
    document = json.loads(latency_json(compared())) | {"invalid": "clocks moved by 9 %"}
    report = tmp_path / "report.json"
    report.write_text(json.dumps(document))
    with pytest.raises(InputError, match="is not shown: clocks moved by 9 %"):
        page.run_of(report)


def test_the_pages_say_what_the_kept_run_says(page: ModuleType) -> None:
    for path in (page.README, page.BENCHMARKS):
        text = path.read_text()
        inside = text.split(page.BEGIN)[1].split(page.END)[0]
        made = inside
        if page.KEPT.is_file():
            made = page.markdown(page.run_of(page.KEPT), with_method=path == page.BENCHMARKS)
        assert page.page(text, made, path) == text, "make compare-page writes it anew"


def test_what_is_named_in_a_report_lies_nowhere_on_this_machine(
    page: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="scripts/compare.py exports")
    import compare

    called: list[list[str]] = []

    class Done:
        returncode = 0

    monkeypatch.setattr(compare.subprocess, "run", lambda line, check: called.append(line) or Done())
    monkeypatch.chdir(tmp_path)
    compare.call("benchmarks", tmp_path / "a.onnx", "default", tmp_path.parent / "Set5")
    assert called == [[sys.executable, "-m", "edgesr.benchmarks", "a.onnx", "default", "../Set5"]]
    assert str(tmp_path) not in capsys.readouterr().out
