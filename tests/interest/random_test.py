#!/usr/bin/python3
"""Hundreds of random models over the whole vocabulary of options: `mindstream extract` against the float64 reference.

Vectors within 2e-5 of the largest value, weights within 1e-5, and the right number of interests on every line."""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np

import ms_reference
import random_models

BINARY = os.environ["MINDSTREAM"]
PLANS = (("any", 1, 160), ("hot", 2, 60), ("attention", 3, 40), ("sine", 4, 60))


def make(kind, rng):
    if kind == "attention":
        return random_models.random_attention(rng)
    if kind == "sine":
        return random_models.random_sine(rng)
    return random_models.random_mind(rng, hot=kind == "hot")


def extract(directory, lines):
    done = subprocess.run([BINARY, "extract", "--model", directory, "--threads", "1"], text=True, capture_output=True,
                          input="".join(json.dumps(line) + "\n" for line in lines), timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def compare(model, line, record, dim):
    """The error of the vectors, as a share of the largest value, and that of the weights."""
    expected = model.full(line["items"], line.get("initial_logits"))
    vectors = np.array([interest["vector"] for interest in record["interests"]]).reshape(-1, dim)
    assert vectors.shape == expected.vectors.shape, f"{vectors.shape} instead of {expected.vectors.shape}"
    assert [interest["slot"] for interest in record["interests"]] == list(range(len(vectors)))
    assert record["user_id"] == line["user_id"] and record["version"] == len(line["items"])
    if len(vectors) == 0:
        return 0.0, 0.0
    weights = np.array([interest["weight"] for interest in record["interests"]])
    largest = np.abs(expected.vectors).max()
    return np.abs(vectors - expected.vectors).max() / max(largest, 1e-30), np.abs(weights - expected.weights).max()


def main():
    for kind, base, count in PLANS:
        worst = (0.0, 0)
        interests = 0
        for seed in range(base * 100000, base * 100000 + count):
            rng = np.random.default_rng(seed)
            config, tensors, items = make(kind, rng)
            lines = random_models.random_histories(rng, config, items, 10)
            with tempfile.TemporaryDirectory() as directory:
                random_models.write(directory, config, tensors, items)
                records = extract(directory, lines)
                model = ms_reference.Model(directory)
                assert len(records) == len(lines)
                for line, record in zip(lines, records):
                    error, weight_error = compare(model, line, record, config["dim"])
                    if error > 2e-5 or weight_error > 1e-5:
                        sys.exit(f"FAILED: {kind} seed {seed}: vectors off by {error:.1e} of the largest value, "
                                 f"weights by {weight_error:.1e}\n{json.dumps(config)}")
                    worst = max(worst, (error, seed))
                    interests += len(record["interests"])
        assert interests > count * 5, "hardly anything was compared"
        print(f"{kind}: {count} models, {interests} interests, worst {worst[0]:.1e} of the largest value (seed {worst[1]})")


if __name__ == "__main__":
    main()
