#!/usr/bin/python3
"""The service against a broker that demands to know who comes: each way to log in, what goes wrong with each, access rules, and
certificates that are renewed while it runs. The broker is the one of KAFKA_SECURED (secured_broker.py)."""

import ctypes
import os
import re
import subprocess
import time

import ms_kafka
import ms_secured
import ms_token
from lifecycle_test import Log
from ms_certificates import Authority
from ms_kafka import MINDSTREAM, ROOT, wait_for
from ms_secured import Access, Secured
from ms_proxy import Proxy
from replay_test import Replay

PASSWORDS = {**ms_secured.SCRAM_USERS, **ms_secured.PLAIN_USERS}


def command(*args, code=0):
    done = subprocess.run([MINDSTREAM, *args], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, f"{args} ended with {done.returncode}, not {code}: {done.stdout} {done.stderr}"
    return done.stdout, done.stderr


def library_version():
    """The version of the librdkafka that the service loads."""
    name = ctypes.CDLL("librdkafka.so.1").rd_kafka_version_str
    name.restype = ctypes.c_char_p
    return tuple(int(part) for part in name().decode().split("-")[0].split("."))


def password_file(scenario, user, password=None):
    path = os.path.join(scenario.directory, f"{user}.password")
    with open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(PASSWORDS.get(user) if password is None else password)
    return path


def by_password(scenario, listener, mechanism, user, **more):
    return scenario.secured.client(listener, mechanism=mechanism, kafka_sasl_username=user,
                                   kafka_sasl_password_file=password_file(scenario, user), **more)


def token_command(scenario, life_s=3600, user="token-user", name="token"):
    """A program that prints a token and counts how often it was run; (its path, the file of the counts)."""
    path, runs = (os.path.join(scenario.directory, f"{name}{suffix}") for suffix in (".py", ".runs"))
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#!/usr/bin/python3\nimport os, sys\nsys.path.insert(0, {str(ROOT / 'tests' / 'python')!r})\n"
                   f"found = ' '.join(sorted(os.listdir('/proc/self/fd')))\nopen({runs!r}, 'a').write(found + chr(10))\n"
                   f"import ms_token\nprint(ms_token.token({user!r}, {life_s}))\n")
    os.chmod(path, 0o700)
    return path, runs


def by_token(scenario, path):
    return scenario.secured.client("sasl", mechanism="OAUTHBEARER", kafka_sasl_oauthbearer_token_command=path)


def whole_life(scenario, client, name="a"):
    """Events in, records out, once each; then what the other commands do with the same settings."""
    scenario.kafka.create(scenario.input, 2)
    scenario.kafka.create(scenario.output, 2, cleanup_policy="compact")
    log = Log(scenario, users=20)
    log.produce(300)
    service = scenario.service(name, **client).start()
    log.produce(300)
    scenario.wait_done(service)
    assert service.terminate() == 0
    log.check()
    command("config", "-c", service.config, "--check")
    out, _ = command("topics", "describe", "-c", service.config)
    assert "partitions=2" in out, out
    out, _ = command("inspect", "users", "-c", service.config, "--json")
    assert out.count('"user') >= 20, out
    summary = Replay(service, "--state-dir", os.path.join(scenario.directory, "replayed")).run()
    assert summary["records"] == 600 and summary["left"] == 0, summary
    return service, log


# ---- the ways to log in ----


def tls(scenario):
    """TLS alone; then each thing that can be wrong with a certificate, told by what it is."""
    whole_life(scenario, scenario.secured.client("ssl"))
    secured = scenario.secured
    other = secured.client("ssl", kafka_ssl_ca_location=secured.other_ca)
    for settings, text in ((other, "its authority is not in ssl.ca.location"), (secured.client("expired"), "it has expired"),
                           (secured.client("stranger"), "it is not for the host"),
                           (secured.client("mutual"), "the broker demands a client's certificate"),
                           (secured.client("plain", bootstrap_servers=secured.at("plain")), "security.protocol right")):
        service = scenario.service("refused", **settings).start("--fail-fast")
        service.fails(1, f"no broker answers: .*{text}")
    # Without --fail-fast it waits, says the same, and ends when it is asked to.
    service = scenario.service("waits", **secured.client("expired")).start()
    service.wait_log(r"waiting for=kafka .*no broker answers: .*CN=broker.*: it has expired")
    assert service.terminate() == 0
    _, err = command("topics", "describe", "-c", service.config, code=1)
    assert "it has expired" in err and err.count("\n") == 1, err


