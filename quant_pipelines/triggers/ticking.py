"""One look of a market's sensor: which sessions each strategy has not been asked about, and what comes of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from quant_pipelines.calendars import Calendar, Session
from quant_pipelines.journal import Journal
from quant_pipelines.lake import Window
from quant_pipelines.markets import Market
from quant_pipelines.monitoring import SessionErrors
from quant_pipelines.strategies import Retrain, Strategy
from quant_pipelines.triggers.audit import Audit, Recorded, audit_of, decay_started, put_on_record, scheduler_audits
from quant_pipelines.triggers.check import Check, check_triggers

ErrorsOf = Callable[[Market, Strategy], SessionErrors]
InputsOf = Callable[[Strategy, Window], Set[Session]]
# A tick has a minute; what a long pause left over is caught up with by the next ones.
SESSIONS_PER_TICK = 20
NO_INPUTS = "the session has no model inputs, but later ones have"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a look came to: evaluations in order, sessions that wait for their inputs, and how far everybody is."""

    recorded: Sequence[Recorded]
    waiting: Mapping[str, Session]
    cursor: Mapping[str, Session]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """Checks strategies of one market. `retrain_of` is the policy with the environment's numbers over it."""

    market: Market
    journal: Journal
    retrain_of: Callable[[Strategy], Retrain]
    errors_of: ErrorsOf

    def check(self, strategy: Strategy, closed: Session, errors: SessionErrors | None = None) -> Check:
        """The strategy's triggers for a session; looks and starts nothing."""
        found = self.errors_of(self.market, strategy) if errors is None else errors
        retrain, calendar, name = self.retrain_of(strategy), self.market.sessions_calendar, self.market.name
        check = check_triggers(calendar, closed, retrain, found)
        if not check.performance_decay:
            return check
        within = retrain.decay_cooldown_sessions
        started = decay_started(self.journal, calendar, name, strategy.name, closed=closed, within=within)
        return check_triggers(calendar, closed, retrain, found, decay_started=started)

    def audit(
        self,
        strategy: Strategy,
        closed: Session,
        errors: SessionErrors | None = None,
        *,
        obstacle: str | None = None,
    ) -> Audit:
        """The check and what it leads to."""
        check = self.check(strategy, closed, errors)
        return audit_of(self.market.name, strategy.name, check, self.retrain_of(strategy), obstacle=obstacle)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Evaluates the strategies of one market as their sessions close, and puts that on record."""

    checker: Checker
    inputs_of: InputsOf
    actor: str

    def look(self, strategies: Sequence[Strategy], cursor: Mapping[str, Session], last_closed: Session) -> Outcome:
        """Evaluate what has closed since, at most up to one training for each strategy.

        A cursor that is ahead of the clock stays where it is: a clock that went back makes nothing happen twice.
        """
        recorded: list[Recorded] = []
        waiting: dict[str, Session] = {}
        after = dict(cursor)
        for strategy in strategies:
            pending = self._pending(strategy, cursor.get(strategy.name), last_closed)
            done = list(self._evaluated(strategy, pending))
            recorded += done
            if done:
                after[strategy.name] = done[-1].audit.window.session
            elif pending:
                waiting[strategy.name] = pending[0]
                # It is not forgotten when the next session closes before its inputs are there.
                after[strategy.name] = self._calendar.offset(pending[0], -1)
        return Outcome(recorded=recorded, waiting=waiting, cursor=after)

    @property
    def _calendar(self) -> Calendar:
        return self.checker.market.sessions_calendar

    def _pending(self, strategy: Strategy, cursor: Session | None, last_closed: Session) -> list[Session]:
        """Sessions to evaluate, oldest first. Without a cursor the record tells how far it was."""
        # What the last published session ends is known when the next one is published.
        last = min(last_closed, self._calendar.offset(self._calendar.last_known, -1))
        if cursor is not None:
            return [each for each in self._calendar.sessions(cursor, last) if each > cursor]
        journal, market = self.checker.journal, self.checker.market.name
        newest = scheduler_audits(journal, market=market, strategy=strategy.name, last=1, ours=True)
        # The last one on record once more: its run may not have been launched, and is not launched twice.
        first = newest[-1].audit.window.session if newest else last
        return self._calendar.sessions(first, last)

    def _evaluated(self, strategy: Strategy, pending: Sequence[Session]) -> Iterator[Recorded]:
        """In order, up to the first training, and no further than there are inputs."""
        asked = pending[:SESSIONS_PER_TICK]
        there = self._inputs(strategy, asked)
        newest = max(there | self._later(strategy, pending, there), default=None)
        if newest is None:
            return
        errors = self.checker.errors_of(self.checker.market, strategy)
        for session in asked:
            if session > newest:
                return
            obstacle = None if session in there else NO_INPUTS
            audit = self.checker.audit(strategy, session, errors, obstacle=obstacle)
            recorded = put_on_record(self.checker.journal, audit, actor=self.actor)
            yield recorded
            if recorded.audit.decision.trigger is not None:
                return

    def _inputs(self, strategy: Strategy, sessions: Sequence[Session]) -> Set[Session]:
        return self.inputs_of(strategy, Window(sessions[0], sessions[-1])) if sessions else frozenset[Session]()

    def _later(self, strategy: Strategy, pending: Sequence[Session], there: Set[Session]) -> Set[Session]:
        """Sessions beyond those of this tick: they matter where its last ones have no inputs."""
        ends_there = pending[:SESSIONS_PER_TICK][-1:] == [max(there, default=None)]
        return frozenset() if ends_there else self._inputs(strategy, pending[SESSIONS_PER_TICK:])
