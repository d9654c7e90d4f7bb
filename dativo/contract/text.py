"""How text becomes values, apart from what the contract says of each column."""

from __future__ import annotations

from typing import Literal

import msgspec

TRUE = ("true", "1", "yes", "on")
FALSE = ("false", "0", "no", "off")


class TextRules(msgspec.Struct, frozen=True, kw_only=True):
    """The source's part in reading text: what means null, and how dates, numbers and booleans are written.

    `timezone` is the zone of times that carry none; `dst` chooses between the two times that a clock change doubles.
    """

    nulls: tuple[str, ...] = ()
    date_formats: tuple[str, ...] = ()
    timezone: str = "UTC"
    dst: Literal["earlier", "later"] | None = None
    thousands: str | None = None
    decimal_separator: str = "."
    true_values: tuple[str, ...] = TRUE
    false_values: tuple[str, ...] = FALSE
