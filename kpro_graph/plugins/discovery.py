"""Discovery: where plugins lie, found by their manifests; no plugin's code runs before it is loaded."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from kpro_graph.plugins.hookspecs import PROJECT
from kpro_graph.plugins.manifest import FILE, Manifest, PluginRefused, read_manifest

__all__ = ["CODE", "Found", "PluginOrigin", "find_added", "find_core", "find_in_folder", "find_installed"]

CODE = "__init__.py"
"""What makes a folder a plugin in Python, an ordinary package; a folder without it is data."""

_SHIPPED = ("national_questionnaires",)


class PluginOrigin(StrEnum):
    """Where a plugin comes from: shipped with the product, an installed distribution, or the plugins folder."""

    CORE = "CORE"
    INSTALLED = "INSTALLED"
    FOLDER = "FOLDER"


@dataclass(frozen=True, slots=True)
class Found:
    """A plugin by its manifest, or the reason why it has none. ``load`` imports its code; None when it is data."""

    name: str
    origin: PluginOrigin
    folder: Path | None
    load: Callable[[], object] | None = None
    manifest: Manifest | None = None
    reason: str = ""


def find_added(plugin: object, folder: Path) -> Found:
    """Return a plugin of the product's own that the application has made; its manifest lies in the folder."""
    return _found(folder.name, PluginOrigin.CORE, folder, lambda: plugin)


def find_core() -> Iterator[Found]:
    """Yield the plugins that ship with the product and need nothing from the application."""
    here = Path(__file__).parent
    for name in _SHIPPED:
        yield _found(name, PluginOrigin.CORE, here / name, _module(f"{__package__}.{name}"))


def find_installed() -> Iterator[Found]:
    """Yield the distributions with the entry point group ``kpro_graph``.

    The manifest lies in the folder of the package that the entry point names, or of the package above it.
    """
    for entry in sorted(importlib.metadata.entry_points(group=PROJECT), key=lambda entry: (entry.name, entry.value)):
        folder = _package_folder(entry.module)
        if folder is None:
            reason = f"its package has no {FILE}"
            yield Found(entry.name, PluginOrigin.INSTALLED, None, reason=reason)
        else:
            yield _found(entry.name, PluginOrigin.INSTALLED, folder, entry.load)


def find_in_folder(folder: Path) -> Iterator[Found]:
    """Yield the plugins in the folder: each child with a manifest, or with children that have one.

    A child with neither is yielded with the reason, so that a forgotten manifest is seen.
    """
    for child in _folders(folder):
        if (child / FILE).is_file():
            yield _in_folder(child)
            continue
        inner = [grandchild for grandchild in _folders(child) if (grandchild / FILE).is_file()]
        if not inner:
            yield Found(child.name, PluginOrigin.FOLDER, child, reason=f"the folder has no {FILE}")
        for grandchild in inner:
            yield _in_folder(grandchild)


def _in_folder(folder: Path) -> Found:
    if (folder / CODE).is_file():
        return _found(folder.name, PluginOrigin.FOLDER, folder, lambda: _import(folder))
    if any(folder.glob("*.py")):
        reason = f"it has Python files and no {CODE}"
        return Found(folder.name, PluginOrigin.FOLDER, folder, reason=reason)
    return _found(folder.name, PluginOrigin.FOLDER, folder, None)


def _found(name: str, origin: PluginOrigin, folder: Path, load: Callable[[], object] | None) -> Found:
    try:
        manifest = read_manifest(folder)
    except PluginRefused as refused:
        return Found(name, origin, folder, reason=str(refused))
    return Found(manifest.id, origin, folder, load, manifest)


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith((".", "_")))
    except OSError:
        return []


def _module(name: str) -> Callable[[], object]:
    return lambda: importlib.import_module(name)


def _package_folder(module: str) -> Path | None:
    # Only the top level is asked of the import system: finding a submodule would import what lies above it.
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    for location in (spec.submodule_search_locations or []) if spec else []:
        for depth in range(len(rest), -1, -1):
            folder = Path(location, *rest[:depth])
            if (folder / FILE).is_file():
                return folder
    return None


def _import(folder: Path) -> object:
    # A package of its own name, so that the plugin's modules import each other by relative imports only.
    name = f"kpro_plugin_{folder.name.replace('-', '_')}"
    spec = importlib.util.spec_from_file_location(name, folder / CODE, submodule_search_locations=[str(folder)])
    if spec is None or spec.loader is None:
        raise PluginRefused(f"{CODE} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    for stale in [each for each in sys.modules if each == name or each.startswith(f"{name}.")]:
        del sys.modules[stale]
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module
