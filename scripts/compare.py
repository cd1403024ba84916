"""`make compare`: RDSRN, RDN and CARN against each other and against what edgesr ships, on this machine, from nothing.

Makes what is missing in ./compare, then calls edgesr-bench, then tells what becomes of the sources' claims. Runs in the
development environment, because exporting needs torch. What has no published weights is exported with random ones, good for
timing only and marked so.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from compare_page import markdown, run_of, verdict
from score_published import FILES

from edgesr.runtime.command import Parser, command
from edgesr.runtime.errors import MissingFile, RunError
from edgesr.runtime.files import replaced

ROOT = Path(__file__).resolve().parent.parent
SMALL = ROOT / "train" / "weights" / "ecbsr_small_x4.safetensors"
EXAMPLES = """examples:
  python scripts/compare.py
  python scripts/compare.py --budget 20m --rdsrn rdsrn_x4.safetensors --data Set5
  python scripts/compare.py --also imdn --also carn_m      published weights where ../shared has them
"""


def parser() -> Parser:
    make = Parser("compare.py", "Compare RDSRN, RDN, CARN and the shipped networks at x4 on this machine.", EXAMPLES)
    make.add_argument(
        "--size", default="160x90", metavar="WxH", help="of the input (default: 160x90, for RDN on a CPU)"
    )
    make.add_argument("--budget", default="5m", metavar="TIME", help="for warm-up and rounds (default: 5m)")
    make.add_argument("--threads", metavar="N", help="of the networks (default: all cores)")
    make.add_argument("--folder", type=Path, default=ROOT / "compare", help="for models and report (default: compare)")
    make.add_argument("--rdsrn", type=Path, metavar="FILE", help="a .safetensors checkpoint (default: shared weights)")
    make.add_argument("--also", action="append", default=[], metavar="NETWORK", help="such as imdn, or span:ch28")
    make.add_argument("--data", type=Path, metavar="FOLDER", help="full-size images (default: shared Set5)")
    make.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="where weights/ and data/ lie")
    return make


def call(module: str, *arguments: str | Path) -> None:
    """Run one of our commands; its own error line is what the user sees, and ours says which one it was.

    Files are named from here: the report is shared, and where things lie on this machine is nobody's business.
    """
    named = [os.path.relpath(each) if isinstance(each, Path) else each for each in arguments]
    line = ["-m", f"edgesr.{module}", *named]
    print(f"$ python {' '.join(line)}", flush=True)
    if code := subprocess.run([sys.executable, *line], check=False).returncode:
        raise RunError(f"edgesr.{module} ended with exit code {code}, see above; nothing was compared")


def is_current(made: Path, *, source: Path | None = None) -> bool:
    """`made` is there, and not older than what it was made from."""
    current = made.exists() and (source is None or made.stat().st_mtime >= source.stat().st_mtime)
    if current:
        print(f"kept: {made}")
    return current


def exported(checkpoint: Path, folder: Path) -> Path:
    made = folder / f"{checkpoint.stem}.onnx"
    if not is_current(made, source=checkpoint):
        made.unlink(missing_ok=True)
        call("export", checkpoint, "-o", made, "--target", "cpu")
    return made


def untrained(network: str, folder: Path) -> Path:
    made = folder / "untrained" / f"{file_name(network)}.onnx"  # apart: weights that turn up later take no such name
    made.parent.mkdir(exist_ok=True)
    if not is_current(made):
        call("export", network, "--scale", "4", "-o", made, "--target", "cpu")
    return made


def published(network: str, shared: Path, folder: Path) -> Path:
    """With the authors' weights where they are there, else with random ones."""
    known = FILES.get(f"{network} x4")
    source = shared / "weights" / known if known else None
    if source is None or not source.is_file():
        print(f"no {source or 'published weights'}: {network} gets random weights, its quality stays empty")
        return untrained(network, folder)
    checkpoint = folder / f"{file_name(network)}.safetensors"
    if not is_current(checkpoint, source=source):
        checkpoint.unlink(missing_ok=True)
        call("train", "import", source, "--network", network, "--scale", "4", "-o", checkpoint)
    return exported(checkpoint, folder)


def file_name(network: str) -> str:
    return f"{network.replace(':', '_')}_x4"


def rdsrn(given: Path | None, shared: Path, folder: Path) -> Path:
    """The checkpoint that was given, else the published one."""
    if given is None:
        return published("rdsrn", shared, folder)
    if not given.is_file():
        raise MissingFile(f"--rdsrn {given} does not exist; expected a .safetensors checkpoint")
    return exported(given, folder)


def run(arguments: Sequence[str]) -> None:
    options = parser().parse_args(arguments)
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    models: list[str | Path] = [
        rdsrn(options.rdsrn, options.shared, folder),
        *(published(network, options.shared, folder) for network in ("rdn", "carn", *options.also)),
        "default",
        exported(SMALL, folder),
        "bicubic:4",
    ]
    data = options.data or options.shared / "data" / "Set5"
    extra: list[str | Path] = []
    if options.data is not None or data.is_dir():
        extra += ["--data", data]
    else:
        print(f"no {data}: the quality columns stay empty")
    if options.threads is not None:
        extra += ["--threads", options.threads]
    report, html, page = folder / "report.json", folder / "report.html", folder / "compare.md"
    outputs = ("--json", report, "--html", html, "--force")  # each is replaced whole, and only at the end
    call("benchmarks", "latency", *models, "--size", options.size, "--budget", options.budget, *extra, *outputs)
    result = run_of(report)
    with replaced(page) as beside:
        beside.write_text(markdown(result))
    print("", *verdict(result), "", sep="\n")
    print(f"the report: {html}, for a README: {page}, every sample: {report}")
    print("into README.md and docs/benchmarks.md: make compare-page")


if __name__ == "__main__":
    sys.exit(command(run))
