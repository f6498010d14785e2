"""numba's compiler without what loops over plain arrays do not need: a third of its time.

A function that is called from Python becomes machine code as ever. One that another compiled one
calls becomes LLVM code only, simplified, which goes into the caller's and is optimised there, once:
numba makes machine code of it too, with a way in from Python, and optimises it whole before and
after it is part of the caller. Such functions have no environment: they raise and print nothing.

Arrays are the caller's: compiled code makes none and counts none's references, so that nothing has
to be known of how long variables live. An inner function may return a part of an array.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from numba import _dynfunc
from numba.core import base, cgutils, typed_passes, types, untyped_passes
from numba.core.codegen import JITCodeLibrary
from numba.core.codegen import ll as llvm
from numba.core.compiler import CompilerBase, Flags
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.errors import TypingError
from numba.core.imputils import lower_builtin
from numba.core.ir_utils import build_definitions
from numba.core.lowering import Lower
from numba.core.registry import CPUDispatcher
from numba.core.ssa import reconstruct_ssa
from numba.core.targetconfig import ConfigStack
from numba.core.transforms import canonicalize_cfg
from numba.core.typed_passes import NativeLowering
from numba.core.typing.templates import _OverloadFunctionTemplate, signature
from numba.cpython.builtins import do_minmax

# --------------------------------------------------------------------------------- LLVM's part


class _EntryLibrary(JITCodeLibrary):  # type: ignore[misc]  # numba has no types
    """The machine code of a function and of all that it calls, optimised together once."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        builder = self._pass_builder()
        builder.getModulePassManager().run(self._final_module, builder)

    def _pass_builder(self) -> Any:
        return self._codegen._pass_builder()


class _ScalarLibrary(_EntryLibrary):
    """The same without vectors and repeated bodies of loops."""

    def _pass_builder(self) -> Any:
        options = llvm.create_pipeline_tuning_options(speed_level=2)
        options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
        return llvm.create_pass_builder(self._codegen._tm, options)


