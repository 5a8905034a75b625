#!/usr/bin/python3
"""The incremental fold: `mindstream extract --mode incremental` against an independent fold in float64, after
thousands of events; the same bytes on every run and with every number of threads; what cannot be folded is refused."""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np

import ms_model
import ms_reference
import random_models

BINARY = os.environ["MINDSTREAM"]
EVENTS = 5000
FORGETTING = [([], {}), (["--decay", "0.99"], {"decays": (0.99,)}), (["--decay", "1"], {"decays": (1.0,)}),
              (["--decay", "0.7,0.95"], {"decays": (0.7, 0.95)}), (["--half-life", "5s"], {"half_lives": (5000,)}),
              (["--half-life", "2s,1m,300ms"], {"half_lives": (2000, 60000, 300)})]

OWN = [([], {"decays": "model"}), (["--decay", "model"], {"decays": "model"})]  # of models that have decays


def run(directory, lines, *args):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    return subprocess.run([BINARY, "extract", "--model", directory, "--mode", "incremental", *args], input=text, text=True,
                          capture_output=True, timeout=120, check=False)


def fold(directory, lines, *args):
    done = run(directory, lines, *args)
    assert done.returncode == 0, done.stderr
    return done.stdout


def clustered(rng, dim, item_dim, options):
    """Items around a few directions, as trained models have them: on wholly random ones the fold is chaotic, and no two
    ways of rounding agree for long."""
    own_map = options.get("bilinear") == "per-interest"
    centres = rng.normal(size=(6, item_dim)) / np.sqrt(item_dim) * 2.0
    items = centres[rng.integers(6, size=80)] + rng.normal(size=(80, item_dim)) / np.sqrt(item_dim) * 0.7
    tensors = {"item_embedding": items.astype(np.float32)}
    if options.get("bilinear") != "none":
        shape = (5, item_dim, dim) if own_map else (item_dim, dim)
        tensors["routing.bilinear"] = (rng.normal(size=shape) / np.sqrt(item_dim)).astype(np.float32)
        tensors["routing.bilinear_bias"] = rng.normal(size=dim, scale=0.05).astype(np.float32)
    return tensors


def histories(rng, ids, lengths):
    lines = []
    for n, length in enumerate(lengths):
        items, group = [], 0
        for _ in range(length):
            group = int(rng.integers(8)) if rng.integers(10) == 0 else group
            items.append(str(rng.choice(ids[group * 10:group * 10 + 10])) if rng.integers(30) else "unknown")
        times = np.cumsum(rng.integers(0, 1500, length))
        late = rng.integers(12, size=length) == 0
        times = np.maximum(times - late * rng.integers(0, 4000, length), 0)
        lines.append({"user_id": f"u{n}", "items": items, "timestamps": times.tolist()})
    return lines


def compare(directory, config, lines, args, how):
    model = ms_reference.Model(directory)
    worst = 0.0
    for line, text in zip(lines, fold(directory, lines, *args).splitlines(), strict=True):
        record = json.loads(text)
        expected = model.fold(line["items"], times=line["timestamps"], types=line.get("types"), **how)
        vectors = np.array([interest["vector"] for interest in record["interests"]]).reshape(-1, config["dim"])
        weights = np.array([interest["weight"] for interest in record["interests"]])
        assert vectors.shape == expected.vectors.shape, f"{vectors.shape} instead of {expected.vectors.shape}"
        assert record["event_time"] == max(line["timestamps"], default=0)
        if len(vectors):
            worst = max(worst, np.abs(vectors - expected.vectors).max() / np.abs(expected.vectors).max(),
                        np.abs(weights - expected.weights).max())
    if worst > 1e-5:
        sys.exit(f"FAILED: {config} {args}: off by {worst:.1e}")
    return worst


def routing_options():
    plain = {"squash": {"when": "every", "power": 1.0, "scale": 1.0}}
    return [{}, {"bilinear": "per-interest", "initial_logits": "zeros"}, {"bilinear": "none"}, {"update": "replace"},
            {"agreement_interest": "unit", "agreement_item": "unit", "agreement_scale": 3.0},
            {"agreement_interest": "raw", "agreement_scale": 0.2}, {"softmax_scale": 2.0, "iterations": 4},
            {"squash": {"when": "last", "power": 0.5, "scale": 2.0}, "agreement_scale": 0.1}, {"iterations": 1, **plain}]


