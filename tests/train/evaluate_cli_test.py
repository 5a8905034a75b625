"""`mindstream evaluate` from outside: every column's hits are those of an own evaluation in float64; JSON, CSV, standard
input and any number of threads say the same; a bad log, model or option is one line that names the place."""
import csv
import gzip
import io
import json
import math
import os
import re
import subprocess
import sys
import tempfile

import numpy as np

import ms_evaluate
import ms_model

BINARY = os.environ["MINDSTREAM"]
failures = []


def check(what, held, *seen):
    if not held:
        failures.append(what)
        print("FAILED:", what, *seen)


def run(*arguments, stdin=None):
    return subprocess.run([BINARY, "evaluate", *map(str, arguments)], input=stdin, capture_output=True, timeout=200)


def report(what, *arguments, **more):
    """The parsed JSON, and the same without times."""
    done = run(*arguments, "--json", **more)
    check(f"{what}: exit status", done.returncode == 0, done.stderr.decode())
    if done.returncode != 0:
        return {}
    try:
        found = json.loads(done.stdout)
    except ValueError as error:
        check(f"{what}: {error}", False, done.stdout[:2000], done.stderr[-2000:].decode())
        return {}
    for column in found.values():
        if isinstance(column, dict):
            spent = column.pop("us_per_event")
            check(f"{what}: us_per_event", 0 <= spent < 1e6, spent)
    return found


def compare(what, found, expected):
    """Counts and hits equal, standard errors and NDCG up to the rounding of sums."""
    if not found:
        return
    for key in ("users", "targets", "skipped"):
        check(f"{what}: {key}", found[key] == expected[key], found[key], expected[key])
    check(f"{what}: columns", list(found)[3:] == list(expected["ranks"]), list(found), list(expected["ranks"]))
    for column, ranks in expected["ranks"].items():
        values, errors = ms_evaluate.metrics(ranks)
        n = len(ranks)
        for metric, value in values.items():
            got = found.get(column, {"stderr": {}}).get(metric, -1)
            if metric.startswith("recall"):
                check(f"{what}: hits, {column} {metric}", round(got * n, 6) == round(value * n), got * n, value * n)
            check(f"{what}: {column} {metric}", abs(got - value) < 1e-12, got, value)
            error = found.get(column, {"stderr": {}})["stderr"].get(metric, -1)
            check(f"{what}: standard error, {column} {metric}", abs(error - errors[metric]) < 1e-12, error, errors[metric])


def small_model(directory, rng, items=700, dim=16):
    """A model whose map is near the identity, so that it recalls what a user clicks again."""
    ids = [f"i{number}" for number in range(items)]
    ms_model.write_model(directory, {"extractor": "mind", "dim": dim, "interests": 3, "max_behaviors": 12,
                                     "interest_count": "log2-floor"},
                         {"item_embedding": rng.normal(size=(items, dim)).astype(np.float32),
                          "routing.bilinear": (np.eye(dim) + 0.1 * rng.normal(size=(dim, dim))).astype(np.float32)}, ids)
    return ids


# ---- logs ----

ODD_USERS = ["a,b", 'say "hi"', "zwei\nZeilen", "ünïcode", "12345678901234567890123", " blank "]


def make_clicks(rng, items, users=60, times=True):
    """Clicks in no order of time, with ties, duplicates and items that the model does not know."""
    names = ODD_USERS + [f"u{number}" for number in range(users - len(ODD_USERS))]
    clicks = []
    for number, user in enumerate(names):
        taste = rng.choice(items, size=12)
        for _ in range(int(rng.integers(2, 60))):
            item = taste[rng.integers(12)] if rng.random() < 0.7 else rng.choice(items)
            hour = int(rng.integers(40))
            unknown = hour < 36 if number == 7 else rng.random() < 0.06  # user 7 has no known item for long
            item = f"unknown{rng.integers(9)}" if unknown else item
            clicks.append((user, str(item), 1600000000000 + hour * 3600000 if times else 0))
    rng.shuffle(clicks)
    return [(user, item, int(time_ms)) for user, item, time_ms in clicks]