def mutual_tls(scenario):
    """A certificate of the client, and one of an authority that the broker does not know."""
    tls_dir, other = (os.path.join(scenario.secured.directory, name, "client") for name in ("tls", "other"))
    service, _ = whole_life(scenario, scenario.secured.client("mutual", certificate=(f"{tls_dir}.pem", f"{tls_dir}.key")))
    service = scenario.service("unknown", **scenario.secured.client("mutual", certificate=(f"{other}.pem", f"{other}.key")))
    service.start("--fail-fast").fails(1, "the broker does not take this client's certificate")
    service = scenario.service("mixed", **scenario.secured.client("mutual", certificate=(f"{tls_dir}.pem", f"{other}.key")))
    service.start().fails(2, "cannot make a Kafka client: .*[Kk]ey")


def scram(scenario):
    """SCRAM-SHA-512; a wrong password is told as such and shown nowhere. librdkafka before 2.6.1 and Kafka 4 do not go together."""
    if os.environ.get("KAFKA_VERSION", ms_secured.VERSION) >= "4" and library_version() < (2, 6, 1):
        service = scenario.service(**by_password(scenario, "sasl", "SCRAM-SHA-512", "scram-user"))
        scenario.topics(1)
        Log(scenario)
        service.start("--fail-fast").fails(1, "librdkafka before 2.6.1 cannot log in to Kafka 4 by SCRAM")
        return
    service, _ = whole_life(scenario, by_password(scenario, "sasl", "SCRAM-SHA-512", "scram-user"))
    password_file(scenario, "scram-user", "a wrong one")
    service.start("--fail-fast").fails(1, "invalid credentials with SASL mechanism SCRAM-SHA-512")
    service.settings["kafka.sasl.mechanism"] = "SCRAM-SHA-256"
    service.start("--fail-fast").fails(1, "supported mechanisms: SCRAM-SHA-512,PLAIN,OAUTHBEARER")
    assert "a wrong one" not in service.log()


def plain(scenario):
    """PLAIN over TLS; without TLS it works on loopback, and elsewhere it is warned of."""
    service, _ = whole_life(scenario, by_password(scenario, "sasl", "PLAIN", "plain-user"))
    command("topics", "describe", "-c", service.config)
    open_one = scenario.service("open", **by_password(scenario, "open", "PLAIN", "plain-user"))
    Replay(open_one)
    _, err = command("topics", "describe", "-c", open_one.config)
    assert err == "", err
    _, err = command("config", "-c", open_one.config, "--check", "--set", "bootstrap.servers=localhost.example.com:9092")
    assert "warn secret key=kafka.security.protocol" in err and "sends the password" in err and "SASL_SSL" in err, err


def oauthbearer(scenario):
    """A token of 8 s on connections that must log in again: over three refreshes nothing is lost and no connection breaks."""
    path, runs = token_command(scenario, life_s=8)
    scenario.topics(2)
    log = Log(scenario, users=20)
    service = scenario.service(**by_token(scenario, path)).start()
    until = time.monotonic() + 26
    while time.monotonic() < until:
        log.produce(50)
        time.sleep(1)
        service.check_alive()
    scenario.wait_done(service)
    assert service.terminate() == 0
    log.check()
    with open(runs, encoding="utf-8") as file:
        descriptors = file.read().splitlines()
    # Two workers with two clients each and others share a token: it is fetched when half of its life is over, or 80 % are.
    assert 4 <= len(descriptors) <= 12, descriptors
    assert all(line == "0 1 2 3" for line in descriptors), "3 is the listing's own: " + str(descriptors)
    text = service.log()
    for word in " restart ", "brokers_away", " error ":
        assert word not in text, text


