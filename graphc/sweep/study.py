"""A sweep's trials in Optuna's storage, by which its workers know of each other.

A storage is a journal in the sweep's folder, which hosts may share, or a database by its URL. With `grid` and `random`
all trials wait there from the beginning, and a worker takes the next one; with `tpe` each is drawn when it begins. So
the trials of these two are the same for any number of workers.

A worker says every `BEAT` seconds that it is alive, by a number that grows; no clocks are compared. Whose number has
not changed for `DEAD` seconds is dead: its trial is ended, and another with the same values waits, which goes on in the
same folder, or in a new one where that is still locked: its worker was stopped, not dead.
"""

from __future__ import annotations

import contextlib
import math
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graphc.errors import GraphcError, MachineError, Place, WeightsError, counted, missing_extra
from graphc.files import shown
from graphc.sweep.checks import AGAIN, ALIVE, ENDED, FIXED, FOLDER, SURPLUS, VALUES, check_database, check_trials
from graphc.sweep.folder import SweepFacts, SweepFolder
from graphc.sweep.settings import Range, Sweep, params_of

BEAT = 5.0
"""Seconds between two signs of life."""
DEAD = 60.0
"""Seconds after which a worker that gives none is dead."""
LOOKS = math.ceil(DEAD / BEAT)
"""Looks at a number, `BEAT` seconds apart, at which it is the same when its worker is dead. Looks are counted, not the
clock: while this process itself is stopped, nobody dies."""
OF_FILES = (ImportError, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What a storage's library raises of a file that it has not written."""


def optuna() -> Any:
    """The library, which says nothing by itself."""
    try:
        import optuna  # noqa: PLC0415
    except ImportError:
        raise missing_extra("optuna", "sweep") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    warnings.filterwarnings("ignore", message="PedAnovaImportanceEvaluator computes", category=UserWarning)
    return optuna


LIBRARIES = ("sqlalchemy", "psycopg", "alembic", "optuna")
"""Packages whose errors are the storage's."""


@contextlib.contextmanager
def storage_errors(where: str, also: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """What the storage's libraries raise, and `also` these, as a MachineError."""
    try:
        yield
    except (GraphcError, MemoryError):
        raise
    except Exception as error:
        if not _is_of_libraries(error) and not isinstance(error, also):
            raise
        if isinstance(error, ImportError):
            raise MachineError("G501", f"{where} needs the package {error.name}") from None
        text = " ".join(str(error).split())[:300]
        raise MachineError("G527", f"the storage of the sweep, {where}, cannot be used: {text}") from None


def _is_of_libraries(error: Exception) -> bool:
    """Whether it is of one of their types, or was raised by what one of them called: the journal is a file, and its
    lock another, of which they say OSErrors and RuntimeErrors."""
    places = [type(error).__module__]
    if (last := error.__traceback__) is not None:
        while last.tb_next is not None:
            last = last.tb_next
        places.append(str(last.tb_frame.f_globals.get("__name__")))
    return any(place.split(".")[0] in LIBRARIES for place in places)


def place_of(folder: SweepFolder, facts: SweepFacts) -> str:
    """What messages call the storage."""
    return shown(str(folder.journal)) if facts.storage is None else without_password(facts.storage)


def open_study(folder: SweepFolder, facts: SweepFacts, *, new: bool) -> Any:
    """The trials of a sweep; `new`: with those that are planned waiting, else those that are there. MachineErrors where
    the storage cannot be used, or has not this sweep."""
    library, sweep = optuna(), facts.sweep
    if not new and facts.storage is None and not folder.journal.is_file():
        raise WeightsError("G323", f"{shown(folder.journal)}: the journal of the sweep is not there")
    if not new and facts.storage is not None:
        check_database(facts.storage, facts.study)
    how = {"study_name": facts.study, "sampler": sampler_of(library, sweep), "pruner": pruner_of(library, sweep)}
    with storage_errors(place_of(folder, facts), OF_FILES):
        storage = _storage(library, folder, facts)
        if not new:
            try:
                study = library.load_study(storage=storage, **how)
                check_trials(study, facts, place_of(folder, facts))
                check_count(study, facts, place_of(folder, facts))
                return study
            except KeyError:
                message = f"the storage of the sweep, {place_of(folder, facts)}, has no trials of it"
                raise MachineError("G527", message) from None
        study = library.create_study(storage=storage, directions=list(facts.objectives.values()), **how)
        for values in sweep.planned():
            study.enqueue_trial(params_of(sweep, values), user_attrs={VALUES: values})
    return study


def check_count(study: Any, facts: SweepFacts, where: str) -> None:
    """A WeightsError where trials are gone that waited there from the beginning: nobody would ever do them."""
    found, wanted = len(counting(study.get_trials(deepcopy=False))), facts.sweep.count
    if facts.sweep.sampler != "tpe" and found < wanted:
        raise WeightsError("G323", f"expected {counted(wanted, 'trial')}, found {found:,}", Place(where))


def _storage(library: Any, folder: SweepFolder, facts: SweepFacts) -> Any:
    if facts.storage is not None:  # connections may have been closed by the server meanwhile
        return library.storages.RDBStorage(facts.storage, engine_kwargs={"pool_pre_ping": True})
    journal = library.storages.journal
    lock = journal.JournalFileOpenLock(str(folder.journal))
    return library.storages.JournalStorage(journal.JournalFileBackend(str(folder.journal), lock_obj=lock))


def absolute(url: str) -> str:
    """A database's URL as it holds in every folder: of SQLite the file's whole path."""
    scheme, sign, rest = url.partition(":///")
    if not scheme.startswith("sqlite") or not rest:
        return url
    path, mark, query = rest.partition("?")
    return f"{scheme}{sign}{Path(path).absolute()}{mark}{query}"


def without_password(url: str) -> str:
    """A database's URL as messages may show it."""
    scheme, sign, rest = url.partition("://")
    user, at, host = rest.partition("?")[0].rpartition("@")
    return f"{scheme}{sign}{user.partition(':')[0]}{at}{host}"


def sampler_of(library: Any, sweep: Sweep) -> Any:
    """What draws trials that do not wait."""
    if sweep.sampler == "tpe":
        return library.samplers.TPESampler(seed=sweep.seed, multivariate=len(sweep.ranges) > 1)
    return library.samplers.RandomSampler(seed=sweep.seed)


def pruner_of(library: Any, sweep: Sweep) -> Any:
    """What ends trials early."""
    pruners = library.pruners
    if sweep.pruning == "median":
        return pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=sweep.prune_after)
    if sweep.pruning == "successive_halving":
        return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    return pruners.NopPruner()


def suggest(trial: Any, sweep: Sweep) -> dict[str, Any]:
    """A trial's values by name."""
    return {name: _suggested(trial, name, each) for name, each in sweep.ranges.items()}


def _suggested(trial: Any, name: str, each: Range) -> Any:
    if each.values is not None:
        return each.values[trial.suggest_categorical(name, list(range(len(each.values))))]
    if each.int_uniform is not None:
        return trial.suggest_int(name, *each.int_uniform)
    if each.uniform is not None:
        return trial.suggest_float(name, *each.uniform)
    assert each.log_uniform is not None
    return trial.suggest_float(name, *each.log_uniform, log=True)


def counting(trials: list[Any]) -> list[Any]:
    """Those that are there to stay: no other has taken their place, and they were wanted."""
    replaced = {trial.user_attrs.get(AGAIN) for trial in trials}
    return [trial for trial in trials if trial.number not in replaced and trial.user_attrs.get(ENDED) != SURPLUS]


def lost(trials: list[Any]) -> list[Any]:
    """Trials that were ended because their worker was dead, and whose place no other has taken: not yet, or because
    whoever ended them has died too."""
    failed = optuna().trial.TrialState.FAIL
    return [trial for trial in counting(trials) if trial.state == failed and ENDED not in trial.user_attrs]


class Watch(threading.Thread):
    """Says that this worker's trial is alive, and looks after those of others."""

    def __init__(self, study: Any) -> None:
        super().__init__(name="graphc-sweep", daemon=True)
        self._study = study
        self._own: Any = None
        self._count = 0
        self._seen: dict[int, tuple[Any, int]] = {}
        """Of others' trials, by number: the last sign of life, and how often it was the same."""
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    def begin(self, trial: Any) -> None:
        """This worker's trial from now on."""
        with self._lock:
            self._own = trial

    def end(self) -> None:
        """It has none any more."""
        with self._lock:
            self._own = None

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def run(self) -> None:
        while not self._stopped.wait(BEAT):
            # the storage is not there for a while, which the main thread will say; or others have taken the trial
            with contextlib.suppress(Exception), self._lock:
                if self._own is not None:
                    self._count += 1
                    self._own.set_user_attr(ALIVE, self._count)
            with contextlib.suppress(Exception):
                self.retry_dead()

    def retry_dead(self) -> None:
        """End the trials of dead workers, and let others with their values wait."""
        running, own = optuna().trial.TrialState.RUNNING, self._own
        trials = self._study.get_trials(deepcopy=False)
        seen: dict[int, tuple[Any, int]] = {}
        for trial in [*(each for each in trials if each.state == running), *lost(trials)]:
            if own is not None and trial.number == own.number:
                continue
            alive = trial.user_attrs.get(ALIVE)
            before, times = self._seen.get(trial.number, (None, 0))
            seen[trial.number] = (alive, times + 1 if before == alive else 0)
            if seen[trial.number][1] >= LOOKS:
                again(self._study, trial)
        self._seen = seen


def again(study: Any, trial: Any) -> None:
    """End a trial, and let another with its values and its folder wait; nothing where somebody else has ended it."""
    failed = optuna().trial.TrialState.FAIL
    if trial.state != failed:
        try:
            study.tell(trial.number, state=failed)
        except (ValueError, RuntimeError):  # it has ended meanwhile
            return
    elif trial.number not in {each.number for each in lost(study.get_trials(deepcopy=False))}:
        return
    kept = {key: trial.user_attrs[key] for key in (VALUES,) if key in trial.user_attrs}
    # one that has died before it had values has those that it was to have
    values = dict(trial.params) or trial.system_attrs.get(FIXED, {})
    study.enqueue_trial(values, user_attrs={**kept, FOLDER: folder_of(trial), AGAIN: trial.number})


def folder_of(trial: Any) -> str:
    """The name of a trial's folder: by its number, or that of the trial whose place it takes."""
    return str(trial.user_attrs.get(FOLDER, f"{trial.number:05}"))


def best_trials(study: Any) -> list[Any]:
    """Complete trials that no other one beats in every objective, in the order of their folders: a trial that was done
    again has another number."""
    complete = study.get_trials(deepcopy=False, states=(optuna().trial.TrialState.COMPLETE,))
    return sorted(study.best_trials, key=folder_of) if complete else []


def read_study(path: str) -> tuple[SweepFolder, SweepFacts, Any]:
    """A sweep's folder, what it is, and its trials; errors as of `SweepFolder.read` and `open_study`."""
    folder = SweepFolder(path)
    facts = folder.read()
    return folder, facts, open_study(folder, facts, new=False)
