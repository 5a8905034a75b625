"""`mindstream train` from outside: the written model recalls what the trainer said, threads change no byte, and what is bad is one
line and no model."""
import json
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import tempfile

import numpy as np

import ms_model

BINARY = os.environ["MINDSTREAM"]
failures = []
scratch = tempfile.TemporaryDirectory()
root = pathlib.Path(scratch.name)


def check(what, held, *seen):
    if not held:
        failures.append(what)
        print("FAILED:", what, *seen)


def run(command, *arguments, **more):
    return subprocess.run([BINARY, command, *map(str, arguments)], capture_output=True, text=True, timeout=200, **more)


def train(out, *arguments, log=None, **more):
    return run("train", "--events", log or root / "log.csv", "--out", out, "--dim", 12, "--negatives", 50, *arguments, **more)


def write_log(path, users=300, items=80, time=lambda user, i: 1700000000 + 60 * i, name=lambda item: f"i{item}"):
    """Users who walk along a circle of items, a few steps at a time."""
    draw = random.Random(5)
    with open(path, "w", encoding="utf-8") as file:
        print("user_id,item_id,timestamp", file=file)
        for user in range(users):
            item = draw.randrange(items)
            for i in range(draw.randrange(3, 25)):
                item = (item + draw.randrange(4)) % items
                print(f"u{user},{name(item)},{time(user, i)}", file=file)


def files(directory):
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def written_is_believed():
    """evaluate finds the recall that the trainer found, with every option that changes the fold."""
    for options in ([], ["--decay", "learned", "--maps", "per-interest"], ["--decay", "0.7,0.95", "--negatives-by", "chosen"],
                    ["--logits", "drawn", "--stddev", "0.5", "--interests", "3"], ["--interests", "1", "--maps", "per-interest"], ["--objective", "window", "--logits", "drawn", "--stddev", "1"],
                    ["--objective", "window", "--maps", "per-interest", "--window", "7"]):
        done = train(root / "model", "--epochs", 4, "--seed", 7, "--log", root / "train.jsonl", *options)
        check(f"{options}: trained", done.returncode == 0, done.stderr)
        info = json.loads(run("model", "info", root / "model", "--json").stdout)
        said = info["training"]
        check(f"{options}: info", said["seed"] == 7 and said["log"] == ["log.csv"] and info["incremental"], info)
        found = run("evaluate", "--model", root / "model", "--events", root / "log.csv", "--holdout", 0.1, "--json")
        recall = json.loads(found.stdout)["full" if "window" in options else "incremental@model"]
        check(f"{options}: evaluate agrees", abs(recall["recall@50"] - said["recall@50"]) < 1e-9 and
              abs(recall["recall@20"] - said["recall@20"]) < 1e-9, recall, said)
        lines = [json.loads(line) for line in (root / "train.jsonl").read_text().splitlines()]
        check(f"{options}: log", [line["pass"] for line in lines] == list(range(1, 5)), lines)
        check(f"{options}: the best pass", said["recall@50"] == round(max(line["recall@50"] for line in lines), 9) or
              abs(said["recall@50"] - max(line["recall@50"] for line in lines)) < 1e-6, said, lines)
        check(f"{options}: it learns", lines[-1]["loss"] < lines[0]["loss"], lines)


def told(path):
    """The data of a report."""
    before, data = path.read_text(encoding="utf-8").split('<script id="data" type="application/json">', 1)
    data, behind = data.split("</script>", 1)
    page = (before + behind).replace("http://www.w3.org/2000/svg", "")
    check("no outside asset", "://" not in page and "src=" not in page)
    return json.loads(data)


def reported():
    """The report beside the model: its numbers are the trainer's, and no id of an item can break out of it."""
    write_log(root / "hostile.csv", name=lambda item: f"</script><img src=x>{item}" if item % 3 else f"i{item}")
    done = train(root / "seen", "--epochs", 3, log=root / "hostile.csv")
    path = root / "seen.report.html"
    check("a report", done.returncode == 0 and f"{path}: the report" in done.stderr, done.stderr)
    data = told(path)
    said = json.loads(run("model", "info", root / "seen", "--json").stdout)["training"]
    check("passes", [row["pass"] for row in data["passes"]] == [1, 2, 3] and len(data["passes"][0]["decays"]) == 4, data["passes"])
    check("the model's row", abs(data["rivals"][0]["recall50"] - said["recall@50"]) < 1e-9 and data["targets"] == said["judged_targets"], data["rivals"], said)
    check("rivals", len(data["rivals"]) == 3 and 0 < data["rivals"][2]["recall50"] < data["rivals"][0]["recall50"], data["rivals"])
    check("entropy", sum(data["entropy"]) > 10, data["entropy"])
    check("users", len(data["users"]) == 8 and all(len(user["interests"]) == 4 and len(user["items"][0]["vector"]) == 12 for user in data["users"]))
    check("hostile ids", any(item["id"].startswith("</script>") for user in data["users"] for item in user["items"]) and "<img" not in path.read_text(encoding="utf-8"))
    path.unlink()
    done = train(root / "seen", "--epochs", 2, "--no-report", log=root / "hostile.csv")
    check("no report", done.returncode == 0 and not path.exists(), done.stderr)
    path.mkdir()
    done = train(root / "seen", "--epochs", 2, log=root / "hostile.csv")
    check("a report that cannot be written", done.returncode == 0 and "no report: " in done.stderr and (root / "seen" / "config.json").exists(), done.stderr)
    done = train(root / "published", "--objective", "window", "--epochs", 2, log=root / "hostile.csv")
    data = told(root / "published.report.html")
    said = json.loads(run("model", "info", root / "published", "--json").stdout)["training"]
    check("window", data["passes"][0]["decays"] == [] and abs(data["rivals"][0]["recall50"] - said["recall@50"]) < 1e-9, data["rivals"], said)


