#!/usr/bin/python3
"""mindstream extract as a command: one record a line in order, bad lines named, bad usage refused, no whole input in
memory; and that a model of other sizes of number still gives finite floats."""

import gzip
import itertools
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading

import numpy as np

import ms_model
import ms_reference

BINARY = os.environ["MINDSTREAM"]
CONFIG = {"extractor": "mind", "dim": 8, "interests": 3, "max_behaviors": 6, "interest_count": "fixed"}
IDS = ["7", "x", "ü \u2603", "0", "18446744073709551617"]
GOOD = {"user_id": "u", "items": ["x", "7"]}


def write(directory, config=None, scale=1.0):
    rng = np.random.default_rng(3)
    tensors = {"item_embedding": rng.normal(size=(5, 8), scale=scale).astype(np.float32),
               "routing.bilinear": rng.normal(size=(8, 8)).astype(np.float32)}
    ms_model.write_model(directory, {**CONFIG, **(config or {})}, tensors, IDS)


def run(directory, text, *args):
    data = text if isinstance(text, bytes) else text.encode()
    done = subprocess.run([BINARY, "extract", "--model", directory, *args], input=data, capture_output=True, timeout=120,
                          check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def lines_of(*objects):
    return "".join(json.dumps(o) + "\n" for o in objects)


def sanitized():
    """Whether the binary is one that keeps what is freed."""
    with open(BINARY, "rb") as file:
        return b"__asan_init" in file.read()


def test_records(directory):
    code, out, err = run(directory, lines_of(GOOD, {"user_id": 12, "items": [7, "x", "none", 18446744073709551617]},
                                             {"user_id": -3, "items": []}, {"user_id": "ü\n", "items": ["none"]}))
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and err == "", err
    assert [r["user_id"] for r in records] == ["u", "12", "-3", "ü\n"]
    assert [r["version"] for r in records] == [2, 4, 0, 1]
    assert [len(r["interests"]) for r in records] == [3, 3, 0, 0]
    assert all(r["model"] == "test@1" and r["dim"] == 8 and r["event_time"] == 0 for r in records)
    without = json.loads(run(directory, lines_of({"user_id": 12, "items": ["7", "x", "18446744073709551617"]}))[1])
    assert without["interests"] == records[1]["interests"], "an unknown item takes no slot; integer ids keep every digit"
    assert run(directory, json.dumps(GOOD))[1] == run(directory, lines_of(GOOD))[1], "the last newline may be missing"
    assert run(directory, "") == (0, "", "")


def test_foreign_lines(directory):
    """A byte order mark, CR LF and blank lines are no part of the records; compressed input is read; a line has a bound."""
    lines = [json.dumps({"user_id": f"u{n}", "items": ["x", "7"]}) for n in range(700)]
    expected = run(directory, "\n".join(lines))
    assert expected[0] == 0 and len(expected[1].splitlines()) == 700
    text = ("\ufeff" + "\r\n".join(lines[:300]) + "\r\n\r\n \t\n\n" + "\n".join(lines[300:]) + "\n\n").encode()
    assert run(directory, text) == expected
    assert run(directory, gzip.compress(text[:5000]) + gzip.compress(text[5000:])) == expected
    code, out, err = run(directory, text + b"{\n")
    assert code == 1 and "line 705" in err and out == expected[1], err
    code, out, err = run(directory, gzip.compress(text)[:-9])
    assert code == 1 and "the gzip data are damaged (cut off)" in err, err
    limit = resource.RLIM_INFINITY if sanitized() else 400 << 20
    with open("/dev/zero", "rb") as zeros:
        process = subprocess.Popen([BINARY, "extract", "--model", directory, "--threads", "1"], stdin=zeros, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)))
        err = process.communicate(timeout=100)[1]
    assert process.returncode == 1 and b"line 1: longer than 67108864 bytes" in err, err


