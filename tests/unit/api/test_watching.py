"""Who watches which training: how often MLflow is asked, and what a slow subscriber costs the others."""

import asyncio
import json
import socket
import threading
from collections import Counter
from contextlib import contextmanager

import pytest
from fastapi import FastAPI, WebSocket
from websockets.sync.client import connect

from quant_pipelines.api.app import make_server
from quant_pipelines.api.schemas import ProgressEvent
from quant_pipelines.api.socket import serve
from quant_pipelines.api.watching import MOST_WATCHED, Subscriber, Watchers
from quant_pipelines.cli.servers import LOOPBACK, free_port
from quant_pipelines.registry.failures import StoreUnreachable
from quant_pipelines.training import ModelInfo, Stage, UnknownTraining
from tests.waiting import LONGEST_SECONDS, waited_for


def info(model_id: str, epoch: int = 0, stage: Stage = Stage.TRAINING, **metrics: float) -> ModelInfo:
    return ModelInfo(
        model_id=model_id,
        model_name="demo.candles",
        training_stage=stage,
        epoch=epoch,
        metrics={"loss": None, "accuracy": None, **metrics},
        page="",
    )


class Trainings:
    """What MLflow would say: each look is one step on, and is counted."""

    def __init__(self, last: int | None = None) -> None:
        self.looks: Counter[str] = Counter()
        self.last = last

    def __call__(self, model_id: str) -> ModelInfo:
        self.looks[model_id] += 1
        epoch = self.looks[model_id]
        return info(model_id, epoch, Stage.COMPLETED if epoch == self.last else Stage.TRAINING)


def told(scenario):
    """Run a scenario that must not take long."""
    return asyncio.run(asyncio.wait_for(scenario, LONGEST_SECONDS))


def test_a_training_is_looked_at_once_for_all_who_watch_it():
    """S2-51: however many there are, until it is over."""

    async def scenario():
        trainings = Trainings(last=5)
        watchers = Watchers(trainings, every_seconds=0)
        subscribers = [Subscriber(watchers.dropped) for _ in range(20)]
        for each in subscribers:
            watchers.subscribe("a", each)
        for each in subscribers:
            while (await each.next()).stage is not Stage.COMPLETED:
                pass
        while any(each.watched for each in subscribers):
            await asyncio.sleep(0)
        assert trainings.looks == {"a": 5}

    told(scenario())


def test_nobody_looks_at_what_nobody_watches():
    async def scenario():
        trainings = Trainings()
        watchers = Watchers(trainings, every_seconds=0)
        one, other = Subscriber(watchers.dropped), Subscriber(watchers.dropped)
        for each in (one, other):
            watchers.subscribe("a", each)
            await each.next()
        watchers.leave(one)
        await other.next()
        looks = trainings.looks["a"]
        await other.next()
        assert trainings.looks["a"] > looks, "the other watches on"
        watchers.leave(other)
        # What is under way in its thread may still end; a next one would follow at once.
        await asyncio.to_thread(lambda: None)
        looks = trainings.looks["a"]
        await asyncio.get_running_loop().shutdown_default_executor()
        assert trainings.looks["a"] <= looks + 1

    told(scenario())


def test_only_changes_are_told():
    async def scenario():
        states = iter([info("a"), info("a"), info("a"), info("a", 1), info("a", 2, Stage.COMPLETED)])
        watchers = Watchers(lambda _: next(states), every_seconds=0)
        subscriber = Subscriber(watchers.dropped)
        watchers.subscribe("a", subscriber)
        assert [(await subscriber.next()).epoch for _ in range(3)] == [0, 1, 2]

    told(scenario())


def test_a_slow_subscriber_gets_the_newest_state_and_holds_up_nobody():
    """S1-08, S1-11: what it was not told is counted, and one message for each training is all that is kept for it."""

    async def scenario():
        watchers = Watchers(Trainings(last=500), every_seconds=0)
        slow, quick = Subscriber(watchers.dropped), Subscriber(watchers.dropped)
        for each in (slow, quick):
            watchers.subscribe("a", each)
        seen = [await quick.next()]
        while seen[-1].stage is not Stage.COMPLETED:
            seen.append(await quick.next())
        assert [each.epoch for each in seen] == list(range(1, 501))
        assert watchers.dropped == {"queue_full": 499}
        assert (await slow.next()).epoch == 500

    told(scenario())


@pytest.mark.parametrize("ask", ["subscribe", "unsubscribe"])
def test_a_client_that_asks_and_never_reads_has_us_keep_only_so_much(ask):
    async def scenario():
        def unknown(model_id: str) -> ModelInfo:
            raise UnknownTraining(model_id)

        watchers = Watchers(unknown, every_seconds=0)
        subscriber = Subscriber(watchers.dropped)
        for number in range(3 * MOST_WATCHED):
            getattr(watchers, ask)(f"training {number}", subscriber)
            await asyncio.sleep(0)
        while subscriber.watched:
            await asyncio.to_thread(lambda: None)
        assert subscriber.kept <= MOST_WATCHED + 1

    told(scenario())


def test_a_connection_watches_so_many_trainings_and_no_more():
    """X-47. It may watch one less for one more."""

    async def scenario():
        watchers = Watchers(Trainings(), every_seconds=3600)
        subscriber = Subscriber(watchers.dropped)
        for number in range(MOST_WATCHED):
            watchers.subscribe(f"training {number}", subscriber)
        watchers.subscribe("training 0", subscriber)
        watchers.subscribe("one more", subscriber)
        refused = await subscriber.next()
        assert (refused.code, refused.model_id) == ("QP239", None)
        assert f"watches {MOST_WATCHED} trainings" in refused.error
        watchers.unsubscribe("training 7", subscriber)
        found = {(await subscriber.next()).event for _ in range(MOST_WATCHED)}
        assert found == {"training_progress", "unsubscribed"}
        watchers.subscribe("one more", subscriber)
        assert (await subscriber.next()).model_id == "one more"
        watchers.leave(subscriber)

    told(scenario())


