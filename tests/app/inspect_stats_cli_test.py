"""`mindstream inspect stats` on a state directory that state_writer makes (argv[1]): histograms equal an own count of the
events, a collapsed model is told of. And colours: on a terminal, where they are wanted."""
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np

import ms_model
from ms_inspect import BINARY, KEPT, World, check, failures, inspect, shown


def counted(histogram, values):
    """Whether the buckets hold what the values give, and are next to each other."""
    edges = [(bucket["from"], bucket["to"]) for bucket in histogram["buckets"]]
    if any(a[1] != b[0] for a, b in zip(edges, edges[1:])) or edges[-1][1] is not None or histogram["users"] != len(values):
        return False
    counts = [sum((low <= value or n == 0) and (high is None or value < high) for value in values)
              for n, (low, high) in enumerate(edges)]
    return counts == [bucket["count"] for bucket in histogram["buckets"]] and abs(histogram["mean"] - np.mean(values)) < 1e-5


def cosine(vectors):
    unit = np.array(vectors) / np.linalg.norm(vectors, axis=1, keepdims=True)
    products = unit @ unit.T
    return np.mean(products[np.triu_indices(len(vectors), 1)])


def entropy(weights):
    share = np.array(weights) / np.sum(weights)
    return -np.sum(share * np.log(share)) / np.log(len(share))


def check_histograms(world, state):
    plain = shown("stats", "--state-dir", state)
    rows = shown("users", "--state-dir", state)["users"]
    spreads = plain["histograms"]
    check("without a model", list(spreads) == ["interests", "history", "bytes", "age_ms"] and "collapsed" not in plain, spreads)
    check("interests", counted(spreads["interests"], [row["slots"] for row in rows]), spreads["interests"])
    check("history", counted(spreads["history"], [row["behaviors"] for row in rows]), spreads["history"])
    check("bytes", plain["bytes"] > plain["head_bytes"] > 0 and
          sum(b["count"] for b in spreads["bytes"]["buckets"]) == 8 and abs(spreads["bytes"]["mean"] * 8 - plain["bytes"]) < 1, plain["bytes"])
    check("age", spreads["age_ms"]["buckets"][-1] == {"from": 365 * 86400e3, "to": None, "count": 8}, spreads["age_ms"])
    found = shown("stats", "--state-dir", state, "--model", world.model_dir)
    users = [shown("user", row["user_id"], "--partition", row["partition"], "--state-dir", state, "--model", world.model_dir) for row in rows]
    several = [[i["vector"] for i in user["interests"]] for user in users if len(user["interests"]) > 1]
    weights = [[i["weight"] for i in user["interests"]] for user in users if len(user["interests"]) > 1]
    unknown = [[not b["known"] for b in user["behaviors"]] for user in users]
    spreads = found["histograms"]
    check("cosine", counted(spreads["cosine"], [cosine(vectors) for vectors in several]), spreads["cosine"])
    check("entropy", counted(spreads["weight_entropy"], [entropy(one) for one in weights]), spreads["weight_entropy"])
    check("unknown", counted(spreads["unknown_items"], [np.mean(one) for one in unknown])
          and abs(found["unknown_share"] - np.mean(sum(unknown, []))) < 1e-6, spreads["unknown_items"])
    check("all are looked at", found["looked_at"] == 8 and found["collapsed"] is False, found["looked_at"])
    sample, again = [shown("stats", "--state-dir", state, "--model", world.model_dir, "--sample", 3) for _ in range(2)]
    check("a sample", sample["looked_at"] == 3 and sample["histograms"]["unknown_items"]["users"] == 3
          and sample["histograms"]["history"] == spreads["history"]
          and all(sample["histograms"][key] == again["histograms"][key] for key in ("cosine", "weight_entropy", "unknown_items")),
          sample["looked_at"])
    return spreads


def check_text(world, state):
    done = inspect("stats", "--state-dir", state, "--model", world.model_dir)
    text = done.stdout.decode()
    check("bars", re.search(r"^interests \(K'u\)$", text, re.M) and re.search(r"^ +200? .* 12\.5 %  █", text, re.M) is None
          and re.search(r"^ +128 to 255 +1 +12\.5 % +█+$", text, re.M), text)
    bars = text[:text.index("RocksDB")]
    check("80 columns", max(map(len, re.findall(r"^ .*%.*$", bars, re.M))) <= 80, bars)
    check("no hint", "collapsed?" not in text and done.stderr == b"")


