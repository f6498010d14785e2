"""The tables of the pages, made again by the commands that they name.

What takes seconds is made in every run. ``make test-tables`` makes whole tables again, for some
half an hour; cycles do not depend on how many images are tested, so a slice of a comparison has the
table's own. Of networks that are trained first (``plain`` and ``residual``) only what follows from
the committed figures is; the pages name the commands. Not made again: what needs networks published
elsewhere, and times. Campaigns have targets of their own (docs/TRUST.md).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tvm
from click import Option

from benchmarks import bench, low_rank, nested, networks
from models.zoo import MODELS
from tests.campaigns.mutants import mutants
from tests.campaigns.programs import samples
from tests.compiler.networks import GraphBuilder
from tests.markdown import FITTED, ROOT, MarkdownTable, command_of, number, table_of, text_of
from tests.runtime.command import zeroskip
from zeroskip.accel_model import physics
from zeroskip.accel_model.isa.encoding import decode_all
from zeroskip.accel_model.machine.machine import Machine
from zeroskip.accel_model.machine.run import LOAD, STORE
from zeroskip.accel_model.spec import Storage, load_spec
from zeroskip.compiler.codegen.region import emit_region
from zeroskip.compiler.driver import compile as compile_network
from zeroskip.compiler.ir.ops import Region
from zeroskip.compiler.lowering.lower import lower
from zeroskip.compiler.scheduling.fusion import FusionSearch
from zeroskip.compiler.scheduling.group_candidates import PricedGroup
from zeroskip.relay_passes import (
    FoldBatchNorm,
    import_onnx,
    load_onnx,
    normalise_onnx,
    parse_recipe,
)
from zeroskip.runtime.analysis.report import report
from zeroskip.runtime.cli.main import main
from zeroskip.runtime.execution.session import Session

RESULTS = "benchmarks/RESULTS.md"
TARGETS = ("dense256", "sparse256", "pattern256")
SCHEMES = {
    "none": "dense",
    "unstructured": "unstructured",
    "2 of 8 channels": "nm:m=8",
    "patterns and kernels": "pattern",
    "channels": "channels",
}  # of README's table
WHOLE = (RESULTS, "network", "target", "weights", "peak GiB")
SLICE = 40  # test images
COMMITTED = 1000
TAIL = 4  # standard deviations that a slice may be off
FASHION = ROOT / "models" / "fashion_dense.onnx"
CALIBRATION = ROOT / "models" / "fashion_calibration.npz"


def near(share: float, wanted: float, count: int, of: int) -> None:
    """Asserts that ``count`` samples out of ``of`` may have a share where all have another."""
    deviation = sqrt(wanted * (1 - wanted) / count * (of - count) / (of - 1))
    assert abs(share - wanted) <= TAIL * deviation + 0.5 / of, (share, wanted)


def near_figure(found: float, cell: str, *, fitted: bool) -> None:
    """Asserts a table's cell, which may be another where weights were fitted."""
    wanted = number(cell)
    assert abs(found - wanted) <= (FITTED * wanted if fitted else 0), (found, cell)


def images(count: int = COMMITTED) -> tuple[Any, Any]:
    """Test images and their labels."""
    with np.load(ROOT / "models" / "fashion_test.npz") as test:
        return test["image"][:count], test["labels"][:count]


# ---------------------------------------------------------------- zeroskip compare: README, RESULTS


def compared(command: Sequence[str], folder: Path) -> dict[tuple[str, float], Any]:
    """The entries of a comparison by scheme and whole per cent of sparsity."""
    done = zeroskip(*command[1:], "--json", folder / "made.json")
    assert done.exit_code == 0, done.output
    made = json.loads((folder / "made.json").read_text(encoding="utf-8"))
    return {(each["scheme"], round(each["sparsity"] * 100)): each for each in made["entries"]}


def option(command: Sequence[str], name: str, value: str) -> list[str]:
    """The command with another value of an option."""
    at = command.index(name) + 1
    return [*command[:at], value, *command[at + 1 :]]


def check_readme(made: Mapping[tuple[str, float], Any], table: MarkdownTable, count: int) -> None:
    """Asserts the table's cells of what was compared, on so many images."""
    base = made["dense", 0]["gains"]["dense256"]["cycles"]
    names = {scheme: name for name, scheme in SCHEMES.items()}
    for (scheme, sparsity), entry in made.items():
        _, gone, accuracy, *cycles = table.row(names[scheme])
        assert gone == (f"{sparsity} %" if sparsity else "")
        near(entry["accuracy"], number(accuracy) / 100, count, COMMITTED)
        for target, cell in zip(TARGETS, cycles, strict=True):
            near_figure(entry["gains"][target]["cycles"], cell, fitted=bool(sparsity))
            assert cell.endswith(f" ({base / number(cell):.1f}x)") == bool(sparsity), cell