def test_an_outage_is_told_once_and_its_end_too():
    async def scenario():
        away = StoreUnreachable("somewhere", "connection refused")
        answers = iter([info("a"), away, away, away, info("a"), info("a", 1, Stage.FAILED)])

        def look(_: str) -> ModelInfo:
            answer = next(answers)
            if isinstance(answer, Exception):
                raise answer
            return answer

        watchers = Watchers(look, every_seconds=0)
        subscriber = Subscriber(watchers.dropped)
        watchers.subscribe("a", subscriber)
        found = [await subscriber.next() for _ in range(4)]
        assert [each.event for each in found] == [
            "training_progress", "refused", "training_progress", "training_progress",
        ]  # fmt: skip
        assert (found[1].code, found[1].model_id) == ("QP350", "a")

    told(scenario())


def test_a_mistake_of_ours_is_no_silence():
    """Who watches is let go, and the mistake reaches the server's log."""

    async def scenario():
        def look(_: str) -> ModelInfo:
            raise ZeroDivisionError

        watchers = Watchers(look, every_seconds=0)
        subscriber = Subscriber(watchers.dropped)
        watchers.subscribe("a", subscriber)
        with pytest.raises(ZeroDivisionError):
            await subscriber.next()

    told(scenario())


async def a_watch_that_is_over_and_still_there(watchers: Watchers, subscriber: Subscriber) -> None:
    """The moment between the last look at a training and the callback that takes its watch away."""
    before = asyncio.all_tasks()
    watchers.subscribe("a", subscriber)
    (task,) = asyncio.all_tasks() - before
    while not task.done():
        await asyncio.sleep(0)


def test_who_leaves_and_comes_back_as_a_training_ends_watches_it_anew():
    """The end of the first watch takes the second from nobody, and whoever leaves that one ends it."""

    async def scenario():
        mistakes = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: mistakes.append(context))
        trainings = Trainings(last=1)
        watchers = Watchers(trainings, every_seconds=0)
        subscriber = Subscriber(watchers.dropped)
        await a_watch_that_is_over_and_still_there(watchers, subscriber)
        watchers.unsubscribe("a", subscriber)
        watchers.subscribe("a", subscriber)
        seen = [await subscriber.next() for _ in range(3)]
        assert [each.event for each in seen] == ["unsubscribed", "training_progress", "training_progress"]
        assert subscriber.watched == {"a"}
        watchers.leave(subscriber)
        await asyncio.to_thread(lambda: None)
        looks = trainings.looks["a"]
        await asyncio.get_running_loop().shutdown_default_executor()
        assert trainings.looks["a"] <= looks + 1, "nobody looks at what nobody watches"
        assert mistakes == []

    told(scenario())


def test_who_leaves_as_a_training_ends_is_no_mistake():
    async def scenario():
        mistakes = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: mistakes.append(context))
        watchers = Watchers(Trainings(last=1), every_seconds=0)
        subscriber = Subscriber(watchers.dropped)
        await a_watch_that_is_over_and_still_there(watchers, subscriber)
        watchers.leave(subscriber)
        await asyncio.sleep(0)
        assert mistakes == []

    told(scenario())


def test_who_comes_as_a_training_ends_is_told_how():
    async def scenario():
        watchers = Watchers(Trainings(last=1), every_seconds=0)
        first, late = Subscriber(watchers.dropped), Subscriber(watchers.dropped)
        await a_watch_that_is_over_and_still_there(watchers, first)
        watchers.subscribe("a", late)
        assert (await late.next()).stage is Stage.COMPLETED
        await asyncio.sleep(0)
        assert late.watched == first.watched == set()

    told(scenario())


class Talkative:
    """Says so much at every look that no buffer on the way holds it for long."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self, model_id: str) -> ModelInfo:
        self.looks += 1
        return info(model_id, self.looks, **{f"measure_{number:06d}": float(number) for number in range(20_000)})


@contextmanager
def serving(watchers: Watchers):
    """A server whose clients have half a second for each message."""
    app, port = FastAPI(), free_port()

    @app.websocket("/")
    async def listen(connection: WebSocket) -> None:
        await serve(connection, watchers, send_seconds=3.0)

    server = make_server(app, host=LOOPBACK, port=port)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert waited_for(lambda: server.started)
        yield port
    finally:
        server.should_exit = True
        thread.join()


def test_a_subscriber_that_takes_nothing_is_let_go_and_the_others_go_on():
    """S1-09, S1-11, and S1-10 where sending fails: through a real server and full buffers of the system."""
    watchers = Watchers(Talkative(), every_seconds=0)
    with serving(watchers) as port, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect((LOOPBACK, port))
        deaf.sendall(
            b"GET /?model_id=a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        address = f"ws://{LOOPBACK}:{port}/?model_id=a"
        with connect(address, max_size=None, compression=None) as quick:

            def epoch() -> int:
                return ProgressEvent(**json.loads(quick.recv(timeout=LONGEST_SECONDS))).epoch

            before = epoch()
            while not watchers.dropped["send_error"]:
                assert epoch() > before
            later = epoch()
            assert epoch() > later
            # Before it hangs up, which may fail a sending too.
            assert watchers.dropped["send_error"] == 1
