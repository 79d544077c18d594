"""The SFT stage of a recipe: demonstrations in, the model that every method starts from out; or,
where that model is given, a copy of it."""

from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from rlhf_compare.data.views import demonstration_view
from rlhf_compare.models.config import ModelConfig
from rlhf_compare.models.merging import save_trained
from rlhf_compare.models.policy import build_policy
from rlhf_compare.models.tokenizer import load_tokenizer
from rlhf_compare.runs.arguments import StageSection, build_arguments
from rlhf_compare.runs.context import StageContext
from rlhf_compare.runs.files import write_json
from rlhf_compare.runs.imitation import MeteredSFTTrainer
from rlhf_compare.sft.config import SFTStageConfig


def sft_arguments(section: StageSection, output_dir: str, seed: int) -> SFTStageConfig:
    """The trainer's arguments; the data layer has already cut to the maximum length."""
    return build_arguments(
        SFTStageConfig,
        section,
        "sft",
        output_dir,
        seed,
        completion_only_loss=True,
        max_length=None,
    )


def train_sft(context: StageContext, section: StageSection, model: ModelConfig) -> None:
    """Train the SFT model and leave it, with the tokenizer, in the stage's directory."""
    args = sft_arguments(section, str(context.directory.path), context.seed)
    with context.meter.phase("load"):
        tokenizer: PreTrainedTokenizerBase = load_tokenizer(context.data.tokenizer)
        set_seed(context.seed)  # a model from a configuration draws its weights here
        policy = build_policy(model, tokenizer)
    with context.meter.phase("data"):
        train = demonstration_view(context.data.train())
        trainer = MeteredSFTTrainer(
            model=policy,
            args=args,
            train_dataset=train,
            processing_class=tokenizer,
            meter=context.meter,
            checkpoints=context.checkpoints,
            callbacks=context.callbacks("loss"),
        )
    trainer.train()
    context.learned("demonstrations", len(train), trainer.state.epoch)
    _save(context, policy, tokenizer)


def keep_given(context: StageContext, model: ModelConfig) -> None:
    """Leave the model that the recipe names, as it stands, with its tokenizer: nothing is learned
    or logged, so the stage costs what its load and its save take."""
    with context.meter.phase("load"):
        tokenizer = load_tokenizer(context.data.tokenizer)
        policy = build_policy(model, tokenizer)
    _save(context, policy, tokenizer)


def _save(
    context: StageContext, policy: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    with context.meter.phase("save"):
        save_trained(policy, context.directory.model, tokenizer, adapted=False)
        size = {"parameters": policy.num_parameters()}
        write_json(context.directory.path / "model_size.json", size)
