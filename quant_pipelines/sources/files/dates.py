"""From a column of stamps to session labels: one form per file, proven or refused."""

# pyarrow.compute makes its functions when it is imported, so no checker finds them.
# pyright: reportAttributeAccessIssue=false

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from quant_pipelines.calendars import Calendar
from quant_pipelines.sources.files.refusals import Unreadable

Labels = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

ISO, COMPACT = "YYYY-MM-DD", "YYYYMMDD"
EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
# A year outside is a misread column, not a bar.
_YEARS = (1800, 2200)
_DAYS_OF_DIGITS = 10_000, 100
_LAST_MONTH = 12
_UNIX_YEAR = 1970
_SAMPLE = 64
_OFFSET = re.compile(r"Z|[+-](?P<hours>\d\d):?(?P<minutes>[0-5]\d)", re.ASCII)
_FARTHEST_HOURS = 15

_DATE_PARTS = {
    ISO: r"(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})",
    COMPACT: r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})",
    "YYYY-M-D": r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})",
    "YYYY/M/D": r"(?P<y>\d{4})/(?P<m>\d{1,2})/(?P<d>\d{1,2})",
    "YYYY.M.D": r"(?P<y>\d{4})\.(?P<m>\d{1,2})\.(?P<d>\d{1,2})",
    "YYYY年M月D日": r"(?P<y>\d{4})年(?P<m>\d{1,2})月(?P<d>\d{1,2})日",
    # Which is the month is decided by the whole column, see _in_order.
    "D/M/YYYY": r"(?P<a>\d{1,2})/(?P<b>\d{1,2})/(?P<y>\d{4})",
    "D-M-YYYY": r"(?P<a>\d{1,2})-(?P<b>\d{1,2})-(?P<y>\d{4})",
    "D.M.YYYY": r"(?P<a>\d{1,2})\.(?P<b>\d{1,2})\.(?P<y>\d{4})",
}
_TIME_PARTS = {
    "": "",
    " hh:mm": r"[ T](?P<H>\d{1,2}):(?P<M>\d{2})",
    " hh:mm:ss": r"[ T](?P<H>\d{1,2}):(?P<M>\d{2}):(?P<S>\d{2})(?:\.(?P<f>\d{1,9}))?",
}
_OFFSET_PARTS = {"": "", "±hh:mm": r" ?(?P<z>Z|[+-]\d{2}:?\d{2})"}


@dataclass(frozen=True, slots=True)
class DateForm:
    """One way to write a stamp: its name, as people read it, and its pattern, as RE2 reads it."""

    name: str
    pattern: str


def _forms() -> Iterator[DateForm]:
    for date_name, date_part in _DATE_PARTS.items():
        for time_name, time_part in _TIME_PARTS.items():
            for offset_name, offset_part in _OFFSET_PARTS.items():
                if time_name or not offset_name:
                    yield DateForm(date_name + time_name + offset_name, f"^{date_part}{time_part}{offset_part}$")