def test_against_reference():
    worst = 0.0
    for n, options in enumerate(routing_options()):
        rng = np.random.default_rng(40 + n)
        dim = (64, 64, 17, 32, 20, 64, 48, 7, 16)[n]
        item_dim = dim if options.get("bilinear") == "none" else 24
        config = {"extractor": "mind", "dim": dim, "interests": (4, 5, 4, 3, 5, 7, 4, 9, 1)[n], "max_behaviors": 50,
                  "interest_count": ("log2-floor", "fixed", "log2-ceil", "ln-floor")[n % 4], "routing": options,
                  "normalize": n % 5 == 4}
        tensors = clustered(rng, dim, item_dim, options)
        if n % 3 == 2:
            random_models.add_head(rng, config, tensors, dim)
        own = OWN if n % 2 == 0 else []
        if own:
            random_models.add_decays(rng, config, tensors)
            tensors["routing.item_logits"] = rng.normal(size=(80, config["interests"])).astype(np.float32)
            config["routing"] = {"initial_logits": "item", **config["routing"]}
        if config["routing"].get("initial_logits") != "item":
            tensors.pop("routing.item_logits", None)
        with tempfile.TemporaryDirectory() as directory:
            ids = [f"i{row}" for row in range(80)]
            ms_model.write_model(directory, config, tensors, ids)
            forgetting = FORGETTING[1:] + own if own else FORGETTING
            for m, (args, how) in enumerate(forgetting):
                lengths = [EVENTS] if m == n % len(FORGETTING) or how == OWN[0][1] else []
                lines = histories(rng, ids, [0, 1, 2, 3, 40, 300, *lengths])
                worst = max(worst, compare(directory, config, lines, args, how))
    print(f"fold against the reference: worst {worst:.1e}")


def test_attention():
    """Without decay the running softmax is the full one, whatever the size of the logits."""
    for seed in range(6):
        rng = np.random.default_rng(70 + seed)
        config, tensors, ids = random_models.random_attention(rng, positions=False)
        config["max_behaviors"] = 400
        lines = [{"user_id": "u", "items": [str(i) for i in rng.choice(ids, 400)], "timestamps": list(range(400))}]
        with tempfile.TemporaryDirectory() as directory:
            ms_model.write_model(directory, config, tensors, ids)
            compare(directory, config, lines, ["--decay", "0.9,0.5"], {"decays": (0.9, 0.5)})
            record = json.loads(fold(directory, lines, "--decay", "1"))
            full = ms_reference.Model(directory).full(lines[0]["items"])
            vectors = np.array([interest["vector"] for interest in record["interests"]])
            assert np.abs(vectors - full.vectors).max() < 1e-5 * np.abs(full.vectors).max()


def test_decays_close_to_one():
    """Thousands of events at decays of 0.9999: what is lost at each must not be lost to rounding."""
    rng = np.random.default_rng(96)
    config = {"extractor": "mind", "dim": 16, "interests": 4, "max_behaviors": 50, "interest_count": "fixed"}
    ids = [f"i{row}" for row in range(80)]
    lines = histories(rng, ids, [EVENTS])
    with tempfile.TemporaryDirectory() as directory:
        tensors = clustered(rng, 16, 12, {})
        tensors["routing.decay"] = np.array([9.2, 9.0, 8.0, 12.0], dtype=np.float32)
        ms_model.write_model(directory, config, tensors, ids)
        compare(directory, config, lines, [], {"decays": "model"})


