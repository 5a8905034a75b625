"""No value that passes through to librdkafka is shown: a marker is planted in every key that may hold a secret, by every way a setting can
come, and is looked for in all that config, config --check, run, topics and inspect print. With the binary in MINDSTREAM."""
import itertools
import os
import subprocess
import sys
import tempfile

BINARY = os.environ["MINDSTREAM"]
MARKER = "xyPlanted7Qz"
PEM = f"-----BEGIN PRIVATE KEY-----\n{MARKER}MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nq{MARKER}==\n-----END PRIVATE KEY-----\n"
KEYS = ["sasl.password", "sasl.username", "sasl.jaas.config", "sasl.oauthbearer.config", "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.extensions", "ssl.key.password", "ssl.key.pem", "ssl_key", "ssl_certificate", "ssl_ca", "ssl.keystore.password",
        "ssl.keystore.key", "ssl.truststore.password", "ssl.truststore.certificates", "ssl.certificate.pem", "ssl.ca.pem",
        "sasl.kerberos.kinit.cmd", "SASL.PASSWORD", "Sasl.Password", "sasl.pasword", "sasl_password", "basic.auth.user.info", "linger.ms",
        "partition.assignment.strategy", "group.id", "security.protocol", "ssl.ca.location", "batch.num.messages", "acks"]
failures, runs = [], 0


def run(*arguments, environment=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MINDSTREAM")}
    done = subprocess.run([BINARY, *arguments], capture_output=True, env={**clean, **(environment or {})}, stdin=subprocess.DEVNULL, timeout=60)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def check(what, held, *seen):
    if not held:
        failures.append(what)
        print("FAILED:", what, *seen)


def escaped(value):
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def ways(folder, key, value):
    """How a key can be given: (what, words, environment)."""
    def file_of(name, text, mode=0o644):
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(BASE + text)
        os.chmod(path, mode)
        return ["-c", path]
    secret = os.path.join(folder, "secret")
    with open(secret, "w", encoding="utf-8") as file:
        file.write(value + "\n")
    base = file_of("base.properties", "")
    variable = "MINDSTREAM_" + key.upper().replace(".", "_")
    yield "--set", [*base, "--set", f"{key}={value}"], {}
    yield "file", file_of("one.properties", f"{key}={escaped(value)}\n"), {}
    yield "lines joined", file_of("joined.properties", f"{key}=" + value.replace("\n", "\\n\\\n  ") + "\n"), {}
    yield "lines not joined", file_of("broken.properties", f"{key}={value}\n"), {}
    yield "value on the next line", file_of("next.properties", f"{key}=\n{value}\n"), {}
    yield "environment", base, {variable: value}
    yield "file named in the file", file_of("named.properties", f"{key}.file={secret}\n"), {}
    yield "file named by --set", [*base, "--set", f"{key}.file={secret}"], {}
    yield "file named in the environment", base, {variable + "_FILE": secret}
    yield "the secret in the path's place", [*base, "--set", f"{key}.file={value}"], {}
    yield "no equals sign", [*base, "--set", f"{key} {value}"], {}
    yield "as an option", [*base, f"--{key}={value}"], {}
    yield "as a word", [*base, f"{key}={value}"], {}


def plant(folder, prefix, key, value):
    global runs
    harmless = key in ("linger.ms", "partition.assignment.strategy", "security.protocol", "ssl.ca.location", "batch.num.messages", "acks")
    for what, words, environment in ways(folder, prefix + key, value):
        commands = [["config", "--check"], ["run", "--fail-fast"], ["config", "--json"], ["config"]]
        if prefix == "kafka." and key in ("sasl.password", "ssl.key.pem", "ssl_key", "linger.ms", "sasl.oauthbearer.config"):
            commands += [["inspect", "users"], ["inspect", "user", "u1"]] + ([["topics", "describe"]] if what == "--set" else [])
        for command in commands:
            if harmless and command[0] == "config" and "--check" not in command:
                continue
            extra = ["--set", "log.level=debug"] if command[0] == "run" else []
            status, text = run(*command, *words, *extra, environment=environment)
            runs += 1
            check(f"{command} {prefix}{key} by {what}", MARKER not in text and "Planted7" not in text and status in (0, 1, 2), status, text)


def warnings(folder):
    secret = os.path.join(folder, "pw")
    with open(secret, "w", encoding="utf-8") as file:
        file.write(MARKER)
    for mode, warned in ((0o600, False), (0o640, False), (0o644, True)):
        os.chmod(secret, mode)
        text = run("config", "--set", f"kafka.sasl.password.file={secret}")[1]
        check(f"secret in a file of mode {mode:o}", ("warn secret" in text and "can read the file" in text) == warned, text)
    path = os.path.join(folder, "open.properties")
    for mode, warned in ((0o600, False), (0o644, True)):
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"kafka.ssl.key.password={MARKER}\nkafka.linger.ms=5\n")
        os.chmod(path, mode)
        text = run("config", "-c", path)[1]
        check(f"settings in a file of mode {mode:o}", (text.count("warn secret") == 1) == warned, text)
    text = run("config", "--set", f"kafka.sasl.password={MARKER}")[1]
    check("secret in argv", "warn secret key=kafka.sasl.password" in text and "command line" in text, text)
    text = run("config", environment={"MINDSTREAM_KAFKA_SASL_PASSWORD": MARKER})[1]
    check("secret in the environment", "warn secret" not in text, text)