FORMS = tuple(_forms())
_COMPILED = tuple((form, re.compile(form.pattern, re.ASCII)) for form in FORMS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamps:
    """Stamps as written, in microseconds, and where they have one, what lies between them and UTC."""

    local: Labels
    offset: Labels | None = None
    has_time: bool
    form: str


def forms_of(text: str) -> list[DateForm]:
    """The forms a single stamp could be written in; a stricter one comes first."""
    return [form for form, pattern in _COMPILED if pattern.match(text)]


def read_stamps(texts: pa.Array, date_format: str | None) -> Stamps:
    """Stamps of a text column, by the declared format, or by the one form that every value has."""
    if date_format in EPOCHS:
        return _epoch_stamps(texts, date_format)
    if date_format is not None:
        return _declared_stamps(texts, date_format)
    first = next((each.as_py() for each in texts[:_SAMPLE] if each.as_py()), "")
    candidates = forms_of(first)
    for form in candidates:
        parts = pc.extract_regex(texts, form.pattern)
        if parts.null_count == 0:
            return _stamps_of(parts, form)
    raise _unlike(texts, first, candidates)


def _unlike(texts: pa.Array, first: str, candidates: list[DateForm]) -> Unreadable:
    if not candidates:
        return _no_date(texts[0].as_py(), 0)
    fits = [pc.match_substring_regex(texts, form.pattern).to_numpy(zero_copy_only=False) for form in candidates]
    row = max(int(np.argmin(fit.astype(bool))) for fit in fits)
    text = texts[row].as_py()
    if not forms_of(text):
        return _no_date(text, row)
    return Unreadable(
        f"two date formats in one column: {first!r} and {text!r}. Deliver one format, or declare date_format.", row=row
    )


def _no_date(text: str | None, row: int) -> Unreadable:
    if not text or not text.strip():
        return Unreadable("no date in this row. Every bar needs one.", row=row)
    if text.isdigit():
        hint = "Seconds since 1970 must be declared, as date_format: epoch_s, epoch_ms or epoch_us."
    else:
        hint = "Expected e.g. 2014-01-31, 20140131 or 2014/1/31; declare any other as date_format."
    return Unreadable(f"{text!r} is no date. {hint}", row=row)


def _stamps_of(parts: pa.Array, form: DateForm) -> Stamps:
    names = {parts.type.field(index).name for index in range(parts.type.num_fields)}
    fields = {name: _numbers(parts.field(name)) for name in names - {"z", "f"}}
    name = form.name
    if "a" in names:
        fields["m"], fields["d"], name = _in_order(fields["a"], fields["b"], form)
    days = civil_days(fields["y"], fields["m"], fields["d"])
    has_time = "H" in names
    if not has_time:
        return Stamps(local=days * _DAY, has_time=False, form=name)
    seconds = fields.get("S", np.zeros_like(days))
    _check_time(fields["H"], fields["M"], seconds)
    local = days * _DAY + fields["H"] * _HOUR + fields["M"] * _MINUTE + seconds * _SECOND
    if "f" in names:
        local = local + _numbers(pc.utf8_slice_codeunits(pc.utf8_rpad(parts.field("f"), 6, "0"), 0, 6))
    offset = _offsets(parts.field("z")) if "z" in names else None
    return Stamps(local=local, offset=offset, has_time=True, form=name)


def _numbers(texts: pa.Array) -> Labels:
    return pc.if_else(pc.equal(texts, ""), "0", texts).cast(pa.int64()).to_numpy(zero_copy_only=False)


def _in_order(first: Labels, second: Labels, form: DateForm) -> tuple[Labels, Labels, str]:
    """Month and day of stamps that begin with one of them; only a number above 12 can tell which."""
    first_is_day, second_is_day = bool((first > _LAST_MONTH).any()), bool((second > _LAST_MONTH).any())
    if first_is_day and second_is_day:
        row = int(np.argmax(second > _LAST_MONTH)) if first[0] > _LAST_MONTH else int(np.argmax(first > _LAST_MONTH))
        raise Unreadable("two date formats in one column: day first and month first. Deliver one format.", row=row)
    if not first_is_day and not second_is_day:
        raise Unreadable(
            "no date of this file tells day from month: every one has both at most 12. "
            "Declare date_format, e.g. '%d/%m/%Y' or '%m/%d/%Y'.",
            row=0,
        )
    if first_is_day:
        return second, first, form.name
    separator = form.name[1]
    return first, second, form.name.replace(f"D{separator}M", f"M{separator}D")


def civil_days(year: Labels, month: Labels, day: Labels) -> Labels:
    """Days since 1970; dates that no calendar has, such as 30 February, are refused."""
    sane = (year >= _YEARS[0]) & (year <= _YEARS[1]) & (month >= 1) & (month <= _LAST_MONTH) & (day >= 1)
    months = np.where(sane, (year - _UNIX_YEAR) * 12 + month - 1, 0).astype("datetime64[M]")
    dates = months.astype("datetime64[D]") + np.where(sane, day - 1, 0)
    real = sane & (dates.astype("datetime64[M]") == months)
    if not real.all():
        row = int(np.argmin(real))
        raise Unreadable(f"there is no day {year[row]}-{month[row]:02d}-{day[row]:02d}. Correct the date.", row=row)
    return dates.astype(np.int64)


def _check_time(hour: Labels, minute: Labels, second: Labels) -> None:
    real = (hour < 24) & (minute < 60) & (second < 60)  # noqa: PLR2004  # a clock's face
    if not real.all():
        row = int(np.argmin(real))
        raise Unreadable(f"there is no time {hour[row]:02d}:{minute[row]:02d}:{second[row]:02d}. Correct it.", row=row)


def _offsets(texts: pa.Array) -> Labels:
    encoded = texts.dictionary_encode()
    minutes = [_offset(text) for text in encoded.dictionary.to_pylist()]
    return np.array(minutes, dtype=np.int64)[encoded.indices.to_numpy()]


def _offset(text: str) -> int:
    found = _OFFSET.fullmatch(text)
    if found is None or int(found["hours"] or 0) > _FARTHEST_HOURS:
        raise Unreadable(f"there is no offset {text!r} from UTC. Correct it.")
    length = int(found["hours"] or 0) * _HOUR + int(found["minutes"] or 0) * _MINUTE
    return -length if text[0] == "-" else length


def compact_stamps(numbers: Labels) -> Stamps:
    """Stamps written as whole numbers, 20140131."""
    years, months = _DAYS_OF_DIGITS
    days = civil_days(numbers // years, numbers // months % months, numbers % months)
    return Stamps(local=days * _DAY, has_time=False, form=COMPACT)


def date_stamps(days: pa.Array) -> Stamps:
    """Stamps that are dates already."""
    local = days.cast(pa.int32()).to_numpy(zero_copy_only=False).astype(np.int64) * _DAY
    check_years(local)
    return Stamps(local=local, has_time=False, form=ISO)


def check_years(instants: Labels) -> None:
    """Refuses what no bar can be stamped with: a sign of a damaged or misread column."""
    sane = (instants >= _first_of_year(_YEARS[0])) & (instants < _first_of_year(_YEARS[1] + 1))
    if not sane.all():
        row = int(np.argmin(sane))
        raise Unreadable(f"no bar is from before {_YEARS[0]} or after {_YEARS[1]}. Correct the date.", row=row)


def _first_of_year(year: int) -> int:
    return int(np.datetime64(f"{year:04d}-01-01", "us").astype(np.int64))


def _epoch_stamps(texts: pa.Array, unit: str) -> Stamps:
    digits = pc.match_substring_regex(texts, r"^\d{1,16}$").to_numpy(zero_copy_only=False).astype(bool)
    if not digits.all():
        row = int(np.argmin(digits))
        raise Unreadable(f"{texts[row].as_py()!r} is no whole number, but date_format is {unit}.", row=row)
    numbers = texts.cast(pa.int64()).to_numpy(zero_copy_only=False)
    # Compared before it is multiplied, which might overflow.
    far = numbers > _first_of_year(_YEARS[1] + 1) // EPOCHS[unit]
    local = np.where(far, np.iinfo(np.int64).max, numbers * EPOCHS[unit])
    check_years(local)
    return Stamps(local=local, offset=np.zeros_like(local), has_time=True, form=unit)


def _declared_stamps(texts: pa.Array, date_format: str) -> Stamps:
    encoded = texts.dictionary_encode()
    positions = encoded.indices.to_numpy()
    parsed: list[datetime] = []
    for position, text in enumerate(encoded.dictionary.to_pylist()):
        try:
            parsed.append(datetime.strptime(text.strip(), date_format))
        except ValueError as error:
            row = int(np.argmax(positions == position))
            raise Unreadable(f"{text!r} is not written as date_format {date_format!r}.", row=row) from error
    aware = [each.utcoffset() for each in parsed]
    if any(offset is None for offset in aware) and any(offset is not None for offset in aware):
        raise Unreadable("some stamps have an offset from UTC and some have none. Deliver one kind.", row=0)
    local = np.array([each.replace(tzinfo=None) for each in parsed], dtype="datetime64[us]").astype(np.int64)
    offsets = [each // timedelta(microseconds=1) for each in aware if each is not None]
    return Stamps(
        local=local[positions],
        offset=np.array(offsets, dtype=np.int64)[positions] if offsets else None,
        has_time=any(code in date_format for code in ("%H", "%I", "%X", "%c")),
        form=date_format,
    )


def session_labels(stamps: Stamps, calendar: Calendar) -> Labels:
    """What each stamp's session is called: its date in a daily market, its hour in an hourly one."""
    if calendar.step < timedelta(days=1):
        return _hourly_labels(stamps, calendar.timezone)
    if not stamps.has_time or _at_midnight(stamps.local).all():
        return stamps.local
    if stamps.offset is not None:
        elsewhere = in_zone(stamps.local - stamps.offset, calendar.timezone)
        if _at_midnight(elsewhere).all():
            return elsewhere
    row = int(np.argmin(_at_midnight(stamps.local)))
    raise Unreadable(
        "stamps with a time of day in a market of daily bars: these look like intraday bars. "
        "If they are daily, write their time into date_format, e.g. '%Y-%m-%d 15:00:00'.",
        row=row,
    )


def _hourly_labels(stamps: Stamps, zone: str) -> Labels:
    if not stamps.has_time:
        raise Unreadable("stamps without a time of day in a market of hourly bars. Deliver hourly bars.", row=0)
    return stamps.local if stamps.offset is None else in_zone(stamps.local - stamps.offset, zone)


def _at_midnight(local: Labels) -> Flags:
    return local % _DAY == 0


def in_zone(instants: Labels, zone: str) -> Labels:
    """What clocks of a zone (`Asia/Shanghai` or `+08:00`) showed at instants of UTC."""
    if zone == "UTC":
        return instants
    if zone[0] in "+-":
        return instants + _offset(zone)
    # Python's zones, not arrow's: arrow needs a zone database that a slim machine does not have.
    unique, positions = np.unique(instants, return_inverse=True)
    try:
        home = ZoneInfo(zone)
    except (ValueError, OSError, ZoneInfoNotFoundError) as error:
        raise Unreadable(f"stamps in the unknown time zone {zone!r}. Write them in UTC.") from error
    begin = datetime(1970, 1, 1, tzinfo=UTC)
    moved = [(begin + timedelta(microseconds=int(each))).astimezone(home).replace(tzinfo=None) for each in unique]
    return np.array(moved, dtype="datetime64[us]").astype(np.int64)[positions]
