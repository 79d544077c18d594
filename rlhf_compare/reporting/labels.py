"""What a column is called: by what it trains, and not by the name of its section alone."""

from rlhf_compare.reporting.numbers import display_name
from rlhf_compare.reporting.schema import Results


def label_of(results: Results, name: str) -> str:
    """The label that the method itself gave, for instance ``IPO`` for a section ``dpo`` with that
    loss; the plain name for a stage that is no column, a method without numbers, or results of an
    older version."""
    method = results.methods.get(name)
    return display_name(name) if method is None or method.label is None else method.label
