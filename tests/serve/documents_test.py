"""Pages that are made from tables are as their tables make them. Usage: documents_test.py SOURCE_DIRECTORY"""

import os
import pathlib
import re
import subprocess
import sys

BINARY = os.environ["MINDSTREAM"]


def main():
    root = pathlib.Path(sys.argv[1])
    made = subprocess.run([BINARY, "config", "--metrics"], capture_output=True, text=True, check=True).stdout
    if made != (root / "docs/metrics.md").read_text(encoding="utf-8"):
        sys.exit("docs/metrics.md is not what `mindstream config --metrics` prints: write it anew")
    sources = "".join(path.read_text(encoding="utf-8") for path in sorted((root / "src/serve").glob("*.c")))
    routes = set(re.findall(r'\.path = "([^"]+)"', sources))
    page = (root / "docs/http.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(/[^`?]*)", page, re.MULTILINE))
    if routes != told:
        sys.exit(f"docs/http.md and the table of routes differ in {sorted(routes ^ told)}")
    print(f"{len(routes)} routes, {made.count(chr(10) + '| `')} metrics")


if __name__ == "__main__":
    main()
