"""`mindstream inspect users` with its filters, export, import and diff, on state directories that state_writer makes
(argv[1]), against what the events themselves say."""
import csv
import gzip
import io
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

from ms_inspect import BINARY, KEPT, START, World, check, failures, inspect, shown


def ids(*arguments):
    return [row["user_id"] for row in shown("users", *arguments)["users"]]


def check_users(state):
    at = ["--state-dir", state]
    everyone = shown("users", *at)["users"]
    names = [row["user_id"] for row in everyone]
    check("by version", ids(*at, "--sort", "version") ==
          [row["user_id"] for row in sorted(everyone, key=lambda row: -row["version"])])
    check("by time", ids(*at, "--sort", "time") == [row["user_id"] for row in sorted(everyone, key=lambda row: -row["event_time"])])
    check("by bytes", ids(*at, "--sort", "bytes", "--limit", "3") ==
          [row["user_id"] for row in sorted(everyone, key=lambda row: -row["head_bytes"])][:3])
    hottest = shown("users", *at, "--hottest", "2")
    check("hottest", [row["user_id"] for row in hottest["users"]] == ["long", "mixed"] and hottest["more"], hottest)
    check("sorted without a limit", len(ids(*at, "--sort", "version", "--limit", "0")) == len(everyone))
    check("prefix", ids(*at, "--prefix", "s") == ["short", "stranger"] and ids(*at, "--prefix", "zz") == [])
    check("count", shown("users", *at, "--count") == {"count": len(names)} and
          inspect("users", *at, "--count", "--limit", "1").stdout == b"%d\n" % len(names))
    for condition, held in (
            ("version>6", lambda row: row["version"] > 6), ("version >= 6 and behaviors<=6", lambda row: row["version"] == 6),
            ("partition=3", lambda row: row["partition"] == 3), ("partition != 3", lambda row: row["partition"] != 3),
            ("interests==0", lambda row: row["slots"] == 0), (f"time<{START}", lambda row: row["event_time"] < START),
            ("time>=2023-11-14T22:13:21Z", lambda row: row["event_time"] >= START + 1000),
            (f"bytes>{everyone[0]['head_bytes'] - 1}", lambda row: row["head_bytes"] >= everyone[0]["head_bytes"])):
        check(condition, ids(*at, "--where", condition) == [row["user_id"] for row in everyone if held(row)],
              ids(*at, "--where", condition))
    for wrong in ("", "version", "version>", "version>x", "versions>1", "version>1 and", "version>1 or time>2", "time>yesterday",
                  " and ".join(["version>0"] * 9)):
        done = inspect("users", *at, "--where", wrong)
        check(f"--where {wrong!r}", done.returncode == 2 and done.stdout == b"" and b"--where" in done.stderr
              and done.stderr.count(b"\n") == 1, done)


def check_recommended(world, state):
    at = ["--state-dir", state, "--model", world.model_dir, "--set", "routing.mode=incremental"]
    found = shown("user", "long", *at, "--recommend", "9")
    vectors = np.array([interest["vector"] for interest in found["interests"]])
    scores = world.reference.tensors["item_embedding"] @ vectors.T
    order = np.argsort(-scores.max(axis=1), kind="stable")[:9]
    seen = {behavior["item"] for behavior in found["behaviors"]}
    check("recommended", [(one["item"], one["slot"], one["in_history"]) for one in found["recommended"]] ==
          [(world.reference.ids[i], int(scores[i].argmax()), world.reference.ids[i] in seen) for i in order], found["recommended"])
    check("their scores", np.abs(np.array([one["score"] for one in found["recommended"]]) - scores.max(axis=1)[order]).max() < 1e-6)
    check("more than there are", len(shown("user", "long", *at, "--recommend", "1000")["recommended"]) == 60)
    check("no interests", shown("user", "stranger", *at, "--recommend", "3")["recommended"] == [])
    text = inspect("user", "mixed", *at, "--recommend", "60").stdout.decode()
    check("marked", text.count("in the history") == len({event[2] for event in world.events if event[1] == "mixed"} - {"gone"}), text)
    done = inspect("user", "long", "--state-dir", state, "--recommend", "3")
    check("without a model", done.returncode == 2 and b"--model" in done.stderr, done)


