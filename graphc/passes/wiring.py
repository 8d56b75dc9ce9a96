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
        """Follow names until a node or a graph input."""
        seen: list[str] = []
        while isinstance(ref, NameRef):
            if ref.name in seen and len(seen) > len(self.targets):
                raise SpecError("G122", f"{clipped(ref.name)} stands for itself", ref.place)
            seen.append(ref.name)
            ref = self._look_up(ref)
        return ref

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
    for start in range(len(inputs)):
        stack = [start]
        while stack:
            number = stack[-1]
            waiting = [source for source in inputs[number] if state[source] != 2] if state[number] != 2 else []
            if waiting:
                if state[number] == 1 and state[waiting[0]] == 1:
                    opened = [n for n in stack if state[n] == 1]
                    raise cycle_error(opened[opened.index(waiting[0]) :])
                state[number] = 1
                stack.append(waiting[0])
                continue
            stack.pop()
            if state[number] != 2:
                state[number] = 2
                order.append(number)
    return order
