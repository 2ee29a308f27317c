"""What vendors call the columns of a bar, in English and Chinese (S3-19), and how they write nothing. Data only."""

DATE, SYMBOL_COLUMN, ADJUSTED_CLOSE, FACTOR = "date", "symbol", "adjusted_close", "factor"
PRICES = ("open", "high", "low", "close", "previous_close")
REQUIRED = (DATE, "open", "high", "low", "close")
# The numbers a row may carry, besides its date and symbol.
NUMBERS = ("open", "high", "low", "close", "volume", "amount", "previous_close", ADJUSTED_CLOSE, FACTOR)
FIELDS = (DATE, SYMBOL_COLUMN, *NUMBERS)

# Names are compared without case, blanks, underscores, hyphens and bracketed units.
ALIASES: dict[str, tuple[str, ...]] = {
    DATE: (
        *("date", "trade date", "trading date", "trade day", "datetime", "timestamp", "day", "time"),
        *("日期", "交易日期", "交易日", "时间", "交易时间", "日期时间"),
    ),
    SYMBOL_COLUMN: (
        *("symbol", "ticker", "tic", "code", "ts code", "stock code", "instrument", "order book id"),
        *("股票代码", "证券代码", "代码", "合约代码", "基金代码", "指数代码"),
    ),
    "open": ("open", "open price", "opening price", "开盘", "开盘价", "今开"),
    "high": ("high", "high price", "highest", "最高", "最高价"),
    "low": ("low", "low price", "lowest", "最低", "最低价"),
    "close": ("close", "close price", "closing price", "close/last", "收盘", "收盘价"),
    "volume": ("volume", "vol", "vol.", "成交量", "成交数量", "总手"),
    "amount": ("amount", "amt", "money", "quote volume", "quote asset volume", "成交额", "成交金额"),
    "previous_close": (
        *("previous close", "prev close", "pre close", "pre close price"),
        *("昨收", "昨收价", "昨收盘", "昨日收盘", "前收", "前收盘", "前收盘价"),
    ),
    ADJUSTED_CLOSE: (
        *("adj close", "adjusted close", "adj. close", "close adj"),
        *("复权收盘", "复权收盘价", "前复权收盘价", "后复权收盘价"),
    ),
    FACTOR: ("factor", "adj factor", "adjust factor", "adjustment factor", "复权因子", "后复权因子", "累计复权因子"),
}
# Meant as the symbol only where no column above is one: `Name` is the ticker in one vendor's files and the
# company in another's, beside its code.
SYMBOL_IF_NOTHING_ELSE = ("name",)

# A header that states its unit is believed, never applied: the entry's `units` must say the same. Any other
# bracket stays part of the name: `Volume (USD)` is no number of shares.
_SHARES: dict[float, tuple[str, ...]] = {
    1.0: ("股", "份", "shares"),
    1e2: ("手", "百股", "lots"),
    1e3: ("千股",),
    1e4: ("万", "万股"),
    1e8: ("亿", "亿股"),
}
_MONEY: dict[float, tuple[str, ...]] = {
    1.0: ("元", "yuan", "cny", "rmb", "usd"),
    1e3: ("千元",),
    1e4: ("万", "万元"),
    1e6: ("百万元",),
    1e8: ("亿", "亿元"),
}


def _by_name(units: dict[float, tuple[str, ...]]) -> dict[str, float]:
    return {name: unit for unit, names in units.items() for name in names}


STATED_UNITS = {name: _by_name(_MONEY) for name in (*PRICES, "amount", ADJUSTED_CLOSE)} | {"volume": _by_name(_SHARES)}

NULLS = ("", "NaN", "nan", "null", "NULL", "None", "--", "-", "N/A", "NA", "#N/A")
# A symbol may well be called NA or NULL; these are what programs write where they had none.
NO_SYMBOL = ("", "NaN", "nan", "null", "None", "--", "-")
# A last line without columns is a remark only where it says so; anything else is a cut-off row.
REMARK_MARKS = ("#", "来源", "source:", "copyright", "©", "(c)")
DELIMITERS = (",", "\t", ";", "|")
