"""The 158 factors as data: name, expression, window, one sentence. The order is pyqlib's."""

from dataclasses import dataclass

from quant_pipelines.kernels.tile import WINDOWS


@dataclass(frozen=True, slots=True)
class Factor:
    """One column of the table."""

    name: str
    expression: str
    window: int
    sentence: str


_TODAY = {
    "KMID": ("($close-$open)/$open", "Body of the candle, relative to the open."),
    "KLEN": ("($high-$low)/$open", "Length of the candle, relative to the open."),
    "KMID2": ("($close-$open)/($high-$low+1e-12)", "Body as a part of the candle's length."),
    "KUP": ("($high-Greater($open, $close))/$open", "Upper shadow, relative to the open."),
    "KUP2": ("($high-Greater($open, $close))/($high-$low+1e-12)", "Upper shadow as a part of the candle's length."),
    "KLOW": ("(Less($open, $close)-$low)/$open", "Lower shadow, relative to the open."),
    "KLOW2": ("(Less($open, $close)-$low)/($high-$low+1e-12)", "Lower shadow as a part of the candle's length."),
    "KSFT": ("(2*$close-$high-$low)/$open", "Close against the middle of the candle, relative to the open."),
    "KSFT2": (
        "(2*$close-$high-$low)/($high-$low+1e-12)",
        "Close against the middle, as a part of the candle's length.",
    ),
    "OPEN0": ("$open/$close", "Open over close."),
    "HIGH0": ("$high/$close", "High over close."),
    "LOW0": ("$low/$close", "Low over close."),
    "VWAP0": ("$vwap/$close", "Volume-weighted price over close."),
}

_UP, _DOWN, _MOVE = "Greater({x}-Ref({x}, 1), 0)", "Greater(Ref({x}, 1)-{x}, 0)", "Abs({x}-Ref({x}, 1))"
_FLOW = "Abs($close/Ref($close, 1)-1)*$volume"


def _share(top: str, field: str) -> str:
    return f"{top}/(Sum({_MOVE}, {{d}})+1e-12)".replace("{x}", field)


def _gain(field: str) -> str:
    return f"Sum({_UP}, {{d}})".replace("{x}", field)


def _loss(field: str) -> str:
    return f"Sum({_DOWN}, {{d}})".replace("{x}", field)


_ROLLING = {
    "ROC": ("Ref($close, {d})/$close", "Close {d} sessions ago over close."),
    "MA": ("Mean($close, {d})/$close", "Mean close of {d} sessions over close."),
    "STD": ("Std($close, {d})/$close", "Standard deviation of the close over {d} sessions, relative to the close."),
    "BETA": ("Slope($close, {d})/$close", "Slope of the close over {d} sessions, relative to the close."),
    "RSQR": ("Rsquare($close, {d})", "How straight the close's trend over {d} sessions is: R squared."),
    "RESI": ("Resi($close, {d})/$close", "Close against its trend line over {d} sessions, relative to the close."),
    "MAX": ("Max($high, {d})/$close", "Highest high of {d} sessions over close."),
    "MIN": ("Min($low, {d})/$close", "Lowest low of {d} sessions over close."),
    "QTLU": ("Quantile($close, {d}, 0.8)/$close", "80 % quantile of the close over {d} sessions, over close."),
    "QTLD": ("Quantile($close, {d}, 0.2)/$close", "20 % quantile of the close over {d} sessions, over close."),
    "RANK": ("Rank($close, {d})", "Percentage rank of the close among the closes of {d} sessions."),
    "RSV": (
        "($close-Min($low, {d}))/(Max($high, {d})-Min($low, {d})+1e-12)",
        "Place of the close between the lowest low and the highest high of {d} sessions.",
    ),
    "IMAX": (
        "IdxMax($high, {d})/{d}",
        "Where in the window of {d} sessions the highest high stands; near 1 is recent.",
    ),
    "IMIN": ("IdxMin($low, {d})/{d}", "Where in the window of {d} sessions the lowest low stands; near 1 is recent."),
    "IMXD": (
        "(IdxMax($high, {d})-IdxMin($low, {d}))/{d}",
        "Sessions from the lowest low to the highest high, over {d}.",
    ),
    "CORR": ("Corr($close, Log($volume+1), {d})", "Correlation of close and log volume over {d} sessions."),
    "CORD": (
        "Corr($close/Ref($close, 1), Log($volume/Ref($volume, 1)+1), {d})",
        "Correlation of the changes of close and of volume over {d} sessions.",
    ),
    "CNTP": ("Mean($close>Ref($close, 1), {d})", "Share of rising sessions among {d}."),
    "CNTN": ("Mean($close<Ref($close, 1), {d})", "Share of falling sessions among {d}."),
    "CNTD": (
        "Mean($close>Ref($close, 1), {d})-Mean($close<Ref($close, 1), {d})",
        "Share of rising sessions minus share of falling ones among {d}.",
    ),
    "SUMP": (_share(_gain("$close"), "$close"), "Gains over all movement of the close in {d} sessions."),
    "SUMN": (_share(_loss("$close"), "$close"), "Losses over all movement of the close in {d} sessions."),
    "SUMD": (
        _share(f"({_gain('$close')}-{_loss('$close')})", "$close"),
        "Gains minus losses over all movement of the close in {d} sessions.",
    ),
    "VMA": ("Mean($volume, {d})/($volume+1e-12)", "Mean volume of {d} sessions over volume."),
    "VSTD": ("Std($volume, {d})/($volume+1e-12)", "Standard deviation of volume over {d} sessions, over volume."),
    "WVMA": (
        f"Std({_FLOW}, {{d}})/(Mean({_FLOW}, {{d}})+1e-12)",
        "Variation of the volume-weighted price change over {d} sessions.",
    ),
    "VSUMP": (_share(_gain("$volume"), "$volume"), "Increases over all movement of volume in {d} sessions."),
    "VSUMN": (_share(_loss("$volume"), "$volume"), "Decreases over all movement of volume in {d} sessions."),
    "VSUMD": (
        _share(f"({_gain('$volume')}-{_loss('$volume')})", "$volume"),
        "Increases minus decreases over all movement of volume in {d} sessions.",
    ),
}

FACTORS = (
    *(Factor(name, expression, 1, sentence) for name, (expression, sentence) in _TODAY.items()),
    *(
        Factor(f"{name}{window}", expression.replace("{d}", str(window)), window, sentence.replace("{d}", str(window)))
        for name, (expression, sentence) in _ROLLING.items()
        for window in WINDOWS
    ),
)
NAMES = tuple(factor.name for factor in FACTORS)
# A window of 60 sessions of returns reaches 60 sessions back, and so does the 60-session rate of change.
LOOK_BACK_SESSIONS = max(WINDOWS)
