"""Settings of the decoder that change over a kill: what a reader sees in the end is the fold under the new ones."""

import json
import random

import ms_history
import ms_kafka

USERS = [f"u{number}" for number in range(12)]


class Changing:
    """Events that two settings of the decoder read differently, and what they give in the end."""

    def __init__(self, scenario):
        self.scenario = scenario
        self.items = ms_history.small_model(scenario.model_dir)
        self.histories = ms_history.Histories(scenario.model_dir)
        self.draws = random.Random(5)
        self.time_ms = 1700000000000

    def produce(self, events, read):
        """Writes events, (user, value) each; read(value) says as whose event of which item a setting takes it, or None."""
        records = []
        for user, value in events:
            self.time_ms += 1000
            value["timestamp"] = self.time_ms
            records.append((user.encode(), json.dumps(value).encode()))
            taken = read(value)
            if taken:
                self.histories.add(*taken, self.time_ms, value["event_type"])
        self.scenario.kafka.produce(self.scenario.input, records)

    def events(self, count, users=None):
        """Random ones: every third is a view, every fourth has no product, and accounts are not users."""
        for _ in range(count):
            user = self.draws.choice(users or USERS)
            value = {"user_id": user, "account": f"a{user}", "item_id": self.draws.choice(self.items),
                     "event_type": self.draws.choice(["click", "click", "view"])}
            if self.draws.random() < 0.75:
                value["product"] = self.draws.choice(self.items)
            yield user, value

    def check(self):
        """The last record of each user is what its events give; one that has none was shown, if at all, for the last time."""
        pb = ms_kafka.schema(self.scenario.directory)
        records = self.scenario.kafka.read(self.scenario.output)
        newest = {record.key.decode(): record.value for record in records}
        last = self.histories.last()
        for user, value in newest.items():
            assert value is None or user in last, f"{user} is still shown, and has no event"
        for user, (version, vectors) in last.items():
            assert newest.get(user) is not None, f"{user} is not shown"
            ms_history.check_message(pb.UserInterests.FromString(newest[user]), user, version, vectors)
        return records


def change(scenario, before, after, read_before, read_after):
    """Folds some events in good order, then others up to a kill, and goes on with the other settings."""
    scenario.topics(2)
    changing = Changing(scenario)
    settings = {"workers": 1, "state_flush_interval_ms": 600000, "group_static": "false"}
    service = scenario.service(**settings, **before).start()
    changing.produce(changing.events(100, USERS[:8]), read_before)
    scenario.wait_done(service)
    assert service.terminate() == 0
    service.start()
    # u0 and nobody, who was never seen, have one event that the settings after do not take, if there is such a one
    lonely = []
    for user in ("u0", "nobody"):
        lonely += [event for event in changing.events(50, [user]) if read_after(event[1]) != read_before(event[1])][:1]
    changing.produce(lonely + list(changing.events(200, USERS[2:10])), read_after)
    scenario.wait_done(service)
    service.kill9()
    service.settings.update((key.replace("_", "."), value) for key, value in after.items())
    service.start().wait_log(r"debt_paid .*users=[1-9]")
    changing.produce(changing.events(100, USERS[1:11]), read_after)
    scenario.wait_done(service)
    assert service.terminate() == 0
    records = changing.check()
    # once more, with nothing left to replay: nobody is owed anything
    service.start().wait_log("assigned .*replay=0 .*republish=0")
    assert service.terminate() == 0
    assert len(scenario.kafka.read(scenario.output)) == len(records)


def types_changed(scenario):
    """input.types: views counted before, and do not after."""
    change(scenario, {"input_types": "click,view"}, {"input_types": "click"},
           lambda value: (value["user_id"], value["item_id"]),
           lambda value: value["event_type"] == "click" and (value["user_id"], value["item_id"]))


def item_field_changed(scenario):
    """input.item.field: events without the new field become bad."""
    change(scenario, {}, {"input_item_field": "product"},
           lambda value: (value["user_id"], value["item_id"]),
           lambda value: "product" in value and (value["user_id"], value["product"]))


def user_field_changed(scenario):
    """input.user.field: the events are those of other users now."""
    change(scenario, {}, {"input_user_field": "account"},
           lambda value: (value["user_id"], value["item_id"]),
           lambda value: (value["account"], value["item_id"]))


SCENARIOS = {function.__name__: function for function in (types_changed, item_field_changed, user_field_changed)}

if __name__ == "__main__":
    ms_kafka.main(SCENARIOS)
