"""JSON Schema (draft 2020-12) of the structs of configuration, saying what the loader accepts.

YAML is looser than JSON and the loader knows it: unquoted numbers may be text, quoted numbers are numbers, null is as good
as absent, and where environment variables are put in, any value may hold one.
"""

from __future__ import annotations

from typing import Any

import msgspec

from dativo.config.shapes import Setting, Type, shape

Schema = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_VARIABLE = r"\$[A-Za-z_{]"
_NUMBER = r"^[-+]?[0-9][0-9_.]*([eE][-+]?[0-9]+)?$"
_FLAG = r"^([Yy]es|YES|[Nn]o|NO|[Oo]n|ON|[Oo]ff|OFF|[Tt]rue|TRUE|[Ff]alse|FALSE)$"


class Definitions:
    """The definitions of structs, made as they are referred to.

    `variables` allows `${NAME}` in place of numbers, flags and fixed words; `exact` describes JSON that a program wrote.
    """

    def __init__(self, *, variables: bool = False, exact: bool = False) -> None:
        self.variables = variables
        self.exact = exact
        self.found: dict[str, Schema] = {}

    def reference(self, cls: type[msgspec.Struct]) -> Schema:
        """A reference to the definition of a struct."""
        if cls.__name__ not in self.found:
            self.found[cls.__name__] = {}  # structs may hold themselves
            self.found[cls.__name__] |= self.struct(cls)
        return {"$ref": f"#/$defs/{cls.__name__}"}

    def struct(self, cls: type[msgspec.Struct]) -> Schema:
        """The definition of a struct."""
        known = shape(cls)
        others: dict[str, list[str]] = {}
        for other, key in known.aliases.items():
            others.setdefault(key, []).append(other)
        properties: Schema = {}
        for key, setting in known.settings.items():
            properties[key] = self.setting(setting)
            for other in others.get(key, ()):
                properties[other] = {**self.type(setting.type, null=not setting.required), "description": f"= {key}"}
        made: Schema = {"type": "object", "description": summary(cls), "properties": properties}
        required = [key for key, s in known.settings.items() if s.required]
        if plain := [key for key in required if key not in others]:
            made["required"] = plain
        choices = [[key, *others[key]] for key in required if key in others]
        if choices:
            made["allOf"] = [{"anyOf": [{"required": [name]} for name in names]} for names in choices]
        made["additionalProperties"] = known.unknown != "error" and not self.exact
        return made

    def setting(self, setting: Setting) -> Schema:
        """The schema of one field with its meaning and its default."""
        made = self.type(setting.type, null=not setting.required)
        if setting.description:
            made["description"] = setting.description
        default = setting.default
        if default is not None and not isinstance(default, msgspec.Struct) and default not in ({}, [], ()):
            made["default"] = list(default) if isinstance(default, tuple) else default
        return made

    def type(self, type_: Type, *, null: bool = False) -> Schema:
        """The schema of a type; with `null` nothing is as good as a value."""
        made = self._bare(type_)
        if not null or self.exact or type_.takes_null or not made:
            return made
        return _either(made, {"type": "null"})

    def _bare(self, type_: Type) -> Schema:
        if type_.kind == "any":
            return {}
        if type_.kind == "struct" and type_.struct is not None:
            return self.reference(type_.struct)
        if type_.kind == "union":
            return _either(*(self._bare(m) for m in type_.members))
        if type_.kind in ("list", "tuple") and type_.item is not None:
            made: Schema = {"type": "array", "items": self._bare(type_.item)}
            return made | ({"minItems": type_.min_length} if type_.min_length else {})
        if type_.kind == "map" and type_.item is not None:
            inner = self._bare(type_.item)
            return {"type": "object", "additionalProperties": inner} if inner else {"type": "object"}
        return self._scalar(type_)

    def _scalar(self, type_: Type) -> Schema:
        if type_.kind == "null":
            return {"type": "null"}
        if type_.kind == "text":
            return self._text(type_)
        if type_.kind == "literal":
            return self._or_text({"enum": list(type_.values)})
        if type_.kind == "bool":
            return self._or_text({"type": "boolean"}, _FLAG)
        limits = {"minimum": type_.ge, "exclusiveMinimum": type_.gt, "maximum": type_.le}
        made: Schema = {"type": "integer" if type_.kind == "int" else "number"}
        made |= {name: limit for name, limit in limits.items() if limit is not None}
        return self._or_text(made, _NUMBER)

    def _text(self, type_: Type) -> Schema:
        made: Schema = {"type": "string" if self.exact else ["string", "number", "boolean"]}
        if type_.min_length:
            made["minLength"] = type_.min_length
        if type_.pattern:
            made["pattern"] = f"({type_.pattern})|{_VARIABLE}" if self.variables else type_.pattern
        return made

    def _or_text(self, made: Schema, written: str = "") -> Schema:
        """`made`, or text that is read as such."""
        if self.exact:
            return made
        patterns = [p for p in (written, _VARIABLE if self.variables else "") if p]
        return _either(made, {"type": "string", "pattern": "|".join(patterns)}) if patterns else made


def summary(cls: type[msgspec.Struct]) -> str:
    """What a struct is: the first paragraph of its docstring, on one line."""
    return " ".join((cls.__doc__ or "").split("\n\n")[0].split())


def _either(*schemas: Schema) -> Schema:
    flat: list[Schema] = []
    for schema in schemas:
        flat += schema["anyOf"] if set(schema) == {"anyOf"} else [schema]
    distinct = [s for i, s in enumerate(flat) if s not in flat[:i]]
    return {"anyOf": distinct} if len(distinct) > 1 else distinct[0]
