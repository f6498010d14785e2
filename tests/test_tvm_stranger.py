"""zeroskip as a user of TVM meets it: Relax modules of their own, and nothing of ours but the
package's name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.relax.dpl import is_op, wildcard
from tvm.target import Target

import zeroskip

TARGET = "pattern256"
RNG = np.random.default_rng(7)
IMAGES = RNG.standard_normal((4, 8, 8, 8)).astype(np.float32)  # NCHW
WEIGHTS = {
    name: (RNG.standard_normal(shape) * 0.2).astype(np.float32)
    for name, shape in {
        "first": (16, 8, 3, 3),
        "bias": (16,),
        "depthwise": (16, 1, 3, 3),
        "dense": (16 * 4 * 4, 10),
    }.items()
}
op = relax.op
WAYS = pytest.mark.parametrize(
    "emit",
    [
        pytest.param(True, id="emitted"),
        pytest.param(False, id="RunCodegen", marks=pytest.mark.slow),
    ],
)


def network(
    layout: str = "NCHW", batch: Any = 1, name: str = "main", bound: bool = True
) -> tvm.IRModule:
    """Two convolutions and their sum, a pool, a dense layer and the mean of the sum. The same
    numbers in both layouts. bound: whether the first weights are a constant."""
    last = layout == "NHWC"
    kernel = "HWIO" if last else "OIHW"

    def of_kernel(key: str) -> Any:
        return np.ascontiguousarray(WEIGHTS[key].transpose(2, 3, 1, 0) if last else WEIGHTS[key])

    dense = WEIGHTS["dense"]
    if last:
        dense = dense.reshape(16, 4, 4, 10).transpose(1, 2, 0, 3).reshape(256, 10)
    bias = WEIGHTS["bias"] if last else WEIGHTS["bias"].reshape(1, 16, 1, 1)
    x = relax.Var("x", relax.TensorType((batch, 8, 8, 8), "float32"))
    first: Any = relax.const(of_kernel("first"))
    params = [x]
    if not bound:
        first = relax.Var("w", relax.TensorType(of_kernel("first").shape, "float32"))
        params.append(first)
    layouts = {"padding": 1, "data_layout": layout, "kernel_layout": kernel}
    builder = relax.BlockBuilder()
    with builder.function(name, params):
        with builder.dataflow():
            y = builder.emit(op.nn.conv2d(x, first, **layouts))
            y = builder.emit(op.nn.relu(builder.emit(op.add(y, relax.const(bias)))))
            weight = relax.const(of_kernel("depthwise"))
            z = builder.emit(op.nn.conv2d(y, weight, groups=16, **layouts))
            total = builder.emit(op.add(y, z))
            pooled = builder.emit(op.nn.max_pool2d(total, (2, 2), strides=(2, 2), layout=layout))
            flat = builder.emit(op.reshape(pooled, (batch, 256)))
            scores = builder.emit(op.matmul(flat, relax.const(np.ascontiguousarray(dense))))
            mean = builder.emit(op.mean(total, axis=[1, 2] if last else [2, 3]))
            out = builder.emit_output(relax.Tuple([scores, mean]))
        builder.emit_func_output(out)
    return builder.get()


def joined(**functions: tvm.IRModule) -> tvm.IRModule:
    """One module of the `main` of several."""
    return tvm.IRModule(
        {name: mod["main"].with_attr("global_symbol", name) for name, mod in functions.items()}
    )


def run(library: Any, name: str = "main", images: np.ndarray = IMAGES[:1]) -> list[np.ndarray]:
    vm = relax.VirtualMachine(library, tvm.cpu())
    return [each.numpy() for each in vm[name](tvm.runtime.tensor(np.ascontiguousarray(images)))]


def same(got: list[np.ndarray], want: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(got, want, strict=True))


@pytest.fixture(scope="module", autouse=True)
def _registered() -> None:
    zeroskip.register()
    zeroskip.register()  # a second time is allowed


@pytest.fixture(scope="module")
def partitioned() -> tvm.IRModule:
    return zeroskip.partition_for_zeroskip(network(), TARGET, {"x": IMAGES})


@pytest.fixture(scope="module")
def bits(partitioned: tvm.IRModule) -> list[np.ndarray]:
    """What every way to the accelerator must give; near to the float network."""
    got, want = run(tvm.compile(partitioned, "llvm")), run(tvm.compile(network(), "llvm"))
    for each, exact in zip(got, want, strict=True):
        assert 10 * np.log10(np.square(exact).sum() / np.square(each - exact).sum()) > 25
    return got


LOADER = """
import sys, numpy as np, tvm
from tvm import relax
vm = relax.VirtualMachine(tvm.runtime.load_module(sys.argv[1]), tvm.cpu())
x = tvm.runtime.tensor(np.load("x.npy"))
try:
    vm["main"](x)