def test_initial_logits(directory):
    logits = [[0.5, -1, 2], [1, 1, 1.5], [-2, 0.25, 3]]
    known = {"user_id": "a", "items": ["x", "7"], "initial_logits": [logits[0], logits[2]]}
    mixed = {"user_id": "a", "items": ["x", "none", "7"], "initial_logits": logits}
    _, out, _ = run(directory, lines_of(known, mixed, GOOD))
    first, second, third = [json.loads(line)["interests"] for line in out.splitlines()]
    assert first == second, "an unknown item's logits go with it"
    assert first != third, "given logits replace the model's own"


BAD = [("{", "not JSON"), ("[]", "object"), ('{"items": []}', "user_id is missing"),
       ('{"user_id": 1.5, "items": []}', "user_id"), ('{"user_id": "", "items": []}', "user_id"),
       ('{"user_id": "u"}', "items is missing"), ('{"user_id": "u", "items": "x"}', "items is not an array"),
       ('{"user_id": "u", "items": ["x", null]}', "items[1]"), ('{"user_id": "u", "items": [1.5]}', "items[0]"),
       ('{"user_id": "u", "items": ["x"], "initial_logits": [[1,2]]}', "initial_logits[0] has 2 numbers, expected K=3"),
       ('{"user_id": "u", "items": ["x"], "initial_logits": []}', "initial_logits has 0 rows"),
       ('{"user_id": "u", "items": ["x"], "initial_logits": [[1,2,3],[1,2,3]]}', "initial_logits has 2 rows"),
       ('{"user_id": "u", "items": ["x"], "initial_logits": [[1,2,"3"]]}', "initial_logits[0][2]"),
       ('{"user_id": "u", "items": ["x"], "initial_logits": [[1,2,1e300]]}', "initial_logits[0][2]"),
       ('{"user_id": "u", "items": ["x"], "timestamps": [1,2]}', "timestamps has 2 elements, but items has 1"),
       ('{"user_id": "u", "items": ["x"], "timestamps": ["1"]}', "timestamps[0]"),
       ('{"user_id": "u", "items": ["x"], "timestamps": [-1]}', "timestamps[0]"),
       (b'{"user_id": "\xff", "items": []}', "not JSON")]


def test_bad_lines(directory):
    for bad, reason in BAD:
        before = lines_of(*[GOOD] * 300).encode()
        text = before + (bad if isinstance(bad, bytes) else bad.encode()) + b"\n" + lines_of(GOOD).encode()
        code, out, err = run(directory, text)
        assert code == 1 and "line 301" in err and reason in err and err.count("\n") == 1, f"{bad}: {code} {err}"
        assert len(out.splitlines()) == 300, f"{bad}: {len(out.splitlines())} records before the bad line"
    code, _, err = run(directory, lines_of(GOOD), "--mode", "incremental", "--half-life", "1d")
    assert code == 1 and "line 1" in err and "timestamps" in err


