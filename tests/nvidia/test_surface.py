"""Our code uses what its version of TensorRT has: every name, in all versions we claim, or behind a probe."""

import copy
import itertools
import json
from pathlib import Path

import pytest
from tests.nvidia.names import MODULE, Offered, Use, check, offered
from tests.nvidia.surface import FILE, VERSIONS, later, packed, surface, unpacked

ROOT = Path(__file__).parent.parent.parent


def is_python(path: Path) -> bool:
    return path.suffix == ".py" or (not path.suffix and path.read_text().startswith("#!/usr/bin/env python"))


OURS = sorted(
    path
    for part in ("runtime", "export", "benchmarks", "scripts")
    for path in (ROOT / part).rglob("*")
    if path.is_file() and path.suffix in (".py", "") and is_python(path) and "tensorrt" in path.read_text()
)
OFFERED = offered(
    {version: surface(version) for version in VERSIONS}, {version: later(version) for version in VERSIONS}
)


def wrong(source: str, offers: Offered = OFFERED) -> list[str]:
    return check(source, offers).problems


def test_surface_is_the_recorded_one(shared: Path) -> None:
    recorded = json.loads((shared / "tensorrt-api" / "surface.json").read_text())
    for kinds in recorded.values():
        for kind in ("enums", "classes"):
            kinds[kind] = {owner: sorted(names) for owner, names in kinds[kind].items()}
        kinds["functions"] = sorted(kinds["functions"])
    assert {version: surface(version) for version in VERSIONS} == recorded


def test_packing_loses_nothing_and_names_its_source() -> None:
    stored = json.loads(FILE.read_text())
    by_version = {version: surface(version) for version in VERSIONS}
    assert unpacked(packed(by_version)) == by_version
    assert len(VERSIONS) == 8 and "tensorrt-cu12-bindings" in stored["source"]
    assert "FP16" in surface("10.16.1.11")["enums"]["BuilderFlag"]
    assert "FP16" not in surface("11.0.0.114")["enums"]["BuilderFlag"]


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_version_has_what_we_use(path: Path) -> None:
    assert check(path.read_text(), OFFERED).problems == []


def all_uses() -> list[tuple[Path, Use]]:
    return [(path, use) for path in OURS for use in check(path.read_text(), OFFERED).uses]


def test_the_walk_sees_builder_and_backend() -> None:
    owners = {use.owner for _, use in all_uses()}
    assert {MODULE, "ILogger", "Builder", "IBuilderConfig", "OnnxParser", "ILayer", "ParserError"} <= owners
    assert {"Runtime", "ICudaEngine", "IExecutionContext", "EngineInspector", "IProgressMonitor", "IProfiler"} <= owners
    assert {"BuilderFlag", "DataType", "MemoryPoolType", "LayerInformationFormat", "ProfilingVerbosity"} <= owners


@pytest.mark.parametrize("name", sorted({f"{use.owner}.{use.name}" for _, use in all_uses()}))
def test_a_name_we_use_is_missed_when_it_is_removed(name: str) -> None:
    owner, _, member = name.partition(".")
    gone = copy.deepcopy(OFFERED)
    for version in gone:
        gone[version].get(owner, set()).discard(member)
    files = {path for path, use in all_uses() if f"{use.owner}.{use.name}" == name}
    for path in files:
        assert any(f"{name} is in no version" in problem for problem in wrong(path.read_text(), gone))


def test_a_name_we_use_everywhere_is_missed_in_the_version_that_loses_it() -> None:
    plain = [(path, use) for path, use in all_uses() if not use.probe and use.versions == frozenset(VERSIONS)]
    assert len(plain) > 40
    for version, (path, use) in zip(itertools.cycle(VERSIONS), plain, strict=False):
        kept = OFFERED[version].get(use.owner, set()) - {use.name}
        gone = {**OFFERED, version: {**OFFERED[version], use.owner: kept}}
        there = f"line {use.line}: {use.owner}.{use.name} is not in "
        assert any(problem.startswith(there) and version in problem for problem in wrong(path.read_text(), gone))


