"""The door for plugin authors: everything a plugin imports from the product, and nothing heavier.

A plugin marks its functions with `hookimpl`, and they return the typed objects named here. The hooks, their exact
signatures and what happens when they fail stand in ``docs/reference/hooks.md``. Importing this package opens no
database and loads no web framework.
"""

from kpro_graph.actors import (
    ActorKind,
    AssuranceLevel,
    Credentials,
    Grant,
    Identity,
    Representation,
    Right,
    Role,
)
from kpro_graph.errors import NotAuthenticated, Unavailable
from kpro_graph.plugins.bundles import QuestionnaireBundle, read_bundles
from kpro_graph.plugins.hookspecs import hookimpl
from kpro_graph.plugins.identities import IdentityProvider

__all__ = [
    "ActorKind",
    "AssuranceLevel",
    "Credentials",
    "Grant",
    "Identity",
    "IdentityProvider",
    "NotAuthenticated",
    "QuestionnaireBundle",
    "Representation",
    "Right",
    "Role",
    "Unavailable",
    "hookimpl",
    "read_bundles",
]