def write_json(path, clicks, times=True):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for n, (user, item, time_ms) in enumerate(clicks):
            event = {"user_id": int(user) if user.isdigit() else user, "item_id": item, "event_type": "click"}
            if times:
                event["timestamp"] = time_ms if n % 2 else time_ms // 1000
            file.write(json.dumps(event, ensure_ascii=n % 3 == 0) + "\n" + ("\n" if n % 10 == 0 else ""))


def csv_text(clicks, header, times=True, **dialect):
    out = io.StringIO()
    writer = csv.writer(out, **dialect)
    writer.writerow(header)
    for n, (user, item, time_ms) in enumerate(clicks):
        when = "2020-09-13T12:26:40Z" if time_ms == 1600000000000 else time_ms * 1000 if n % 2 else time_ms
        writer.writerow([f'note "{n}",\nmore', item, user] + ([when] if times else []))
    return out.getvalue()


def chosen(clicks, least=10, among=lambda user: True):
    counts = {}
    for user, *_ in clicks:
        counts[user] = counts.get(user, 0) + 1
    return [user for user, count in counts.items() if count >= least and among(user)]


# ---- checks ----

def check_rule(directory, rng):
    model, log = os.path.join(directory, "model"), os.path.join(directory, "log.jsonl")
    items = small_model(model, rng)
    clicks = make_clicks(rng, items)
    write_json(log, clicks)
    base = ["--model", model, "--events", log, "--decays", " 0.8 0.9  0.7,0.95 "]
    decays = [(0.8,), (0.9,), (0.7, 0.95)]
    expected = ms_evaluate.evaluate(model, clicks, chosen(clicks), decays)
    check("the log has what it takes", expected["skipped"] > 20 and None in expected["ranks"]["last"] and
          0.1 < ms_evaluate.metrics(expected["ranks"]["full"])[0]["recall@50"] < 0.9, expected["skipped"],
          expected["ranks"]["last"].count(None), ms_evaluate.metrics(expected["ranks"]["full"])[0])
    found = report("json", *base)
    compare("json", found, expected)

    for threads in (1, 2, 7):
        check(f"{threads} threads", report("threads", *base, "--threads", threads) == found)
    with open(log, "rb") as file:
        check("standard input", report("stdin", *base[:2], "--events", "-", *base[4:], stdin=file.read()) == found)
    for name, dialect in (("plain", {}), ("quoted", {"quoting": csv.QUOTE_ALL, "lineterminator": "\n"})):
        path = os.path.join(directory, name + ".csv")
        with open(path, "w", encoding="utf-8-sig" if name == "quoted" else "utf-8", newline="") as file:
            file.write(csv_text(clicks, ["note", "the item", "user_id", "ts"], **dialect))
        check(f"csv, {name}", report(name, *base[:2], "--events", path, "--item", "the item", "--time", "ts",
                                     *base[4:]) == found)
    check_formats(directory, clicks, base, found)
    # Users and cuts.
    compare("min and max", report("cuts", *base, "--min-events", 31, "--max-events", 21),
            ms_evaluate.evaluate(model, clicks, chosen(clicks, 31), decays, 21))
    for share in (0.3, 0.5512):
        held = chosen(clicks, 2, lambda user: ms_model.xxh64(user.encode()) % 10000 < round(share * 10000))
        compare("holdout", report("holdout", *base, "--holdout", share, "--min-events", 2),
                ms_evaluate.evaluate(model, clicks, held, decays))
    path = os.path.join(directory, "users")
    named = [user for user in chosen(clicks)[::3] if "\n" not in user]
    with open(path, "w", encoding="utf-8") as file:
        file.write("nobody\n\n" + "\r\n".join(named + named))
    compare("users", report("users", *base, "--users", path), ms_evaluate.evaluate(model, clicks, named, decays))
    check_half_lives(model, log, clicks)