def check_at(world, state, mode):
    """A user as it was, against the reference on the events until then."""
    at = ["--state-dir", state, "--model", world.model_dir, "--set", f"routing.mode={mode}"]
    fold = world.reference.full if mode == "full" else world.reference.fold
    for user in ("mixed", "late", "short"):
        arrived = [event for event in world.events if event[1] == user]
        for version in range(len(arrived) + 1):
            found = shown("user", user, *at, "--at", version)
            events = arrived[:version]
            ordered = events if mode == "incremental" else sorted(events, key=lambda event: event[3])
            expected = fold([event[2] for event in ordered])
            check(f"{user} at {version}", found["version"] == version and found.get("as_of", False) == (version < len(arrived))
                  and len(found["interests"]) == len(expected.vectors)
                  and all(np.abs(np.array(interest["vector"]) - vector).max() < 1e-5
                          for interest, vector in zip(found["interests"], expected.vectors)), found)
    early = shown("user", "late", *at, "--at", "2023-11-14T22:13:20.003Z")
    check("at a time", [b["time"] for b in early["behaviors"]] == [START + 1, START + 3] and early["version"] == 2, early)
    check("before everything", shown("user", "late", *at, "--at", "2000-01-01")["interests"] == [])
    check("long after", "as_of" not in shown("user", "late", *at, "--at", "2040-01-01T00:00Z"))
    then = inspect("user", "long", *at, "--at", "2023-11-14T22:13:26.000Z", "--json")
    if mode == "full":
        found = json.loads(then.stdout)
        expected = fold([event[2] for event in world.events if event[1] == "long" and event[3] <= START + 6000])
        check("a window is enough", found["version"] == 601 and np.abs(np.array([i["vector"] for i in found["interests"]])
                                                                         - expected.vectors).max() < 1e-5, found)
    else:
        check("the fold takes all", then.returncode == 1 and b"the last 200 are kept" in then.stderr, then)
    for wrong, code, text in (("650", 1, b"the last 200 are kept"), ("701", 1, b"has had 700 events"), ("soon", 2, b"--at"),
                              ("2023-11-14T22:13:20.010Z", 1, b"the last 200")):
        done = inspect("user", "long", *at, "--at", wrong)
        check(f"--at {wrong}", done.returncode == code and text in done.stderr and done.stdout == b"", done)
    check("without a model", inspect("user", "short", "--state-dir", state, "--at", "2").returncode == 2)


def exported(*arguments):
    done = inspect("export", *arguments)
    check(f"export {arguments}", done.returncode == 0 and done.stderr == b"", done)
    return done.stdout


