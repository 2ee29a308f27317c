"""What a feature's values are counted in."""

from enum import StrEnum


class Unit(StrEnum):
    """What a value is counted in: a number that prices do not scale, money of its session, or its session's shares."""

    NUMBER = "number"
    PRICE = "price"
    SHARES = "shares"
