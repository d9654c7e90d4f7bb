"""Treatments of a column as expressions, and the column they leave behind."""

from __future__ import annotations

import msgspec
import polars as pl

from dativo.config.asset import Field
from dativo.config.privacy import Treatment
from dativo.contract.written import json_text

REDACTED = "[redacted]"


def treated_field(field: Field, treatment: Treatment) -> Field | None:
    """The column after a treatment: a hash is text, a dropped one is gone, a redacted one may be null."""
    if treatment == "drop":
        return None
    bare = msgspec.structs.replace(field, precision=0, scale=0, item=None, fields=())
    if treatment == "hash":
        return msgspec.structs.replace(bare, kind="string")
    if treatment == "redact":
        return field if field.kind == "string" else msgspec.structs.replace(field, required=False)
    if treatment == "partial":
        return msgspec.structs.replace(bare, kind="string")
    return field


def treated(field: Field, value: pl.Expr, treatment: Treatment, key: str | None) -> pl.Expr | None:
    """The value after a treatment, null where it was null; None when the column is dropped.

    `hash` is HMAC-SHA-256 of the value's text under the tenant's key, in hexadecimal: equal values stay equal within a
    tenant, and nobody without the key can try values out. `partial` keeps a little for the eye.
    """
    if treatment == "drop":
        return None
    if treatment == "hash":
        import polars_hash as plh

        assert key is not None
        return plh.concat_str(_text(field, value)).chash.hmac_sha256(key=key)
    if treatment == "redact":
        if field.kind == "string":
            return pl.when(value.is_not_null()).then(pl.lit(REDACTED))
        return pl.when(pl.lit(False)).then(value)
    if treatment == "partial":
        return partial(_text(field, value))
    return value


def partial(text: pl.Expr) -> pl.Expr:
    """`a***@example.com` of an address; first and last character of other text, nothing of a short one."""
    # What looks like an address is one word; behind an @ in other text stands anything.
    local = text.str.extract(r"^([^@\s])[^@\s]*@[\w.-]+$", 1)
    domain = text.str.extract(r"^[^@\s]+@([\w.-]+)$", 1)
    address = pl.concat_str(local, pl.lit("***@"), domain)
    ends = pl.concat_str(text.str.slice(0, 1), pl.lit("***"), text.str.slice(-1, 1))
    short = pl.when(text.str.len_chars() > 3).then(ends).when(text.is_not_null()).then(pl.lit("***"))
    return pl.coalesce(address, short)


def shown(text: pl.Expr, treatment: Treatment) -> pl.Expr:
    """A text for a person's eye: in part where the treatment keeps a part, else nothing of it."""
    return partial(text) if treatment == "partial" else pl.when(text.is_not_null()).then(pl.lit(REDACTED))


def _text(field: Field, value: pl.Expr) -> pl.Expr:
    if field.kind in ("list", "struct"):
        return pl.when(value.is_not_null()).then(json_text(field, value))
    if field.kind == "binary":
        return value.bin.encode("hex")
    return value.cast(pl.String)
