"""What the structs of configuration say of their settings: names, types, limits, defaults and meanings.

Decoding, the editors' JSON schemas and the reference pages are made of this. A struct's class variables: `unknown` says
what becomes of keys that it does not have, `aliases` has other names of keys that it has.
"""

from __future__ import annotations

import functools
import types
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec

Kind = Literal["any", "null", "text", "bool", "int", "float", "literal", "list", "tuple", "map", "struct", "union"]

_SCALARS: dict[Any, Kind] = {
    Any: "any", None: "null", type(None): "null", str: "text", bool: "bool", int: "int", float: "float"
}  # fmt: skip


class Type(NamedTuple):
    """The type of a setting: `item` of lists and maps, `members` of unions, `values` of literals, `struct` of blocks."""

    kind: Kind
    item: Type | None = None
    members: tuple[Type, ...] = ()
    values: tuple[str | int, ...] = ()
    struct: type[msgspec.Struct] | None = None
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    min_length: int | None = None
    pattern: str | None = None

    @property
    def takes_null(self) -> bool:
        return self.kind in ("any", "null") or any(m.kind == "null" for m in self.members)

    @property
    def limits(self) -> str:
        """The limits of a number, as ` >= 1`."""
        parts = ((">=", self.ge), (">", self.gt), ("<=", self.le))
        return "".join(f" {sign} {limit:g}" for sign, limit in parts if limit is not None)


class Setting(NamedTuple):
    """One field of a struct: `name` in the program, `key` in files."""

    name: str
    key: str
    type: Type
    required: bool
    default: Any
    description: str


class Shape(NamedTuple):
    """A struct's settings by their keys, their other names, and the rule for the rest."""

    settings: dict[str, Setting]
    aliases: dict[str, str]
    unknown: Literal["error", "keep", "free"]


@functools.cache
def shape(cls: type[msgspec.Struct]) -> Shape:
    """The shape of a struct; the field `extra`, which holds unknown keys, is not a setting."""
    found = {}
    for field in msgspec.structs.fields(cls):
        if field.name == "extra":
            continue
        default = None if field.default is msgspec.NODEFAULT else field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        found[field.encode_name] = Setting(
            field.name, field.encode_name, read_type(field.type), field.required, default, _description(field.type)
        )
    return Shape(found, getattr(cls, "aliases", {}), getattr(cls, "unknown", "error"))


def read_type(annotation: Any) -> Type:
    """The type that an annotation means; structs inside it are not looked into."""
    if annotation in _SCALARS:
        return Type(_SCALARS[annotation])
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _constrained(read_type(arguments[0]), arguments[1:])
    if origin is Literal:
        return Type("literal", values=arguments)
    if origin in (Union, types.UnionType):
        return Type("union", members=tuple(read_type(a) for a in arguments))
    if origin in (list, tuple):
        return Type("list" if origin is list else "tuple", read_type(arguments[0]))
    if origin is dict:
        return Type("map", read_type(arguments[1]))
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return Type("struct", struct=annotation)
    raise TypeError(f"no setting can have the type {annotation!r}")


def _constrained(found: Type, notes: tuple[Any, ...]) -> Type:
    for meta in notes:
        limits = {name: getattr(meta, name) for name in ("ge", "gt", "le", "min_length", "pattern")}
        found = found._replace(**{k: v for k, v in limits.items() if v is not None})
    return found


def _description(annotation: Any) -> str:
    notes = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    return next((m.description for m in reversed(notes) if m.description), "")
