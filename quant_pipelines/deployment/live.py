"""What is live: folded from the journal's rows and from nothing else.

The order is the rows' own, and a clock that goes back reorders nothing: at a moment all those rows count that stand
before the first one which is later.
"""

from datetime import datetime
from typing import Literal, NamedTuple

from quant_pipelines.calendars import Session
from quant_pipelines.deployment.failures import JournalUntrusted, RolloutUnreadable
from quant_pipelines.documents import Entry
from quant_pipelines.journal import Journal, Kind, Row

SHADOW, EVERYBODY = 0, 100
Action = Literal["begin", "step", "roll_back"]
Role = Literal["champion", "canary", "shadow"]


class Ref(Entry, frozen=True):
    """A stored version: its number, and the name of its content."""

    number: int
    id: str


class Rolled(Entry, frozen=True):
    """One move of a rollout, the number-th of its model. `stage` is where the version stands afterwards, in percent.

    A roll-back takes `version` away, and says which version serves then, what asked for it and how many windows had
    failed (S1-43).
    """

    number: int
    action: Action
    version: Ref
    stage: int
    session: Session
    decision: str | None
    reason: str
    back_to: Ref | None = None
    trigger_rule: str | None = None
    windows_failed: int | None = None


class Placed(Entry, frozen=True):
    """A version at its stage: since the close of which session, by which row and which decision."""

    version: Ref
    stage: int
    since: Session
    row: int
    decision: str | None


class Serving(NamedTuple):
    """A version that is live, what for, and the share of the universe that it really serves, in percent."""

    role: Role
    placed: Placed
    percent: int


class Live(Entry, frozen=True):
    """One model's rollout after `number` moves, the last of them at the close of `session`.

    The canary serves its stage's share, shadows serve nobody, the champion serves the rest. `earlier` were champions,
    the last one last; `taken_away` were rolled back or withdrawn.
    """

    model: str
    number: int = 0
    session: Session | None = None
    champion: Placed | None = None
    canary: Placed | None = None
    shadows: tuple[Placed, ...] = ()
    earlier: tuple[Placed, ...] = ()
    taken_away: tuple[Ref, ...] = ()

    @property
    def previous(self) -> Placed | None:
        """The version that a roll-back of the champion brings back."""
        return self.earlier[-1] if self.earlier else None

    @property
    def candidates(self) -> tuple[Placed, ...]:
        """Whatever is in a rollout, the furthest first."""
        return (*(() if self.canary is None else (self.canary,)), *self.shadows)

    @property
    def serving(self) -> tuple[Serving, ...]:
        """Everything that is live: the champion serves what the canary does not."""
        left = EVERYBODY - (0 if self.canary is None else self.canary.stage)
        placed: tuple[tuple[Role, Placed | None, int], ...] = (
            ("champion", self.champion, left),
            ("canary", self.canary, EVERYBODY - left),
            *(("shadow", each, SHADOW) for each in self.shadows),
        )
        return tuple(Serving(role, each, percent) for role, each, percent in placed if each is not None)

    @property
    def stage(self) -> int:
        """How far the version has come that is furthest in its rollout, in percent."""
        return next((each.stage for each in (*self.candidates, self.champion) if each is not None), SHADOW)

    def placed(self, version_id: str) -> Placed | None:
        """Where a version stands, if it serves or is in a rollout."""
        there = (*self.candidates, *(() if self.champion is None else (self.champion,)))
        return next((each for each in there if each.version.id == version_id), None)


ROLLOUT = Kind("rollout", Rolled)


def rollout_key(model: str, number: int) -> str:
    """Of one model's number-th move: two who make it get one row, or one of them a conflict."""
    return f"rollout:{model}:{number}"


def live_now(journal: Journal, model: str) -> Live:
    """What is live after the newest row."""
    live = Live(model=model)
    for row in journal.rows(kind=ROLLOUT.name, subject=model):
        live = after(live, row)
    return live


def live_at(journal: Journal, model: str, at: datetime) -> Live:
    """What was live at a moment."""
    live = Live(model=model)
    for row in journal.rows(kind=ROLLOUT.name, subject=model):
        if row.recorded_at > at:
            break
        live = after(live, row)
    return live


