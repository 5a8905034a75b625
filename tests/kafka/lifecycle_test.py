"""Starting, stopping and sharing the work: nothing is lost or doubled, whoever comes and goes."""

import random
import re
import shutil
import signal
import threading
import time

import ms_history
import ms_kafka
from ms_kafka import event, wait_for


class Log:
    """A stream of random events, produced bit by bit, and what it must publish."""

    def __init__(self, scenario, users=50, seed=3, **model):
        self.scenario = scenario
        self.items = ms_history.small_model(scenario.model_dir, **model)
        self.histories = ms_history.Histories(scenario.model_dir)
        self.draws = random.Random(seed)
        self.users = [f"u{number}" for number in range(users)]
        self.time_ms = 1700000000000

    def produce(self, count, transaction=False):
        events = []
        for _ in range(count):
            self.time_ms += 1000
            user, item = self.draws.choice(self.users), self.draws.choice(self.items)
            self.histories.add(user, item, self.time_ms)
            events.append(event(user, item, self.time_ms))
        produce = self.scenario.kafka.produce_transaction if transaction else self.scenario.kafka.produce
        produce(self.scenario.input, events)

    def check(self):
        """The output is exactly what all events so far must give."""
        records = self.scenario.kafka.read(self.scenario.output)
        ms_history.check_every(records, self.histories.expected(), ms_kafka.schema(self.scenario.directory))


def purge_committed(scenario):
    """Deletes what the group has committed from the input's log: what is read again is then missed."""
    scenario.kafka.delete_records(scenario.input, {partition: offset for partition, offset
                                                   in scenario.kafka.committed(scenario.group, scenario.input).items() if offset > 0})


def wait_members(scenario, count):
    """Waits until the group has settled with |count| workers."""
    wait_for(f"{count} members", lambda: scenario.kafka.members(scenario.group) == count)


def sigterm(scenario):
    """SIGTERM commits, flushes and ends with 0; the next start goes on without reading anything again."""
    scenario.topics()
    log = Log(scenario)
    service = scenario.service(state_flush_interval_ms=60000).start()
    log.produce(2000)
    scenario.wait_done(service)
    log.produce(300)  # in flight when the signal comes
    assert service.terminate() == 0, "SIGTERM must end with 0"
    purge_committed(scenario)
    service.start()
    log.produce(500)
    scenario.wait_done(service)
    assert service.terminate() == 0
    log.check()


def second_sigterm(scenario):
    """A second signal ends it at once, and what it had not finished is done by the next start."""
    scenario.topics()
    log = Log(scenario)
    service = scenario.service().start()
    log.produce(2000)
    scenario.wait_done(service)
    log.produce(5000)
    service.process.send_signal(signal.SIGTERM)
    service.process.send_signal(signal.SIGTERM)
    service.wait_exit(10)
    service.start()
    scenario.wait_done(service)
    assert service.terminate() == 0
    log.check()


def replay_after_kill(scenario):
    """A killed service whose state trails the committed offset reads the gap again, with nothing published twice."""
    scenario.topics()
    log = Log(scenario)
    service = scenario.service(state_flush_interval_ms=600000).start()
    for _ in range(3):
        log.produce(1000)
        scenario.wait_done(service)
        service.kill9()
        service.start()
    log.produce(100)
    scenario.wait_done(service)
    assert service.terminate() == 0
    log.check()


def fewer_workers(scenario):
    """A restart with another number of workers goes on with every partition."""
    scenario.topics()
    log = Log(scenario)
    for workers in (4, 1, 3):
        service = scenario.service(workers=workers).start()
        log.produce(1000)
        scenario.wait_done(service)
        service.kill9()
    service = scenario.service(workers=1).start()
    log.produce(200)
    scenario.wait_done(service)
    assert service.terminate() == 0
    log.check()


def state_dir_deleted(scenario):
    """Without its state it reads the input from the partition's origin, publishes nothing again and goes on right."""
    scenario.topics()
    log = Log(scenario)
    service = scenario.service().start()
    log.produce(2000)
    scenario.wait_done(service)
    assert service.terminate() == 0
    shutil.rmtree(service.settings["state.dir"])
    service.start()
    log.produce(500)
    scenario.wait_done(service)
    assert service.terminate() == 0
    log.check()


