"""The HTTP server beside a real broker: every answer against its description, the live state against the stopped one, readiness
over a restart, and clients that mean no good."""

import json
import os
import random
import re
import socket
import ssl
import subprocess
import time

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client import parser as prometheus

import ms_history
import ms_kafka
from ms_http import Server, check_answer
from ms_kafka import MINDSTREAM, event, wait_for

START_MS = 1700000000000
ODD_IDS = ["a/b", "..", ".", "%", "%2F", "a b", "a+b", "?", "#", "a?b=c&d", "\u00fc", "\u6f22\u5b57", "\U0001f600", "\x00", "a\x00b", "\n",
           "\t", "\x7f", "\u0085", "\u202e", "\ufeff", "e\u0301", "'", '"', "\\", "<script>", "</script>", "{{7*7}}", "${x}", "$(id)", "`id`", ";ls",
           "|", "&", "*", "~", "null", "true", "0", "-1", "1e999", "{}", "[]", "__proto__", "users", "interests", " ", "  x  ", "x" * 1000,
           "\u00e9" * 500, "--", "%00", "%zz", "{id}"]


def odd_events(items):
    return [event(user, items[number % len(items)], START_MS + number) for number, user in enumerate(ODD_IDS)]


def some_events(items, count, seed=1, users=40):
    draws = random.Random(seed)
    return [event(f"u{draws.randrange(users)}", draws.choice(items), START_MS + 1000 * number) for number in range(count)]


def inspected(service, user, expected=0):
    done = subprocess.run([MINDSTREAM, "inspect", "user", "-c", service.config, "--json", "--", user], capture_output=True, check=False)
    assert done.returncode == expected, done
    return done.stdout


