"""Who watches which training: one look at MLflow for all who watch the same one, and nobody waits for anybody."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from quant_pipelines.api.failures import BadRequest
from quant_pipelines.api.schemas import ProgressEvent, ProgressRefusal, Told, Unsubscribed
from quant_pipelines.errors import DependencyFailed, QuantPipelinesError
from quant_pipelines.training import ModelInfo

EVERY_SECONDS = 1.0
# As long as X-47 has a connection's queue: of each training that it watches, one message waits.
MOST_WATCHED = 256
_NOBODY = ""


class Subscriber:
    """One connection, and what it is yet to be told: of each training the newest alone, since progress is a state.

    A slow one is told less often, and is never waited for (S1-08). `dropped` counts what it was not told (S1-11). It
    is not let go for that, as S1-10 has it: the newest state takes the place of those before it.
    """

    def __init__(self, dropped: Counter[str]) -> None:
        self.watched: set[str] = set()
        self._dropped = dropped
        self._waiting: dict[str, Told] = {}
        self._there = asyncio.Event()
        self._mistake: BaseException | None = None

    @property
    def kept(self) -> int:
        """Of how many trainings there is something to keep for it."""
        return len(self.watched | self._waiting.keys())

    def tell(self, message: Told) -> None:
        # What is not watched shares one place, or a client that never reads could have us keep any number of answers.
        known = message.model_id in self.watched or message.model_id in self._waiting
        about = message.model_id if known and message.model_id else _NOBODY
        self._dropped["queue_full"] += about in self._waiting
        self._waiting[about] = message
        self._there.set()

    def dismiss(self, model_id: str) -> None:
        """Nothing of this training is told any more, but that it is so."""
        self._waiting.pop(model_id, None)
        self.tell(Unsubscribed(model_id=model_id))
        self.watched.discard(model_id)

    def fail(self, mistake: BaseException) -> None:
        """Let who waits for the next message have the error instead."""
        self._mistake = mistake
        self._there.set()

    async def next(self) -> Told:
        """What was waiting the longest."""
        await self._there.wait()
        if self._mistake is not None:
            raise self._mistake
        message = self._waiting.pop(next(iter(self._waiting)))
        if not self._waiting:
            self._there.clear()
        return message


@dataclass(eq=False)
class _Watch:
    """One training, what was seen of it last, and who is told."""

    newest: Told | None = None
    subscribers: set[Subscriber] = field(default_factory=set[Subscriber])
    task: asyncio.Task[None] | None = None


class Watchers:
    """All who watch. `look` asks MLflow for a training, in a thread of its own.

    A training is looked at for as long as somebody watches it, until it is over.
    """

    def __init__(self, look: Callable[[str], ModelInfo], *, every_seconds: float = EVERY_SECONDS) -> None:
        self.dropped: Counter[str] = Counter()
        self._look = look
        self._every = every_seconds
        self._watches: dict[str, _Watch] = {}

    def subscribe(self, model_id: str, subscriber: Subscriber) -> None:
        """Tell the subscriber the present state at once, and then every change."""
        if subscriber.kept >= MOST_WATCHED and model_id not in subscriber.watched:
            refusal = BadRequest(
                f"This connection watches {MOST_WATCHED} trainings, the most that one may. Unsubscribe from those that "
                "matter less, or open another connection."
            )
            subscriber.tell(ProgressRefusal.of(refusal, None))
            return
        watch = self._watches.get(model_id)
        if watch is None:
            watch = self._watches[model_id] = _Watch()
            watch.task = asyncio.create_task(self._keep_looking(model_id, watch))
            watch.task.add_done_callback(partial(self._ended, model_id, watch))
        watch.subscribers.add(subscriber)
        subscriber.watched.add(model_id)
        if watch.newest is not None:
            subscriber.tell(watch.newest)

    def unsubscribe(self, model_id: str, subscriber: Subscriber) -> None:
        """Leave the others as they are; without any, nobody looks any more (S2-51)."""
        subscriber.dismiss(model_id)
        watch = self._watches.get(model_id)
        if watch is None:
            return
        watch.subscribers.discard(subscriber)
        if not watch.subscribers and watch.task is not None:
            del self._watches[model_id]
            watch.task.cancel()

    def leave(self, subscriber: Subscriber) -> None:
        for each in tuple(subscriber.watched):
            self.unsubscribe(each, subscriber)

    async def _keep_looking(self, model_id: str, watch: _Watch) -> None:
        over = False
        while not over:
            message, over = await self._seen(model_id)
            if message != watch.newest:
                watch.newest = message
                for each in watch.subscribers:
                    each.tell(message)
            if not over:
                await asyncio.sleep(self._every)

    async def _seen(self, model_id: str) -> tuple[Told, bool]:
        """What there is to tell, and whether anything more can follow."""
        try:
            info = await asyncio.to_thread(self._look, model_id)
        except DependencyFailed as error:
            # MLflow may be there again at the next look.
            return ProgressRefusal.of(error, model_id), False
        except QuantPipelinesError as error:
            return ProgressRefusal.of(error, model_id), True
        return ProgressEvent.of(info), info.over

    def _ended(self, model_id: str, watch: _Watch, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        # Whoever left since, and perhaps came back, has taken it away already: what is there now is another watch.
        if self._watches.get(model_id) is watch:
            del self._watches[model_id]
        mistake = task.exception()
        for each in watch.subscribers:
            each.watched.discard(model_id)
            if mistake is not None:
                each.fail(mistake)