def test_event_weights():
    """Events of some types count more, in every kind that folds; types that are not listed, and no type, count 1."""
    rng = np.random.default_rng(97)
    ids = [f"i{row}" for row in range(80)]
    weights = {"event_weights": {"buy": 3.5, "view": 0.25, "": 0.5}}
    lines = histories(rng, ids, [1, 2, 40, 300])
    for line in lines:
        line["types"] = [str(kind) for kind in rng.choice(["click", "buy", "view", ""], len(line["items"]))]
    lines.append({**lines[2], "user_id": "untyped"})
    del lines[-1]["types"]
    tensors = clustered(rng, 16, 12, {})
    cases = [({"extractor": "mind", "dim": 16, "interests": 4, "interest_count": "fixed"}, tensors),
             ({"extractor": "pooling", "dim": 12, "interests": 1}, {"item_embedding": tensors["item_embedding"]}),
             ({"extractor": "comirec-sa", "dim": 12, "interests": 3},
              {"item_embedding": tensors["item_embedding"], "attention.w1": rng.normal(size=(12, 8)).astype(np.float32),
               "attention.w2": rng.normal(size=(8, 3)).astype(np.float32)})]
    for config, tensors in cases:
        with tempfile.TemporaryDirectory() as directory:
            config = {**config, "max_behaviors": 50, **weights}
            ms_model.write_model(directory, config, tensors, ids)
            for args, how in FORGETTING:
                compare(directory, config, lines, args, how)
    for bad, message in (([], "event_weights is []"), ({"buy": 0}, "event_weights.buy is 0"), ({"buy": "3"}, 'event_weights.buy is "3"')):
        with tempfile.TemporaryDirectory() as directory:
            ms_model.write_model(directory, {**config, "event_weights": bad}, tensors, ids)
            done = run(directory, lines[:1])
            assert done.returncode == 1 and message in done.stderr, f"{message}: {done}"


def test_bad_decays_are_refused():
    base = {"extractor": "mind", "dim": 3, "interests": 2, "max_behaviors": 5}
    tensors = {"item_embedding": np.ones((3, 3), np.float32), "routing.bilinear": np.eye(3, dtype=np.float32)}
    two, gate = np.zeros(2, np.float32), np.ones((3, 2), np.float32)
    cases = [({"decay": [0.9]}, {}, "routing.decay has 1 numbers, expected K=2"),
             ({"decay": [0.9, 0.0]}, {}, "routing.decay[1] is 0"), ({"decay": [0.9, 1.5]}, {}, "routing.decay is [0.9,1.5]"),
             ({"decay": 0.9}, {}, "routing.decay is 0.9"), ({}, {"routing.decay_gate": gate}, "tensor routing.decay is missing"),
             ({"decay": [0.9, 0.9]}, {"routing.decay": two}, "tensor routing.decay says 0.5"),
             ({"decay": [0.5, 0.5]}, {"routing.decay": two, "routing.decay_gate": gate}, "exclude each other"),
             ({}, {"routing.decay": np.zeros(3, np.float32)}, "tensor routing.decay has shape [3], expected [K=2]"),
             ({}, {"routing.decay": two, "routing.decay_gate": np.ones((2, 2), np.float32)}, "expected [d=3, K=2]"),
             ({"initial_logits": "item"}, {}, "tensor routing.item_logits is missing"),
             ({}, {"routing.item_logits": np.ones((3, 2), np.float32)}, "routing.item_logits is not one"),
             ({"initial_logits": "item"}, {"routing.item_logits": np.ones((2, 2), np.float32)}, "expected [items=3, K=2]")]
    for routing, more, message in cases:
        with tempfile.TemporaryDirectory() as directory:
            ms_model.write_model(directory, {**base, "routing": routing}, {**tensors, **more}, ["a", "b", "c"])
            done = run(directory, [{"user_id": "u", "items": ["a"]}])
            assert done.returncode != 0 and message in done.stderr and done.stdout == "", f"{message}: {done}"
    with tempfile.TemporaryDirectory() as directory:
        ms_model.write_model(directory, base, tensors, ["a", "b", "c"])
        done = run(directory, [{"user_id": "u", "items": ["a"]}], "--decay", "model")
        assert done.returncode == 2 and "has no decays" in done.stderr, done


def test_many_interests():
    """More interests than decays, and as many of both as there can be."""
    rng = np.random.default_rng(95)
    config = {"extractor": "mind", "dim": 8, "interests": 64, "max_behaviors": 50, "interest_count": "fixed"}
    ids = [f"i{row}" for row in range(80)]
    lines = histories(rng, ids, [0, 1, 2, 60])
    eight = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    with tempfile.TemporaryDirectory() as directory:
        ms_model.write_model(directory, config, clustered(rng, 8, 12, {}), ids)
        for decays in ((0.9,), (0.7, 0.95), eight[:5], eight):
            compare(directory, config, lines, ["--decay", ",".join(map(str, decays))], {"decays": decays})