def check_formats(directory, clicks, base, found):
    """The same clicks in other formats give the same numbers."""
    def same(what, name, content, *more):
        path = os.path.join(directory, name)
        with open(path, "wb") as file:
            file.write(content)
        check(what, report(what, *base[:2], "--events", path, *base[4:], *more) == found)

    events = [{"user_id": user, "item_id": item, "timestamp": time_ms} for user, item, time_ms in clicks]
    same("an array", "array.json", json.dumps(events).encode())
    same("an array over lines", "lines.json", json.dumps(events, indent=1).encode())
    same("objects over lines", "objects.json", "\n".join(json.dumps(event, indent=1) for event in events).encode())
    table = csv_text(clicks, ["note", "item_id", "user_id", "timestamp"])
    same("gzip", "log.csv.gz", gzip.compress(table[:9000].encode()) + gzip.compress(table[9000:].encode()))
    for name, separator in (("semicolons", ";"), ("tabs", "\t"), ("pipes", "|")):
        text = csv_text(clicks, ["note:token", "item_id:token", "user_id:token", "timestamp:float"], delimiter=separator)
        same(name, name, text.encode("utf-8-sig"))
    bare = csv_text(clicks, ["note", "item_id", "user_id", "timestamp"]).split("\r\n", 1)[1]
    same("no header", "bare.csv", bare.encode(), "--columns", "note,item_id,user_id,timestamp")
    spark = csv_text(clicks, ["note", "item_id", "user_id", "timestamp"], doublequote=False, escapechar="\\", quoting=csv.QUOTE_ALL)
    same("backslashes", "spark.csv", spark.encode(), "--quotes", "backslash")
    header, rows = table.split("\r\n", 1)
    bad = f"{header}\r\nn,i1,u,\r\nn,i1,u,soon\r\nn,i1,,5\r\nn,i1\r\n\r\n{header}\r\n{rows}"
    same("all that is bad", "bad.csv", bad.encode(), "--skip", "all")
    done = run(*base[:2], "--events", os.path.join(directory, "bad.csv"), "--skip", "all")
    for reason in (b"line 2: time: column 4 is empty", b"line 3: time: column 4 is 'soon'", b"line 4: user: column 3 is empty",
                   b"line 5: 2 cells, the header has 4", b"1 repeated headers (header): "):
        check(f"passed over: {reason}", done.stderr.count(b"passed over: ") == 5 and reason in done.stderr, done.stderr)
    files = []
    for part in range(3):
        files += ["--events", os.path.join(directory, f"part{part}")]
        with open(files[-1], "w", encoding="utf-8") as file:
            third = events[part::3] if part < 2 else []
            if third:
                json.dump(third, file)
            else:
                file.write(csv_text(clicks[2::3], ["note", "item_id", "user_id", "timestamp"]))
    expected = ms_evaluate.evaluate(base[1], clicks[0::3] + clicks[1::3] + clicks[2::3], chosen(clicks), [(0.8,), (0.9,), (0.7, 0.95)])
    compare("several files", report("several files", *base[:2], *files, *base[4:]), expected)


def check_half_lives(model, log, clicks):
    hour = 3600000
    expected = ms_evaluate.evaluate(model, clicks, chosen(clicks), [], half_lives=[("6h", (6 * hour,)), ("1h,1d", (hour, 24 * hour))])
    compare("half-lives", report("half-lives", "--model", model, "--events", log, "--half-lives", "6h 1h,1d"), expected)
    both = report("both", "--model", model, "--events", log, "--half-lives", "6h", "--decays", "1")
    check("decays and half-lives", [c for c in both if "@" in c] == ["incremental@1", "incremental@6h"], list(both))


