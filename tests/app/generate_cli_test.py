"""`mindstream generate` from outside: its lines are JSON events within range, the same for the same seed; wrong usage is
one line and status 2; the model's files agree with each other."""
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np

BINARY = os.environ["MINDSTREAM"]
failures = []


def run(*arguments, **more):
    return subprocess.run([BINARY, "generate", *arguments], capture_output=True, timeout=120, **more)


def check(what, held, *seen):
    if not held:
        failures.append(what)
        print("FAILED:", what, *seen)


def log(users, items, events, *more):
    return run("--users", str(users), "--items", str(items), "--events", str(events), *more)


def check_events():
    done = log(300, 700, 20000, "--seed", "3", "--start", "1500000000000", "--interval-ms=10")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    check("lines", done.returncode == 0 and len(events) == 20000, done.stderr)
    check("fields", all(list(e) == ["user_id", "item_id", "timestamp", "event_type"] for e in events))
    check("users", {e["user_id"] for e in events} <= {f"u{i}" for i in range(300)})
    check("items", {e["item_id"] for e in events} <= {f"i{i}" for i in range(700)})
    check("nearly every user and item is there",
          len({e["user_id"] for e in events}) > 290 and len({e["item_id"] for e in events}) > 600)
    check("times", all(1500000000000 + 10 * n <= e["timestamp"] < 1500000000010 + 10 * n for n, e in enumerate(events)))
    again = log(300, 700, 20000, "--seed", "3", "--start", "1500000000000", "--interval-ms=10")
    check("the same again", again.stdout == done.stdout)
    shorter = log(300, 700, 5000, "--seed", "3", "--start", "1500000000000", "--interval-ms=10")
    check("a shorter log is a longer one's beginning", done.stdout.startswith(shorter.stdout))
    check("another seed", log(300, 700, 100, "--seed", "4").stdout != log(300, 700, 100, "--seed", "3").stdout)
    check("no events", log(3, 7, 0).stdout == b"" and log(3, 7, 0).returncode == 0)


def tensors(path):
    with open(path, "rb") as file:
        data = file.read()
    size, = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + size])
    check("tensors begin at a multiple of 8", size % 8 == 0)
    check("the tensors fill the file", len(data) == 8 + size + max(t["data_offsets"][1] for t in header.values()))
    return {name: np.frombuffer(data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]], "<f4")
            .reshape(t["shape"]) for name, t in header.items()}


