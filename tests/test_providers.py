"""Providers as a command line names them: read, started, and left for others only where that is written."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

from graphc.cli import cli
from graphc.console import held_back
from graphc.errors import MachineError, SpecError
from graphc.providers import Provider, first_line, read_providers, start
from graphc.runtime import Session

onnxruntime = pytest.importorskip("onnxruntime")
HAS_AZURE = "AzureExecutionProvider" in onnxruntime.get_available_providers()
with_azure = pytest.mark.skipif(not HAS_AZURE, reason="this build of onnxruntime has the CPU's provider alone")


def build(*names: str) -> Any:
    """What `read_providers` asks of a build of onnxruntime that has these."""
    every = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "OpenVINOExecutionProvider", "CPUExecutionProvider"]
    chosen = [name for name in every if name.lower().startswith((*names, "cpu"))]
    return SimpleNamespace(get_available_providers=lambda: chosen, get_all_providers=lambda: every)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cpu", [("CPUExecutionProvider", {})]),
        ("CUDAExecutionProvider", [("CUDAExecutionProvider", {})]),
        ("cuda,cpu", [("CUDAExecutionProvider", {}), ("CPUExecutionProvider", {})]),
        (
            "cuda:device_id=1:use_tf32=0,cpu",
            [("CUDAExecutionProvider", {"device_id": "1", "use_tf32": "0"}), ("CPUExecutionProvider", {})],
        ),
        ("openvino:device_type=HETERO:GPU,,CPU", [("OpenVINOExecutionProvider", {"device_type": "HETERO:GPU,CPU"})]),
        ("openvino:cache_dir=C:\\models", [("OpenVINOExecutionProvider", {"cache_dir": "C:\\models"})]),
    ],
)
def test_providers_with_options(text: str, found: list[tuple[str, dict[str, str]]]) -> None:
    read = read_providers(build("cuda", "openvino"), text)
    assert [(each.name, dict(each.options)) for each in read] == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tpu", "expected a provider of cuda, cpu, got 'tpu'"),
        ("", "expected a provider of cuda, cpu, got ''"),
        ("cudo", "got 'cudo' (did you mean 'cuda'?)"),
        ("cuda;cpu", "got 'cuda;cpu'"),
        ("cpu,cpu", "provider cpu is named twice in 'cpu,cpu'"),
        ("cpu:threads=2", "provider cpu takes no options, got 'threads'"),
        ("cuda:device_id=1:device_id=2", "option device_id of provider cuda is given twice: 1 and 2"),
    ],
)
def test_what_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_providers(build("cuda"), text)
    assert message in str(caught.value)


def test_a_provider_of_another_build_names_its_package() -> None:
    for text, package in (("cuda", r"onnxruntime-gpu instead .* graphc\[gpu\]"), ("openvino", "onnxruntime-openvino")):
        with pytest.raises(MachineError, match=rf"provider {text} needs the package {package}; there are cpu"):
            read_providers(build(), text)


def loader(starts: Mapping[str, str | None], config: dict[str, str], model: str | None = None) -> Any:
    """onnxruntime's ways to fail: a provider raises (its text), or is left out without a word (None)."""

    def load(providers: Sequence[Provider], given: Mapping[str, str]) -> Any:
        config.update(given)
        if model is not None:
            raise RuntimeError(model)
        for each in providers:
            if starts.get(each.short, ""):
                raise RuntimeError(starts[each.short])
        return SimpleNamespace(get_providers=lambda: [p.name for p in providers if starts.get(p.short, "") is not None])

    return load


CUDA, OPENVINO, CPU = (Provider(f"{name}ExecutionProvider") for name in ("CUDA", "OpenVINO", "CPU"))


@pytest.mark.parametrize(("way", "said"), [(None, "there is no driver for it"), ("no libcuda", "no libcuda")])
def test_a_fallback_only_where_it_is_written(way: str | None, said: str) -> None:
    config: dict[str, str] = {}
    with pytest.raises(MachineError, match=f"provider cuda did not start: {said}"):
        start(loader({"cuda": way}, config), [CUDA])
    assert config["session.disable_cpu_ep_fallback"] == "1"
    started = start(loader({"cuda": way}, {}), [CUDA, CPU])
    assert started.session.get_providers() == [CPU.name]
    assert said in started.notices[0]
    started = start(loader({"cuda": way}, {}), [OPENVINO, CUDA, CPU])
    assert started.session.get_providers() == [OPENVINO.name, CPU.name]


def test_a_model_that_is_wrong_is_no_providers_fault() -> None:
    for wanted in ([CPU], [CUDA], [CUDA, CPU]):
        with pytest.raises(RuntimeError, match="no such operator"):
            start(loader({}, {}, model="no such operator"), wanted)


def relu() -> bytes:
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", ports[:1], ports[1:])
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


@with_azure
def test_nodes_that_a_provider_does_not_run() -> None:
    with pytest.raises(MachineError, match="azure does not run all of the model's nodes: --provider azure,cpu leaves"):
        Session(relu(), "azure")
    session = Session(relu(), "azure,cpu", threads=1)
    x = np.array([[-1, 0, 2]], np.float32)
    assert session.run({"x": x})["y"].tolist() == [[0, 0, 2]]
    tells = hasattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info")
    assert session.notices == (("0 of 1 node run on azure, 1 on cpu",) if tells else ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[ONNXRuntimeError] : 1 : FAIL : Load model failed.\nmore", "Load model failed."),
        (
            "/onnxruntime/python/state.cc:1053 std::shared_ptr<Factory> onnxruntime::python::Create(const "
            "SessionOptions&, const std::string&) Invalid OpenVINO EP option: device_typ",
            "Invalid OpenVINO EP option: device_typ",
        ),
        ("", "RuntimeError"),
    ],
)
def test_an_error_of_onnxruntime_is_one_sentence(text: str, said: str) -> None:
    assert first_line(RuntimeError(text)) == said


def test_what_libraries_write_is_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before ")
    with held_back():
        os.write(1, b"noise")
        os.write(2, b"noise")
    os.write(1, b"behind")
    found = capfd.readouterr()
    assert (found.out, found.err.split()) == ("behind", ["before"])


def test_run_and_verify_take_a_provider(tmp_path: Path) -> None:
    (tmp_path / "relu.onnx").write_bytes(relu())
    np.save(tmp_path / "x.npy", np.ones((1, 3), np.float32))
    (tmp_path / "net.yaml").write_text("graphc: 1\nname: net\ninputs: {x: [N, 3]}\nlayers: [relu]\n")
    found = {}
    for command in (["run", "relu.onnx", "x.npy"], ["verify", "net.yaml"]):
        files = [str(tmp_path / each) if "." in each else each for each in command]
        done = CliRunner().invoke(cli, [*files, "--provider", "cpu"], catch_exceptions=False)
        assert (done.exit_code, done.stderr) == (0, "")
        found[command[0]] = done.stdout
        with pytest.raises(SpecError, match="got 'tpu'"):
            CliRunner().invoke(cli, [*files, "--provider", "tpu"], catch_exceptions=False)
    assert json.loads(found["run"]) == {"y": [[1, 1, 1]]}