def same_bytes():
    """Threads and runs give the same model; another seed gives another."""
    for name, options in {"one": ["--threads", 1], "two": ["--threads", 2], "again": ["--threads", 2], "seed": ["--seed", 1]}.items():
        done = train(root / name / "m", "--epochs", 3, *options) if (root / name).mkdir() is None else None
        check(f"{name}: trained", done.returncode == 0, done.stderr)
    one = files(root / "one" / "m")
    check("two threads", one == files(root / "two" / "m"))
    check("two runs", one == files(root / "again" / "m"))
    check("another seed", one["model.safetensors"] != files(root / "seed" / "m")["model.safetensors"])


def newest(path):
    """When a file was written, 0 where there is none."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def killed_and_resumed():
    """A training that is killed again and again ends with the bytes of one that was left alone."""
    for name in ("whole", "killed"):
        (root / name).mkdir()
    options = ["--epochs", 6, "--interests", 2, "--batch", 16]
    check("whole: trained", train(root / "whole" / "m", *options).returncode == 0)
    out, kills = root / "killed" / "m", 0
    mark = root / "killed" / "m.checkpoint-2"
    for _ in range(200): # a training that was faster than the kill is begun anew
        seen = newest(mark)
        process = subprocess.Popen([BINARY, "train", "--events", str(root / "log.csv"), "--out", str(out), "--dim", "12", "--negatives",
                                    "50", "--checkpoint", "0.000001", "--resume", *map(str, options)], stderr=subprocess.PIPE, text=True)
        while process.poll() is None and newest(mark) in (0, seen):
            pass
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        if kills >= 4 and mark.exists():
            break
    check("it was killed", kills >= 4 and mark.exists(), kills)
    other = train(out, *options, "--resume", "--seed", 3)
    check("a checkpoint of another seed", other.returncode == 2 and "m.checkpoint-2 is of another log" in other.stderr, other.stderr)
    whole = mark.read_bytes()
    mark.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    check("a damaged checkpoint", "is damaged" in train(out, *options, "--resume").stderr)
    mark.write_bytes(whole)
    done = train(out, *options, "--resume")
    check("resumed", done.returncode == 0 and "going on in pass" in done.stderr, done.stderr)
    check("resumed: the same bytes", files(root / "whole" / "m") == files(out))
    check("resumed: nothing is left", sorted(path.name for path in out.parent.iterdir()) == ["m", "m.report.html"], list(out.parent.iterdir()))
    check("resumed: all passes", told(out.parent / "m.report.html")["passes"] == told(root / "whole" / "m.report.html")["passes"])


def interests_found():
    """auto takes the number with the highest recall, and its model is the one that this number gives."""
    for name in ("auto", "fixed"):
        (root / name).mkdir()
    done = train(root / "auto" / "m", "--interests", "auto", "--epochs", 3)
    check("auto: trained", done.returncode == 0, done.stderr)
    info = json.loads(run("model", "info", root / "auto" / "m", "--json").stdout)
    tried = info["training"]["recall@50_by_interests"]
    best = max(tried, key=lambda key: (tried[key], -int(key)))
    check("auto: tried", list(tried) == ["1", "2", "4", "8"] and str(info["options"]["interests"]) == best, info)
    train(root / "fixed" / "m", "--interests", best, "--epochs", 3)
    check("auto: the model", files(root / "auto" / "m")["model.safetensors"] == files(root / "fixed" / "m")["model.safetensors"])
    check("auto: nothing is left", sorted(path.name for path in (root / "auto").iterdir()) == ["m", "m.report.html"])


def gone_on_with():
    """--from keeps items, rows and slots: with a learning rate of next to nothing, the model is the old one and new items."""
    old, new = root / "old", root / "new"
    check("old: trained", train(old, "--epochs", 3, "--maps", "per-interest", "--decay", "learned").returncode == 0)
    with open(root / "more.csv", "w", encoding="utf-8") as file:
        print("user_id,item_id,timestamp", file=file)
        for user in range(40):
            for i in range(12):
                print(f"w{user},{'new' if i % 3 else 'i'}{(user + i) % 30},{1800000000 + i}", file=file)
    done = run("train", "--events", root / "more.csv", "--out", new, "--from", old, "--epochs", 1, "--learning-rate", "1e-12")
    check("from: trained", done.returncode == 0, done.stderr)
    before, after = (old / "items.txt").read_text().split(), (new / "items.txt").read_text().split()
    check("from: items", after[:len(before)] == before and len(after) > len(before), len(before), len(after))
    tensors = [ms_model.read_safetensors(path / "model.safetensors") for path in (old, new)]
    for name, tensor in tensors[0].items():
        found = tensors[1][name][:len(before)] if name in ("item_embedding", "routing.item_logits") else tensors[1][name]
        check(f"from: {name}", np.allclose(found, tensor, atol=1e-6), np.abs(found - tensor).max())
    scales = [json.loads((path / "config.json").read_text())["training"]["scale"] for path in (old, new)]
    check("from: scale", abs(scales[0] - scales[1]) < 1e-4 * scales[0], scales)
    done = run("train", "--events", root / "more.csv", "--out", root / "width", "--from", old, "--dim", 13)
    check("from: another width", done.returncode == 2 and "--dim is 13, but the vectors of" in done.stderr, done.stderr)
    run("generate", "--users", 5, "--items", 9, "--events", 9, "--model-out", root / "generated")
    done = run("train", "--events", root / "more.csv", "--out", root / "width", "--from", root / "generated")
    check("from: no model of the trainer", done.returncode == 2 and "cannot be gone on with: its interest_count" in done.stderr, done.stderr)


def split_by_time():
    done = train(root / "split", "--epochs", 2, "--split", "time=" + str(1700000000 + 60 * 12))
    check("split: trained", done.returncode == 0 and "have later clicks" in done.stderr, done.stderr)
    info = json.loads(run("model", "info", root / "split", "--json").stdout)["training"]
    check("split: info", info["options"]["split_ms"] == (1700000000 + 60 * 12) * 1000 and info["judged_targets"] > 100, info)
    done = train(root / "split2", "--split", "time=never")
    check("split: no time", done.returncode == 2 and "--split" in done.stderr, done.stderr)
    done = train(root / "split2", "--split", "time=2026-11-01", "--time", "")
    check("split: a log without times", done.returncode == 2 and "needs times" in done.stderr, done.stderr)


def refused(what, status, text, out, *arguments, **more):
    before = files(out) if out.exists() else None
    done = train(out, *arguments, **more)
    check(f"{what}: exit status", done.returncode == status, done.returncode, done.stderr)
    last = done.stderr.strip().split("\n")[-1]
    check(f"{what}: {text}", text in last, last)
    check(f"{what}: nothing is written", (files(out) if out.exists() else None) == before)
    check(f"{what}: nothing is left", not [p for p in out.parent.iterdir() if p.name.startswith(out.name + ".new")])


def bad_input():
    out = root / "bad" / "model"
    out.parent.mkdir()
    (root / "empty.csv").write_text("")
    refused("empty log", 1, "empty.csv", out, log=root / "empty.csv")
    (root / "header.csv").write_text("user_id,item_id,timestamp\n")
    refused("header alone", 1, "nothing to train on", out, log=root / "header.csv")
    write_log(root / "user.csv", users=1)
    refused("one user", 1, "nothing to", out, log=root / "user.csv")
    write_log(root / "item.csv", items=1)
    refused("one item", 1, "nothing to train on: the log has 1 item", out, log=root / "item.csv")
    refused("no log", 1, "none.csv", out, log=root / "none.csv")
    refused("no number of interests", 2, "--interests", out, "--interests", "4x")
    refused("a bad decay", 2, "--decay", out, "--decay", "0.7,1.5")
    foreign = root / "foreign"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("mine")
    refused("a directory of others", 1, "notes.txt", foreign)
    made = root / "made"
    train(made, "--epochs", 1)
    with open(made / "config.json", "a", encoding="utf-8") as file:
        file.write("\n")
    refused("a changed model", 1, "was changed since", made)
    check("a changed model with --force", train(made, "--epochs", 1, "--force").returncode == 0)


def full_disk():
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
    refused("a full disk", 1, "File too large", root / "full", "--epochs", 1, preexec_fn=limit)


def hard_input():
    """What is odd and yet trained on."""
    write_log(root / "ids.csv", name=lambda item: f"{item:04}" + "x" * 1020)
    write_log(root / "times.csv", time=lambda user, i: 1700000000)
    for name in ("ids", "times"):
        done = train(root / name, "--epochs", 2, log=root / f"{name}.csv")
        check(f"{name}: trained", done.returncode == 0, done.stderr)
        check(f"{name}: checked", run("model", "check", root / name).returncode == 0)


def large_rate():
    """A rate at which numbers leave float32 is lowered, and said; in the end there is a model, or none."""
    done = train(root / "rate", "--epochs", 12, "--patience", 12, "--learning-rate", "1e9")
    check("a large rate is said", "the loss is no number" in done.stderr, done.stderr)
    if done.returncode == 0:
        check("a large rate: the model is good", run("model", "check", root / "rate").returncode == 0)
    else:
        check("a large rate: nothing is written", not (root / "rate").exists())


write_log(root / "log.csv")
for test in (written_is_believed, reported, same_bytes, killed_and_resumed, interests_found, gone_on_with, split_by_time, bad_input, full_disk, hard_input, large_rate):
    test()
sys.exit(1 if failures else 0)
