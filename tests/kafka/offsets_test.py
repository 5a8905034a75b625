"""Offsets that do not fit the log or the state: an error that names the partition and the offsets, never silence."""

import shutil
import signal
import time

import ms_kafka
from lifecycle_test import Log


def stopped_service(scenario, events=400):
    """A service that has folded some events of one partition and was stopped in good order."""
    scenario.topics(1)
    log = Log(scenario)
    service = scenario.service(workers=1, group_static="false").start()
    log.produce(events)
    scenario.wait_done(service)
    assert service.terminate() == 0
    return log, service


def origin_gone(scenario):
    """No state, and the log no longer reaches back to the partition's origin."""
    _, service = stopped_service(scenario)
    shutil.rmtree(service.settings["state.dir"])
    scenario.kafka.delete_records(scenario.input, {0: 100})
    service.start().fails(3, scenario.input, r"\b100\b", r"\b400\b")


def gap_gone(scenario):
    """The log's start is beyond the state and the committed offset: events that nobody has read are gone."""
    log, service = stopped_service(scenario)
    log.produce(200)
    scenario.kafka.delete_records(scenario.input, {0: 500})
    service.start().fails(3, scenario.input, r"\b400\b", r"\b500\b")


def committed_below_state(scenario):
    """The group's offset was set back below what the state holds: events would be folded twice."""
    _, service = stopped_service(scenario)
    scenario.kafka.set_committed(scenario.group, scenario.input, {0: 150})
    service.start().fails(3, scenario.input, r"\b150\b", r"\b400\b")


def committed_beyond_end(scenario):
    """The group's offset lies beyond the log's end."""
    _, service = stopped_service(scenario)
    scenario.kafka.set_committed(scenario.group, scenario.input, {0: 9999})
    service.start().fails(3, scenario.input, r"\b9999\b", r"\b400\b")


def run_into_a_gap(scenario, *args):
    """A running service whose next events are deleted: paused, because it reads faster than that."""
    log, service = stopped_service(scenario)
    service.start(*args).wait_log(r"assigned .*start=400")
    service.process.send_signal(signal.SIGSTOP)
    log.produce(10)  # all that the fetch on its way can bring
    log.produce(190)
    scenario.kafka.delete_records(scenario.input, {0: 590})
    service.process.send_signal(signal.SIGCONT)
    return service


def gap_meanwhile(scenario):
    """It ends like at the start: partition, offsets, the command that mends it, and --accept-gap."""
    run_into_a_gap(scenario).fails(3, scenario.input, r"\b590\b", r"\b600\b", "--reset-offsets", "--accept-gap")


def gap_meanwhile_accepted(scenario):
    """With --accept-gap it goes on behind the gap, and the state has what came before it."""
    service = run_into_a_gap(scenario, "--accept-gap")
    service.wait_log(r"gap_accepted .*to=590")
    scenario.wait_done(service)
    assert service.terminate() == 0


def transactional_input(scenario):
    """An input written in transactions ends in control records, or in what was aborted: the committed offset passes them,
    so that no lag stays, and nothing is missing when the log's start has passed them too."""
    scenario.topics(1)
    log = Log(scenario)
    service = scenario.service(workers=1, group_static="false").start()
    log.produce(100, transaction=True)
    scenario.kafka.produce_transaction(scenario.input, [ms_kafka.event("nobody", "none", 1700000000000)], commit=False)
    scenario.wait_done(service, timeout_s=30)
    end = scenario.kafka.watermarks(scenario.input)[0][1]
    assert end > 101, "control records follow the events"
    service.wait_log(r"progress .*lag=0", timeout_s=15)
    scenario.kafka.delete_records(scenario.input, {0: end})
    other = scenario.service("b", workers=1, group_static="false").start()
    other.wait_log("progress")  # the partition has moved or was taken again
    service.check_alive()
    log.produce(100, transaction=True)
    scenario.wait_done(other, timeout_s=30)
    assert service.terminate() == 0 and other.terminate() == 0
    scenario.kafka.delete_records(scenario.input, {0: scenario.kafka.watermarks(scenario.input)[0][1]})
    service.start().wait_log("assigned .*replay=0")
    assert service.terminate() == 0
    log.check()


