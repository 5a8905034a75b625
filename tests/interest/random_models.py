"""Random models over the whole vocabulary of options, and random histories for them."""

import numpy as np

import ms_model


def pick(rng, *choices):
    return choices[int(rng.integers(len(choices)))]


def random_routing(rng, bilinear):
    shared = bilinear in ("shared", "none")
    return {
        "iterations": int(pick(rng, 1, 2, 3, 3, 3, 4, 5)),
        "softmax": pick(rng, "interests", "interests", "behaviors", "behaviors-then-interests"),
        "padded_softmax": bool(rng.integers(2)),
        "softmax_scale": pick(rng, 1.0, 1.0, 0.5, 3.0, 20.0),
        "initial_logits": pick(rng, "item-normal", "table", "item", *(() if shared else ("zeros",))),
        "seed": int(rng.integers(1 << 40)),
        "stddev": pick(rng, 1.0, 1.0, 0.1, 5.0),
        "update": pick(rng, "accumulate", "accumulate", "replace", "probability"),
        "agreement_interest": pick(rng, "squashed", "squashed", "unit", "raw"),
        "agreement_item": pick(rng, "raw", "raw", "unit"),
        "agreement_scale": pick(rng, 1.0, 1.0, 0.3, 20.0),
        "bilinear": bilinear,
        "squash": {"when": pick(rng, "every", "every", "last"), "power": pick(rng, 1.0, 1.0, 0.5, 2.0),
                   "scale": pick(rng, 1.0, 1.0, 2.0)},
    }


def add_head(rng, config, tensors, width):
    widths = [int(rng.integers(3, 80)) for _ in range(int(rng.integers(1, 4)))]
    config["dim"] = widths[-1]
    config["head"] = [{"activation": pick(rng, "relu", "linear")} for _ in widths]
    config["head"][-1]["activation"] = "linear"
    for n, out in enumerate(widths):
        tensors[f"head.{n}.weight"] = (rng.normal(size=(out, width)) / np.sqrt(width)).astype(np.float32)
        if rng.integers(2):
            tensors[f"head.{n}.bias"] = rng.normal(size=out, scale=0.1).astype(np.float32)
        width = out


def add_decays(rng, config, tensors):
    """Decays of the model: a list, a tensor, or a tensor and a gate."""
    K, (items, d) = config["interests"], tensors["item_embedding"].shape
    if rng.integers(3) == 0:
        config["routing"] = {**config.get("routing", {}), "decay": [round(float(g), 6) for g in rng.uniform(0.3, 1.0, K)]}
        return
    tensors["routing.decay"] = rng.normal(2.0, 2.0, K).astype(np.float32)
    if rng.integers(2):
        tensors["routing.decay_gate"] = rng.normal(size=(d, K), scale=1.0 / np.sqrt(d)).astype(np.float32)


def add_profile(rng, config, tensors):
    """Profile fields, listed or found by name; returns how much wider they make a row."""
    widths = {name: int(rng.integers(1, 9)) for name in ("gender", "age", "city")[:int(rng.integers(1, 4))]}
    for name, width in widths.items():
        tensors[f"profile.{name}"] = rng.normal(size=(3, width), scale=0.3).astype(np.float32)
    config["profile"] = {"order": pick(rng, "before-interest", "after-interest")}
    if rng.integers(2):
        config["profile"]["fields"] = list(widths)
    return sum(widths.values())


def write(directory, config, tensors, items):
    """The model directory, with the vocabularies of its profile fields."""
    ms_model.write_model(directory, config, tensors, items)
    for name in tensors:
        if name.startswith("profile."):
            with open(f"{directory}/profile_{name[8:]}.txt", "w", encoding="utf-8") as file:
                file.write("default\nfirst\nsecond\n")


def random_mind(rng, hot=False):
    """config, tensors, items. |hot|: the paper's options, on which the float32 kernels run."""
    bilinear = "shared" if hot else pick(rng, "shared", "shared", "none", "per-interest", "per-position")
    d = int(pick(rng, 3, 8, 16, 17, 31, 32, 64, 64, 100, 128))
    dim = d if bilinear == "none" else int(pick(rng, 3, 8, 16, 17, 31, 32, 64, 64, 100, 128, 256))
    K, L = int(rng.integers(1, 17)), int(pick(rng, 1, 2, 5, 20, 50, 50, 64, 65, 200))
    if bilinear == "per-position":
        d, dim, K, L = min(d, 32), min(dim, 32), min(K, 6), min(L, 50)
    items = 60
    config = {"extractor": "mind", "dim": dim, "interests": K, "max_behaviors": L,
              "interest_count": pick(rng, "fixed", "log2-floor", "log2-ceil", "log2-plus-one-floor", "ln-floor"),
              "normalize": bool(rng.integers(4) == 0)}
    config["routing"] = ({"seed": int(rng.integers(1 << 40)), "iterations": int(pick(rng, 2, 3, 3, 4))} if hot
                         else random_routing(rng, bilinear))
    scale = pick(rng, 0.05, 0.2, 1.0, 1.0)
    tensors = {"item_embedding": rng.normal(size=(items, d), scale=scale).astype(np.float32)}
    shape = {"shared": (d, dim), "per-interest": (K, d, dim), "per-position": (L, K, d, dim), "none": None}[bilinear]
    if shape:
        tensors["routing.bilinear"] = rng.normal(size=shape, scale=pick(rng, 1.0, 1 / np.sqrt(d), 0.05)).astype(np.float32)
        if rng.integers(3) == 0:
            tensors["routing.bilinear_bias"] = rng.normal(size=dim, scale=0.3).astype(np.float32)
    if config["routing"].get("initial_logits") == "table":
        tensors["routing.initial_logits"] = rng.normal(size=(L, K)).astype(np.float32)
    if config["routing"].get("initial_logits") == "item":
        tensors["routing.item_logits"] = rng.normal(size=(items, K), scale=pick(rng, 0.1, 1.0, 5.0)).astype(np.float32)
    if rng.integers(6) == 0:
        add_decays(rng, config, tensors)
    width = dim + (add_profile(rng, config, tensors) if rng.integers(5) == 0 else 0)
    config["dim"] = width
    if rng.integers(4) == 0:
        add_head(rng, config, tensors, width)
    return config, tensors, [f"item-{n}" for n in range(items)]


