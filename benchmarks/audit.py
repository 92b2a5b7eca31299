"""Known weaknesses of the packages in requirements.lock: `make audit`.

Ends with 0: none are known; 1: some are, listed; 3: no database of weaknesses answered, so nothing was checked. That
one answers is tried, not believed: asked about a package whose weaknesses are known, it must name them.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parents[1]
TOOL: Final = "pip-audit==2.10.1"
WEAK: Final = "jinja2==2.4.1"  # PYSEC-2014-8, PYSEC-2019-217 and others
NOT_CHECKED: Final = 3


class NotCheckedError(Exception):
    """No database answered for all packages."""


def weaknesses(requirements: Path) -> dict[str, list[str]]:
    """`name version` of every package that a file pins, with the ids of its weaknesses.

    Raises:
        NotCheckedError: it could not be found out for one of them.
    """
    options = ["--no-deps", "--disable-pip", "--strict", "--progress-spinner", "off", "--format", "json"]
    uv = str(Path(sys.executable).with_name("uv"))
    command = [uv, "tool", "run", TOOL, "--requirement", str(requirements), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, LookupError) as error:
        raise NotCheckedError((done.stderr.strip().splitlines() or ["no answer"])[-1]) from error
    return {f"{one['name']} {one['version']}": [weak["id"] for weak in one["vulns"]] for one in found}


def main() -> int:
    try:
        with tempfile.TemporaryDirectory() as folder:
            (asked := Path(folder) / "weak.txt").write_text(f"{WEAK}\n")
            if not any(weaknesses(asked).values()):
                raise NotCheckedError(f"it knows nothing of {WEAK}, whose weaknesses are published")
        found = weaknesses(PROJECT / "requirements.lock")
    except NotCheckedError as error:
        print(f"NOT CHECKED: no database of known weaknesses answers here ({error}).")
        return NOT_CHECKED
    weak = {package: ids for package, ids in found.items() if ids}
    for package, ids in weak.items():
        print(f"{package}: {', '.join(ids)}")
    print(f"{len(found)} packages checked, {len(weak)} with known weaknesses.")
    return 1 if weak else 0


if __name__ == "__main__":
    sys.exit(main())
