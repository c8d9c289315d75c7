"""Differences between two versions: what has changed, which version step it needs, and what may go on.

Trend lines may go on where every number still means the same; drafts where every answer does.
"""

from __future__ import annotations

from kpro_graph.questionnaires.differences.changes import Change, Document
from kpro_graph.questionnaires.differences.comparison import Differences, compare
from kpro_graph.questionnaires.differences.kinds import KINDS, Area, Carrying, Joining, Kind, Step
from kpro_graph.questionnaires.differences.migration import Carried, Dropped, Migration
from kpro_graph.questionnaires.differences.trends import Trend
from kpro_graph.questionnaires.differences.versions import Finding, step_between

__all__ = [
    "KINDS",
    "Area",
    "Carried",
    "Carrying",
    "Change",
    "Differences",
    "Document",
    "Dropped",
    "Finding",
    "Joining",
    "Kind",
    "Migration",
    "Step",
    "Trend",
    "compare",
    "step_between",
]
