"""Which column holds the one response of a row, and which say whether it is good."""

from rlhf_compare.data.formats.columns import Column, never_together
from rlhf_compare.data.formats.draft import Draft, LayoutError
from rlhf_compare.data.formats.marks import are_flags, is_grade, label_sense
from rlhf_compare.data.formats.names import is_completion, is_numeric_answer, squashed
from rlhf_compare.data.formats.nested import fields_inside
from rlhf_compare.data.formats.responses import is_numeric


def find_completion(draft: Draft, apart_from: Column | None = None) -> None:
    """Give ``completion`` to the one column that holds a response.

    Args:
        apart_from: only a column that no row has beside this one: rows of two kinds in one file.
    """
    if "completion" in draft.roles:
        return
    found = [c for c in draft.free if c.is_one_response and is_completion(c.name)]
    if apart_from is not None:
        found = [c for c in found if never_together(c, apart_from)]
    if not found:  # a worked solution goes before the number that it ends in
        found = [c for c in draft.free if c.kind == "number" and is_numeric_answer(c.name)]
    order = ("completion", "answer", "response", "output")
    found.sort(key=lambda c: order.index(squashed(c.name)) if squashed(c.name) in order else 9)
    draft.pick("completion", found)


def find_label(draft: Draft) -> None:
    """Give ``label`` to the columns that mark responses as good or bad.

    Raises:
        LayoutError: a column named label holds neither, or one holds a grade of each response.
    """
    if "label" in draft.roles:
        return
    candidates = [c for c in [*draft.free, *_inside(draft)] if c.kind != "none"]
    found = [c for c in candidates if label_sense(_field(c)) is not None]
    grades = [c for c in candidates if is_grade(_field(c)) and c not in found]
    labels = [c for c in [*found, *grades] if are_flags(c.values)]
    if labels:
        draft.columns.update((c.name, c) for c in labels)
        draft.give("label", *labels)
    if labels or draft.told:
        return
    for column in found:
        if squashed(column.name) in ("label", "labels"):
            raise LayoutError(
                f"{column.name} is neither true nor false, so nobody knows whether it marks bad "
                "responses; data.format=demonstrations reads every response as a good one"
            )


def _inside(draft: Draft) -> list[Column]:
    """The fields of the records or messages that hold the responses."""
    columns = [*draft.of("messages"), *draft.of("completion")]
    return [field for column in columns for field in fields_inside(column)]


def _field(column: Column) -> str:
    return column.name.rpartition(".")[2]


def check_grades(draft: Draft) -> None:
    """Raises LayoutError where a column grades each demonstration: some of them may be bad."""
    columns = [*draft.free, *_inside(draft)]
    graded = [c.name for c in columns if is_grade(_field(c)) and is_numeric(c)]
    if graded and "label" not in draft.roles:
        raise LayoutError(
            f"{graded[0]} may say how good each response is, and bad ones must not be learned; "
            "leave them out and say data.format=demonstrations, or write the responses of a prompt "
            "into one row (responses, scores)"
        )
