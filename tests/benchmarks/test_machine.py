"""What a result tells of the machine, and what it does not."""

import json
import sys

from edgesr.benchmarks.machine import this_machine, without_places


def test_results_do_not_tell_where_things_lie() -> None:
    facts = {"python": {"files": ["/home/me/env/bin/python", "/usr/bin/python3"], "found": True}, "cpu": "some"}
    assert without_places(facts, "/home/me/env", "/home/me") == {
        "python": {"files": ["<environment>/bin/python", "/usr/bin/python3"], "found": True},
        "cpu": "some",
    }
    assert sys.prefix not in json.dumps(this_machine().facts)