def check_export(world, state, mode):
    with_model = ["--state-dir", state, "--model", world.model_dir, "--set", f"routing.mode={mode}"]
    text = exported(*with_model)
    check("the same bytes again", text == exported(*with_model))
    header, *users = map(json.loads, text.decode().splitlines())
    listed = shown("users", "--state-dir", state)["users"]
    check("header", header["application_id"] == "inspected" and header["input_topic"] == "clicks" and header["all_users"]
          and header["model"] == "test@1" and [p["partition"] for p in header["partitions"]] == [0, 1, 2, 3, 4, 5], header)
    check("order", [(u["partition"], u["user_id"]) for u in users] == [(r["partition"], r["user_id"]) for r in listed])
    for user in users:
        what = f"{mode} {user['user_id']!r} {user['partition']}"
        found = shown("user", user["user_id"], "--partition", user["partition"], *with_model)
        check(f"{what}: counters", all(user[key] == found[key] for key in
                                      ("version", "event_time", "own_offset", "fold_id", "slots", "slots_max")), user)
        check(f"{what}: behaviors", user["behaviors"] == [{key: b[key] for key in ("item", "time", "type")} for b in found["behaviors"]])
        check(f"{what}: interests", user["interests"] == [{key: i[key] for key in ("slot", "weight", "vector")} for i in found["interests"]]
              or all(np.abs(np.array(a["vector"]) - b["vector"]).max() < 1e-7 and abs(a["weight"] - b["weight"]) < 1e-7
                     for a, b in zip(user["interests"], found["interests"], strict=True)), user["interests"])
        arrived = [event for event in world.events if event[1] == user["user_id"] and event[0] == user["partition"]]
        places = user.get("arrived", range(len(user["behaviors"])))
        in_order = dict(zip(places, user["behaviors"]))
        if len(arrived) <= KEPT:
            check(f"{what}: arrival", [(in_order[n]["item"], in_order[n]["time"]) for n in range(len(arrived))]
                  == [event[2:4] for event in arrived], places)
    without = [json.loads(line) for line in exported("--state-dir", state).decode().splitlines()]
    check("without a model", without[0]["model"] is None and all("interests" not in user for user in without[1:]))
    rows = list(csv.reader(io.StringIO(exported(*with_model, "--format", "csv").decode())))
    vectors = [(user["user_id"], interest) for user in users for interest in user["interests"]]
    check("csv", rows[0] == ["user_id", "partition", "version", "event_time", "slot", "weight", *(f"v{n}" for n in range(8))]
          and [(row[0], int(row[4]), float(row[5]), [float(x) for x in row[6:]]) for row in rows[1:]] ==
          [(user, i["slot"], i["weight"], i["vector"]) for user, i in vectors], rows[:2])
    return vectors, with_model


def check_npy(scratch, vectors, with_model):
    name = os.path.join(scratch, "index")
    done = inspect("export", *with_model, "--format", "npy", "--out", name)
    check("npy", done.returncode == 0, done)
    array = np.load(name + ".npy")
    check("array", array.dtype == np.float32 and array.shape == (len(vectors), 8)
          and np.array_equal(array, np.array([i["vector"] for _, i in vectors], dtype=np.float32)))
    with open(name + ".ids", encoding="utf-8") as file:
        rows = file.read().split("\n")[:-1]
    check("ids", rows == [f"{user}#{interest['slot']}" for user, interest in vectors], rows)
    again = inspect("export", *with_model, "--format", "npy", "--out", name)
    check("nothing is written over", again.returncode == 1 and b"index.npy" in again.stderr, again)
    for arguments, text in ((["--format", "npy"], b"--out"), (["--format", "xml"], b"jsonl"), (["--format", "csv", "--set", "model.dir="], b"--model")):
        done = inspect("export", *(with_model[:2] if b"model" in text else with_model), *arguments)
        check(f"export {arguments}", done.returncode == 2 and text in done.stderr and done.stdout == b"", done)


