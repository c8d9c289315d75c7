"""Which permission stands behind every field of the schema's roots: what is not written here does not pass the tests.

A query needs no permission to be asked: what may not be seen is absent. Its entry names the one its rows are judged by.
"""

from __future__ import annotations

from collections.abc import Mapping

from kpro_graph.access import Permission

__all__ = ["OPEN", "PERMISSIONS"]

PERMISSIONS: Mapping[str, Permission | None] = {
    "Query.accessLog": Permission.SEARCH_ACCESS_LOG,
    "Query.assignment": Permission.SEE_EPISODES,
    "Query.careTeam": Permission.SEE_CARE_TEAMS,
    "Query.careTeams": Permission.SEE_CARE_TEAMS,
    "Query.citizen": Permission.KNOW_CITIZENS,
    "Query.emergencyAccesses": Permission.REVIEW_EMERGENCIES,
    "Query.episodeOfCare": Permission.SEE_EPISODES,
    "Query.handOvers": Permission.HAND_OVER,
    "Query.me": None,
    "Query.node": None,
    "Query.nodes": None,
    "Query.questionnaire": Permission.SEE_CATALOGUE,
    "Query.questionnaireResponse": Permission.READ_ANSWERS,
    "Query.questionnaires": Permission.SEE_CATALOGUE,
    "Query.receptionDevices": Permission.REGISTER_DEVICES,
    "Query.receptionSession": None,
    "Mutation.acceptHandOver": Permission.HAND_OVER,
    "Mutation.activateQuestionnaire": Permission.EDIT_QUESTIONNAIRES,
    "Mutation.amendResponse": Permission.ANSWER,
    "Mutation.assignQuestionnaire": Permission.ASSIGN,
    "Mutation.createReceptionCode": Permission.HAND_OUT_CODES,
    "Mutation.declineHandOver": Permission.HAND_OVER,
    "Mutation.endReceptionSession": Permission.ANSWER,
    "Mutation.endReceptionSessionAt": Permission.END_RECEPTION_SESSIONS,
    "Mutation.endRepresentation": Permission.REGISTER_REPRESENTATION,
    "Mutation.findCitizen": Permission.REGISTER_CITIZENS,
    "Mutation.giveConsent": Permission.RECORD_CONSENT,
    "Mutation.importQuestionnaire": Permission.EDIT_QUESTIONNAIRES,
    "Mutation.offerHandOver": Permission.HAND_OVER,
    "Mutation.openEmergencyAccess": Permission.OPEN_IN_EMERGENCY,
    "Mutation.openEpisodeOfCare": Permission.OPEN_EPISODES,
    "Mutation.redeemReceptionCode": None,
    "Mutation.registerCitizen": Permission.REGISTER_CITIZENS,
    "Mutation.registerReceptionDevice": Permission.REGISTER_DEVICES,
    "Mutation.registerRepresentation": Permission.REGISTER_REPRESENTATION,
    "Mutation.reviewEmergencyAccess": Permission.REVIEW_EMERGENCIES,
    "Mutation.saveAnswer": Permission.ANSWER,
    "Mutation.setEpisodePolicy": Permission.SET_POLICY,
    "Mutation.startAssistedAnswering": Permission.ASSIST,
    "Mutation.stopAssistedAnswering": Permission.ASSIST,
    "Mutation.submitResponse": Permission.ANSWER,
    "Mutation.switchOffReceptionDevice": Permission.REGISTER_DEVICES,
    "Mutation.withdrawConsent": Permission.RECORD_CONSENT,
    "Mutation.withdrawHandOver": Permission.HAND_OVER,
    "Subscription.responseUpdates": Permission.FOLLOW_UPDATES,
}
"""The permission of each root field, by ``Type.field``; None where anybody may ask, for the reason `OPEN` gives."""

OPEN: Mapping[str, str] = {
    "Query.me": "Everybody may know who they are signed in as.",
    "Query.node": "Whatever has the id is judged as it is where it is listed.",
    "Query.nodes": "Whatever has the ids is judged as it is where it is listed.",
    "Query.receptionSession": "It is the asker's own session, and null where there is none.",
    "Mutation.redeemReceptionCode": "Nobody is signed in yet: the computer's secret and the code are judged instead.",
}
"""Why a field without a permission is open to whoever asks."""
