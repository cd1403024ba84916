"""`make scores`: PSNR of the checkpoints that authors published, imported by us, into docs/published_scores.json.

The files are the authors' and lie in no clone; where they are: --weights FOLDER/<network>/<file>.
"""

import json
from argparse import ArgumentParser
from datetime import date
from importlib.metadata import version
from pathlib import Path

from edgesr.train.evaluate import PROTOCOLS, evaluate, mean_score
from edgesr.train.published import network_from_published

ROOT = Path(__file__).resolve().parent.parent
FILES = {
    "rdsrn x2": "rdsrn/x2.pth",
    "rdsrn x4": "rdsrn/x4.pth",
    "imdn x2": "imdn/IMDN_x2.pth",
    "imdn x4": "imdn/IMDN_x4.pth",
    "rfdn x4": "rfdn/RFDN_AIM.pth",
    "rlfn x4": "rlfn/rlfn_x4.pth",
    "rlfn_s x4": "rlfn/rlfn_s_x4.pth",
    "pan x4": "pan/PANx4_DF2K.pth",
    "safmn:challenge x4": "safmn/team15_SAFMN.pth",
    "efdn x4": "efdn/EFDN_gv.pth",
    "fmen x4": "fmen/team03_fmen.pth",
    "bsrn:s x4": "bsrn/team18_bsrn.pth",
    "span:ch28 x4": "span/team38_span_ch28_slim.pth",
    "carn_m x2": "carn_m/carn_m.pth",
    "carn_m x3": "carn_m/carn_m.pth",
    "carn_m x4": "carn_m/carn_m.pth",
    "lesrcnn x4": "lesrcnn/lesrcnn_x4.pth",
}
"""Network (or variant) and scale -> the authors' file."""


def main() -> None:
    make = ArgumentParser(description=__doc__)
    make.add_argument("--weights", type=Path, default=ROOT.parent / "shared" / "weights")
    make.add_argument(
        "--data", type=Path, nargs="+", default=[ROOT.parent / "shared" / "data" / n for n in ("Set5", "Set14")]
    )
    make.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "published_scores.json")
    options = make.parse_args()
    scores: dict[str, dict[str, float]] = {}
    for title, file in FILES.items():
        name, scale = title.split(" x")
        network = network_from_published(options.weights / file, name, int(scale))
        scores[title] = {
            folder.name: round(mean_score(list(evaluate(network, folder, PROTOCOLS["matlab"]))).psnr_db or 0.0, 4)
            for folder in options.data
        }
        print(title, scores[title], flush=True)
        made = {"made": date.today().isoformat(), "torch": version("torch"), "protocol": "matlab", "psnr_db": scores}
        options.output.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
