"""`mindstream inspect verify` on state directories that state_writer (argv[1]) makes: whole ones of every mode agree, and each
fault that is planted in one user is found and named. Faults come in by export and import."""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

import ms_history
from ms_inspect import START, WRITER, World, check, failures, inspect


class Crowd:
    """Users with late and very late events, unknown items and profiles; some with more events than are kept."""

    def __init__(self, scratch, kept):
        self.model_dir = os.path.join(scratch, "crowd-model")
        items = ms_history.small_model(self.model_dir)
        rng = np.random.default_rng(11)
        self.kept, self.events, self.profiled = kept, [], set()
        for user in range(120):
            for n in range(int(rng.integers(1, 6 * kept if user % 10 == 0 else kept))):
                late = int(rng.integers(0, 40)) if n % 7 == 3 else int(rng.integers(0, 5000)) if n % 31 == 30 else 0
                item = "gone" if rng.random() < 0.1 else items[rng.integers(60)]
                self.events.append((user % 8, f"u{user}", item, START + 10000 * (n - late) + n))
        order = rng.permutation(len(self.events))  # users interleave, each in its own order
        of_user = {}
        for event in self.events:
            of_user.setdefault(event[1], []).append(event)
        self.lines = []
        for place in order:
            partition, user, item, time = of_user[self.events[place][1]].pop(0)
            self.lines.append(f"{partition} {user.encode().hex()} {item.encode().hex()} {time} {b'click'.hex()}")
            if rng.random() < 0.02:
                self.profiled.add(user)
                self.lines.append(f"{partition} {user.encode().hex()} ={json.dumps({'n': int(place)}).encode().hex()} 0 -")

    def write(self, directory, mode, *decay):
        subprocess.run([WRITER, directory, self.model_dir, mode, str(self.kept), *decay],
                       input="".join(line + "\n" for line in self.lines).encode(), check=True)
        return directory


def verify(state, *arguments):
    done = inspect("verify", "--state-dir", state, *arguments, "--json")
    check(f"verify {state} {arguments}", done.returncode in (0, 1) and done.stderr == b"", done)
    root = json.loads(done.stdout)
    summary = root["summary"]
    check("the status", done.returncode == (1 if root["differences"] else 0), done)
    check("the sums", summary["checked"] + summary["not_checkable"] == sum(summary["state"][key] for key in ("agree", "differ", "not_checkable"))
          and sum(summary["state"]["reasons"].values()) == summary["state"]["not_checkable"], summary)
    return root["differences"], summary


def check_whole(scratch):
    """Nothing differs, bit for bit; what cannot be told is counted with its reason."""
    for kept in (40, 200):
        crowd = Crowd(scratch, kept)
        for number, (mode, decay, settings) in enumerate((
                ("full", (), ()), ("incremental", (), ()), ("incremental", ("0.7,0.95",), ("routing.decay=0.7,0.95",)),
                ("incremental", ("-", "1h"), ("routing.half.life=1h",)))):
            state = crowd.write(os.path.join(scratch, f"crowd-{kept}-{number}"), mode, *decay)
            at = ["--model", crowd.model_dir, "--set", f"state.behaviors.max={kept}", "--set", f"routing.mode={mode}"]
            for setting in settings:
                at += ["--set", setting]
            found, summary = verify(state, *at)
            check(f"{mode} {decay}: nothing differs", found == [] and summary["users_in_state"] == 120, found[:3])
            unknown = summary["state"]["reasons"]
            check(f"{mode} {decay}: what cannot be told", (unknown == {}) if mode == "full" else
                  set(unknown) == {"history"} and 8 <= unknown["history"] <= 14, summary)
        found, summary = verify(state, "--model", crowd.model_dir, "--set", f"state.behaviors.max={kept}")
        check("another decay", found == [] and summary["checked"] == 0 and summary["state"]["reasons"] == {"model": 120}, summary)
    samples = [verify(state, *at, "--sample", n)[1] for n in (7, 7, 119, 500)]
    check("--sample", [s["checked"] + s["not_checkable"] for s in samples] == [7, 7, 119, 120] and samples[0] == samples[1], samples)


def planted(scratch, state, name, user, change):
    """A copy of the state in which |change| was done to what is stored of the user."""
    path, copy = os.path.join(scratch, "planted.jsonl"), os.path.join(scratch, name)
    header, *users = map(json.loads, inspect("export", "--state-dir", state).stdout.decode().splitlines())
    for one in users:
        if one["user_id"] == user:
            change(one)
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in (header, *users))
    done = inspect("import", path, "--state-dir", copy)
    check("planting", done.returncode == 0, done)
    return copy


