"""The picture of docs/architecture.md, made from what imports what.

python -m tests.import_picture    writes it anew; a test holds the page and the code equal
"""

import re
from pathlib import Path

import grimp

PAGE = Path(__file__).resolve().parents[1] / "docs" / "architecture.md"
_BLOCK = re.compile(r"```mermaid\n.*?```\n", re.DOTALL)
_ROOT = "rlhf_compare"


def arrows() -> set[tuple[str, str]]:
    """(importer, imported) among the modules and packages right below the root."""
    graph = grimp.build_graph(_ROOT)
    parts = graph.find_children(_ROOT)
    return {
        (a.removeprefix(f"{_ROOT}."), b.removeprefix(f"{_ROOT}."))
        for a in parts
        for b in parts
        if a != b and graph.direct_import_exists(importer=a, imported=b, as_packages=True)
    }


def needed(edges: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Of an acyclic graph, the arrows that no longer way replaces."""
    below: dict[str, set[str]] = {a: {b for x, b in edges if x == a} for a, _ in edges}

    def reachable(start: str) -> set[str]:
        found: set[str] = set()
        for name in below.get(start, ()):
            found |= {name, *reachable(name)}
        return found

    return {
        (a, b)
        for a, b in edges
        if not any(b in reachable(other) for other in below[a] if other != b)
    }


def picture() -> str:
    """A Mermaid block."""
    lines = [f"  {a} --> {b}\n" for a, b in sorted(needed(arrows()))]
    return f"```mermaid\nflowchart TD\n{''.join(lines)}```\n"


def drawn(page: str) -> str:
    """A page with its first Mermaid block replaced by the picture."""
    return _BLOCK.sub(lambda _: picture(), page, count=1)


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
