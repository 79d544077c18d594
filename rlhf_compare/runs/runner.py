"""Runs stages, each at most once: one whose inputs' hash is unchanged is not run again."""

import shutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_compare import __version__
from rlhf_compare.data.store import DataDirectory
from rlhf_compare.errors import StageFailedError, StageStoppedError, StorageError, UserError
from rlhf_compare.runs.checkpoints import FOLDER, SECONDS, Checkpoints, step_of
from rlhf_compare.runs.config import TrackingConfig
from rlhf_compare.runs.differences import describe
from rlhf_compare.runs.directory import RunDirectory, content_hash, write_json
from rlhf_compare.runs.locks import claim, drop, move, share
from rlhf_compare.runs.provenance import provenance
from rlhf_compare.runs.stage import StageContext
from rlhf_compare.runs.storage import is_storage_fault, storage_fault
from rlhf_compare.runs.wandb_account import describe_tracking

_ERROR = "error.txt"


@dataclass(frozen=True)
class Stage:
    """A finished stage: where it is and what its outcome depends on."""

    directory: RunDirectory
    inputs_hash: str


class StageRunner:
    """The stages of one recipe, in ``runs/<recipe>/<stage>[-seed]/``.

    Args:
        root: ``runs/<recipe>``.
        recipe: resolved, for the records of the stages.
        seed: of stages that have none of their own.
        say: prints a line for the user.
        checkpoint_seconds: between two checkpoints of a stage that trains.
    """

    def __init__(
        self,
        root: Path,
        recipe: dict[str, Any],
        seed: int,
        tracking: TrackingConfig,
        say: Callable[[str], None],
        checkpoint_seconds: float = SECONDS,
    ) -> None:
        self.root, self.say = root, say
        self.checkpoint_seconds = checkpoint_seconds
        self._recipe, self._seed, self._tracking = recipe, seed, tracking
        self._finished: dict[str, Stage] = {}
        self._failed: dict[str, StageFailedError] = {}
        self._said_tracking = False

    def finished(self, label: str) -> Stage | None:
        """A stage that was run or found done, by its directory's name."""
        return self._finished.get(label)

    def run(
        self,
        name: str,
        seed: int | None,
        inputs: dict[str, Any],
        run: Callable[[StageContext], None],
        trains: bool = True,
    ) -> Stage:
        """Run a stage unless it is done.

        Args:
            seed: None = the stage is shared by all seeds.
            inputs: everything that the outcome depends on, as JSON.
            run: does the work.
            trains: it logs metrics, so say once where they go.
        """
        label = name if seed is None else f"{name}-{seed}"
        if label in self._finished:
            return self._finished[label]
        if label in self._failed:
            raise self._failed[label]
        identity = self._identity(name, seed, inputs)
        stage = Stage(RunDirectory(self.root / label), content_hash(identity))
        if self._find_done(stage) is None:
            if trains and not self._said_tracking:
                self._said_tracking = True
                self.say(describe_tracking(self._tracking, self.root))
            self._run(stage, label, identity, run)
        else:
            self.say(f"{label}: done before, kept ({stage.directory.path})")
        self._finished[label] = stage
        return stage

    def find(self, name: str, seed: int | None, inputs: dict[str, Any]) -> Stage | None:
        """A stage that is done with these inputs; None where it would have to run."""
        label = name if seed is None else f"{name}-{seed}"
        stage = Stage(
            RunDirectory(self.root / label), content_hash(self._identity(name, seed, inputs))
        )
        return self._find_done(stage)

    def inputs_hash(self, name: str, seed: int | None, inputs: dict[str, Any]) -> str:
        """What :attr:`Stage.inputs_hash` of such a stage is, run or not."""
        return content_hash(self._identity(name, seed, inputs))

    def _identity(self, name: str, seed: int | None, inputs: dict[str, Any]) -> dict[str, Any]:
        used = self._seed if seed is None else seed
        return {"stage": name, "seed": used, "version": __version__, "inputs": inputs}

    def _find_done(self, stage: Stage) -> Stage | None:
        """``stage`` where its directory is done, held for reading; else None."""
        if not stage.directory.is_done(stage.inputs_hash):
            return None
        share(stage.directory.path)
        return stage

    def _run(
        self,
        stage: Stage,
        label: str,
        identity: dict[str, Any],
        run: Callable[[StageContext], None],
    ) -> None:
        directory = stage.directory
        directory.require_ours()
        try:
            claim(directory.path)
        except OSError as error:
            raise storage_fault(error, directory.path, "cannot be written") from error
        try:
            goes_on, notes = self._settle(stage, identity)
            lack = directory.why_not_done(stage.inputs_hash)
            kept = "done before, kept" if lack is None else "running"
            self.say(f"{label}: {kept} ({directory.path})")
            for note in notes:
                self.say(f"{label}: {note}")
            if lack is not None:
                checkpoints = Checkpoints(
                    directory.path / FOLDER, label, self.say, self.checkpoint_seconds
                )
                if not goes_on or checkpoints.newest() is None:
                    if goes_on:
                        self.say(f"{label}: starts again from nothing: {lack}")
                    self._start(stage, identity)
                self._work(stage, checkpoints, identity, run)
        finally:
            share(directory.path)

    def _settle(self, stage: Stage, identity: dict[str, Any]) -> tuple[bool, list[str]]:
        """Put the directory of these inputs, where there is one, under the stage's name, and set
        aside what stands there; returns whether there was one, and what was done, in words."""
        directory = stage.directory
        before = directory.inputs_hash
        if before == stage.inputs_hash:
            return True, []
        notes: list[str] = []
        kept = directory.kept_for(stage.inputs_hash)
        if kept is not None:
            claim(kept.path)
        if before is not None:
            record = directory.record()
            changed = describe({name: record.get(name) for name in identity}, identity)
            aside = directory.set_aside()
            notes.append(f"{changed}; the earlier one is kept in {aside.name}")
        if kept is None:
            if before is not None:
                claim(directory.path)
            return False, notes
        if before is None:  # nothing but our lock
            drop(directory.path)
            shutil.rmtree(directory.path)
        move(kept.path, directory.path)
        return True, [*notes, f"taken back from {kept.path.name}"]

    def _start(self, stage: Stage, identity: dict[str, Any]) -> None:
        stage.directory.start(
            {
                **identity,
                "inputs_hash": stage.inputs_hash,
                "recipe": self._recipe,
                "provenance": provenance(),
            }
        )

    def _work(
        self,
        stage: Stage,
        checkpoints: Checkpoints,
        identity: dict[str, Any],
        run: Callable[[StageContext], None],
    ) -> None:
        directory, label = stage.directory, checkpoints.label
        (directory.path / _ERROR).unlink(missing_ok=True)
        context = StageContext(
            name=identity["stage"],
            seed=identity["seed"],
            directory=directory,
            data=DataDirectory(self.root / "data"),
            cache=self.root.parent / ".cache",  # a name that no recipe can have
            tracking=self._tracking,
            recipe=self._recipe,
            checkpoints=checkpoints,
            say=self.say,
        )
        try:
            with context:  # the tracker ends last, when all that the stage made is on disk
                with context.meter.stage():
                    run(context)
                write_json(directory.path / "cost.json", context.meter.as_dict())
                directory.finish(stage.inputs_hash)
        except (KeyboardInterrupt, SystemExit):
            self.say(f"{label}: {self._interrupted(directory)}")
            raise
        except Exception as error:
            shared = label == identity["stage"]
            failure = self._failure(error, label, directory, shared)
            if isinstance(failure, StageFailedError):
                # what needs this stage is told so, and the stage is not run anew for it
                self._failed[label] = failure
            raise failure from error
        shutil.rmtree(directory.path / FOLDER, ignore_errors=True)

    def _interrupted(self, directory: RunDirectory) -> str:
        steps = sorted((directory.path / FOLDER).glob("step-*"))
        if steps:
            return f"interrupted; the same command goes on from step {step_of(steps[-1])}"
        return "interrupted; the same command starts this stage again, finished ones are kept"

    def _failure(
        self, error: Exception, label: str, directory: RunDirectory, shared: bool
    ) -> Exception:
        """What to raise for a stage's error: one line, with the file that holds the traceback.

        Args:
            shared: by all methods and seeds: where a person has to mend the recipe or the data of
                such a stage, nothing else can go on.
        """
        if isinstance(error, StorageError | StageStoppedError):
            return error
        a_persons = isinstance(error, UserError) and not isinstance(error, StageFailedError)
        if shared and a_persons:
            return error
        if is_storage_fault(error):
            return storage_fault(error, directory.path, f"{label} could not write")
        file = directory.path / _ERROR
        text = "".join(traceback.format_exception(error))
        try:
            file.write_text(text, encoding="utf-8")
        except OSError as refused:
            return storage_fault(refused, file, f"{label} failed and could not say why: {error}")
        what = str(error) if isinstance(error, UserError) else _one_line(error)
        failure = StageFailedError(f"{what}; the traceback is in {file}")
        if isinstance(error, UserError):
            failure.exit_code = error.exit_code
        return failure


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
