"""Settings, spaces, keys and metrics of experiments."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroskip.accel_model.errors import ZeroskipError
from zeroskip.accel_model.spec import load_spec, spec_from_table, targets
from zeroskip.runtime.experiments import sources
from zeroskip.runtime.experiments.metrics import METRICS, Budget, unbeaten
from zeroskip.runtime.experiments.point import FrontPoint, Point
from zeroskip.runtime.experiments.settings import check_settings, read_values, with_settings
from zeroskip.runtime.experiments.sources import Source
from zeroskip.runtime.experiments.space import Space, read_space

SPARSE = load_spec("sparse256")


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A network whose file holds something; nothing reads it here."""
    (tmp_path / "net.onnx").write_bytes(b"net")
    (tmp_path / "x.npz").write_bytes(b"samples")
    return Source(tmp_path / "net.onnx", calibrate=tmp_path / "x.npz")


# ------------------------------------------------------------------------------------ settings


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("64KiB, 1.5KiB,2MiB", (65536, 1536, 2097152)),
        ("500,500.5", (500, 500.5)),
        ("bitmap,dense", ("bitmap", "dense")),
        ([16, "1KiB"], (16, 1024)),
        (7, (7,)),
        ({"from": "64KiB", "to": "256KiB", "times": 2}, (65536, 131072, 262144)),
        ({"from": 100, "to": 200, "step": 40}, (100, 140, 180)),
    ],
)
def test_values_are_read(text: Any, values: tuple[Any, ...]) -> None:
    assert read_values(text, "'key'") == values


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ("", "'key' has no value"),
        ([], "'key' has no value"),
        ("64KiB,65536", "65536 twice"),
        ({"from": 2, "to": 1, "step": 1}, "empty range"),
        ({"from": 1, "to": 2, "step": 0}, "step above 0"),
        ({"from": 1, "to": 2, "times": 1}, "times above 1"),
        ({"from": 1, "to": 2}, "no range"),
        ({"from": "a", "to": 2, "step": 1}, "are numbers"),
        ({"from": 0.0, "to": 1.0, "step": 1e-9}, "more than 10,000"),
        ([True], "cannot be True"),
        ([[1]], "cannot be [1]"),
    ],
)
def test_values_are_refused(given_: Any, words: str) -> None:
    with pytest.raises(ZeroskipError) as refusal:
        read_values(given_, "'key'")
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({"sram.act_byte": (1,)}, "did you mean 'sram.act_bytes'?"),
        ({"sram": (1,)}, "is no key of hardware"),
        ({"name": ("x",)}, "is no key of hardware"),
        ({"sram.act_bytes": (1,)}, "outside 256"),
        ({"sram.act_banks": (3,)}, "power of two"),
        ({"clock_mhz": ("fast",)}, "must be a number"),
        ({"array.kind": ("foo",)}, "is not one of"),
        ({"array.kind": ("bitmap", "systolic"), "array.lanes": (64,)}, "kind 'systolic'"),
        ({"energy.mac": (1.0,)}, "no section [energy]"),
        ({"dram.timing.kind": ("ddr9",)}, "is not one of"),
    ],
)
def test_settings_are_refused_by_themselves(axes: dict[str, Any], words: str) -> None:
    with pytest.raises(ZeroskipError) as refusal:
        check_settings(SPARSE, axes)
    assert words in str(refusal.value)


def test_settings_that_only_go_together_are_taken() -> None:
    timing: dict[str, Any] = {
        "kind": ("lpddr4-3200",),
        "channels": (2,),
        "queue": (4,),
        "banks": (8, 16),
    }
    check_settings(SPARSE, {f"dram.timing.{key}": values for key, values in timing.items()})


@pytest.mark.parametrize("name", targets())
def test_nothing_set_is_the_target_itself(name: str) -> None:
    spec = load_spec(name)
    assert spec_from_table(with_settings(spec.table, {}), name) == spec
    assert with_settings(spec.table, {"array.kind": spec.array.kind}) == spec.table


