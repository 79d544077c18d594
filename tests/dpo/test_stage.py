"""What DPO's column says of itself."""

from rlhf_compare.dpo.stage import METHOD


def test_a_column_called_dpo_that_was_trained_with_another_loss() -> None:
    mixed = {"loss_type": ["sppo_hard", "sft"], "loss_weights": [0.2, 1.0]}
    (sentence,) = METHOD.caveats(mixed)
    assert sentence.startswith(
        "was trained with the loss sppo_hard (weight 0.2) + sft (weight 1.0)"
    )
    for plain in ({}, {"loss_type": "sigmoid"}, {"loss_type": ["sigmoid"], "loss_weights": [1.0]}):
        assert METHOD.caveats(plain) == ()
