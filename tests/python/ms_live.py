"""What must come out of a log of input records, and whether it did.

    model = Model(model_dir, ...)            how the service is set
    model.clicks(records)                    records of the input topic, those of a partition in their order, as ms_kafka.Record
    model.profiles(records)                  those of the profile topic, in their order
    check_output(model, records, pb)         raises Wrong with partition, user, offset, what was expected and what came
    check_dead_letters(model, records)
    check_users(model, listed)               the list of `inspect users --json`
    check_user(model, person, view)          what `inspect user --json` says of one

Users are those of a partition: a user whose events are in two partitions is two users, who share their keys in the output.
"""

import collections
import json

import numpy as np

import ms_events
import ms_history
import ms_reference

Dead = collections.namedtuple("Dead", "topic partition offset key value headers timestamp")
Change = collections.namedtuple("Change", "version offset event_time slots shown case")  # version None: forgotten


class Wrong(AssertionError):
    """Something that came out is not what must come out."""

    def __init__(self, what, expected, found, person=None, offset=None):
        where = "" if person is None else f" partition={person.partition} user={person.user!r}"
        where += "" if offset is None else f" offset={offset}"
        super().__init__(f"{what}:{where}\n  expected {expected}\n  got      {found}")


class Person:
    """A user of a partition, and all that ever happened to it."""

    def __init__(self, partition, user):
        self.partition, self.user = partition, user
        self.changes = []        # Change, in order
        self.life = 0            # how often it was forgotten
        self.version = self.slots = self.slots_max = 0
        self.event_time = None
        self.profile = None      # the newest record of the profile topic
        self.forgotten = False   # ever, also before its first event

    @property
    def key(self):
        return (self.partition, self.user, self.life)


class Model:
    """The service as it should be. mode is full or incremental; layout, publish, fields, kept and decay are its settings.
    Not |alone|: partitions moved to instances that had older state, so that versions may repeat where profiles count."""

    def __init__(self, model_dir, mode, layout, publish, fields=ms_events.Fields(), kept=200, decay=0.9, profile_topic=None,
                 alone=True):
        self.layout, self.publish = layout, publish
        self.fields, self.profile_topic, self.alone = fields, profile_topic, alone
        self.histories = (ms_history.FoldedHistories(model_dir, decay) if mode == "incremental"
                          else ms_history.Histories(model_dir))
        self.histories.kept = kept
        self.reference = ms_reference.Model(model_dir)
        self.people = {}        # (partition, user) -> Person
        self.sharing = collections.Counter()  # user -> partitions with it
        self.dead = {}          # (topic, partition, offset) -> Dead
        self.counts = collections.Counter()
        self.vectors = {}       # (key of the person, version) -> float64 [K'u, dim of a capsule]

    def person(self, partition, user):
        person = self.people.get((partition, user))
        if person is None:
            person = self.people[partition, user] = Person(partition, user)
            self.sharing[user] += 1
        return person

    def clicks(self, records):
        for record in records:
            found = ms_events.decode(self.fields, record.key, record.value, record.timestamp)
            self.counts[type(found).__name__] += 1
            if isinstance(found, ms_events.Bad):
                self._dead(record)
            elif isinstance(found, ms_events.Forget):
                self._forget(self.person(record.partition, found.user), record.offset)
            elif isinstance(found, ms_events.Event):
                self._event(self.person(record.partition, found.user), found, record.offset)
        self.vectors.update(self.histories.expected())

    def _dead(self, record):
        self.dead[record.topic, record.partition, record.offset] = Dead(
            record.topic, record.partition, record.offset, record.key, record.value, record.header_list, record.timestamp)

    def _forget(self, person, offset):
        person.forgotten = True
        if not person.version:
            return
        person.changes.append(Change(None, offset, None, 0, person.slots_max, "forgotten"))
        self.histories.forget(person.key)
        person.version = person.slots = person.slots_max = 0
        person.event_time = None
        person.life += 1

    def _event(self, person, event, offset):
        if not self.histories.add(person.key, event.item.decode(), event.time_ms, event.kind):
            self.counts["duplicate"] += 1
            return
        person.version += 1
        person.event_time = event.time_ms if person.event_time is None else max(person.event_time, event.time_ms)
        shown, person.slots = person.slots, self.histories.slots(person.key)
        person.slots_max = max(person.slots_max, person.slots)
        person.changes.append(Change(person.version, offset, person.event_time, person.slots, shown, "event"))

    def profiles(self, records):
        """A kept profile goes with a forgotten user, and comes back when its topic is read again: both is right."""
        for record in records:
            found = ms_events.profile(record.key, record.value, self.fields.id_max)
            if isinstance(found, ms_events.Bad):
                self._dead(record)
                continue
            self.person(record.partition, found[0]).profile = found[1]

    def published(self, person, version, profile=None):
        """The vectors of a user at a version, float64 [K'u, dim]."""
        vectors = self.vectors[person.key, version]
        if self.profile_topic is None:
            return vectors
        self.reference.profile = None if profile is None else ms_events.read_json(profile)
        return self.reference.with_profile(vectors)


