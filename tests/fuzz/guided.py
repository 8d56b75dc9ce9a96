"""The guided engine: atheris (extra: fuzz) keeps inputs that reach new code, and changes these.

Run as a program it is libFuzzer's own process: `python -m tests.fuzz.guided NAME FOLDER [libFuzzer's options]`.
"""

from __future__ import annotations

import importlib.util
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .engine import HANGS, Outcome
from .harness import Harness
from .watch import Finding, Measured

STATISTIC = re.compile(r"^stat::(\w+):\s*(\d+)$", re.MULTILINE)
FINDING = re.compile(r"^graphc-fuzz: (\w+(?: effect)?): (.*)$", re.MULTILINE)
READ = re.compile(r"^graphc-fuzz: read (\d+), slowest (\S+) s, most (\S+) MiB$", re.MULTILINE)
LONGEST_WORD = 60


def is_there() -> bool:
    return importlib.util.find_spec("atheris") is not None


def run_guided(kind: type[Harness], first: int, count: int, seconds: float, corpus: Path | None = None) -> Outcome:
    """At most `count` inputs or so many seconds; with a folder for the inputs that reached new code, it begins there.

    Atheris ends at the first finding, which is then the last input.
    """
    with tempfile.TemporaryDirectory(prefix="graphc-fuzz-") as folder:
        kept = corpus / re.sub(r"\W+", "-", kind.name) if corpus is not None else Path(folder, "corpus")
        kept.mkdir(parents=True, exist_ok=True)
        options = [f"-runs={count}", f"-max_total_time={int(seconds)}", f"-timeout={HANGS}", "-print_final_stats=1"]
        options.append("-rss_limit_mb=4096")
        command = [
            sys.executable,
            "-m",
            "tests.fuzz.guided",
            kind.name,
            folder,
            *options,
            "-rss_limit_mb=4096",
            str(kept),
        ]
        done = subprocess.run(command, capture_output=True, check=False)
        said = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    statistics = dict(STATISTIC.findall(said))
    inputs = int(statistics.get("number_of_executed_units", 0))
    measured = Measured(inputs=inputs)
    for accepted, slowest, most in READ.findall(said)[-1:]:
        measured.accepted, measured.seconds, measured.mebibytes = int(accepted), float(slowest), float(most)
    findings = [(first + inputs, Finding(what, text, said[-4000:])) for what, text in FINDING.findall(said)]
    if done.returncode and not findings:
        code = done.returncode
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        findings = [(first + inputs, Finding("died", how, said[-4000:]))]
    return Outcome(kind.name, first, first + inputs, measured, findings)


def main(name: str, folder: str, *options: str) -> None:
    """In the process of `run_guided`."""
    import atheris

    with atheris.instrument_imports(include=["graphc"]):
        from tests.fuzz.harnesses import named
    from tests.fuzz.watch import Watch

    inside = Path(folder, "work")
    inside.mkdir()
    harness = named(name)(inside)
    seeds, words = Path(folder, "seeds"), Path(folder, "words")
    seeds.mkdir()
    for number, seed in enumerate(harness.seeds()):
        (seeds / str(number)).write_bytes(seed)
    known = [word for word in harness.words() if 0 < len(word) <= LONGEST_WORD] or [b"\0\0"]
    words.write_text("".join(f'"{escaped(word)}"\n' for word in known))
    watch: Any = Watch(harness)  # until the process ends
    for seed in harness.seeds():
        watch.give(seed)
    watch.begin()

    def give(data: bytes) -> None:
        finding = watch.give(data)
        measured = watch.measured
        if finding is not None or measured.inputs % 1000 == 0:
            most = f"most {measured.mebibytes:.1f} MiB"
            print(f"graphc-fuzz: read {measured.accepted}, slowest {measured.seconds:.3f} s, {most}", flush=True)
        if finding is not None:
            print(f"graphc-fuzz: {finding.kind}: {finding.what}\n{finding.text}\n{data!r}", flush=True)
            raise RuntimeError(finding.what)

    atheris.Setup([sys.argv[0], *options, str(seeds), f"-dict={words}", f"-artifact_prefix={folder}/"], give)
    atheris.Fuzz()


def escaped(word: bytes) -> str:
    """As libFuzzer's dictionaries have it."""
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main(*sys.argv[1:])