def check_order_of_file(directory, rng):
    model = os.path.join(directory, "model")
    items = [f"i{number}" for number in range(700)]
    clicks = make_clicks(rng, items, 20, times=False)
    expected = ms_evaluate.evaluate(model, clicks, chosen(clicks), [(0.9,)])
    bare, timed, table = (os.path.join(directory, name) for name in ("bare.jsonl", "timed.jsonl", "bare.csv"))
    write_json(bare, clicks, times=False)
    compare("json without times", report("bare", "--model", model, "--events", bare), expected)
    write_json(timed, [(user, item, 1700000000000 - 1000 * n) for n, (user, item, _) in enumerate(clicks)])
    compare("json, --time ''", report("timed", "--model", model, "--events", timed, "--time", ""), expected)
    with open(table, "w", encoding="utf-8", newline="") as file:
        file.write(csv_text(clicks, ["n", "item_id", "user_id"], times=False))
    compare("csv without times", report("csv", "--model", model, "--events", table), expected)
    done = run("--model", model, "--events", table, "--half-lives", "1d")
    check("half-lives need times", done.returncode == 2 and b"--half-lives needs times" in done.stderr, done.stderr)


def check_models(directory, rng):
    """Other extractors and maps, and what they cannot have."""
    d, K, L, N = 8, 3, 9, 500
    items = [f"i{number}" for number in range(N)]
    clicks = make_clicks(rng, items, 12)
    log = os.path.join(directory, "models.jsonl")
    write_json(log, clicks)

    def normal(*shape):
        return (rng.normal(size=shape) / math.sqrt(shape[-2])).astype(np.float32)
    config = {"extractor": "mind", "dim": d, "interests": K, "max_behaviors": L, "interest_count": "log2-floor"}
    embedding = rng.normal(size=(N, d)).astype(np.float32)
    head = {"head.0.weight": normal(2 * d, d), "head.1.weight": normal(d, 2 * d)}
    two_layers = [{"activation": "relu"}, {"activation": "linear"}]
    cases = {
        "head": ({**config, "head": two_layers, "normalize": True}, {"routing.bilinear": normal(d, d), **head}, True),
        "per-interest": ({**config, "routing": {"bilinear": "per-interest"}},
                         {"routing.bilinear": normal(K, d, d), "routing.bilinear_bias": normal(1, d)[0]}, True),
        "none": ({**config, "routing": {"bilinear": "none"}}, {}, True),
        "per-position": ({**config, "extractor": "comirec-dr"}, {"routing.bilinear": normal(L, K, d, d)}, False),
        "attention": ({**config, "extractor": "comirec-sa"},
                      {"attention.w1": normal(d, 5), "attention.w2": normal(5, K)}, True),
    }
    for name, (settings, tensors, folds) in cases.items():
        model = os.path.join(directory, name)
        ms_model.write_model(model, settings, {"item_embedding": embedding, **tensors}, items)
        expected = ms_evaluate.evaluate(model, clicks, chosen(clicks), [(0.9,)] if folds else [])
        compare(name, report(name, "--model", model, "--events", log), expected)
    model = os.path.join(directory, "per-position")
    done = run("--model", model, "--events", log, "--decays", "0.9")
    check("a fold that is asked for and cannot be", done.returncode == 2 and b"per-position" in done.stderr, done.stderr)

    model = os.path.join(directory, "narrow")
    ms_model.write_model(model, {**config, "dim": 4}, {"item_embedding": embedding, "routing.bilinear": normal(d, 4)}, items)
    done = run("--model", model, "--events", log)
    check("dim and item_dim", done.returncode == 2 and re.search(rb"dim is 4\b.*item_embedding is 8 wide", done.stderr),
          done.stderr)
    model = os.path.join(directory, "capsule")
    ms_model.write_model(model, {**config, "head": [{"activation": "relu"}]},
                         {"item_embedding": embedding, "routing.bilinear": normal(d, 5), "head.0.weight": normal(d, 5)}, items)
    found = report("capsule", "--model", model, "--events", log)
    check("no last where the widths differ", list(found)[3:] == ["full", "incremental@0.9", "stale"], list(found))


