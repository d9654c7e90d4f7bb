"""Which columns of a source feed which of a contract, and what is said about the others."""

from __future__ import annotations

from collections.abc import Sequence

from dativo.config.asset import Asset, Field
from dativo.config.job import ValidationMode
from dativo.errors import ContractError, SourceError, listed, nearest


def match_columns(asset: Asset, columns: Sequence[str]) -> dict[str, str | None]:
    """The source column of each contract column: the same name, or the same but for white space around it."""
    stripped = {c.strip(): c for c in reversed(columns)}
    return {
        f.name: f.source_name if f.source_name in columns else stripped.get(f.source_name.strip()) for f in asset.fields
    }


def report_columns(
    asset: Asset, matched: dict[str, str | None], extra: tuple[str, ...], columns: Sequence[str], mode: ValidationMode
) -> list[str]:
    """What a person should know of columns that are not on both sides.

    Raises SourceError when no column of the contract is in the source, ContractError when a required one is missing and the
    mode loads no such rows, or when in warn mode a column outside the contract would take the name of one in it.
    """
    absent = [f for f in asset.fields if matched[f.name] is None]
    if len(absent) == len(asset.fields):
        raise SourceError(
            f"none of the {len(asset.fields)} columns of {asset.label} is in the source",
            hint=f"the source has: {listed(columns)}\nthe contract wants: {listed(f.source_name for f in asset.fields)}\n"
            "check the delimiter, the header, and `physicalName` in the contract",
        )

    def near(entry: Field) -> str:
        guess = nearest(entry.source_name, extra)
        return f" (the source has '{guess}': is it meant?)" if guess else ""

    required = [f for f in absent if f.required and f.default is None]
    if required and mode != "warn":
        raise ContractError(
            f"the source lacks {'a required column' if len(required) == 1 else 'required columns'} of {asset.label}: "
            + ", ".join(f"'{f.source_name}'{near(f)}" for f in required),
            hint=f"the source has: {listed(columns)}\nmap a column with `physicalName`, or make it not required",
        )
    notes = []
    for entry in absent:
        fate = "its default" if entry.default is not None else "null"
        notes.append(f"the source lacks '{entry.source_name}'{near(entry)}: it is loaded as {fate}")
    if mode == "warn":
        _check_names(asset, extra)
    if extra:
        fate = "kept as text" if mode == "warn" else "left out"
        noun = "column that is" if len(extra) == 1 else "columns that are"
        notes.append(f"{len(extra)} {noun} not in the contract {fate}: {listed(extra)}")
    return notes


def _check_names(asset: Asset, extra: tuple[str, ...]) -> None:
    """Raises ContractError where a column outside the contract, kept as text, would take a contract column's name."""
    taken = {f.name.casefold(): f for f in asset.fields}
    for name in extra:
        field = taken.get(name.casefold())
        if field is not None:
            raise ContractError(
                f"the source's column '{name}' is not in the contract, but would be kept beside its column '{field.name}'",
                hint=f"say which of the two is meant: `physicalName: {name}` in the contract, or rename the column",
                mark=field.mark,
            )
