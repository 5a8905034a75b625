"""An own reference of what a model makes of a history, in float64, written from the definition and nothing else.

    model = Model(directory)                               reads the three files
    model.full(items, initial_logits=None)                 -> Interests(vectors [K', dim], weights [K'], coupling [n, K])
    model.fold(items, decays=(0.9,))                       -> Interests, after folding event by event
    model.fold(items, half_lives=(ms,), times=[ms, ...])
    model.fold(items, decays="model")                      by the model's own decays

Both take profile={field: value or [values]} for models that have profile fields.

Full routing and the fold are plain loops over numpy arrays: slow, and easy to hold against the formulas.
"""

import collections
import json
import os

import numpy as np

import ms_model

Interests = collections.namedtuple("Interests", "vectors weights coupling")

ROUTING = {"iterations": 3, "softmax": "interests", "padded_softmax": False, "softmax_scale": 1.0, "seed": 0,
           "stddev": 1.0, "update": "accumulate", "agreement_interest": "squashed", "agreement_item": "raw",
           "agreement_scale": 1.0, "bilinear": "shared", "initial_logits": "item-normal"}
DR = {**ROUTING, "bilinear": "per-position", "initial_logits": "zeros"}


def softmax(logits, axis):
    with np.errstate(under="ignore"):
        e = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def unit(x):
    length = np.sqrt((x * x).sum(axis=-1, keepdims=True))
    return np.divide(x, length, out=np.zeros_like(x), where=length > 0)