def check_faults(world, scratch):
    states = {mode: world.write(os.path.join(scratch, mode), mode) for mode in ("full", "incremental")}

    def sums(user):
        user["sums"][-1] += 0.25  # of the last of three slots

    def small(user):
        user["sums"][-1] *= 1.0001

    def weight(user):
        user["sums"][0] *= 1.0001

    def item(user):
        user["behaviors"][4]["item"] = "i7" if user["behaviors"][4]["item"] != "i7" else "i8"

    def order(user):
        user["arrived"] = [*range(28), 29, 28]

    def one_less(key):
        def change(user):
            user[key] -= 1
        return change

    found = {}
    for mode, name, change, what in (
            ("incremental", "sums", sums, "vector"), ("incremental", "small", small, "vector"), ("incremental", "weight", weight, "weight"), ("incremental", "item", item, "vector"),
            ("incremental", "order", order, "vector"), ("incremental", "folded", one_less("events_folded"), "events folded"),
            ("incremental", "slots", one_less("slots"), "interests"), ("full", "slots-full", one_less("slots"), "interests"),
            ("full", "time", one_less("event_time"), "event time"), ("full", "version", lambda user: user.update(version=29), "version 29"),
            ("incremental", "sums-time", one_less("sums_time"), "event time of the sums")):
        copy = planted(scratch, states[mode], f"planted-{name}", "mixed", change)
        at = ["--model", world.model_dir, "--set", f"routing.mode={mode}"]
        rows, summary = verify(copy, *at)
        check(f"{name}: found and named", [(row["user_id"], row["partition"]) for row in rows] == [("mixed", 2)] and what in rows[0]["what"]
              and rows[0]["against"] == "kept behaviors" and summary["differ"] == 1, rows, summary)
        found[name] = rows[0]
    check("which slot, and by how much", found["sums"]["slot"] == 2 and 0.001 < found["sums"]["largest"] < 1, found["sums"])
    check("a small one", 0 < found["small"]["largest"] < 1e-4 and found["small"]["slot"] == 2, found["small"])
    copy, at = os.path.join(scratch, "planted-small"), ["--model", world.model_dir, "--set", "routing.mode=incremental"]
    check("--tolerance", verify(copy, *at, "--tolerance", "1e-3")[0] == [])
    # A version that is too great makes a history that is not whole: nothing is claimed, and the sums still agree.
    copy = planted(scratch, states["incremental"], "planted-later", "mixed", lambda user: user.update(version=31))
    check("a later version", verify(copy, *at)[0] == [])
    copy = planted(scratch, states["incremental"], "planted-long", "long", sums)
    rows, summary = verify(copy, *at)
    check("no guess", rows == [] and summary["state"]["reasons"] == {"history": 1}, summary)

    copy = planted(scratch, states["full"], "planted-evil", world.events[-1][1], one_less("event_time"))
    text = inspect("verify", "--state-dir", copy, "--model", world.model_dir, "--set", "routing.mode=full")
    lines = text.stdout.decode().splitlines()
    check("as text", text.returncode == 1 and lines[0].split()[:3] == ["user", "partition", "version"] and lines[1].startswith("a\\x1b[31mred")
          and "kept behaviors" in lines[1] and "newest event time" in lines[1], text)
    check("the last line", lines[-1] == "8 users checked (tolerance 0), 1 differ, 0 could not be checked", lines)
    everything = planted(scratch, states["full"], "planted-all", "short", one_less("slots"))
    for name, user in (("more", "mixed"), ("most", "late")):
        everything = planted(scratch, everything, f"planted-{name}", user, one_less("slots"))
    text = inspect("verify", "--state-dir", everything, "--model", world.model_dir, "--set", "routing.mode=full", "--limit", "2")
    check("--limit", text.returncode == 1 and b"(1 more; --limit 0 shows all)" in text.stdout and b"3 differ" in text.stdout, text)
    return states["full"]


def check_usage(world, scratch, state):
    model = ["--model", world.model_dir]
    for arguments, code, text in (
            ([], 2, "--model"), ([*model, "--sample", "0"], 2, "--sample"), ([*model, "--tolerance", "-1"], 2, "--tolerance"),
            ([*model, "--output-topic", ""], 2, "--output-topic"), ([*model, "--from-input"], 2, "application.id"),
            ([*model, "--output-topic", "interests"], 2, "application.id"), (["--model", scratch], 1, "config.json")):
        done = inspect("verify", "--state-dir", state, *arguments)
        check(f"usage {arguments}", done.returncode == code and text in done.stderr.decode() and done.stdout == b""
              and done.stderr.count(b"\n") == 1, done)
    kafka = ["--set", "bootstrap.servers=127.0.0.1:1", "--set", "output.topic=interests", "--from-input"]
    for settings, text in ((("application.id=other", "input.topic=clicks"), "the state of application inspected"),
                           (("application.id=inspected", "input.topic=others"), "folded from topic clicks")):
        done = inspect("verify", "--state-dir", state, *model, *kafka, *(word for setting in settings for word in ("--set", setting)))
        check(f"{settings}", done.returncode == 2 and text in done.stderr.decode(), done)
    check("no state", inspect("verify", *model, "--state-dir", os.path.join(scratch, "nowhere")).returncode == 1)


with tempfile.TemporaryDirectory() as scratch:
    os.environ["TMPDIR"] = scratch
    check_whole(scratch)
    world = World(scratch)
    check_usage(world, scratch, check_faults(world, scratch))
sys.exit(1 if failures else 0)
