"""A broker that demands to know who comes, for all tests of a run: TLS, certificates of clients, SASL, access control.

The plaintext listener is for the tests themselves (its anonymous user may do all); the service goes through the others:

    ssl        TLS                                 sasl       TLS and SCRAM-SHA-512, PLAIN or OAUTHBEARER
    mutual     TLS with a client's certificate     open       SASL without TLS
    expired    TLS with an expired certificate     proxied    as mutual, behind a proxy of the test
    stranger   TLS with another host's certificate

`secured_broker.py start DIRECTORY` starts one and notes its ports in DIRECTORY/broker.json, where Secured finds them.
"""

import hashlib
import json
import os
import shutil
import socket
import struct
import subprocess

import ms_kafka
from ms_certificates import Authority

LISTENERS = ("plain", "ssl", "mutual", "expired", "stranger", "sasl", "open", "proxied")
# SCRAM of librdkafka before 2.6.1 works up to 3.9: later brokers refuse the nonce that it sends.
VERSION = os.environ.get("KAFKA_VERSION", "3.9.1")
SCRAM_USERS = {"scram-user": "scram-secret"}
PLAIN_USERS = {"plain-user": "plain-secret", "strict-user": "strict-secret"}


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _login(module, **options):
    words = " ".join(f'{key}="{value}"' for key, value in options.items())
    return f"org.apache.kafka.common.security.{module} required {words};"


def properties(ports, proxy_port, tls):
    """The broker's settings: a listener for each way to come in."""
    protocols = {"plain": "PLAINTEXT", "sasl": "SASL_SSL", "open": "SASL_PLAINTEXT"}
    names = {name: "PLAINTEXT" if name == "plain" else name.upper() for name in LISTENERS}
    shown = {**ports, "proxied": proxy_port}
    controller = ms_kafka.free_port()
    settings = {
        "listeners": ",".join(f"{names[name]}://127.0.0.1:{ports[name]}" for name in LISTENERS) + f",CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": ",".join(f"{names[name]}://{'127.0.0.1' if name == 'plain' else 'localhost'}:{shown[name]}" for name in LISTENERS),
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listener.security.protocol.map": ",".join(f"{names[name]}:{protocols.get(name, 'SSL')}" for name in LISTENERS) +
                                          ",CONTROLLER:PLAINTEXT",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:mutual-user;User:scram-user;User:plain-user;User:token-user",
        "ssl.principal.mapping.rules": "RULE:^CN=([^,]*).*$/$1/,DEFAULT",
        "ssl.keystore.type": "PEM", "ssl.keystore.location": tls["server"],
        "ssl.truststore.type": "PEM", "ssl.truststore.location": tls["ca"],
        "connections.max.reauth.ms": "60000",
    }
    for name, store in ("expired", tls["expired"]), ("stranger", tls["stranger"]):
        settings[f"listener.name.{name}.ssl.keystore.location"] = store
        settings[f"listener.name.{name}.ssl.keystore.type"] = "PEM"
    for name in "mutual", "proxied":
        settings[f"listener.name.{name}.ssl.client.auth"] = "required"
    for name, mechanisms in ("sasl", "SCRAM-SHA-512,PLAIN,OAUTHBEARER"), ("open", "PLAIN,OAUTHBEARER"):
        settings[f"listener.name.{name}.sasl.enabled.mechanisms"] = mechanisms
        users = {f"user_{user}": password for user, password in PLAIN_USERS.items()}
        settings[f"listener.name.{name}.plain.sasl.jaas.config"] = _login("plain.PlainLoginModule", **users)
        settings[f"listener.name.{name}.scram-sha-512.sasl.jaas.config"] = _login("scram.ScramLoginModule")
        settings[f"listener.name.{name}.oauthbearer.sasl.jaas.config"] = _login("oauthbearer.OAuthBearerLoginModule",
                                                                               unsecuredLoginStringClaim_sub="unused")
    return settings


def start(directory):
    """Starts the broker and notes where it is."""
    stop(directory)
    os.makedirs(directory)
    known, unknown = Authority(f"{directory}/tls", "test CA"), Authority(f"{directory}/other", "another CA")
    here = "DNS:localhost,IP:127.0.0.1"
    tls = {"ca": known.ca, "server": known.keystore("server", "CN=broker", here),
           "expired": known.keystore("expired", "CN=broker", here, seconds=-3600),
           "stranger": known.keystore("stranger", "CN=broker", "DNS:kafka.example.com")}
    known.issue("client", "CN=mutual-user")
    unknown.issue("client", "CN=mutual-user")
    *numbers, proxy_port = free_ports(len(LISTENERS) + 1)
    ports = dict(zip(LISTENERS, numbers))
    path = f"{directory}/more.properties"
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{key}={value}\n" for key, value in properties(ports, proxy_port, tls).items())
    with open(f"{directory}/broker.json", "w", encoding="utf-8") as file:
        json.dump({"ports": ports, "proxy_port": proxy_port, "directory": directory}, file)
    _tool(directory, ports["plain"], "start", "--properties", path)
    for user, password in SCRAM_USERS.items():
        add_scram_user(ports["plain"], user, password)


