"""Pages for people: files beside the tables, made again whenever their asset is."""

from pathlib import Path

import dagster as dg


class PagesResource(dg.ConfigurableResource):
    """Where HTML pages are written."""

    folder: str

    def write(self, name: str, text: str) -> Path:
        """Write a page whole or not at all, and say where it is."""
        path = Path(self.folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f".{path.name}.staged")
        staged.write_text(text, encoding="utf-8")
        return staged.replace(path)
