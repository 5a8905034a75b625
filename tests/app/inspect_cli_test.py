"""`mindstream inspect` on state directories that state_writer makes (argv[1]): what it says of users equals an own
recomputation in numpy, in both routing modes, under another model and without one; ids cannot play with the terminal;
wrong usage and bad state are one line and the right status."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np

import ms_history
import ms_reference
from ms_inspect import BINARY, EVIL_USER, KEPT, START, WRITER, World, check, failures, inspect, shown

def check_interests(what, found, expected, model):
    check(f"{what}: K'u", found["slots"] == len(expected.vectors) == len(found["interests"]), found["slots"])
    embedding = model.tensors["item_embedding"]
    for slot, interest in enumerate(found["interests"]):
        vector = np.array(interest["vector"])
        check(f"{what}: vector {slot}", np.abs(vector - expected.vectors[slot]).max() < 1e-5)
        check(f"{what}: weight {slot}", abs(interest["weight"] - expected.weights[slot]) < 1e-5)
        check(f"{what}: norm {slot}", abs(interest["norm"] - np.linalg.norm(vector)) < 1e-6)
        scores = embedding @ vector
        order = np.argsort(-scores)[:5]
        check(f"{what}: nearest {slot}", [near["item"] for near in interest["nearest"]] == [model.ids[i] for i in order]
              and np.abs(np.array([near["score"] for near in interest["nearest"]]) - scores[order]).max() < 1e-6)


def check_behaviors(what, found, kept, model):
    rows = [(behavior["item"], behavior["time"], behavior["type"]) for behavior in found["behaviors"]]
    check(f"{what}: behaviors", rows == [event[2:5] for event in kept], rows[:3])
    check(f"{what}: counters", found["kept"] == len(kept) and found["event_time"] == kept[-1][3])
    known = [n for n, behavior in enumerate(found["behaviors"]) if behavior["item"] in model.rows]
    window = known[-model.L:]
    check(f"{what}: window", found["window"] == len(window))
    expected = model.full([event[2] for event in kept]).coupling
    for n, behavior in enumerate(found["behaviors"]):
        check(f"{what}: known {n}", behavior["known"] == (n in known))
        if n not in window:
            check(f"{what}: no coupling outside the window", behavior["coupling"] is None)
            continue
        coupling = np.array(behavior["coupling"])
        row = expected[window.index(n)]
        check(f"{what}: coupling {n}", np.abs(coupling - row[:len(coupling)]).max() < 1e-5 and not row[len(coupling):].any())


def check_user(world, state, user, mode, partition=None, extra=()):
    what = f"{mode} {user!r} {partition} {extra}"
    kept, arrived = world.of(user, partition)
    more = [] if partition is None else ["--partition", partition]
    found = shown("user", user, "--state-dir", state, "--model", world.model_dir, *more, *extra)
    offsets = [n for n, event in enumerate(world.events) if event[1] == user and partition in (None, event[0])]
    check(f"{what}: user", found["user_id"] == user and found["version"] == len(arrived)
          and found["partition"] == arrived[0][0] and found["own_offset"] == offsets[-1] + 1, found)
    check(f"{what}: mode", found["routing_mode"] == mode and not found["refolded"] and found["model"] == "test@1"
          and found["fold_id"] == found["model_fold_id"] and found["dim"] == 8, found)
    reference = world.reference
    items = [event[2] for event in kept]
    expected = reference.full(items) if mode == "full" else reference.fold([event[2] for event in arrived])
    check_interests(what, found, expected, reference)
    check_behaviors(what, found, kept, reference)
    return found


def check_mode(world, scratch, mode):
    state = world.write(os.path.join(scratch, mode), mode)
    for user in ("long", "short", "mixed", "late", "stranger", EVIL_USER):
        found = check_user(world, state, user, mode)
        check(f"{user!r}: one partition", found["partitions"] == [found["partition"]])
    for partition in (1, 3):
        check("both partitions are told of",
              check_user(world, state, "both", mode, partition)["partitions"] == [1, 3])
    text = inspect("user", "both", "--state-dir", state, "--model", world.model_dir).stdout.decode()
    check("the text tells of the other partition", re.search(r"partition +1 .*also in 3:", text), text)
    check("the coupling's origin is told", ("full routing over the kept window" in text) == (mode == "incremental"), text)
    return state


def check_refold(world, state):
    """Other settings than the state's: a copy is folded again, from what is kept, in the order of time."""
    kept, _ = world.of("long")
    options = ["--state-dir", state, "--model", world.model_dir, "--set", "routing.mode=incremental", "--set", "routing.decay=0.8"]
    found = shown("user", "long", *options)
    check("refolded", found["refolded"] and found["fold_id"] != found["model_fold_id"])
    check_interests("refolded", found, world.reference.fold([event[2] for event in kept], decays=(0.8,)), world.reference)
    check_behaviors("refolded", found, kept, world.reference)
    check("the text says so", b"folded again" in inspect("user", "long", *options).stdout)
    check("the state is as it was", shown("user", "long", "--state-dir", state)["fold_id"] == found["fold_id"])