@pytest.mark.parametrize(
    "target",
    [
        each if each == "dense256" else pytest.param(each, marks=pytest.mark.tables)
        for each in TARGETS
    ],
)
def test_cycles_of_the_dense_network_in_the_readme(target: str) -> None:
    """The table's first row, of the network compiled by itself."""
    table = table_of("README.md", "scheme", "weights gone")
    network = compile_network(FASHION, target, calibrate=CALIBRATION)
    made = report(network, Session(network).time())
    assert made.cycles == number(table.row("none")[3 + TARGETS.index(target)])


@pytest.mark.tables
def test_a_slice_of_the_comparison_in_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    table = table_of("README.md", "scheme", "weights gone")
    command = command_of("README.md", "zeroskip", "compare", "models/fashion_dense.onnx")
    assert command[command.index("--schemes") + 1].split() == [*SCHEMES.values()][1:]
    assert [row[0] for row in table.rows] == [*SCHEMES]
    assert table.columns[3:] == TARGETS
    pictures, labels = images(SLICE)
    np.savez(tmp_path / "slice.npz", image=pictures, labels=labels)
    command = option(command, "--data", str(tmp_path / "slice.npz"))
    made = compared(option(command, "--schemes", "nm:m=8"), tmp_path)
    assert len(made) == 2
    check_readme(made, table, SLICE)


@pytest.mark.tables
def test_the_comparison_in_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    made = compared(
        command_of("README.md", "zeroskip", "compare", "models/fashion_dense.onnx"), tmp_path
    )
    assert len(made) == len(SCHEMES)
    check_readme(made, table_of("README.md", "scheme", "weights gone"), COMMITTED)


@pytest.mark.tables
def test_the_comparison_in_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    command = command_of(RESULTS, "zeroskip", "compare")
    made = compared(option(command, "--html", str(tmp_path / "compared.html")), tmp_path)
    table = table_of(RESULTS, "scheme", "sparsity", "MMAC")
    base = made["dense", 0]["gains"]["dense256"]["cycles"]
    assert len(made) == len(table.rows)
    for entry, row in zip(made.values(), table.rows, strict=True):
        fitted = entry["sparsity"] > 0
        assert row[:3] == (
            entry["scheme"],
            f"{entry['sparsity']:.1%}",
            f"{entry['macs'] / 1e6:.2f}",
        )
        near_figure(round(100 * entry["accuracy"], 1), row[3], fitted=fitted)
        for at, target in zip(range(4, len(row), 3), TARGETS, strict=True):
            cycles, faster, stored = row[at : at + 3]
            gain = entry["gains"][target]
            near_figure(gain["cycles"], cycles, fitted=fitted)
            assert f"{base / number(cycles):.2f}" == faster
            near_figure(round(gain["stored_bytes"] / 1024, 1), stored, fitted=fitted)


def test_pages_agree_on_the_same_networks() -> None:
    readme = table_of("README.md", "scheme", "weights gone")
    results = table_of(RESULTS, "scheme", "sparsity", "MMAC")
    levels = table_of("docs/LOWRANK_NESTED.md", "network", "levels")
    for name, scheme in SCHEMES.items():
        _, gone, accuracy, *cycles = readme.row(name)
        (row,) = [
            row
            for row in results.rows
            if row[0] == scheme and round(number(row[1])) == number(gone or "0")
        ]
        assert number(accuracy) == number(row[3])
        assert [*map(number, cycles)] == [number(row[at]) for at in (4, 7, 10)]
    sparse = levels.row("fashion_dense", "dense, 50, 75 %, sparse256")[-1].split()
    assert number(sparse[0]) == number(readme.row("none")[4])
    kept = levels.row("fashion_dense", "4:8, 2:8, 1:8, sparse256")[-1].split()
    assert number(kept[1]) == number(readme.row("2 of 8 channels")[4])