# ---- the output ----


class Out:
    """One record of the output topic, decoded."""

    __slots__ = ("record", "user", "slot", "version", "event_time", "slots", "vectors", "weights")

    def __init__(self, record, layout, pb):
        self.record, self.slot = record, None
        key = record.key
        if layout == "interest":
            key, _, slot = key.rpartition(b"#")
            self.slot = int(slot)
        self.user, self.version, self.event_time, self.vectors = key, None, None, None
        if record.value is None:
            return
        message = (self._json(record.value, layout) if record.value[:1] == b"{" else
                   self._protobuf(record.value, layout, pb))
        user, self.version, self.event_time, self.slots, self.vectors, self.weights = message
        if user.encode() != self.user:
            raise Wrong("the record's key is not its user", key, user)
        if record.headers.get("mindstream-version") != str(self.version).encode():
            raise Wrong("the header mindstream-version", self.version, record.headers)

    @staticmethod
    def _json(value, layout):
        root = json.loads(value)
        interests = root["interests"] if layout == "user" else [root]
        return (root["user_id"], root["version"], root["event_time"], [one["slot"] for one in interests],
                [one["vector"] for one in interests], [one["weight"] for one in interests])

    @staticmethod
    def _protobuf(value, layout, pb):
        root = (pb.UserInterests if layout == "user" else pb.InterestRecord).FromString(value)
        interests = root.interests if layout == "user" else [root]
        return (root.user_id, root.version, root.event_time, [one.slot for one in interests],
                [list(one.vector) for one in interests], [one.weight for one in interests])


def check_vectors(person, offset, slots, expected, found, weights, tolerance):
    if len(found) != len(expected):
        raise Wrong("the number of interests", len(expected), len(found), person, offset)
    for slot, one, vector in zip(slots, expected, found):
        worst = np.abs(np.asarray(vector, dtype=np.float64) - one).max() if len(vector) == len(one) else np.inf
        if not worst <= tolerance:
            raise Wrong(f"the vector of slot {slot}, off by {worst:.2e}", np.round(one, 6).tolist(), vector, person, offset)
    if weights is not None and len(weights) and not abs(sum(weights) - 1) < 1e-4:
        raise Wrong("the weights' sum", 1, weights, person, offset)