def hottest(service, *more):
    done = subprocess.run([MINDSTREAM, "inspect", "users", "-c", service.config, "--hottest", "5", *more], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done
    return done.stdout


def with_source(answer, source):
    """What `inspect user --json` prints of an answer of /v1/users/ID."""
    return answer.body.rstrip()[:-1] + f',"source":"{source}"}}\n'.encode()


def value_of(families, name, **labels):
    found = [sample.value for family in families for sample in family.samples if sample.name == name and
             all(sample.labels.get(key) == value for key, value in labels.items())]
    assert found, f"no sample {name} {labels}"
    return sum(found)


def check_metrics(server, events, bad):
    """Both formats parse, each has all rows of docs/metrics.md that can be there, and the counts are right."""
    time.sleep(0.3)  # what was asked less than 0.2 s ago comes again
    text = server.get("/metrics")
    assert text.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = list(prometheus.text_string_to_metric_families(text.body.decode()))
    opened = server.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert opened.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    list(openmetrics.text_string_to_metric_families(opened.body.decode()))
    names = {sample.name for family in families for sample in family.samples}
    page = (ms_kafka.ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    for name, kind in re.findall(r"^\| `(\w+)` \| (\w+) ", page, re.MULTILINE):
        if name == "mindstream_partition_applied_offset":
            continue  # nothing was flushed yet
        assert (name + "_bucket" if kind == "histogram" else name) in names, f"/metrics lacks {name}"
    assert value_of(families, "mindstream_events_folded_total") == events
    assert value_of(families, "mindstream_events_dead_letter_total", reason="json") == bad
    assert value_of(families, "mindstream_events_dead_letter_total") == bad
    assert value_of(families, "mindstream_event_to_visible_seconds_count") == events + bad
    assert value_of(families, "mindstream_partition_lag_records") == 0
    assert value_of(families, "mindstream_partitions", state="live") == 4
    assert value_of(families, "mindstream_ready") == 1
    assert value_of(families, "mindstream_kafka_client_brokers_up", client="producer") >= 2
    assert value_of(families, "mindstream_kafka_client_round_trip_seconds") > 0
    assert value_of(families, "mindstream_kafka_client_received_bytes_total", client="consumer") > 1000
    for family in families:
        for sample in family.samples:
            assert not set(sample.labels) & {"user", "user_id", "item", "item_id"}, sample


def check_every_path(server):
    description = server.get("/openapi.json").json()
    paths = [path.replace("{id}", "u1") for path in description["paths"]]
    for path in paths + ["/v1/users/nobody", "/v1/users/u1/recommend?n=5", "/v1/users/u1?x=1", "/v1/users/u1/recommend?n=0", "/v1/hot?limit=1"]:
        for local in (False, True):
            check_answer(server.get(path, local=local), path, description)
        head = server.get(path, method="HEAD")
        assert head.body == b"" and (int(head.headers.get("content-length", 0)) > 0 or head.type == "text/event-stream")
        check_answer(server.get(path, method="POST", body=b"x"), path, description)
    for query in description["paths"]["/v1/users/{id}/recommend"]["get"]["parameters"]:
        if query["in"] == "query":
            for value, status in ((query["schema"]["maximum"] + 1, 400), ("x", 400), ("", 400), ("-1", 400), ("1" * 30, 400)):
                assert server.get(f"/v1/users/u1/recommend?{query['name']}={value}").status == status
    assert server.get("/v1/users/u1").json()["user_id"] == "u1"
    assert server.get("/v1/nope").status == 404
    partitions = server.get("/v1/partitions").json()["partitions"]
    assert [row["partition"] for row in partitions] == [0, 1, 2, 3] and all(row["lag"] == 0 for row in partitions)


def http_endpoints(scenario):
    """Every path answers as it is described; users are those of the stopped state, and newer than those on disk meanwhile."""
    scenario.topics()
    items = ms_history.small_model(scenario.model_dir)
    service = scenario.service(http_listen="127.0.0.1:0", state_flush_interval_ms=600000, publish_mode="latest",
                               http_rate_max=0, workers=2).start()
    server = Server(service)
    events = some_events(items, 2000) + odd_events(items)
    scenario.kafka.produce(scenario.input, events + [(b"u1", b"no json")] * 3)
    scenario.wait_done(service)
    wait_for("readiness", lambda: server.get("/readyz").status == 200)
    wait_for("lag to be told", lambda: [row["lag"] for row in server.get("/v1/partitions").json()["partitions"]] == [0] * 4)
    for name in (b"transaction_state", b"rebalances_total"):  # a producer's statistics, and a consumer's
        wait_for("the clients' statistics", lambda: b"mindstream_kafka_client_" + name + b"{" in server.get("/metrics").body)
    check_metrics(server, len(events), 3)
    check_every_path(server)

    live = {user: server.user(user) for user in ["u0", "u1", "u2", *ODD_IDS]}
    for user, answer in live.items():
        assert answer.status == 200 and answer.json()["user_id"] == user, (user, answer.body[:200])
    before = server.user("u1").json()["version"]
    scenario.kafka.produce(scenario.input, [event("u1", items[3], START_MS + 10 ** 7)])
    scenario.wait_done(service)
    assert server.user("u1").json()["version"] == before + 1, "an answer is older than the last commit"
    for user in ("u1", "a/b", "\u6f22\u5b57"):
        assert server.user(user, local=True).body == server.user(user).body
        assert inspected(service, user) == with_source(server.user(user), "service")
    inspected(service, "nobody", expected=1)
    assert server.get("/v1/hot").json()["users"][0]["count"] > 1
    found = json.loads(hottest(service, "--json"))
    assert found["source"] == "service" and len(found["users"]) == 5 and found["users"][0]["count"] > 1, found
    assert found["users"][0]["user_id"] in hottest(service) and "running service" in hottest(service)
    assert "source" not in json.loads(hottest(service, "--json", "--prefix", "u"))
    assert server.get("/v1/events?limit=1").json()["events"][0]["user_id"] == "u1"

    records = scenario.kafka.read(scenario.output)
    newest = [record for record in records if record.key == b"u1"][-1]
    message = ms_kafka.schema(scenario.directory).UserInterests()
    answer = server.user("u1", "/interests", Accept="application/x-protobuf")
    assert answer.type == "application/x-protobuf" and answer.body == newest.value
    message.ParseFromString(answer.body)
    assert server.user("u1", "/interests").json()["version"] == message.version

    live["u1"] = server.user("u1")
    assert service.terminate() == 0
    assert not os.path.exists(server.socket)
    assert json.loads(hottest(service, "--json"))["users"][0]["version"] > 1
    for user, answer in live.items():
        if "\x00" not in user:
            assert inspected(service, user) == with_source(answer, "state"), f"{user!r} differs from the stopped state"


def http_ready(scenario):
    """Not ready while partitions open and replay, with which; a user of such a partition is 503, not 404."""
    scenario.topics()
    items = ms_history.small_model(scenario.model_dir)
    service = scenario.service(http_listen="127.0.0.1:0", state_flush_interval_ms=600000, http_rate_max=0, publish_mode="latest").start()
    server = Server(service)
    scenario.kafka.produce(scenario.input, some_events(items, 60000, users=300))
    scenario.wait_done(service)
    service.kill9()
    service.start()
    server = Server(service)
    reasons, users = set(), set()

    def ready():
        answer = server.get("/readyz")
        users.add(server.user("u1").status)
        reasons.add(answer.json()["reason"])
        assert server.get("/healthz").status == 200
        return answer.status == 200
    wait_for("readiness", ready, every_s=0.002)
    assert any(re.search(r"partition \d+: (opening|replaying)|waits for its partitions", reason or "") for reason in reasons), reasons
    assert any("partition" in (reason or "") for reason in reasons) and 404 not in users and 503 in users, (reasons, users)
    assert server.user("u1").status == 200
    families = list(prometheus.text_string_to_metric_families(server.get("/metrics").body.decode()))
    assert value_of(families, "mindstream_events_replayed_total") > 0 and value_of(families, "mindstream_replay_seconds_count") == 4


def hostile_requests(server):
    """Each gets the status that it deserves, or the connection ends; never anything else."""
    line = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    statuses = {
        b"GET /%zz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n": {400},
        b"GET /v1/users/%ff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n": {400},
        b"GET /v1/users/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n": {400},
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n": {404},
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n": {414},
        b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n": {414, 431},
        line + b"X: " + b"a" * 40000 + b"\r\n\r\n": {431},
        line + b"X: y\r\n" * 10000 + b"\r\n": {431},
        b"DELETE /v1/users/u1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n": {405},
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello": {413},
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n": {413},
        b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n": {403},
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": {0, 400},
        b"\x00" * 100 + b"\r\n\r\n": {0, 400, 405},
        b"nonsense\r\n\r\n": {0, 400, 405},
        line + b"Connection: close\r\n\r\n": {200},
    }
    for request, expected in statuses.items():
        got = server.raw(request, timeout_s=3)
        match = re.match(rb"HTTP/1\.[01] (\d+)", got)
        status = int(match.group(1)) if match else 0
        assert status in expected, f"{request[:60]!r}: {status}, not {expected}: {got[:300]!r}"


def clients(server, count, data):
    connections = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(count)]
    for connection in connections:
        connection.setblocking(False)
        try:
            connection.send(data)
        except BlockingIOError:
            pass
    return connections


def all_closed(connections):
    """Sends each another byte, and tells whether the server has closed all."""
    open_ones = 0
    for connection in connections:
        try:
            connection.send(b"a")
            while connection.recv(65536):
                pass
        except BlockingIOError:
            open_ones += 1
        except OSError:
            pass
    return open_ones == 0


def http_hostile(scenario):
    """Slow, rude and too many clients: they are cut or refused, and the stream and other clients do not notice."""
    scenario.topics()
    items = ms_history.small_model(scenario.model_dir)
    service = scenario.service(http_listen="127.0.0.1:0", http_rate_max=0, publish_mode="latest").start()
    server = Server(service)
    wait_for("readiness", lambda: server.get("/readyz").status == 200)
    slow = clients(server, 200, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-")  # never finish their headers
    deaf = clients(server, 50, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000)  # never read
    hostile_requests(server)
    scenario.kafka.produce(scenario.input, some_events(items, 5000))
    scenario.wait_done(service, timeout_s=30)
    assert server.get("/healthz").status == 200
    wait_for("the slow connections to be cut", lambda: all_closed(slow), timeout_s=40, every_s=0.5)
    families = list(prometheus.text_string_to_metric_families(server.get("/metrics").body.decode()))
    assert value_of(families, "mindstream_http_connections_cut_total") >= len(slow)
    assert value_of(families, "mindstream_http_connections") <= len(deaf) + 1
    assert service.terminate() == 0


def http_elsewhere(scenario):
    """Of two instances each sends clients for the other's users there, and 404 is for users that nobody has."""
    scenario.topics()
    items = ms_history.small_model(scenario.model_dir)
    names = {"a": "http://host-a:1", "b": "http://host-b:2"}
    services = {name: scenario.service(name, http_listen="127.0.0.1:0", http_advertise=url, http_rate_max=0, publish_mode="latest", workers=1).start()
                for name, url in names.items()}
    servers = {name: Server(service) for name, service in services.items()}

    def shared():
        return [len(server.get("/v1/partitions").json().get("partitions", [])) for server in servers.values()] == [2, 2] and \
            all(server.get("/readyz").status == 200 for server in servers.values())
    wait_for("two partitions each", shared)
    with_partitioner(scenario, some_events(items, 400))
    scenario.wait_done(services["a"])
    wait_for("the owners to be known", lambda: all(server.user(f"u{number}").status in (200, 307) for server in servers.values()
                                                   for number in range(40)), every_s=1)
    found = {"a": 0, "b": 0}
    for number in range(40):
        path = f"/v1/users/u{number}/recommend?n=3"
        answers = {name: server.get(path) for name, server in servers.items()}
        here = [name for name, answer in answers.items() if answer.status == 200]
        assert len(here) == 1, (number, answers)
        other = "b" if here == ["a"] else "a"
        assert answers[other].status == 307 and answers[other].headers["location"] == names[here[0]] + path
        found[here[0]] += 1
    assert min(found.values()) > 5, found
    statuses = {server.user(f"nobody-{number}").status for server in servers.values() for number in range(20)}
    assert statuses == {307, 404}, statuses
    assert all(service.terminate() == 0 for service in services.values())


def with_partitioner(scenario, events):
    producer = scenario.kafka.producer(partitioner="murmur2_random")
    for key, value in events:
        producer.produce(scenario.input, value, key)
    producer.flush(30)


def write(path, text, mode=0o600):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def http_guarded(scenario):
    """A token and TLS are asked for, a client that asks too often is told so, and settings that would expose it are refused."""
    scenario.topics()
    ms_history.small_model(scenario.model_dir)
    directory = scenario.directory
    key, certificate = os.path.join(directory, "key.pem"), os.path.join(directory, "cert.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    os.chmod(key, 0o600)
    token = "0123456789abcdefTOKEN"
    settings = {"http_listen": "0.0.0.0:0", "http_token_file": write(os.path.join(directory, "token"), token + "\n"),
                "http_tls_certificate_file": certificate, "http_tls_key_file": key, "http_rate_max": 20}
    for missing in ("http_token_file", "http_tls_key_file"):
        service = scenario.service("refused", **{name: value for name, value in settings.items() if name != missing}).start()
        service.fails(2, r"http\.")
    service = scenario.service(**settings).start()
    server = Server(service, token=token, tls=ssl.create_default_context(cafile=certificate))
    assert server.get("/v1/stats").status in (200, 503)
    assert server.get("/healthz", Authorization="").status == 200
    for authorization in ("", "Bearer ", "Bearer " + token[:-1], "Bearer " + token + "x", "Basic " + token, token):
        answer = server.get("/metrics", Authorization=authorization)
        assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer", (authorization, answer.status)
    wait_for("the socket", lambda: os.path.exists(server.socket))
    assert os.stat(server.socket).st_mode & 0o777 == 0o600
    assert server.get("/v1/stats", local=True, Authorization="").status == 200
    answers = [server.get("/healthz") for _ in range(80)]
    limited = [answer for answer in answers if answer.status == 429]
    assert limited and limited[0].headers["retry-after"] == "1" and "http.rate.max" in limited[0].json()["error"]
    assert server.get("/healthz", local=True).status == 200
    assert token not in service.log()
    assert service.terminate() == 0


if __name__ == "__main__":
    ms_kafka.main({scenario.__name__: scenario for scenario in (http_endpoints, http_ready, http_hostile, http_guarded, http_elsewhere)})