def check_trained(directory, rng):
    """A model with decays, logits and event weights of its own; types out of order of time."""
    d, K, N = 8, 3, 500
    items = [f"i{number}" for number in range(N)]
    clicks = [(*click, str(rng.choice(["click", "buy", "view"]))) for click in make_clicks(rng, items, 15)]
    model, log, table = (os.path.join(directory, name) for name in ("trained", "typed.jsonl", "untyped.csv"))
    ms_model.write_model(model, {"extractor": "mind", "dim": d, "interests": K, "max_behaviors": 9, "interest_count": "fixed",
                                 "routing": {"initial_logits": "item"}, "event_weights": {"buy": 4, "view": 0.2}},
                         {"item_embedding": rng.normal(size=(N, d)).astype(np.float32),
                          "routing.bilinear": np.eye(d, dtype=np.float32),
                          "routing.item_logits": rng.normal(size=(N, K)).astype(np.float32),
                          "routing.decay": np.array([0.0, 1.0, 3.0], np.float32),
                          "routing.decay_gate": rng.normal(size=(d, K)).astype(np.float32)}, items)
    with open(log, "w", encoding="utf-8") as file:
        for user, item, time_ms, kind in clicks:
            file.write(json.dumps({"user_id": user, "item_id": item, "timestamp": time_ms, "event_type": kind}) + "\n")
    expected = ms_evaluate.evaluate(model, clicks, chosen(clicks), ["model", (0.9,)])
    found = report("trained", "--model", model, "--events", log)
    check("column incremental@model", list(found)[3:] == ["full", "incremental@model", "incremental@0.9", "stale", "last"], list(found))
    compare("trained", found, expected)
    with open(table, "w", encoding="utf-8", newline="") as file:
        file.write(csv_text([click[:3] for click in clicks], ["n", "item_id", "user_id", "timestamp"]))
    done = run("--model", model, "--events", table)
    check("types are missed", done.returncode == 2 and b"--type" in done.stderr, done)
    untyped = report("untyped", "--model", model, "--events", table, "--type", "")
    compare("untyped", untyped, ms_evaluate.evaluate(model, [click[:3] for click in clicks], chosen(clicks), ["model", (0.9,)]))


def check_table(directory):
    model, log = os.path.join(directory, "model"), os.path.join(directory, "log.jsonl")
    done = run("--model", model, "--events", log)
    numbers = report("for the table", "--model", model, "--events", log)
    lines = done.stdout.decode().splitlines()
    check("table", done.returncode == 0 and len(lines) == 7, lines)
    for line in lines[3:]:
        cells = line.split()
        column = numbers[cells[0]]
        check("row", cells[1] == f"{column['recall@20']:.4f}" and cells[2] == "+-" and
              cells[3] == f"{column['stderr']['recall@20']:.4f}" and cells[4] == f"{column['recall@50']:.4f}" and
              cells[13] == str(numbers["targets"]), line)
    check("progress", b"clicks predicted" in done.stderr, done.stderr)