def check_other_width(scratch, state):
    """A head that changes the width: there is nothing to take inner products with."""
    import ms_model
    directory = os.path.join(scratch, "narrow")
    ms_history.small_model(directory)
    tensors = ms_model.read_safetensors(os.path.join(directory, "model.safetensors"))
    tensors["head.0.weight"] = np.random.default_rng(3).normal(size=(5, 8)).astype(np.float32)
    with open(os.path.join(directory, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    with open(os.path.join(directory, "items.txt"), encoding="utf-8") as file:
        items = file.read().split()
    ms_model.write_model(directory, {**config, "dim": 5, "head": [{"activation": "linear"}]}, tensors, items)
    found = shown("user", "short", "--state-dir", state, "--model", directory)
    check("no nearest items", found["dim"] == 5 and all(i["nearest"] is None and len(i["vector"]) == 5
                                                        for i in found["interests"]), found)
    check("and a text without", inspect("user", "short", "--state-dir", state, "--model", directory).returncode == 0)


def check_profile(scratch):
    """The profile as it came, its part of the vectors, also with profile.order, and whoever has nothing else."""
    import ms_model
    directory, state = os.path.join(scratch, "profiled"), os.path.join(scratch, "profiled-state")
    rng = np.random.default_rng(4)
    items, raw = ["a", "b", "c"], '{"age": 30,\t"g":"m",\n "n":18446744073709551615}'
    tensors = {"item_embedding": rng.normal(size=(3, 4)), "routing.bilinear": rng.normal(size=(4, 4)),
               "profile.g": rng.normal(size=(2, 2))}
    ms_model.write_model(directory, {"extractor": "mind", "dim": 6, "interests": 2, "max_behaviors": 5,
                                     "interest_count": "log2-floor"},
                         {name: tensor.astype(np.float32) for name, tensor in tensors.items()}, items, {"g": ["f", "m"]})
    lines = [(user, item, START + n, "click") for n, item in enumerate(items) for user in ("with", "without")]
    lines += [("with", raw, 0, "profile"), ("only", raw, 0, "profile")]
    text = "".join(f"0 {user.encode().hex()} {'=' * (kind == 'profile')}{item.encode().hex()} {time} -\n" for user, item, time, kind in lines)
    subprocess.run([WRITER, state, directory, "full", str(KEPT)], input=text.encode(), check=True)
    model, at = ms_reference.Model(directory), ["--state-dir", state]
    for order in ("model", "before-interest", "after-interest"):
        model.config["profile"] = {"order": order if order != "model" else "before-interest"}
        for user, profile in (("with", {"g": "m"}), ("without", None)):
            found = shown("user", user, *at, "--model", directory, "--set", f"profile.order={order}")
            expected = model.full(items, profile=profile).vectors
            check(f"{user} {order}: vectors", np.abs(np.array([i["vector"] for i in found["interests"]]) - expected).max() < 1e-6)
            check(f"{user}: profile", found["profile"] == (raw if profile else None) and found["version"] == 3 + bool(profile), found)
    only = shown("user", "only", *at, "--model", directory)
    check("a profile and nothing else", only["profile"] == raw and only["version"] == 0 and only["interests"] == only["behaviors"] == []
          and only["event_time"] is None, only)
    for user, line in (("with", "profile +.*\\\\x09"), ("without", "^$"), ("only", "profile +.*\\\\x09")):
        told = inspect("user", user, *at).stdout.decode()
        check(f"{user}: text", bool(re.search(line, told, re.M)) and told.count("profile") == (user != "without"), told)
    check("users", [row["user_id"] for row in shown("users", *at)["users"]] == ["with", "without"])


def check_without_model(world, state):
    found = shown("user", "long", "--state-dir", state)
    check("behaviors alone", found["model"] is None and "interests" not in found and found["slots"] == 3
          and len(found["behaviors"]) == KEPT and set(found["behaviors"][0]) == {"item", "time", "type"}, found.keys())
    text = inspect("user", "long", "--state-dir", state, "--history").stdout
    check("says what is missing", b"--model" in text and text.count(b"\n") > KEPT)
    cut = inspect("user", "long", "--state-dir", state, "--limit", "7").stdout.decode()
    check("--limit", f"({KEPT - 7} older" in cut and cut.count("click") == 7 and world.events[-1][2] not in cut, cut)


def check_terminal(world, state):
    for arguments in (("user", EVIL_USER, "--model", world.model_dir), ("users",), ("user", EVIL_USER + "x")):
        done = inspect(*arguments, "--state-dir", state)
        text = (done.stdout + done.stderr).decode()
        check(f"{arguments[0]}: no control characters", not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text), text)
        check(f"{arguments[0]}: they are told", "a\\x1b[31mred\\x0a\\x5c\\xc2\\x9bü" in text, text)


def check_lists(world, state):
    users = shown("users", "--state-dir", state)
    rows = users["users"]
    check("users", not users["more"] and [(r["partition"], r["user_id"]) for r in rows] ==
          [(0, "long"), (1, "both"), (1, "short"), (2, "mixed"), (2, "stranger"), (3, "both"), (4, "late"), (5, EVIL_USER)],
          rows)
    check("a user's row", rows[0] == {"user_id": "long", "partition": 0, "version": 700, "behaviors": KEPT, "slots": 3,
                                      "event_time": START + 6990, "own_offset": rows[0]["own_offset"],
                                      "head_bytes": rows[0]["head_bytes"]}, rows[0])
    cut = shown("users", "--state-dir", state, "--limit", "3")
    check("--limit", cut["more"] and cut["users"] == rows[:3], cut)
    check("as many as there are", not shown("users", "--state-dir", state, "--limit", "8")["more"])
    text = inspect("users", "--state-dir", state).stdout.decode().splitlines()
    check("as text", len(text) == 9 and text[0].split() == "user partition version behaviors interests head bytes last event".split()
          and text[1].split() == ["long", "0", "700", "200", "3", str(rows[0]["head_bytes"]), "2023-11-14T22:13:26.990Z"], text)
    partitions = shown("partitions", "--state-dir", state)["partitions"]
    ends = {p: max(n for n, event in enumerate(world.events) if event[0] == p) + 1 for p in range(6)}
    check("partitions", [(p["partition"], p["applied"], p["origin"], p["users"]) for p in partitions] ==
          [(p, ends[p], 0, n) for p, n in enumerate((1, 2, 2, 1, 1, 1))], partitions)
    check("not told", all(p[key] is None for p in partitions for key in ("decode_id", "topic_partitions", "owed_from")), partitions)
    check("as text", len(inspect("partitions", "--state-dir", state).stdout.splitlines()) == 7)
    check("one fold id", {p["fold_id"] for p in partitions} == {shown("user", "long", "--state-dir", state)["fold_id"]})
    stats = shown("stats", "--state-dir", state)
    check("stats", stats["users"] == 8 and stats["partitions"] == 6 and stats["behaviors"] == sum(r["behaviors"] for r in rows)
          and stats["application_id"] == "inspected" and stats["input_topic"] == "clicks" and stats["instance_id"] == "one"
          and stats["disk_bytes"] > stats["head_bytes"] > 1000 and "Compaction Stats" in stats["rocksdb"], stats)
    check("as text", b"users           8\n" in inspect("stats", "--state-dir", state).stdout)


def check_settings(world, scratch, state):
    """-c gives directories and the settings of the fold; the command line is above it."""
    path = os.path.join(scratch, "some.properties")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"application.id=inspected\nstate.dir={state}\nmodel.dir={world.model_dir}\nrouting.mode=full\n")
    check("-c", shown("user", "short", "-c", path)["routing_mode"] == "full")
    check("--state-dir is above it", inspect("users", "-c", path, "--state-dir", scratch).returncode == 1)