def test_figures_of_whole_networks_agree() -> None:
    """What follows from cycles and bounds; the rows with a target are those of ``bench.py``."""
    rows = {row[:3]: row[4:] for row in table_of(*WHOLE).rows}
    assert [*rows] == [
        (network, target, weights)
        for network in networks.NETWORKS
        for target in networks.TARGETS
        for weights in networks.SCHEMES
        if (network, weights) != ("mobilenet_v2", "pattern 8x")
    ]
    for (network, *_), (cycles, bound, x_bound, _, _, faster) in rows.items():
        base = number(rows[network, "dense256", "dense"][0])
        assert x_bound == f"{number(cycles) / number(bound):.3f}"
        assert faster == f"{base / number(cycles):.2f}"
    table = table_of(RESULTS, "network", "target", "weights", "cycles")
    assert {row[:3] for row in table.rows} == bench.CYCLES.keys()
    for case, most in bench.CYCLES.items():
        cycles, bound, x_bound, x_network, *_ = rows[case]
        verdict = "met" if number(cycles) / number(bound) <= most else "MISSED"
        assert table.row(*case)[3:] == (cycles, x_bound, x_network, f"{most:.2f} {verdict}")


def test_accuracy_after_pruning_is_that_of_the_committed_rows() -> None:
    """Mean and standard deviation over seeds of what ``models/measure_pruning.py`` wrote down."""
    rows = json.loads((ROOT / "benchmarks" / "pruning.json").read_text(encoding="utf-8"))
    assert f"all {len(rows)} rows are in" in text_of(RESULTS)
    dense = {(row["net"], row["seed"]): row["test"] for row in rows if row["stage"] == "dense"}
    lost: dict[tuple[str, str, int, str], list[float]] = {}
    for row in rows:
        if row["stage"] != "dense":
            key = row["net"], row["scheme"], row["compression"], row["stage"]
            lost.setdefault(key, []).append(row["test"] - dense[row["net"], row["seed"]])
    table = table_of(RESULTS, "net", "scheme", "compression")
    stages = table.columns[3:]
    assert len(table.rows) * len(stages) == len(lost)
    for net, scheme, compression, *cells in table.rows:
        values = [lost[net, scheme, int(number(compression)), stage] for stage in stages]
        assert cells == [f"{np.mean(each):+.2f} ± {np.std(each, ddof=1):.2f}" for each in values]


def test_shares_of_nested_levels_follow_from_their_bytes() -> None:
    """Also of networks that have to be trained first."""
    for row in table_of("docs/LOWRANK_NESTED.md", "network", "levels").rows:
        weights, nested_weights, files, file = (number(row[at]) for at in (2, 3, 5, 6))
        assert abs(number(row[4]) - 100 * (1 - nested_weights / weights)) <= 0.08, (
            row
        )  # of rounded bytes
        assert abs(number(row[7]) - 100 * (1 - file / files)) <= 0.08, row  # of rounded bytes


# ------------------------------------------------------------------ README: targets; GUIDE: options


def test_targets_in_the_readme() -> None:
    rows = table_of("README.md", "target", "multipliers").rows
    widths = {name: row[1] for row in rows for name in re.findall(r"\w+", row[0])}
    every = {path.stem for path in (ROOT / "accel_model" / "targets").glob("*.toml")}
    assert widths.keys() <= every
    for name in every - widths.keys():  # those of another size than the table's
        assert f"`{name}`" in text_of("README.md")
    for name, width in widths.items():
        spec = load_spec(name)
        assert str(spec.array.macs) in re.findall(r"\d+", width)
        assert f"{spec.dram.bytes_per_cycle} bytes a cycle of shared DRAM" in text_of("README.md")


def test_options_of_compile_in_the_guide() -> None:
    told = {
        word.strip("`,").partition("=")[0]
        for row in table_of("docs/GUIDE.md", "option").rows
        for word in row[0].split()
        if word.strip("`").startswith("--")
    }
    options = [each for each in main.commands["compile"].params if isinstance(each, Option)]
    assert told | {"-o", "--output"} == {
        name for each in options for name in (*each.opts, *each.secondary_opts)
    }


# -------------------------------------------------------------------------- models/README: accuracy


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("fashion_dense", "dense, ten epochs"),
        ("fashion_pattern", "pattern, after six epochs with its masks held"),
        ("fashion_residual", "residual, ten epochs (61 s each, on one thread of an Intel Xeon)"),
    ],
)
def test_accuracy_of_the_committed_networks(name: str, row: str) -> None:
    table = table_of("models/README.md", "", "5,000 validation images")
    pictures, labels = images()
    session = onnxruntime.InferenceSession(ROOT / "models" / f"{name}.onnx")
    given = session.get_inputs()[0].name
    found = [session.run(None, {given: each[None]})[0].argmax() for each in pictures]
    assert f"{np.mean(np.array(found) == labels):.2%}" == table.row(row)[3].replace(" ", "")


