"""If nodes whose condition is a constant, replaced by the branch that is taken."""

from collections.abc import Iterator, Mapping

import onnx

from zeroskip.relay_passes.frontend.editing import (
    DEFAULT_DOMAINS,
    Index,
    attributes,
    drop_unused,
    names_in_use,
    origin,
    replace_nodes,
    set_origin,
    subgraphs,
)
from zeroskip.relay_passes.frontend.fold import fold_constants, hoist_constants
from zeroskip.relay_passes.frontend.shapes import guess_shapes
from zeroskip.relay_passes.names import unused_name


def inline_branches(model: onnx.ModelProto) -> None:
    """Put the branch that is taken in place of every If whose condition is a constant, or depends
    on shapes alone; Ifs that no output depends on go. Needs static input shapes and named nodes."""
    drop_unused(model)
    while any(map(_is_if, model.graph.node)):
        hoist_constants(model)
        if _inline(model):
            continue
        known = guess_shapes(model).graph.value_info
        del model.graph.value_info[:]
        model.graph.value_info.extend(known)
        if not fold_constants(model):
            return


def _is_if(node: onnx.NodeProto) -> bool:
    return bool(node.op_type == "If" and node.domain in DEFAULT_DOMAINS)


def _inline(model: onnx.ModelProto) -> bool:
    """Replace the Ifs of the graph with a known condition, once; True if there was one."""
    index, taken = Index.of(model), names_in_use(model)
    names = {node.name for node in model.graph.node}
    nodes: list[onnx.NodeProto] = []
    found = False
    for node in model.graph.node:
        condition = index.constant(node.input[0]) if _is_if(node) else None
        if condition is None or condition.size != 1:
            nodes.append(node)
            continue
        found = True
        branch = attributes(node)["then_branch" if condition.reshape(()) else "else_branch"]
        for made in _spliced(model, branch, node, taken):
            own = made.name or made.op_type
            made.name = unused_name(f"{node.name}/{own}", names)
            set_origin(made, origin(node))
            nodes.append(made)
    if found:
        replace_nodes(model, nodes)
        drop_unused(model)
    return found


def _spliced(
    model: onnx.ModelProto, branch: onnx.GraphProto, node: onnx.NodeProto, taken: set[str]
) -> Iterator[onnx.NodeProto]:
    """The branch's nodes, under tensor names that the graph does not use; its constants go into
    the model."""
    own = [item.name for item in branch.initializer]
    own += [name for each in branch.node for name in each.output if name]
    names: dict[str, str] = {}
    results = list(zip((item.name for item in branch.output), node.output, strict=False))
    made_here = {name for each in branch.node for name in each.output}
    for inner, outer in results:
        if outer and inner in made_here and inner not in names:
            names[inner] = outer
    copies = [(inner, outer) for inner, outer in results if outer and names.get(inner) != outer]
    for name in own:
        if name not in names:
            names[name] = unused_name(f"{node.name}/{name}", taken)
    for item in branch.initializer:
        held = model.graph.initializer.add()
        held.CopyFrom(item)
        held.name = names[item.name]
    for each in branch.node:
        made = onnx.NodeProto()
        made.CopyFrom(each)
        _rename(made, names)
        made.output[:] = [names.get(name, name) for name in made.output]
        yield made
    for inner, outer in copies:
        yield onnx.helper.make_node("Identity", [names.get(inner, inner)], [outer])


def _rename(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    """What the node and the graphs within it read, by new names."""
    node.input[:] = [names.get(name, name) for name in node.input]
    for graph in subgraphs(node):
        own = {item.name for item in (*graph.input, *graph.initializer)}
        own |= {name for each in graph.node for name in each.output}
        outer = {old: new for old, new in names.items() if old not in own}
        for each in graph.node:
            _rename(each, outer)
        for item in graph.output:
            if item.name in outer:  # a branch returns a tensor around it: by an Identity of its own
                inner = f"{item.name}/returned"
                graph.node.append(onnx.helper.make_node("Identity", [outer[item.name]], [inner]))
                item.name = inner