def debt_bounded(scenario):
    """State lost together with other settings: every user is owed one record. They come once, in transactions of bounded size,
    also when the service is killed while it publishes them, and its users take no more memory than they may."""
    users, budget = 40000, 8e6
    scenario.topics(2)
    items = ms_history.small_model(scenario.model_dir, dim=32)
    scenario.kafka.produce(scenario.input, [event(f"u{user}", items[(user + round_) % 60], 1700000000000 + 1000 * round_ + user)
                                            for round_ in range(2) for user in range(users)])
    service = scenario.service(workers=1, publish_mode="latest", routing_mode="incremental",
                               state_memory_bytes=int(budget)).start()
    scenario.wait_done(service)
    assert service.terminate() == 0
    shutil.rmtree(service.settings["state.dir"])
    before = {record.partition: record.offset for record in scenario.kafka.read(scenario.output)}
    service.settings["state.behaviors.max"] = 150
    for pause_s in (0, 0.05):
        service.start()
        wait_for("a debt", lambda: " debt partition=" in service.log(), every_s=0.01)
        time.sleep(pause_s)
        service.kill9()
    service.start()
    scenario.kafka.produce(scenario.input, [(f"u{user}", *event(f"u{user}", items[0], 1700000900000)[1:]) for user in range(100)])
    scenario.wait_done(service)
    assert service.terminate() == 0
    held = [float(found) for found in re.findall(r"memory_mb=([0-9.]+)", open(service.log_path, encoding="utf-8").read())]
    published = {}
    for record in scenario.kafka.read(scenario.output):
        if record.offset > before[record.partition]:
            published.setdefault(record.key.decode(), []).append(int(record.headers["mindstream-version"]))
    assert len(published) == users, f"{len(published)} of {users} users were published again"
    for user, versions in published.items():
        expected = [2, 3] if int(user[1:]) < 100 else [2]
        assert versions == expected, f"{user} was published as {versions}, not {expected}"
    assert held and max(held) * 1e6 <= 2 * budget, f"users took {max(held)} MB of {budget / 1e6}"


def rebalance(scenario):
    """A second instance joins and leaves while events flow, also by being killed."""
    scenario.topics(6)
    log = Log(scenario)
    stop = threading.Event()

    def feed():
        while not stop.is_set():
            log.produce(200)
            time.sleep(0.1)
    first = scenario.service("a", group_static="false").start()
    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        wait_for("the first commit", lambda: any(offset > 0 for offset in
                                                 scenario.kafka.committed(scenario.group, scenario.input).values()))
        second = scenario.service("b", group_static="false")
        for end in (second.terminate, second.kill9, second.terminate):
            second.start()
            wait_members(scenario, 4)
            time.sleep(2)
            first.check_alive()
            assert end() in (0, None), "the second instance must end with 0"
            wait_members(scenario, 2)
            time.sleep(1)
    finally:
        stop.set()
        feeder.join()
    scenario.wait_done(first)
    assert first.terminate() == 0
    log.check()


def two_instances_static(scenario):
    """Static members: one is killed and comes back, then is gone for good and the other takes its partitions over."""
    scenario.topics(4)
    log = Log(scenario)
    first, second = scenario.service("a").start(), scenario.service("b").start()
    wait_members(scenario, 4)
    log.produce(1000)
    scenario.wait_done(first)
    second.kill9()
    log.produce(500)
    second.start()
    scenario.wait_done(first)
    second.kill9()
    wait_members(scenario, 2)
    log.produce(500)
    scenario.wait_done(first)
    assert first.terminate() == 0
    log.check()


