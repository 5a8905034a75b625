"""What a log of events must publish: an own recomputation in numpy, whole batches of histories at a time.

    users = Histories(model_dir)          the model, read by ms_model
    users.add(user, item, time_ms, kind)  an event in the order of arrival; False when it is a duplicate
    users.forget(user)
    users.expected()                      every (user, version) since the last call, with its interests by full routing
    users.last()                          every user's interests as they stand now

    FoldedHistories(model_dir, decay)     the same by the incremental fold
    extracted(binary, model_dir, {key: items})   what `mindstream extract --mode incremental` says

It knows routing as MIND has it (softmax over interests, one shared map, accumulated logits, squash in every iteration),
which is what `mindstream generate` and small_model() make; other options are the interest tests' business.
"""

import bisect
import json
import os
import subprocess

import numpy as np

import ms_model

KEPT = 200  # state.behaviors.max


def small_model(directory, items=60, dim=8, interests=3, behaviors=10, seed=7, **config):
    """Writes a little random MIND model and returns its item ids."""
    rng = np.random.default_rng(seed)
    ids = [f"i{number}" for number in range(items)]
    tensors = {"item_embedding": rng.normal(size=(items, dim)).astype(np.float32),
               "routing.bilinear": (rng.normal(size=(dim, dim)) / np.sqrt(dim)).astype(np.float32)}
    ms_model.write_model(directory, {"extractor": "mind", "dim": dim, "interests": interests, "max_behaviors": behaviors,
                                     "interest_count": "log2-floor", **config}, tensors, ids)
    return ids


