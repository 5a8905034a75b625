"""What tests on a real Kafka share: a broker, topics, producing and reading, and the service as a process.

    with Kafka() as kafka: ...            the broker of KAFKA_BOOTSTRAP, or one of its own that tools/kafka starts
    main({"name": function, ...})         runs the scenario named on the command line as function(Scenario)
    scenario.service(**settings)          a Service: start, kill9, terminate, wait for log lines and for commits

A failed check raises AssertionError with what was found; the service's log is then printed.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
VERSION = ["--version", os.environ["KAFKA_VERSION"]] if os.environ.get("KAFKA_VERSION") else []
MINDSTREAM = os.environ.get("MINDSTREAM", str(ROOT / "build" / "release" / "mindstream"))


def free_port():
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, condition, timeout_s=60, every_s=0.05):
    """Waits until condition() is true and returns its value."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {timeout_s} s in vain for {what}"
        time.sleep(every_s)


class Record:
    """A record as a consumer sees it."""

    __slots__ = ("topic", "key", "value", "headers", "header_list", "timestamp", "partition", "offset")

    def __init__(self, message):
        self.topic = message.topic()
        self.key = message.key()
        self.value = message.value()
        self.header_list = message.headers() or []
        self.headers = dict(self.header_list)
        self.timestamp = message.timestamp()[1]  # ms; -1 without one
        self.partition = message.partition()
        self.offset = message.offset()


