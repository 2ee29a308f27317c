"""How long the UI waits: definitions, and the asset page of three markets with ten years of sessions.

Run by `make bench`. Needs Chromium for the page: QP_TEST_BROWSER names it, else the figure is left out.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median

from quant_pipelines.calendars import parse_session, session_key
from quant_pipelines.settings import child_environment
from tests.installation import PROJECT, Installation, installed, serving

NAMES = ("alpha", "beta", "gamma")
FIRST, LAST = "2015-01-05", "2024-12-31"
REPEATS = 5
QUERIES_SHOWN = 10
ENTRY = """
  {name}:
    description: Ten years for the benchmark.
    calendar: {calendar}
    currency: CNY
    first_session: 2015-01-05
    source: {{kind: synthetic, seed: 7, symbols: 5, sectors: 1}}
    missing_bar: suspended
    rules: {rules}
"""
CALENDARS = {"alpha": ("XSHG", "a_share"), "beta": ("XNYS", "us_equity"), "gamma": ("24/7", "crypto")}

STRATEGY = """
  {name}_trees:
    description: Trees on {name}.
    market: {name}
    features: [alpha158]
    label_set: qlib_return
    model: {{kind: lightgbm}}
    training: {{window: {{years: 3}}}}
"""

# Ten years of events are written as a run writes them, together; one by one they would take minutes.
_STORE_EVENTS = """
import time
import dagster as dg, definitions
from assets.recording import count_partitions
from dagster._core.events import DagsterEvent, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.instance import RUNLESS_JOB_NAME, RUNLESS_RUN_ID
from sys import argv
def entry(key, partition):
    made = StepMaterializationData(dg.AssetMaterialization(key, partition=partition))
    event = DagsterEvent("ASSET_MATERIALIZATION", RUNLESS_JOB_NAME, event_specific_data=made)
    return EventLogEntry(None, 20, "", RUNLESS_RUN_ID, time.time(), job_name=RUNLESS_JOB_NAME, dagster_event=event)
instance = dg.DagsterInstance.get()
graph = definitions.defs.resolve_asset_graph()
for key in graph.get_all_asset_keys():
    partitions = graph.get(key).partitions_def
    wanted = [each for each in partitions.get_partition_keys() if each <= argv[1]] if partitions else []
    if wanted:
        instance.event_log_storage.store_event_batch([entry(key, partition) for partition in wanted])
        count_partitions(instance, key, partitions)
"""

# What the daemon does every half minute where nothing changed.
_TICKS = """
import time
import dagster as dg, definitions
instance, cursor = dg.DagsterInstance.get(), None
for _ in range(3):
    begin = time.perf_counter()
    cursor = dg.evaluate_automation_conditions(defs=definitions.defs, instance=instance, cursor=cursor).cursor
print(time.perf_counter() - begin)
"""


def run(installation: Installation, *command: str) -> float:
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-W", "ignore", *command],
        env=child_environment(installation.settings), cwd=PROJECT, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - begin


def definitions_load(installation: Installation) -> None:
    bare = median(run(installation, "-c", "import dagster") for _ in range(REPEATS))
    ours = median(run(installation, "-c", "import definitions; definitions.defs") for _ in range(REPEATS))
    print(f"definitions of three markets load in {ours:.2f} s, {ours / bare:.1f}x `import dagster` ({bare:.2f} s)")


def follow_data_tick(installation: Installation) -> None:
    ticks = [sys.executable, "-W", "ignore", "-c", _TICKS]
    environment = child_environment(installation.settings)
    told = subprocess.run(ticks, env=environment, cwd=PROJECT, check=True, capture_output=True, text=True)
    print(f"a tick of follow_data that finds nothing to do takes {float(told.stdout.split()[-1]):.2f} s")


def asset_page(installation: Installation) -> None:
    browser_path = os.environ.get("QP_TEST_BROWSER")
    if not browser_path:
        print("asset page: left out, QP_TEST_BROWSER names no browser")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        # One person's browser, which keeps the UI's scripts from the first look on.
        person = browser.new_context()
        opened: list[float] = []
        queries: dict[str, list[float]] = {}
        for _ in range(REPEATS + 1):
            page = person.new_page()
            page.on("requestfinished", lambda request: note(request, queries))
            begin = time.perf_counter()
            page.goto(f"{installation.settings.dagster_address}/assets/alpha/prices?view=partitions")
            page.get_by_text(re.compile(r"^Materialized \([1-9]\d*\)")).first.wait_for(timeout=60_000)
            opened.append(time.perf_counter() - begin)
            page.close()
        browser.close()
    print(
        f"asset page, first look {opened[0]:.2f} s, then median {median(opened[1:]):.2f} s to the last partition's key"
    )
    for name, times in sorted(queries.items(), key=lambda item: -max(item[1]))[:QUERIES_SHOWN]:
        rest = times[1:] or times
        typical = f"then median {median(rest):.3f} s, worst {max(rest):.3f} s of {len(rest)}"
        print(f"  {name}: first {times[0]:.3f} s, {typical}")


def note(request, queries: dict[str, list[float]]) -> None:
    if "/graphql" in request.url and request.method == "POST":
        name = (request.post_data_json or {}).get("operationName", "?")
        timing = request.timing
        queries.setdefault(name, []).append((timing["responseEnd"] - timing["requestStart"]) / 1000)


def _installed(folder: Path, entries: str) -> AbstractContextManager[Installation]:
    """Three markets with a strategy each."""
    strategies = folder / "strategies.yaml"
    strategies.write_text("strategies:" + "".join(STRATEGY.format(name=name) for name in NAMES), encoding="utf-8")
    return installed(folder, "markets:" + entries, {"QP_STRATEGIES_FILE": str(strategies)})


def main() -> None:
    entries = [ENTRY.format(name=name, calendar=CALENDARS[name][0], rules=CALENDARS[name][1]) for name in NAMES]
    with tempfile.TemporaryDirectory() as folder, _installed(Path(folder), "".join(entries)) as ready:
        definitions_load(ready)
        begin = time.perf_counter()
        run(ready, "-c", _STORE_EVENTS, session_key(parse_session(LAST)))
        print(f"(ten years of events written and counted in {time.perf_counter() - begin:.0f} s)")
        follow_data_tick(ready)
        with serving(ready):
            asset_page(ready)


if __name__ == "__main__":
    main()