class Checker:
    """Compares the output with what a model says of it."""

    def __init__(self, model, pb, tolerance=1e-5):
        self.model, self.pb, self.tolerance = model, pb, tolerance
        self.users = self.records = 0

    def check(self, records):
        by_user = collections.defaultdict(list)
        for record in records:
            out = Out(record, self.model.layout, self.pb)
            by_user[out.user].append(out)
            self.records += 1
        people = collections.defaultdict(list)
        for person in self.model.people.values():
            if person.changes:
                people[person.user].append(person)
        for user in by_user.keys() - people.keys():
            raise Wrong(f"records of user {user!r}, who has no events", "none", by_user[user][0].record.value)
        for user, owners in people.items():
            self.users += 1
            if len(owners) > 1:
                self._shared(owners, by_user[user])
            elif self.model.profile_topic is not None:
                self._with_profile(owners[0], by_user[user])
            elif self.model.layout == "interest":
                self._interests(owners[0], by_user[user])
            else:
                self._user(owners[0], by_user[user])

    def _lives(self, person):
        """(key of the life, change) of all that happened."""
        life, key = 0, None
        for change in person.changes:
            key = (person.partition, person.user, life)
            yield key, change
            life += change.version is None

    def _same(self, person, key, change, out):
        """The record is what the change must publish."""
        where = (person, change.offset)
        if out.version != change.version:
            raise Wrong("the version", change.version, out.version, *where)
        if change.version is None:
            return
        if out.event_time != change.event_time:
            raise Wrong(f"the event time of version {change.version}", change.event_time, out.event_time, *where)
        expected = self.model.vectors[key, change.version]
        if out.slot is not None:
            expected = expected[out.slot:out.slot + 1]
        elif out.slots != list(range(change.slots)):
            raise Wrong(f"the slots of version {change.version}", list(range(change.slots)), out.slots, *where)
        check_vectors(person, change.offset, out.slots, expected, out.vectors,
                      out.weights if out.slot is None else None, self.tolerance)

    def _sequence(self, person, expected, outs):
        """Every mode: one record for each, in order. Latest: some of them, all nulls, and the last."""
        if self.model.publish == "every":
            for number, (key, change) in enumerate(expected):
                if number == len(outs):
                    raise Wrong(f"{len(outs)} records of {len(expected)}", f"version {change.version}", "none", person, change.offset)
                self._same(person, key, change, outs[number])
            if len(outs) > len(expected):
                raise Wrong(f"{len(outs)} records of {len(expected)}", "no more", _short(outs[len(expected)]), person)
            return
        at = 0
        for out in outs:
            began = at
            while at < len(expected) and expected[at][1].version != out.version:
                if expected[at][1].version is None and self.model.layout == "user":
                    raise Wrong("a null value was left out", expected[at][1], _short(out), person, expected[at][1].offset)
                at += 1
            if at == len(expected):
                raise Wrong("a version that was never due here, or came twice", [c.version for _, c in expected[began:]][:20],
                            _short(out), person)
            self._same(person, *expected[at], out)
            at += 1
        if at != len(expected):
            raise Wrong("the last version was not published", expected[-1][1], _short(outs[-1]) if outs else "nothing", person,
                        expected[-1][1].offset)

    def _user(self, person, outs):
        self._sequence(person, list(self._lives(person)), outs)

    def _interests(self, person, outs):
        """Layout interest: the same, slot by slot. What a slot must show in mode latest depends on the commits but for
        the end."""
        by_slot = collections.defaultdict(list)
        for out in outs:
            by_slot[out.slot].append(out)
        most = max(change.slots for change in person.changes)
        if any(slot >= most for slot in by_slot):
            raise Wrong("a slot that the user never had", f"below {most}", sorted(by_slot), person)
        for slot in range(most):
            expected = []
            for key, change in self._lives(person):
                if slot < change.slots:
                    expected.append((key, change))
                elif slot < change.shown:
                    expected.append((key, change._replace(version=None)))
            if self.model.publish == "every":
                self._sequence(person, expected, by_slot[slot])
            else:
                self._slot_at_the_end(person, slot, expected, by_slot[slot])

    def _slot_at_the_end(self, person, slot, expected, outs):
        """Whatever was shown was true at some time, in order, and what is shown at the end is the last."""
        at = 0
        for out in outs:
            if out.version is not None:
                at = self._next_that_fits(person, slot, expected, at, out)
        last = expected[-1][1]
        found = outs[-1].version if outs else None
        if found != last.version:
            raise Wrong(f"slot {slot} at the end", last, found, person, last.offset)

    def _next_that_fits(self, person, slot, expected, at, out):
        """Behind the next change that the record can come from: another life may have the same version."""
        wrong = Wrong(f"slot {slot}: a version that was never due here, or came twice", "another", _short(out), person)
        for number in range(at, len(expected)):
            if expected[number][1].version == out.version:
                try:
                    self._same(person, *expected[number], out)
                    return number + 1
                except Wrong as error:
                    wrong = error
        raise wrong

    def _with_profile(self, person, outs):
        """The order of clicks and profiles is not recorded: versions rise, nulls are counted, and the end is right."""
        by_slot = collections.defaultdict(list)
        for out in outs:
            by_slot[out.slot].append(out)
        nulls = sum(change.version is None for change in person.changes)
        last = person.changes[-1]
        for slot, shown in by_slot.items():
            version = 0
            for out in shown:
                if self.model.alone and out.version is not None and out.version <= version:
                    raise Wrong(f"slot {slot}: versions do not rise", f"above {version}", out.version, person)
                version = out.version or 0
            if self.model.layout == "user" and nulls != sum(out.version is None for out in shown):
                raise Wrong("the number of null values", nulls, [out.version for out in shown][-20:], person)
            gone = last.version is None or (slot is not None and slot >= last.slots)
            if gone != (shown[-1].version is None):
                raise Wrong(f"slot {slot} at the end", last, _short(shown[-1]), person, last.offset)
            if not gone and shown[-1].version < last.version:
                raise Wrong("the version at the end", f"at least {last.version}", shown[-1].version, person)
        slots = [None] if self.model.layout == "user" else range(last.slots if last.version else 0)
        for slot in slots:
            if slot not in by_slot:
                raise Wrong(f"slot {slot} at the end", last, "nothing", person, last.offset)
            if last.version is not None:
                out = by_slot[slot][-1]
                self.check_final(person, out.slots, out.vectors, None, last.offset)

    def check_final(self, person, slots, vectors, weights, offset=None):
        """The vectors of a user at the end, with the profile that it has, or with none where it was forgotten."""
        last = person.changes[-1]
        choices = [person.profile] + ([None] if person.forgotten and self.model.profile_topic is not None else [])
        if self.model.layout == "user" and list(slots) != list(range(last.slots)):
            raise Wrong("the slots at the end", list(range(last.slots)), slots, person, offset)
        for choice in choices:
            try:
                expected = self.model.published(person, last.version, choice)
                check_vectors(person, offset, slots, expected[slots], vectors, weights, self.tolerance)
                return
            except Wrong as error:
                wrong = error
        raise wrong

    def _shared(self, owners, outs):
        """Users of several partitions under one key: as many records of each version as they must give together."""
        if self.model.publish != "every" or self.model.profile_topic is not None or self.model.layout != "user":
            return
        expected = collections.Counter(change.version for person in owners for change in person.changes)
        found = collections.Counter(out.version for out in outs)
        if expected != found:
            raise Wrong("records by version of a user of several partitions", expected, found, owners[0])


