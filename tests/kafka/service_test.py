"""The service as its manager sees it: readiness, watchdog and status by sd_notify's protocol, and settings read again at SIGHUP."""

import ctypes
import os
import re
import signal
import socket
import subprocess
import time

import ms_kafka
from lifecycle_test import Log
from ms_kafka import wait_for

LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
WATCHDOG_MS = 400


class Manager:
    """The socket of a service manager."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)
        self.lines = []  # (time, line)

    def __enter__(self):
        os.environ.update(NOTIFY_SOCKET=self.path, WATCHDOG_USEC=str(WATCHDOG_MS * 1000))
        return self

    def __exit__(self, *_):
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC"):
            os.environ.pop(name, None)
        self.socket.close()
        return False

    def read(self):
        while True:
            try:
                text = self.socket.recv(4096).decode()
            except BlockingIOError:
                return self.lines
            self.lines += [(time.monotonic(), line) for line in text.split("\n")]

    def wait(self, pattern, since=0):
        """Waits for a line that matches, and has come after the first |since|."""
        return wait_for(f"the manager to hear {pattern!r}",
                        lambda: any(re.fullmatch(pattern, line) for _, line in self.read()[since:]))

    def count(self, line):
        return sum(line == one for _, one in self.read())


def trace(request, tid, data=0):
    done = LIBC.ptrace(request, tid, None, ctypes.c_void_p(data))
    assert done == 0, f"ptrace {request} of {tid}: {os.strerror(ctypes.get_errno())}"


def thread(service, name):
    """The id of the thread with this name."""
    base = f"/proc/{service.process.pid}/task"
    for tid in os.listdir(base):
        with open(f"{base}/{tid}/comm", encoding="utf-8") as file:
            if file.read().strip() == name:
                return int(tid)
    raise AssertionError(f"no thread {name}")


def notified(scenario):
    """READY when the partitions are open, not before; status; the watchdog is fed, but not while one worker of two hangs."""
    scenario.kafka.create(scenario.output, 4)
    with Manager(scenario.directory) as manager:
        log = Log(scenario)
        service = scenario.service().start()
        manager.wait("STATUS=opening the state, waiting for brokers and topics")
        service.wait_log(r" waiting for=")  # for the input topic
        assert manager.count("READY=1") == 0, "not ready before its partitions are open"
        scenario.kafka.create(scenario.input, 4)
        manager.wait("READY=1")
        log.produce(500)
        scenario.wait_done(service)
        manager.wait(r"STATUS=4 partitions, lag \d+, \d+ events/s")
        manager.wait("WATCHDOG=1", len(manager.read()))
        worker = thread(service, "worker-1")
        trace(PTRACE_SEIZE, worker)
        trace(PTRACE_INTERRUPT, worker)
        time.sleep(0.5)  # a look at the turns from before the stop may still come
        fed = manager.count("WATCHDOG=1")
        time.sleep(3 * WATCHDOG_MS / 1000)
        assert manager.count("WATCHDOG=1") == fed, "a worker that hangs is not fed for"
        manager.wait(r"STATUS=.*", len(manager.read()) - 1)
        trace(PTRACE_DETACH, worker)
        manager.wait("WATCHDOG=1", len(manager.read()))
        service.process.send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        fed = manager.count("WATCHDOG=1")
        time.sleep(2 * WATCHDOG_MS / 1000)
        assert manager.count("WATCHDOG=1") == fed, "a process that is stopped is not fed for"
        service.process.send_signal(signal.SIGCONT)
        manager.wait("WATCHDOG=1", len(manager.read()))
        log.produce(500)
        scenario.wait_done(service)
        assert service.terminate() == 0
        manager.wait("STOPPING=1")
        log.check()


def rewrite(service, **settings):
    service.settings.update((key.replace("_", "."), value) for key, value in settings.items())
    with open(service.config, "w", encoding="utf-8") as file:
        file.writelines(f"{key}={value}\n" for key, value in service.settings.items())
    service.process.send_signal(signal.SIGHUP)


def stored_users(service):
    """How many users the state on disk has, while the service runs."""
    done = subprocess.run([ms_kafka.MINDSTREAM, "inspect", "users", "--state-dir", service.settings["state.dir"], "--json"],
                          capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.count('"user_id"')


def reloaded(scenario):
    """SIGHUP: what is reloadable holds from the next commit on, what is not is named, and bad settings change nothing."""
    scenario.topics()
    with Manager(scenario.directory) as manager:
        log = Log(scenario)
        service = scenario.service(state_flush_interval_ms=600000, log_level="info").start()
        manager.wait("READY=1")
        rewrite(service, log_level="debug", commit_interval_ms=70, state_flush_interval_ms=200, state_memory_bytes="300M",
                output_format="json", kafka_sasl_password="hush-hush", input_start="earliest")
        for line in (r'key=log.level old="info" new="debug"', r'key=commit.interval.ms old="100" new="70"',
                     r'key=state.flush.interval.ms old="600000" new="200"', r'key=state.memory.bytes old="0" new="300M"'):
            service.wait_log(f"info setting_changed {line} from=")
            assert f"{line}" in service.log() and not re.search(f"{line}.*needs=restart", service.log()), line
        service.wait_log(r'warn setting_changed key=output.format old="protobuf" new="json" .*needs=restart')
        service.wait_log("warn setting_changed key=kafka.sasl.password needs=restart")
        service.wait_log("info reloaded changed=4 need_restart=2")
        assert "hush-hush" not in service.log() and "key=input.start" not in service.log()
        wait_for("RELOADING before READY", lambda: re.search(r"RELOADING=1,MONOTONIC_USEC=\d+,(\S+,)*READY=1",
                                                             ",".join(line for _, line in manager.read())))
        for number in (0, 1):
            service.wait_log(f"debug settings_taken worker={number}")
        log.produce(2000)
        scenario.wait_done(service)
        wait_for("a flush after the shorter interval", lambda: stored_users(service) == len(log.users))

        rewrite(service, commit_interval_ms="soon", log_level="error")
        found = service.wait_log(r'error reload error="([^"]*)" text="all settings stay as they were"')
        assert "commit.interval.ms" in found[1] and "soon" in found[1], found[1]
        rewrite(service, commit_interval_ms=70, log_level="info", output_format="protobuf")
        service.wait_log(r'setting_changed key=log.level old="debug" new="info"')
        service.wait_log("info reloaded changed=1 need_restart=1")
        rewrite(service, output_format="json")  # it is told again, as long as it waits for a restart
        wait_for("output.format told again", lambda: service.log().count("key=output.format") == 2)
        log.produce(500)
        scenario.wait_done(service)
        assert service.terminate() == 0


def local_settings(scenario):
    """conf/local.properties, by the commands that it says, with this broker, directory and names in place of its own."""
    with open(ms_kafka.ROOT / "conf/local.properties", encoding="utf-8") as file:
        text = file.read()
    for place, here in (("127.0.0.1:9092", scenario.kafka.bootstrap), ("/tmp/mindstream", f"{scenario.directory}/local"),
                        ("=local", f"={scenario.group}"), ("=clicks-dead", f"={scenario.id}-dead"), ("=clicks", f"={scenario.input}"),
                        ("-t clicks", f"-t {scenario.input}"), ("=interests", f"={scenario.output}"),
                        ("conf/local.properties", f"{scenario.directory}/local.properties")):
        assert place in text, f"conf/local.properties has no {place}"
        text = text.replace(place, here)
    with open(f"{scenario.directory}/local.properties", "w", encoding="utf-8") as file:
        file.write(text)
    commands = re.findall(r"^#   (.*)$", text, re.M)
    assert commands[0] == "tools/kafka start" and commands[-1].startswith("mindstream run "), commands
    path = f"{os.path.dirname(ms_kafka.MINDSTREAM)}:{os.environ['PATH']}"
    for command in commands[1:-1]:
        subprocess.run(["bash", "-euo", "pipefail", "-c", command], env={**os.environ, "PATH": path}, check=True, timeout=60)
    service = subprocess.Popen(commands[-1].split(), env={**os.environ, "PATH": path}, executable=ms_kafka.MINDSTREAM)
    try:
        scenario.wait_done(None)
        records = scenario.kafka.read(scenario.output)
        assert len({record.key for record in records}) > 500 and records[-1].value.startswith(b"{"), len(records)
    finally:
        service.send_signal(signal.SIGTERM)
        assert service.wait(60) == 0


def hot_user(scenario):
    """user.max.publish.rate: a hot user goes out less often, and a kill neither loses nor repeats what was withheld."""
    scenario.topics()
    log = Log(scenario, users=1)
    service = scenario.service(publish_mode="latest", user_max_publish_rate=1, commit_interval_ms=20).start()
    began, events, kills = time.monotonic(), 0, 0

    def versions():
        return [int(record.headers["mindstream-version"]) for record in scenario.kafka.read(scenario.output)]

    def committed():
        """Events of the only user that the group has behind it."""
        return sum(offset for offset in scenario.kafka.committed(scenario.group, scenario.input).values() if offset > 0)

    while kills < 1:
        for _ in range(10):  # the first finds the user not published yet, the others just published
            log.produce(10)
            events += 10
        service.kill9()
        seen = versions()
        kills += committed() > (seen[-1] if seen else 0)  # what is behind the group and not seen was withheld
        service.start()
        wait_for("what was withheld before the kill, or not committed", lambda: (versions() or [0])[-1] == events)
        assert time.monotonic() - began < 120, "the user was never withheld"
    seconds = time.monotonic() - began
    log.produce(50)
    events += 50
    scenario.wait_done(service)
    assert service.terminate() == 0
    seen = versions()
    assert seen[-1] == events, "what is withheld goes out before the end"
    assert seen == sorted(set(seen)), f"each once, in order: {seen}"
    assert len(seen) <= seconds + 2 + 2 * kills, f"{len(seen)} records in {seconds:.1f} s"  # a start may publish at once


if __name__ == "__main__":
    ms_kafka.main({"notified": notified, "reloaded": reloaded, "local_settings": local_settings, "hot_user": hot_user})
