"""Profiles joined to clicks on a real Kafka: the vectors are those that `mindstream extract` gives for the clicks and the
profile, whatever is killed meanwhile."""

import json
import random
import subprocess

import numpy as np

import ms_kafka
import ms_model
from ms_kafka import MINDSTREAM, event

VOCABULARIES = {"gender": ["f", "m"], "tags": ["a", "b", "c"]}


class People:
    """Clicks and profiles at random, and what each user has of both."""

    def __init__(self, scenario, users=60, partitions=4, seed=11):
        self.scenario, self.draws = scenario, random.Random(seed)
        self.topic = f"{scenario.id}-profiles"
        scenario.topics(partitions)
        scenario.kafka.create(self.topic, partitions, cleanup_policy="compact")
        rng = np.random.default_rng(seed)
        self.items = [f"i{number}" for number in range(50)]
        tensors = {"item_embedding": rng.normal(size=(50, 8)), "routing.bilinear": rng.normal(size=(8, 8)) / 3,
                   "profile.gender": rng.normal(size=(3, 2)), "profile.tags": rng.normal(size=(3, 3))}
        config = {"extractor": "mind", "dim": 13, "interests": 3, "max_behaviors": 10, "interest_count": "log2-floor"}
        ms_model.write_model(scenario.model_dir, config, {name: t.astype(np.float32) for name, t in tensors.items()},
                             self.items, VOCABULARIES)
        self.users = [f"u{number}" for number in range(users)]
        self.clicks, self.profiles, self.changes = {}, {}, {}
        self.time_ms = 1700000000000

    def service(self, **settings):
        return self.scenario.service(profile_topic=self.topic, **settings)

    def click(self, count, users=None):
        events = []
        for _ in range(count):
            self.time_ms += 1000
            user, item = self.draws.choice(users or self.users), self.draws.choice(self.items)
            self.clicks.setdefault(user, []).append(item)
            events.append(event(user, item, self.time_ms))
        self.scenario.kafka.produce(self.scenario.input, events)

    def profile(self, users):
        """New profiles; now and then none, or the same again."""
        records = []
        for user in users:
            draw = self.draws.random()
            before = self.profiles.get(user)
            now = before if draw < 0.1 else None if draw < 0.2 else {
                "gender": self.draws.choice("fmx"), "tags": self.draws.sample("abcd", 2), "number": self.draws.randrange(10**9)}
            self.profiles[user] = now
            self.changes[user] = self.changes.get(user, 0) + (now != before)
            records.append((user.encode(), None if now is None else json.dumps(now).encode()))
        self.scenario.kafka.produce(self.topic, records)

    def wait(self, service):
        self.scenario.wait_done(service)
        self.scenario.kafka.wait_committed(self.scenario.group, self.topic, service)

    def extracted(self):
        """{user: interests} by `mindstream extract`."""
        lines = "".join(json.dumps({"user_id": user, "items": items, **({"profile": self.profiles[user]} if self.profiles.get(user) else {})})
                        + "\n" for user, items in self.clicks.items())
        done = subprocess.run([MINDSTREAM, "extract", "--model", self.scenario.model_dir], input=lines, text=True, check=True,
                              capture_output=True)
        records = [json.loads(line) for line in done.stdout.splitlines()]
        return {record["user_id"]: np.array([interest["vector"] for interest in record["interests"]]) for record in records}

    def check(self):
        """Everybody's last record; returns {user: versions as published}."""
        pb = ms_kafka.schema(self.scenario.directory)
        last, versions = {}, {}
        for record in self.scenario.kafka.read(self.scenario.output):
            message = pb.UserInterests.FromString(record.value)
            last[message.user_id] = message
            versions.setdefault(message.user_id, []).append(message.version)
        expected = self.extracted()
        assert set(last) == set(expected), "users without clicks are not published"
        for user, vectors in expected.items():
            found = np.array([list(interest.vector) for interest in last[user].interests])
            assert found.shape == vectors.shape, f"{user}: {found.shape}, not {vectors.shape}"
            assert np.abs(found - vectors).max() <= 1e-6, f"{user}: off by {np.abs(found - vectors).max():.1e}"
        return versions