def shown(folder):
    text = run("config", "--set", "kafka.linger.ms=17", "--set", "kafka.sasl.mechanisms=PLAIN")[1]
    check("what is harmless is shown", " 17 " in text and " PLAIN " in text, text)
    path = os.path.join(folder, "place.properties")
    with open(path, "w", encoding="utf-8") as file:
        file.write(BASE + "producer.linger.ms=99999999\n")
    text = run("run", "--fail-fast", "-c", path)[1]
    check("place, key and range are named", f"{path}:7: producer.linger.ms: librdkafka does not take its value; legal is 0..900000" in text, text)


with tempfile.TemporaryDirectory() as home:
    model = os.path.join(home, "model")
    made = run("generate", "--users", "5", "--items", "20", "--events", "10", "--dim", "8", "--model-out", model)
    assert made[0] == 0, made
    BASE = (f"application.id=a\nbootstrap.servers=127.0.0.1:1\ninput.topic=i\noutput.topic=o\nmodel.dir={model}\n"
            "state.dir=/dev/null/state\n")  # where run ends before it waits for a broker
    for planted, prefix in itertools.product(KEYS, ("kafka.", "consumer.", "kafak.")):
        if prefix == "kafka." or planted in ("sasl.password", "ssl.key.pem", "sasl.oauthbearer.config"):
            plant(home, prefix, planted, PEM if "pem" in planted or "key" in planted[-4:] else f"{MARKER} b={MARKER}")
    # Those that make a client, whose own errors quote.
    for extra in (["kafka.security.protocol=sasl_ssl", "kafka.sasl.mechanisms=OAUTHBEARER", "kafka.enable.sasl.oauthbearer.unsecure.jwt=true",
                   f"kafka.sasl.oauthbearer.config=principal=x {MARKER}={MARKER}"],
                  ["kafka.security.protocol=ssl", f"kafka.ssl.key.pem={PEM}"], ["kafka.security.protocol=ssl", f"kafka.ssl.keystore.location=/{MARKER}"],
                  ["kafka.security.protocol=ssl", f"kafka.ssl.cipher.suites={MARKER}"], [f"kafka.plugin.library.paths=/{MARKER}"],
                  ["kafka.debug=all", f"kafka.sasl.password={MARKER}", "kafka.sasl.username=u", "kafka.security.protocol=sasl_plaintext",
                   "kafka.sasl.mechanisms=PLAIN"]):
        path = os.path.join(home, "client.properties")
        with open(path, "w", encoding="utf-8") as file:
            file.write(BASE + "log.level=debug\n" + "".join(escaped(line) + "\n" for line in extra))
        for command in (["run", "--fail-fast"], ["config", "--check"]):
            status, text = run(*command, "-c", path)
            runs += 1
            check(f"{command} {extra}", MARKER not in text, text)
    warnings(home)
    shown(home)
print(f"{runs} runs, {len(failures)} failures")
sys.exit(1 if failures else 0)
