#!/usr/bin/python3
"""`mindstream replay --from-file` without a broker: the same state however it is built, killed and resumed, and what it cannot do is
one clear line, the right status, and nothing that a second run would not mend."""

import gzip
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BINARY = os.environ["MINDSTREAM"]
EVENTS = 20000
failures = []


def check(what, holds, *details):
    if not holds:
        failures.append(f"{what}: {details}")


class Place:
    """A directory with a model, events and the settings of a service whose broker is not there."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.model, self.events = self.path("model"), self.path("events.jsonl")
        with open(self.events, "wb") as file:
            subprocess.run([BINARY, "generate", "--users", "500", "--items", "300", "--events", str(EVENTS), "--dim", "8",
                            "--model-out", self.model], stdout=file, stderr=subprocess.DEVNULL, check=True)
        subprocess.run([BINARY, "generate", "--users", "1", "--items", "300", "--events", "0", "--dim", "16", "--model-out",
                        self.path("wide")], capture_output=True, check=True)
        self.config = self.write("replay.properties", "application.id=app\ninstance.id=one\nbootstrap.servers=127.0.0.1:1\n"
                                 f"input.topic=clicks\noutput.topic=interests\nmodel.dir={self.model}\nworkers=2\n")

    def path(self, name):
        return os.path.join(self.scratch, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def command(self, state, *arguments, partitions="4"):
        return [BINARY, "replay", "-c", self.config, "--state-dir", self.path(state), "--json",
                *(("--partitions", partitions) if partitions else ()), *arguments]

    def replay(self, state, *arguments, code=0, says=(), partitions="4", **more):
        """Runs it; returns the summary. Its errors are one line each with these words."""
        done = subprocess.run(self.command(state, *arguments, partitions=partitions), capture_output=True, text=True, timeout=120,
                              check=False, **more)
        check(f"{arguments}: status {code}", done.returncode == code, done.returncode, done.stderr[-1500:])
        for word in says:
            check(f"{arguments}: says {word!r}", re.search(word, done.stderr), done.stderr[-1500:])
        own = [line for line in done.stderr.splitlines() if line.startswith("mindstream replay: ")]
        check(f"{arguments}: one line", len(own) == (code != 0), own)
        return json.loads(done.stdout) if done.stdout else None

    def same(self, a, b):
        done = subprocess.run([BINARY, "inspect", "diff", self.path(a), self.path(b), "--model", self.model, "--set",
                               "routing.mode=incremental"], capture_output=True, text=True, timeout=120, check=False)
        check(f"{a} and {b} are the same", done.returncode == 0, done.stdout[-500:], done.stderr[-500:])


def check_same_state(place):
    """Formats, compression, workers, memory, several files and a kill make no difference."""
    with open(place.events, encoding="utf-8") as file:
        lines = file.readlines()
    third = len(lines) // 3
    place.write("a.jsonl", "".join(lines[:third]))
    with gzip.open(place.path("b.jsonl.gz"), "wt", encoding="utf-8") as file:
        file.writelines(lines[third:2 * third])
    place.write("c.csv", "user_id,item_id,timestamp,event_type\n" + "".join(
        "{user_id},{item_id},{timestamp},{event_type}\n".format(**json.loads(line)) for line in lines[2 * third:]))
    whole = place.replay("whole", "--from-file", place.events, "--workers", "1")
    check("all is folded", (whole["stage"], whole["records"], whole["events"], whole["late"]) == ("read", EVENTS, EVENTS, 0), whole)
    check("where it ends", sum(part["to"] for part in whole["partitions"]) == EVENTS and len(whole["partitions"]) == 4, whole)
    done = place.replay("parts", *(word for name in ("a.jsonl", "b.jsonl.gz", "c.csv") for word in ("--from-file", place.path(name))),
                        "--workers", "4", "--set", "state.memory.bytes=16777216", "--checkpoint", "1")
    check("of parts", done["events"] == EVENTS and len(done["files"]) == 3, done)
    place.same("whole", "parts")
    with open(place.events, "rb") as file:
        done = place.replay("pipe", "--from-file", "-", stdin=file)
    check("of a pipe", done["events"] == EVENTS, done)
    place.same("whole", "pipe")
    check("a pipe that was read whole is not asked for again", place.replay("pipe", "--from-file", "-", stdin=subprocess.DEVNULL)
          ["stage"] == "read")
    for number in (signal.SIGKILL, signal.SIGTERM):
        base = ("--from-file", place.events, "--checkpoint", "1")
        process = subprocess.Popen(place.command("killed", *base, "--rate", "8000"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True)
        time.sleep(2)
        process.send_signal(number)
        _, err = process.communicate()
        if number == signal.SIGTERM:
            check("a stop says that it goes on", process.returncode == 1 and "goes on from here" in err, process.returncode, err)
    done = place.replay("killed", *base)
    check("it went on", done["already"] > 1000 and done["already"] + done["events"] == EVENTS, done)
    place.same("whole", "killed")


def check_bad_lines(place):
    """Named with file and line, counted by reason, passed over; or the end with --strict."""
    bad = ['{"user_id": "u1"', '{"user_id": "", "item_id": "i1", "timestamp": 1}', '{"user_id": "u1", "timestamp": 5}', "",
           '{"user_id": "u1", "item_id": "i1"}', '{"user_id": "u1", "item_id": "i1", "timestamp": "soon"}', "[]"]
    with open(place.events, encoding="utf-8") as file:
        lines = file.read().splitlines()
    path = place.write("bad.jsonl", "\n".join(lines[:100] + bad + lines[100:]) + "\n")
    done = place.replay("bad", "--from-file", path, says=[f"{path}: line 101: ", f"{path}: line 107: ", "line 106: .*soon"])
    check("counted", done["bad_by_reason"] == {"shape": 2, "user": 1, "item": 1, "untimed": 1, "time": 1} and done["bad"] == 6 and
          done["records"] == EVENTS + 6 and done["events"] == EVENTS and done["blank"] == 1, done)
    place.same("whole", "bad")
    place.replay("strict", "--from-file", path, "--strict", code=1, says=[f"{path}: line 101: "])
    place.replay("strict", "--from-file", path, "--strict", code=1, says=[f"{path}: line 101: "])
    place.replay("strict", "--from-file", place.events, "--strict", code=2, says=["is not the file", "--restart"])
    place.replay("strict", "--from-file", place.events, "--strict", "--restart")
    place.same("whole", "strict")
    cut = place.path("cut.gz")
    with open(cut, "wb") as file:
        file.write(gzip.compress("\n".join(lines).encode())[:-2000])
    place.replay("cut", "--from-file", cut, code=1, says=[re.escape(cut), "cut off"])
    late = random.Random(3).sample(lines[:2000], 2000)
    done = place.replay("late", "--from-file", place.write("late.jsonl", "\n".join(late)))
    check("late events are counted", 500 < done["late"] < 2000 and done["events"] == 2000, done)


def check_refused(place):
    """Before anything is made."""
    missing, events = place.path("missing.csv"), ("--from-file", place.events)
    for arguments, code, says in (
            (("--from-file", missing), 1, [re.escape(missing), "No such file"]), (("--from-file", place.scratch), 1, ["is a directory"]),
            ((*events, "--from-file", missing), 1, ["No such file"]), (("--from-file", "-", "--from-file", "-"), 2, ["read once"]),
            ((*events, "--from", "earliest"), 2, ["--from"]), ((*events, "--follow"), 2, ["--follow"]),
            ((*events, "--publish", "every"), 2, ["--publish final"]), ((*events, "--handoff"), 2, ["--to"]),
            ((*events, "--to", "someday"), 2, ["--to 'someday'"]), ((*events, "--partitioner", "fnv"), 2, ["--partitioner"]),
            ((*events, "--set", "input.key.format=json"), 2, ["input.key.format"]),
            ((*events, "--item", "sku.[", ), 2, ["--item|character"])):
        place.replay("none", *arguments, code=code, says=says)
        check(f"{arguments}: nothing is made", not os.path.exists(place.path("none")))
    place.replay("never", *events, partitions=None, code=1, says=["topic clicks", "--partitions"])
    place.replay("never", partitions="4", code=2, says=["--partitions is for --from-file"])
    place.replay("none", *events, "--time", "when", says=["line 1: .*time", "the others are counted"])
    for name, text, code, says in (("log.csv", "user_id,item_id\nu1,i1\n", 2, ["log.csv: line 1: ", "'timestamp'", "--time"]),
                                   ("empty.csv", "", 1, ["empty.csv: the log is empty"]),
                                   ("table.parquet", "PAR1\0", 1, ["table.parquet: the log is Parquet"])):
        place.replay("never", *events, "--from-file", place.write(name, text), code=code, says=says)
        check(f"{name}: nothing is made", not os.path.exists(place.path("never")))


def check_another(place):
    """A state that something else has begun, or holds, stays as it is."""
    events = ("--from-file", place.events)
    place.replay("whole", *events, "--set", "model.dir=" + place.path("wide"), code=2, says=["another model", "--restart"])
    place.replay("whole", *events, "--partitioner", "crc32", code=2, says=["partitioner"])
    place.replay("whole", *events, partitions="8", code=2, says=["4 partitions", "not 8"])
    place.replay("whole", *events, *events, code=2, says=["of 1 files", "there are 2"])
    place.replay("whole", *events, "--item", "sku", code=2, says=["reads its files otherwise"])
    place.replay("whole", *events, "--set", "application.id=other", code=3, says=["app"])
    process = subprocess.Popen(place.command("held", *events, "--rate", "100"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not os.path.exists(place.path("held/replay")):
        time.sleep(0.05)
    place.replay("held", *events, code=1, says=["in use"])
    process.kill()
    process.communicate()
    with open(place.events, "ab") as file:
        file.write(b"\n")
    place.replay("held", *events, code=2, says=["is not the file", "--restart"])
    place.replay("piped", "--from-file", "-", input='{"user_id": "u1", "item_id": "i1", "timestamp": 1}\n{', code=0)
    process = subprocess.Popen(place.command("stopped", "--from-file", "-"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    while not os.path.exists(place.path("stopped/replay")):
        time.sleep(0.05)
    process.kill()
    process.communicate()
    place.replay("stopped", "--from-file", "-", stdin=subprocess.DEVNULL, code=2, says=["standard input", "--restart"])


def check_full_disk(place):
    """The disk is full in the middle. With room again the same command goes on."""
    small = place.path("small")
    os.mkdir(small)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=0755", "tmpfs", small], capture_output=True, check=False).returncode:
        print("no right to mount: a full disk is not tried")
        return
    try:
        base = ("--from-file", place.events, "--checkpoint", "1")
        process = subprocess.Popen(place.command("small/state", *base, "--rate", "5000"), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        while not os.path.exists(place.path("small/state/replay")):
            time.sleep(0.02)
        try:
            with open(os.path.join(small, "ballast"), "wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
        except OSError:
            pass
        _, err = process.communicate()
        check("a full disk", process.returncode == 1 and re.search("[Nn]o space", err), process.returncode, err)
        os.unlink(os.path.join(small, "ballast"))
        done = place.replay("small/state", *base)
        check("it went on", done["stage"] == "read" and done["already"] + done["events"] == EVENTS, done)
        place.same("whole", "small/state")
    finally:
        subprocess.run(["umount", small], check=False)


def main():
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as scratch:
        place = Place(scratch)
        check_same_state(place)
        check_bad_lines(place)
        check_refused(place)
        check_full_disk(place)
        check_another(place)
    print("\n".join(failures) or "all as it should be")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