def profiles(scenario):
    """Both topics at once, kill -9 in between, the state never flushed or just now."""
    people = People(scenario)
    people.profile(people.users[:30])
    people.profile(["nobody"])
    for turn in range(4):
        service = people.service(publish_mode="latest", state_flush_interval_ms=60000 if turn % 2 else 50).start()
        people.click(700)
        people.profile(people.draws.sample(people.users, 25))
        if turn < 3:
            people.click(500)
            people.profile(people.draws.sample(people.users, 25))
            if turn % 2:
                people.wait(service)
            service.kill9()
            people.click(100)
    people.wait(service)
    before = people.check()
    changed = [user for user in people.users if people.profiles.get(user)][:5]
    for user in changed:  # only the profile
        people.profiles[user] = {"gender": "f", "tags": ["c"], "number": user}
    scenario.kafka.produce(people.topic, [(user.encode(), json.dumps(people.profiles[user]).encode()) for user in changed] * 2)
    people.wait(service)
    assert service.terminate() == 0
    # The same from both topics again. Of versions it is known that they are not lower: the order of two topics is not recorded.
    done = subprocess.run([MINDSTREAM, "inspect", "verify", "-c", service.config, "--from-input", "--output-topic", scenario.output],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.endswith("60 users checked (tolerance 0), 0 differ, 0 could not be checked\n"), done
    after = people.check()
    for user in people.users:
        more = after[user][len(before[user]):]
        assert more == ([before[user][-1] + 1] if user in changed else []), f"{user}: {before[user][-1]}, then {more}"


def check_versions(people):
    """Every change of a user's clicks and profile was published, once, in order. (Clicks came first.)"""
    for user, versions in people.check().items():
        total = len(people.clicks[user]) + people.changes.get(user, 0)
        assert versions == list(range(1, total + 1)), f"{user}: {total} changes, versions {versions[-5:]} of {len(versions)}"


def profile_replay(scenario):
    """Clicks replay from their origin while profiles beyond C wait: each version once, in order."""
    people = People(scenario)
    service = people.service(publish_mode="every", state_flush_interval_ms=60000).start()
    people.click(60000)
    people.wait(service)
    for _ in range(2):
        service.kill9()
        people.profile(people.users * 3)
        people.click(500)
        service.start()
        people.wait(service)
        people.profile(people.users)
        people.click(500)
        people.wait(service)
    assert service.terminate() == 0
    check_versions(people)


def profile_rebalance(scenario):
    """Partitions go from one instance to the other and come back, clicks and profiles together."""
    people = People(scenario)
    settings = {"workers": 1, "publish_mode": "every", "group_static": "false"}
    first, second = people.service(name="a", **settings).start(), people.service(name="b", **settings)

    def more(service):
        for _ in range(3):
            people.click(300)
            people.profile(people.users)
        people.wait(service)
    people.click(1000)
    people.wait(first)
    more(first)
    second.start()
    ms_kafka.wait_for("two members", lambda: scenario.kafka.members(scenario.group) == 2)
    more(first)
    assert second.terminate() == 0  # what it had comes back
    more(first)
    second.start()
    ms_kafka.wait_for("two members", lambda: scenario.kafka.members(scenario.group) == 2)
    first.kill9()
    more(second)
    assert second.terminate() == 0
    check_versions(people)


def profile_state_lost(scenario):
    """Without its state directory, another instance folds clicks and profiles anew."""
    people = People(scenario)
    people.profile(people.users)
    service = people.service(publish_mode="latest").start()
    people.click(2000)
    people.wait(service)
    assert service.terminate() == 0
    people.profile(people.users[:20])
    other = people.service(name="b", publish_mode="latest").start()
    people.click(300)
    people.wait(other)
    assert other.terminate() == 0
    people.check()


def profile_partitions(scenario):
    """Topics of different numbers of partitions cannot be joined: said at the start."""
    People(scenario, partitions=2)
    other = f"{scenario.id}-three"
    scenario.kafka.create(other, 3, cleanup_policy="compact")
    scenario.service(profile_topic=other).start().fails(2, f"{scenario.input} has 2 partitions", f"{other} has 3")


def profile_topic_grown(scenario):
    """Partitions are added to the profile topic: noticed while it runs; with both topics grown, accepted."""
    people = People(scenario, partitions=2)
    service = people.service(workers=1, group_static="false", consumer_topic_metadata_refresh_interval_ms=2000).start()
    people.profile(people.users)
    people.click(100)
    scenario.wait_done(service)
    scenario.kafka.grow(people.topic, 3)
    service.fails(3, people.topic, timeout_s=30)
    scenario.kafka.grow(scenario.input, 3)
    service.start().fails(3, "had 2 partitions and has 3", timeout_s=30)
    service.start("--accept-repartition").wait_log(f"repartition_accepted topic={people.topic} .*had=2 has=3")
    people.click(100)
    scenario.wait_done(service)
    assert service.terminate() == 0
    service.start().wait_log("assigned .*replay=0")
    assert service.terminate() == 0


SCENARIOS = {function.__name__: function for function in (profiles, profile_replay, profile_rebalance, profile_state_lost,
                                                           profile_partitions, profile_topic_grown)}

if __name__ == "__main__":
    ms_kafka.main(SCENARIOS)