class Model:
    def __init__(self, directory):
        with open(os.path.join(directory, "config.json"), encoding="utf-8") as file:
            self.config = json.load(file)
        with open(os.path.join(directory, "items.txt"), encoding="utf-8") as file:
            self.ids = file.read().split("\n")[:-1]
        self.rows = {item: row for row, item in enumerate(self.ids)}
        read = ms_model.read_safetensors(os.path.join(directory, "model.safetensors"))
        self.tensors = {name: tensor.astype(np.float64) for name, tensor in read.items()}
        defaults = DR if self.config["extractor"] == "comirec-dr" else ROUTING
        self.routing = {**defaults, **self.config.get("routing", {})}
        self.config.setdefault("interest_count", "log2-floor" if self.config["extractor"] == "mind" else "fixed")
        self.squash_options = {"when": "every", "power": 1.0, "scale": 1.0, **self.routing.get("squash", {})}
        self.K, self.L = self.config["interests"], self.config["max_behaviors"]
        names = self.config.get("profile", {}).get("fields")
        if names is None:
            names = sorted(name[8:] for name in self.tensors if name.startswith("profile."))
        self.vocabularies = {}
        for name in names:
            with open(os.path.join(directory, f"profile_{name}.txt"), encoding="utf-8") as file:
                self.vocabularies[name] = file.read().split("\n")[:-1]
        self.profile = None

    # What both ways share.

    def count(self, n):
        return ms_model.interest_count(self.config["interest_count"], self.K, min(n, self.L))

    def squash(self, z):
        n = (z * z).sum(axis=-1, keepdims=True)
        return (n / (1 + n)) ** self.squash_options["power"] * self.squash_options["scale"] * z / np.sqrt(n + 1e-9)

    def agreement_vectors(self, z):
        kind = self.routing["agreement_interest"]
        if kind == "unit":
            return unit(z)
        return self.squash(z) if kind == "squashed" and self.squash_options["when"] == "every" else z

    def projected(self, rows, count):
        """[n, K', dim]: behavior i as interest j sees it."""
        e = self.tensors["item_embedding"][rows]
        n, kind = len(rows), self.routing["bilinear"]
        if kind == "none":
            return np.repeat(e[:, None], count, axis=1)
        maps = self.tensors["routing.bilinear"]
        if kind == "shared":
            x = np.repeat((e @ maps)[:, None], count, axis=1)
        elif kind == "per-interest":
            x = np.stack([e @ maps[j] for j in range(count)], axis=1)
        else:
            x = np.stack([np.stack([e[i] @ maps[i, j] for j in range(count)]) for i in range(n)])
        return x + self.tensors.get("routing.bilinear_bias", 0.0)

    def logits_of_item(self, row):
        if self.routing["initial_logits"] == "item":
            return self.tensors["routing.item_logits"][row]
        return ms_model.item_normal(self.ids[row], self.K, self.routing["seed"], self.routing["stddev"])

    def profile_embedding(self, name):
        """The mean of the rows of a field's values; one that is no value of the vocabulary has the default row."""
        vocabulary, rows = self.vocabularies[name], self.tensors[f"profile.{name}"]
        default = 0 if len(vocabulary) == len(rows) else len(vocabulary)
        values = (self.profile or {}).get(name)
        values = values if isinstance(values, list) else [values]
        values = [int(value) if type(value) is float and value.is_integer() else value for value in values]
        values = [str(value) for value in values if type(value) in (str, int)] or [None]
        return np.mean([rows[vocabulary.index(value) if value in vocabulary else default] for value in values], axis=0)

    def with_profile(self, vectors):
        """Every field's embedding beside each capsule: fields as listed, or in the order of their names."""
        if not self.vocabularies:
            return vectors
        profile = np.concatenate([self.profile_embedding(name) for name in self.vocabularies])
        profile = np.repeat(profile[None], len(vectors), axis=0)
        before = self.config.get("profile", {}).get("order", "before-interest") == "before-interest"
        return np.concatenate([profile, vectors] if before else [vectors, profile], axis=1)

    def finish(self, vectors, mass, coupling=None):
        vectors = self.with_profile(vectors)
        for n, layer in enumerate(self.config.get("head", [])):
            vectors = vectors @ self.tensors[f"head.{n}.weight"].T + self.tensors.get(f"head.{n}.bias", 0.0)
            if layer.get("activation", "linear") == "relu":
                vectors = np.maximum(vectors, 0)
        if self.config.get("normalize"):
            vectors = unit(vectors)
        return Interests(vectors, mass / mass.sum(), coupling)

    def nothing(self):
        return Interests(np.zeros((0, self.config["dim"])), np.zeros(0), np.zeros((0, self.K)))

    # Full.

    def full(self, items, initial_logits=None, profile=None):
        self.profile = profile
        known = [i for i, item in enumerate(items) if item in self.rows]
        rows = [self.rows[items[i]] for i in known]
        if not rows:
            return self.nothing()
        if initial_logits is not None:
            given = np.asarray(initial_logits, dtype=np.float64)
            initial_logits = np.concatenate([given[known], given[len(items):]])[max(0, len(rows) - self.L):]
        rows = rows[-self.L:]
        if self.config["extractor"] == "comirec-sa":
            return self._attend(rows)
        if self.config["extractor"] == "sine":
            return self._sine(rows)
        if self.config["extractor"] == "pooling":
            return self._pool(rows)
        return self._route(rows, self.count(len(rows)), initial_logits)

    def own_decay(self):
        pooling = self.config.get("pooling", {})
        return pooling.get("decay", 0.9) if pooling.get("method") == "decayed-mean" else 1.0

    def _pooled(self, z, mass):
        return z if self.config.get("pooling", {}).get("method") == "sum" else z / mass

    def _pool(self, rows):
        weights = self.own_decay() ** np.arange(len(rows) - 1, -1, -1.0)
        z = (weights[:, None] * self.tensors["item_embedding"][rows]).sum(axis=0)
        return self.finish(self._pooled(z, weights.sum())[None], np.ones(1))

    def _initial(self, rows, count, given):
        slots = self.L if self.routing["padded_softmax"] else len(rows)
        b = np.zeros((slots, self.K))
        if given is not None:
            b[:min(slots, len(given))] = given[:slots]
        elif self.routing["initial_logits"] == "table":
            b[:len(rows)] = self.tensors["routing.initial_logits"][:len(rows)]
        elif self.routing["initial_logits"] in ("item-normal", "item"):
            b[:len(rows)] = [self.logits_of_item(row) for row in rows]
        return b[:, :count]

    def _route(self, rows, count, given):
        r, n = self.routing, len(rows)
        x = self.projected(rows, count)
        b = self._initial(rows, count, given)
        for iteration in range(r["iterations"]):
            last = iteration + 1 == r["iterations"]
            over_behaviors = r["softmax"] == "behaviors" or (r["softmax"] == "behaviors-then-interests" and not last)
            w = softmax(r["softmax_scale"] * b, 0 if over_behaviors else 1)[:n]
            z = np.einsum("ij,ijd->jd", w, x)
            if last:
                break
            side = unit(x) if r["agreement_item"] == "unit" else x
            a = r["agreement_scale"] * np.einsum("ijd,jd->ij", side, self.agreement_vectors(z))
            b[:n] = a + {"accumulate": b[:n], "replace": 0.0, "probability": w}[r["update"]]
        coupling = np.zeros((n, self.K))
        coupling[:, :count] = w
        return self.finish(self.squash(z), w.sum(axis=0), coupling)

    def _attend(self, rows):
        h = self.tensors["item_embedding"][rows]
        n, count = len(rows), self.count(len(rows))
        p = self.tensors.get("attention.position", np.zeros((self.L, h.shape[1])))[:n]
        if self.config.get("attention", {}).get("positions") == "from-newest":
            p = p[::-1]
        w = softmax(self._attention_logits(h + p), 0)[:, :count]
        coupling = np.zeros((n, self.K))
        coupling[:, :count] = w
        return self.finish(w.T @ h, np.ones(count), coupling)

    def _attention_logits(self, h):
        t = self.tensors
        hidden = np.tanh(h @ t["attention.w1"] + t.get("attention.b1", 0.0))
        return hidden @ t["attention.w2"] + t.get("attention.b2", 0.0)

    # SINE, in the words of its paper: z_u, the chosen concepts, P_k|t, the interests phi, C_apt, the aggregation.

    def _net(self, name, x):
        t = self.tensors
        hidden = np.tanh(x @ t[f"sine.{name}.w1"] + t.get(f"sine.{name}.b1", 0.0))
        return np.tensordot(hidden, t[f"sine.{name}.w2"], axes=1) + t.get(f"sine.{name}.b2", 0.0)

    def _head_weights(self, name, heads):
        """Softmax over the heads [..., H, d] of their inner products with their mapped mean."""
        if heads.shape[-2] == 1:
            return np.ones(heads.shape[:-1])
        query = heads.mean(axis=-2) @ self.tensors[f"sine.{name}.query"] + self.tensors.get(f"sine.{name}.query_bias", 0.0)
        return softmax((heads * query[..., None, :]).sum(axis=-1), -1)

    def _sine(self, rows):
        o = {"heads": 1, "temperature": 0.07, "topic_norm": False, "concept_feature": True, "output": "aggregated",
             **self.config.get("sine", {})}
        e = self.tensors["item_embedding"][rows]
        n, pool = len(rows), self.tensors["sine.topics"]
        p = self.tensors.get("sine.position", np.zeros((self.L, e.shape[1])))[:n]
        z = softmax(self._net("select", e + p), 0) @ e
        scores = unit(pool) @ unit(z) if o["topic_norm"] else pool @ z
        top = np.argsort(-scores, kind="stable")[:self.K]
        concepts, gated = pool[top], pool[top] / (1 + np.exp(-scores[top]))[:, None]
        belongs = softmax(unit(e) @ unit(concepts).T / o["temperature"], 1)
        attention = softmax(self._net("pool", e + p) * belongs[:, :, None], 0)
        heads = np.einsum("nkh,nd->khd", attention, e)
        phi = (heads * self._head_weights("pool", heads)[..., None]).sum(axis=1)
        sequence = belongs @ gated + (e if o["concept_feature"] else 0.0)
        summed = softmax(self._net("concept", sequence + p), 0).T @ sequence
        target = (summed * self._head_weights("concept", summed)[:, None]).mean(axis=0)
        query = (np.concatenate([phi.mean(axis=0), target]) @ self.tensors["sine.aggregate.query"]
                 + self.tensors.get("sine.aggregate.query_bias", 0.0))
        share = softmax(phi @ query, 0)
        if o["output"] == "aggregated":
            return self.finish((share @ phi)[None], np.ones(1))
        count = self.count(n)
        return self.finish(phi[:count], share[:count])

    # Incremental.

    def fold(self, items, decays=(0.9,), half_lives=None, times=None, profile=None, types=None):
        self.profile = profile
        own = decays == "model" and not half_lives
        numbers = 1 if own else len(half_lives or decays)
        z, mass = None, np.zeros(self.K)
        folded, newest, count = 0, None, 0
        for place, item in enumerate(items):
            if item not in self.rows:
                continue
            row, folded = self.rows[item], folded + 1
            count = self.count(folded)
            keep, worth = np.array([1.0] if own else decays, dtype=np.float64), np.ones(numbers)
            if half_lives:
                age = 0 if newest is None else times[place] - newest
                keep = np.exp2(-max(age, 0) / np.array(half_lives, dtype=np.float64))
                worth = np.exp2(-max(-age, 0) / np.array(half_lives, dtype=np.float64))
                newest = times[place] if newest is None else max(newest, times[place])
            worth *= self.config.get("event_weights", {}).get(types[place], 1.0) if types else 1.0
            slot = np.arange(self.K) % numbers
            if self.config["extractor"] == "comirec-sa":
                e = self.tensors["item_embedding"][row]
                weight = np.exp(self._attention_logits(e[None])[0]) * worth[slot]
                z = np.zeros((self.K, len(e))) if z is None else z
                z = keep[slot][:, None] * z + weight[:, None] * e
                mass = keep[slot] * mass + weight
                continue
            if self.config["extractor"] == "pooling":
                e = self.tensors["item_embedding"][[row]]
                z = keep[0] * self.own_decay() * (0.0 if z is None else z) + worth[0] * e
                mass = keep[0] * self.own_decay() * mass + worth[0]
                continue
            x = self.projected([row], self.K)[0]
            z = np.zeros_like(x) if z is None else z
            w = self._fold_weights(row, x[:count], z[:count], numbers) * worth[slot][:count]
            g = (self.decays_at(row) if own else keep[slot])[:count]
            z[:count] = g[:, None] * z[:count] + w[:, None] * x[:count]
            mass[:count] = g * mass[:count] + w
        if folded == 0:
            return self.nothing()
        if self.config["extractor"] == "comirec-sa":
            return self.finish(z[:count] / mass[:count, None], np.ones(count))
        if self.config["extractor"] == "pooling":
            return self.finish(self._pooled(z, mass[0]), np.ones(1))
        return self.finish(self.squash(z[:count]), mass[:count])

    def decays_at(self, row):
        """What each interest's sums keep at an event with the item: sigmoid(bias + <gate, item>), or the config's list."""
        if "routing.decay" not in self.tensors:
            return np.array(self.routing["decay"], dtype=np.float64)
        gate = self.tensors.get("routing.decay_gate")
        x = self.tensors["routing.decay"] + (0.0 if gate is None else self.tensors["item_embedding"][row] @ gate)
        return 1 / (1 + np.exp(-x))

    def _fold_weights(self, row, x, z, numbers):
        r, count = self.routing, len(x)
        side = unit(x) if r["agreement_item"] == "unit" else x
        a = r["agreement_scale"] * (side * self.agreement_vectors(z)).sum(axis=1)
        if r["update"] == "replace":
            b = a
        else:
            b0 = self.logits_of_item(row)[:count] if r["initial_logits"] in ("item-normal", "item") else 0.0
            b = b0 + (r["iterations"] - 1) * a
        w = np.zeros(count)
        for first in range(min(numbers, count)):
            w[first::numbers] = softmax(r["softmax_scale"] * b[first::numbers], 0)
        return w
