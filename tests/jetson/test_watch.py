import json
import os
from pathlib import Path

import pytest
from rich.console import Console
from tests.jetson.tegrastats_lines import AGX_ORIN_JETPACK_6, ORIN_FOUR_CORES_OFF, ORIN_NANO_JETPACK_7, THOR_JETPACK_7

import edgesr.jetson.__main__ as command
from edgesr.jetson.sample import Sample
from edgesr.jetson.tegrastats import parse_tegrastats
from edgesr.jetson.watch import rows, samples_of, watch_view


def shown(sample: Sample, before: Sample | None = None) -> dict[str, str]:
    return {name: value.plain for name, value in rows(sample, before)}


@pytest.fixture
def no_tegrastats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def tegrastats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "tegrastats"
    program.write_text("#!/bin/sh\ncat <<END\n" + "\n".join(ORIN_NANO_JETPACK_7) + "\nEND\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)


def test_a_board() -> None:
    told = shown(parse_tegrastats(ORIN_NANO_JETPACK_7[0], 0))
    assert told["GPU"] == "█" + "░" * 19 + "   4 %  305 MHz"
    assert told["core 0"] == "█" * 13 + "░" * 7 + "  66 %  1510 MHz"
    assert told["memory bandwidth"].endswith("   1 %  2133 MHz")
    assert told["memory"].endswith("  24 %  1803 of 7486 MiB")
    assert told["power"] == "4.83 W   VDD_IN 4.83, VDD_CPU_GPU_CV 1.24, VDD_SOC 1.44"
    assert told["temperature"].startswith("cpu 48 °C, soc2 47 °C")
    assert "swap" not in told


def test_a_gpu_that_is_off_and_cores_that_are_off() -> None:
    assert shown(parse_tegrastats(AGX_ORIN_JETPACK_6, 0))["GPU"].endswith("   0 %  off")
    assert shown(parse_tegrastats(ORIN_FOUR_CORES_OFF, 0))["core 8"] == "off"


def test_a_gpu_whose_load_is_not_told() -> None:
    thor = parse_tegrastats(THOR_JETPACK_7, 0)
    assert "GPU" not in shown(thor)
    assert shown(thor.filled_by(Sample(at_ns=0, gpu_mhz=(1575.0,))))["GPU"].split() == [
        "load",
        "not",
        "told",
        "1575",
        "MHz",
    ]


def test_events_are_told_since_the_first_sample() -> None:
    before, now = Sample(at_ns=0, throttle_events=37), Sample(at_ns=1, throttle_events=40)
    assert shown(now, before)["throttled"] == "3 times since the start"
    assert "throttled" not in shown(now)


def test_markup_in_a_sensors_name_is_shown_as_it_is() -> None:
    console = Console(width=100)
    with console.capture() as taken:
        console.print(watch_view(Sample(at_ns=0, temperatures={"[bold]x[/no]": 20.0}), "[title]", "here"))
    assert "[bold]x[/no] 20 °C" in taken.get()


@pytest.mark.usefixtures("no_tegrastats")
def test_a_pc_is_told_from_the_sensors() -> None:
    waits: list[float] = []
    samples = samples_of(0.5, sleep=waits.append)
    first, second = next(samples), next(samples)
    assert first.ram_total_mib and second.at_ns > first.at_ns
    assert waits == [0.5, 0.5]


@pytest.mark.usefixtures("tegrastats")
def test_tegrastats_goes_first_and_the_sensors_fill() -> None:
    samples = samples_of(1)
    sample = next(samples)
    samples.close()
    assert (sample.ram_total_mib, sample.gpu_load) == (7486, 4.0)
    assert sample.swap_total_mib is not None  # this machine's


@pytest.mark.usefixtures("tegrastats")
def test_once(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert command.main(["watch", "--once"]) == 0
    out = capsys.readouterr().out
    assert "4.83 W" in out
    assert out.rstrip().endswith("from tegrastats, /proc and /sys")


@pytest.mark.usefixtures("no_tegrastats")
def test_once_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["watch", "--once", "--json", "--interval", "0.05"]) == 0
    assert json.loads(capsys.readouterr().out)["ram_total_mib"] > 0


@pytest.mark.usefixtures("tegrastats")
def test_live_until_tegrastats_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "tegrastats"
    program.write_text(program.read_text().replace("exec sleep 60", "exit 4"))
    assert command.main(["watch"]) == 1
    out, err = capsys.readouterr()
    assert "3.70 W" in out
    assert err == "edgesr-jetson: tegrastats ended by itself, with exit code 4\n"


@pytest.mark.parametrize("interval", ["0", "x", "nan", "1e9"])
def test_wrong_interval(interval: str) -> None:
    with pytest.raises(SystemExit) as end:
        command.main(["watch", "--interval", interval])
    assert end.value.code == 2
