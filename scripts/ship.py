"""The weights that we ship: train them all, install them with scores and log, write the pages that show them.

    python scripts/ship.py train [NAME ...] --root FOLDER     in order of need; a run that is there is gone on with
    python scripts/ship.py install [NAME ...]                 scores, weights and log into train/weights
    python scripts/ship.py page                               the table of train/weights/README.md, the curves of docs/training.md

A name is that of a recipe in train/recipes/shipped and of its weights, fsrcnn_x4. One call of `train` does everything on a GPU
machine; what it cannot finish there is resumed by the next call.
"""

import csv
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

from edgesr.runtime.command import Parser, command
from edgesr.runtime.errors import InputError, MissingFile
from edgesr.runtime.files import replaced
from edgesr.train.bench import processor_name
from edgesr.train.checkpoint import load_checkpoint, read_metadata, save_checkpoint
from edgesr.train.evaluate import PROTOCOLS, evaluate, mean_score
from edgesr.train.fit import fit, recipes
from edgesr.train.resume import run_exists

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "train" / "weights"
README, CURVES = WEIGHTS / "README.md", ROOT / "docs" / "images" / "training.png"
TRAINING = ROOT / "docs" / "training.md"
HOURS = (0.1, 0.25, 0.5, 1.0, 1.5)
BEGIN, END = "<!-- made by make weights: begin -->\n", "<!-- made by make weights: end -->\n"
SETS = ("Set5", "Set14", "BSD100")
LONGEST_PAUSE = 900.0  # seconds between two events that still count as training


def shipped() -> dict[str, Path]:
    """Name -> recipe, each after those that it begins from."""
    found = {name.removeprefix("shipped/"): path for name, path in recipes().items() if name.startswith("shipped/")}
    order: dict[str, Path] = {}

    def add(name: str) -> None:
        model = yaml.safe_load(found[name].read_text())["model"]
        for needed in (model.get("start"), (model.get("teacher") or {}).get("weights")):
            before = Path(needed).stem if needed else ""
            if before in found and before not in order:
                add(before)
        order.setdefault(name, found[name])

    for name in sorted(found):
        add(name)
    return order


def chosen(names: Sequence[str]) -> list[str]:
    known = list(shipped())
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"no weights {', '.join(unknown)} are shipped; expected some of {', '.join(known)}")
    return [name for name in known if name in names or not names]


def train(options: Namespace) -> None:
    for name in chosen(options.names):
        output = options.runs / name
        if next(output.glob("*.safetensors"), None):
            print(f"{name}: trained already")
            continue
        overrides = ["--data.root", str(options.root), *options.overrides]
        done = fit(f"shipped/{name}", output, overrides, resume=run_exists(output), tell=print)
        print(f"{name}: {done.scores}")
        install_one(name, output, options.root)  # the next may begin from it


def install(options: Namespace) -> None:
    for name in chosen(options.names):
        output = options.runs / name
        if next(output.glob("*.safetensors"), None):
            install_one(name, output, options.root)
            print(f"installed {name}")
        elif options.names:
            raise MissingFile(f"{output} holds no finished run; train it first: python scripts/ship.py train {name}")


def install_one(name: str, output: Path, root: Path) -> None:
    """Weights with the scores of the test sets, and the run's curve as CSV: step, hours, PSNR on the images held out."""
    source = next(output.glob("*.safetensors"))
    network, scores = load_checkpoint(source)
    for folder in SETS:
        mean = mean_score(list(evaluate(network, root / folder, PROTOCOLS["matlab"])))
        assert mean.psnr_db is not None
        scores |= {f"{folder} PSNR": mean.psnr_db, f"{folder} SSIM": mean.ssim}
    curve = list(course(output))
    notes = {
        "recipe": f"train/recipes/shipped/{name}.yaml",
        "steps": read_metadata(source)["steps"],
        "hours": f"{curve[-1].hours:.2f}",
        "hardware": hardware(),
    }
    save_checkpoint(WEIGHTS / f"{name}.safetensors", network, scores, **notes)
    with replaced(WEIGHTS / f"{name}.csv") as beside, beside.open("w", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["step", "hours", "validation_psnr_db"])
        lines.writerows([point.step, f"{point.hours:.4f}", f"{point.psnr_db:.4f}"] for point in curve)


@dataclass(frozen=True)
class Point:
    step: int
    hours: float
    psnr_db: float


