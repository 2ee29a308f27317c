"""Progress over a WebSocket: subscriptions come in, states go out, each in a task of its own (S2-16, S2-51)."""

import asyncio
import json

from fastapi import WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from quant_pipelines.api.failures import BadRequest, told_of
from quant_pipelines.api.schemas import ProgressRefusal, ProgressRequest
from quant_pipelines.api.watching import Subscriber, Watchers

MODEL_ID = "model_id"
# Who takes nothing for so long is let go (S1-09, and S1-10 where sending fails).
SEND_SECONDS = 10.0


async def serve(socket: WebSocket, watchers: Watchers, *, send_seconds: float = SEND_SECONDS) -> None:
    """Until the client leaves, or takes nothing any more."""
    await socket.accept()
    subscriber = Subscriber(watchers.dropped)
    for each in socket.query_params.getlist(MODEL_ID):
        _heed(json.dumps({"subscribe": each}), watchers, subscriber)
    tasks = [
        asyncio.create_task(_listen(socket, watchers, subscriber)),
        asyncio.create_task(_tell(socket, watchers, subscriber, send_seconds)),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
    finally:
        watchers.leave(subscriber)
        for each in tasks:
            each.cancel()


async def _listen(socket: WebSocket, watchers: Watchers, subscriber: Subscriber) -> None:
    while (message := await socket.receive())["type"] != "websocket.disconnect":
        _heed(message.get("text") or "", watchers, subscriber)


def _heed(text: str, watchers: Watchers, subscriber: Subscriber) -> None:
    try:
        asked = ProgressRequest.model_validate_json(text)
    except ValidationError as error:
        refusal = BadRequest(f'{told_of(error.errors())}. Send {{"subscribe": ID}} or {{"unsubscribe": ID}}.')
        subscriber.tell(ProgressRefusal.of(refusal, None))
        return
    if asked.subscribe is not None:
        watchers.subscribe(asked.subscribe, subscriber)
    if asked.unsubscribe is not None:
        watchers.unsubscribe(asked.unsubscribe, subscriber)


async def _tell(socket: WebSocket, watchers: Watchers, subscriber: Subscriber, send_seconds: float) -> None:
    while True:
        message = await subscriber.next()
        try:
            async with asyncio.timeout(send_seconds):
                await socket.send_text(message.model_dump_json())
        except (TimeoutError, WebSocketDisconnect):
            watchers.dropped["send_error"] += 1
            return