class Kafka:
    """A broker for the time of a with block. Without KAFKA_BOOTSTRAP, or with own=True, one of its own."""

    def __init__(self, own=False, port=None):
        self.bootstrap = None if own else os.environ.get("KAFKA_BOOTSTRAP")
        self.port = port
        self.directory = None
        self.replication = 1

    def __enter__(self):
        if not self.bootstrap:
            self.port = self.port or free_port()
            self.directory = tempfile.mkdtemp(prefix="mindstream-kafka-test-")
            self.start()
            self.bootstrap = f"127.0.0.1:{self.port}"
        return self

    def __exit__(self, *_):
        if self.directory:
            self._tool("stop", "--purge")
            shutil.rmtree(self.directory, ignore_errors=True)
        return False

    def _tool(self, command, *args):
        subprocess.run([ROOT / "tools" / "kafka", command, "--port", str(self.port), "--dir",
                        os.path.join(self.directory, "broker"), *VERSION, *args], check=True, stdout=subprocess.DEVNULL)

    def start(self):
        self._tool("start")

    def stop(self):
        self._tool("stop")

    # Topics

    def create(self, topic, partitions=1, **config):
        """Makes a topic and waits until it can be used. Settings are Kafka's with _ for the dots."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        settings = {key.replace("_", "."): str(value) for key, value in config.items()}
        admin.create_topics([NewTopic(topic, partitions, self.replication, config=settings)])[topic].result(timeout=60)
        wait_for(f"topic {topic}", lambda: len(admin.list_topics(topic, timeout=30).topics[topic].partitions) == partitions)

    def partitions(self, topic):
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        return sorted(admin.list_topics(topic, timeout=30).topics[topic].partitions)

    def delete_records(self, topic, offsets):
        """Moves the log's start: offsets is {partition: first offset that stays}. This client has no call for it, so
        the request is written by hand (DeleteRecords, version 1)."""
        def text(value):
            return struct.pack(">h", len(value)) + value.encode()
        body = struct.pack(">i", 1) + text(topic) + struct.pack(">i", len(offsets))
        body += b"".join(struct.pack(">iq", partition, offset) for partition, offset in offsets.items())
        body += struct.pack(">i", 30000)
        request = struct.pack(">hhi", 21, 1, 1) + text("ms-test") + body
        host, port = self.bootstrap.split(",")[0].rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            size = struct.unpack(">i", self._read(connection, 4))[0]
            reply = self._read(connection, size)
        at = 4 + 4 + 4 + 2 + len(topic)  # correlation id, throttle time, count of topics, name
        count = struct.unpack_from(">i", reply, at)[0]
        assert count == len(offsets), f"DeleteRecords answered for {count} partitions"
        for index in range(count):
            partition, low, error = struct.unpack_from(">iqh", reply, at + 4 + 14 * index)
            assert error == 0 and low == offsets[partition], f"DeleteRecords of {topic}[{partition}]: error {error}, low {low}"

    @staticmethod
    def _read(connection, size):
        data = b""
        while len(data) < size:
            part = connection.recv(size - len(data))
            assert part, "the broker closed the connection"
            data += part
        return data

    def alter(self, topic, **config):
        """Gives a topic that exists these settings, and the default of all others."""
        settings = {key.replace("_", "."): str(value) for key, value in config.items()}
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, set_config=settings)
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        admin.alter_configs([resource])[resource].result(timeout=60)

    def delete(self, topic):
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        admin.delete_topics([topic], operation_timeout=30)[topic].result(timeout=60)

    def grow(self, topic, partitions):
        """Gives a topic more partitions."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(timeout=60)
        wait_for(f"partitions of {topic}", lambda: len(self.partitions(topic)) == partitions)

    # Producing and reading

    def produce_to(self, topic, partition, records):
        """Writes (key, value) tuples to one partition."""
        producer = self.producer()
        for key, value in records:
            producer.produce(topic, value, key, partition=partition)
        assert producer.flush(60) == 0, f"producing to {topic}"

    def producer(self, **config):
        return Producer({"bootstrap.servers": self.bootstrap, "partitioner": "murmur2_random", "enable.idempotence": True,
                         "linger.ms": 5, **config})

    def produce(self, topic, records):
        """Writes (key, value), (key, value, timestamp ms) or (key, value, timestamp ms, headers) tuples in their order and waits
        until all are taken."""
        producer, failed = self.producer(), []

        def delivered(error, _):
            if error:
                failed.append(error)
        for key, value, *more in records:
            extra = dict(zip(("timestamp", "headers"), more))
            while True:
                try:
                    producer.produce(topic, value, key, on_delivery=delivered, **extra)
                    break
                except BufferError:
                    producer.poll(0.01)
        assert producer.flush(60) == 0 and not failed, f"producing to {topic}: {failed[:1]}"

    def produce_transaction(self, topic, records, commit=True):
        """Writes (key, value) tuples in one transaction, which is committed or aborted: a control record follows them."""
        producer = self.producer(**{"transactional.id": f"ms-test-{topic}"})
        producer.init_transactions(30)
        producer.begin_transaction()
        for key, value in records:
            producer.produce(topic, value, key)
        assert producer.flush(60) == 0, f"producing to {topic}"
        if commit:
            producer.commit_transaction(30)
        else:
            producer.abort_transaction(30)

    def read(self, topic, isolation="read_committed", timeout_s=120):
        """All records of a topic up to its end, those of a partition in their order."""
        return list(self.stream(topic, isolation, timeout_s))

    def stream(self, topic, isolation="read_committed", timeout_s=120):
        """The same one by one, for topics that do not fit in memory."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "ms-test-reader", "enable.auto.commit": False,
                             "isolation.level": isolation, "enable.partition.eof": True})
        open_partitions = set(self.partitions(topic))
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in open_partitions])
        deadline = time.monotonic() + timeout_s
        while open_partitions:
            assert time.monotonic() < deadline, f"{topic} could not be read to its end"
            for message in consumer.consume(5000, 1):
                if not message.error():
                    yield Record(message)
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    open_partitions.discard(message.partition())
                else:
                    raise KafkaException(message.error())
        consumer.close()

    def _client(self, group):
        return Consumer({"bootstrap.servers": self.bootstrap, "group.id": group, "enable.auto.commit": False,
                         "isolation.level": "read_uncommitted"})

    def watermarks(self, topic):
        """{partition: (log start, log end)}; the end counts transaction markers too."""
        consumer = self._client("ms-test-reader")
        found = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=30) for p in self.partitions(topic)}
        consumer.close()
        return found

    def committed(self, group, topic):
        """{partition: committed offset}; -1001 where there is none."""
        wanted = [TopicPartition(topic, p) for p in self.partitions(topic)]
        deadline = time.monotonic() + 30
        while True:
            consumer = self._client(group)
            try:
                return {entry.partition: entry.offset for entry in consumer.committed(wanted, timeout=30)}
            except KafkaException as error:  # a broker that has just come up does not coordinate at once
                if not error.args[0].retriable() and error.args[0].name() != "NOT_COORDINATOR" or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            finally:
                consumer.close()

    def set_committed(self, group, topic, offsets):
        """Sets the offsets of a group that has no members."""
        consumer = self._client(group)
        consumer.commit(offsets=[TopicPartition(topic, p, offset) for p, offset in offsets.items()], asynchronous=False)
        consumer.close()

    def members(self, group):
        """How many members a settled group has; 0 while it rebalances, or its coordinator loads."""
        try:
            found = AdminClient({"bootstrap.servers": self.bootstrap}).list_groups(group, timeout=30)
        except KafkaException:
            return 0
        return len(found[0].members) if found and found[0].state == "Stable" else 0

    def wait_committed(self, group, topic, service=None, timeout_s=120):
        """Waits until the group has committed all of a topic that no transaction writes to."""
        ends = {p: high for p, (_, high) in self.watermarks(topic).items() if high > 0}
        consumer = self._client(group)
        wanted = [TopicPartition(topic, p) for p in ends]

        def done():
            if service is not None:
                service.check_alive()
            try:
                return all(entry.offset >= ends[entry.partition] for entry in consumer.committed(wanted, timeout=30))
            except KafkaException:  # a coordinator that is just being chosen
                return False
        try:
            wait_for(f"{group} to commit {topic} up to {ends}", done, timeout_s)
        finally:
            consumer.close()


class Service:
    """`mindstream run` as a process, with its configuration and its log."""

    def __init__(self, name, directory, settings):
        self.name = name
        self.settings = settings
        self.config = os.path.join(directory, f"{name}.properties")
        self.log_path = os.path.join(directory, f"{name}.log")
        self.process = None
        self.log_from = 0

    def start(self, *args):
        with open(self.config, "w", encoding="utf-8") as file:
            file.writelines(f"{key}={value}\n" for key, value in self.settings.items())
        self.log_from = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([MINDSTREAM, "run", "-c", self.config, *args], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL)
        return self

    def log(self):
        """What this start has logged so far."""
        with open(self.log_path, "rb") as file:
            file.seek(self.log_from)
            return file.read().decode(errors="replace")

    def running(self):
        return self.process is not None and self.process.poll() is None

    def check_alive(self):
        assert self.running(), f"{self.name} ended with {self.process.returncode}"

    def wait_log(self, pattern, timeout_s=30):
        """Waits for a line of this start that matches."""
        def found():
            match = re.search(pattern, self.log())
            assert match or self.running(), f"{self.name} ended with {self.process.returncode} before it logged {pattern!r}"
            return match
        return wait_for(f"a log line {pattern!r}", found, timeout_s)

    def wait_exit(self, timeout_s=60):
        return self.process.wait(timeout_s)

    def kill9(self):
        self.check_alive()
        self.process.kill()
        self.process.wait()

    def terminate(self, timeout_s=60):
        """SIGTERM; returns the exit code. A process that has not even logged a line has no signal handler yet."""
        wait_for("the first log line", lambda: self.log() or not self.running())
        self.check_alive()
        self.process.send_signal(signal.SIGTERM)
        return self.wait_exit(timeout_s)

    def fails(self, code, *patterns, timeout_s=60):
        """The process ends with |code|, and the last line of its log has every pattern."""
        found = self.wait_exit(timeout_s)
        assert found == code, f"{self.name} ended with {found}, not {code}"
        lines = self.log().strip().splitlines() or [""]
        for pattern in patterns:
            assert re.search(pattern, lines[-1]), f"the last log line lacks {pattern}: {lines[-1]}"


class Scenario:
    """One test: a broker, a directory, names of its own, and the services it has made."""

    def __init__(self, kafka, name, directory):
        self.kafka = kafka
        self.directory = directory
        self.id = f"{name}-{os.getpid()}-{int(time.time())}"
        self.input = f"{self.id}-in"
        self.output = f"{self.id}-out"
        self.group = self.id
        self.model_dir = os.path.join(directory, "model")
        self.services = []

    def topics(self, partitions=4):
        self.kafka.create(self.input, partitions)
        self.kafka.create(self.output, partitions)

    def service(self, name="a", **settings):
        """A service on this scenario's topics. Settings are the service's with _ for the dots; a name is an instance."""
        full = {"application.id": self.group, "instance.id": name, "bootstrap.servers": self.kafka.bootstrap,
                "input.topic": self.input, "output.topic": self.output, "model.dir": self.model_dir,
                "state.dir": os.path.join(self.directory, f"state-{name}"), "workers": 2, "publish.mode": "every",
                "routing.mode": "full", "consumer.session.timeout.ms": 6000, "consumer.heartbeat.interval.ms": 1000}
        full.update((key.replace("_", "."), value) for key, value in settings.items())
        made = Service(name, self.directory, full)
        self.services.append(made)
        return made

    def wait_done(self, service, timeout_s=120):
        self.kafka.wait_committed(self.group, self.input, service, timeout_s)

    def check_library(self):
        """With LIBRDKAFKA_VERSION, every service that has started says that it has loaded this librdkafka."""
        wanted = os.environ.get("LIBRDKAFKA_VERSION")
        for path in sorted({service.log_path for service in self.services if wanted and os.path.exists(service.log_path)}):
            with open(path, encoding="utf-8", errors="replace") as file:
                for found in re.findall(r" info start .*?\blibrdkafka=(\S+)", file.read()):
                    assert found == wanted, f"{path}: librdkafka {found} was loaded, not {wanted}"
                    print(f"{os.path.basename(path)}: librdkafka={found}")

    def close(self, failed):
        for service in self.services:
            if service.running():
                service.process.kill()
                service.process.wait()
        if failed:
            for path in sorted({service.log_path for service in self.services}):
                if os.path.exists(path):
                    with open(path, encoding="utf-8", errors="replace") as file:
                        print(f"--- {path}\n{file.read()[-12000:]}", file=sys.stderr)


def main(scenarios):
    """Runs the scenarios named on the command line (all without one) and exits 0 when each check held."""
    names = sys.argv[1:] or list(scenarios)
    unknown = [name for name in names if name not in scenarios]
    if unknown:
        print(f"no scenario {unknown[0]}; there are {', '.join(scenarios)}", file=sys.stderr)
        sys.exit(2)
    failures = 0
    for name in names:
        began = time.monotonic()
        with contextlib.ExitStack() as stack:
            kafka = stack.enter_context(Kafka())
            directory = tempfile.mkdtemp(prefix=f"mindstream-{name}-")
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
            scenario = Scenario(kafka, name, directory)
            failed = True
            try:
                scenarios[name](scenario)
                scenario.check_library()
                failed = False
            except Exception:  # pylint: disable=broad-except
                traceback.print_exc()
            finally:
                scenario.close(failed)
            failures += failed
        print(f"{name}: {'FAILED' if failed else 'ok'} in {time.monotonic() - began:.1f} s", flush=True)
    sys.exit(1 if failures else 0)


# Records


def schema(directory):
    """The Python module of src/record/mindstream.proto, made by protoc in |directory|."""
    subprocess.run(["protoc", f"--proto_path={ROOT / 'src' / 'record'}", f"--python_out={directory}", "mindstream.proto"],
                   check=True)
    sys.path.insert(0, str(directory))
    import mindstream_pb2  # pylint: disable=import-error,import-outside-toplevel
    return mindstream_pb2


def event(user, item, time_ms, kind="click"):
    """(key, value) of an event of the default form."""
    value = {"user_id": user, "item_id": item, "timestamp": time_ms, "event_type": kind}
    return user.encode(), json.dumps(value).encode()
