"""Runs stages, each at most once: one whose inputs' hash is unchanged is not run again.

The hash holds no code, or each edit would train all anew. What code made a stage stands in its
record instead: a stage of other code is kept and the user is told so. A stage that was made anew
by other code is another input of the stages after it.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlhf_compare.data.store import DataDirectory
from rlhf_compare.errors import StageFailedError
from rlhf_compare.runs.checkpoints import FOLDER, SECONDS, Checkpoints, step_of
from rlhf_compare.runs.config import TrackingConfig
from rlhf_compare.runs.context import StageContext
from rlhf_compare.runs.differences import describe
from rlhf_compare.runs.directory import ERROR, JOURNAL, RunDirectory
from rlhf_compare.runs.failures import failure_of
from rlhf_compare.runs.files import write_json
from rlhf_compare.runs.identity import Stage, Wanted, with_origin
from rlhf_compare.runs.locks import claim, drop, move, share
from rlhf_compare.runs.meter import DeviceMeter, seconds_held
from rlhf_compare.runs.provenance import difference, made_otherwise, makers, provenance
from rlhf_compare.runs.storage import storage_fault
from rlhf_compare.runs.wandb_account import describe_tracking

CACHE = ".cache"  # under the run root; recipe names cannot start with a dot


class StageRunner:
    """The stages of one recipe, in ``runs/<recipe>/<stage>[-seed]/``.

    Args:
        root: ``runs/<recipe>``.
        recipe: resolved, for the records of the stages.
        seed: of stages that have none of their own.
        say: prints a line for the user.
        checkpoint_seconds: between two checkpoints of a stage that trains.
        fresh: run every stage anew, once: finished ones are set aside, unfinished ones start again.
    """

    def __init__(
        self,
        root: Path,
        recipe: dict[str, Any],
        seed: int,
        tracking: TrackingConfig,
        say: Callable[[str], None],
        checkpoint_seconds: float = SECONDS,
        fresh: bool = False,
    ) -> None:
        self.root, self.say, self.fresh = root, say, fresh
        self.checkpoint_seconds = checkpoint_seconds
        self._recipe, self._seed, self._tracking = recipe, seed, tracking
        self._finished: dict[str, Stage] = {}
        self._failed: dict[str, StageFailedError] = {}
        self._said_tracking = False

    @property
    def stages(self) -> dict[str, Stage]:
        """The stages that were run or found done, by their directories' names."""
        return dict(self._finished)

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
        wanted = self._wanted(name, seed, inputs)
        label = wanted.label
        if label in self._finished:
            return self._finished[label]
        if label in self._failed:
            raise self._failed[label]
        if self.fresh or not self._hold_done(wanted):
            if trains and not self._said_tracking:
                self._said_tracking = True
                self.say(describe_tracking(self._tracking, self.root))
            self._run(wanted, run)
        else:
            self.say(self._kept(wanted))
        self._finished[label] = wanted.as_finished()
        return self._finished[label]

    def find(self, name: str, seed: int | None, inputs: dict[str, Any]) -> Stage | None:
        """A stage that is done with these inputs; None where it would have to run."""
        wanted = self._wanted(name, seed, inputs)
        if self.fresh and wanted.label not in self._finished:
            return None
        return wanted.as_finished() if self._hold_done(wanted) else None

    def inputs_hash(self, name: str, seed: int | None, inputs: dict[str, Any]) -> str:
        """What :attr:`Stage.inputs_hash` of such a stage is, or would be if it ran now."""
        stage = self.find(name, seed, inputs)
        if stage is not None:
            return stage.inputs_hash
        return with_origin(
            self._wanted(name, seed, inputs).key, {"provenance": provenance(self._recipe, name)}
        )

    def _wanted(self, name: str, seed: int | None, inputs: dict[str, Any]) -> Wanted:
        return Wanted.of(self.root, name, seed, inputs, self._seed)

    def _hold_done(self, wanted: Wanted) -> bool:
        """Whether the stage is done; then its directory is held for reading."""
        done = wanted.directory.is_done(wanted.key)
        if done:
            share(wanted.directory.path)
        return done

    def _kept(self, wanted: Wanted) -> str:
        """The line on a stage that is done, with what the user should know of its code."""
        now = provenance(self._recipe, wanted.name)
        other = made_otherwise(wanted.directory.record(), now)
        words = f"; made by {other}: --fresh runs it again" if other else ""
        return f"{wanted.label}: done before, kept{words} ({wanted.directory.path})"

    def _run(self, wanted: Wanted, run: Callable[[StageContext], None]) -> None:
        directory, label = wanted.directory, wanted.label
        directory.require_ours()
        try:
            claim(directory.path)
        except OSError as error:
            raise storage_fault(error, directory.path, "cannot be written") from error
        try:
            goes_on, notes = self._settle(wanted)
            lack = directory.why_not_done(wanted.key)
            self.say(self._kept(wanted) if lack is None else f"{label}: running ({directory.path})")
            for note in notes:
                self.say(f"{label}: {note}")
            if lack is not None:
                checkpoints = Checkpoints(
                    directory.path / FOLDER, label, self.say, self.checkpoint_seconds, self._again
                )
                held = seconds_held(directory.path / JOURNAL) if goes_on else 0.0
                if goes_on and checkpoints.newest() is not None:
                    self._go_on(wanted)
                else:
                    if goes_on:
                        self.say(f"{label}: starts again from nothing: {lack}")
                    self._start(wanted)
                meter = DeviceMeter(directory.path / JOURNAL, held)
                self._work(wanted, checkpoints, meter, run)
        finally:
            share(directory.path)

    def _settle(self, wanted: Wanted) -> tuple[bool, list[str]]:
        """Put the directory of these inputs, where there is one, under the stage's name, and set
        aside what stands there; returns whether there was one, and what was done, in words."""
        directory, key = wanted.directory, wanted.key
        before = directory.inputs_hash
        if before == key and not (self.fresh and directory.is_done(key)):
            return not self.fresh, []
        notes: list[str] = []
        kept = None if self.fresh else directory.kept_for(key)
        if kept is not None:
            claim(kept.path)
        if before is not None:
            record, identity = directory.record(), wanted.identity
            changed = describe({name: record.get(name) for name in identity}, identity)
            aside = directory.set_aside()
            why = "made anew (--fresh)" if before == key else changed
            notes.append(f"{why}; the earlier one is kept in {aside.name}")
        if kept is None:
            if before is not None:
                claim(directory.path)
            return False, notes
        if before is None:  # nothing but our lock
            drop(directory.path)
            shutil.rmtree(directory.path)
        move(kept.path, directory.path)
        return True, [*notes, f"taken back from {kept.path.name}"]

    def _go_on(self, wanted: Wanted) -> None:
        """Write down, and say, that other code goes on with a stage than the code before it."""
        record = wanted.directory.record()
        now = provenance(self._recipe, wanted.name)
        other = difference(makers(record)[-1], now)
        if other is None:
            return
        self.say(f"{wanted.label}: began with {other}; goes on with the present code")
        record["continued_by"] = [*record.get("continued_by", []), now]
        wanted.directory.write_record(record)

    def _start(self, wanted: Wanted) -> None:
        wanted.directory.start(
            {
                **wanted.identity,
                "inputs_hash": wanted.key,
                "recipe": self._recipe,
                "provenance": provenance(self._recipe, wanted.name),
            }
        )

    def _work(
        self,
        wanted: Wanted,
        checkpoints: Checkpoints,
        meter: DeviceMeter,
        run: Callable[[StageContext], None],
    ) -> None:
        directory, label = wanted.directory, wanted.label
        (directory.path / ERROR).unlink(missing_ok=True)
        context = StageContext(
            name=wanted.name,
            seed=wanted.identity["seed"],
            directory=directory,
            data=DataDirectory(self.root / "data"),
            cache=self.root.parent / CACHE,
            tracking=self._tracking,
            recipe=self._recipe,
            meter=meter,
            checkpoints=checkpoints,
            say=self.say,
        )
        try:
            with context:  # the tracker ends last: the stage's files are on the disk by then
                with meter.stage():
                    run(context)
                write_json(directory.path / "cost.json", meter.as_dict())
                directory.finish(wanted.key)
        except (KeyboardInterrupt, SystemExit):
            self.say(f"{label}: {self._interrupted(directory)}")
            raise
        except Exception as error:
            failure = failure_of(error, label, directory, wanted.shared)
            if isinstance(failure, StageFailedError):
                # what needs this stage is told so, and the stage is not run anew for it
                self._failed[label] = failure
            raise failure from error
        shutil.rmtree(directory.path / FOLDER, ignore_errors=True)
        (directory.path / JOURNAL).unlink(missing_ok=True)

    def _interrupted(self, directory: RunDirectory) -> str:
        steps = sorted((directory.path / FOLDER).glob("step-*"))
        if steps:
            return f"interrupted; {self._again} goes on from step {step_of(steps[-1])}"
        return f"interrupted; {self._again} starts this stage again, finished ones are kept"

    @property
    def _again(self) -> str:
        """The command that takes what is done."""
        return "the same command without --fresh" if self.fresh else "the same command"