except RuntimeError as error:
    print(error)
import zeroskip
zeroskip.register()
np.savez("y.npz", *(each.numpy() for each in vm["main"](x)))
"""


def test_all_layers_are_on_the_accelerator(partitioned: tvm.IRModule) -> None:
    text = partitioned.script()
    assert text.count('R.call_dps_packed("zeroskip.run"') == 1
    assert "R.nn.conv2d" not in text
    assert "R.matmul" not in text
    assert dict(partitioned["main"].attrs["zeroskip.cpu"]) == {}


@WAYS
def test_exported_and_loaded_by_a_new_process(
    emit: bool, bits: list[np.ndarray], tmp_path: Path
) -> None:
    """Which says what lacks before it is told of zeroskip."""
    mod = zeroskip.partition_for_zeroskip(network(), TARGET, {"x": IMAGES}, emit=emit)
    if not emit:
        mod = relax.transform.RunCodegen()(mod)
        assert "zeroskip.run" not in mod.script()
    library = tvm.compile(mod, "llvm")
    assert same(run(library), bits)
    library.export_library(str(tmp_path / "net.so"))
    np.save(tmp_path / "x.npy", IMAGES[:1])
    done = subprocess.run(
        [sys.executable, "-c", LOADER, str(tmp_path / "net.so")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "first `import zeroskip; zeroskip.register()`" in done.stdout
    with np.load(tmp_path / "y.npz") as made:
        assert same([made[f"arr_{place}"] for place in range(2)], bits)


def test_pipeline(bits: list[np.ndarray]) -> None:
    pipeline = relax.get_pipeline("zeroskip", target=TARGET, samples={"x": IMAGES})
    assert same(run(tvm.compile(network(), "llvm", relax_pipeline=pipeline)), bits)


def test_pipeline_for_a_target_tag(bits: list[np.ndarray]) -> None:
    """There is a tag for each built-in target; the pipeline takes the accelerator from it."""
    pipeline = relax.get_pipeline("zeroskip", samples={"x": IMAGES})
    tag = f"zeroskip/{TARGET}"
    assert same(run(tvm.compile(network(), tag, relax_pipeline=pipeline)), bits)
    with pytest.raises(Exception, match=r"no accelerator is named.*zeroskip/pattern256"):
        tvm.compile(network(), "llvm", relax_pipeline=pipeline)
    tags = [name for name in tvm.target.list_tags() if name.startswith("zeroskip/")]
    assert len(tags) >= 14
    assert all(Target(name).kind.name == "llvm" for name in tags)


def test_for_another_cpu(tmp_path: Path) -> None:
    """What is linked beside a network is machine code for the TVM target of the context."""
    with Target({"kind": "llvm", "mtriple": "aarch64-linux-gnu"}):
        mod = zeroskip.partition_for_zeroskip(network(), TARGET, {"x": IMAGES})
    (linked,) = mod.attrs["external_mods"]
    linked.write_to_file(str(tmp_path / "run.o"), "o")
    elf = (tmp_path / "run.o").read_bytes()
    assert int.from_bytes(elf[18:20], "little") == 183  # EM_AARCH64


def in_channels_last(mod: tvm.IRModule) -> tvm.IRModule:
    return relax.transform.ConvertLayout({"relax.nn.conv2d": ["NHWC", "HWIO"]})(mod)


@pytest.mark.parametrize(
    ("mod", "last"),
    [
        (network("NHWC"), True),
        (in_channels_last(network()), False),
        (relax.transform.FoldConstant()(in_channels_last(network())), False),
    ],
    ids=["NHWC", "ConvertLayout", "ConvertLayout, folded"],
)
def test_layouts(mod: tvm.IRModule, last: bool, bits: list[np.ndarray]) -> None:
    """The same bits as in channels first, and every layer on the accelerator."""
    images = np.ascontiguousarray(IMAGES.transpose(0, 2, 3, 1)) if last else IMAGES
    made = zeroskip.partition_for_zeroskip(mod, TARGET, {"x": images})
    assert "R.nn.conv2d" not in made.script()
    assert "R.matmul" not in made.script()
    assert same(run(tvm.compile(made, "llvm"), images=images[:1]), bits)


@WAYS
def test_several_functions(emit: bool, bits: list[np.ndarray]) -> None:
    """Functions of any name are taken; one that is not named stays the object that it was."""
    mod = joined(encode=network(), decode=network("NHWC"), other=network())
    samples = {"encode": {"x": IMAGES}, "decode": {"x": IMAGES.transpose(0, 2, 3, 1)}}
    made = zeroskip.partition_for_zeroskip(
        mod, TARGET, samples, functions=["encode", "decode"], emit=emit
    )
    assert made["other"].same_as(mod["other"])
    if not emit:
        made = relax.transform.RunCodegen(entry_functions=["encode", "decode", "other"])(made)
    library = tvm.compile(made, "llvm")
    assert same(run(library, "encode"), bits)
    assert same(run(library, "decode", IMAGES[:1].transpose(0, 2, 3, 1)), bits)
    assert same(run(library, "other"), run(tvm.compile(network(), "llvm")))


def test_a_module_without_main(bits: list[np.ndarray]) -> None:
    mod = joined(forward=network())
    made = zeroskip.partition_for_zeroskip(mod, TARGET, {"x": IMAGES})
    public = [each for each in made.functions.values() if "global_symbol" in each.attrs]
    assert [str(each.attrs["global_symbol"]) for each in public] == ["forward"]
    assert same(run(tvm.compile(made, "llvm"), "forward"), bits)


def test_a_private_function_is_inlined(bits: list[np.ndarray]) -> None:
    part = network()["main"].without_attr("global_symbol")
    builder = relax.BlockBuilder()
    var = builder.add_func(part, "part")
    x = relax.Var("x", relax.TensorType((1, 8, 8, 8), "float32"))
    with builder.function("main", [x]):
        builder.emit_func_output(builder.emit(relax.Call(var, [x])))
    made = zeroskip.partition_for_zeroskip(builder.get(), TARGET, {"x": IMAGES})
    assert same(run(tvm.compile(made, "llvm")), bits)


def test_compile_takes_a_module(bits: list[np.ndarray]) -> None:
    """And what it makes agrees with TVM's CPU and with the module's own pipeline."""
    size = tvm.tirx.Var("n", "int64")
    made = zeroskip.compile(
        network(batch=size), TARGET, calibrate={"x": IMAGES}, shapes={"x": (1, 8, 8, 8)}
    )
    found = zeroskip.validate(made, {"x": IMAGES[:1]})
    assert found.exact
    assert same(list(zeroskip.Session(made).run({"x": IMAGES[:1]}).values()), bits)


def test_pruning_and_a_pass_that_is_disabled(bits: list[np.ndarray]) -> None:
    def made() -> list[np.ndarray]:
        mod = zeroskip.partition_for_zeroskip(
            network(), TARGET, {"x": IMAGES}, prune="unstructured:sparsity=0.5"
        )
        return run(tvm.compile(mod, "llvm"))

    assert not same(made(), bits)
    with tvm.transform.PassContext(disabled_pass=["zeroskip.PruneUnstructured"]):
        assert same(made(), bits)


def test_passes_have_names_of_one_kind() -> None:
    @tvm.instrument.pass_instrument
    class Names:
        def __init__(self) -> None:
            self.all: list[str] = []

        def run_before_pass(self, _mod: Any, info: Any) -> None:
            self.all.append(str(info.name))

    names = Names()
    with tvm.transform.PassContext(instruments=[names]):
        zeroskip.partition_for_zeroskip(network(), TARGET, {"x": IMAGES}, prune="pattern")
    ours = [name for name in names.all if name.startswith("zeroskip.")]
    assert {f"zeroskip.{name}" for name in STAGES} <= set(ours)
    assert not any(name.endswith(STAGES) and name not in ours for name in names.all)


STAGES = (
    "NormaliseRelax",
    "FoldBatchNorm",
    "FoldForward",
    "PrunePattern",
    "QuantizeInt8",
    "PartitionForAccelerator",
    "TileAndSchedule",
)


def test_a_pass_of_ours_is_required_by_name() -> None:
    zeroskip.partition_for_zeroskip(network(), TARGET, {"x": IMAGES})
    seen: list[str] = []

    def look(mod: tvm.IRModule, _ctx: Any) -> tvm.IRModule:
        seen.append(mod.script())
        return mod

    required = ["zeroskip.NormaliseRelax"]
    mine = tvm.transform.module_pass(look, opt_level=0, name="Mine", required=required)
    tvm.transform.Sequential([mine])(network("NHWC"))
    assert 'data_layout="NCHW"' in seen[0]
    assert 'data_layout="NHWC"' not in seen[0]


def test_scales_of_its_own_need_no_samples() -> None:
    x = relax.Var("x", relax.TensorType((1, 8, 8, 8), "float32"))
    builder = relax.BlockBuilder()

    def rounded(value: Any, step: float) -> Any:
        scale, zero = relax.const(step, "float32"), relax.const(0, "int8")
        quantized = builder.emit(op.quantize(value, scale, zero, axis=-1, out_dtype="int8"))
        return builder.emit(op.dequantize(quantized, scale, zero, axis=-1, out_dtype="float32"))

    with builder.function("main", [x]):
        with builder.dataflow():
            weight = relax.const(np.round(WEIGHTS["first"] * 64) / 64)
            y = builder.emit(op.nn.conv2d(rounded(x, 1 / 32), weight, padding=1))
            out = builder.emit_output(relax.Tuple([rounded(y, 1 / 16)]))
        builder.emit_func_output(out)
    mod = builder.get()
    made = zeroskip.partition_for_zeroskip(mod, TARGET)
    assert "R.nn.conv2d" not in made.script()
    (got,), (want,) = run(tvm.compile(made, "llvm")), run(tvm.compile(mod, "llvm"))
    assert np.abs(got - want).max() <= 1 / 16  # a step of the result's


def test_a_batch_is_one_region() -> None:
    made = zeroskip.partition_for_zeroskip(network(batch=2), TARGET, {"x": IMAGES})
    got, want = (
        run(tvm.compile(mod, "llvm"), images=IMAGES[:2]) for mod in (made, network(batch=2))
    )
    assert np.abs(got[0] - want[0]).max() < 0.1 * np.abs(want[0]).max()


def test_what_stays_on_the_cpu_is_said() -> None:
    x = relax.Var("x", relax.TensorType((1, 4, 8), "float32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            turned = builder.emit(op.permute_dims(x, [0, 2, 1]))
            out = builder.emit_output(builder.emit(op.matmul(x, turned)))
        builder.emit_func_output(out)
    samples = {"x": np.ones((2, 4, 8), np.float32)}
    with pytest.warns(
        RuntimeWarning, match="'main' stay on the CPU, not on pattern256.*second operand is not"
    ):
        zeroskip.partition_for_zeroskip(builder.get(), TARGET, samples)


def lowered() -> tvm.IRModule:
    return relax.transform.LegalizeOps()(network())


def fused() -> tvm.IRModule:
    passes = [relax.transform.LegalizeOps(), relax.transform.AnnotateTIROpPattern()]
    return tvm.transform.Sequential([*passes, relax.transform.FuseOps()])(network())


def of_another_backend() -> tvm.IRModule:
    pattern = is_op("relax.nn.max_pool2d")(wildcard())
    fuse = relax.transform.FuseOpsByPattern([("other.pool", pattern)], annotate_codegen=True)
    return fuse(network())


def partitioned_twice() -> tvm.IRModule:
    return zeroskip.partition_for_zeroskip(network(), TARGET, {"x": IMAGES})


REFUSED: dict[str, tuple[Callable[[], tvm.IRModule], str]] = {
    "symbol": (
        lambda: network(batch=tvm.tirx.Var("n", "int64")),
        r"Parameter 'x' of 'main' has no fixed shape \(n, 8, 8, 8\).*BindSymbolicVars\(\{'n': 1\}",
    ),
    "weight": (
        lambda: network(bound=False),
        r"Parameter 'w' of 'main' is a weight without a value.*BindParams\('main', \{'w': tensor",
    ),
    "weight of another function": (
        lambda: joined(forward=network(bound=False)),
        r"Parameter 'w' of 'forward'.*BindParams\('forward'",
    ),
    "lowered": (lowered, "calls 'conv2d', .*before relax.transform.LegalizeOps"),
    "fused": (fused, "calls 'conv2d', .*before relax.transform.LegalizeOps"),
    "which function": (
        lambda: joined(a=network(), b=network()),
        r"functions 'a', 'b' and none is called 'main'.*functions=\[...\]",
    ),
    "another backend's": (
        of_another_backend,
        "'main' calls '.*max_pool2d.*', a region of the backend 'other': partition for zeroskip first",
    ),
    "twice": (partitioned_twice, "'main' is quantized by zeroskip already: give the float module"),
    "no function": (lambda: tvm.IRModule(), "no public Relax function"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    make, sentence = REFUSED[case]
    with pytest.raises(Exception, match=sentence):
        zeroskip.partition_for_zeroskip(make(), TARGET, {"x": IMAGES})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "'main' is float and has no samples.*give samples="),
        ({"samples": {"y": IMAGES, "z": IMAGES}}, "'y', which is not an input"),
        ({"samples": {"x": IMAGES[:, :, :3]}}, r"the network takes \[samples, 8, 8, 8\]"),
        (
            {"samples": {"x": IMAGES}, "functions": ["f"]},
            "no Relax function 'f': name one of 'main'",
        ),
        ({"samples": {"x": IMAGES}, "target": "pattern25"}, "'pattern25' is not known"),
        ({"samples": {"x": IMAGES}, "target": None}, "no accelerator is named"),
        ({"samples": {"x": IMAGES}, "target": Target("llvm")}, "no accelerator is named"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Exception, match=sentence):
        zeroskip.partition_for_zeroskip(network(), **{"target": TARGET, **options})


def test_a_weight_of_a_product_that_is_a_parameter() -> None:
    """It might be an input, but then there would be samples of it."""
    x, w = (relax.Var(name, relax.TensorType((8, 8), "float32")) for name in "xw")
    builder = relax.BlockBuilder()
    with builder.function("main", [x, w]):
        builder.emit_func_output(builder.emit(op.matmul(x, w)))
    with pytest.raises(Exception, match=r"lack input 'w' of 'main'.*BindParams\('main', \{'w'"):
        zeroskip.partition_for_zeroskip(builder.get(), TARGET, {"x": IMAGES[0, 0]})


def test_samples_by_function() -> None:
    mod = joined(a=network(), b=network())
    for samples, sentence in (
        ({"a": {"x": IMAGES}, "c": {"x": IMAGES}}, "samples are for 'c', which is none of"),
        ({"a": {"x": IMAGES}}, "function 'b' is float and has no samples"),
    ):
        with pytest.raises(Exception, match=sentence):
            zeroskip.partition_for_zeroskip(mod, TARGET, samples, functions=["a", "b"])


def test_codegen_for_another_target_is_refused() -> None:
    mod = zeroskip.partition_for_zeroskip(network(), TARGET, {"x": IMAGES}, emit=False)
    codegen = relax.transform.RunCodegen({"zeroskip": {"target": "dense256"}})
    with pytest.raises(
        Exception, match="schedule for pattern256 and cannot be emitted for dense256"
    ):
        codegen(mod)