def test_settings_change_what_they_name_and_nothing_else() -> None:
    before = SPARSE.table
    timing: dict[str, Any] = {"kind": "ddr4-2400", "channels": 2, "queue": 4}
    settings = {f"dram.timing.{key}": value for key, value in timing.items()}
    table = with_settings(before, {"sram.act_bytes": 65536, **settings})
    assert before == SPARSE.table
    spec = spec_from_table(table, "test")
    assert spec.dram.timing is not None
    flat = replace(spec, dram=replace(spec.dram, timing=None))
    assert flat == replace(SPARSE, sram=replace(SPARSE.sram, act_bytes=65536))


def test_another_kind_brings_the_array_of_the_target_of_its_size() -> None:
    spec = spec_from_table(with_settings(SPARSE.table, {"array.kind": "sparten"}), "test")
    assert spec.array == load_spec("sparten256").array  # and not that of sparten_micro2019
    assert spec.sram == SPARSE.sram


# ------------------------------------------------------------------------------- points and keys


def point(source: Source, **settings: Any) -> Point:
    return Point(FrontPoint(source, SPARSE), SPARSE, tuple(settings.items()))


def test_keys_are_of_the_content(source: Source, tmp_path: Path) -> None:
    (tmp_path / "copy.onnx").write_bytes(b"net")
    same = replace(source, model=tmp_path / "copy.onnx")
    assert point(source).key == point(same).key
    renamed = replace(SPARSE, name="other", summary="of the same numbers")
    assert point(source).key == replace(point(source), target=renamed).key
    set_to_its_own = Point(
        FrontPoint(source, SPARSE), SPARSE, (("sram.act_bytes", SPARSE.sram.act_bytes),)
    )
    assert point(source).key == set_to_its_own.key