def compacted_input(scenario):
    """A state that is lost and would have to be folded from a compacted log: an error with its remedy, or the holes are counted."""
    scenario.kafka.create(scenario.input, 1, cleanup_policy="compact", segment_ms=200, min_cleanable_dirty_ratio=0.01,
                          max_compaction_lag_ms=500, delete_retention_ms=100)
    scenario.kafka.create(scenario.output, 1)
    log = Log(scenario)
    service = scenario.service(workers=1, group_static="false", commit_interval_ms=100).start()
    service.wait_log(f"compacted_input topic={scenario.input} cleanup.policy=compact")
    scenario.kafka.produce(scenario.input, [ms_kafka.event("u1", log.items[n], 1700000000000 + n) for n in range(6)])
    scenario.wait_done(service)
    assert service.terminate() == 0
    ms_kafka.wait_for("compaction", lambda: [
        scenario.kafka.produce(scenario.input, [ms_kafka.event("other", log.items[0], 1700000000000)]),
        sum(record.key == b"u1" for record in scenario.kafka.read(scenario.input)) < 6][1], timeout_s=90, every_s=3)
    service.start().wait_log("assigned .*replay=0")  # the state is there
    scenario.wait_done(service)
    assert service.terminate() == 0
    shutil.rmtree(service.settings["state.dir"])
    service.start().fails(3, scenario.input, "compacted", "--accept-holes")
    service.start("--accept-holes").wait_log(r"warn replayed .* holes=[1-9]")
    scenario.wait_done(service)
    service.wait_log(r"progress .*replay_holes=[1-9]", timeout_s=15)
    assert service.terminate() == 0


def input_start_latest(scenario):
    """A new group with input.start=latest begins at the end, and again there after a restart."""
    scenario.topics(1)
    log = Log(scenario)
    log.produce(100)
    log.histories = type(log.histories)(scenario.model_dir)  # what came before is not seen
    service = scenario.service(workers=1, input_start="latest").start()
    ms_kafka.wait_for("the first offset", lambda: scenario.kafka.committed(scenario.group, scenario.input)[0] >= 100)
    log.produce(200)
    scenario.wait_done(service)
    service.kill9()
    log.produce(100)
    service.start()
    scenario.wait_done(service)
    assert service.terminate() == 0
    log.check()


def topic_deleted(scenario):
    """The input topic is deleted while it is read: said within seconds, and the process ends although a client may hang."""
    scenario.topics(1)
    log = Log(scenario)
    service = scenario.service(workers=1, group_static="false").start()
    log.produce(20)
    scenario.wait_done(service)
    scenario.kafka.delete(scenario.input)
    service.fails(3, scenario.input, "deleted", timeout_s=30)


def topic_made_anew(scenario):
    """A topic that is made anew under its name while it is read: its first events are never skipped in silence."""
    scenario.topics(1)
    log = Log(scenario)
    service = scenario.service(workers=1, group_static="false").start()
    log.produce(5)
    scenario.wait_done(service)
    scenario.kafka.delete(scenario.input)
    time.sleep(1)
    scenario.kafka.create(scenario.input, 1)
    scenario.kafka.produce(scenario.input, [ms_kafka.event("new", log.items[0], 1700000000000 + n) for n in range(9)])
    ms_kafka.wait_for("an end, or all new events", lambda: not service.running() or 9 == sum(
        record.key == b"new" for record in scenario.kafka.read(scenario.output)), every_s=1)
    if not service.running():
        service.fails(3, scenario.input, "empty state.dir")


def made_anew(scenario, old, new, wait_s=0, stopped=False):
    """A topic of some old events, all read, that is made anew with new ones; returns the service once it has ended."""
    scenario.topics(1)
    log = Log(scenario)
    service = scenario.service(workers=1, group_static="false").start()
    log.produce(old)
    scenario.wait_done(service)
    if stopped:
        assert service.terminate() == 0
    scenario.kafka.delete(scenario.input)
    time.sleep(wait_s)
    scenario.kafka.create(scenario.input, 1)
    events = [ms_kafka.event("new", log.items[0], 1700000000000 + n) for n in range(new)]
    scenario.kafka.produce(scenario.input, events)
    if stopped:
        service.start()
    ms_kafka.wait_for("an end", lambda: not service.running(), timeout_s=60, every_s=0.5)
    return service


def read_anew(scenario, service, new, *patterns):
    """What the error says mends it: an empty state and the offset of the beginning."""
    service.fails(3, scenario.input, "empty state.dir", *patterns)
    shutil.rmtree(service.settings["state.dir"])
    scenario.kafka.set_committed(scenario.group, scenario.input, {0: 0})
    service.start()
    scenario.wait_done(service)
    assert service.terminate() == 0
    last = [record for record in scenario.kafka.read(scenario.output) if record.key == b"new"][-1]
    version = int(last.headers["mindstream-version"])
    assert version == new, f"{version} of {new} events of the new topic are folded"


def topic_made_anew_while_stopped(scenario):
    """The new topic has more than the old one had: its first events would be skipped in silence."""
    read_anew(scenario, made_anew(scenario, old=5, new=9, stopped=True), 9, "was made anew", "is not the record", "--to-earliest")


def topic_made_anew_at_once(scenario):
    """The new topic is there, and longer, before anybody has noticed that the old one had gone. Where the service is quicker, it
    finds the topic gone, or still shorter: an end all the same."""
    read_anew(scenario, made_anew(scenario, old=100, new=300), 300, "made anew|was deleted")


