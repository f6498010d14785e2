"""The commands and examples of docs/EXPERIMENTS.md run as they stand there: a search in each quick
run, which looks up what the others ask for, and all of them by ``make test-docs``."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import onnx
import pytest

from tests.markdown import text_of
from tests.runtime.command import zeroskip
from tests.runtime.nets import SHAPE, small_net
from zeroskip.runtime.cli import experiments
from zeroskip.runtime.cli.main import main
from zeroskip.runtime.experiments.metrics import METRICS
from zeroskip.runtime.experiments.table import FIGURES

PAGE = text_of("docs/EXPERIMENTS.md")
COMMANDS = [
    shlex.split(line, comments=True)[1:]
    for line in re.findall(r"^    (zeroskip .*)$", re.sub(r"\\\n\s*", "", PAGE), re.MULTILINE)
]
LOCAL = [command for command in COMMANDS if "--scheduler" not in command]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the page's commands name; they share a store there."""
    made = tmp_path_factory.mktemp("page")
    onnx.save(small_net(), made / "net.onnx")
    images = np.random.default_rng(3).standard_normal((4, *SHAPE[1:])).astype(np.float32)
    np.savez(made / "images.npz", x=images)
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (made / "space.toml").write_text(block)
    return made


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command)[:30])
def test_commands_have_points(
    command: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options and values are taken, and ask for a space: of as many points as the page says."""
    monkeypatch.chdir(folder)
    name, *words = command
    with main.commands[name].make_context(name, words) as context:
        space = experiments._space_of(context.params)
    assert len(space) == 15 if "net.csv" in command else len(space) > 1


@pytest.mark.parametrize(
    "command",
    [
        command if command[0] == "search" else pytest.param(command, marks=pytest.mark.docs)
        for command in LOCAL
    ],
    ids=lambda command: " ".join(command)[:30],
)
def test_commands_run(command: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    done = zeroskip(*command, "--workers", "1")
    assert done.exit_code == 0, done.output
    assert "beaten by no other" in done.stdout
    assert "failed" not in done.stdout.replace("0 failed now", "")
    for word in command:
        if word.endswith((".csv", ".html", ".json", ".sqlite")):
            assert (folder / word).stat().st_size > 0
    if "net.csv" in command:
        assert "15 points" in done.stdout


@pytest.mark.docs
def test_the_example_runs(folder: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "microjoules" in done.stdout


def test_a_command_for_several_computers_runs_with_an_address(folder: Path) -> None:
    from distributed import LocalCluster

    (command,) = [each for each in COMMANDS if each not in LOCAL]
    place = command.index("--scheduler") + 1
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0"
    ) as cluster:
        words = [*command[:place], cluster.scheduler_address, *command[place + 1 :]]
        words = [str(folder / word) if word == "net.onnx" else word for word in words]
        done = zeroskip(*words, "--store", folder / "net.sqlite")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("name", ["sweep", "search"])
def test_every_option_is_in_the_page(name: str) -> None:
    for param in main.commands[name].params:
        if isinstance(param, click.Option) and param.opts[0] != "--help":
            known = param.opts[0] in PAGE or param.opts[0] == "--cache"
            assert known, param.opts[0]


def test_metrics_and_columns_are_in_the_page() -> None:
    for metric in METRICS:
        assert f"`{metric}`" in PAGE
    for column in ("cycles", "milliseconds", "microjoules", "cpu_share", "notes"):
        assert column in FIGURES
        assert f"`{column}`" in PAGE
