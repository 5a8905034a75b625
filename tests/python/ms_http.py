"""What tests ask the HTTP server with: requests over TCP and over the socket in the state directory, raw bytes, and answers
checked against the server's own description."""

import http.client
import json
import os
import re
import socket
import ssl
import urllib.parse


class LocalConnection(http.client.HTTPConnection):
    """Over a UNIX socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.type = self.headers.get("content-type", "").split(";")[0]
        self.body = response.read() if self.type != "text/event-stream" else b""  # that one never ends

    def json(self):
        return json.loads(self.body)


class Server:
    """The HTTP server of a ms_kafka.Service. |tls|: an ssl.SSLContext."""

    def __init__(self, service, token=None, tls=None):
        self.port = int(service.wait_log(r" info http listen=.* port=(\d+)").group(1))
        self.socket = os.path.join(service.settings["state.dir"], "http.sock")
        self.token = token
        self.tls = tls

    def connect(self, local=False):
        if local:
            return LocalConnection(self.socket)
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def get(self, path, local=False, method="GET", body=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token and "Authorization" not in headers:
            headers["Authorization"] = f"Bearer {self.token}"
        connection = self.connect(local)
        try:
            connection.request(method, path, body=body, headers=headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def user(self, user, rest="", **more):
        return self.get(f"/v1/users/{urllib.parse.quote(user, safe='')}{rest}", **more)

    def raw(self, data, timeout_s=20):
        """Sends bytes as they are; returns what comes until the server closes or |timeout_s| passes without a byte."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s) as connection:
            got = b""
            try:
                connection.sendall(data)
                while chunk := connection.recv(65536):
                    got += chunk
            except (ConnectionError, socket.timeout):
                pass
            return got


# JSON Schema, as far as the description uses it


def _is(value, kind):
    return {"integer": isinstance(value, int) and not isinstance(value, bool), "string": isinstance(value, str),
            "number": isinstance(value, (int, float)) and not isinstance(value, bool), "boolean": isinstance(value, bool),
            "array": isinstance(value, list), "object": isinstance(value, dict), "null": value is None}[kind]


def check_schema(value, schema, root, where="answer"):
    """Asserts that |value| fits |schema|, and that an object has no key that the schema does not tell of."""
    if "$ref" in schema:
        schema = root["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    assert any(_is(value, kind) for kind in kinds), f"{where} is no {kinds}: {value!r}"
    assert "enum" not in schema or value in schema["enum"], f"{where}: {value!r} is not in {schema['enum']}"
    if isinstance(value, dict):
        missing = set(schema.get("required", ())) - set(value)
        assert not missing, f"{where} lacks {sorted(missing)}"
        for key, inner in value.items():
            known = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
            assert known, f"{where} has {key}, of which the description does not tell"
            check_schema(inner, known, root, f"{where}.{key}")
    if isinstance(value, list) and "items" in schema:
        for number, inner in enumerate(value):
            check_schema(inner, schema["items"], root, f"{where}[{number}]")


def check_answer(answer, path, description):
    """Asserts that the description of |path| knows this answer's status and type, and that its body fits."""
    for template, item in description["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path.split("?")[0]):
            responses = item["get"]["responses"]
            break
    else:
        raise AssertionError(f"{path} is not described")
    assert str(answer.status) in responses, f"{path}: {answer.status} is not described"
    content = responses[str(answer.status)]["content"]
    assert answer.type in content, f"{path}: {answer.type} is not among {sorted(content)}"
    if "schema" in content[answer.type]:
        check_schema(answer.json(), content[answer.type]["schema"], description, path)
