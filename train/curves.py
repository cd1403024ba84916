"""A run's CSV log, which goes on in the same file when the run does."""

import csv
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from edgesr.runtime.files import replaced

__all__ = ["Curves"]


class Curves(CSVLogger):
    """Lightning's, in <save_dir>/<name>/version_0.

    first_step: what an earlier process logged from there on is dropped; it is about to be done again.
    """

    def __init__(self, save_dir: str, name: str, first_step: int = 0) -> None:
        super().__init__(save_dir, name, version=0)
        self._first_step = first_step

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        if self._experiment is None:
            self._experiment = _Lines(self.log_dir, self._first_step)
        return self._experiment


class _Lines(ExperimentWriter):
    def __init__(self, log_dir: str, first_step: int) -> None:
        self.first_step = first_step
        super().__init__(log_dir)

    def _check_log_dir_exists(self) -> None:
        """Lightning's would delete the file."""
        path = Path(self.metrics_file_path)
        if not path.is_file():
            return
        lines = path.read_text().splitlines(keepends=True)
        reader = csv.DictReader(line for line in lines if line.endswith("\n"))  # the last may have been cut off
        if not reader.fieldnames:
            path.unlink()
            return
        self.metrics_keys = list(reader.fieldnames)
        kept = [row for row in reader if int(row["step"]) < self.first_step]
        with replaced(path) as beside, beside.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.metrics_keys)
            writer.writeheader()
            writer.writerows(kept)
