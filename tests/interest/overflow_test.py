#!/usr/bin/python3
"""Numbers beyond float32, in each kind, folded and routed, through head, profile and normalize: the record of such a user has no
interests, never zeros and never NaN or Inf, and `model check` names the tensor. A user whose numbers fit is as always."""

import json
import math
import os
import subprocess
import tempfile

import numpy as np

import ms_model

BINARY = os.environ["MINDSTREAM"]
BIG = 3e38
ITEMS = [f"i{number}" for number in range(4)]  # i0 to i2 are small, i3 is large
D, K, L = 4, 2, 20


def run(*args, text=""):
    return subprocess.run([BINARY, *args], input=text, text=True, capture_output=True, timeout=120, check=False)


def embedding(large):
    rows = np.full((4, D), 0.5, np.float32)
    rows[3] = large
    return rows


def sine(rng):
    return {"sine.topics": rng.normal(size=(5, D)), "sine.select.w1": rng.normal(size=(D, 3)), "sine.select.w2": rng.normal(size=3),
            "sine.pool.w1": rng.normal(size=(D, 3)), "sine.pool.w2": rng.normal(size=(3, K, 1)),
            "sine.concept.w1": rng.normal(size=(D, 3)), "sine.concept.w2": rng.normal(size=(3, 1)),
            "sine.aggregate.query": rng.normal(size=(2 * D, D))}


KINDS = {
    "mind": (K, {}, lambda rng: {"routing.bilinear": np.eye(D)}),
    "comirec-dr": (K, {}, lambda rng: {"routing.bilinear": np.broadcast_to(np.eye(D), (L, K, D, D))}),
    "comirec-sa": (K, {}, lambda rng: {"attention.w1": rng.normal(size=(D, 3)), "attention.w2": rng.normal(size=(3, K))}),
    "sine": (K, {}, sine),
    "pooling": (1, {"pooling": {"method": "sum"}}, lambda rng: {}),
}


def write(directory, kind, large=1.0, head=(), normalize=False, profile=None, **more):
    interests, config, tensors = KINDS[kind]
    rng = np.random.default_rng(1)
    made = {"item_embedding": embedding(large), **tensors(rng)}
    config = {"extractor": kind, "dim": D, "interests": interests, "max_behaviors": L, "normalize": normalize, **config}
    width, profiles = D, None
    if profile is not None:
        profiles = {"f": ["a"]}
        made["profile.f"] = np.full((2, 1), profile)
        width += 1
    for n, factor in enumerate(head):
        config.setdefault("head", []).append({"activation": "relu"})
        made[f"head.{n}.weight"] = np.full((D, width), factor)
        width = D
    config.update(more)
    ms_model.write_model(directory, config, {name: np.asarray(array, np.float32) for name, array in made.items()}, ITEMS,
                         profiles)


def extract(directory, items, *args):
    done = run("extract", "--model", directory, *args, text=json.dumps({"user_id": "u", "items": items}) + "\n")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["interests"]


def check_good(interests, what):
    values = [value for interest in interests for value in interest["vector"]]
    assert interests and all(math.isfinite(value) and abs(value) < 3.4e38 for value in values), f"{what}: {interests}"
    assert any(values), f"{what}: zeros"


def warned(directory):
    """The tensor that `model check` names; text and JSON agree."""
    done, text = run("model", "check", directory, "--json"), run("model", "check", directory)
    assert done.returncode == text.returncode == 0, done.stdout + text.stderr
    found = json.loads(done.stdout)["overflow"]
    if found:
        assert f"warning: tensor {found['tensor']} " in text.stdout and found["bound"] > 3.4e38, text.stdout
    else:
        assert "warning" not in text.stdout, text.stdout
    return found and found["tensor"]


def case(directory, name, items, tensor, modes=("full", "incremental"), **model):
    """The overflowing history has no interests; one of small items has, where |model| lets it; |tensor| is named."""
    kind = name.split()[0]
    write(directory, kind, **model)
    assert warned(directory) == tensor, f"{name}: model check names {warned(directory)}, not {tensor}"
    for mode in modes:
        found = extract(directory, items, "--mode", mode)
        assert found == [], f"{name}, {mode}: {found}"
        if not model.get("head") and model.get("profile") is None:
            check_good(extract(directory, ["i0", "i1"], "--mode", mode), f"{name}, {mode}")


def main():
    with tempfile.TemporaryDirectory() as directory:
        for kind in KINDS:
            write(directory, kind)
            assert warned(directory) is None, f"{kind}: {warned(directory)}"
            check_good(extract(directory, ["i0", "i3"]), kind)
        full, both = ("full",), ("full", "incremental")
        # sums of large items, where a kind has them
        case(directory, "pooling", ["i3"] * 3, "item_embedding", both, large=BIG)
        case(directory, "mind", ["i3"] * 9, "item_embedding", ("incremental",), large=BIG)
        case(directory, "comirec-sa", ["i3"] * 9, "item_embedding", ("incremental",), large=BIG)
        # what a squash or a mean keeps short is published as it is
        for kind in ("mind", "comirec-sa", "sine"):
            write(directory, kind, large=BIG)
            check_good(extract(directory, ["i0", "i3"], "--mode", "full"), kind)
        # heads, also behind each other, and normalize behind them
        for kind in KINDS:
            modes = full if kind in ("sine", "comirec-dr") else both
            case(directory, f"{kind} head", ["i3"], "head.0.weight", modes, head=(BIG,), large=1e3)
            case(directory, f"{kind} heads", ["i0"], "head.1.weight", modes, head=(1e30, 1e30), large=1e3)
            # in double, normalize brings back what float32 does not have
            narrow = {"mind": both, "comirec-sa": ("incremental",), "pooling": ("incremental",)}.get(kind, ())
            case(directory, f"{kind} normalize", ["i0"], "head.1.weight", narrow, head=(1e30, 1e30), normalize=True)
            if narrow != both:
                check_good(extract(directory, ["i0"], "--mode", "full"), f"{kind} normalize")
            case(directory, f"{kind} profile", ["i0"], "head.0.weight", modes, head=(1e10,), profile=1e30)
    print("ok")


if __name__ == "__main__":
    main()
