"""Reads a Varlink interface description, and holds what was said on the wire against it.

A type is a word ("int", "Worker"), ("optional", T), ("array", T), ("map", T), ("enum", names) or
("struct", {field: T}). check() fails with the path of the value that does not fit.
"""

import re

TOKEN = re.compile(r"\s+|#[^\n]*|(->|\[string\]|\[\]|[():,?]|[A-Za-z][A-Za-z0-9_.-]*)")
FIELD = re.compile(r"[A-Za-z](_?[A-Za-z0-9])*\Z")
MEMBER = re.compile(r"[A-Z][A-Za-z0-9]*\Z")
INTERFACE = re.compile(r"[A-Za-z](-*[A-Za-z0-9])*(\.[A-Za-z0-9](-*[A-Za-z0-9])*)+\Z")
BASIC = {"bool": bool, "int": int, "float": (int, float), "string": str, "object": dict}


class Broken(Exception):
    """The description is not Varlink."""


def split(text):
    tokens, at = [], 0
    while at < len(text):
        found = TOKEN.match(text, at)
        if not found:
            raise Broken(f"line {text.count(chr(10), 0, at) + 1}: {text[at:at + 20]!r}")
        if found[1]:
            tokens.append(found[1])
        at = found.end()
    return tokens


class Interface:
    def __init__(self, text):
        self.text = text
        self.types, self.methods, self.errors = {}, {}, {}
        self.tokens = split(text)
        self.take("interface")
        self.name = self.take_name(INTERFACE)
        while self.tokens:
            self.member()
        for name, used in self.names_used():
            if used not in self.types and used not in BASIC:
                raise Broken(f"{name} uses {used}, which is nowhere")

    def take(self, *wanted):
        token = self.tokens.pop(0) if self.tokens else "the end"
        if wanted and token not in wanted:
            raise Broken(f"{token!r} where one of {wanted} belongs")
        return token

    def take_name(self, pattern):
        name = self.take()
        if not pattern.match(name):
            raise Broken(f"{name!r} is no name of its kind")
        return name

    def member(self):
        kind = self.take("type", "method", "error")
        name = self.take_name(MEMBER)
        if any(name in members for members in (self.types, self.methods, self.errors)):
            raise Broken(f"{name} is there twice")
        if kind == "method":
            parameters = self.struct()
            self.take("->")
            self.methods[name] = (parameters, self.struct())
        elif kind == "error":
            self.errors[name] = self.struct()
        else:
            self.types[name] = self.struct_or_enum()

    def struct(self):
        type_ = self.struct_or_enum()
        if type_[0] != "struct":
            raise Broken("an enum where a struct belongs")
        return type_

    def struct_or_enum(self):
        self.take("(")
        if self.tokens[:1] == [")"]:
            self.take()
            return ("struct", {})
        if self.tokens[1:2] != [":"]:
            return ("enum", self.listed(lambda: (self.take_name(FIELD), None)).keys())
        return ("struct", self.listed(self.field))

    def listed(self, item):
        items = {}
        while True:
            name, value = item()
            if name in items:
                raise Broken(f"{name} is there twice")
            items[name] = value
            if self.take(",", ")") == ")":
                return items

    def field(self):
        name = self.take_name(FIELD)
        self.take(":")
        return name, self.type()

    def type(self):
        first = self.tokens[:1]
        if first == ["("]:
            return self.struct_or_enum()
        if first == ["?"]:
            self.take()
            inner = self.type()
            if inner[0] == "optional":
                raise Broken("?? is no type")
            return ("optional", inner)
        if first in (["[]"], ["[string]"]):
            return ("array" if self.take() == "[]" else "map", self.type())
        return self.take_name(FIELD)

    def names_used(self):
        stack = [*self.types.items(), *self.errors.items()]
        for name, (parameters, reply) in self.methods.items():
            stack += [(name, parameters), (name, reply)]
        while stack:
            name, type_ = stack.pop()
            if isinstance(type_, str):
                yield name, type_
            elif type_[0] == "struct":
                stack += [(f"{name}.{field}", inner) for field, inner in type_[1].items()]
            elif type_[0] != "enum":
                stack.append((name, type_[1]))

    def check(self, value, type_, path):
        """Fails unless @value is of @type_, all its fields known and none missing."""
        kind, of = (type_, None) if isinstance(type_, str) else type_
        if kind in BASIC:
            good = isinstance(value, BASIC[kind]) and (kind == "bool" or value is not True
                                                       and value is not False)
            assert good, f"{path}: {value!r} is no {kind}"
        elif kind in self.types:
            self.check(value, self.types[kind], path)
        elif kind == "optional":
            if value is not None:
                self.check(value, of, path)
        elif kind == "enum":
            assert value in of, f"{path}: {value!r} is none of {sorted(of)}"
        elif kind == "array":
            assert isinstance(value, list), f"{path}: {value!r} is no array"
            for index, item in enumerate(value):
                self.check(item, of, f"{path}[{index}]")
        elif kind == "map":
            assert isinstance(value, dict), f"{path}: {value!r} is no map"
            for key, item in value.items():
                self.check(item, of, f"{path}[{key!r}]")
        else:
            self.check_struct(value, of, path)

    def check_struct(self, value, fields, path):
        assert isinstance(value, dict), f"{path}: {value!r} is no struct"
        unknown = set(value) - set(fields)
        assert not unknown, f"{path}: {sorted(unknown)} are not in the interface"
        for field, type_ in fields.items():
            if field in value:
                self.check(value[field], type_, f"{path}.{field}")
            else:
                assert type_[0] == "optional", f"{path}.{field} is missing"

    def check_reply(self, method, parameters):
        self.check(parameters, self.methods[method][1], method)

    def check_error(self, error, parameters):
        self.check(parameters, self.errors[error], error)
