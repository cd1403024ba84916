"""Python reads this by itself where the folder is on PYTHONPATH: child processes find the fake driver."""

import atexit
import json
import os
from pathlib import Path
from typing import NoReturn

if os.environ.get("EDGESR_FAKE_NVIDIA"):
    import fake_nvidia

    fake_nvidia.use_fake_driver(fake_nvidia.MACHINE)
    _exit = os._exit

    def _report() -> None:
        machine = fake_nvidia.MACHINE
        if machine.knobs.report and machine.initialised:
            found = {"left": machine.left(), "faults": machine.faults}
            Path(machine.knobs.report).write_text(json.dumps(found))

    def _report_and_exit(status: int) -> NoReturn:
        _report()
        _exit(status)

    atexit.register(_report)
    os._exit = _report_and_exit