def check_usage(scratch, state):
    at = ["--state-dir", state]
    for arguments, code, text in (
            ([], 2, "user, users, partitions, stats, diff, export, import, verify or tail is missing"), (["frob"], 2, "frob"), (["user", *at], 2, "ID is missing"), (["user", "", *at], 2, "ID ''"),
            (["user", "a", "b", *at], 2, "'b'"), (["users", "a", *at], 2, "'a'"), (["users"], 2, "--state-dir"),
            (["users", "--limit", "-1", *at], 2, "--limit"), (["users", "--limit", *at], 2, "--limit"),
            (["user", "a", "--partition", "32768", *at], 2, "--partition"), (["users", "--state-dir"], 2, "--state-dir needs a directory"),
            (["users", "--frob", *at], 2, "--frob"), (["verify", *at], 2, "--model"),
            (["users", *at, "--set", "no.such=1"], 2, "no.such"),
            (["user", "nobody", *at], 1, '"nobody" is not in'), (["user", "long", "--partition", "1", *at], 1, "partition 1"),
            (["user", "long", *at, "--model", scratch], 1, "config.json"), (["users", "--state-dir", scratch], 1, "not a state"),
            (["users", "--state-dir", os.path.join(scratch, "nowhere")], 1, "nowhere")):
        done = inspect(*arguments)
        check(f"usage {arguments}", done.returncode == code and done.stdout == b"" and done.stderr.count(b"\n") == 1
              and text.encode() in done.stderr, done)
    check("--help", inspect("--help").returncode == 0 and b"JSON" in inspect("--help").stdout)
    check("an id like an option", b'"--json" is not in' in inspect("user", *at, "--", "--json").stderr)