def check_model(directory):
    model = os.path.join(directory, "model")
    done = log(50, 2000, 0, "--model-out", model + "/", "--dim", "32", "--interests", "3", "--max-behaviors", "20",
               "--seed", "12")
    check("--model-out", done.returncode == 0, done.stderr)
    with open(os.path.join(model, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    check("config", config == {"format": "mindstream-model/1", "name": "generated", "version": "12", "extractor": "mind",
                               "dim": 32, "interests": 3, "max_behaviors": 20, "interest_count": "log2-floor"}, config)
    with open(os.path.join(model, "items.txt"), encoding="utf-8") as file:
        check("items.txt", file.read() == "".join(f"i{i}\n" for i in range(2000)))
    found = tensors(os.path.join(model, "model.safetensors"))
    check("shapes", {k: v.shape for k, v in found.items()} == {"item_embedding": (2000, 32), "routing.bilinear": (32, 32)})
    check("finite", all(np.isfinite(t).all() for t in found.values()))
    check("the map is nearly the identity", np.abs(found["routing.bilinear"] - np.eye(32)).max() < 0.1)
    unit = found["item_embedding"] / np.linalg.norm(found["item_embedding"], axis=1, keepdims=True)
    near = (unit @ unit.T > 0.6).sum(axis=1)
    check("items come in clusters of about 100", 70 < np.median(near) < 160, np.median(near))
    check("nothing else is left", os.listdir(directory) == ["model"], os.listdir(directory))
    # The same bytes on every machine: no libm is in it.
    with open(os.path.join(model, "model.safetensors"), "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    check("the model's bytes", digest == "b682e3d9c62ba358579336261636254743dd4d21e340538ef570256e39a9ed8f", digest)


def check_usage():
    base = ["--users", "5", "--items", "5", "--events", "5"]
    for arguments, text in (([], "--users"), (base[:4], "--events"), (["--users", "0", *base[2:]], "from 1 to 2000000000"),
                            ([*base, "--frob"], "--frob"), ([*base, "stray"], "stray"), ([*base, "--seed"], "--seed"),
                            ([*base, "--seed", "-1"], "--seed -1"), ([*base, "--seed", "x"], "--seed x"),
                            ([*base, "--seed", "99999999999999999999"], "from 0 to 9223372036854775807"),
                            ([*base, "--events", "1e6"], "--events 1e6"), ([*base, "--users", "2000000001"], "from 1 to 2000000000"),
                            ([*base, "--format", "csv"], "csv"), ([*base, "--dim", "0"], "dim"),
                            ([*base, "--item-skew", "nan"], "--item-skew nan"), ([*base, "--user-skew", "11"], "0 to 10"),
                            ([*base, "--interval-ms", "0"], "interval"), ([*base, "--start", "253402300799999"], "9999")):
        done = run(*arguments)
        check(f"usage {arguments}", done.returncode == 2 and done.stdout == b"" and done.stderr.count(b"\n") == 1
              and text.encode() in done.stderr, done)
    check("--help", run("--help").returncode == 0 and b"Examples" in run("--help").stdout)


def check_failures(directory):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([BINARY, "generate", "--users", "5", "--items", "5", "--events", "100"], stdout=full,
                              stderr=subprocess.PIPE)
    check("a full disk", done.returncode == 1 and b"No space" in done.stderr, done)
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([BINARY, "generate", "--users", "5", "--items", "5", "--events", "100"], stdout=writer,
                          stderr=subprocess.PIPE)
    os.close(writer)
    check("a reader that went away", done.returncode == 1 and b"Broken pipe" in done.stderr, done)
    done = log(5, 5, 5, "--model-out", os.path.join(directory, "no", "model"))
    check("a model nowhere", done.returncode == 1 and done.stdout == b"", done)


def check_others_models(directory):
    """A model that somebody put there is not replaced, but with --force; one of its own is."""
    model = os.path.join(directory, "trained")
    check("the first", log(5, 5, 0, "--model-out", model).returncode == 0)
    check("its own again", log(5, 6, 0, "--model-out", model).returncode == 0)
    with open(os.path.join(model, "config.json"), "a", encoding="utf-8") as file:
        file.write(" ")
    done = log(5, 7, 5, "--model-out", model)
    check("a changed one", done.returncode == 1 and b"trained" in done.stderr and done.stdout == b"", done)
    with open(os.path.join(model, "items.txt"), encoding="utf-8") as file:
        check("a changed one stays", len(file.readlines()) == 6)
    check("--force", log(5, 7, 0, "--model-out", model, "--force").returncode == 0)
    os.rename(model, model + "-moved")
    os.symlink(model + "-moved", model)
    done = log(5, 8, 0, "--model-out", model + "/", "--force")
    check("a link", done.returncode == 1 and b"link" in done.stderr, done)


def check_descriptors(directory):
    """With standard output closed, the events go nowhere, and into no file that is opened next."""
    model = os.path.join(directory, "closed")
    done = subprocess.run(["sh", "-c", 'exec "$0" generate --users 5 --items 5 --events 5 --model-out "$1" 0<&- 1>&- 2>&-',
                           BINARY, model], check=False)
    with open(os.path.join(model, "config.json"), encoding="utf-8") as file:
        check("closed descriptors", done.returncode == 0 and "user_id" not in file.read(), done)


with tempfile.TemporaryDirectory() as scratch:
    check_events()
    check_model(scratch)
    check_usage()
    check_failures(scratch)
    check_others_models(scratch)
    check_descriptors(scratch)
sys.exit(1 if failures else 0)
