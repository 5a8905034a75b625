"""Records at random for the input topic and the profile topic: good events in many forms, and whatever else people write.

    records = Records(draws, items, fields)    draws is a random.Random, fields are ms_events.Fields
    records.click(partition) -> (key, value, headers, timestamp ms or None)
    records.profile(partition) -> the same for the profile topic

Each partition has users of its own, so that no user is in two partitions but by accident.
"""

import json

BASE_MS = 1700000000000
WORDS = ["user_id", "item_id", "timestamp", "event_type", "u", "id", "x", "", "gender", "tags", "\u00fc", "a.b", "0"]
GOOD_TIMES = ["2023-11-14T22:13:20Z", "2023-11-14 22:13:20.5+05:30", "20231114T221320Z", "20231114", "2024-02-29",
              "1700000000.25", "1.7e9", "2023-11-14T22:13:20+05:30[Asia/Kolkata]", "1700000000000000000"]
BAD_TIMES = ["20231114221320", 20231114221320, "never", -1, 9007199254740991, 253402300799, "2023-02-30", True, {}, [], "",
             "2023-11-14T24:00:00Z", 1e300, -0.5, 2**64, "1e99", "9999-12-31T23:59:59Z"]


class Records:
    def __init__(self, draws, items, fields, users=40, filtered="view"):
        self.draws, self.items, self.fields, self.filtered = draws, items, fields, filtered
        self.user_count = users
        self.nested = fields.user.startswith("u.id")
        self.users, self.recent, self.ticks = {}, {}, 0
        self.kinds = [(60, self._good), (8, self._form), (5, self._again), (5, self._late), (5, self._unknown), (4, self._forget),
                      (3, self._filtered), (3, self._field_wrong), (4, self._broken), (3, self._any_json), (3, self._bytes),
                      (2, self._time_wrong), (1, self._nothing), (0.15, self._large)]

    def pool(self, partition):
        if partition not in self.users:
            names = [f"p{partition}-u{number}" for number in range(self.user_count)]
            names += [f"p{partition}-\u00fc\U0001f600", f"p{partition}#1", f"p{partition}#1#2", f"p{partition} \"'\\", f"p{partition}\n\t",
                      f"p{partition}\0nul", f"p{partition}-" + "x" * 1000, str(partition * 1000000 + 7), f"{10**25 + partition}"]
            self.users[partition] = names
        return self.users[partition]

    def _user(self, partition):
        names = self.pool(partition)
        return names[int(len(names) * self.draws.random() ** 1.7)]

    def _time(self):
        self.ticks += 1
        return BASE_MS + 1000 * self.ticks

    def _event(self, partition, **changes):
        user = self._user(partition)
        kind = self.draws.choice(["click", "click", "buy"])
        event = {"user_id": user, "item_id": self.draws.choice(self.items), "timestamp": self._time(), "event_type": kind, **changes}
        if self.nested and self.draws.random() < 0.5:
            event["u"] = {"id": [event.pop("user_id")]} if "[" in self.fields.user else {"id": event.pop("user_id")}
        return user, event

    def _dump(self, event):
        return json.dumps(event, ensure_ascii=self.draws.random() < 0.5, separators=(",", ":")).encode("utf-8", "surrogatepass")

    def click(self, partition):
        """One record; what is not good comes in many ways."""
        make = self.draws.choices([kind for _, kind in self.kinds], [weight for weight, _ in self.kinds])[0]
        key, value, timestamp = make(partition)
        headers = None
        if self.draws.random() < 0.1:
            headers = [(self.draws.choice(["h", "error", "source-offset", "", "mindstream-version"]), self._noise(20))
                       for _ in range(self.draws.randrange(1, 4))]
            headers += [("none", None)] if self.draws.random() < 0.3 else []
        if key is not None and self.draws.random() < 0.01:
            key = self.draws.choice([None, b"", self._noise(8), b"other"])
        recent = self.recent.setdefault(partition, [])
        recent.append((key, value, timestamp))
        del recent[:-30]
        return key, value, headers, timestamp

    def _noise(self, most):
        return bytes(self.draws.randrange(256) for _ in range(self.draws.randrange(most + 1)))

    # The kinds.

    def _good(self, partition):
        user, event = self._event(partition)
        return user.encode(), self._dump(event), None

    def _form(self, partition):
        """The same said in another way."""
        user, event = self._event(partition)
        way, timestamp, lead = self.draws.randrange(12), None, b""
        if way == 0:
            event["timestamp"] //= 1000
        elif way == 1:
            event["timestamp"] *= 1000
        elif way == 2:
            event["timestamp"] = event["timestamp"] / 1000
        elif way == 3:
            event["timestamp"] = self.draws.choice(GOOD_TIMES)
        elif way == 4:
            del event["timestamp"]
            timestamp = event_ms = BASE_MS + self.ticks
            event["ignored"] = event_ms
        elif way == 5:
            event["item_id"] = self.draws.choice([7, 7.0, -3, 10**30, 2**53 + 1, "7"])
        elif way == 6:
            event.pop("user_id", None)
            event.pop("u", None)
            event["user_id"] = self.draws.choice([None, ""])
        elif way == 7:
            event["event_type"] = self.draws.choice([None, "", "click", 5])
        elif way == 8:
            lead = self.draws.choice([b"\xef\xbb\xbf", b"\0\0\0\0\7", b"\0\1\2\3\4\xef\xbb\xbf", b" \n"])
        elif way == 9:
            event["deep"] = self._value(4)
        elif way == 10 and user.isdigit() and "user_id" in event:
            event["user_id"] = int(user)
        else:
            event["timestamp"] = str(event["timestamp"])
        return user.encode(), lead + self._dump(event), timestamp

    def _again(self, partition):
        recent = self.recent.get(partition)
        return self.draws.choice(recent) if recent else self._good(partition)

    def _late(self, partition):
        user, event = self._event(partition)
        event["timestamp"] -= self.draws.choice([1000, 50000, 5000000, 10**9])
        return user.encode(), self._dump(event), None

    def _unknown(self, partition):
        user, event = self._event(partition, item_id=self.draws.choice(["never seen", "\U0001f600", "i" * 1024, "I1"]))
        return user.encode(), self._dump(event), None

    def _forget(self, partition):
        return self._user(partition).encode(), None, None

    def _filtered(self, partition):
        user, event = self._event(partition, event_type=self.filtered)
        event.pop("item_id")
        return user.encode(), self._dump(event), None

    def _field_wrong(self, partition):
        name = self.draws.choice(["user_id", "item_id", "event_type"])
        user, event = self._event(partition)
        event[name] = self.draws.choice([1.5, True, {}, [], "x" * 1025, "", None, 1e300, "\ud800", {"id": 1}])
        return user.encode(), self._dump(event), None

    def _time_wrong(self, partition):
        user, event = self._event(partition, timestamp=self.draws.choice(BAD_TIMES))
        return user.encode(), self._dump(event), None

    def _broken(self, partition):
        key, value, timestamp = self._form(partition)
        data = bytearray(value)
        for _ in range(self.draws.randrange(1, 4)):
            at = self.draws.randrange(len(data) + 1)
            way = self.draws.randrange(4)
            if way == 0 and at < len(data):
                data[at] = self.draws.randrange(256)
            elif way == 1:
                del data[at:]
            elif way == 2:
                data[at:at] = self.draws.choice([b",", b'"', b"}", b"\\u12", b"01", b"NaN", b"\0", b"\xff", b"1e999", b"9" * 25, b"-"])
            elif at < len(data):
                del data[at]
            data = data or bytearray(b"{")
        return key, bytes(data), timestamp

    def _any_json(self, partition):
        return self._user(partition).encode(), self._dump(self._value(4)), None

    def _bytes(self, partition):
        return self.draws.choice([self._user(partition).encode(), None, self._noise(30)]), self._noise(200), None

    def _nothing(self, partition):
        return self.draws.choice([(None, None, None), (b"", None, None), (b"\xff\xfe", None, None), (b"k" * 1025, None, None),
                                  (self._user(partition).encode(), b"", None), (None, b"", None), (b"", b"{}", None)])

    def _large(self, partition):
        size = self.draws.choice([70000, 300000, 900000, 998000])
        user, event = self._event(partition)
        if self.draws.random() < 0.5:
            event["payload"] = "x" * size
        return user.encode(), self._dump(event) if "payload" in event else b"[" * size, None

    def _value(self, depth):
        """Any JSON."""
        draw = self.draws.randrange(10 if depth else 7)
        if draw < 7:
            return self.draws.choice([None, True, False, self.draws.randrange(-10**20, 10**20),
                                      self.draws.random() * 10**self.draws.randrange(-9, 20), self.draws.choice(WORDS), self.draws.choice(self.items), "p0-u1", BASE_MS])
        if draw == 7:
            return [self._value(depth - 1) for _ in range(self.draws.randrange(4))]
        return {self.draws.choice(WORDS): self._value(depth - 1) for _ in range(self.draws.randrange(7))}

    # Profiles.

    def profile(self, partition):
        user, draw = self._user(partition).encode(), self.draws.random()
        if draw < 0.1:
            return user, None, None, None
        if draw < 0.15:
            return user, self._noise(40), None, None
        if draw < 0.2:
            return self.draws.choice([b"", b"\xff", b"k" * 1025]), b"{}", None, None
        if draw < 0.25:
            return user, self._dump(self._value(3)), None, None
        value = {"gender": self.draws.choice(["f", "m", "x", 1, None, True]), "tags": self.draws.sample(["a", "b", "c", "d", 7, 7.0], 2)}
        if self.draws.random() < 0.3:
            value["number"] = self.draws.randrange(10**9)
        if self.draws.random() < 0.05:
            value["long"] = "x" * self.draws.choice([60000, 65536])
        return user, self._dump(value), None, None
