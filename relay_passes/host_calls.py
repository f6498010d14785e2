"""What stays on the CPU between two regions as one function, which `main` calls once."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import tvm
from tvm import relax
from tvm.ir import Call, GlobalVar

from zeroskip.relay_passes.attrs import HOST_ATTR, NODES_ATTR
from zeroskip.relay_passes.relax.passes import Pass, module_pass
from zeroskip.relay_passes.relax.rewriting import (
    Env,
    bind,
    bindings,
    function_in,
    node_of,
    op_name,
    outputs,
    substitute,
    used_vars,
)

Step: TypeAlias = tuple[relax.Var, Any]  # a variable of `main` and what computes it
_CONVERSIONS = ("relax.quantize", "relax.dequantize")


@module_pass("JoinHostCalls")
class JoinHostCalls(Pass):
    """Joins the operators of `main` between regions into private functions `host_00`, `host_01`...

    `main` then only calls: regions (functions, or their programs by ``call_dps_packed``) and these,
    in as few turns as the tensors between them allow. What a region reads is quantized, and what it
    returns dequantized, inside, where TVM fuses that with the operators beside it. Attribute
    ``zeroskip.host`` of each names the ONNX nodes of which it computes more than such a change of
    type. A module without regions stays as it is.
    """

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        if not any(_is_region(binding.value) for binding in bindings(mod["main"])):
            return mod
        return _Joining(mod).module()


def _is_region(value: Any) -> bool:
    """Whether an expression of a `main` that is not joined calls a region or its program."""
    return isinstance(value, Call) and (
        isinstance(value.op, GlobalVar) or op_name(value) == "relax.call_dps_packed"
    )


class _Joining:
    """Writes `main` anew: a turn of regions, a turn of the CPU, until all is done."""

    def __init__(self, mod: tvm.IRModule) -> None:
        self.mod, self.main = mod, relax.analysis.remove_all_unused(mod["main"])
        self.functions = dict(mod.functions.items())
        self.builder = relax.BlockBuilder()
        self.env: Env = {param: param for param in self.main.params}
        # Tuples are no steps: what reads one reads its fields.
        self.steps: list[Step] = []
        fields: Env = {}
        for binding in bindings(self.main):
            value = substitute(binding.value, fields)
            if isinstance(value, relax.Tuple | relax.Var):
                fields[binding.var] = value
            else:
                self.steps.append((binding.var, value))
        self.results = [substitute(each, fields) for each in outputs(self.main)]

    def module(self) -> tvm.IRModule:
        leaving = {var for each in self.results for var in used_vars(each)}
        with function_in(self.builder, "main", list(self.main.params)):
            with self.builder.dataflow():
                host = 0
                for on_cpu, turn in self._turns():
                    if on_cpu:
                        turn = self._called(f"host_{host:02d}", turn)
                        host += 1
                    for var, value in turn:
                        value = substitute(value, self.env)
                        self.env[var] = bind(
                            self.builder, value, str(var.name), output=var in leaving
                        )
            results = [substitute(each, self.env) for each in self.results]
            several = isinstance(self.main.ret_ty, relax.TupleType)
            self.builder.emit_func_output(relax.Tuple(results) if several else results[0])
        main = self.builder.finalize()["main"].with_attrs(dict(self.main.attrs.items()))
        self.functions[self.mod.get_global_var("main")] = main
        return tvm.IRModule(self.functions, attrs=self.mod.attrs)

    def _turns(self) -> Iterator[tuple[bool, list[Step]]]:
        """Steps that can be done after those before them: all of regions, if there are any, else
        all of the CPU (True). Both in turns as long as can be, there are as few as can be."""
        regions = {var for var, value in self.steps if _is_region(value)}
        done, left = set(self.main.params), self.steps

        def on_cpu(step: Step) -> bool:
            taken = isinstance(step[1], relax.TupleGetItem) and step[1].tuple_value in regions
            return step[0] not in regions and not taken

        cpu = True
        while left:
            cpu, turn = not cpu, []
            for step in left:
                if on_cpu(step) == cpu and done.issuperset(used_vars(step[1])):
                    done.add(step[0])
                    turn.append(step)
            if turn:
                left = [step for step in left if step[0] not in done]
                yield cpu, turn

    def _called(self, name: str, turn: list[Step]) -> list[Step]:
        """Add a function of these steps; the steps of `main` that call it and take its results."""
        made = dict(turn)
        reads = dict.fromkeys(var for _, value in turn for var in used_vars(value))
        params = {var: relax.Var(str(var.name), var.ty) for var in reads if var not in made}
        others = [*(value for var, value in self.steps if var not in made), *self.results]
        later = {var for value in others for var in used_vars(value)}
        leaving = [var for var in made if var in later]
        builder, env = relax.BlockBuilder(), dict(params)
        with function_in(builder, name, list(params.values()), private=True):
            with builder.dataflow():
                for var, value in turn:
                    value = substitute(value, env)
                    env[var] = bind(builder, value, str(var.name), output=var in later)
            results = [env[var] for var in leaving]
            builder.emit_func_output(relax.Tuple(results) if len(results) > 1 else results[0])
        known = {str(var.name): node_of(self.main, var) for var in made}
        nodes = dict.fromkeys(
            known[str(var.name)]
            for var, value in turn
            if op_name(value) not in (None, *_CONVERSIONS)
        )
        function = builder.finalize()[name].with_attrs({NODES_ATTR: known, HOST_ATTR: list(nodes)})
        function_var = self.builder.add_func(function, name)
        self.functions[function_var] = function
        call = Call(function_var, list(params))
        if len(leaving) == 1:
            return [(leaving[0], call)]
        whole = relax.Var(name, function.ret_ty)
        return [
            (whole, call),
            *((var, relax.TupleGetItem(whole, at)) for at, var in enumerate(leaving)),
        ]
