"""A stand-in for a lock node: a real process that spools like one, joins nothing, and ends as it is told.

    python standin.py BEHAVIOUR node --address A --master M --data FOLDER --label L

BEHAVIOUR: "obeys" ends at SIGTERM, "stubborn" does not, "fails" prints why and ends at once.
"""

import json
import signal
import sys
import time
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Be a node."""
    behaviour, options = arguments[0], dict(zip(arguments[2::2], arguments[3::2], strict=True))
    if behaviour == "fails":
        sys.stderr.write("the disk of this node is made of cheese\n")
        return 3
    signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour == "stubborn" else signal.SIG_DFL)
    incarnation = time.time_ns()
    lines = [
        {"spool": 1, "source": options["--address"], "incarnation": str(incarnation)},
        {"n": 1, "w": incarnation, "kind": "granted", "key": "k", "owner": "ada", "generation": 7},
    ]
    folder = Path(options["--data"]) / "spool"
    folder.mkdir(exist_ok=True)
    draft = folder / f"draft-{options['--label']}"
    draft.write_text("".join(json.dumps(line) + "\n" for line in lines))
    draft.rename(folder / f"{options['--label']}-{incarnation}.ndjson")
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
