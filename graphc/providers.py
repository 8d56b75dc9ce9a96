"""Which of onnxruntime's execution providers run a model, as a command line says it.

    cuda                      one; what it cannot run is an error
    cuda,cpu                  the next ones take what the first does not run, or all where it does not start
    cuda:device_id=1,cpu      its options, KEY=VALUE, each behind a colon; a comma within a value is written twice

A name is onnxruntime's own without `ExecutionProvider`, in small letters. There is no fallback that is not written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphc.errors import MachineError, SpecError, counted, did_you_mean

SUFFIX = "ExecutionProvider"
CPU = "cpu"
PACKAGES = {
    "cuda": "onnxruntime-gpu instead of onnxruntime: install graphc[gpu]",
    "tensorrt": "onnxruntime-gpu instead of onnxruntime: install graphc[gpu]",
    "openvino": "onnxruntime-openvino",
    "dml": "onnxruntime-directml",
    "migraphx": "onnxruntime-migraphx",
    "qnn": "onnxruntime-qnn",
    "webgpu": "onnxruntime-webgpu",
    "cann": "onnxruntime-cann",
    "coreml": "onnxruntime, on macOS",
}
"""Where a provider comes from that a build of onnxruntime lacks."""
WITHOUT_OPTIONS = ("cpu", "azure")
"""Providers that take every option and heed none."""
FALLBACK_DISABLED = "session.disable_cpu_ep_fallback"
RECORD_NODES = "session.record_ep_graph_assignment_info"
"""Has onnxruntime tell which nodes run where; older ones ignore it."""
REFUSED = "fallback to CPU EP has been explicitly disabled"
"""What onnxruntime says then of a model that a provider does not run whole."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider, and what it is told."""

    name: str
    """As onnxruntime writes it: CUDAExecutionProvider."""
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def short(self) -> str:
        return short_name(self.name)


def short_name(name: str) -> str:
    """cuda, of CUDAExecutionProvider."""
    return name.removesuffix(SUFFIX).lower()


def read_providers(ort: Any, text: str) -> tuple[Provider, ...]:
    """The providers that a text names, which this build of onnxruntime has.

    A SpecError where the text is not right; a MachineError where a provider is onnxruntime's, but not of this build.
    """
    if "cuda" in text.lower() and hasattr(ort, "preload_dlls"):
        ort.preload_dlls()
    available = {short_name(name): name for name in ort.get_available_providers()}
    known = {short_name(name): name for name in ort.get_all_providers()}
    found: list[Provider] = []
    for part in re.split(r"(?<!,),(?!,)", text):
        name, *options = re.split(r":(?=[^:=]+=)", part.replace(",,", ","))
        short = short_name(name)
        if short not in known and short not in available:
            here = ", ".join(available)
            raise SpecError("G345", f"expected a provider of {here}, got {name!r}{did_you_mean(short, known)}")
        if short not in available:
            needs = f"the package {PACKAGES[short]}" if short in PACKAGES else "another build of onnxruntime"
            raise MachineError("G503", f"provider {short} needs {needs}; there are {', '.join(available)}")
        if any(each.short == short for each in found):
            raise SpecError("G345", f"provider {short} is named twice in {text!r}")
        found.append(Provider(available[short], _options(short, options)))
    return tuple(found)


def _options(provider: str, written: Sequence[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for each in written:
        key, _, value = each.partition("=")
        if provider in WITHOUT_OPTIONS:
            raise SpecError("G345", f"provider {provider} takes no options, got {key!r}")
        if options.setdefault(key, value) != value:
            raise SpecError("G345", f"option {key} of provider {provider} is given twice: {options[key]} and {value}")
    return options


@dataclass(frozen=True, slots=True)
class Started:
    """A session, and what is to be said of how it came about."""

    session: Any
    notices: tuple[str, ...] = ()


def start(load: Callable[[Sequence[Provider], Mapping[str, str]], Any], wanted: Sequence[Provider]) -> Started:
    """A session with these providers, of which all but the last may fail to start.

    `load(providers, config)` makes one, and raises what onnxruntime raises. Where that is no provider's fault it is
    raised here; a MachineError where none of them starts, or where nodes are left that none of them runs.
    """
    config = {RECORD_NODES: "1"} if any(each.short == CPU for each in wanted) else {FALLBACK_DISABLED: "1"}
    failure: Exception | None = None
    try:
        session = load(wanted, config)
        if all(each.name in session.get_providers() for each in wanted):
            return Started(session, _left_to_others(session, wanted))
    except TimeoutError:
        raise
    except Exception as error:
        if all(each.short == CPU for each in wanted):
            raise
        failure = error
    reasons = {each.name: reason for each in wanted if (reason := _why_not(load, each)) is not None}
    left = [each for each in wanted if each.name not in reasons]
    said = [f"provider {short_name(name)} did not start: {reason}" for name, reason in reasons.items()]
    if not left:
        raise MachineError("G503", "; ".join(said))
    if not reasons:
        raise failure if failure is not None and REFUSED not in str(failure) else _refused(wanted)
    rest = start(load, left)
    return Started(rest.session, (*said, *rest.notices))


def _why_not(load: Callable[[Sequence[Provider], Mapping[str, str]], Any], provider: Provider) -> str | None:
    """Why a provider does not start on its own; None where it does. The CPU raises what is wrong with the model."""
    if provider.short == CPU:
        load([provider], {})
        return None
    cpu = Provider(f"CPU{SUFFIX}")
    try:
        started = load([provider, cpu], {}).get_providers()
    except Exception as error:
        load([cpu], {})
        return first_line(error)
    return None if provider.name in started else "there is no driver for it, or no device"


def _refused(wanted: Sequence[Provider]) -> MachineError:
    names = ",".join(each.short for each in wanted)
    return MachineError(
        "G503", f"{names} does not run all of the model's nodes: --provider {names},{CPU} leaves the others to the CPU"
    )


def _left_to_others(session: Any, wanted: Sequence[Provider]) -> tuple[str, ...]:
    """How many nodes run elsewhere than on the first provider, where onnxruntime tells."""
    if len(wanted) == 1 or not hasattr(session, "get_provider_graph_assignment_info"):
        return ()
    counts: dict[str, int] = {}
    for part in session.get_provider_graph_assignment_info():
        counts[part.ep_name] = counts.get(part.ep_name, 0) + len(part.get_nodes())
    others = {name: count for name, count in counts.items() if name != wanted[0].name and count}
    if not others:
        return ()
    total = counted(sum(counts.values()), "node")
    there = ", ".join(f"{count} on {short_name(name)}" for name, count in others.items())
    return (f"{counts.get(wanted[0].name, 0)} of {total} run on {wanted[0].short}, {there}",)


IN_SOURCE = re.compile(r"^/\S+:\d+ .*::\w+\([^()]*\) ")
"""Where in its own source onnxruntime says that it has failed: file, line and the function with its types."""


def first_line(error: Exception) -> str:
    """What onnxruntime says, without the status before it (`[ONNXRuntimeError] : 1 : FAIL : …`) and where in its
    source that is."""
    text = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    said = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text.strip())
    return IN_SOURCE.sub("", said) or type(error).__name__
