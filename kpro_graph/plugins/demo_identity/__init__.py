"""The demo's sign-in: bearer tokens for invented people, for callers on the same machine only.

An ordinary identity provider. The application adds it to the plugin host when the demo is on, and only then:
``host.add(DemoIdentity(load_secret(folder), DemoDirectory(seed)), FOLDER)``. A token names an actor such as
``enroller`` and a municipality; who that is, CPR number included, is looked up in the demo's directory.
"""

from pathlib import Path

from kpro_graph.plugins.demo_identity.directory import ACTORS, DemoDirectory
from kpro_graph.plugins.demo_identity.provider import LONGEST, DemoIdentity
from kpro_graph.plugins.demo_identity.secret import load_secret

__all__ = ["ACTORS", "FOLDER", "LONGEST", "DemoDirectory", "DemoIdentity", "load_secret"]

FOLDER = Path(__file__).parent
"""Where the plugin's manifest lies."""
