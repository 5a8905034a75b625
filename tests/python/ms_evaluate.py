"""An own evaluation of a model on a log, in float64, from the rule and nothing else.

    columns = evaluate(model_dir, clicks, users, decays=[(0.9,)], max_events=200, half_lives=[(ms,)])

clicks is [(user, item, time_ms)] or [(user, item, time_ms, type)] in the order of the file, users those to take; min_events is the caller's business.
Returns {"users", "targets", "skipped", "ranks": {column: [rank or None for a target without vectors]}}.
"""

import math

import numpy as np

import ms_reference


def name(numbers):
    return "incremental@model" if numbers == "model" else "incremental@" + ",".join(str(number) for number in numbers)


def evaluate(model_dir, clicks, users, decays=((0.9,),), max_events=200, half_lives=()):
    model = ms_reference.Model(model_dir)
    embedding = model.tensors["item_embedding"]
    result = {"users": len(users), "targets": 0, "skipped": 0, "ranks": {}}

    def ask(column, vectors, target):
        ranks = result["ranks"].setdefault(column, [])
        if len(vectors) == 0:
            ranks.append(None)
            return
        scores = (embedding @ np.asarray(vectors).T).max(axis=1)
        ranks.append(1 + int((scores > scores[target]).sum()))

    histories = {user: [] for user in users}
    for place, (user, item, time_ms, *kind) in enumerate(clicks):
        if user in histories:
            histories[user].append((time_ms, place, item, *(kind or [""])))
    for history in histories.values():
        history = sorted(history)[:max_events]
        items, times, types = ([click[part] for click in history] for part in (2, 0, 3))
        half = len(items) // 2
        stale = model.full(items[:half + 1]).vectors
        for t in range(half + 1, len(items)):
            if items[t] not in model.rows:
                result["skipped"] += 1
                continue
            result["targets"] += 1
            target, before = model.rows[items[t]], items[:t]
            ask("full", model.full(before).vectors, target)
            for numbers in decays:
                ask(name(numbers), model.fold(before, decays=numbers, types=types[:t]).vectors, target)
            for label, numbers in half_lives:
                folded = model.fold(before, half_lives=numbers, times=times[:t], types=types[:t])
                ask("incremental@" + label, folded.vectors, target)
            ask("stale", stale, target)
            known = [model.rows[item] for item in before if item in model.rows]
            ask("last", last_item(model, known), target)
    return result


def last_item(model, known):
    """The last known item's projections; its embedding where the extractor has no map."""
    if not known or model.config["extractor"] == "comirec-sa":
        return model.tensors["item_embedding"][known[-1:]]
    window = known[-model.L:]
    own = model.routing["bilinear"] in ("per-interest", "per-position")
    return model.projected(window, model.K if own else 1)[-1]


def metrics(ranks):
    """The four metrics and their standard errors."""
    found, errors = {}, {}
    for cut in (20, 50):
        hits = np.array([float(rank is not None and rank <= cut) for rank in ranks])
        gains = np.array([1 / math.log2(1 + rank) if rank is not None and rank <= cut else 0.0 for rank in ranks])
        for metric, values in ((f"recall@{cut}", hits), (f"ndcg@{cut}", gains)):
            found[metric] = values.mean()
            errors[metric] = math.sqrt(values.var() / len(values))
    return found, errors
