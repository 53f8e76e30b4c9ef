"""Protobuf, as much of it as Aside needs, without a compiler: the schema is read from the .proto files themselves.

A message is a dict from field name to value; an enum value is its name (its number, if it has no name here). Decoding
fills in the defaults of absent numbers, enums, strings and bytes; an absent message stays absent.
"""
import pathlib, re


class Schema:
    def __init__(self, folder):
        text = "\n".join(file.read_text("utf-8") for file in sorted(folder.glob("*.proto")))
        text = re.sub(r"oneof \w+ \{([^}]*)\}", r"\1", re.sub(r"//.*", "", text))
        self.messages, self.enums = {}, {}
        for what, name, body in re.findall(r"\b(message|enum) (\w+) \{([^}]*)\}", text):
            if what == "enum":
                self.enums[name] = {value: int(number) for value, number in re.findall(r"(\w+) = (\d+);", body)}
            else:
                fields = re.findall(r"(repeated )?(\w+) (\w+) = (\d+);", body)
                self.messages[name] = {int(number): (bool(many), kind, field) for many, kind, field, number in fields}

    def encode(self, message, values):
        out = b""
        for number, (many, kind, name) in self.messages[message].items():
            for value in values.get(name, []) if many else [values[name]] if name in values else []:
                if kind in self.messages:
                    value = self.encode(kind, value)
                elif kind in self.enums:
                    value = self.enums[kind][value]
                elif kind == "string":
                    value = value.encode("utf-8")
                is_number = isinstance(value, int)
                out += varint(number << 3 | (0 if is_number else 2))
                out += varint(value) if is_number else varint(len(value)) + value
        return out

    def decode(self, message, data):
        fields = self.messages[message]
        values = {name: [] if many else self.value(kind, b"" if kind in ("bytes", "string") else 0)
                  for many, kind, name in fields.values() if many or kind not in self.messages}
        for number, raw in split(data):
            many, kind, name = fields.get(number, (False, None, None))  # fields without a name here are skipped
            takes_bytes = kind in ("bytes", "string") or kind in self.messages
            if kind and takes_bytes == isinstance(raw, bytes):
                values[name] = values[name] + [self.value(kind, raw)] if many else self.value(kind, raw)
            elif kind and many and isinstance(raw, bytes):  # several numbers, packed into one field
                values[name] = values[name] + [self.value(kind, item) for item in varints(raw)]
        return values

    def value(self, kind, raw):
        if kind in self.messages:
            return self.decode(kind, raw)
        if kind in self.enums:
            return next((name for name, number in self.enums[kind].items() if number == raw), raw)
        return raw.decode("utf-8") if kind == "string" else raw


def varint(value):
    """7 bits a byte, the lowest first; all but the last byte have the top bit set."""
    return bytes([value & 127 | 128]) + varint(value >> 7) if value > 127 else bytes([value])


def read_varint(data, at):
    value = shift = 0
    while at < len(data) and shift < 64:
        value, shift, at = value | (data[at] & 127) << shift, shift + 7, at + 1
        if data[at - 1] < 128:
            return value, at
    raise ValueError("not a varint")


def varints(data):
    at = 0
    while at < len(data):
        value, at = read_varint(data, at)
        yield value


def split(data):
    """Cuts an encoded message into its fields: (number, int for wire type 0, bytes for the others)."""
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        if key & 7 == 0:
            value, at = read_varint(data, at)
        elif key & 7 in (1, 2, 5):
            size, at = read_varint(data, at) if key & 7 == 2 else (8 if key & 7 == 1 else 4, at)
            value, at = data[at : at + size], at + size
        else:
            raise ValueError("a wire type that proto3 does not have")
        if at > len(data):
            raise ValueError("cut short")
        yield key >> 3, value


SCHEMA = Schema(pathlib.Path(__file__).resolve().parents[2] / "proto/aside/v1")