def test_sameness():
    """Bit for bit the same on every run, with every number of threads, and for a user alone or among others."""
    rng = np.random.default_rng(90)
    config = {"extractor": "mind", "dim": 32, "interests": 4, "max_behaviors": 50, "interest_count": "log2-floor"}
    ids = [f"i{row}" for row in range(80)]
    lines = histories(rng, ids, [int(n) for n in rng.integers(1, 120, 700)])
    with tempfile.TemporaryDirectory() as directory:
        ms_model.write_model(directory, config, clustered(rng, 32, 24, {}), ids)
        first = fold(directory, lines)
        for threads in ("1", "2", "5"):
            assert fold(directory, lines, "--threads", threads) == first, f"--threads {threads} changes the bytes"
        assert fold(directory, lines[333:334]) == first.splitlines(keepends=True)[333]


def test_growth():
    """K'u grows with the events; a slot that came late starts empty and earns its share; slots keep their places."""
    rng = np.random.default_rng(91)
    config = {"extractor": "mind", "dim": 16, "interests": 4, "max_behaviors": 50, "interest_count": "log2-floor"}
    ids = [f"i{row}" for row in range(80)]
    items = histories(rng, ids, [40])[0]["items"]
    lines = [{"user_id": str(n), "items": [item for item in items if item != "unknown"][:n]} for n in range(35)]
    with tempfile.TemporaryDirectory() as directory:
        ms_model.write_model(directory, config, clustered(rng, 16, 24, {}), ids)
        records = [json.loads(text) for text in fold(directory, lines, "--decay", "1").splitlines()]
    for n, record in enumerate(records):
        assert len(record["interests"]) == ms_model.interest_count("log2-floor", 4, n), f"K'u of {n} events"
    weights = [interest["weight"] for interest in records[16]["interests"]]
    assert 0 < weights[3] <= 1 / 16 + 1e-6, "at its first event a new slot holds a part of that event alone"


def test_refused():
    base = {"extractor": "mind", "dim": 4, "interests": 2, "max_behaviors": 5, "interest_count": "fixed"}
    rng = np.random.default_rng(92)
    item = {"item_embedding": rng.normal(size=(3, 4)).astype(np.float32)}
    shared = {**item, "routing.bilinear": rng.normal(size=(4, 4)).astype(np.float32)}
    table = {**shared, "routing.initial_logits": rng.normal(size=(5, 2)).astype(np.float32)}
    position = {**item, "routing.bilinear": rng.normal(size=(5, 2, 4, 4)).astype(np.float32)}
    attention = {**item, "attention.w1": rng.normal(size=(4, 3)).astype(np.float32),
                 "attention.w2": rng.normal(size=(3, 2)).astype(np.float32),
                 "attention.position": rng.normal(size=(5, 4)).astype(np.float32)}
    cases = [({**base, "routing": {"softmax": "behaviors"}}, shared, "routing.softmax"),
             ({**base, "routing": {"softmax": "behaviors-then-interests"}}, shared, "routing.softmax"),
             ({**base, "routing": {"initial_logits": "table"}}, table, "routing.initial_logits"),
             ({**base, "routing": {"update": "probability"}}, shared, "routing.update"),
             ({**base, "extractor": "comirec-dr"}, position, "routing.bilinear"),
             ({**base, "extractor": "comirec-sa"}, attention, "attention.position")]
    for config, tensors, option in cases:
        with tempfile.TemporaryDirectory() as directory:
            ms_model.write_model(directory, config, tensors, ["a", "b", "c"])
            done = run(directory, [{"user_id": "u", "items": ["a"]}])
            assert done.returncode == 2 and option in done.stderr and done.stdout == "", f"{option}: {done}"


def main():
    for test in (test_against_reference, test_decays_close_to_one, test_event_weights, test_bad_decays_are_refused, test_attention, test_many_interests, test_sameness, test_growth, test_refused):
        test()
        print(f"{test.__name__} passed")


if __name__ == "__main__":
    main()
