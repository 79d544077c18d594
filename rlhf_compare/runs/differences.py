"""What changed between two records of the same stage, in words."""

import re
from typing import Any

_MOST = 3  # differences that are named one by one
_HASH = re.compile(r"^[0-9a-f]{40,64}$")
_UNSET = object()


def describe(before: dict[str, Any], after: dict[str, Any]) -> str:
    """``"ppo.total_episodes 256 -> 1280"``, several parted by commas, the first ones only.

    Args:
        before, after: what a stage's hash is of: ``stage``, ``seed``, ``version``, ``inputs``.
    """
    old, new = (_flat({k: v for k, v in one.items() if k != "inputs"}) for one in (before, after))
    old, new = old | _flat(before.get("inputs", {})), new | _flat(after.get("inputs", {}))
    names = [name for name in {**new, **old} if old.get(name, _UNSET) != new.get(name, _UNSET)]
    # a setting says more than the hash of a stage before this one
    names.sort(key=lambda name: _is_hash(new.get(name)) or _is_hash(old.get(name)))
    parts = [
        f"{name} {_shown(old.get(name, _UNSET))} -> {_shown(new.get(name, _UNSET))}"
        for name in names[:_MOST]
    ]
    if len(names) > _MOST:
        parts.append(f"and {len(names) - _MOST} more")
    return ", ".join(parts) or "its record"


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and _HASH.match(value) is not None


def _shown(value: Any) -> str:
    if value is _UNSET:
        return "(not set)"
    text = str(value)
    return text[:8] if _is_hash(value) else text if len(text) <= 60 else text[:57] + "..."