def check_round(world, scratch, state, mode):
    """Export, import, diff: nothing differs, and the export of the import is the same."""
    model = ["--model", world.model_dir, "--set", f"routing.mode={mode}"]
    path, copy = os.path.join(scratch, f"{mode}.jsonl"), os.path.join(scratch, f"{mode}-copy")
    text = exported("--state-dir", state)
    with open(path, "wb") as file:
        file.write(text)
    done = inspect("import", path, "--state-dir", copy)
    check("import", done.returncode == 0 and b"8 users in 6 partitions" in done.stdout, done)
    check("the same export", exported("--state-dir", copy) == text)
    for arguments in ([], model):
        done = inspect("diff", state, copy, *arguments)
        check("no difference", done.returncode == 0 and b"8 users in both, 0 only in A, 0 only in B" in done.stdout, done)
    rows = [[{**row, "bytes": None} for row in shown("partitions", "--state-dir", where)["partitions"]] for where in (copy, state)]
    check("partitions", rows[0] == rows[1], rows)
    packed = inspect("import", "-", "--state-dir", copy + "-packed", input=gzip.compress(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n")))
    check("import of a compressed export", packed.returncode == 0 and exported("--state-dir", copy + "-packed") == text, packed)
    owed, owing = path + ".owed", os.path.join(scratch, f"{mode}-owing")
    with open(owed, "wb") as file:  # a user that is owed a record stays so
        file.write(text.replace(b',"behaviors":', b',"owed":7,"behaviors":'))
    done = inspect("import", owed, "--state-dir", owing)
    check("owed", done.returncode == 0 and exported("--state-dir", owing).count(b'"owed":7') == 8, done)
    again = inspect("import", path, "--state-dir", copy)
    check("adds to none", again.returncode == 2 and b"not empty" in again.stderr, again)
    check("nothing is left beside it", [n for n in os.listdir(scratch) if ".import-" in n] == [])
    return path


def check_many(scratch, path):
    """More users than the threads of an export hold at a time: all of them, in order, and the same bytes in three forms."""
    with open(path, encoding="utf-8") as file:
        header, *users = file.read().splitlines()
    users = [json.loads(line) for line in users]
    many = [{**users[n % len(users)], "user_id": f"many-{n:05}", "partition": 2} for n in range(5000)]
    text, state = "\n".join([header, *(json.dumps(user) for user in many)]) + "\n", os.path.join(scratch, "many")
    done = inspect("import", "-", "--state-dir", state, input=text.encode())
    check("many are imported", done.returncode == 0 and b"5000 users" in done.stdout, done)
    again = exported("--state-dir", state).decode().splitlines()
    check("many in order", again[0] == header and [json.loads(line) for line in again[1:]] == many)
    with_model = ["--state-dir", state, "--model", world.model_dir]
    rows = exported(*with_model, "--format", "csv").decode().splitlines()[1:]
    done = inspect("export", *with_model, "--format", "npy", "--out", os.path.join(scratch, "many-index"))
    with open(os.path.join(scratch, "many-index.ids"), encoding="utf-8") as file:
        ids = file.read().splitlines()
    check("rows of many", done.returncode == 0 and len(rows) == len(ids) == len(np.load(os.path.join(scratch, "many-index.npy")))
          and [row.split("#")[0] for row in ids] == [row.split(",")[0] for row in rows] == sorted(row.split(",")[0] for row in rows))
    full = subprocess.run([BINARY, "inspect", "export", *with_model], stdout=open("/dev/full", "wb"), stderr=subprocess.PIPE)
    check("a full disk", full.returncode == 1 and b"No space left" in full.stderr, full)


def check_part(scratch, state, path):
    """Some users under another application.id: a test bed without offsets."""
    chosen, bed = os.path.join(scratch, "chosen"), os.path.join(scratch, "bed")
    with open(chosen, "wb") as file:
        file.write(b"\xef\xbb\xbfshort\r\n\r\n \nlate\r\nnobody")
    refused = inspect("import", path, "--users", chosen, "--state-dir", bed)
    check("a part is refused", refused.returncode == 2 and b"--application-id" in refused.stderr and not os.path.exists(bed), refused)
    done = inspect("import", path, "--users", chosen, "--application-id", "bed", "--state-dir", bed)
    check("a part", done.returncode == 0 and b"2 users" in done.stdout and b"offsets were left out" in done.stdout, done)
    rows = shown("users", "--state-dir", bed)["users"]
    check("its users", [row["user_id"] for row in rows] == ["short", "late"] and all(row["own_offset"] == -1 for row in rows), rows)
    check("its partitions", all(p["applied"] == -1 for p in shown("partitions", "--state-dir", bed)["partitions"]))
    check("whose it is", shown("stats", "--state-dir", bed)["application_id"] == "bed")
    part = exported("--state-dir", state, "--users", chosen)
    check("export of a part", [json.loads(line)["user_id"] for line in part.decode().splitlines()[1:]] == ["short", "late"])
    done = inspect("import", "-", "--state-dir", os.path.join(scratch, "other"), input=part)
    check("import of an exported part", done.returncode == 2 and b"another --application-id" in done.stderr, done)


def check_diff(world, scratch, state):
    changed = World(scratch)
    changed.events = [event for event in world.events if event[1] != "stranger"]
    changed.events = [(p, u, world.items[0] if u == "mixed" else i, t, k) for p, u, i, t, k in changed.events]
    changed.events += [(2, "mixed", world.items[1], START + 100, "click"), (4, "new", world.items[2], START, "click")]
    other = changed.write(os.path.join(scratch, "changed"), "incremental")
    found = inspect("diff", state, other, "--model", world.model_dir, "--set", "routing.mode=incremental", "--json")
    root = json.loads(found.stdout)
    rows = {row["user_id"]: row for row in root["differences"]}
    check("diff", found.returncode == 1 and found.stderr == b"" and set(rows) == {"mixed", "stranger", "new"}, found)
    check("only in one", rows["stranger"]["only_in"] == "a" and rows["new"]["only_in"] == "b" and rows["new"]["version_b"] == 1)
    check("in both", rows["mixed"]["only_in"] is None and rows["mixed"]["behaviors_differ"] and rows["mixed"]["interests_differ"]
          and (rows["mixed"]["version_a"], rows["mixed"]["version_b"]) == (30, 31) and rows["mixed"]["largest"] > 0.01, rows["mixed"])
    check("summary", {key: root["summary"][key] for key in ("only_in_a", "only_in_b", "in_both", "versions_differ")} ==
          {"only_in_a": 1, "only_in_b": 1, "in_both": 7, "versions_differ": 1} and root["summary"]["largest"] == rows["mixed"]["largest"], root)
    far = inspect("diff", state, other, "--model", world.model_dir, "--tolerance", "1000", "--json", "--limit", "1")
    check("--limit", len(json.loads(far.stdout)["differences"]) == 1 and json.loads(far.stdout)["summary"]["interests_differ"] == 0, far)
    text = inspect("diff", state, other).stdout.decode()
    check("as text", "only in A" in text and "only in B" in text and "7 users in both" in text and "stored sums" in text, text)
    check("no such directory", inspect("diff", state, os.path.join(scratch, "nowhere")).returncode == 1)


def check_bad_files(scratch, path):
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    user = json.loads(lines[1])
    for number, (wrong, text) in enumerate((
            ([], b"empty"), (["{}"], b"first line"), (lines[1:2], b"first line"), (["nonsense"], b":1:"),
            ([lines[0], lines[1][:50]], b":2:"), ([lines[0], json.dumps({**user, "partition": 7})], b"partition is not in the first line"),
            ([lines[0], json.dumps({**user, "sums": ["x"]})], b":2:"), ([lines[0], json.dumps({**user, "arrived": [0]})], b":2:"),
            ([lines[0], json.dumps({**user, "slots": 70000})], b":2:"), ([lines[0], json.dumps({**user, "fold_id": "xyz"})], b":2:"),
            ([lines[0].replace('"row":"', '"row":"zz')], b":1:"))):
        bad, made = os.path.join(scratch, "bad.jsonl"), os.path.join(scratch, f"made{number}")
        with open(bad, "w", encoding="utf-8") as file:
            file.write("\n".join(wrong))
        done = inspect("import", bad, "--state-dir", made)
        check(f"import of {wrong!r:.60}", done.returncode == 1 and text in done.stderr and not os.path.exists(made)
              and done.stdout == b"", done)
    check("no file", inspect("import", os.path.join(scratch, "none"), "--state-dir", os.path.join(scratch, "m")).returncode == 1)
    check("no place", inspect("import", path).returncode == 2)
    check("nothing is left of a failed import", [n for n in os.listdir(scratch) if ".import-" in n] == [], os.listdir(scratch))


with tempfile.TemporaryDirectory() as scratch:
    os.environ["TMPDIR"] = scratch
    world = World(scratch)
    states = {mode: world.write(os.path.join(scratch, mode), mode) for mode in ("full", "incremental")}
    check_users(states["incremental"])
    check_recommended(world, states["incremental"])
    for mode, state in states.items():
        check_at(world, state, mode)
        vectors, with_model = check_export(world, state, mode)
        path = check_round(world, scratch, state, mode)
    check_npy(scratch, vectors, with_model)
    check_many(scratch, path)
    check_part(scratch, state, path)
    check_diff(world, scratch, state)
    check_bad_files(scratch, path)
sys.exit(1 if failures else 0)
