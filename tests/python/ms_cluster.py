"""Two Kafka brokers on loopback, one of them the controller too: leaders move when one goes away and comes back.

    with Cluster() as kafka: ...     a ms_kafka.Kafka whose topics have two replicas
    kafka.nodes[1].stop(), .kill9(), .pause(), .resume(), .start()
    kafka.whole()                    whether every partition has both replicas in sync
"""

import glob
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import ms_kafka
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

# replica.fetch.max.bytes: a follower of Kafka 4.1 that appends several transactions at once notes too high a last stable offset
# in its index of aborted transactions. When it leads later, its readers of committed records see some that were aborted. With one
# batch at a time the index is right.
PROPERTIES = """process.roles={roles}
node.id={number}
controller.quorum.voters=1@127.0.0.1:{controller}
listeners={listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={directory}/data
num.network.threads=2
num.io.threads=4
auto.create.topics.enable=false
default.replication.factor=2
min.insync.replicas=1
offsets.topic.replication.factor=2
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=2
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.initial.rebalance.delay.ms=100
group.min.session.timeout.ms=1000
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
replica.lag.time.max.ms=10000
replica.fetch.max.bytes=1
leader.imbalance.check.interval.seconds=3
leader.imbalance.per.broker.percentage=0
"""


def _jars():
    """The jars that tools/kafka keeps; it fetches them where they are missing."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))) / "mindstream"
    if not list(cache.glob("kafka-*")):
        with ms_kafka.Kafka(own=True):
            pass
    return str(sorted(cache.glob("kafka-*"))[-1])


def _java():
    return (glob.glob("/usr/lib/jvm/java-17-openjdk-*/bin/java") or [shutil.which("java")])[0]


class Node:
    """One broker as a process."""

    def __init__(self, number, directory, port, controller_port):
        self.number, self.port = number, port
        self.directory = os.path.join(directory, f"node{number}")
        self.process = None
        os.mkdir(self.directory)
        own = f",CONTROLLER://127.0.0.1:{controller_port}" if number == 1 else ""
        with open(self.properties, "w", encoding="utf-8") as file:
            file.write(PROPERTIES.format(roles="broker,controller" if number == 1 else "broker", number=number, port=port,
                                         controller=controller_port, listeners=f"PLAINTEXT://127.0.0.1:{port}{own}",
                                         directory=self.directory))

    @property
    def properties(self):
        return os.path.join(self.directory, "server.properties")

    def format(self, cluster_id):
        subprocess.run([_java(), "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", _jars() + "/*", "kafka.tools.StorageTool", "format",
                        "-t", cluster_id, "-c", self.properties], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start(self):
        with open(os.path.join(self.directory, "kafka.log"), "ab") as log:
            self.process = subprocess.Popen([_java(), "-Xms128m", "-Xmx512m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-cp",
                                             _jars() + "/*", "kafka.Kafka", self.properties], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, start_new_session=True)

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill9()

    def kill9(self):
        self.process.kill()
        self.process.wait()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)


class Cluster(ms_kafka.Kafka):
    def __init__(self):
        super().__init__(own=True)
        self.replication = 2
        self.nodes = []

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="mindstream-kafka-cluster-")
        controller = ms_kafka.free_port()
        self.nodes = [Node(number, self.directory, ms_kafka.free_port(), controller) for number in (1, 2)]
        self.bootstrap = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        try:
            for node in self.nodes:
                node.format("kMindstreamLiveFuzzAAA")
                node.start()
            ms_kafka.wait_for("two brokers", lambda: self._brokers() == 2, 90, 0.3)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            if node.running():
                node.kill9()
        shutil.rmtree(self.directory, ignore_errors=True)
        return False

    def _brokers(self):
        assert all(node.running() for node in self.nodes), f"a broker ended; see {self.directory}"
        try:
            return len(AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0}).list_topics(timeout=5).brokers)
        except KafkaException:
            return 0

    def whole(self):
        """Whether every partition of every topic has both replicas in sync."""
        try:
            topics = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0}).list_topics(timeout=5).topics
        except KafkaException:
            return False
        return bool(topics) and all(len(partition.isrs) == 2 and partition.leader > 0 for topic in topics.values()
                                    for partition in topic.partitions.values())

    def wait_whole(self, timeout_s=90):
        ms_kafka.wait_for("both replicas in sync", self.whole, timeout_s, 0.3)
        time.sleep(0.5)