def course(output: Path) -> Iterator[Point]:
    """The PSNR on the images held out after each epoch, with the hours trained until then, pauses left out."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events: list[tuple[float, int, float | None]] = []
    for file in sorted((output / "tensorboard").rglob("events.out.*")):
        log = EventAccumulator(str(file), size_guidance={"scalars": 0})
        log.Reload()
        for tag in set(log.Tags()["scalars"]) & {"psnr", "loss"}:
            events += [(one.wall_time, one.step, one.value if tag == "psnr" else None) for one in log.Scalars(tag)]
    events.sort()
    seconds, before = 0.0, events[0][0] if events else 0.0
    for when, step, psnr_db in events:
        seconds += when - before if when - before < LONGEST_PAUSE else 0.0
        before = when
        if psnr_db is not None:
            yield Point(step, seconds / 3600, psnr_db)


def hardware() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"one core of {processor_name()}, shared with other work"


def page(_options: Namespace) -> None:
    for path, made in ((README, table()), (TRAINING, hours_table())):
        before, rest = path.read_text().split(BEGIN)
        path.write_text(before + BEGIN + made + END + rest.split(END)[1])
    plot()
    print(f"wrote {README}, {TRAINING} and {CURVES}")


def table() -> str:
    """Markdown: every checkpoint in train/weights with what its metadata say."""
    head = [
        "weights",
        "network",
        *(f"{name}, PSNR / SSIM" for name in SETS),
        "parameters",
        "steps",
        "hours",
        "hardware",
    ]
    lines = [head, ["---"] * len(head)]
    for path in sorted(WEIGHTS.glob("*.safetensors")):
        network, scores = load_checkpoint(path)
        told = read_metadata(path)
        quality = [f"{scores[f'{name} PSNR']:.2f} / {scores[f'{name} SSIM']:.4f}" for name in SETS]
        options = ", ".join(f"{key} {value}" for key, value in network.options.items())
        title = f"{network.name} x{network.scale}" + (f" ({options})" if options else "")
        made = [f"{int(told['steps']):,}", told.get("hours", ""), told.get("hardware", "")]
        lines.append([f"`{path.name}`", title, *quality, f"{network.spec().parameters:,}", *made])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def curves() -> dict[str, list[Point]]:
    """Name of weights -> what they had reached when, from the logs beside them; without those whose log has no hours."""
    found = {}
    for path in sorted(WEIGHTS.glob("*.csv")):
        with path.open() as file:
            rows = [row for row in csv.DictReader(file) if row.get("hours")]
        if rows:
            found[path.stem] = [Point(int(r["step"]), float(r["hours"]), float(r["validation_psnr_db"])) for r in rows]
    return found


def hours_table() -> str:
    """PSNR on the images held out after so many hours; nothing where a run was over before."""
    lines = [["weights", *(f"{hours:g} h" for hours in HOURS), "at the end"], ["---"] + ["---:"] * (len(HOURS) + 1)]
    for name, points in curves().items():
        cells = []
        for hours in HOURS:
            until = [point for point in points if point.hours <= hours]
            cells.append(f"{until[-1].psnr_db:.2f}" if until and points[-1].hours > hours else "")
        lines.append([f"`{name}`", *cells, f"{points[-1].psnr_db:.2f} ({points[-1].hours:.2f} h)"])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def plot() -> None:
    """What the shipped weights had reached after how many hours, a panel for each scale."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels: dict[str, dict[str, list[Point]]] = {}
    for name, points in curves().items():
        panels.setdefault(name.rpartition("_")[2], {})[name] = points
    figure, row = pyplot.subplots(1, len(panels), figsize=(4.2 * len(panels), 5), layout="constrained", squeeze=False)
    for axes, (scale, drawn) in zip(row[0], sorted(panels.items()), strict=True):
        for name, points in drawn.items():
            axes.plot([point.hours for point in points], [point.psnr_db for point in points], label=name, linewidth=1.2)
        axes.set(title=scale, xlabel="hours")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    row[0, 0].set_ylabel("PSNR on the images held out, Y, dB")
    figure.suptitle("Training of the shipped weights")
    with replaced(CURVES) as beside:
        figure.savefig(beside, dpi=110)
    pyplot.close(figure)


def run(arguments: Sequence[str]) -> None:
    make = Parser("ship.py", "Train, install and show the weights that edgesr ships.")
    verbs = make.add_subparsers(dest="verb", required=True, parser_class=lambda **kw: Parser(**kw))
    for name, text in (("train", "train them, in order of need"), ("install", "take finished runs into train/weights")):
        verb = verbs.add_parser(name, description=text)
        verb.add_argument("names", nargs="*", metavar="NAME")
        verb.add_argument("--root", type=Path, default=ROOT.parent / "shared" / "data", help="of the images")
        verb.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder of the runs (default: runs)")
        if name == "train":
            verb.add_argument("--overrides", nargs="*", default=[], metavar="--KEY=VALUE", help="for every recipe")
    verbs.add_parser("page", description="write the table and the curves")
    options = make.parse_args(arguments)
    {"train": train, "install": install, "page": page}[options.verb](options)


if __name__ == "__main__":
    sys.exit(command(run))
