#!/usr/bin/python3
"""mindstream extract with profiles: both orders, with and without a head, in full and event by event, against the numpy
reference within 1e-6; and what is refused."""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np

import ms_model
import ms_reference

BINARY = os.environ["MINDSTREAM"]
ITEMS = [f"i{n}" for n in range(30)]
# age has a row more than values: the last is the default. The others' default is the first.
VOCABULARIES = {"gender": ["f", "m"], "age": ["18-24", "25-34", "7"], "tags": ["a", "b", "ü", "d"]}
ROWS = {"gender": 2, "age": 4, "tags": 4}
PROFILES = [None, {}, {"gender": "m"}, {"gender": "m", "age": "25-34", "tags": "b"}, {"gender": "x", "age": "nobody's", "tags": "?"},
            {"tags": ["a", "b", "d"]}, {"tags": ["ü", "not known", "ü"], "age": 7}, {"tags": [], "gender": None},
            {"age": [7, "18-24", 25], "gender": ["m"]}, {"gender": True, "age": 7.0, "tags": {"a": 1}},
            {"tags": [None, 1.5, "b", ["a"]], "height": 181}, {"age": 18446744073709551615}]


def write(directory, order, fields, head, extractor):
    rng = np.random.default_rng(5)
    d, widths = 8, {"gender": 2, "age": 5, "tags": 3}
    config = {"extractor": extractor, "dim": d + 10, "interests": 3, "max_behaviors": 10, "interest_count": "log2-floor",
              "profile": {**({"order": order} if order else {}), **({"fields": fields} if fields else {})}}
    tensors = {"item_embedding": rng.normal(size=(len(ITEMS), d)).astype(np.float32)}
    if extractor == "mind":
        tensors["routing.bilinear"] = (rng.normal(size=(d, d)) / 3).astype(np.float32)
    else:
        tensors |= {"attention.w1": rng.normal(size=(d, 6)).astype(np.float32), "attention.w2": rng.normal(size=(6, 3)).astype(np.float32)}
    for name, rows in ROWS.items():
        tensors[f"profile.{name}"] = rng.normal(size=(rows, widths[name])).astype(np.float32)
    if head:
        config |= {"dim": 6, "head": [{"activation": "relu"}, {"activation": "linear"}], "normalize": True}
        for n, (out, width) in enumerate(((12, d + 10), (6, 12))):
            tensors[f"head.{n}.weight"] = (rng.normal(size=(out, width)) / 3).astype(np.float32)
            tensors[f"head.{n}.bias"] = rng.normal(size=out).astype(np.float32)
    ms_model.write_model(directory, config, tensors, ITEMS, VOCABULARIES)


def run(directory, lines, *args):
    return subprocess.run([BINARY, "extract", "--model", directory, *args], text=True, capture_output=True, timeout=60, check=False,
                          input="".join(json.dumps(line) + "\n" for line in lines))


def compare(order, fields, head, extractor, mode):
    rng = np.random.default_rng(9)
    lines = []
    for n, profile in enumerate(PROFILES * 2):
        lines.append({"user_id": f"u{n}", "items": [str(item) for item in rng.choice(ITEMS, 3 + n)]})
        if profile is not None:
            lines[-1]["profile"] = profile
    lines.append({"user_id": "null", "items": ["i1"], "profile": None})  # not the one before's
    worst = 0.0
    with tempfile.TemporaryDirectory() as directory:
        write(directory, order, fields, head, extractor)
        done = run(directory, lines, "--mode", mode)
        assert done.returncode == 0, done.stderr
        records, model = [json.loads(line) for line in done.stdout.splitlines()], ms_reference.Model(directory)
        assert len(records) == len(lines)
        for line, record in zip(lines, records):
            way = model.full if mode == "full" else model.fold
            expected = way(line["items"], profile=line.get("profile")).vectors
            found = np.array([interest["vector"] for interest in record["interests"]])
            assert found.shape == expected.shape, f"{found.shape}, not {expected.shape}"
            worst = max(worst, np.abs(found - expected).max())
        different = {tuple(record["interests"][0]["vector"]) for record in records}
        assert len(different) > len(PROFILES), "the same vectors for all"
    assert worst <= 1e-6, f"{order} {fields} head={head} {extractor} {mode}: off by {worst:.1e}"
    return worst


def main():
    worst = 0.0
    for order in (None, "before-interest", "after-interest"):
        for fields in (None, ["tags", "gender", "age"]):
            for head in (False, True):
                for extractor in ("mind", "comirec-sa"):
                    for mode in ("full", "incremental"):
                        worst = max(worst, compare(order, fields, head, extractor, mode))
    with tempfile.TemporaryDirectory() as directory:
        write(directory, None, None, False, "mind")
        for bad in ([], "f", 7, True):
            done = run(directory, [{"user_id": "u", "items": ["i1"], "profile": bad}])
            assert done.returncode == 1 and "profile is not an object" in done.stderr, done.stderr
    print(f"worst {worst:.1e}")


if __name__ == "__main__":
    sys.exit(main())
