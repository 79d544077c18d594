"""An SVG file that matplotlib wrote, as part of an HTML page.

What a file may do and a part of a page may not: style every element of the document, use an id that
another figure uses, or fix its own size. The text in it stays text, and a title and a description
say to a screen reader what is drawn.
"""

import re
from xml.etree import ElementTree

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_DESCRIPTION = "{http://purl.org/dc/elements/1.1/}description"
_REFERENCE = re.compile(r"url\(#")


def inline_svg(text: str, name: str) -> str:
    """`text` as an ``<svg>`` element whose ids all begin with `name`; the same text gives the same
    bytes.

    Raises:
        xml.etree.ElementTree.ParseError: `text` is no XML.
    """
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(text)
    title = _of(root, "title") or name
    description = "".join(found.text or "" for found in root.iter(_DESCRIPTION))
    _remove(root, f"{{{_SVG}}}metadata", f"{{{_SVG}}}style", f"{{{_SVG}}}title")
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, f"{name}-{value}")
            elif key == f"{{{_XLINK}}}href":
                element.set(key, value.replace("#", f"#{name}-", 1))
            else:
                element.set(key, _REFERENCE.sub(f"url(#{name}-", value))
    _label(root, name, title, description)
    return ElementTree.tostring(root, encoding="unicode")


def _label(root: ElementTree.Element, name: str, title: str, description: str) -> None:
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)  # the page scales the figure by its view box
    # what matplotlib's own style sheet says of every element
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt")
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    for index, (tag, words) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(f"{{{_SVG}}}{tag}", {"id": f"{name}-{tag}"})
        element.text = words
        root.insert(index, element)


def _of(root: ElementTree.Element, tag: str) -> str:
    found = root.find(f"{{{_SVG}}}{tag}")
    return "" if found is None else found.text or ""


def _remove(root: ElementTree.Element, *tags: str) -> None:
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in tags]:
            parent.remove(child)
