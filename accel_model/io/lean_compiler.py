"""numba's compiler without what loops over plain arrays do not need: less than half of its time.

A function that is called from Python becomes machine code as ever. One that another compiled one
calls becomes LLVM code only, simplified, which goes into the caller's and is optimised there, once:
numba makes machine code of it too, with a way in from Python, and optimises it whole before and
after it is part of the caller. Such functions have no environment: they raise and print nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numba import _dynfunc
from numba.core import typed_passes, types, untyped_passes
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, Flags
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.registry import CPUDispatcher
from numba.core.targetconfig import ConfigStack
from numba.core.typed_passes import NativeLowering

# --------------------------------------------------------------------------------- LLVM's part


class _EntryLibrary(JITCodeLibrary):  # type: ignore[misc]  # numba has no types
    """The machine code of a function and of all that it calls, optimised together once."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        manager, builder = self._codegen._module_pass_manager()
        with self._recorded_timings.record("Module passes", builder):
            manager.run(self._final_module, builder)


class _InnerLibrary(JITCodeLibrary):  # type: ignore[misc]  # numba has no types
    """LLVM code for the libraries that link it. Its functions are simplified one by one: optimised
    only as parts of others, loops over weights take twice as long."""

    def finalize(self) -> None:
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _EntryLowering(NativeLowering):  # type: ignore[misc]  # numba has no types
    _name = "entry_lowering"

    def run_pass(self, state: Any) -> bool:
        state.library = _EntryLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return bool(super().run_pass(state))


@register_pass(mutates_CFG=True, analysis_only=False)
class _InnerLowering(NativeLowering):  # type: ignore[misc]  # numba has no types
    _name = "inner_lowering"

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


# -------------------------------------------------------------------------------- numba's part


class _Flags(Flags):  # type: ignore[misc]  # numba has no types
    """numba's, which are compared for every call that is typed, with less ado."""

    def values(self) -> dict[str, Any]:
        return {**_DEFAULTS, **self._values}


_DEFAULTS = {name: option.default for name, option in _Flags.options.items()}
_known: dict[Any, Any] = {}  # what ``_remembered`` found, by function, types and flags


@contextmanager
def _remembered(typing: Any) -> Iterator[None]:
    """What numba's own operators and functions make of types is looked up once. (numba's lock is
    held while anything is compiled.)"""
    resolve = typing.resolve_function_type

    def found(function: Any, args: Any, kws: Any) -> Any:
        if kws or not isinstance(function, types.Function):
            return resolve(function, args, kws)
        key = function, tuple(args), ConfigStack.top_or_none()
        made = _known.get(key)
        if made is None:
            made = resolve(function, args, kws)
            if made is not None:
                _known[key] = made
        return made

    if "resolve_function_type" in vars(typing):  # a caller is being compiled
        yield
        return
    typing.resolve_function_type = found
    try:
        yield
    finally:
        del typing.resolve_function_type


class _EntryCompiler(CompilerBase):  # type: ignore[misc]  # numba has no types
    """Only the passes that loops over arrays need."""

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

    def _compile_core(self) -> Any:
        with _remembered(self.state.typingctx):
            return super()._compile_core()

    def define_pipelines(self) -> list[PassManager]:
        made = PassManager("lean")
        for each in (
            untyped_passes.TranslateByteCode,
            untyped_passes.FixupArgs,
            untyped_passes.IRProcessing,
            untyped_passes.DeadBranchPrune,
            untyped_passes.GenericRewrites,  # constant places in tuples
            untyped_passes.ReconstructSSA,
            typed_passes.NopythonTypeInference,
            typed_passes.PreLowerStripPhis,
            typed_passes.IRLegalization,
            self.lowering,
            typed_passes.NoPythonBackend,
        ):
            made.add_pass(each, each.__name__)
        made.finalize()
        return [made]


class _InnerCompiler(_EntryCompiler):
    lowering = _InnerLowering


class _InnerDispatcher(CPUDispatcher):  # type: ignore[misc]  # numba has no types
    def get_call_template(self, args: Any, kws: Any) -> Any:
        """Of any integer, where it is called with a constant one: compiled once for both."""
        return super().get_call_template([types.misc.unliteral(each) for each in args], kws)


class LeanDispatcher(CPUDispatcher):  # type: ignore[misc]  # numba has no types
    """A compiled function: an entry where Python calls it, a part of others where they do."""

    def __init__(self, function: Any, options: dict[str, Any]) -> None:
        super().__init__(function, targetoptions=options, pipeline_class=_EntryCompiler)
        self._inner = _InnerDispatcher(
            function, targetoptions=options, pipeline_class=_InnerCompiler
        )

    @property
    def _numba_type_(self) -> Any:
        """What compiled functions see."""
        return self._inner._numba_type_
