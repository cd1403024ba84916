"""`make compare`: RDSRN, RDN, CARN and ECBSR against each other on this machine, from nothing.

Makes what is missing in ./compare, then calls edgesr-bench. Runs in the development environment, because exporting
needs torch. What has no published weights is exported with random ones, good for timing only and marked so.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edgesr.runtime.backends import DEFAULT_MODEL
from edgesr.runtime.command import Parser, command
from edgesr.runtime.errors import MissingFile, RunError

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = """examples:
  python scripts/compare.py
  python scripts/compare.py --budget 20m --rdsrn rdsrn_x4.safetensors --data Set5
"""


def parser() -> Parser:
    make = Parser("compare.py", "Compare RDSRN, RDN, CARN and ECBSR at x4 on this machine.", EXAMPLES)
    make.add_argument(
        "--size", default="160x90", metavar="WxH", help="of the input (default: 160x90, for RDN on a CPU)"
    )
    make.add_argument("--budget", default="5m", metavar="TIME", help="for warm-up and rounds (default: 5m)")
    make.add_argument("--threads", metavar="N", help="of the networks (default: all cores)")
    make.add_argument("--folder", type=Path, default=ROOT / "compare", help="for models and report (default: compare)")
    make.add_argument("--rdsrn", type=Path, metavar="FILE", help="a .safetensors checkpoint (default: shared weights)")
    make.add_argument("--data", type=Path, metavar="FOLDER", help="full-size images (default: shared Set5)")
    make.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="where weights/ and data/ lie")
    return make


def call(module: str, *arguments: str | Path) -> None:
    """Run one of our commands; its own error line is what the user sees, and ours says which one it was."""
    line = ["-m", f"edgesr.{module}", *map(str, arguments)]
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
    made = folder / "untrained" / f"{network}_x4.onnx"  # apart: weights that turn up later take no such name
    made.parent.mkdir(exist_ok=True)
    if not is_current(made):
        call("export", network, "--scale", "4", "-o", made, "--target", "cpu")
    return made


def rdsrn(given: Path | None, shared: Path, folder: Path) -> Path:
    """The checkpoint that was given, else the authors' weights, else random ones."""
    if given is not None:
        if not given.is_file():
            raise MissingFile(f"--rdsrn {given} does not exist; expected a .safetensors checkpoint")
        return exported(given, folder)
    published = shared / "weights" / "rdsrn" / "x4.pth"
    if not published.is_file():
        print(f"no {published}: RDSRN gets random weights, its quality stays empty")
        return untrained("rdsrn", folder)
    checkpoint = folder / "rdsrn_x4.safetensors"
    if not is_current(checkpoint, source=published):
        checkpoint.unlink(missing_ok=True)
        call("train", "import", published, "--network", "rdsrn", "--scale", "4", "-o", checkpoint)
    return exported(checkpoint, folder)


def ecbsr(folder: Path) -> Path:
    if DEFAULT_MODEL.is_file():
        return DEFAULT_MODEL
    print(f"no {DEFAULT_MODEL}: ECBSR gets random weights, its quality stays empty")
    return untrained("ecbsr", folder)


def run(arguments: Sequence[str]) -> None:
    options = parser().parse_args(arguments)
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    models = [
        rdsrn(options.rdsrn, options.shared, folder),
        untrained("rdn", folder),
        untrained("carn", folder),
        ecbsr(folder),
    ]
    data = options.data or options.shared / "data" / "Set5"
    extra: list[str | Path] = []
    if options.data is not None or data.is_dir():
        extra += ["--data", data]
    else:
        print(f"no {data}: the quality columns stay empty")
    if options.threads is not None:
        extra += ["--threads", options.threads]
    report, page = folder / "report.json", folder / "report.md"
    outputs = ("--json", report, "--markdown", page, "--force")  # each is replaced whole, and only at the end
    call("benchmarks", "latency", *models, "--size", options.size, "--budget", options.budget, *extra, *outputs)
    print(f"the report: {page}, every sample: {report}")


if __name__ == "__main__":
    sys.exit(command(run))