def check_collapsed(world, scratch, state):
    """A model whose items all point one way gives interests that do."""
    collapsed = os.path.join(scratch, "collapsed")
    shutil.copytree(world.model_dir, collapsed)
    tensors = ms_model.read_safetensors(os.path.join(collapsed, "model.safetensors"))
    tensors["item_embedding"] = np.abs(tensors["item_embedding"]) * 0.001 + np.float32(1)
    with open(os.path.join(collapsed, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    ms_model.write_model(collapsed, config, tensors, world.reference.ids)
    found = shown("stats", "--state-dir", state, "--model", collapsed)
    check("collapsed", found["collapsed"] is True, found["histograms"]["cosine"])
    check("and said", b"collapsed?" in inspect("stats", "--state-dir", state, "--model", collapsed).stdout)


def on_terminal(*arguments, **environment):
    """What the command writes to a terminal."""
    ours, theirs = pty.openpty()
    base = {key: value for key, value in os.environ.items() if not key.startswith("MINDSTREAM_") and key != "NO_COLOR"}
    with subprocess.Popen([BINARY, "inspect", *map(str, arguments)], stdout=theirs, stderr=subprocess.PIPE,
                          env={**base, "TERM": "xterm", **environment}) as process:
        os.close(theirs)
        text = b""
        try:
            while piece := os.read(ours, 65536):
                text += piece
        except OSError:  # the other side is closed
            pass
        process.communicate()
    os.close(ours)
    check(f"{arguments} on a terminal", process.returncode == 0, text)
    return text.replace(b"\r\n", b"\n")


def check_colors(world, state):
    at = ["--state-dir", state, "--model", world.model_dir]
    diff = ("diff", state, state, "--model", world.model_dir)
    for arguments in (("user", "long", *at), ("users", *at), ("partitions", *at), ("stats", *at), diff):
        plain = inspect(*arguments).stdout
        wanted = inspect(*arguments, "--color", "always").stdout
        name = arguments[0]
        check(f"{name}: none in a pipe", b"\x1b" not in plain)
        check(f"{name}: none with never", b"\x1b" not in on_terminal(*arguments, "--color", "never"))
        check(f"{name}: NO_COLOR", b"\x1b" not in on_terminal(*arguments, NO_COLOR="1"))
        check(f"{name}: a dumb terminal", b"\x1b" not in on_terminal(*arguments, TERM="dumb"))
        if name != "diff":  # of equal states there is no table
            check(f"{name}: on a terminal", b"\x1b[1m" in on_terminal(*arguments), name)
            check(f"{name}: always", b"\x1b[1m" in wanted)
            check(f"{name}: none in JSON", b"\x1b" not in inspect(*arguments, "--json", "--color", "always").stdout)
        strip = re.sub(rb"\x1b\[[0-9]*m", b"", wanted)
        if name != "stats":  # its bars have no blanks behind them without colours, and its numbers change
            check(f"{name}: the same text", strip == plain, strip)
    check("a warning", b"\x1b[33munknown to the model\x1b[0m" in on_terminal("user", "mixed", *at))
    check("another warning", b"\x1b[33m(state of this user is also in 3" in on_terminal("user", "both", *at))
    check("a bar", re.search(rb"\x1b\[36m(\xe2\x96[\x88-\x8f])+\x1b\[0m", on_terminal("user", "mixed", *at)))


def check_partitions(state):
    found = shown("partitions", "--state-dir", state)
    check("why", "bootstrap.servers" in found["left_out"] and all("committed" not in one for one in found["partitions"]), found)
    check("bytes", all(one["bytes"] > 0 and one["event_time"] for one in found["partitions"]))
    broker = ["--set", "bootstrap.servers=127.0.0.1:1", "--set", "input.topic=clicks", "--set", "application.id=inspected"]
    check("--offline", shown("partitions", "--state-dir", state, *broker, "--offline")["left_out"] == "--offline")
    done = inspect("partitions", "--state-dir", state, *broker)
    check("no broker", done.returncode == 0 and b"left out: " in done.stderr and len(done.stderr.splitlines()) == 1
          and b"committed (C)" in done.stdout and len(done.stdout.splitlines()) == 7, done)


with tempfile.TemporaryDirectory() as scratch:
    os.environ["TMPDIR"] = scratch
    world = World(scratch)
    state = world.write(os.path.join(scratch, "state"), "incremental")
    check_histograms(world, state)
    check_text(world, state)
    check_collapsed(world, scratch, state)
    check_colors(world, state)
    check_partitions(state)
sys.exit(1 if failures else 0)