class _InnerLibrary(JITCodeLibrary):  # type: ignore[misc]  # numba has no types
    """LLVM code for the libraries that link it. Its functions are simplified one by one: optimised
    only as parts of others, loops over weights take twice as long."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout
        for function in ll_module.functions:
            if not function.is_declaration:
                builder = self._codegen._pass_builder()
                builder.getFunctionPassManager().run(function, builder)

    def finalize(self) -> None:
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True


class _Lower(Lower):  # type: ignore[misc]  # numba has no types
    """numba's, without sizes for a debugger and without a context of each statement's errors."""

    def lower_block(self, block: Any) -> None:
        self.pre_block(block)
        for each in block.body:
            self.loc = each.loc
            self.lower_inst(each)
        self.post_block(block)

    def alloca_lltype(self, name: str, lltype: Any, datamodel: Any = None) -> Any:
        return cgutils.alloca_once(self.builder, lltype, name=name)


@register_pass(mutates_CFG=True, analysis_only=False)
class _EntryLowering(NativeLowering):  # type: ignore[misc]  # numba has no types
    _name = "entry_lowering"
    lowering_class = _Lower
    library: type = _EntryLibrary

    def run_pass(self, state: Any) -> bool:
        state.library = self.library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return bool(super().run_pass(state))


@register_pass(mutates_CFG=True, analysis_only=False)
class _ScalarLowering(_EntryLowering):
    _name = "scalar_lowering"
    library = _ScalarLibrary


@register_pass(mutates_CFG=True, analysis_only=False)
class _InnerLowering(NativeLowering):  # type: ignore[misc]  # numba has no types
    _name = "inner_lowering"
    lowering_class = _Lower

    def run_pass(self, state: Any) -> bool:
        state.library = _InnerLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = state.flags.no_cpython_wrapper = True
        super().run_pass(state)
        lowered = state.cr
        # numba knows functions by what Python calls: nobody calls this one.
        name = _dynfunc.make_function(
            lowered.fndesc.lookup_module(), state.func_id.func_name, "", 0, lowered.env, ()
        )
        state.cr = lowered._replace(cfunc=name)
        state.targetctx.insert_user_function(name, lowered.fndesc, [state.library])
        return True


# --------------------------------------------------------------------------------------- types


@lower_builtin("zeroskip.max", types.VarArg(types.Number))  # type: ignore[attr-defined,untyped-decorator]  # numba
def _max(context: Any, builder: Any, typed: Any, args: Any) -> Any:
    return do_minmax(context, builder, typed.args, args, operator.gt)


@lower_builtin("zeroskip.min", types.VarArg(types.Number))  # type: ignore[attr-defined,untyped-decorator]  # numba
def _min(context: Any, builder: Any, typed: Any, args: Any) -> Any:
    return do_minmax(context, builder, typed.args, args, operator.lt)


@lower_builtin("zeroskip.int", types.Number)  # type: ignore[untyped-decorator]  # numba's
def _int(context: Any, builder: Any, typed: Any, args: Any) -> Any:
    return context.cast(builder, args[0], typed.args[0], typed.return_type)


def _in_place(function: Any, typing: Any, args: Any) -> Any:
    """``max``, ``min`` and ``int`` of numbers, or None: for all lists of types numba compiles a
    function each, which does what is done here."""
    if any(isinstance(each, types.Boolean) for each in args):
        return None
    if function.typing_key in (max, min):
        result = typing.unify_types(*args)
    elif function.typing_key is int:
        result = args[0] if isinstance(args[0], types.Integer) else types.intp
    else:
        return None
    function._impl_keys[args] = f"zeroskip.{function.typing_key.__name__}"
    return signature(result, *args)


def _of_numbers(function: Any, typing: Any, args: Any) -> Any:
    """What an operator makes of numbers, or None: numba asks first what it means to strings, sets
    and dates."""
    args = tuple(map(types.misc.unliteral, args))
    if not all(isinstance(each, (types.Number, types.Boolean)) for each in args):
        return None
    found = _in_place(function, typing, args)
    if found is not None:
        return found
    for template in function.templates:
        if _OverloadFunctionTemplate not in template.__mro__:
            made = template(typing)
            found = None if made.prefer_literal else made.apply(args, {})
            if found is not None:
                function._impl_keys[found.args] = made.get_impl_key(found)
                return found
    return None


_known: dict[Any, Any] = {}  # what ``_found_once`` found, by function, types and flags
_look_up: Any = types.Function.get_call_type


def _found_once(function: Any, typing: Any, args: Any, kws: Any) -> Any:
    """numba's ``Function.get_call_type``: what its own operators and functions make of types, or
    the TypingError that says that they make nothing, is looked up once."""
    if kws:
        return _look_up(function, typing, args, kws)
    key = function, tuple(args), ConfigStack.top_or_none()
    found = _known.get(key)
    if found is None:
        try:
            found = _of_numbers(function, typing, args) or _look_up(function, typing, args, kws)
        except TypingError as error:
            found = str(error)  # the error itself knows who asked
        _known[key] = found
    if isinstance(found, str):
        raise TypingError(found)
    return found


_has_loc = cache(base._has_loc)


def _nothing() -> None:
    """What there is to load was loaded before the first function."""


@contextmanager
def _remembered(typing: Any) -> Iterator[None]:
    """numba looks up once what it looks up for every operation otherwise. (Its lock is held while
    anything is compiled.)"""
    if "load_additional_registries" in vars(typing):  # a caller is being compiled
        yield
        return
    function: Any = types.Function
    asked = base._has_loc
    function.get_call_type, base._has_loc = _found_once, _has_loc
    typing.load_additional_registries = _nothing
    try:
        yield
    finally:
        del function.get_call_type, typing.load_additional_registries
        base._has_loc = asked


# -------------------------------------------------------------------------------------- passes


class _Passes(PassManager):  # type: ignore[misc]  # numba has no types
    """numba's, without what it measures and checks around each pass."""

    def _runPass(self, _index: int, each: Any, state: Any) -> None:  # noqa: N802 - numba calls it so
        each.analysis = self._analysis
        each.run_pass(state)


# Each of these finds out in numba how long every variable lives, for the next one.


