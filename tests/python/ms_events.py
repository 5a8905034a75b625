"""What a record of the input topic is: an own reading of the rules in src/event/README.md and nothing else.

    decode(fields, key, value, record_time_ms)   -> Forget(user) | Filtered() | Event(user, item, kind, time_ms) | Bad(reason)
    Fields(types=..., user="user_id", ...)       the settings input.*
    profile(key, value, id_max)                  -> (user, value) of a record of the profile topic, or Bad(reason)
    read_json(bytes)                             the value, or ValueError

Ids are bytes, as they come in Kafka.
"""

import collections
import datetime
import json
import re

Forget = collections.namedtuple("Forget", "user")
Filtered = collections.namedtuple("Filtered", "")
Event = collections.namedtuple("Event", "user item kind time_ms")
Bad = collections.namedtuple("Bad", "reason")
Fields = collections.namedtuple("Fields", "user item time kind types id_max",
                                defaults=("user_id", "item_id", "timestamp", "event_type", (), 1024))

TYPE_MAX = 255
PROFILE_MAX = 65536
DEPTH_MAX = 1024
YEAR_9999_S = 253370764800
MISSING = object()


# ---- the document ----


def _pairs(pairs):
    """Of a name that is there twice, the first counts."""
    found = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


def _refuse(text):
    raise ValueError(f"{text} is no number")


def _float(text):
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text} is too large")
    return value


def _check(value):
    """Texts must be Unicode: no half of a surrogate pair."""
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, list):
        for element in value:
            _check(element)
    elif isinstance(value, dict):
        for name, element in value.items():
            _check(name)
            _check(element)


READER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_refuse, parse_float=_float)


def read_json(data):
    """Raises ValueError for what is no JSON. A schema registry's header and a byte order mark are passed over."""
    if data[:1] == b"\0" and len(data) > 5:
        data = data[5:]
    if data[:3] == b"\xef\xbb\xbf":
        data = data[3:]
    try:
        value = READER.decode(data.decode())
        _check(value)
    except RecursionError as error:
        raise ValueError("too deep") from error
    return value


# ---- ids ----


def _steps(path):
    """["a", "b", 0] of a.b[0]."""
    return [int(part[1:-1]) if part.startswith("[") else part for part in re.findall(r"\[\d+\]|[^.\[\]]+", path.strip())]


def _follow(root, path):
    for step in _steps(path):
        if isinstance(step, int):
            if not isinstance(root, list) or step >= len(root):
                return MISSING
        elif not isinstance(root, dict) or step not in root:
            return MISSING
        root = root[step]
    return MISSING if root is None else root


def find(root, paths):
    """The first path that leads to something other than null or an empty text; an empty text where nothing else is."""
    empty = MISSING
    for path in paths.split(","):
        value = _follow(root, path)
        if value is MISSING:
            continue
        if value != "":
            return value
        empty = value
    return empty


