#!/usr/bin/python3
"""Tensors of all types: what a model makes of F16, BF16 and F64 is what it makes of the same numbers as F32, bit by bit, and what an
own reference in float64 makes of them. What is not finite or beyond float32 is refused with tensor and place. Memory follows the
number of elements, not the type in the file."""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np

import ms_model
import ms_reference

BINARY = os.environ["MINDSTREAM"]
MAX = float(np.finfo(np.float32).max)
failures = 0


def check(what, good, *seen):
    global failures
    if not good:
        failures += 1
        print("FAILED:", what, *seen)


def extract(directory, histories):
    """The interests of each history, as text that keeps every digit."""
    lines = "".join(json.dumps({"user_id": f"u{n}", "items": items}) + "\n" for n, items in enumerate(histories))
    done = subprocess.run([BINARY, "extract", "--model", directory], input=lines, capture_output=True, text=True, timeout=120)
    check("extract", done.returncode == 0, done.stderr)
    return [json.loads(line)["interests"] for line in done.stdout.splitlines()]


def to(dtype, array):
    return ms_model.bfloat16(array) if dtype == "BF16" else array.astype(ms_model.DTYPES[dtype])


def check_models(directory, rng):
    """All tensors in one type, and each in another, in a file where they begin at odd places."""
    items = [f"i{n}" for n in range(301)]
    config = {"extractor": "mind", "dim": 7, "interests": 3, "max_behaviors": 9, "head": [{"activation": "linear"}]}
    numbers = {"head.0.bias": rng.normal(size=7), "item_embedding": rng.normal(size=(301, 5)),
               "routing.bilinear": rng.normal(size=(5, 7)), "head.0.weight": rng.normal(size=(7, 7))}
    histories = [[str(item) for item in rng.choice(items, size=int(rng.integers(1, 14)))] for _ in range(50)]
    mixed = ["BF16", "F16", "F64", "F32"]
    for name, types in [(dtype, [dtype] * 4) for dtype in ms_model.DTYPES] + [("mixed", mixed), ("mixed again", mixed[::-1])]:
        tensors = {key: to(dtype, array) for dtype, (key, array) in zip(types, numbers.items())}
        model, twin = os.path.join(directory, name), os.path.join(directory, name + " as F32")
        ms_model.write_model(model, config, tensors, items)
        ms_model.write_model(twin, config, {key: ms_model.as_float32(array) for key, array in tensors.items()}, items)
        found = extract(model, histories)
        check(f"{name}: as with F32", found == extract(twin, histories))
        reference = ms_reference.Model(model)
        for history, interests in zip(histories, found):
            expected = reference.full(history).vectors
            vectors = np.array([interest["vector"] for interest in interests])
            check(f"{name}: the reference", vectors.shape == expected.shape and np.allclose(vectors, expected, rtol=2e-5, atol=2e-6))


def check_rounding(directory):
    """The sum of one embedding is the embedding: every number as numpy rounds it, over several pieces of a megabyte."""
    rng = np.random.default_rng(4)
    edge = np.array([0.1, 1 + 2**-24, 1 + 3 * 2**-24, MAX, -MAX * (1 + 2**-26), 2**-126, 2**-149, 2**-150, 3 * 2**-150, 1e-60, -0.0, 5e-324])
    rows = np.concatenate([edge.reshape(3, 4), rng.normal(size=(100000, 4)) * 10.0 ** rng.integers(-40, 38, size=(100000, 4))])
    rows = np.clip(rows, -MAX, MAX)
    items = [f"i{n}" for n in range(len(rows))]
    config = {"extractor": "pooling", "dim": 4, "interests": 1, "max_behaviors": 3, "pooling": {"method": "sum"}}
    chosen = [0, 1, 2, 3, 32766, 32767, 32768, 65535, 65536, 100002]
    for dtype in ("F64", "BF16"):
        model = os.path.join(directory, "rounding " + dtype)
        array = to(dtype, np.clip(rows, -3e38, 3e38) if dtype == "BF16" else rows)
        ms_model.write_model(model, config, {"item_embedding": array}, items)
        for row, interests in zip(chosen, extract(model, [[items[row]] for row in chosen])):
            found = np.array(interests[0]["vector"], dtype=np.float64).astype(np.float32)
            check(f"{dtype} row {row}", np.array_equal(found, ms_model.as_float32(array)[row]), found, array[row])


def check_refused(directory):
    config = {"extractor": "pooling", "dim": 4, "interests": 1, "max_behaviors": 3}
    beyond = 2.0**128 - 2.0**103  # half way between the largest float32 and 2^128: rounds to infinity
    for dtype, value, text in (("F64", 1e300, "1e+300, which no float32 holds"), ("F64", -beyond, "which no float32 holds"),
                               ("F64", np.nan, "NaN"), ("F64", -np.inf, "infinite"), ("BF16", np.inf, "infinite"),
                               ("BF16", np.nan, "NaN"), ("F16", np.inf, "infinite"), ("F16", np.nan, "NaN"), ("F32", np.nan, "NaN")):
        array = np.ones((200000, 4))
        array[170001, 2] = value
        with np.errstate(invalid="ignore"):
            tensor = to(dtype, array)
        model = os.path.join(directory, "refused")
        ms_model.write_model(model, config, {"item_embedding": tensor}, [f"i{n}" for n in range(len(array))])
        done = subprocess.run([BINARY, "model", "check", model], capture_output=True, text=True, timeout=120)
        check(f"{dtype} {value}", done.returncode == 1 and done.stderr.count("\n") == 1 and
              "model.safetensors: tensor item_embedding: element 680006 is " in done.stderr and text in done.stderr and
              done.stderr.endswith(", at [170001, 2]\n"), done.stderr)


def peak_kb(model):
    """The most memory that `extract` took until its first record."""
    with subprocess.Popen([BINARY, "extract", "--model", model, "--threads", "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(b'{"user_id": "u", "items": ["i1"]}\n' * 600)
        process.stdin.flush()
        check("extract gives a record", process.stdout.readline())
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
        process.kill()
    return peak


def check_memory(directory):
    config = {"extractor": "pooling", "dim": 64, "interests": 1, "max_behaviors": 3}
    array = np.ones((100000, 64))
    peaks = {}
    for dtype in ms_model.DTYPES:
        model = os.path.join(directory, "memory")
        ms_model.write_model(model, config, {"item_embedding": to(dtype, array)}, [f"i{n}" for n in range(len(array))])
        peaks[dtype] = peak_kb(model)
    with open(BINARY, "rb") as file:
        sanitized = b"__asan_init" in file.read()
    check("memory", sanitized or max(peaks.values()) - peaks["F32"] < 4096, peaks)


with tempfile.TemporaryDirectory() as scratch:
    check_models(scratch, np.random.default_rng(11))
    check_rounding(scratch)
    check_refused(scratch)
    check_memory(scratch)
print(f"{failures} failures")
sys.exit(1 if failures else 0)
