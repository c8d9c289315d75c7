"""The hooks: each a signature and a promise. A hook may be implemented with ``def`` or ``async def``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

import pluggy

from kpro_graph.plugins.bundles import QuestionnaireBundle
from kpro_graph.plugins.identities import IdentityProvider

__all__ = ["PROJECT", "hookimpl", "register_identity_providers", "register_questionnaires"]

PROJECT: Final = "kpro_graph"

Hook = TypeVar("Hook", bound=Callable[..., object])

_spec = pluggy.HookspecMarker(PROJECT)
_impl = pluggy.HookimplMarker(PROJECT)


def hookimpl(function: Hook) -> Hook:
    """Mark a function or method as the implementation of the hook it is named after."""
    return _impl(function)


@_spec
def register_questionnaires() -> Iterable[QuestionnaireBundle]:  # type: ignore[empty-body]
    """Return the questionnaires the plugin brings.

    Asked once, when the plugin is loaded. A bundle is read and checked before use; one that does not hold is
    quarantined by name, and the plugin's other bundles stay. It lands as a draft and never replaces a published one.
    """


@_spec
def register_identity_providers() -> Iterable[IdentityProvider]:  # type: ignore[empty-body]
    """Return the identity providers the plugin brings.

    Asked once, when the plugin is loaded. A provider that does not hold is off, and the others stay. What a provider
    says about a caller is checked each time; where it fails, the caller is not signed in.
    """