# ----------------------------------------------------------------------------------- LOWRANK_NESTED


@pytest.mark.parametrize(
    ("target", "bits"),
    [("sparse256", (16, 16)), pytest.param("dense256", (16, 8), marks=pytest.mark.tables)],
)
def test_what_16_bits_cost(target: str, bits: tuple[int, int]) -> None:
    """Rows of the page's table, whose other columns follow from the same runs."""
    table = table_of("docs/ACCELERATORS.md", "network", "target", "bits")
    row = table.row("fashion_pattern", target, "{} x {}".format(*bits))
    spec = replace(load_spec(target), storage=Storage(*bits))
    model = ROOT / "models" / "fashion_pattern.onnx"
    network = compile_network(model, spec, calibrate=CALIBRATION)
    made = report(network, Session(network).time())
    assert made.cycles == number(row[3])
    chip = physics.physics(spec)
    standing = chip.standing_mw * made.cycles / spec.clock_mhz / 1000
    assert f"{made.microjoules + standing:.1f}" == row[4]
    assert f"{chip.area_mm2:.2f}" == row[5]
    stored = sum(len(program.image) for program in network.programs.values())
    assert f"{stored / 1024:.1f}" == row[6]


def test_low_rank_and_channels() -> None:
    """All multiplies; accuracy, which the page has of 10,000 images, of the committed ones."""
    table = table_of("docs/LOWRANK_NESTED.md", "recipe")
    assert [row[0] for row in table.rows] == ["dense", *low_rank.RECIPES]
    dense = FoldBatchNorm()(import_onnx(normalise_onnx(load_onnx(FASHION))))
    whole, (pictures, labels) = low_rank.multiplies(dense), images()
    for recipe in low_rank.RECIPES:
        _, multiplies, accuracy, *_ = table.row(recipe)
        pruned = tvm.transform.Sequential(parse_recipe(recipe))(dense)
        assert f"{low_rank.multiplies(pruned) / whole:.3f}" == multiplies
        if recipe in low_rank.RECIPES[::6]:
            share = low_rank.accuracy(pruned, pictures, labels)
            near(share / 100, number(accuracy) / 100, COMMITTED, 10_000)


@pytest.mark.tables
@pytest.mark.parametrize("network", ["fashion_dense", "resnet50"])
@pytest.mark.parametrize("scheme", nested.SCHEMES)
def test_nested_levels(network: str, scheme: str, tmp_path: Path) -> None:
    model = FASHION if network == "fashion_dense" else MODELS[network]()
    made = [
        cell.strip()
        for cell in nested.row(network, model, scheme, str(tmp_path)).strip("| ").split("|")
    ]
    wanted = table_of("docs/LOWRANK_NESTED.md", "network", "levels").row(*made[:2])
    assert [re.sub(r"(?<=\d)%", " %", cell) for cell in made[:5] + made[6:10]] == [*wanted]


# ---------------------------------------------------------------------------------------- SCHEDULES


def example() -> tuple[Region, FusionSearch]:
    """The page's network, its weights like those of ``tests/compiler/test_fusion.py``."""
    spec = load_spec("sparse256")
    b = GraphBuilder(np.random.default_rng(7), density=0.4)
    x = b.conv(b.input(16, 28, 28), 96, (1, 1))
    x = b.conv(x, 96, (3, 3), pad=(1, 1, 1, 1), groups=96)
    small = replace(spec, sram=replace(spec.sram, act_bytes=32 << 10))
    region = lower(b.graph(b.conv(x, 24, (1, 1))))
    return region, FusionSearch(region, small)


def span(first: int, end: int) -> str:
    return f"{first}..{end - 1}"


def test_bands_of_the_example_of_schedules() -> None:
    _, search = example()
    candidate = search.candidate(0, 3, 7)
    assert candidate is not None
    first, second, result = (candidate.stripe_plans[op.y.value.name] for op in search.ops)
    assert list(second.needed) == list(second.made) == list(result.made)  # none is kept for later
    for row in table_of("docs/SCHEDULES.md", "band").rows:
        if row[0] == "...":
            continue
        stripe = int(row[0]) - 1
        kept = range(int(first.carried[stripe]), int(first.end[stripe]))
        loaded = range(int(first.needed[stripe]), int(first.made[stripe]))
        assert row == (
            str(stripe + 1),
            span(result.made[stripe], result.end[stripe]),
            span(first.needed[stripe], first.end[stripe]),
            span(first.made[stripe], first.end[stripe]),
            ", ".join(map(str, kept)),
            ", ".join(map(str, loaded)),
        )