def test_keys_differ_where_something_differs(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = FrontPoint(source, SPARSE)
    space = Space.of([source], schemes=["unstructured", "nm"], reconstruct="weights")
    points = [
        point(source),
        replace(point(source), objective="energy"),
        replace(point(source), batch=4),
        replace(point(source), settings=(("sram.act_bytes", 65536),)),
        replace(point(source), target=load_spec("dense256")),
        Point(replace(front, source=replace(source, calibrate=None)), SPARSE),
        Point(replace(front, source=replace(source, shapes=(("x", (1, 3)),))), SPARSE),
        *(Point(each, SPARSE) for each in space.fronts()),
        *(Point(replace(each, reconstruct=None), SPARSE) for each in space.fronts()),
    ]
    keys = [each.key for each in points]
    (tmp_path / "net.onnx").write_bytes(b"another")
    keys.append(point(replace(source)).key)
    (tmp_path / "x.npz").write_bytes(b"other samples")
    keys.append(point(replace(source)).key)
    monkeypatch.setattr("zeroskip.runtime.experiments.point.code_version", lambda: "another")
    keys.append(point(replace(source)).key)
    assert len(set(keys)) == len(keys) == 18


def test_the_weights_beside_a_model_are_its_content(tmp_path: Path) -> None:
    import numpy as np
    import onnx

    from tests.runtime.nets import small_net

    path = tmp_path / "net.onnx"
    onnx.save(small_net(), path, save_as_external_data=True, location="net.bin", size_threshold=64)
    before = Source(path).digest
    weights = np.fromfile(tmp_path / "net.bin", np.uint8)
    weights[5] ^= 1
    weights.tofile(tmp_path / "net.bin")
    assert Source(path).digest != before


def test_the_version_counts_code_that_makes_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(changed: str) -> str:
        digest = sources.digest_of
        monkeypatch.setattr(
            sources, "digest_of", lambda path: "x" if str(path).endswith(changed) else digest(path)
        )
        try:
            return sources.code_version.__wrapped__()
        finally:
            monkeypatch.undo()

    assert version("compiler/driver.py") != sources.code_version()
    assert version("accel_model/technology/sram.csv") != sources.code_version()
    assert version("runtime/render/tables.py") == sources.code_version()


# ---------------------------------------------------------------------------------------- spaces


def test_a_space_is_the_product_of_its_axes(source: Source) -> None:
    space = Space.of(
        [source],
        targets=["sparse256", "dense256"],
        settings={"sram.act_bytes": "64KiB,128KiB", "clock_mhz": [400, 500]},
        schemes=["dense", "unstructured", "nm+channels:ratio=0.5"],
        sparsities=[0.5, 0.75],
        objectives=["cycles", "edp"],
    )
    points = list(space)
    assert len(points) == len(space) == (1 + 2 + 1) * 2 * 4 * 2
    assert len({each.key for each in points}) == len(points)
    names = [tuple(each.named().values()) for each in points]
    assert len(set(names)) == len(names)
    fronts = [each.front for each in points]
    assert len(list(itertools.groupby(fronts))) == 4  # those of a front stand together
    assert {each.front.sparsity for each in points if each.front.scheme == "dense"} == {None}


def test_a_file_gives_the_space_of_the_options(source: Source, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(
        '[[prune]]\nscheme = "nm"\nm = 8\n[[prune]]\nscheme = "channels"\nratio = 0.5\n'
    )
    (tmp_path / "space.toml").write_text(
        'networks = ["net.onnx"]\ncalibrate = "x.npz"\nschemes = ["dense", "own.toml", "pattern"]\n'
        'sparsities = [0.4]\ntargets = ["sparse256"]\nobjectives = ["energy"]\n'
        'reconstruct = "weights"\n[set]\n"sram.act_bytes" = ["64KiB"]\n'
        '"sram.wgt_bytes" = {from = "64KiB", to = "128KiB", times = 2}\n'
    )
    space = read_space(tmp_path / "space.toml")
    same = Space.of(
        [source],
        targets=["sparse256"],
        settings={"sram.act_bytes": "64KiB", "sram.wgt_bytes": "64KiB,128KiB"},
        schemes=["dense", str(tmp_path / "own.toml"), "pattern"],
        sparsities=[0.4],
        objectives=["energy"],
        reconstruct="weights",
    )
    assert list(space) == list(same)
    assert len(space) == 6


def test_networks_of_a_file_have_data_of_their_own(source: Source, tmp_path: Path) -> None:
    (tmp_path / "b.onnx").write_bytes(b"b")
    (tmp_path / "space.toml").write_text(
        '[[network]]\nmodel = "net.onnx"\ncalibrate = "x.npz"\n'
        '[[network]]\nmodel = "b.onnx"\nshapes = {x = [1, 3]}\n'
    )
    assert read_space(tmp_path / "space.toml").sources == (
        source,
        Source(tmp_path / "b.onnx", shapes=(("x", (1, 3)),)),
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("networks = [", "is not TOML"),
        ("", "must have networks"),
        ('networks = ["net.onnx"]\n[[network]]\nmodel = "net.onnx"', "not both"),
        ("networks = []", "name one network"),
        ('networks = ["none.onnx"]', "cannot be read"),
        ("networks = [1]", "networks must be texts"),
        ('networks = "net.onnx"', "networks must be a list"),
        ('networks = ["net.onnx"]\nsparsity = [0.5]', "did you mean 'sparsities'?"),
        ('networks = ["net.onnx"]\nsparsities = [1.5]', "not above 0 and below 1"),
        ('networks = ["net.onnx"]\nsparsities = ["much"]', "is no number"),
        ('networks = ["net.onnx"]\nsparsities = []', "name one sparsity"),
        ('networks = ["net.onnx"]\nschemes = ["unstructurd"]', "did you mean 'unstructured'?"),
        ('networks = ["net.onnx"]\ntargets = ["dense"]', "is not known"),
        ('networks = ["net.onnx"]\nobjectives = ["cycle"]', "did you mean 'cycles'?"),
        ('networks = ["net.onnx"]\nbatches = [0]', "is no number of images"),
        ('networks = ["net.onnx"]\nbatches = []', "name one batch"),
        ('networks = ["net.onnx"]\nreconstruct = "weight"', "did you mean 'weights'?"),
        ('networks = ["net.onnx"]\nreconstruct = "weights"', "fitted to samples"),
        ('networks = ["net.onnx"]\n[set]\n"sram.act_bytes" = []', "has no value"),
        (
            'networks = ["net.onnx"]\n[set]\nclock_mhz = {from = 5, to = 2, step = 1}',
            "'clock_mhz' is an empty range",
        ),
        ('networks = ["net.onnx"]\n[set]\nclock_mh = [1]', "did you mean 'clock_mhz'?"),
        ('[[network]]\ndata = "x.npz"', "model is missing"),
        ('[[network]]\nmodel = "net.onnx"\nsize = 3', "is no key"),
        ('[[network]]\nmodel = "net.onnx"\nshapes = {x = 3}', "must be sizes"),
        ("network = [3]", "is no table"),
    ],
)
def test_files_are_refused(source: Source, tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "space.toml"
    path.write_text(content)
    with pytest.raises(ZeroskipError) as refusal:
        read_space(path)
    assert words in str(refusal.value)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


# --------------------------------------------------------------------------------------- metrics


@pytest.mark.parametrize(
    ("text", "metric", "limit"),
    [
        ("area=2.5mm2", "area", 2.5),
        ("accuracy = 92%", "accuracy", 0.92),
        ("snr=20dB", "snr", 20.0),
        ("bytes=64KiB", "bytes", 65536.0),
        ("time=1.5us", "time", 0.0015),
        ("cycles=2e4", "cycles", 20000.0),
        ("cpu=0", "cpu", 0.0),
    ],
)
def test_budgets_are_read(text: str, metric: str, limit: float) -> None:
    found = Budget.parse(text)
    assert found.metric is METRICS[metric]
    assert found.limit == pytest.approx(limit)


@pytest.mark.parametrize("text", ["area", "area=", "area=5kg", "areas=5", "=5", "snr=good"])
def test_budgets_are_refused(text: str) -> None:
    with pytest.raises(ZeroskipError) as refusal:
        Budget.parse(text)
    assert "area" in str(refusal.value) or "snr" in str(refusal.value) or "''" in str(refusal.value)


def test_a_budget_is_kept_up_to_its_limit() -> None:
    area, accuracy = Budget.parse("area=2"), Budget.parse("accuracy=90%")
    assert area.excess({"area_mm2": 2.0}) == 0
    assert area.excess({"area_mm2": 3.0}) == pytest.approx(0.5)
    assert accuracy.excess({"accuracy": 0.95}) < 0 < accuracy.excess({"accuracy": 0.85})
    assert area.excess({"area_mm2": None}) == float("inf")


figures = st.integers(0, 4) | st.none()


@given(st.lists(st.tuples(figures, figures, st.integers(0, 2)), max_size=12))
def test_what_is_unbeaten_is_beaten_by_none(rows: list[tuple[Any, ...]]) -> None:
    points = [{"snr_db": snr, "cycles": cycles, "cpu_share": cpu / 2} for snr, cycles, cpu in rows]
    found = unbeaten(points, [METRICS["snr"], METRICS["cycles"]])

    def beats(one: dict[str, Any], other: dict[str, Any]) -> bool:
        pairs = [
            (one["snr_db"], other["snr_db"]),
            (other["cycles"], one["cycles"]),
            (other["cpu_share"], one["cpu_share"]),
        ]
        return all(mine >= its for mine, its in pairs) and any(mine > its for mine, its in pairs)

    whole = [p for p in points if None not in p.values()]
    distinct = [p for n, p in enumerate(whole) if p not in whole[:n]]
    wanted = [p for p in distinct if not any(beats(other, p) for other in distinct)]
    assert [points[n] for n in found] == wanted