def _tool(directory, port, command, *args):
    subprocess.run([ms_kafka.ROOT / "tools" / "kafka", command, "--port", str(port), "--dir", f"{directory}/broker",
                    "--version", VERSION, *args], check=True, stdout=subprocess.DEVNULL)


def stop(directory):
    """Stops the broker that was started there, if there is one."""
    if os.path.exists(f"{directory}/broker.json"):
        _tool(directory, Secured(directory).ports["plain"], "stop")
        shutil.rmtree(directory)


class Secured:
    """The broker that was started in a directory: its ports, and the settings of a client for each of them."""

    def __init__(self, directory):
        with open(f"{directory}/broker.json", encoding="utf-8") as file:
            self.__dict__.update(json.load(file))
        self.ca, self.other_ca = f"{directory}/tls/ca.pem", f"{directory}/other/ca.pem"

    def at(self, listener):
        host = "127.0.0.1" if listener == "plain" else "localhost"
        return f"{host}:{self.proxy_port if listener == 'proxied' else self.ports[listener]}"

    def client(self, listener, certificate=None, mechanism=None, user=None, password=None, **more):
        """Settings of the service with _ for the dots."""
        settings = {"bootstrap_servers": self.at(listener), "kafka_broker_address_family": "v4"}
        settings["kafka_security_protocol"] = {"sasl": "SASL_SSL", "open": "SASL_PLAINTEXT"}.get(listener, "SSL")
        if listener != "open":
            settings["kafka_ssl_ca_location"] = self.ca
        if certificate:
            settings["kafka_ssl_certificate_location"], settings["kafka_ssl_key_location"] = certificate
        if mechanism:
            settings["kafka_sasl_mechanism"] = mechanism
        if user:
            settings.update(kafka_sasl_username=user, kafka_sasl_password=password)
        return {**settings, **more}


# Access control. The client of these tests has no call for it, so the requests are written by hand (version 1 of each).

RESOURCES = {"topic": 2, "group": 3, "cluster": 4, "transactional id": 5}
OPERATIONS = {"all": 2, "read": 3, "write": 4, "create": 5, "delete": 6, "alter": 7, "describe": 8, "cluster action": 9,
              "describe configs": 10, "alter configs": 11, "idempotent write": 12}
LITERAL, PREFIXED, ALLOW = 3, 4, 3


def add_scram_user(port, user, password, iterations=4096):
    """Makes a user for SCRAM-SHA-512 (AlterUserScramCredentials, version 0)."""
    def compact(data):
        return bytes([len(data) + 1]) + data
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, iterations)
    body = bytes([1, 2]) + compact(user.encode()) + struct.pack(">bi", 2, iterations) + compact(salt) + compact(salted) + bytes([0, 0])
    answer = ask(port, 51, 0, b"\0" + body)
    # tags of the header, throttle time, one result: name, error code
    code = struct.unpack_from(">h", answer, 1 + 4 + 1 + 1 + len(user))[0]
    assert code == 0, f"AlterUserScramCredentials: {answer}"


def ask(port, key, version, body):
    """Sends a request to the plaintext listener; the answer behind the correlation id."""
    request = struct.pack(">hhi", key, version, 1) + struct.pack(">h", 7) + b"ms-test" + body
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        size = struct.unpack(">i", ms_kafka.Kafka._read(connection, 4))[0]
        return ms_kafka.Kafka._read(connection, size)[4:]


class Access:
    """Gives and takes access rules of a user: (resource, name, operation), a name that ends with * being a prefix."""

    def __init__(self, secured, user):
        self.port = secured.ports["plain"]
        self.user = f"User:{user}"

    def _text(self, value):
        return struct.pack(">h", -1) if value is None else struct.pack(">h", len(value)) + value.encode()

    def _ask(self, key, body):
        return ask(self.port, key, 1, body)[4:]  # behind the throttle time

    def give(self, rules):
        body = struct.pack(">i", len(rules))
        for resource, name, operation in rules:
            kind = PREFIXED if name.endswith("*") else LITERAL
            body += struct.pack(">b", RESOURCES[resource]) + self._text(name.removesuffix("*")) + struct.pack(">b", kind)
            body += self._text(self.user) + self._text("*") + struct.pack(">bb", OPERATIONS[operation], ALLOW)
        answer, at = self._ask(30, body), 4
        for rule in rules:
            code, size = struct.unpack_from(">hh", answer, at)
            at += 4 + max(size, 0)
            assert code == 0, f"CreateAcls {rule}: {answer}"

    def clear(self):
        """Takes all rules of the user."""
        body = struct.pack(">i", 1) + struct.pack(">b", 1) + self._text(None) + struct.pack(">b", 1)
        body += self._text(self.user) + self._text(None) + struct.pack(">bb", 1, 1)
        code = struct.unpack_from(">h", self._ask(31, body), 4)[0]
        assert code == 0, f"DeleteAcls: error {code}"
