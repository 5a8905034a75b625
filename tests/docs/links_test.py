#!/usr/bin/python3
"""Relative links of the documents lead to files that exist, and their anchors to headings."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.M | re.S)


def documents():
    return [ROOT / "README.md", *(path for folder in ("docs", "src", "tests", "tools", "conf")
                                  for path in sorted((ROOT / folder).rglob("*.md")))]


def anchors(path):
    """The anchors of a document's headings, as GitHub makes them."""
    found = []
    for heading in re.findall(r"^#+ +(.*)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.M):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
        found.append(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
    return found


def broken(path):
    for target in LINK.findall(FENCE.sub("", path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name) if name else path
        if not file.exists():
            yield f"{target}: no such file"
        elif anchor and anchor not in anchors(file):
            yield f"{target}: no such heading"


def main():
    found = documents()
    links = sum(len(LINK.findall(path.read_text(encoding="utf-8"))) for path in found)
    failures = [f"{path.relative_to(ROOT)}: {text}" for path in found for text in broken(path)]
    print(*failures, f"{len(found)} documents, {links} links, {len(failures)} broken", sep="\n")
    return 1 if failures or links < 20 else 0


if __name__ == "__main__":
    sys.exit(main())
