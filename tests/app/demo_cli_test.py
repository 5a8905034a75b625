"""`mindstream demo` from outside: it ends by itself with everything that it promises on the screen and leaves nothing
behind; with --keep, inspect sees the state of the running service, and it equals an own recomputation in numpy. The argument tells which of the two: short, keep."""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

import ms_reference

BINARY = os.environ["MINDSTREAM"]
failures = []


def check(what, held, *seen):
    if not held:
        failures.append(what)
        print("FAILED:", what, *seen)


def check_short():
    began = time.monotonic()
    done = subprocess.run([BINARY, "demo", "--seconds", "4", "--rate=2000"], capture_output=True, timeout=80)
    text = done.stdout.decode()
    check("it ends well and in time", done.returncode == 0 and time.monotonic() - began < 60, done)
    lines = re.findall(r"^ +[\d.]+ s +(\d+) events/s +(\d+) users +(\d+) vectors published +"
                       r"event to publish p50 ([\d.]+) ms, p99 ([\d.]+) ms$", text, re.M)
    check("a line every second or two", 2 <= len(lines) <= 4, text)
    check("the lines grow", [int(line[2]) for line in lines] == sorted({int(line[2]) for line in lines}), lines)
    check("the times make sense", all(0 < float(line[3]) <= float(line[4]) < 5000 for line in lines), lines)
    total = re.search(r"^(\d+) events of (\d+) users read, (\d+) exact duplicates among them; "
                      r"(\d+) vectors published in (\d+) transactions$", text, re.M)
    events, users, duplicates, vectors, transactions = map(int, total.groups()) if total else (0, 0, 0, 0, 0)
    check("what was read was published", vectors == events - duplicates and duplicates < events / 50, total)
    check("nearly as many as asked for", 4000 <= events <= 8001 and 1000 < users <= 2000 and transactions > 10, total)
    check("dead letters", "3 dead letters read back" in text, text)
    check("the service warns of them once a second, and of nothing else",
          re.fullmatch(rb"(\S+ warn bad_event topic=clicks [^\n]*\n){1,3}", done.stderr) is not None, done.stderr)
    check_user(text)
    for command in ("tools/kafka start", f"{BINARY} generate", f"{BINARY} run -c", f"{BINARY} inspect user", "kcat -P"):
        check(f"the way on: {command}", command in text)


def check_user(text):
    user = re.search(r"^One more click: (u\d+) on (i\d+)\. Its record could be read [\d.]+ ms later\.$", text, re.M)
    check("one more click", user, text)
    if not user:
        return
    view = text[text.index("inspect user " + user[1]):text.index("The record that the click gave")]
    check("the user as inspect shows him", all(re.search(pattern, view, re.M) for pattern in (
        rf"^user +{user[1]}$", r"^partition +\d$", r"^version +\d+$", r"^model +generated@1, routing.mode=incremental$",
        r"^  slot +weight +norm  nearest items", r"^ +0 +[\d.]+ +[\d.]+  i\d+ -?[\d.]+  i\d+")), view)
    check("the click is the last behavior", view.rstrip().splitlines()[-1].split()[1] == user[2], view)
    record = re.search(rf"^  topic interests, partition \d, offset \d+, key {user[1]}, \d+ bytes of protobuf:\n"
                       rf"  user_id {user[1]}  version (\d+)  event_time (\S+)  model generated@1  dim 64\n"
                       r"((?:  slot \d  weight [\d.]+  vector \[.*\.\.\.\]\n)+)", text, re.M)
    check("the record", record, text)
    if record:
        check("is of the same version", re.search(rf"^version +{record[1]}$", view, re.M), record[0], view)
        check("is of the click", view.rstrip().splitlines()[-1].split()[0] == record[2], record[0], view)
        check("has as many interests", re.search(rf"^interests +{record[3].count('slot')} \(K'u\)$", view, re.M), record[0])
    check("record and state agree", "the vectors are those of the state (largest difference 0)" in text, text)


def inspect(*arguments):
    done = subprocess.run([BINARY, "inspect", *arguments, "--json"], capture_output=True, timeout=30)
    check(f"inspect {arguments} while it runs", done.returncode == 0, done)
    return json.loads(done.stdout or "{}")