def _short(out):
    return f"version {out.version} at {out.record.partition}:{out.record.offset}"


LETTER_NAMES = ("error", "source-topic", "source-partition", "source-offset", "source-timestamp", "source-key-null",
                "source-value-null", "cut-key-bytes", "cut-value-bytes", "cut-headers",
                *(f"__streams.errors.{name}" for name in ("exception", "message", "topic", "partition", "offset")))
LETTER_ROOM = 900000  # a record below this is never cut, with the topic's and the producer's defaults


def check_dead_letters(model, records):
    """One each, as it came: key, value, headers and time. What is too long is cut."""
    left = dict(model.dead)
    for letter in records:
        headers = {name: value.decode(errors="replace") for name, value in letter.headers.items() if value is not None}
        place = (headers["source-topic"], int(headers["source-partition"]), int(headers["source-offset"]))
        came = left.pop(place, None)
        if came is None:
            raise Wrong(f"dead letter of {place}", "none, or no second one", (letter.key, letter.value, headers))
        if not headers.get("error") or headers.get("__streams.errors.message") != headers["error"]:
            raise Wrong(f"dead letter of {place}", "a reason", headers)
        size = len(came.key or b"") + len(came.value or b"")
        if "cut-value-bytes" in headers and size > LETTER_ROOM:
            if not came.value.startswith(letter.value):
                raise Wrong(f"dead letter of {place}", f"the beginning of {size} bytes", letter.value[:100])
            continue
        known = [("original-" + name if name in LETTER_NAMES else name, value) for name, value in came.headers]
        want = (came.key, came.value, came.timestamp, known)
        got = (letter.key, letter.value, letter.timestamp, letter.header_list[:len(known)])
        if got != want:
            raise Wrong(f"dead letter of {place}", want, got)
    for place, came in left.items():
        raise Wrong(f"dead letter of {place}", came, "nothing")


# ---- the state ----


def check_users(model, listed):
    """The list of users is that of the model, partition by partition."""
    found = {(one["partition"], one["user_id"]): one for one in listed}
    expected = {(person.partition, person.user.decode()): person for person in model.people.values() if person.version}
    for place in expected.keys() - found.keys():
        raise Wrong("inspect users", expected[place].changes[-1], "no such user", expected[place])
    for place in found.keys() - expected.keys():
        raise Wrong("inspect users", "no such user", found[place])
    for place, person in expected.items():
        one = found[place]
        kept = len(model.histories.users[person.key])
        want = {"version": person.version, "behaviors": kept, "slots": person.slots, "event_time": person.event_time}
        got = {name: one[name] for name in want}
        if model.profile_topic is not None and got["version"] >= person.version:
            got["version"] = person.version
        if got != want:
            raise Wrong("inspect users", want, one, person, person.changes[-1].offset)
    return len(expected)


def check_user(checker, person, view):
    """Interests and behaviors of one user as `inspect user` shows them."""
    model = checker.model
    want = [(item, time_ms, kind.decode()) for time_ms, _, item, kind in model.histories.users[person.key]]
    got = [(one["item"], one["time"], one["type"]) for one in view["behaviors"]]
    if want != got:
        raise Wrong("inspect user: behaviors", want, got, person, person.changes[-1].offset)
    interests = view["interests"]
    checker.check_final(person, [one["slot"] for one in interests], [one["vector"] for one in interests],
                        [one["weight"] for one in interests], person.changes[-1].offset)
