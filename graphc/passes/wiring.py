"""Names to nodes: lexical look-up, topological order, cycles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from graphc.errors import Place, SpecError, clipped, did_you_mean
from graphc.patterns import within_groups
from graphc.spec.forms.frame import InputRef, NameRef, Ref

FAULTY = InputRef("")
"""What a faulty entry gives: whoever reads it has no error of its own. No graph is wired with it."""


def candidates(name: str, group: str) -> list[str]:
    """Full names that `name` may mean when written in `group`, nearest first."""
    found = []
    while group:
        found.append(f"{group}/{name}")
        group = group.rpartition("/")[0]
    found.append(name)
    return found


@dataclass(slots=True)
class Names:
    """Everything that can be referred to, by full name."""

    inputs: dict[str, None]
    """In the order in which they are written; found at once among many."""
    targets: dict[str, Ref] = field(default_factory=dict)
    """Layers and groups; a group stands for its last output."""
    _resolved: dict[int, tuple[NameRef, int | InputRef]] = field(default_factory=dict)
    """By identity: what a name was followed to."""
    _unknown: dict[tuple[str, Place], SpecError] = field(default_factory=dict)
    """What was looked up in vain, and where it is written: a repeat asks again."""

    def find(self, name: str, group: str) -> str | None:
        """The full name that `name` written in `group` means."""
        return next((full for full in candidates(name, group) if full in self.targets), None)

    def matching(self, pattern: str, group: str) -> list[str]:
        """Full names so far, in their order, that `pattern` written in `group` fits, where its `*` and `?` stand for
        text within a name; of the nearest group that has any."""
        for full in candidates(pattern, group):
            fits = within_groups(full).fullmatch
            found = [name for name in self.targets if fits(name)]
            if found:
                return found
        return []

    def resolve(self, ref: Ref) -> int | InputRef:
        """Follow names until a node or a graph input, once all names are known."""
        passed: dict[int, NameRef] = {}
        while isinstance(ref, NameRef) and id(ref) not in self._resolved:
            if id(ref) in passed:
                raise SpecError("G122", f"{clipped(ref.name)} stands for itself", ref.place)
            passed[id(ref)] = ref
            ref = self._look_up(ref)
        found = self._resolved[id(ref)][1] if isinstance(ref, NameRef) else ref
        for each in passed.values():
            self._resolved[id(each)] = each, found
        return found

    def _look_up(self, ref: NameRef) -> Ref:
        if ref.name in ref.bindings:
            return ref.bindings[ref.name]
        full = self.find(ref.name, ref.group)
        if full is not None:
            return self.targets[full]
        if ref.name in self.inputs:
            return InputRef(ref.name)
        if (ref.name, ref.place) not in self._unknown:
            near = [name.removeprefix(ref.group + "/") for name in self.targets]
            hint = did_you_mean(ref.name, [*ref.bindings, *near, *self.inputs])
            message = f"no layer, group or input is named {clipped(ref.name)}{hint}"
            self._unknown[ref.name, ref.place] = SpecError("G121", message, ref.place)
        raise self._unknown[ref.name, ref.place]


def topological_order(inputs: Sequence[Sequence[int]], cycle_error: Callable[[list[int]], Exception]) -> list[int]:
    """Node numbers so that each comes after its inputs, else as written; `inputs[i]` are the nodes i reads."""
    if all(source < number for number, sources in enumerate(inputs) for source in sources):
        return list(range(len(inputs)))
    order: list[int] = []
    state = [0] * len(inputs)  # 0 unseen, 1 open, 2 done
    left = [iter(sources) for sources in inputs]
    for start in range(len(inputs)):
        stack = [start] if not state[start] else []
        while stack:
            number = stack[-1]
            state[number] = 1
            waiting = next((source for source in left[number] if state[source] != 2), None)
            if waiting is None:
                state[stack.pop()] = 2
                order.append(number)
            elif state[waiting] == 1:
                first, *others = stack[stack.index(waiting) :]
                raise cycle_error([*others, first])
            else:
                stack.append(waiting)
    return order
