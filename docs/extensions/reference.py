"""The reference: the directive `public-names`, and docstrings that begin with a sentence.

`public-names` shows what `import workbench` offers, each name linked to its entry.
"""

import importlib
import re
from typing import TypeVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.errors import ExtensionError
from sphinx.ext import autosummary
from sphinx.ext.napoleon.docstring import GoogleDocstring
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

import workbench

_LONGEST = 60  # characters of a value that is shown


class PublicNames(SphinxDirective):
    """A table of the names in `workbench.__all__`, with the first sentence of their docstrings."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        lines = [".. list-table::", "   :widths: 30 70", ""]
        for name in workbench.__all__:
            module, text = entry(name)
            lines.append(f"   * - :py:obj:`{name} <{module}.{name}>`")
            lines.append(f"     - {first_sentence(text)}")
        container = nodes.container()
        self.state.nested_parse(StringList(lines, source="public-names"), 0, container)
        return container.children


def entry(name: str) -> tuple[str, str]:
    """Return the module that documents a public name, and its docstring."""
    thing = getattr(workbench, name)
    if hasattr(thing, "__name__"):
        return thing.__module__, thing.__doc__ or ""
    # data does not know its module
    for home in (f"workbench.{module}" for module in workbench._PUBLIC):
        if hasattr(importlib.import_module(home), name):
            found = ModuleAnalyzer.for_module(home).find_attr_docs()
            return home, "\n".join(found.get(("", name), []))
    raise ExtensionError(f"{name} is in no public module.")


def first_sentence(text: str) -> str:
    """Return the first sentence of a docstring; one that a list would end is left open."""
    paragraph = " ".join(text.strip().partition("\n\n")[0].split())
    end = re.search(r"(?<!\bEq)\.(?=\s|$)", paragraph)
    return paragraph[: end.end()] if end else f"{paragraph} …"


def whole_text(self: GoogleDocstring) -> tuple[str, list[str]]:
    """Take the docstring of an attribute or a property as it stands.

    Napoleon would take the words before a colon in its first line for a type.
    """
    return "", self._dedent(self._consume_to_end())


def several_names(app, what, name, obj, options, lines: list[str]) -> None:
    """Keep attributes that share a line together; Sphinx would take the first for a type."""
    for i, line in enumerate(lines):
        if found := re.match(r":(?:ivar|param) ([^:]+):", line):
            lines[i] = line.replace(found[1], found[1].replace(", ", ",\u200b"), 1)


def short_values(app, domain, objtype, contentnode) -> None:
    """Leave out the value of plain data where it would fill lines."""
    signature = contentnode.parent.next_node(addnodes.desc_signature)
    for part in list(signature.findall(addnodes.desc_annotation)):
        if part.astext().startswith(" = ") and len(part.astext()) > _LONGEST:
            signature.remove(part)


def is_type_variable(app, domain, node) -> bool | None:
    """Say nothing of a reference to a type variable, which has no entry."""
    module, _, name = node["reftarget"].rpartition(".")
    if not module.startswith("workbench."):
        return None
    try:
        known = vars(importlib.import_module(module))
    except ModuleNotFoundError:
        return None
    return isinstance(known.get(name), TypeVar) or None


def setup(app):
    """Register with Sphinx."""
    app.connect("warn-missing-reference", is_type_variable)
    # else the summary of a module would end at "Eq."
    autosummary.WELL_KNOWN_ABBREVIATIONS += ("Eq.",)
    app.connect("object-description-transform", short_values)
    app.connect("autodoc-process-docstring", several_names, priority=600)  # after napoleon
    GoogleDocstring._consume_inline_attribute = whole_text
    app.add_directive("public-names", PublicNames)
    return {"parallel_read_safe": True}
