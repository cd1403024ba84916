from collections.abc import Callable
from pathlib import Path

import pytest

from edgesr.benchmarks.__main__ import run
from edgesr.benchmarks.matrix import Matrix, read_matrix
from edgesr.benchmarks.matrix_run import measure_matrix, models_of, references_of
from edgesr.benchmarks.rivals import RIVALS, Graph
from edgesr.benchmarks.stored import read_results
from edgesr.runtime.command import command
from edgesr.runtime.errors import InputError, MissingFile
from edgesr.runtime.installed import pip_install

pytest.importorskip("yaml")
MATRICES = Path(__file__).parents[2] / "benchmarks" / "matrices"
MakeModel = Callable[..., Path]


def matrix(**options: object) -> Matrix:
    given = {"networks": ("carn",), "backends": ("onnxruntime",), "sizes": ((32, 16),), "scale": 2, **options}
    return Matrix(**given)


@pytest.fixture
def carn(make_model: MakeModel) -> Path:
    """The folder, with CARN for ONNX Runtime."""
    made = make_model("carn_x2.cpu")
    return made.parent


@pytest.mark.parametrize("path", sorted(MATRICES.glob("*.yaml")), ids=lambda path: path.name)
def test_the_shipped_matrices_can_be_read(path: Path) -> None:
    assert read_matrix(path).budget_s


def test_a_matrix_is_measured_size_by_size(carn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "m.yaml", tmp_path / "out.json"
    file.write_text(
        "scale: 2\nnetworks: [bicubic, carn]\nbackends: [onnxruntime]\nsizes: [32x16, 48x32]\nrounds: 5\nthreads: 1\n"
    )
    page = tmp_path / "out.html"
    assert command(run, ["run", str(file), "--models", str(carn), "-o", str(out), "-o", str(page)]) == 0
    assert "latency at 48x32" in capsys.readouterr().out and page.stat().st_size > 10_000
    found = read_results(out)
    assert [(result.settings.width, result.settings.height) for result in found] == [(32, 16), (48, 32)]
    for result in found:
        assert [model.label for model in result.models] == ["bicubic:2", "carn_x2.cpu"]
        assert result.rounds == 5 and set(map(len, result.orders)) == {2}


def test_files_are_named_by_network_backend_precision_and_size(tmp_path: Path) -> None:
    names = [
        "carn_x2.cpu.onnx", "carn_x2.int8.onnx", "fsrcnn-s_x2.cpu.onnx", "fsrcnn-s_x2.int8.onnx",
        "carn_x2.fp16.32x16.engine", "carn_x2.int8.32x16.engine",
    ]  # fmt: skip
    for name in [*names, "fsrcnn-s_x2.fp16.32x16.engine", "fsrcnn-s_x2.int8.32x16.engine"]:
        (tmp_path / name).touch()
    given = matrix(networks=("carn", "fsrcnn:s"), backends=("onnxruntime",), precisions=("fp32", "fp16", "int8"))
    models, notes = models_of(given, tmp_path, 32, 16)
    assert [Path(model).name for model in models] == [names[0], names[2], names[1], names[3]]
    assert notes == ("left out: onnxruntime at fp16, in which it does not compute",)
    models, notes = models_of(matrix(backends=("tensorrt",), precisions=("fp16", "int8")), tmp_path, 32, 16)
    assert [Path(model).name for model in models] == names[4:] and notes == ()


def test_a_missing_file_comes_with_the_command_that_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for rival in ("ncnn", "pytorch"):  # as if they were installed
        monkeypatch.setattr(RIVALS[rival], "module", "numpy")
    monkeypatch.setattr(
        "onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider", "TensorrtExecutionProvider"]
    )
    for backend, precision, words in (
        (
            "onnxruntime",
            "fp32",
            r"carn_x2\.cpu\.onnx does not exist; .*edgesr-export carn --scale 2 -o .* --target cpu",
        ),
        ("ncnn", "fp32", r"carn_x2\.bare\.onnx .* --target bare"),
        ("tensorrt", "fp16", r"fp16\.32x16\.engine .* --precision fp16 --size 32x16"),
        ("onnxruntime", "int8", r"carn_x2\.int8\.onnx .* --precision int8"),
        ("pytorch", "fp32", r"carn_x2\.fp32\.32x16\.pt2 .* --precision fp32 --size 32x16"),
        ("onnxruntime-cuda", "fp16", r"carn_x2\.fp16\.onnx .* --precision fp16"),
        ("onnxruntime-tensorrt", "fp32", r"carn_x2\.onnx does not exist; .* -o \S*carn_x2\.onnx \("),
    ):
        with pytest.raises(MissingFile, match=words):
            models_of(matrix(backends=(backend,), precisions=(precision,)), tmp_path, 32, 16)