def text_of(value):
    """A string, or a whole number without a loss, as bytes; None for anything else."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(value).encode()
    if isinstance(value, float) and abs(value) < 2**53 and value.is_integer():
        return str(int(value)).encode()
    return None


def _key_user(key, id_max):
    try:
        key.decode()
    except UnicodeDecodeError:
        return Bad("the key is not UTF-8")
    return key if 0 < len(key) <= id_max else Bad("the key is empty or too long")


# ---- times ----


def _checked(ms):
    """Before 1970, from the year 9999 on, and where 64 bits of nanoseconds end, there is no time."""
    return ms if 0 <= ms < YEAR_9999_S * 1000 and ms // 1000 != 9223372036 else None


def _is_date(year, month, day):
    try:
        datetime.date(year, month, day)
        return True
    except ValueError:
        return False


def _date_in_digits(whole):
    """YYYYMMDD, or with hhmm, hhmmss, hhmmss and milliseconds behind it, from 1970 to 2099."""
    match = re.fullmatch(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(?:(\d\d)(\d{3})?)?)?", str(whole))
    if not match:
        return False
    year, month, day, hour, minute, second, _ = (int(part or 0) for part in match.groups())
    return 1970 <= year <= 2099 and _is_date(year, month, day) and hour < 24 and minute < 60 and second < 60


def _from_number(whole, thousandths):
    """A time of |whole| and the first three digits behind the point; the unit is told by the size."""
    for unit in (1, 1000, 1000000):
        if YEAR_9999_S * unit <= whole < 253402387200 * unit:
            return None
    if whole in (8640000000000000, 9007199254740991, 31556889864403199, 9223372036854775807) or _date_in_digits(whole):
        return None
    if whole < 10**11:
        return _checked(whole * 1000 + thousandths)
    return _checked(whole if whole < 10**14 else whole // 1000 if whole < 10**17 else whole // 1000000)


def _from_digits(text):
    """[-]digits[.digits][exponent]; MISSING when it is no such text."""
    match = re.fullmatch(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?", text)
    if not match:
        return MISSING
    sign, digits, fraction, exponent = match[1], match[2], match[3] or "", int(match[4] or 0)
    if not int(digits + fraction):
        return _from_number(0, 0)
    if sign:
        return None
    if exponent:
        if len(digits + fraction) > 32 or len(digits) + exponent > 32:
            return None
        point = len(digits) + max(exponent, -100)
        both = digits + fraction
        if point < 0:
            both, point = "0" * -point + both, 0
        both += "0" * (point - len(both))
        digits, fraction = both[:point] or "0", both[point:]
    return _from_number(int(digits), int((fraction + "000")[:3]))


_CLOCK = (r"[Tt ](\d\d)(?::(\d\d)(?::(\d\d)(?:[.,](\d+))?)?|(\d\d)(?:(\d\d)(?:[.,](\d+))?)?)"
          r"(?: ?(Z|z|UTC|([+-])(\d\d)(?::(\d\d)|(\d\d))?)((?:\[[!-Z\\^-~]+\])*))?")
ISO = re.compile(r"(\d{4})(?:-(\d\d)-(\d\d)|(\d\d)(\d\d))(?:" + _CLOCK + ")?", re.ASCII)


def _from_iso(text):
    match = ISO.fullmatch(text)
    if not match:
        return None
    year, month, day = int(match[1]), int(match[2] or match[4]), int(match[3] or match[5])
    hour, minute, second = int(match[6] or 0), int(match[7] or match[10] or 0), int(match[8] or match[11] or 0)
    west, zone_hours, zone_minutes = match[14] == "-", int(match[15] or 0), int(match[16] or match[17] or 0)
    if hour > 23 or minute > 59 or second > 59 or zone_hours > 23 or zone_minutes > 59:
        return None
    if year == 0 or not _is_date(year, month, day):
        return None
    days = datetime.date(year, month, day).toordinal() - datetime.date(1970, 1, 1).toordinal()
    ms = int(((match[9] or match[12] or "") + "000")[:3])
    minutes = days * 1440 + hour * 60 + minute - (-1 if west else 1) * (zone_hours * 60 + zone_minutes)
    return _checked((minutes * 60 + second) * 1000 + ms)


def time_of(value):
    """Milliseconds since 1970 of a JSON value; None when it is no time."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return _from_number(value, 0) if 0 <= value < 2**63 else None
    if isinstance(value, float):
        if not -2.0**63 < value < 2.0**63:
            return None
        if 0 < abs(value) < 1e-40:
            return 0 if value > 0 else None
        return _from_digits(repr(value))
    if not isinstance(value, str):
        return None
    if re.fullmatch(r"[0-9]{8}", value) and "1970" <= value[:4] < "2100" and _is_date(int(value[:4]), int(value[4:6]),
                                                                                   int(value[6:])):
        return _from_iso(value)
    number = _from_digits(value)
    return _from_iso(value) if number is MISSING else number


# ---- a record ----


def _id(value, id_max):
    text = text_of(value)
    return text if text is not None and 0 < len(text) <= id_max else None


def decode(fields, key, value, record_time_ms):
    """What the record is. The order of the checks is document, user, type and its filter, item, time."""
    if value is None:
        user = Bad("neither value nor key") if key is None else _key_user(key, fields.id_max)
        return user if isinstance(user, Bad) else Forget(user)
    try:
        root = read_json(value)
    except ValueError as error:
        return Bad(str(error))
    if not isinstance(root, dict):
        return Bad("not an object")
    user, kind = find(root, fields.user), find(root, fields.kind)
    if user is MISSING or (user == "" and key):
        user = Bad("no user") if key is None else _key_user(key, fields.id_max)
    else:
        user = _id(user, fields.id_max) or Bad("bad user")
    if isinstance(user, Bad):
        return user
    kind = b"" if kind is MISSING else text_of(kind)
    if kind is None or len(kind) > TYPE_MAX:
        return Bad("bad type")
    if fields.types and kind not in fields.types:
        return Filtered()
    item, time_ms = find(root, fields.item), find(root, fields.time)
    item = None if item is MISSING else _id(item, fields.id_max)
    if item is None:
        return Bad("no item")
    time_ms = time_of(time_ms) if time_ms is not MISSING else _checked_record(record_time_ms)
    return Bad("no time") if time_ms is None else Event(user, item, kind, time_ms)


def _checked_record(record_time_ms):
    return record_time_ms if 0 <= record_time_ms < YEAR_9999_S * 1000 else None


def profile(key, value, id_max=1024):
    user = Bad("no key") if key is None else _key_user(key, id_max)
    if isinstance(user, Bad):
        return user
    if value is None or value == b"":
        return (user, value) if value is None else Bad("empty")
    if len(value) > PROFILE_MAX:
        return Bad("too long")
    try:
        root = read_json(value)
    except ValueError as error:
        return Bad(str(error))
    return (user, value) if isinstance(root, dict) else Bad("not an object")