def test_usage(directory):
    for args, word in ((["--mode", "half"], "--mode"), (["--threads", "0"], "--threads"), (["--nonsense"], "--nonsense"),
                       (["--decay", "2", "--mode", "incremental"], "--decay"), (["--decay", "0.5"], "--mode incremental"),
                       (["--decay", "0.5", "--half-life", "1d", "--mode", "incremental"], "exclude"), (["file"], "file")):
        code, out, err = run(directory, "", *args)
        assert code == 2 and out == "" and word in err and err.count("\n") == 1, f"{args}: {code} {err}"
    done = subprocess.run([BINARY, "extract"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "--model" in done.stderr
    done = subprocess.run([BINARY, "extract", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Examples:" in done.stdout
    code, _, err = run(os.path.join(directory, "none"), "")
    assert code == 1 and "none" in err
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([BINARY, "extract", "--model", directory], input=lines_of(*[GOOD] * 5000), text=True, stdout=full,
                              stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1 and "output" in done.stderr


def peak_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", file.read()).group(1))


def test_streaming(directory):
    """Records appear while the input is still open, in order, and memory does not grow with the input.

    The command holds two batches a thread, of 1 MiB each; here these are fewer than 100 of the lines.
    The watchdog only turns a command that waits for the end of the input into a failure."""
    first, count, held = 400, 1600, 150
    line = json.dumps({"user_id": "u", "items": ["x"] * 20000})
    go_on = threading.Event()

    def feed():
        for n in range(count):
            if n == first:
                process.stdin.flush()
                go_on.wait()
            process.stdin.write(line.replace('"u"', str(n)) + "\n")
        process.stdin.close()
    with subprocess.Popen([BINARY, "extract", "--model", directory, "--threads", "3"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        watchdog = threading.Timer(100, process.kill)
        watchdog.start()
        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        users = [json.loads(text)["user_id"] for text in itertools.islice(process.stdout, first - held)]
        assert len(users) == first - held, "no records before the input ends"
        before = peak_bytes(process.pid)
        go_on.set()
        users += [json.loads(text)["user_id"] for text in process.stdout]
        feeder.join()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        watchdog.cancel()
    assert process.returncode == 0
    assert users == [str(n) for n in range(count)]
    passed, grown = (count - first) * len(line), usage.ru_maxrss * 1024 - before
    assert sanitized() or grown < passed / 4, f"{grown} bytes more after {passed} bytes of input"


def test_sizes_of_numbers(directory):
    """From nearly nothing to nearly the largest float: finite floats, and short ones are still told apart."""
    for scale in (1e-30, 1e-8, 1e4, 1e18):
        for normalize in (False, True):
            write(directory, {"normalize": normalize}, scale)
            code, out, err = run(directory, lines_of(GOOD))
            assert code == 0, err
            vectors = np.array([i["vector"] for i in json.loads(out)["interests"]])
            assert np.isfinite(vectors).all()
            lengths = np.linalg.norm(vectors, axis=1)
            if scale > 1 and normalize: # an interest that a saturated softmax leaves without items has no length
                assert lengths.max() > 0.9 and np.all((abs(lengths - 1) < 1e-5) | (lengths < 1e-5)), lengths


def test_equal_topics(_):
    """SINE takes the first among topics of the same score, as the published graph's top-k does."""
    rng = np.random.default_rng(6)
    topics = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0.5, 0.5, 0, 0]], dtype=np.float32)
    items = [[1, 1, 1, 0.25], [1, 1, 1, -2], [0.5, 0.5, 0.5, 1]]
    ids = ["a", "b", "c"]
    tensors = {"item_embedding": np.array(items, dtype=np.float32), "sine.topics": topics,
               **{f"sine.{net}.w1": rng.normal(size=(4, 3)).astype(np.float32) for net in ("select", "pool", "concept")},
               "sine.select.w2": rng.normal(size=3).astype(np.float32),
               "sine.pool.w2": rng.normal(size=(3, 2, 1)).astype(np.float32),
               "sine.concept.w2": rng.normal(size=(3, 1)).astype(np.float32),
               "sine.aggregate.query": rng.normal(size=(8, 4)).astype(np.float32)}
    config = {"extractor": "sine", "dim": 4, "interests": 2, "max_behaviors": 4,
              "sine": {"concept_feature": False, "output": "interests"}}
    with tempfile.TemporaryDirectory() as directory:
        # Each item, and so the user's summary, has one product with all four topics.
        for order in ([0, 1, 2, 3], [2, 1, 0, 3], [3, 2, 0, 1]):
            ms_model.write_model(directory, config, {**tensors, "sine.topics": topics[order]}, ids)
            code, out, err = run(directory, lines_of({"user_id": "u", "items": ids}))
            assert code == 0, err
            weights = [interest["weight"] for interest in json.loads(out)["interests"]]
            expected = ms_reference.Model(directory).full(ids).weights
            assert np.abs(weights - expected).max() < 1e-6, f"{weights} instead of {expected}"


def main():
    with tempfile.TemporaryDirectory() as directory:
        write(directory)
        for test in (test_records, test_foreign_lines, test_initial_logits, test_bad_lines, test_usage, test_streaming, test_sizes_of_numbers,
                     test_equal_topics):
            test(directory)
            print(f"{test.__name__} passed")


if __name__ == "__main__":
    sys.exit(main())