def test_cycles_of_the_example_of_schedules() -> None:
    region, search = example()
    ways = {
        "three operations, one by one": [(0, 1, 1), (1, 2, 1), (2, 3, 1)],
        "a group in 7 bands": [(0, 3, 7)],
        "in 6 bands: little room is left for tiles": [(0, 3, 6)],
        "in fewer: the buffers do not fit": [(0, 3, 5)],
    }
    table = table_of("docs/SCHEDULES.md", "", "estimated cycles")
    assert [row[0] for row in table.rows] == [*ways]
    for name, groups in ways.items():
        plans = [search.group(*group) for group in groups]
        wanted = table.row(name)[1:]
        if None in plans:
            assert wanted == ("", "", "", "")
            continue
        made: list[PricedGroup] = [each for each in plans if each]
        program = emit_region(region, search.spec, [each.plan for each in made])
        run = Machine(search.spec).run(program, {}, numbers=False)
        moved = [run.counters["useful_bytes"][run.unit == unit].sum() for unit in (LOAD, STORE)]
        assert wanted == tuple(
            f"{each:,.0f}" for each in (sum(each.cycles for each in made), run.cycles, *moved)
        )
    assert f"{sum(layer.weight_bytes for layer in program.layers):,} bytes of weights" in text_of(
        "docs/SCHEDULES.md"
    )


# ----------------------------------------------------------------------------------- TRUST, RESULTS


def test_trust_repeats_the_last_campaign() -> None:
    table = table_of(RESULTS, "change", "mutants")
    every, tried = table.row("all")[1], table.row("all")[-2]
    found = f"{number(every) - number(tried):,.0f}"
    assert f"Of {every} mutants {found} are found or proved" in text_of("docs/TRUST.md")
    assert f"for {tried} there is no proof" in text_of("docs/TRUST.md")


@pytest.mark.tables
def test_as_many_mutants_of_each_kind() -> None:
    kinds = Counter(
        mutant.kind
        for each in samples(0)
        for mutant in mutants(list(decode_all(each.program.words)))
    )
    table = table_of(RESULTS, "change", "mutants")
    assert {row[0]: int(number(row[1])) for row in table.rows} == {**kinds, "all": kinds.total()}


@pytest.mark.tables
@pytest.mark.parametrize("name", ["dense", "pruned"])
def test_the_demonstration(name: str) -> None:
    stem, answering, row = {
        "dense": ("fashion_dense", "dense256", "dense (int8"),
        "pruned": ("fashion_pattern", "pattern256", "pattern-pruned"),
    }[name]
    cycles = table_of(RESULTS, "network", "target", "non-zero MMAC")
    base = number(cycles.row("dense", "dense256")[3])
    for target in ("dense256", "pattern256"):
        network = compile_network(
            ROOT / "models" / f"{stem}.onnx",
            target,
            calibrate=ROOT / "models" / "fashion_calibration.npz",
        )
        session = Session(network)
        made = report(network, session.time())
        assert cycles.row(name, target)[2:] == (
            f"{made.effectual / 1e6:.2f}",
            f"{made.cycles:,}",
            f"{made.x_bound:.2f}",
            f"{made.x_network_bound:.2f}",
            f"{base / made.cycles:.2f}",
        )
        if target == answering:
            pictures, labels = images()
            (scores,) = session.run({network.inputs[0].name: pictures}).values()
            share = np.mean(scores.reshape(len(pictures), -1).argmax(axis=1) == labels)
    (accuracy,) = [
        cells[2]
        for cells in table_of(RESULTS, "", "float, TVM's CPU").rows
        if cells[0].startswith(row)
    ]
    assert accuracy == f"{share * 100:.1f} %"


@pytest.mark.tables
@pytest.mark.parametrize("case", [row[:3] for row in table_of(*WHOLE).rows], ids=" ".join)
def test_whole_networks(case: tuple[str, str, str]) -> None:
    made = networks.row(*case)
    assert table_of(*WHOLE).row(*case)[4:9] == (
        f"{made['cycles']:,}",
        f"{made['bound']:,}",
        f"{made['x bound']:.3f}",
        f"{made['x network']:.3f}",
        f"{made['x reachable']:.3f}",
    )
