import os
from pathlib import Path

import pytest
from tests.jetson.tegrastats_lines import (
    AGX_ORIN_JETPACK_5,
    AGX_ORIN_JETPACK_6,
    LINES,
    ORIN_FOUR_CORES_OFF,
    ORIN_NANO_JETPACK_6,
    ORIN_NANO_JETPACK_7,
    THOR_JETPACK_7,
    THOR_JETPACK_7_ROOT,
    XAVIER_NX_JETPACK_5,
)

from edgesr.jetson.errors import NotHere, ProgramFailed
from edgesr.jetson.sample import Sample
from edgesr.jetson.tegrastats import parse_tegrastats, tegrastats_samples


def test_every_figure_of_a_line() -> None:
    assert parse_tegrastats(ORIN_NANO_JETPACK_7[1], 7) == Sample(
        at_ns=7,
        gpu_load=12.0,
        gpu_mhz=(306.0,),
        cpu_load=(64.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        cpu_mhz=(729.0,) * 6,
        memory_load=5.0,
        memory_mhz=665.0,
        temperatures={"cpu": 47.562, "soc2": 46.75, "soc0": 45.843, "gpu": 48.0, "tj": 48.0, "soc1": 46.937},
        rails_mw={"VDD_IN": 4093.0, "VDD_CPU_GPU_CV": 802.0, "VDD_SOC": 1243.0},
        ram_used_mib=1803,
        ram_total_mib=7486,
    )


@pytest.mark.parametrize(
    ("line", "load", "clocks"),
    [
        (XAVIER_NX_JETPACK_5, 0.0, (114.0,)),
        (AGX_ORIN_JETPACK_5, 0.0, (0.0, 0.0)),
        (ORIN_NANO_JETPACK_6, 0.0, ()),
        (AGX_ORIN_JETPACK_6, 0.0, (0.0, 0.0)),
        (ORIN_NANO_JETPACK_7[0], 4.0, (305.0,)),
        (THOR_JETPACK_7_ROOT, None, (314.0, 314.0, 314.0)),
        (THOR_JETPACK_7, None, ()),
    ],
)
def test_gpu_in_all_its_spellings(line: str, load: float | None, clocks: tuple[float, ...]) -> None:
    sample = parse_tegrastats(line, 0)
    assert (sample.gpu_load, sample.gpu_mhz) == (load, clocks)


@pytest.mark.parametrize(
    ("line", "load", "clock"),
    [(XAVIER_NX_JETPACK_5, 2.0, 204.0), (ORIN_NANO_JETPACK_6, None, None), (THOR_JETPACK_7_ROOT, 0.0, 2750.0)],
)
def test_memory_bandwidth_is_told_to_root_only(line: str, load: float | None, clock: float | None) -> None:
    sample = parse_tegrastats(line, 0)
    assert (sample.memory_load, sample.memory_mhz) == (load, clock)


def test_cores_that_are_off_keep_their_places() -> None:
    sample = parse_tegrastats(ORIN_FOUR_CORES_OFF, 0)
    assert sample.cpu_load == (0.0,) * 8 + (None,) * 4
    assert sample.cpu_mhz == (729.0,) * 8 + (None,) * 4


def test_sensors_asleep_and_rails_without_a_wire_are_left_out() -> None:
    sample = parse_tegrastats(AGX_ORIN_JETPACK_5, 0)
    assert set(sample.temperatures) == {"cpu", "tboard", "soc2", "tdiode", "soc0", "tj", "soc1"}
    assert sample.rails_mw == {
        "VDD_GPU_SOC": 2399.0,
        "VDD_CPU_CV": 400.0,
        "VIN_SYS_5V0": 4032.0,
        "VDDQ_VDD2_1V8AO": 301.0,
    }


@pytest.mark.parametrize(
    ("line", "total"),
    [
        (XAVIER_NX_JETPACK_5, 2763.0),
        (ORIN_NANO_JETPACK_6, 4673.0),
        (AGX_ORIN_JETPACK_6, 2412.0 + 1607.0 + 4707.0),  # no rail feeds the others
        (THOR_JETPACK_7, 87426.0),
    ],
)
def test_total_power_counts_nothing_twice(line: str, total: float) -> None:
    assert parse_tegrastats(line, 0).total_mw == total


@pytest.mark.parametrize(
    ("line", "ram", "swap"),
    [
        (ORIN_NANO_JETPACK_6, (2272, 7620), (221, 3810)),
        (THOR_JETPACK_7_ROOT, (105265, 125772), (None, None)),
    ],
)
def test_memory_and_swap(line: str, ram: tuple[int, int], swap: tuple[int, int]) -> None:
    sample = parse_tegrastats(line, 0)
    assert (sample.ram_used_mib, sample.ram_total_mib) == ram
    assert (sample.swap_used_mib, sample.swap_total_mib) == swap


@pytest.mark.parametrize("line", LINES)
def test_every_line_cut_anywhere_is_read_or_refused_in_one_way(line: str) -> None:
    for end in range(len(line)):
        try:
            parse_tegrastats(line[:end], 0)
        except ValueError as error:
            assert "expected a line of tegrastats" in str(error)


@pytest.mark.parametrize("line", ["", "\0", "tegrastats: not found", "RAM lots", "VDD_IN 1mW/1mW"])
def test_what_is_no_line_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="expected a line of tegrastats"):
        parse_tegrastats(line, 0)


def put_program(folder: Path, script: str) -> None:
    program = folder / "tegrastats"
    program.write_text("#!/bin/sh\n" + script)
    program.chmod(0o755)


def test_program_is_read_line_by_line_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "\n".join(ORIN_NANO_JETPACK_7)
    put_program(
        tmp_path, f"echo $$ > {tmp_path}/pid\necho $@ > {tmp_path}/told\ncat <<END\n{lines}\nEND\nexec sleep 60\n"
    )
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    samples = tegrastats_samples(0.25)
    three = [next(samples) for _ in range(3)]
    samples.close()
    assert [sample.gpu_load for sample in three] == [4.0, 12.0, 2.0]
    assert three[0].at_ns < three[1].at_ns < three[2].at_ns
    assert (tmp_path / "told").read_text() == "--interval 250\n"
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_program_that_ends_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_program(tmp_path, f"echo '{ORIN_NANO_JETPACK_6}'\nexit 3\n")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    samples = tegrastats_samples(1)
    next(samples)
    with pytest.raises(ProgramFailed, match="ended by itself, with exit code 3"):
        next(samples)


def test_warnings_between_the_lines_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_program(tmp_path, f"echo 'some warning' >&2\necho '{ORIN_NANO_JETPACK_6}'\nexec sleep 60\n")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    samples = tegrastats_samples(1)
    assert next(samples).ram_total_mib == 7620
    samples.close()


def test_last_words_of_a_program_are_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_program(tmp_path, "echo 'another instance is running' >&2\nexit 1\n")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(ProgramFailed, match="with exit code 1 another instance is running"):
        next(tegrastats_samples(1))


def test_a_program_of_another_kind_is_not_read_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_program(tmp_path, "exec yes 'GPU 5 C'\n")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(ProgramFailed, match="understands, lastly 'GPU 5 C'"):
        next(tegrastats_samples(1))


def test_missing_program_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotHere, match="tegrastats is not on this machine's PATH"):
        next(tegrastats_samples(1))
