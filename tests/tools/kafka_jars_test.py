"""`tools/kafka` starts only jars that it has compared with their sums: what Maven brings, and what lies in its cache from before. Maven is
one of this test's own; Java stands still where it would run the jars."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
JARS = {"kafka_2.13-9.9.9.jar": "the broker", "scala.jar": "a library"}
failures = []

# Copies $JARS to -DoutputDirectory, and writes down how it was called.
MAVEN = """#!/bin/bash
echo "$@" >>"$CALLS"
for word; do
    [[ $word != -DoutputDirectory=* ]] || cp -r "$JARS" "${word#*=}"
done
"""


class World:
    """Tools, jars that Maven brings, and a cache, in a folder of their own."""

    def __init__(self, folder, pinned=True):
        self.folder = folder
        for name in ("tools/kafka-jars", "bin", "jars"):
            (folder / name).mkdir(parents=True)
        for tool in ("kafka", "install", "packages"):
            shutil.copy(ROOT / "tools" / tool, folder / "tools")
        (folder / "bin/mvn").write_text(MAVEN)
        (folder / "bin/mvn").chmod(0o755)
        for name, text in JARS.items():
            (folder / "jars" / name).write_text(text)
        self.cache = folder / "cache/mindstream/kafka-9.9.9"
        if pinned:
            (folder / "tools/kafka-jars/9.9.9.sha256").write_text(
                "".join(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in JARS.items()))

    def start(self):
        """Starts a broker; the jars are no jars, so that Java refuses them. Whether it came that far, and what was said."""
        environment = {**os.environ, "PATH": f"{self.folder}/bin:{os.environ['PATH']}", "XDG_CACHE_HOME": str(self.folder / "cache"),
                       "JARS": str(self.folder / "jars"), "CALLS": str(self.folder / "calls")}
        done = subprocess.run([self.folder / "tools/kafka", "start", "--port", "29386", "--dir", self.folder / "broker", "--version", "9.9.9"],
                              capture_output=True, text=True, timeout=60, env=environment)
        return "could not format" in done.stderr, done.stderr

    def calls(self):
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []


def check(what, held, *seen):
    if not held:
        failures.append(what)
        print("FAILED:", what, *seen)


def damages(folder):
    """What can be wrong with the jars in a folder: (what, the word for it)."""
    jar = folder / "scala.jar"
    yield "changed", lambda: jar.write_text("a Library"), "scala.jar: FAILED"
    yield "cut", lambda: jar.write_text(""), "scala.jar: FAILED"
    yield "gone", jar.unlink, "missing: scala.jar"
    yield "one more", lambda: (folder / "evil.jar").write_text("x"), "unknown: evil.jar"
    yield "one more, hidden", lambda: (folder / ".evil.jar").write_text("x"), "unknown: .evil.jar"
    yield "one renamed", lambda: jar.rename(folder / "Scala.jar"), "unknown: Scala.jar"


def check_pinned(scratch):
    for number in range(6):
        world = World(scratch / f"fetched {number}")
        what, damage, word = list(damages(world.folder / "jars"))[number]
        damage()
        ran, said = world.start()
        check(f"Maven brings {what}", not ran and "not Kafka 9.9.9" in said and word in said and not world.cache.exists(), said)
        world = World(scratch / f"kept {number}")
        check("good jars are used", world.start()[0] and "--strict-checksums" in world.calls()[0])
        check("and again", world.start()[0] and len(world.calls()) == 1, world.calls())
        what, damage, word = list(damages(world.cache))[number]
        damage()
        ran, said = world.start()
        check(f"the cache has {what}", not ran and "are not used" in said and word in said and len(world.calls()) == 1, said)
        shutil.rmtree(world.cache)
        check("fetched again", world.start()[0])
    world = World(scratch / "linked")
    world.cache.parent.mkdir(parents=True)
    world.cache.symlink_to(world.folder / "jars")
    check("a link in the cache's place", not world.start()[0])


def check_unknown(scratch):
    world = World(scratch / "unknown", pinned=False)
    ran, said = world.start()
    check("a version without sums says so", ran and "has no sums of Kafka 9.9.9" in said, said)
    check("it is compared with the repository's", "--strict-checksums" in world.calls()[0] and "-Dmaven.repo.local=" in world.calls()[0])
    check("it is used again", world.start()[0] and len(world.calls()) == 1)
    (world.cache / "scala.jar").write_text("changed")
    ran, said = world.start()
    check("what was fetched then counts", not ran and "scala.jar: FAILED" in said, said)
    pathlib.Path(f"{world.cache}.sha256").unlink()
    ran, said = world.start()
    check("a cache without sums is not used", not ran and "no sums to compare" in said, said)


def check_lists():
    """The lists that come with the tool are complete."""
    lists = sorted((ROOT / "tools/kafka-jars").glob("*.sha256"))
    check("there are lists", {"3.9.1", "4.1.0"} <= {path.stem for path in lists}, lists)
    for path in lists:
        lines = [line.split("  ") for line in path.read_text().splitlines()]
        names = [name for _, name in lines]
        check(f"{path.name}", all(len(digest) == 64 for digest, _ in lines) and names == sorted(names) and len(names) > 40 and
              f"kafka_2.13-{path.stem}.jar" in names, names)


with tempfile.TemporaryDirectory() as folder:
    check_pinned(pathlib.Path(folder))
    check_unknown(pathlib.Path(folder))
check_lists()
sys.exit(1 if failures else 0)