def aborted_beginning(scenario):
    """A log that begins with what was aborted, and loses no more than that, has lost nothing: without state it is folded again."""
    scenario.topics(1)
    log = Log(scenario)
    scenario.kafka.produce_transaction(scenario.input, [ms_kafka.event("nobody", "none", 1700000000000)] * 3, commit=False)
    first = scenario.kafka.watermarks(scenario.input)[0][1]
    service = scenario.service(workers=1, group_static="false").start()
    log.produce(100)
    scenario.wait_done(service)
    assert service.terminate() == 0
    shutil.rmtree(service.settings["state.dir"])
    scenario.kafka.delete_records(scenario.input, {0: first})
    service.start().wait_log(rf"assigned .*start={first} .*replay=100 ")
    log.produce(100)
    scenario.wait_done(service)
    assert service.terminate() == 0
    log.check()


def partition_added_later(scenario):
    """With input.start=latest a new group begins at the end, but a partition that is added later is read from its beginning."""
    scenario.topics(2)
    log = Log(scenario)
    log.produce(100)
    service = scenario.service(input_start="latest", consumer_topic_metadata_refresh_interval_ms=20000)
    service.start("--accept-repartition")
    ms_kafka.wait_for("the first offsets", lambda: all(
        offset > 0 for offset in scenario.kafka.committed(scenario.group, scenario.input).values()))
    scenario.kafka.grow(scenario.input, 3)
    scenario.kafka.produce_to(scenario.input, 2, [ms_kafka.event("late", log.items[0], 1700000000000 + n) for n in range(50)])
    service.wait_log(r"assigned .*partition=2 start=0 ", timeout_s=60)
    scenario.wait_done(service)
    assert service.terminate() == 0
    late = [record for record in scenario.kafka.read(scenario.output) if record.key == b"late"]
    assert len(late) == 50, f"{len(late)} of 50 clicks are published"


def users_of(scenario, user_count, item, time_ms):
    """One event each of users u0, u1, ..."""
    scenario.kafka.produce(scenario.input, [ms_kafka.event(f"u{n}", item, time_ms) for n in range(user_count)])


def topic_grown(scenario):
    """Partitions are added: users move. An error while it runs and at the start, or accepted and then the new number counts."""
    scenario.topics(1)
    log = Log(scenario)
    service = scenario.service(workers=1, group_static="false", consumer_topic_metadata_refresh_interval_ms=2000).start()
    users_of(scenario, 6, log.items[0], 1700000000000)
    scenario.wait_done(service)
    scenario.kafka.grow(scenario.input, 3)
    service.fails(3, scenario.input, "had 1 partitions and has 3", "replay", "--accept-repartition", timeout_s=30)
    users_of(scenario, 6, log.items[1], 1700000001000)
    service.start().fails(3, scenario.input, "had 1 partitions and has 3", timeout_s=30)
    service.start("--accept-repartition").wait_log("repartition_accepted .*had=1 has=3")
    scenario.wait_done(service)
    assert service.terminate() == 0
    service.start().wait_log("assigned .*partition=2 .*replay=0")
    scenario.wait_done(service)
    assert service.terminate() == 0
    records = [record for record in scenario.kafka.read(scenario.output) if record.key == b"u0"]
    assert len(records) == 2


def topic_grown_rolling(scenario):
    """Two instances restart one after the other with --accept-repartition, and then without it. One that has only new
    partitions notices, too."""
    scenario.topics(2)
    log = Log(scenario)
    a = scenario.service("a", workers=1, group_static="false").start()
    users_of(scenario, 20, log.items[0], 1700000000000)
    scenario.wait_done(a)
    b = scenario.service("b", workers=1, group_static="false").start()
    b.wait_log("assigned ")
    for service in (a, b):  # nothing has changed: as ever
        assert service.terminate() == 0
        service.start().wait_log("assigned ")
    assert a.terminate() == 0 and b.terminate() == 0
    scenario.kafka.grow(scenario.input, 6)
    shutil.rmtree(b.settings["state.dir"])  # it knows of no partition
    b.start().fails(3, scenario.input, "had 2 partitions and has 6", timeout_s=30)
    for service in (a, b):
        service.start("--accept-repartition").wait_log("assigned ")
    users_of(scenario, 20, log.items[1], 1700000001000)
    scenario.wait_done(a)
    b.check_alive()
    for service in (a, b):
        assert service.terminate() == 0
        service.start().wait_log("assigned ")
    users_of(scenario, 20, log.items[2], 1700000002000)
    scenario.wait_done(a)
    assert a.terminate() == 0 and b.terminate() == 0


SCENARIOS = {function.__name__: function for function in (
    origin_gone, gap_gone, committed_below_state, committed_beyond_end, gap_meanwhile, gap_meanwhile_accepted, transactional_input,
    compacted_input, input_start_latest, partition_added_later,
    topic_grown, topic_grown_rolling,
    topic_deleted, topic_made_anew, topic_made_anew_while_stopped, topic_made_anew_at_once, aborted_beginning)}

if __name__ == "__main__":
    ms_kafka.main(SCENARIOS)