def token_refused(scenario):
    """What a command can do wrong is one line, without the token; nothing is run by --check or by a shell."""
    scenario.topics(1)
    Log(scenario)
    path, runs = token_command(scenario)
    service = scenario.service(**by_token(scenario, path))
    Replay(service)
    command("config", "-c", service.config, "--check")
    command("inspect", "users", "-c", service.config, code=1)
    assert not os.path.exists(runs), "looking at settings runs no command"

    def program(text):
        broken = os.path.join(scenario.directory, "broken.sh")
        with open(broken, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\n{text}\n")
        os.chmod(broken, 0o700)
        return broken
    for text, expected in (("echo 'no such vault' >&2; echo secret-token; exit 3", r"ended with status 3: no such vault"),
                           ("kill -9 $$", "was killed by signal 9"), ("echo one two", "neither JSON nor one token"),
                           ("echo '{\"token\":\"secret-token\"}'", "does not say when the token ends")):
        service.settings["kafka.sasl.oauthbearer.token.command"] = program(text)
        service.start("--fail-fast").fails(1, f"no broker answers: .*{expected}")
        assert "secret-token" not in service.log()
    expired = ms_token.token("token-user", 2)
    service.settings["kafka.sasl.oauthbearer.token.command"] = program(f"sleep 0.1; echo {expired} | cut -d. -f1,2 | sed 's/$/.bad/'")
    time.sleep(2)
    service.start("--fail-fast").fails(1, "has already expired")
    for value, text in (("sh -c 'echo x'", "absolute path"), (f"{scenario.directory}/none", "No such file"), (scenario.directory, "is no file")):
        _, err = command("config", "-c", service.config, "--check", "--set", f"kafka.sasl.oauthbearer.token.command={value}", code=2)
        assert text in err and err.count("\n") == 1, err
    _, err = command("topics", "describe", "-c", service.config, "--set", "kafka.sasl.oauthbearer.token.command=", code=2)
    assert "needs kafka.sasl.oauthbearer.token.command" in err, err


# ---- access rules ----


def rules_of_the_manual():
    """The table of docs/operate.md: [(what needs it, resource, name, operation)]."""
    text = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| ([a-z ]+) \| `([^`|]+)` \| ([A-Z_]+) \|", text, re.M)
    assert len(rows) >= 8, f"docs/operate.md has no table of access rules: {rows}"
    return [(what.strip(), resource.strip(), name, operation.lower().replace("_", " ")) for what, resource, name, operation in rows]


class Strict:
    """A user without any right but what a test gives it, and topics of its own."""

    def __init__(self, scenario):
        self.scenario = scenario
        self.access = Access(scenario.secured, "strict-user")
        self.names = {"APPLICATION": scenario.group, "INPUT": scenario.input, "OUTPUT": scenario.output,
                      "DEAD": f"{scenario.id}-dead", "PROFILE": f"{scenario.id}-people"}
        self.rename()
        self.client = by_password(scenario, "sasl", "PLAIN", "strict-user")

    def rename(self, **names):
        """Takes the rules of the manual with these names of topics and groups."""
        self.names.update(names)
        self.rules = [(what, resource, re.sub(r"[A-Z]+", lambda m: self.names[m[0]], name), operation)
                      for what, resource, name, operation in rules_of_the_manual()]

    def given(self, *whats):
        return [rule[1:] for rule in self.rules if rule[0] in whats]

    def only(self, rules):
        self.access.clear()
        self.access.give(rules)


def access(scenario):
    """Exactly the rules of the manual: the service and the replay run. Without any one of them: which one it is, at once."""
    strict = Strict(scenario)
    scenario.kafka.create(scenario.input, 2)
    scenario.kafka.create(scenario.output, 2, cleanup_policy="compact")
    log = Log(scenario, users=20)
    log.produce(200)
    scenario.kafka.produce(scenario.input, [("u1", b"bad")])
    features = {"dead_letter_topic": strict.names["DEAD"], "profile_topic": strict.names["PROFILE"]}
    service = scenario.service(**strict.client, **features)
    Replay(service)
    # topics create makes the two topics that are missing; without its rules nothing.
    base = ("service", "dead letters", "profiles")
    strict.only(strict.given(*base))
    _, err = command("topics", "create", "-c", service.config, code=3)
    assert re.search(r"an access rule is missing: (CREATE|DESCRIBE_CONFIGS) on topic", err) and err.count("\n") == 1, err
    strict.only(strict.given(*base, "topics create", "settings of topics"))
    command("topics", "create", "-c", service.config)
    rules = strict.given(*base)
    for optional in ([], strict.given("settings of topics")):
        strict.only(rules + optional)
        service.start("--fail-fast")
        scenario.wait_done(service)
        assert service.terminate() == 0
        assert ("DESCRIBE_CONFIGS on topic" in service.log()) == (not optional), service.log()
    log.check()
    assert len(scenario.kafka.read(strict.names["DEAD"])) == 1
    for missing in rules:
        strict.only([rule for rule in rules if rule != missing])
        service.start()
        resource, name, operation = missing
        named = f'{operation.upper()} on {"transactional ids that begin with" if resource == "transactional id" else resource} '
        service.fails(3, f'an access rule is missing: {named}"{re.escape(name.rstrip("*"))}"', "the user of kafka.sasl.username", timeout_s=15)
    replay_access(scenario, strict)


def replay_access(scenario, strict):
    """A replay that publishes and hands over, to a group of its own: the rules of the manual are what it needs."""
    group, topic = f"{scenario.group}-second", f"{scenario.id}-final"
    scenario.kafka.create(topic, 2)
    strict.rename(APPLICATION=group, OUTPUT=topic)
    service = scenario.service("second", **strict.client, profile_topic=strict.names["PROFILE"], application_id=group, output_topic=topic)
    how = ("--restart", "--publish", "final", "--handoff", "--state-dir", f"{scenario.directory}/replay")
    rules = strict.given("service", "profiles", "replay --publish")
    for missing in rules:
        strict.only([rule for rule in rules if rule != missing])
        process = Replay(service, *how).start()
        _, err = process.communicate(timeout=60)
        last = err.strip().splitlines()[-1]
        assert process.returncode in (1, 3) and f"an access rule is missing: {missing[2].upper()} on" in last, (missing, process.returncode, err)
        assert missing[1].rstrip("*") in last, (missing, err)
    strict.only(rules)
    summary = Replay(service, *how).run()
    assert summary["stage"] == "handed over" and summary["published"] == 20, summary
    strict.access.clear()


# ---- certificates that are renewed ----


def certificates_renewed(scenario):
    """A client's certificate that ends while the service runs: the renewed one is taken up, and when all connections break behind the end
    of the old one, nothing is lost or doubled."""
    secured = scenario.secured
    authority = Authority.__new__(Authority)
    authority.directory, authority.ca, authority.key = f"{secured.directory}/tls", secured.ca, f"{secured.directory}/tls/ca.key"
    authority.config = f"{secured.directory}/tls/openssl.cnf"
    certificate = authority.issue("short", "CN=mutual-user", seconds=10)
    ends_s = time.monotonic() + 10
    scenario.topics(2)
    log = Log(scenario, users=20)
    with Proxy(secured.proxy_port, secured.ports["proxied"]) as proxy:
        service = scenario.service(**secured.client("proxied", certificate=certificate)).start()
        log.produce(200)
        scenario.wait_done(service)
        # Half of a renewal: a certificate whose key is not there yet.
        with open(certificate[1], encoding="utf-8") as file:
            key = file.read()
        authority.issue("short", "CN=mutual-user", seconds=3600)
        with open(certificate[1], encoding="utf-8") as file:
            renewed = file.read()
        with open(certificate[1], "w", encoding="utf-8") as file:
            file.write(key)
        service.wait_log(r"warn certificates changed, but clients cannot be made")
        log.produce(100)
        with open(certificate[1], "w", encoding="utf-8") as file:
            file.write(renewed)
        service.wait_log(r"certificates renewed")
        for worker in 0, 1:
            service.wait_log(rf"clients_renewed worker={worker}")
        wait_for("the old certificate to end", lambda: time.monotonic() > ends_s + 1, 30)
        proxy.cut()
        log.produce(200)
        scenario.wait_done(service)
        assert service.terminate() == 0
    log.check()
    assert " warn restart " not in service.log(), service.log()


if __name__ == "__main__":
    SECURED = Secured(os.environ["KAFKA_SECURED"])
    os.environ["KAFKA_BOOTSTRAP"] = SECURED.at("plain")
    ms_kafka.Scenario.secured = SECURED
    ms_kafka.main({function.__name__: function for function in (tls, mutual_tls, scram, plain, oauthbearer, token_refused, access,
                                                                certificates_renewed)})
