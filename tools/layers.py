"""The layers of src/: which may use which, and which public header belongs to which. tools/check-layers reads the sources
by this table, tools/check-objects the compiled objects."""

# What each layer may use; what those may use comes with it. A new layer is one row.
USES = {
    "base": [],
    "event": ["base"],
    "model": ["base"],
    "interest": ["model", "base"],
    "record": ["base"],
    "user": ["interest", "event", "base"],
    "state": ["user", "base"],
    "view": ["user", "interest", "model", "base"],
    "synth": ["model", "base"],
    "train": ["user", "interest", "record", "model", "event", "base"],
    "stream": ["state", "user", "record", "event", "base"],
    "stream/kafka": ["stream"],
    "serve": ["stream/kafka", "state", "view", "base"],
    "app": ["serve", "view", "synth", "train", "stream/kafka", "state", "user", "record", "interest", "model", "event", "base"],
}

# The layers that have no I/O, clock or thread.
PURE = {"event", "interest", "record", "user", "view"}

# Libraries that one layer alone may include.
OWNED = {"librdkafka": "stream/kafka", "rocksdb": "state"}

# The layer that implements each public header, include/mindstream/NAME.
PUBLIC = {
    "api.h": "base",
    "bytes.h": "base",
    "status.h": "base",
    "model.h": "model",
    "extract.h": "interest",
    "record.h": "record",
}

# Public headers of one layer that another may include although it may not use the layer: they declare the structs
# that it is handed.
LENT = {"extract.h": {"record"}, "model.h": {"record"}}


def closure(layer):
    """All layers that |layer| may use, itself included."""
    found = {layer}
    for lower in USES[layer]:
        found |= closure(lower)
    return found


def layer_of(parts):
    """The layer of a path, given as its parts below src/: the longest folder that is one, else the first."""
    nested = "/".join(parts[:2])
    return nested if nested in USES else parts[0]