def random_sine(rng):
    d, a, K, H, L = int(pick(rng, 3, 16, 20, 64)), int(pick(rng, 4, 16, 33)), int(rng.integers(1, 7)), int(pick(rng, 1, 1, 2, 3)), 30
    config = {"extractor": "sine", "dim": d, "interests": K, "max_behaviors": L, "normalize": bool(rng.integers(2)),
              "sine": {"heads": H, "temperature": pick(rng, 0.07, 0.3, 1.0), "topic_norm": bool(rng.integers(2)),
                       "concept_feature": bool(rng.integers(2)), "output": pick(rng, "aggregated", "interests")}}

    def normal(*shape):
        return rng.normal(size=shape, scale=0.4).astype(np.float32)
    tensors = {"item_embedding": normal(60, d), "sine.topics": normal(K + int(rng.integers(0, 40)), d),
               "sine.select.w1": normal(d, a), "sine.select.w2": normal(a), "sine.pool.w1": normal(d, a),
               "sine.pool.w2": normal(a, K, H), "sine.concept.w1": normal(d, a), "sine.concept.w2": normal(a, H),
               "sine.aggregate.query": normal(2 * d, d)}
    if H > 1:
        tensors |= {"sine.pool.query": normal(d, d), "sine.concept.query": normal(d, d)}
    optional = {"sine.position": (L, d), "sine.select.b1": (a,), "sine.pool.b1": (a,), "sine.pool.b2": (K, H),
                "sine.concept.b1": (a,), "sine.aggregate.query_bias": (d,),
                **({"sine.pool.query_bias": (d,), "sine.concept.query_bias": (d,)} if H > 1 else {})}
    for name, shape in optional.items():
        if rng.integers(2):
            tensors[name] = normal(*shape)
    return config, tensors, [f"item-{n}" for n in range(60)]


def random_attention(rng, positions=True):
    d, a, K, L = int(pick(rng, 3, 16, 17, 64)), int(pick(rng, 5, 16, 70, 256)), int(rng.integers(1, 17)), int(pick(rng, 1, 7, 50))
    config = {"extractor": "comirec-sa", "dim": d, "interests": K, "max_behaviors": L,
              **pick(rng, {"interest_count": "fixed"}, {"interest_count": "log2-floor"}, {}),
              "attention": {"positions": pick(rng, "from-oldest", "from-newest")}}
    tensors = {"item_embedding": rng.normal(size=(60, d), scale=pick(rng, 0.1, 1.0)).astype(np.float32),
               "attention.w1": rng.normal(size=(d, a), scale=pick(rng, 0.1, 1.0)).astype(np.float32),
               "attention.w2": rng.normal(size=(a, K), scale=pick(rng, 0.1, 1.0)).astype(np.float32)}
    optional = {"attention.b1": (a,), "attention.b2": (K,), **({"attention.position": (L, d)} if positions else {})}
    for name, shape in optional.items():
        if rng.integers(2):
            tensors[name] = rng.normal(size=shape, scale=0.3).astype(np.float32)
    if rng.integers(4) == 0:
        add_head(rng, config, tensors, d)
    return config, tensors, [f"item-{n}" for n in range(60)]


def random_histories(rng, config, items, count, per_call_logits=True):
    """Lines for `mindstream extract`: short and long, with repeats and unknown items."""
    lines, L, K = [], config["max_behaviors"], config["interests"]
    padded = config.get("routing", {}).get("padded_softmax", False)
    for n in range(count):
        length = int(pick(rng, 0, 1, 2, 3, 7, rng.integers(1, 30), L, L + 3, rng.integers(1, 250)))
        history = [pick(rng, *items) if rng.integers(20) else "unknown" for _ in range(length)]
        line = {"user_id": f"u{n}", "items": history}
        if per_call_logits and config["extractor"] == "mind" and length and rng.integers(3) == 0:
            rows = length + (int(rng.integers(0, max(1, L - length + 1))) if padded else 0)
            # every fourth beyond what float32 routing takes, also on models whose own logits never are
            line["initial_logits"] = (rng.normal(size=(rows, K)) * (40 if n % 4 == 3 else 1)).astype(np.float32).tolist()
        lines.append(line)
    return lines