def wait_for_keep(out, demo):
    """The paths that --keep prints, once it does."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and demo.poll() is None:
        with open(out, encoding="utf-8") as file:
            text = file.read()
        found = re.search(r"inspect user (u\d+) --state-dir (\S+/mindstream-demo-\S+) --model (\S+)\n"
                          r"(?:.*\n)*?.*bootstrap address: (\S+)\n", text)
        if found:
            return found.groups()
        time.sleep(0.1)
    return None


def check_live(user, state, model):
    reference = ms_reference.Model(model)
    users = [entry["user_id"] for entry in inspect("users", "--state-dir", state, "--limit", "15")["users"]]
    check("users are listed", len(users) == 15)
    for name in [user, *users]:
        found = inspect("user", name, "--state-dir", state, "--model", model)
        items = [behavior["item"] for behavior in found["behaviors"]]
        # The kept behaviors are all there ever were: the fold can be done again. Within one millisecond, ties keep the
        # order of arrival.
        if found["version"] != len(items):
            continue
        expected, full = reference.fold(items), reference.full(items)
        check(f"{name}: vectors", np.abs(np.array([i["vector"] for i in found["interests"]]) - expected.vectors).max() < 1e-5)
        check(f"{name}: weights", np.abs(np.array([i["weight"] for i in found["interests"]]) - expected.weights).max() < 1e-5)
        coupling = np.array([b["coupling"] for b in found["behaviors"] if b["coupling"] is not None])
        check(f"{name}: coupling", np.abs(coupling - full.coupling[:, :coupling.shape[1]]).max() < 1e-5)


def check_keep(scratch):
    out = os.path.join(scratch, "out")
    with open(out, "wb") as file, open(os.path.join(scratch, "err"), "wb") as errors:
        demo = subprocess.Popen([BINARY, "demo", "--keep", "--seconds=1", "--rate", "1000"], stdout=file, stderr=errors)
        try:
            found = wait_for_keep(out, demo)
            check("--keep says where it is", found is not None)
            if found:
                check_live(*found[:3])
                check("the broker can be met", re.fullmatch(r"127\.0\.0\.1:\d+", found[3]) is not None, found)
                before = inspect("stats", "--state-dir", found[1])["behaviors"]
                time.sleep(2)
                check("clicks go on", inspect("stats", "--state-dir", found[1])["behaviors"] > before + 500, before)
            demo.send_signal(signal.SIGINT)
            check("Ctrl-C ends it well", demo.wait(30) == 0, demo.returncode)
        finally:
            if demo.poll() is None:
                demo.kill()
                demo.wait()


def check_interrupt():
    demo = subprocess.Popen([BINARY, "demo"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    time.sleep(1)
    demo.send_signal(signal.SIGINT)
    _, errors = demo.communicate(timeout=30)
    check("interrupted before its end", demo.returncode == 1 and errors == b"mindstream demo: interrupted\n", errors)


def check_usage():
    for arguments, text in ((["--frob"], "--frob"), (["stray"], "stray"), (["--seconds"], "--seconds"),
                            (["--seconds", "0"], "--seconds 0"), (["--rate", "x"], "--rate x"), (["--rate="], "--rate")):
        done = subprocess.run([BINARY, "demo", *arguments], capture_output=True, timeout=10)
        check(f"usage {arguments}", done.returncode == 2 and done.stdout == b"" and done.stderr.count(b"\n") == 1
              and text.encode() in done.stderr, done)


def check_terminal():
    """On a terminal the live line is rewritten in place."""
    reader, writer = os.openpty()
    demo = subprocess.Popen([BINARY, "demo", "--seconds", "1"], stdout=writer, stderr=subprocess.DEVNULL)
    os.close(writer)
    text = b""
    while True:
        try:
            part = os.read(reader, 4096)
        except OSError:  # the other end is closed
            break
        text += part
    os.close(reader)
    check("on a terminal too", demo.wait(60) == 0)
    lines = [line for line in text.split(b"\n") if b" events/s " in line]
    check("one line, rewritten", len(lines) == 1 and lines[0].count(b"\r\x1b[K") >= 3, lines)


with tempfile.TemporaryDirectory() as scratch:
    os.environ["TMPDIR"] = os.path.join(scratch, "tmp")
    os.mkdir(os.environ["TMPDIR"])
    if sys.argv[1] == "keep":
        check_keep(scratch)
        check_interrupt()
    else:
        os.environ["MINDSTREAM_PUBLISH_MODE"] = "nonsense"  # the demo's settings are its own
        check_short()
        check_terminal()
        check_usage()
    check("nothing is left behind", os.listdir(os.environ["TMPDIR"]) == [], os.listdir(os.environ["TMPDIR"]))
sys.exit(1 if failures else 0)
