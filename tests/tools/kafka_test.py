"""`tools/kafka` leaves alone what it did not make: foreign directories, links, and a lock file that holds something. No broker
is started: each case must end before that."""
import os
import pathlib
import subprocess
import sys
import tempfile

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools" / "kafka"
failures = []


def run(*arguments):
    return subprocess.run([TOOL, *map(str, arguments), "--port", "29387"], capture_output=True, timeout=60, text=True)


def tree(directory):
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(directory.rglob("*"))}


def refused(what, scratch, *arguments):
    before = tree(scratch)
    done = run(*arguments)
    after = {path: text for path, text in tree(scratch).items() if not (path.endswith(".lock") and not text)}
    before = {path: text for path, text in before.items() if not (path.endswith(".lock") and not text)}
    if done.returncode != 1 or "left alone" not in done.stderr or after != before:
        failures.append(what)
        print("FAILED:", what, done, sorted(set(before) ^ set(after)))


with tempfile.TemporaryDirectory() as name:
    scratch = pathlib.Path(name)
    foreign = scratch / "foreign"
    foreign.mkdir()
    for file, text in ("server.properties", "broker.id=7\n"), ("pid", "1\n"), ("precious", "x"):
        (foreign / file).write_text(text)
    link, marked = scratch / "link", scratch / "marked"
    marked.mkdir()
    (marked / ".mindstream-kafka").touch()
    (marked / "server.properties").symlink_to(foreign / "server.properties")
    link.symlink_to(marked)
    locked = scratch / "locked"
    pathlib.Path(f"{locked}.lock").write_text("somebody's")
    for command in ("start", "start --purge", "stop --purge", "stop"):
        refused(f"{command} on a foreign directory", scratch, *command.split(), "--dir", foreign)
    for command in ("start", "start --purge", "stop --purge"):
        refused(f"{command} through a link", scratch, *command.split(), "--dir", link)
        refused(f"{command} through a link with a slash", scratch, *command.split(), "--dir", f"{link}/")
    refused("start over a linked file", scratch, "start", "--dir", marked)
    refused("start with a foreign lock", scratch, "start", "--dir", locked)
    done = run("stop", "--purge", "--dir", marked)
    if done.returncode != 0 or os.path.exists(marked) or not (foreign / "server.properties").exists():
        failures.append("purge of its own")
        print("FAILED: purge of its own", done)
sys.exit(1 if failures else 0)