def check_bad(directory):
    model = os.path.join(directory, "model")
    good = '{"user_id": "u", "item_id": "i1", "timestamp": 1}\n'
    table = "user_id,item_id,timestamp\n" + "u,i1,1\n" * 3
    logs = [
        ("broken JSON", good * 2 + "{\n", 1, "line 3"),
        ("an array", good + "[1]\n", 1, "line 2"),
        ("no item", good + '{"user_id": "u", "timestamp": 1}\n', 1, 'line 2.*item'),
        ("an empty user", good + good.replace('"u"', '""'), 1, "line 2.*user"),
        ("a bad time", good + good.replace(": 1}", ': "soon"}'), 1, "line 2.*soon"),
        ("no time", good + '{"user_id": "u", "item_id": "i1"}\n', 1, "line 2.*time"),
        ("a time where the first has none", '{"user_id": "u", "item_id": "i1"}\n' + good, 1, "line 2.*time"),
        ("nothing", "", 1, "empty"),
        ("no such column", "user,item_id\na,b\n", 2, "line 1.*user_id.*--user"),
        ("a column twice", "user_id,item_id,user_id\na,b,c\n", 1, "line 1.*user_id.*twice"),
        ("too few cells", table + "u,i1\n", 1, "line 5.*2 cells.*3"),
        ("too many cells", table + "u,i1,1,\n", 1, "line 5.*4 cells.*3"),
        ("an empty cell", table + "u,,1\n", 1, "line 5.*item"),
        ("an empty time", table + "u,i1,\n", 1, "line 5.*time"),
        ("a time before 1970", table + "u,i1,-5\n", 1, "line 5.*1970"),
        ("a quote amid", table + 'u,i"1,1\nu,i1,1\n', 1, "line 5.*quote"),
        ("a quote that does not end", table + 'u,"i1,1\nu,i1,1\n', 1, "line 5.*quote"),
        ("text behind a quote", table + 'u,"i"1,1\n', 1, "line 5.*quote"),
        ("an array that does not end", "[" + good, 1, "the array does not end"),
        ("Parquet", "PAR1\x15\0", 1, "the log is Parquet"),
        ("too few clicks", table, 1, "--min-events"),
        ("unknown items", "user_id,item_id\n" + "u,x\n" * 12, 1, "nothing to predict.*5 skipped"),
    ]
    path = os.path.join(directory, "bad")
    for what, text, code, pattern in logs:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        done = run("--model", model, "--events", path)
        last = done.stderr.decode().splitlines()[-1]
        check(what, done.returncode == code and re.search(pattern, last) and not done.stdout, done.returncode, last)
    with open(path, "wb") as file:
        file.write(table.encode() + b"u,\xff\x1b,1\n")
    done = run("--model", model, "--events", path)
    check("not UTF-8", done.returncode == 1 and b"line 5: item" in done.stderr, done.stderr)
    both = ["--model", model, "--events", path]
    usages = [([], "--model"), (["--model", model], "--events"), (both + ["--holdout", "0"], "--holdout"),
              (both + ["--holdout", "1.1"], "--holdout"), (both + ["--holdout", "0.1", "--users", path], "exclude"),
              (both + ["--decays", "0.9 1.1"], "1.1"), (both + ["--decays", "0.9 0.9"], "twice"),
              (both + ["--half-lives", "7w"], "7w"), (both + ["--threads", "0"], "--threads"),
              (both + ["--max-events", "x"], "--max-events"), (both + ["more"], "more"), (both + ["--what"], "--what"),
              (both + ["--skip", "times"], "'times' is none of"),
              (both + ["--skip", "time", "--strict"], "exclude"), (both + ["--separator", "ab"], "'ab'"),
              (["--model", model, "--events", "-", "--events", "-"], "once"), (both + ["--quotes", "x"], "--quotes"),
              (both + ["--user"], "--user"), (both + ["--format", "xml"], "xml"), (both + ["--time", "when"], "when")]
    for arguments, word in usages:
        done = run(*arguments)
        check(f"usage {arguments[-2:]}", done.returncode == 2 and word in done.stderr.decode() and not done.stdout, done.stderr)
    for arguments, word in ((["--model", model, "--events", path + "/none"], "none"), (both[:-1] + [directory], "directory"),
                            (both + ["--users", path + "/none"], "none")):
        done = run(*arguments)
        check(f"no file {arguments[-1]}", done.returncode == 1 and word in done.stderr.decode(), done.stderr)
    done = run("--help")
    check("help", done.returncode == 0 and b"--holdout F" in done.stdout and b"Examples:" in done.stdout)


with tempfile.TemporaryDirectory() as scratch:
    generator = np.random.default_rng(20261121)
    check_rule(scratch, generator)
    check_order_of_file(scratch, generator)
    check_models(scratch, generator)
    check_trained(scratch, generator)
    check_table(scratch)
    check_bad(scratch)
print(f"{len(failures)} failures")
sys.exit(1 if failures else 0)