PLANTED = {
    "a flag": ("def f(trt, config): config.set_flag(trt.BuilderFlag.FP16)", "BuilderFlag.FP16"),
    "a flag by another name": ("def f(trt):\n flags = trt.BuilderFlag\n return flags.INT8", "BuilderFlag.INT8"),
    "a calibrator": ("def f(trt, config): config.int8_calibrator = None", "IBuilderConfig.int8_calibrator"),
    "bindings": ("def f(trt, engine): return engine.num_bindings", "ICudaEngine.num_bindings"),
    "an object that a method made": (
        "def f(trt, log):\n e = trt.Runtime(log).deserialize_cuda_engine(b'')\n e.get_binding_name(0)",
        "ICudaEngine.get_binding_name",
    ),
    "an object that a factory was asked for": (
        """
def f(trt, log):
    b = log.made('builder', lambda: trt.Builder(log.logger), E)
    c = log.made('config', b.create_builder_config, E)
    c.max_workspace_size = 1
""",
        "IBuilderConfig.max_workspace_size",
    ),
    "an attribute of self": (
        "from edgesr.runtime.nvidia import load_tensorrt\nclass A:\n def f(self): self._context.execute_async_v2([])",
        "IExecutionContext.execute_async_v2",
    ),
    "a class": ("def f(trt): return trt.IInt8EntropyCalibrator2", "tensorrt.IInt8EntropyCalibrator2"),
    "a function": ("def f(trt): trt.find_lib('x')", "tensorrt.find_lib"),
    "a type": ("def f(trt): return trt.int64", "tensorrt.int64"),
    "a misspelt name": ("def f(trt, engine): engine.create_context()", "ICudaEngine.create_context is in no version"),
    "a misspelt probe": ("def f(trt, config): return hasattr(config, 'progres_monitor')", "is in no version"),
    "a probe for another name": (
        "def f(trt, layer):\n if hasattr(layer, 'num_ranks'): layer.precision = 1",
        "ILayer.precision",
    ),
    "the wrong side of a probe": (
        "def f(trt, config, m):\n if not hasattr(config, 'progress_monitor'): config.progress_monitor = m",
        "IBuilderConfig.progress_monitor",
    ),
    "after a probe's block": (
        "def f(trt, config, m):\n if hasattr(config, 'progress_monitor'): pass\n config.progress_monitor = m",
        "IBuilderConfig.progress_monitor",
    ),
    "a lookup without default": ("def f(trt): return getattr(trt.BuilderFlag, 'FP16')", "BuilderFlag.FP16"),
    "a lookup of whatever": ("def f(trt, n): return getattr(trt.BuilderFlag, n)", "without a default"),
    "a method that a base lacks": (
        """
def f(trt):
    base = getattr(trt, 'IProgressMonitor', None)
    if base is None:
        return None
    class M(base):
        def phase_begin(self): ...
""",
        "IProgressMonitor.phase_begin",
    ),
    "in a lambda": ("def f(trt): return lambda: trt.BuilderFlag.STRICT_TYPES", "BuilderFlag.STRICT_TYPES"),
    "in a comprehension": ("def f(trt, xs): return [trt.BuilderFlag.BF16 for x in xs]", "BuilderFlag.BF16"),
    "an imported module": ("import tensorrt\ntensorrt.BuilderFlag.FP8", "BuilderFlag.FP8"),
}


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_name_is_found(case: str) -> None:
    source, expected = PLANTED[case]
    (problem,) = wrong(source)
    assert expected in problem


GUARDED = {
    "hasattr": "def f(trt, config, m):\n if hasattr(config, 'progress_monitor'): config.progress_monitor = m",
    "either side": (
        "def f(trt, engine): return engine.device_memory_size_v2 if hasattr(engine, 'device_memory_size_v2') "
        "else engine.device_memory_size"
    ),
    "getattr with a default": "def f(trt): return getattr(trt.BuilderFlag, 'FP16', None)",
    "getattr of whatever, with a default": "def f(trt, n): return getattr(trt.BuilderFlag, n, None)",
    "an early return": "def f(trt, layer):\n if not hasattr(layer, 'precision'): return\n layer.set_output_type(0, 1)",
    "an early continue among others": (
        "def f(trt, network, names):\n for n in range(network.num_layers):\n  layer = network.get_layer(n)\n"
        "  if layer.name not in names or not hasattr(layer, 'precision'):\n   continue\n  layer.precision = 1"
    ),
    "one name stands for another of the same versions": (
        "def f(trt, config):\n if hasattr(trt, 'IProgressMonitor'): config.progress_monitor = None"
    ),
    "and": "def f(trt, c): return hasattr(trt.BuilderFlag, 'FP16') and trt.BuilderFlag.FP16",
    "a looked up base": (
        "def f(trt, config):\n base = getattr(trt, 'IProgressMonitor', None)\n if base is not None:\n"
        "  config.progress_monitor = base()"
    ),
    "a filter": "def f(trt, xs): return [trt.BuilderFlag.INT8 for x in xs if hasattr(trt.BuilderFlag, 'INT8')]",
    "ours of the same name": "def f(trt, profile: Profile, xs):\n return profile.title, [cache.size for cache in xs]",
    "another library": "def f(config, engine): return engine.num_bindings, config.int8_calibrator",
}


@pytest.mark.parametrize("case", GUARDED)
def test_a_guarded_name_passes(case: str) -> None:
    assert wrong(GUARDED[case]) == []