class Histories:
    """Users' behaviors, and what they must have as interests."""

    def __init__(self, model_dir):
        with open(os.path.join(model_dir, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        routing = config.get("routing", {})
        known = {"iterations", "seed", "stddev", "initial_logits", "softmax", "update", "bilinear", "squash"}
        assert config["extractor"] == "mind" and set(routing) <= known, f"this reference does not know {config}"
        for key, value in (("softmax", "interests"), ("update", "accumulate"), ("bilinear", "shared"),
                           ("initial_logits", "item-normal"), ("squash", {"when": "every", "power": 1.0, "scale": 1.0})):
            assert routing.get(key, value) == value, f"this reference does not know {key}={routing[key]}"
        self.iterations = routing.get("iterations", 3)
        self.interests = config["interests"]
        self.window = config["max_behaviors"]
        self.rule = config["interest_count"]
        self.normalize = config.get("normalize", False)
        tensors = ms_model.read_safetensors(os.path.join(model_dir, "model.safetensors"))
        self.head = [(tensors[f"head.{n}.weight"], tensors.get(f"head.{n}.bias", 0), layer["activation"])
                     for n, layer in enumerate(config.get("head", []))]
        with open(os.path.join(model_dir, "items.txt"), encoding="utf-8") as file:
            items = file.read().split("\n")[:-1]
        self.rows = {item: row for row, item in enumerate(items)}
        self.projected = tensors["item_embedding"].astype(np.float64) @ tensors["routing.bilinear"].astype(np.float64)
        self.projected += tensors.get("routing.bilinear_bias", 0)
        self.logits = np.array([ms_model.item_normal(item, self.interests, routing.get("seed", 0), routing.get("stddev", 1.0))
                                for item in items])
        self.kept = KEPT
        self.users = {}    # user -> [(time, arrival, item, type)], sorted
        self.versions = {}
        self.arrivals = 0
        self.pending = []  # (user, version, rows of the window)

    def add(self, user, item, time_ms, kind="click"):
        kept = self.users.setdefault(user, [])
        if any(entry[0] == time_ms and entry[2] == item and entry[3] == kind for entry in kept):
            return False
        self.arrivals += 1
        bisect.insort(kept, (time_ms, self.arrivals, item, kind))
        del kept[:-self.kept]
        self.versions[user] = self.versions.get(user, 0) + 1
        self.pending.append((user, self.versions[user], self._window(user)))
        return True

    def forget(self, user):
        self.users.pop(user, None)
        self.versions.pop(user, None)

    def slots(self, user):
        """K'u, as it stands now."""
        return ms_model.interest_count(self.rule, self.interests, len(self._window(user)))

    def _window(self, user):
        rows = [self.rows[entry[2]] for entry in self.users[user] if entry[2] in self.rows]
        return np.array(rows[-self.window:], dtype=np.int64)

    def expected(self):
        """{(user, version): float64 [K'u, dim]} of the events added since the last call."""
        pending, self.pending = self.pending, []
        return self._route(pending)

    def last(self):
        """{user: (version, float64 [K'u, dim])} of all users."""
        found = self._route([(user, version, self._window(user)) for user, version in self.versions.items()])
        return {user: (version, vectors) for (user, version), vectors in found.items()}

    def _route(self, jobs):
        by_length, found = {}, {}
        for user, version, rows in jobs:
            by_length.setdefault(len(rows), []).append((user, version, rows))
        for length, group in by_length.items():
            if length == 0:
                found.update(((user, version), np.zeros((0, self.projected.shape[1]))) for user, version, _ in group)
                continue
            batch = max(1, 200000 // length)
            for begin in range(0, len(group), batch):
                part = group[begin:begin + batch]
                vectors = self._full_routing(np.stack([rows for _, _, rows in part]))
                found.update(((user, version), vectors[n]) for n, (user, version, _) in enumerate(part))
        return found

    def _full_routing(self, rows):
        """Interests [B, K', dim] of item rows [B, n]."""
        count = ms_model.interest_count(self.rule, self.interests, rows.shape[1])
        behaviors = self.projected[rows]
        logits = self.logits[rows][:, :, :count]
        for iteration in range(self.iterations):
            weights = np.exp(logits - logits.max(axis=2, keepdims=True))
            weights /= weights.sum(axis=2, keepdims=True)
            sums = weights.transpose(0, 2, 1) @ behaviors
            norms = (sums * sums).sum(axis=2, keepdims=True)
            interests = norms / (1 + norms) * sums / np.sqrt(norms + 1e-9)
            if iteration + 1 < self.iterations:
                logits = logits + behaviors @ interests.transpose(0, 2, 1)
        return self._finish(interests)

    def _finish(self, interests):
        """The head and normalization of interests [.., K', dim]."""
        for weight, bias, activation in self.head:
            interests = interests @ weight.T.astype(np.float64) + bias
            if activation == "relu":
                interests = np.maximum(interests, 0)
        if self.normalize:
            interests = interests / np.linalg.norm(interests, axis=-1, keepdims=True)
        return interests


class FoldedHistories(Histories):
    """The same with interests by the incremental fold, with one decay, over the events in their order of arrival.

    On random items the fold multiplies a difference in the last bit by about 1.007 an event: after hundreds of events only
    the same arithmetic can tell (extracted).
    """

    def __init__(self, model_dir, decay=0.9):
        super().__init__(model_dir)
        self.decay = decay
        self.sums = {}   # user -> (known events folded, float64 [K, dim])
        self.items = {}  # user -> all items, in order of arrival

    def add(self, user, item, time_ms, kind="click"):
        if not super().add(user, item, time_ms, kind):
            return False
        self.items.setdefault(user, []).append(item)
        folded, sums = self.sums.get(user, (0, np.zeros((self.interests, self.projected.shape[1]))))
        row = self.rows.get(item)
        if row is not None:
            folded += 1
            count = self._count(folded)
            behavior, old = self.projected[row], sums[:count]
            norms = np.einsum("kd,kd->k", old, old)
            agreement = old @ behavior * norms / (1 + norms) / np.sqrt(norms + 1e-9)
            logits = self.logits[row][:count] + (self.iterations - 1) * agreement
            weights = np.exp(logits - logits.max())
            sums = np.vstack([self.decay * old + (weights / weights.sum())[:, None] * behavior, sums[count:]])
            self.sums[user] = folded, sums
        self.pending[-1] = (user, self.versions[user], folded, sums)
        return True

    def forget(self, user):
        super().forget(user)
        self.sums.pop(user, None)
        self.items.pop(user, None)

    def slots(self, user):
        return self._count(self.sums[user][0]) if user in self.sums else 0

    def last(self):
        return {user: (version, self._published(*self.sums.get(user, (0, None)))) for user, version in self.versions.items()}

    def _count(self, folded):
        return ms_model.interest_count(self.rule, self.interests, min(folded, self.window))

    def _route(self, jobs):
        return {(user, version): self._published(folded, sums) for user, version, folded, sums in jobs}

    def _published(self, folded, sums):
        if folded == 0:
            return np.zeros((0, self.projected.shape[1]))
        sums = sums[:self._count(folded)]
        norms = (sums * sums).sum(axis=1, keepdims=True)
        return self._finish(norms / (1 + norms) * sums / np.sqrt(norms + 1e-9))


def extracted(binary, model_dir, histories):
    """{key: [K'u, dim]} of {key: items, oldest first}."""
    lines = [json.dumps({"user_id": "u", "items": items}) for items in histories.values()]
    done = subprocess.run([binary, "extract", "--model", model_dir, "--mode", "incremental"],
                          input="\n".join(lines) + "\n", stdout=subprocess.PIPE, text=True, check=True)
    found = {}
    for key, line in zip(histories, done.stdout.splitlines(), strict=True):
        value = json.loads(line)
        found[key] = np.array([interest["vector"] for interest in value["interests"]]).reshape(-1, value["dim"])
    return found


def vectors_of(message):
    """float32 [K'u, dim] of a decoded UserInterests."""
    return np.array([interest.vector for interest in message.interests], dtype=np.float32).reshape(-1, message.dim)


def check_message(message, user, version, vectors, tolerance=1e-5):
    """A decoded UserInterests says |vectors| about |user| at |version|."""
    assert message.user_id == user and message.version == version, \
        f"{message.user_id} version {message.version} where {user} version {version} was expected"
    assert [interest.slot for interest in message.interests] == list(range(len(vectors))), \
        f"{user} version {version}: slots {[interest.slot for interest in message.interests]}, {len(vectors)} expected"
    if len(vectors):
        found = vectors_of(message)
        worst = np.abs(found - vectors).max()
        assert found.shape == vectors.shape and worst <= tolerance, f"{user} version {version}: off by {worst}"
        total = sum(interest.weight for interest in message.interests)
        assert abs(total - 1) < 1e-4, f"{user} version {version}: weights sum to {total}"


def check_every(records, expected, pb, tolerance=1e-5, until=None):
    """The records are, user by user, versions 1..n, each once, in order, with the expected vectors (to version |until|)."""
    seen = {}
    for record in records:
        assert record.value is not None, f"a null value for {record.key}"
        message = pb.UserInterests.FromString(record.value)
        user = record.key.decode()
        version = seen.get(user, 0) + 1
        assert message.version == version, f"{user}: version {message.version} follows version {version - 1}"
        assert record.headers.get("mindstream-version") == str(version).encode(), f"{user}: headers {record.headers}"
        assert (user, version) in expected, f"{user} version {version} was never due"
        if until is None or version <= until:
            check_message(message, user, version, expected[user, version], tolerance)
        seen[user] = version
    assert len(records) == len(expected), f"{len(records)} records of {len(expected)}"


def check_last(records, last, pb, tolerance=1e-5):
    """Versions rise user by user, and the last record of each is right."""
    newest = {}
    for record in records:
        message = pb.UserInterests.FromString(record.value)
        user = record.key.decode()
        assert user not in newest or newest[user].version < message.version, \
            f"{user}: version {message.version} after {newest[user].version}"
        newest[user] = message
    assert newest.keys() == last.keys(), f"{len(newest)} users of {len(last)}"
    for user, (version, vectors) in last.items():
        check_message(newest[user], user, version, vectors, tolerance)
