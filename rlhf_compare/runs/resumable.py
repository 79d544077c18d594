"""When a trainer writes the checkpoints of :mod:`resuming`, and how it goes on from one."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import TrainerCallback
from transformers.trainer_utils import TrainOutput

from rlhf_compare.errors import StageStoppedError
from rlhf_compare.runs import resuming
from rlhf_compare.runs.checkpoints import Checkpoints, step_of
from rlhf_compare.runs.progress import ProgressBar
from rlhf_compare.runs.stopping import StopRequest, deferred_signals
from rlhf_compare.runs.tracking import MetricsLog

if TYPE_CHECKING:
    from transformers import Trainer
else:  # the Trainer class comes after this one in the order of bases
    Trainer = object

_SINKS = (MetricsLog, ProgressBar)  # the tracker ends with the stage
_ADAM = 3  # a weight and what Adam keeps of it

# sums between two log rows, and counters, that the Trainer and TRL's trainers do not save
_COUNTERS = ("_total_loss_scalar", "_globalstep_last_logged", "_total_train_tokens")


class _Moments(TrainerCallback):
    """Calls the trainer at events for which the Trainer has callbacks and no methods."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._trainer._sums_were_reset()

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        self._trainer._order_will_be_drawn()

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        self._trainer._epoch_ended = True

    def on_save(self, *_: Any, **__: Any) -> None:
        self._trainer._saved = True  # by the recipe's save_strategy


