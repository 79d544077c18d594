"""Which methods are compared: the one place that names them.

To add one: a package ``rlhf_compare/<name>/`` with ``config.py`` (the recipe's section) and
``stage.py`` (the constant ``METHOD``, see :class:`rlhf_compare.runs.method.Method`), and its name
here. A recipe compares the methods whose sections stand in it.
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # training libraries take seconds to load, and the names none
    from rlhf_compare.runs.method import Method

METHODS = ("ppo", "dpo", "grpo", "best_of_n", "sft_on_chosen")  # in the order of the report


@cache
def load_method(name: str) -> "Method":
    """The method of that name; its package is imported here, and not before."""
    method: Method = import_module(f"rlhf_compare.{name}.stage").METHOD
    assert method.name == name, f"{method.name} stands in the package {name}"
    return method
