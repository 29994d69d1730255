"""Makes the API pages from the docstrings, with a gallery of the notebooks' pictures: `python -m pipelines.api_pages`.

It needs pdoc, the extra `[docs]`, and writes `runs/api/index.html` and the pages beside it. A page for each room of the
library has its public names, those that its `__all__` lists. The gallery needs a checkout: notebooks are not installed.
"""

from __future__ import annotations

import argparse
import base64
import html
import importlib
import json
import pkgutil
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipelines import errors_as_messages

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
MODULES = ("dynctr_tf.schema", "dynctr_tf.jobs.settings")
"""The public modules that are not packages."""

_STYLE = "body {font-family: sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem} img {max-width: 100%}"


def public_modules() -> list[str]:
    """Packages that list public names, without those whose names the package above lists too; and single modules."""
    import dynctr_tf

    packages = [found.name for found in pkgutil.walk_packages(dynctr_tf.__path__, "dynctr_tf.") if found.ispkg]
    listed = {name: set(getattr(importlib.import_module(name), "__all__", ())) for name in packages}
    rooms = [name for name in packages if not listed[name] <= listed.get(name.rpartition(".")[0], set())]
    return sorted([*rooms, *MODULES])


def missing_names(directory: Path) -> list[str]:
    """The public names that have no entry on the page of their room."""
    missing = []
    for name in public_modules():
        page = directory.joinpath(*name.split(".")).with_suffix(".html").read_text(encoding="utf-8")
        module = importlib.import_module(name)
        public = getattr(module, "__all__", None) or _own_names(module)
        missing += [f"{name}.{entry}" for entry in public if f'id="{entry}"' not in page]
    return missing


def _show_how_it_is_made(page: Any) -> None:
    """Shows the signature of a class, whose docstring explains its arguments, and leaves out Keras' `get_config`."""
    for member in page.own_members:
        if member.name == "__init__":
            member.docstring = member.docstring or "The arguments are those above."
        elif member.name == "get_config":
            member.docstring = ""


def _import_public_names(name: str) -> None:
    """A room may import its files when their names are asked for; pdoc sees only what is there."""
    module = importlib.import_module(name)
    for entry in getattr(module, "__all__", ()):
        getattr(module, entry)


def _documented_constants(module_page: Callable[[Any], Any]) -> dict[str, str]:
    """The text below each constant in the file that defines it; another file may list the constant."""
    modules = [module for name, module in sys.modules.items() if name.startswith("dynctr_tf.")]
    return {
        member.name: member.docstring
        for module in modules
        for member in module_page(module).variables
        if member.docstring
    }


def _own_names(module: Any) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


def write_pages(directory: Path) -> None:
    """Writes the pages.

    Args:
        directory: The folder, which is made.

    Raises:
        ValueError: pdoc is not installed.
        RuntimeError: A public name has no entry.
    """
    try:
        import pdoc
    except ImportError as error:
        raise ValueError("the API pages need pdoc: pip install 'dynctr_tf[docs]'") from error
    if "Call arguments" not in pdoc.docstrings.GOOGLE_LIST_SECTIONS:
        pdoc.docstrings.GOOGLE_LIST_SECTIONS.append("Call arguments")
    pdoc.render.configure(docformat="google", include_undocumented=False, show_source=False, footer_text="dynctr_tf")
    with warnings.catch_warnings():
        # pdoc cannot resolve the annotations of generated methods of dataclasses, and shows them as they are written.
        warnings.filterwarnings("ignore", "Error parsing type annotation", UserWarning)
        for name in public_modules():
            _import_public_names(name)
        pages = {name: pdoc.doc.Module.from_name(name) for name in ("dynctr_tf", *public_modules())}
        documented = _documented_constants(pdoc.doc.Module)
        for name, page in pages.items():
            for member in page.variables:
                member.docstring = member.docstring or documented.get(member.name, "")
            for found in page.classes:
                _show_how_it_is_made(found)
            # A model's function has the name of its file, which pdoc would take for a subpackage.
            page.submodules = [found for other, found in pages.items() if other.rpartition(".")[0] == name]
            path = directory.joinpath(*name.split(".")).with_suffix(".html")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pdoc.render.html_module(page, pages), encoding="utf-8")
        (directory / "index.html").write_text(pdoc.render.html_index(pages), encoding="utf-8")
        (directory / "search.js").write_text(pdoc.render.search_index(pages), encoding="utf-8")
    missing = missing_names(directory)
    if missing:
        raise RuntimeError(f"public names without an entry on the API pages: {', '.join(missing)}")


def write_gallery(notebooks: Sequence[Path], directory: Path) -> int:
    """Writes `gallery.html`: title, question and last picture of each notebook.

    Args:
        notebooks: The notebooks, saved with their pictures.
        directory: The folder.

    Returns:
        How many pictures it has.
    """
    figures = []
    for path in notebooks:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        title, _, text = "".join(cells[0]["source"]).removeprefix("# ").partition("\n\n")
        outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
        pictures = [data["image/png"] for data in outputs if "image/png" in data]
        if not pictures:
            continue
        picture = directory / f"{path.stem}.png"
        picture.write_bytes(base64.b64decode(pictures[-1]))
        first = re.split(r"(?<=[.?!])\s", " ".join(text.split()), maxsplit=2)[:2]
        figures.append(
            f"<figure><h2>{html.escape(title)}</h2><p>{html.escape(' '.join(first))}</p>"
            f'<img src="{picture.name}" alt="{html.escape(title)}">'
            f"<figcaption>notebooks/{path.name}</figcaption></figure>"
        )
    page = f"<!doctype html><meta charset='utf-8'><title>Gallery</title><style>{_STYLE}</style><h1>Gallery</h1>"
    (directory / "gallery.html").write_text(page + "\n".join(figures), encoding="utf-8")
    return len(figures)


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and writes the pages."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.api_pages", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("runs/api"), help="the folder (default runs/api)")
    options = parser.parse_args(arguments)
    with errors_as_messages(parser, goes_on=False):
        write_pages(options.output)
        count = write_gallery(sorted(NOTEBOOKS.glob("*.ipynb")), options.output)
        print(f"API pages: {options.output / 'index.html'}")
        print(f"gallery of {count} pictures: {options.output / 'gallery.html'}")


if __name__ == "__main__":
    main()