class ResumableTrainer(Trainer):
    """Part of :class:`StageTrainer`: checkpoints by time and at a signal, and going on from them.

    Where there are several processes it leaves checkpoints to the Trainer.
    """

    meter: Any
    state: Any
    checkpoints: Checkpoints | None
    _tr_loss: Tensor

    def _prepare_to_resume(self, checkpoints: Checkpoints | None) -> None:
        self.checkpoints = checkpoints
        self._resumed: resuming.Memory | None = None
        self._epoch_start: Any = None
        self._batches = 0  # of this epoch, up to now
        self._epoch_ended = self._saved = False
        self._stop = StopRequest()
        self._seconds_before = 0.0  # of training, in processes that were interrupted
        self._last_checkpoint = time.time()
        self._took: float | None = None  # the last checkpoint, in seconds

    # --- what subclasses add to

    def memory(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What this trainer is beside weights, optimizer, schedule and random numbers."""
        values = {name: getattr(self, name) for name in _COUNTERS if hasattr(self, name)}
        if hasattr(self, "_metrics"):
            values["_metrics"] = {mode: dict(sums) for mode, sums in self._metrics.items()}
        values["_tr_loss"], values["batches"] = self._tr_loss.item(), self._batches
        values["seconds"] = self._seconds_before + time.time() - self._started
        return values, {}

    def remember(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Take back what :meth:`memory` gave."""
        for name in _COUNTERS:
            if name in values:
                setattr(self, name, values[name])
        for mode, sums in values.get("_metrics", {}).items():
            self._metrics[mode].update(sums)
        self._tr_loss = torch.full_like(self._tr_loss, values["_tr_loss"])
        self._seconds_before = values["seconds"]
        self._initial_global_step = 0  # means over the run are over the whole run

    def epoch_begins(self, epoch: int, batches: int) -> None:
        """Called before an epoch's batches are made; a run that goes on has seen ``batches``."""

    # --- going on

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        samples, items = super().get_batch_samples(*args, **kwargs)
        self._batches += len(samples)
        return samples, items

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As the Trainer's; where ``checkpoints`` has one, the run goes on from the newest.

        Raises:
            StageStoppedError: Ctrl-C or SIGTERM came; a checkpoint was written.
        """
        store = self.checkpoints if self.args.world_size == 1 else None
        if store is None or resume_from_checkpoint:
            return super().train(resume_from_checkpoint, *args, **kwargs)
        newest = store.newest()
        if newest is not None:
            self._resumed = resuming.Memory(newest)
            resuming.cut_logs(store.stage, self._resumed.values["logs"])
            self.meter.restore(self._resumed.values["meter"])
            total = self._resumed.max_steps
            store.say(f"{store.label}: goes on from step {step_of(newest)} of {total}")
        if not any(isinstance(c, _Moments) for c in self.callback_handler.callbacks):
            self.callback_handler.callbacks.insert(0, _Moments(self))
        self._started = self._last_checkpoint = time.time()
        with deferred_signals() as self._stop:
            try:
                if self._resumed is not None and self._resumed.values["trained"]:
                    output = self._take_trained(self._resumed)
                else:
                    where = None if newest is None else str(newest)
                    output = super().train(where, *args, **kwargs)
            except BaseException:
                self._close_logs()
                raise
            self._after_training(store)
        return output

    def _take_trained(self, memory: resuming.Memory) -> Any:
        """Of a run that was stopped between its last step and its end: the weights alone."""
        resuming.load_weights(self.accelerator.unwrap_model(self.model), memory.directory)
        self.state = type(self.state).load_from_json(str(memory.directory / "trainer_state.json"))
        self._tr_loss, self._total_loss_scalar = torch.tensor(0.0), 0.0
        memory.restore(self)
        return TrainOutput(self.state.global_step, 0.0, {})

    def _after_training(self, store: Checkpoints) -> None:
        trained = self._resumed is not None and self._resumed.values["trained"]
        long = time.time() - self._last_checkpoint > store.wait(self._took, self._size())
        if not trained and (self._stop or long):
            self._write_checkpoint(store, trained=True)
        if self._stop:
            raise StageStoppedError(
                f"{store.label}: stopped after its last step, {self.state.global_step} of "
                f"{self.state.max_steps}; {store.again} goes on from there"
            )

    def _close_logs(self) -> None:
        """The Trainer ends its callbacks only where it ends itself."""
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, _SINKS):
                callback.on_train_end(self.args, self.state, self.control)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if not resuming.is_ours(Path(resume_from_checkpoint)):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        unwrapped = self.accelerator.unwrap_model(self.model if model is None else model)
        resuming.load_weights(unwrapped, Path(resume_from_checkpoint))

    def _sums_were_reset(self) -> None:
        if self._resumed is not None:
            self._resumed.restore(self)

    def _order_will_be_drawn(self) -> None:
        """An epoch's order is drawn anew from the same random numbers where a run goes on inside
        the epoch; the Trainer then skips what was trained on and sets those of the last step."""
        memory, self._batches = self._resumed, 0
        if memory is not None and not memory.values["epoch_ended"]:
            resuming.set_random_state(*memory.epoch_start())
            self._batches = memory.values["trainer"]["batches"]
        elif memory is not None:
            self._load_rng_state(str(memory.directory))
        self._resumed = None
        self._epoch_start = resuming.random_state()
        self.epoch_begins(int(self.state.epoch or 0), self._batches)

    # --- checkpoints

    def _maybe_log_save_evaluate(self, *args: Any, **kwargs: Any) -> None:
        ended, self._epoch_ended, self._saved = self._epoch_ended, False, False
        super()._maybe_log_save_evaluate(*args, **kwargs)
        store = self.checkpoints if self.args.world_size == 1 else None
        # after an epoch's last step comes the end of the epoch, with evaluations of its own
        whole = not ended and float(self.state.epoch).is_integer()
        if store is None or whole or self._ends_now():
            return
        due = time.time() - self._last_checkpoint >= store.wait(self._took, self._size())
        if self._stop or self._saved or due:
            self._write_checkpoint(store, epoch_ended=ended)
        if self._stop:
            raise StageStoppedError(
                f"{store.label}: stopped at step {self.state.global_step} of "
                f"{self.state.max_steps}; {store.again} goes on from there"
            )

    def _size(self) -> int:
        """Bytes of a checkpoint, about."""
        weights = self.accelerator.unwrap_model(self.model).parameters()
        return _ADAM * sum(int(p.numel() * p.element_size()) for p in weights if p.requires_grad)

    def _ends_now(self) -> bool:
        over: bool = self.state.global_step >= self.state.max_steps
        return over or self.control.should_training_stop

    def _write_checkpoint(
        self, store: Checkpoints, epoch_ended: bool = False, trained: bool = False
    ) -> None:
        began = time.time()
        flags = {"epoch_ended": epoch_ended, "trained": trained}
        with self.meter.phase("save"):
            store.write(
                self.state.global_step,
                lambda directory: resuming.save(self, directory, self._epoch_start, flags),
            )
        self._last_checkpoint = time.time()
        self._took = self._last_checkpoint - began

    def _finalize_training(self, trial: Any, num_train_samples: int, start_time: float) -> Any:
        # runtime and speed are of the whole run, whichever process trained which part
        return super()._finalize_training(
            trial, num_train_samples, start_time - self._seconds_before
        )