@register_pass(mutates_CFG=True, analysis_only=False)
class _Blocks(untyped_passes.IRProcessing):  # type: ignore[misc]  # numba has no types
    _name = "blocks"

    def run_pass(self, state: Any) -> bool:
        state.func_ir.blocks = canonicalize_cfg(state.func_ir.blocks)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _Ssa(untyped_passes.ReconstructSSA):  # type: ignore[misc]  # numba has no types
    _name = "ssa"

    def run_pass(self, state: Any) -> bool:
        state.func_ir = reconstruct_ssa(state.func_ir)
        state.func_ir._definitions = build_definitions(state.func_ir.blocks)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _StripPhis(typed_passes.PreLowerStripPhis):  # type: ignore[misc]  # numba has no types
    _name = "phis"

    def run_pass(self, state: Any) -> bool:
        state.func_ir = self._strip_phi_nodes(state.func_ir)
        state.func_ir._definitions = build_definitions(state.func_ir.blocks)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _InnerInference(typed_passes.NopythonTypeInference):  # type: ignore[misc]  # numba has no types
    """Lets a function return a part of an array, which its caller holds."""

    _name = "inner_inference"

    def run_pass(self, state: Any) -> bool:
        state.targetctx.enable_nrt = True
        try:
            return bool(super().run_pass(state))
        finally:
            state.targetctx.enable_nrt = False


# -------------------------------------------------------------------------------- numba's part


class _Flags(Flags):  # type: ignore[misc]  # numba has no types
    """numba's, which are compared for every call that is typed, with less ado."""

    def values(self) -> dict[str, Any]:
        return {**_DEFAULTS, **self._values}


_DEFAULTS = {name: option.default for name, option in _Flags.options.items()}


class _EntryCompiler(CompilerBase):  # type: ignore[misc]  # numba has no types
    """Only the passes that loops over arrays need."""

    inference: type = typed_passes.NopythonTypeInference
    lowering: type = _EntryLowering

    def __init__(
        self,
        typing: Any,
        target: Any,
        library: Any,
        args: Any,
        result: Any,
        flags: Flags,
        variables: Any,
    ) -> None:
        super().__init__(typing, target, library, args, result, _Flags(flags), variables)
        self.state.targetctx.load_additional_registries = _nothing

    def _compile_core(self) -> Any:
        with _remembered(self.state.typingctx):
            return super()._compile_core()

    def define_pipelines(self) -> list[PassManager]:
        made = _Passes("lean")
        for each in (
            untyped_passes.TranslateByteCode,
            untyped_passes.FixupArgs,
            _Blocks,
            untyped_passes.DeadBranchPrune,
            untyped_passes.GenericRewrites,  # constant places in tuples
            _Ssa,
            self.inference,
            _StripPhis,
            self.lowering,
            typed_passes.NoPythonBackend,
        ):
            made.add_pass(each, each.__name__)
        made.finalize()
        return [made]


class _ScalarCompiler(_EntryCompiler):
    lowering = _ScalarLowering


class _InnerCompiler(_EntryCompiler):
    inference = _InnerInference
    lowering = _InnerLowering


class _InnerDispatcher(CPUDispatcher):  # type: ignore[misc]  # numba has no types
    def get_call_template(self, args: Any, kws: Any) -> Any:
        """Of any integer, where it is called with a constant one: compiled once for both."""
        return super().get_call_template([types.misc.unliteral(each) for each in args], kws)


class LeanDispatcher(CPUDispatcher):  # type: ignore[misc]  # numba has no types
    """A compiled function: an entry where Python calls it, a part of others where they do.

    scalar: as an entry without vectors.
    """

    def __init__(self, function: Any, options: dict[str, Any], scalar: bool = False) -> None:
        compiler = _ScalarCompiler if scalar else _EntryCompiler
        super().__init__(function, targetoptions=options, pipeline_class=compiler)
        self._inner = _InnerDispatcher(
            function, targetoptions=options, pipeline_class=_InnerCompiler
        )

    @property
    def _numba_type_(self) -> Any:
        """What compiled functions see."""
        return self._inner._numba_type_
