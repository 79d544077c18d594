"""Runs stages, each at most once: one whose inputs' hash is unchanged is not run again."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_compare import __version__
from rlhf_compare.data.store import DataDirectory
from rlhf_compare.runs.config import TrackingConfig
from rlhf_compare.runs.directory import RunDirectory, content_hash, write_json
from rlhf_compare.runs.provenance import provenance
from rlhf_compare.runs.stage import StageContext
from rlhf_compare.runs.wandb_account import describe_tracking


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
    """

    def __init__(
        self,
        root: Path,
        recipe: dict[str, Any],
        seed: int,
        tracking: TrackingConfig,
        say: Callable[[str], None],
    ) -> None:
        self.root, self.say = root, say
        self._recipe, self._seed, self._tracking = recipe, seed, tracking
        self._finished: dict[str, Stage] = {}
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
        used_seed = self._seed if seed is None else seed
        identity = {"stage": name, "seed": used_seed, "version": __version__, "inputs": inputs}
        stage = Stage(RunDirectory(self.root / label), content_hash(identity))
        if stage.directory.is_done(stage.inputs_hash):
            self.say(f"{label}: done before, kept ({stage.directory.path})")
        else:
            self.say(f"{label}: running ({stage.directory.path})")
            if trains and not self._said_tracking:
                self._said_tracking = True
                self.say(describe_tracking(self._tracking, self.root))
            self._run(stage, identity, run)
        self._finished[label] = stage
        return stage

    def _run(
        self, stage: Stage, identity: dict[str, Any], run: Callable[[StageContext], None]
    ) -> None:
        stage.directory.start({**identity, "recipe": self._recipe, "provenance": provenance()})
        context = StageContext(
            name=identity["stage"],
            seed=identity["seed"],
            directory=stage.directory,
            data=DataDirectory(self.root / "data"),
            cache=self.root.parent / ".cache",  # a name that no recipe can have
            tracking=self._tracking,
            recipe=self._recipe,
            say=self.say,
        )
        with context:  # the tracker ends last, when all that the stage made is on disk
            with context.meter.stage():
                run(context)
            write_json(stage.directory.path / "cost.json", context.meter.as_dict())
            stage.directory.finish(stage.inputs_hash)
