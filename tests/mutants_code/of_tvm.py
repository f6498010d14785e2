"""Changes to what TVM's users meet: the entry of a module, its normal form, the backend."""

from __future__ import annotations

from tests.mutants_code.change import Change

STRANGER = "test_tvm_stranger.py"
NORMAL_FORM = "relay_passes/test_normal_form.py"

TVM: tuple[Change, ...] = (
    Change(
        "compiler/backend.py",
        "what stays on the CPU is not said",
        "    if not left:\n",
        "    if left:\n",
        f"{STRANGER}::test_what_stays_on_the_cpu_is_said",
    ),
    Change(
        "compiler/backend.py",
        "the accelerator of a target tag is not looked at",
        "_of_tvm_target(target or tvm.target.Target.current(allow_none=True))",
        "_of_tvm_target(target)",
        f"{STRANGER}::test_pipeline_for_a_target_tag",
    ),
    Change(
        "compiler/external.py",
        "a library without zeroskip calls whatever is at 0",
        "br i1 %missing, label %refuse, label %forward",
        "br i1 false, label %refuse, label %forward",
        f"{STRANGER}::test_exported_and_loaded_by_a_new_process",
    ),
    Change(
        "compiler/external.py",
        "the program of a region is not handed on",
        "more=0 if program is None else 1,",
        "more=0,",
        f"{STRANGER}::test_exported_and_loaded_by_a_new_process",
    ),
    Change(
        "relay_passes/relax/entry.py",
        "what the entry calls through another function is set aside",
        "open_ += [var.name_hint for var in relax.analysis.all_global_vars(func)]",
        "pass",
        f"{NORMAL_FORM}::test_the_entry_is_main_and_back",
    ),
    Change(
        "relay_passes/relax/entry.py",
        "a new function takes the name of one that was set aside",
        "            if var.name_hint in others\n",
        "            if False\n",
        f"{NORMAL_FORM}::test_new_functions_do_not_take_the_names_of_others",
    ),
    Change(
        "relay_passes/relax/layouts.py",
        "transpositions are joined in the wrong order",
        "[_axes(before)[axis] for axis in axes]",
        "[axes[axis] for axis in _axes(before)]",
        f"{NORMAL_FORM}::test_transpositions_are_joined",
    ),
    Change(
        "relay_passes/relax/layouts.py",
        "a transposition before a product is dropped, its weights stay in order",
        "rows = weight.reshape(*sizes, -1).transpose(*(axis - 1 for axis in back), len(sizes))",
        "rows = weight",
        NORMAL_FORM,
    ),
    Change(
        "relay_passes/relax/layouts.py",
        "constants of fewer dimensions stop the new layout",
        "if value is not None and 0 < value.ndim < rank:",
        "if False:",
        f"{NORMAL_FORM}::test_channels_first",
    ),
    Change(
        "relay_passes/relax/layouts.py",
        "kernels of another layout are taken for channels first",
        "return layouts == _FIRST[name]",
        "return layouts[0] == _FIRST[name][0]",
        f"{NORMAL_FORM}::test_channels_first",
    ),
    Change(
        "relay_passes/relax/refusals.py",
        "lowered modules are taken",
        "    if lowered:\n",
        "    if not lowered:\n",
        f"{STRANGER}::test_refused",
    ),
    Change(
        "relay_passes/relax/passes.py",
        "other functions get what the entry gets",
        "entry.put_back(inner(self, _unique(entry), ctx))",
        "inner(self, _unique(entry), ctx)",
        f"{NORMAL_FORM}::test_a_pass_takes_the_entry_alone",
    ),
    Change(
        "runtime/execution/packed.py",
        "a program is never bytes",
        "np.frombuffer(blob, np.uint8) if isinstance(blob, bytes) else np.from_dlpack(blob)",
        "np.from_dlpack(blob)",
        f"{STRANGER}::test_exported_and_loaded_by_a_new_process",
    ),
)
