"""Hook implementations: checked against the hooks before a plugin is registered, with the nearest right name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import pluggy

from kpro_graph.plugins import hookspecs
from kpro_graph.plugins.manifest import PluginRefused, nearest

__all__ = ["HOOKS", "examine_hooks"]


def _hooks() -> Mapping[str, inspect.Signature]:
    marked = f"{hookspecs.PROJECT}_spec"
    return {name: inspect.signature(each) for name, each in vars(hookspecs).items() if hasattr(each, marked)}


HOOKS = _hooks()
"""Every hook by name, with its signature."""


def examine_hooks(plugin: object, registry: pluggy.PluginManager) -> None:
    """Check every hook the plugin implements.

    Raises:
        PluginRefused: a hook or an argument does not exist, a function named like a hook is not marked, an
            implementation asks for more than its turn, or there is none at all.
    """
    implemented = 0
    for name in dir(plugin):
        options = registry.parse_hookimpl_opts(plugin, name)
        if options is None:
            if name in HOOKS and callable(inspect.getattr_static(plugin, name)):
                raise PluginRefused(f"{name} is not marked with @hookimpl")
            continue
        if any(options.values()):
            raise PluginRefused(f"{name}: wrappers, orderings, other names and optional hooks are not offered")
        if name not in HOOKS:
            raise PluginRefused(f'there is no hook "{name}"{nearest(name, list(HOOKS))}')
        _examine_arguments(name, inspect.signature(getattr(plugin, name)))
        implemented += 1
    if not implemented:
        raise PluginRefused("it implements no hook")


def _examine_arguments(hook: str, signature: inspect.Signature) -> None:
    offered = list(HOOKS[hook].parameters)
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise PluginRefused(f"{hook} takes any arguments; it must name those it uses")
        if name not in offered and parameter.default is parameter.empty:
            accepted = ", ".join(offered) or "none"
            raise PluginRefused(f'{hook} has no argument "{name}" (it has {accepted}){nearest(name, offered)}')
