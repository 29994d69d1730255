"""The job of the API pages: what is public, and the gallery of the notebooks' pictures; CI builds the pages."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from pipelines.api_pages import NOTEBOOKS, main, public_modules, write_gallery


def test_rooms_have_pages_and_the_parts_of_a_room_have_none() -> None:
    modules = public_modules()
    assert {"dynctr_tf.layers", "dynctr_tf.models", "dynctr_tf.schema", "dynctr_tf.training"} <= set(modules)
    assert "dynctr_tf.layers.dynamic" not in modules and len(set(modules)) == len(modules)


def test_the_gallery_has_a_picture_of_each_notebook(tmp_path: Path) -> None:
    notebooks = sorted(NOTEBOOKS.glob("*.ipynb"))
    assert write_gallery(notebooks, tmp_path) == len(notebooks) > 8
    page = (tmp_path / "gallery.html").read_text(encoding="utf-8")
    for path in notebooks:
        assert f'src="{path.stem}.png"' in page and f"notebooks/{path.name}" in page
        assert (tmp_path / f"{path.stem}.png").read_bytes()[:4] == b"\x89PNG"
    assert "Make your own Keras model adaptive" in page


@pytest.mark.skipif(importlib.util.find_spec("pdoc") is not None, reason="pdoc is installed here")
def test_it_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--output", str(tmp_path)])
    assert ended.value.code == 2 and "dynctr_tf[docs]" in capsys.readouterr().err