def paused_worker(scenario):
    """An instance that is stopped for longer than its session loses its partitions; awake again, it doubles nothing."""
    scenario.topics(4)
    log = Log(scenario)
    settings = {"group_static": "false", "consumer_session_timeout_ms": 2000, "consumer_heartbeat_interval_ms": 500}
    first, second = scenario.service("a", **settings).start(), scenario.service("b", **settings).start()
    wait_members(scenario, 4)
    log.produce(1000)
    second.process.send_signal(signal.SIGSTOP)
    wait_members(scenario, 2)
    log.produce(1000)
    scenario.wait_done(first)
    second.process.send_signal(signal.SIGCONT)
    log.produce(1000)
    scenario.wait_done(first)
    wait_members(scenario, 4)
    log.produce(500)
    scenario.wait_done(first)
    assert second.terminate() == 0 and first.terminate() == 0
    log.check()


def second_process(scenario):
    """A state directory that another process holds: one clear line, exit 1, and the holder goes on."""
    scenario.topics()
    log = Log(scenario)
    first = scenario.service("a").start()
    log.produce(100)
    scenario.wait_done(first)
    second = scenario.service("b", state_dir=first.settings["state.dir"]).start()
    second.fails(1, "state-a")
    log.produce(100)
    scenario.wait_done(first)
    assert first.terminate() == 0
    log.check()


def same_instance_id(scenario):
    """Two processes with one instance.id: one of them ends with status 3 and says why; the other goes on, with nothing doubled."""
    scenario.topics()
    log = Log(scenario)
    first = scenario.service("a").start()
    log.produce(300)
    scenario.wait_done(first)
    second = scenario.service("b", instance_id="a").start()
    ended = wait_for("one of them to end", lambda: [one for one in (first, second) if not one.running()])
    ended[0].fails(3, "another process runs with instance.id a")
    left = second if ended[0] is first else first
    log.produce(300)
    scenario.wait_done(left)
    assert left.terminate() == 0
    log.check()


def topic_missing(scenario):
    """A topic that does not exist is waited for, with a line that names it."""
    log = Log(scenario)
    service = scenario.service().start()
    service.wait_log(f"waiting.*{scenario.input}")
    time.sleep(2)
    service.check_alive()
    scenario.topics()
    log.produce(300)
    scenario.wait_done(service)
    assert service.terminate() == 0
    log.check()


def stopped_while_waiting(scenario):
    """SIGTERM ends a service that waits for its topic."""
    Log(scenario)
    service = scenario.service().start()
    service.wait_log(f"waiting.*{scenario.input}")
    assert service.terminate(20) == 0


def fail_fast(scenario):
    """With --fail-fast a missing topic, and a broker that is down, is the end."""
    Log(scenario)
    scenario.service().start("--fail-fast").fails(1, scenario.input)
    nowhere = f"127.0.0.1:{ms_kafka.free_port()}"
    scenario.service("b", bootstrap_servers=nowhere).start("--fail-fast").fails(1, nowhere)


def broker_down(scenario):
    """A broker that is down at start is waited for; one that goes away and comes back is borne."""
    port = ms_kafka.free_port()
    Log(scenario)
    service = scenario.service(bootstrap_servers=f"127.0.0.1:{port}").start()
    service.wait_log("waiting")
    time.sleep(2)
    service.check_alive()
    with ms_kafka.Kafka(own=True, port=port) as own:
        scenario.kafka = own
        log = Log(scenario)
        scenario.topics()
        log.produce(500)
        scenario.wait_done(service)
        own.stop()
        service.wait_log("brokers_away for_s=5 .*reason=.*(refused|are down)", 20)  # 2.16 says why later than 2.0.2
        service.wait_log("brokers_away for_s=15 ", 20)
        service.check_alive()
        assert "brokers_back" not in service.log()
        own.start()
        service.wait_log("brokers_back after_s=", 60)
        log.produce(500)
        scenario.wait_done(service)
        assert service.log().count("brokers_back") == 1, "it is said once"
        assert service.terminate() == 0
        log.check()


SCENARIOS = {function.__name__: function for function in (
    sigterm, second_sigterm, replay_after_kill, fewer_workers, state_dir_deleted, debt_bounded, rebalance, two_instances_static,
    paused_worker, second_process, same_instance_id, topic_missing, stopped_while_waiting, fail_fast, broker_down)}

if __name__ == "__main__":
    ms_kafka.main(SCENARIOS)
