"""Hand-overs: a citizen who moved keeps their history where it was made until both municipalities have handed it over.

The municipality that holds it offers it, the one the citizen moved to accepts it, and then all of it is there: copied
row by row with its ids, texts, hashes and times, in one transaction with what both sides note about it.
"""

from kpro_graph.handovers.deciding import (
    AlreadyOffered,
    HandOverClosed,
    HandOverReasonMissing,
    HandOverStatus,
    accept,
    decline,
    offer,
    withdraw,
)
from kpro_graph.handovers.moving import NothingToHandOver, QuestionnaireDiffers

__all__ = [
    "AlreadyOffered",
    "HandOverClosed",
    "HandOverReasonMissing",
    "HandOverStatus",
    "NothingToHandOver",
    "QuestionnaireDiffers",
    "accept",
    "decline",
    "offer",
    "withdraw",
]