def check_failures(scratch, state):
    newer = os.path.join(scratch, "newer")
    shutil.copytree(state, newer)
    with open(os.path.join(newer, "identity"), "w", encoding="utf-8") as file:
        file.write("format=99\n")
    done = inspect("users", "--state-dir", newer)
    check("newer state", done.returncode == 3 and b"newer version" in done.stderr and done.stderr.count(b"\n") == 1, done)
    with open("/dev/full", "wb") as full:
        done = subprocess.run([BINARY, "inspect", "user", "long", "--state-dir", state], stdout=full, stderr=subprocess.PIPE)
    check("a full disk", done.returncode == 1, done)
    check("nothing is left in TMPDIR", not [n for n in os.listdir(os.environ["TMPDIR"]) if n.startswith("mindstream-inspect")])


with tempfile.TemporaryDirectory() as scratch:
    os.environ["TMPDIR"] = scratch
    world = World(scratch)
    full_state = check_mode(world, scratch, "full")
    state = check_mode(world, scratch, "incremental")
    check_refold(world, full_state)
    check_refold(world, state)
    check_other_width(scratch, state)
    check_profile(scratch)
    check_without_model(world, state)
    check_terminal(world, state)
    check_lists(world, state)
    check_settings(world, scratch, full_state)
    check_usage(scratch, state)
    check_failures(scratch, state)
sys.exit(1 if failures else 0)
