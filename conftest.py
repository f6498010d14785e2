"""Options of all tests: seeds are printed and can be given, goldens can be written anew; at the
end, the slowest files of tests."""

import os
import random
from collections import defaultdict

import pytest
from hypothesis import Phase, settings

# How long a case takes is measured elsewhere: on a busy machine a deadline finds no faults.
settings.register_profile("zeroskip", deadline=None)
settings.load_profile("zeroskip")
# Where it matters only whether something fails, the smallest case is not looked for.
settings.register_profile("whether", deadline=None, phases=(Phase.explicit, Phase.generate))

# Processes that share the tests (pytest-xdist) collect the same ones: the first draws for all.
SEED = int(
    os.environ.get("SEED")
    or os.environ.setdefault("ZEROSKIP_TEST_SEED", str(random.SystemRandom().randrange(1 << 32)))
)

SLOWEST = 15  # files that are named


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("hypothesisseed", None) is None:
        config.option.hypothesisseed = str(SEED)


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what ``make test`` leaves to ``make test-matrix``: of a test with the mark ``diagonal``
    the combinations of parameters but for as many as the longest parameter has values, in which
    every value of every parameter is tried."""
    crossed: dict[str, list[pytest.Function]] = defaultdict(list)
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("diagonal"):
            crossed[item.nodeid.partition("[")[0]].append(item)
    for cases in crossed.values():
        values = {
            name: list(dict.fromkeys(case.callspec.params[name] for case in cases))
            for name in cases[0].callspec.params
        }
        diagonal = [
            {name: each[step % len(each)] for name, each in values.items()}
            for step in range(max(map(len, values.values())))
        ]
        for case in cases:
            if case.callspec.params not in diagonal:
                case.add_marker(pytest.mark.matrix)


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed of hypothesis: {config.getoption('hypothesisseed', SEED)} (SEED=n repeats a run)"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Where the time went, if more than one file ran: fixtures count, imports do not.

    Processes that share the tests (pytest-xdist) have reported to the first by now.
    """
    seconds: dict[str, float] = defaultdict(float)
    for report in (each for kind in terminalreporter.stats.values() for each in kind):
        if isinstance(report, pytest.TestReport):
            seconds[report.nodeid.partition("::")[0]] += report.duration
    if len(seconds) < 2:
        return
    terminalreporter.section("seconds by file")
    for path in sorted(seconds, key=seconds.__getitem__, reverse=True)[:SLOWEST]:
        terminalreporter.line(f"{seconds[path]:8.1f}  {path}")
    terminalreporter.line(f"{sum(seconds.values()):8.1f}  all {len(seconds)} files")


@pytest.fixture(scope="session", autouse=True)
def _no_schedules_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["ZEROSKIP_CACHE"] = str(tmp_path_factory.mktemp("schedules"))


@pytest.fixture(scope="session")
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether goldens are to be written, not compared."""
    return bool(request.config.getoption("--update-golden"))