def test_a_runtime_that_is_not_installed_is_left_out_and_named(carn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RIVALS["openvino"], "module", "no_such_module")
    models, notes = models_of(matrix(backends=("onnxruntime", "openvino")), carn, 32, 16)
    assert len(models) == 1
    assert notes == (f"left out: openvino is not installed ({pip_install('peers')})",)
    monkeypatch.setattr(RIVALS["pytorch"], "module", "no_such_module")
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    given = matrix(backends=("pytorch", "onnxruntime-cuda"), precisions=("fp32", "fp16"), parity=True)
    models, notes = models_of(given, carn, 32, 16)
    assert not models and notes[0] == f"left out: pytorch is not installed ({pip_install('export')})"
    assert len(notes) == 2 and "here has only CPUExecutionProvider (pip install onnxruntime-gpu" in notes[1]
    references, notes = references_of(given, carn, 32, 16)
    assert not references and notes == (f"left out: parity, since pytorch is not installed ({pip_install('export')})",)


def test_a_network_that_a_runtime_does_not_take_is_left_out(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Picky(Graph):
        title, module = "Picky", "numpy"

        def prepare(self, name: str, shape: tuple[int, ...]) -> None:
            raise ValueError("no such layer")

        def run(self, array: object) -> None: ...

    monkeypatch.setitem(RIVALS, "openvino", Picky)
    folder = make_model("carn_x2").parent
    make_model("carn_x2.cpu")
    (result,) = measure_matrix(matrix(backends=("onnxruntime", "openvino"), rounds=5, threads=1), folder)
    assert [model.label for model in result.models] == ["carn_x2.cpu"]
    assert any("left out: carn_x2 x2 · Picky failed on 32x16: no such layer" in note for note in result.notes)
    with pytest.raises(InputError, match=r"nothing is left to measure: left out: .* Picky failed"):
        measure_matrix(matrix(backends=("openvino",)), folder)


def test_parity_takes_the_programs_of_the_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RIVALS["pytorch"], "module", "numpy")
    program = tmp_path / "carn_x2.fp32.32x16.pt2"
    program.touch()
    assert references_of(matrix(), tmp_path, 32, 16) == ((), ())
    given = matrix(networks=("bicubic", "carn"), parity=True)
    assert references_of(given, tmp_path, 32, 16) == ((str(program),), ())
    assert given.settings(("bicubic:2",), 32, 16, (str(program),)).references == (str(program),)
    with pytest.raises(MissingFile, match=r"carn_x2\.fp32\.48x32\.pt2 does not exist"):
        references_of(given, tmp_path, 48, 32)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("networks: [rdsr]", "networks: 'rdsr' is unknown; did you mean rdsrn?"),
        ("backends: [onnx]", "backends: 'onnx' is unknown; known: onnxruntime, tensorrt, opencv"),
        ("precisions: [fp12]", "precisions: 'fp12' is unknown; did you mean fp32?"),
        ("network: [carn]", "keys: 'network' is unknown; did you mean networks?"),
        ("sizes: [32]", "sizes: found [32]"),
        ("sizes: ['32']", "'32' is no size"),
        ("sizes: []", "sizes is empty"),
        ("networks: [carn, carn]", "networks names something twice"),
        ("networks: carn", "networks: found 'carn'; expected a list"),
        ("rounds: 2", "rounds is 2; expected at least 5"),
        ("rounds: yes", "rounds: found True; expected a whole number"),
        ("parity: 1", "parity: found 1; expected true or false"),
        ("budget: 5", "budget: '5' is no duration"),
        ("networks: [", "is no YAML"),
        ("x: !!python/object/apply:os.getcwd []", "is no YAML"),
        ("1: 2", "keys: '1' is unknown; known: networks, backends"),
    ],
)
def test_one_clear_line(text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    usual = {"networks": "[bicubic]", "backends": "[onnxruntime]", "sizes": "[32x16]"}
    usual.pop(text.partition(":")[0], None)
    file = tmp_path / "m.yaml"
    file.write_text("\n".join([text, *(f"{key}: {value}" for key, value in usual.items())]))
    assert command(run, ["run", str(file)]) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1


def test_files_that_are_no_matrix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for content, words in (
        (b"", "expected keys"),
        (b"- a", "expected keys"),
        (b"networks: []", "backends, sizes missing"),
    ):
        (tmp_path / "m.yaml").write_bytes(content)
        assert command(run, ["run", str(tmp_path / "m.yaml")]) == 2
        assert words in capsys.readouterr().err
    (tmp_path / "m.yaml").write_bytes(b"\xff\xfe\x00")
    assert command(run, ["run", str(tmp_path / "m.yaml")]) == 2
    assert command(run, ["run", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml does not exist" in capsys.readouterr().err
