#!/usr/bin/python3
"""The kind pooling against the float64 reference: sum, mean and decayed mean, full and incremental, with profile, head and
normalize. Without forgetting, the fold of a history that fits the window is full extraction. The commands know the kind."""

import itertools
import json
import os
import subprocess
import tempfile

import numpy as np

import ms_model
import ms_reference
import random_models

BINARY = os.environ["MINDSTREAM"]
METHODS = ({}, {"method": "sum"}, {"method": "mean"}, {"method": "decayed-mean"}, {"method": "decayed-mean", "decay": 0.5})
FORGETTING = (([], {}), (["--decay", "1"], {"decays": (1.0,)}), (["--decay", "0.7,0.95"], {"decays": (0.7, 0.95)}),
              (["--half-life", "5s"], {"half_lives": (5000,)}))
WINDOW = 40


def run(*args, text=""):
    return subprocess.run([BINARY, *args], input=text, text=True, capture_output=True, timeout=120, check=False)


def make(directory, pooling, profile=False, head=False, normalize=False, dim=19):
    """Writes a model and gives its config."""
    rng = np.random.default_rng(7)
    config = {"extractor": "pooling", "dim": dim, "interests": 1, "max_behaviors": WINDOW, "normalize": normalize}
    if pooling:
        config["pooling"] = pooling
    tensors = {"item_embedding": rng.normal(size=(60, dim)).astype(np.float32)}
    config["dim"] += random_models.add_profile(rng, config, tensors) if profile else 0
    if head:
        random_models.add_head(rng, config, tensors, config["dim"])
    random_models.write(directory, config, tensors, [f"item-{n}" for n in range(60)])
    return config


def histories(lengths):
    """With repeats, unknown items, late events, and profiles."""
    rng = np.random.default_rng(8)
    lines = []
    for n, length in enumerate(lengths):
        items = [f"item-{rng.integers(60)}" if rng.integers(10) else "unknown" for _ in range(length)]
        times = np.cumsum(rng.integers(0, 1500, length))
        times = np.maximum(times - (rng.integers(6, size=length) == 0) * rng.integers(0, 4000, length), 0)
        lines.append({"user_id": f"u{n}", "items": items, "timestamps": times.tolist()})
    return lines


def extract(directory, lines, *args):
    done = run("extract", "--model", directory, *args, text="".join(json.dumps(line) + "\n" for line in lines))
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(record, expected, what, tolerance):
    """|expected| is the reference's. Returns whether there was a vector."""
    assert len(record["interests"]) == len(expected.vectors), what
    if not record["interests"]:
        return False
    interest = record["interests"][0]
    error = np.abs(np.array(interest["vector"]) - expected.vectors[0]).max() / np.abs(expected.vectors).max()
    assert error < tolerance and interest["weight"] == 1.0 and interest["slot"] == 0, f"{what}: off by {error:.1e}"
    return True


def test_against_reference():
    lines = histories([0, 1, 2, 7, WINDOW, WINDOW + 1, 90, 2000])
    vectors = 0
    for pooling, profile, head, normalize in itertools.product(METHODS, *[(False, True)] * 3):
        with tempfile.TemporaryDirectory() as directory:
            config = make(directory, pooling, profile, head, normalize)
            model = ms_reference.Model(directory)
            for line, record in zip(lines, extract(directory, lines), strict=True):
                vectors += check(record, model.full(line["items"]), f"{config} full", 1e-6)
            for args, how in FORGETTING:
                for line, record in zip(lines, extract(directory, lines, "--mode", "incremental", *args), strict=True):
                    expected = model.fold(line["items"], times=line["timestamps"], **how)
                    vectors += check(record, expected, f"{config} {args} {len(line['items'])}", 1e-5)
    assert vectors == len(METHODS) * 8 * (1 + len(FORGETTING)) * 7, vectors


def test_by_hand():
    """Two known items and one unknown: (1, 2) then (5, -4)."""
    expected = {"sum": [6, -2], "mean": [3, -1], "decayed-mean": [(0.5 + 5) / 1.5, (1 - 4) / 1.5]}
    line = {"user_id": "u", "items": ["a", "nobody", "b"]}
    for method, vector in expected.items():
        with tempfile.TemporaryDirectory() as directory:
            config = {"extractor": "pooling", "dim": 2, "interests": 1, "max_behaviors": 5,
                      "pooling": {"method": method, "decay": 0.5}}
            ms_model.write_model(directory, config, {"item_embedding": np.array([[1, 2], [5, -4]], dtype=np.float32)},
                                 ["a", "b"])
            for args in ([], ["--mode", "incremental", "--decay", "1"]):
                [record] = extract(directory, [line], *args)
                assert np.allclose(record["interests"][0]["vector"], vector, rtol=1e-6), (method, args, record)


def test_fold_is_full():
    lines = histories(range(1, WINDOW + 1))
    for pooling in METHODS:
        with tempfile.TemporaryDirectory() as directory:
            make(directory, pooling, profile=True, head=True)
            full, fold = extract(directory, lines), extract(directory, lines, "--mode", "incremental", "--decay", "1")
            for one, other in zip(full, fold, strict=True):
                vectors = [np.array([i["vector"] for i in record["interests"]]) for record in (one, other)]
                assert vectors[0].shape == vectors[1].shape
                if len(vectors[0]):
                    assert np.abs(vectors[0] - vectors[1]).max() <= 1e-6 * np.abs(vectors[0]).max(), pooling


def test_commands():
    with tempfile.TemporaryDirectory() as directory:
        make(directory, {"method": "decayed-mean", "decay": 0.75})
        done = run("model", "check", directory)
        assert done.returncode == 0 and "pooling" in done.stdout and "1 interests of 19 floats" in done.stdout, done
        info = json.loads(run("model", "info", directory, "--json").stdout)
        assert info["incremental"] and info["options"]["pooling"] == {"method": "decayed-mean", "decay": 0.75}, info
        assert info["options"]["interest_count"] == "fixed" and "routing" not in info["options"], info
        clicks = os.path.join(directory, "clicks.csv")
        with open(clicks, "w", encoding="utf-8") as file:
            file.write("user_id,item_id,timestamp\n")
            for user, line in enumerate(histories([30] * 20)):
                file.writelines(f"u{user},{item},{n + 1}\n" for n, item in enumerate(line["items"]))
        done = run("evaluate", "--model", directory, "--events", clicks)
        assert done.returncode == 0 and "incremental" in done.stdout, done


def test_refused():
    for change, expected in (({"interests": 2}, "interests is 2, allowed is 1"),
                             ({"pooling": {"method": "max"}}, 'pooling.method is "max", allowed is sum, mean, decayed-mean'),
                             ({"pooling": {"decay": 1.5}}, "pooling.decay is 1.5, allowed is a number from 1e-06 to 1"),
                             ({"pooling": {"half": 1}}, 'unknown key "pooling.half" (known there: method, decay)')):
        with tempfile.TemporaryDirectory() as directory:
            config = {"extractor": "pooling", "dim": 2, "interests": 1, "max_behaviors": 5, **change}
            ms_model.write_model(directory, config, {"item_embedding": np.ones((2, 2), dtype=np.float32)}, ["a", "b"])
            done = run("model", "check", directory)
            assert done.returncode == 1 and expected in done.stderr, done


def main():
    for test in (test_against_reference, test_by_hand, test_fold_is_full, test_commands, test_refused):
        test()
        print(f"{test.__name__} passed")


if __name__ == "__main__":
    main()
