"""Reads what the encoders wrote with other people's code: Google's protobuf on the installed .proto, and Python's json.

usage: record_test.py SAMPLES_BINARY PROTO_FILE
"""
import json
import math
import os
import struct
import subprocess
import sys
import tempfile


def load_messages(proto):
    """Compiles the .proto with protoc and imports the module it makes."""
    out = tempfile.mkdtemp()
    subprocess.run(["protoc", "--proto_path=" + os.path.dirname(proto), "--python_out=" + out, proto], check=True)
    sys.path.insert(0, out)
    import mindstream_pb2
    return mindstream_pb2


def read_samples(binary):
    data = subprocess.run([binary], check=True, stdout=subprocess.PIPE).stdout
    at = 0
    while at < len(data):
        end = data.index(b"\n", at)
        kind, size = data[at:end].decode().split()
        yield kind, data[end + 1:end + 1 + int(size)]
        at = end + 1 + int(size)


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def same_floats(a, b):
    a, b = list(a), list(b)
    return len(a) == len(b) and all(f32(x) == f32(y) and math.copysign(1, x) == math.copysign(1, y) for x, y in zip(a, b))


def check_json(raw):
    """Key order and float notation are part of the contract."""
    def number(text):
        assert "." in text or "e" in text, text
        return float(text)

    def no_constant(text):
        raise AssertionError(text)

    record = json.loads(raw.decode("utf-8"), parse_float=number, parse_constant=no_constant)
    interests = record["interests"] if "interests" in record else [record]
    for interest in interests:
        for x in interest["vector"] + [interest["weight"]]:
            assert isinstance(x, float), (x, raw)
    return record


def check_user(pb2, packed, raw):
    record = check_json(raw)
    assert list(record) == ["user_id", "version", "event_time", "model", "dim", "interests"], list(record)
    message = pb2.UserInterests.FromString(packed)
    assert message.SerializeToString(deterministic=True) == packed, "not the canonical bytes"
    for name in ("user_id", "version", "event_time", "model", "dim"):
        assert getattr(message, name) == record[name], name
    assert len(message.interests) == len(record["interests"])
    for slot, (a, b) in enumerate(zip(message.interests, record["interests"])):
        assert list(b) == ["slot", "weight", "vector"]
        assert a.slot == b["slot"] == slot
        assert same_floats([a.weight], [b["weight"]])
        assert len(a.vector) == message.dim and same_floats(a.vector, b["vector"])
    return record


def check_interest(pb2, key, packed, raw, user, slot):
    record = check_json(raw)
    assert list(record) == ["id", "user_id", "slot", "weight", "version", "event_time", "model", "vector"], list(record)
    message = pb2.InterestRecord.FromString(packed)
    assert message.SerializeToString(deterministic=True) == packed, "not the canonical bytes"
    assert record["id"] == key.decode() == "%s#%d" % (user["user_id"], slot)
    for name in ("id", "user_id", "slot", "version", "event_time", "model"):
        assert getattr(message, name) == record[name], name
    for name in ("user_id", "version", "event_time", "model"):
        assert record[name] == user[name], name
    assert record["slot"] == slot
    assert same_floats([message.weight, record["weight"]], [user["interests"][slot]["weight"]] * 2)
    assert same_floats(message.vector, user["interests"][slot]["vector"])
    assert same_floats(record["vector"], user["interests"][slot]["vector"])


def main():
    binary, proto = sys.argv[1:]
    pb2 = load_messages(proto)
    samples = list(read_samples(binary))
    users = interests = at = 0
    while at < len(samples):
        assert [samples[at][0], samples[at + 1][0]] == ["user.protobuf", "user.json"]
        user = check_user(pb2, samples[at][1], samples[at + 1][1])
        at += 2
        users += 1
        for slot in range(len(user["interests"])):
            kinds, values = zip(*samples[at:at + 3])
            assert kinds == ("interest.key", "interest.protobuf", "interest.json")
            check_interest(pb2, *values, user, slot)
            at += 3
            interests += 1
    assert users == 120 and interests == 240, (users, interests)
    print("%d users, %d interests" % (users, interests))


main()