def live_on(journal: Journal, model: str, session: Session) -> Live:
    """What stood when a session had closed, by the sessions at which moves were made and not by the clock."""
    live = Live(model=model)
    for row in journal.rows(kind=ROLLOUT.name, subject=model):
        if ROLLOUT.of(row).session > session:
            break
        live = after(live, row)
    return live


def moves(journal: Journal, model: str) -> list[tuple[Row, Rolled]]:
    """Every move of a model's rollouts, with the row that keeps it."""
    return [(row, ROLLOUT.of(row)) for row in journal.rows(kind=ROLLOUT.name, subject=model)]


def rolled_models(journal: Journal) -> list[str]:
    """Every model that ever had a rollout."""
    return sorted({row.subject for row in journal.rows(kind=ROLLOUT.name)})


def after(live: Live, row: Row) -> Live:
    """The state after one more row."""
    rolled = ROLLOUT.of(row)
    if rolled.number != live.number + 1:
        raise RolloutUnreadable(
            f"Row {row.sequence} of the journal is move {rolled.number} of {live.model}, expected was move "
            f"{live.number + 1}. Rows of a rollout are written by `deployment` alone; restore the journal."
        )
    return moved(live, rolled, row=row.sequence)


def moved(live: Live, rolled: Rolled, *, row: int) -> Live:
    """The state after one more move, which this row keeps."""
    counted = live.model_copy(update={"number": rolled.number, "session": rolled.session})
    if rolled.action == "roll_back":
        return _rolled_back(counted, rolled, row)
    placed = Placed(version=rolled.version, stage=rolled.stage, since=rolled.session, row=row, decision=rolled.decision)
    return _placed(counted, placed)


def require_intact(journal: Journal) -> None:
    """Raise where the journal is not what was written: nobody can tell then what is live."""
    if found := journal.verify():
        raise JournalUntrusted(journal.name, found)


def rivals(live: Live) -> tuple[Placed, Placed] | None:
    """Who is furthest in its rollout, and whom it is compared with: the champion, or the version before it."""
    if live.candidates and live.champion is not None:
        return live.candidates[0], live.champion
    if live.champion is not None and live.previous is not None:
        return live.champion, live.previous
    return None


def _placed(live: Live, placed: Placed) -> Live:
    others = tuple(each for each in live.shadows if each.version != placed.version)
    if placed.stage == SHADOW:
        return live.model_copy(update={"shadows": (*others, placed)})
    if placed.stage < EVERYBODY:
        return live.model_copy(update={"shadows": others, "canary": placed})
    # Whoever else is in a rollout was compared with a champion that is none any more.
    left = tuple(each.version for each in live.candidates if each.version != placed.version)
    return live.model_copy(
        update={
            "champion": placed,
            "canary": None,
            "shadows": (),
            "earlier": live.earlier if live.champion is None else (*live.earlier, live.champion),
            "taken_away": (*live.taken_away, *left),
        }
    )


def _rolled_back(live: Live, rolled: Rolled, row: int) -> Live:
    gone = (*live.taken_away, rolled.version)
    if live.canary is not None and live.canary.version == rolled.version:
        return live.model_copy(update={"canary": None, "taken_away": gone})
    if any(each.version == rolled.version for each in live.shadows):
        kept = tuple(each for each in live.shadows if each.version != rolled.version)
        return live.model_copy(update={"shadows": kept, "taken_away": gone})
    previous = live.previous
    if live.champion is None or live.champion.version != rolled.version or previous is None:
        raise RolloutUnreadable(
            f"Row {row} of the journal takes version {rolled.version.number} of {live.model} away, which is "
            "not there or the first one. Rows of a rollout are written by `deployment` alone; restore the journal."
        )
    return live.model_copy(
        update={
            "champion": previous.model_copy(update={"since": rolled.session, "row": row}),
            "canary": None,
            "shadows": (),
            "earlier": live.earlier[:-1],
            "taken_away": (*gone, *(each.version for each in live.candidates)),
        }
    )
