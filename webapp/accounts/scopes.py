"""Actions in words, grouped as people think of them: what a token may do."""

from collections.abc import Iterable, Mapping

from webapp.accounts.rules import Action

WORDS: Mapping[str, Mapping[Action, str]] = {
    "Data": {
        Action.UPLOAD_SEND: "Send files",
        Action.DATASET_VIEW: "Read datasets, questions and exports",
        Action.DATASET_CHANGE: "Import, change and delete datasets",
    },
    "Jobs": {
        Action.JOB_VIEW: "See jobs, their events, logs and measurements",
        Action.JOB_SUBMIT: "Submit jobs of every kind",
        Action.JOB_CONTROL: "Pause, resume, cancel and retry jobs",
    },
    "Results": {
        Action.TREE_VIEW: "Read searches and their trees",
        Action.STEP_FLAG: "Flag steps of trees with a comment",
        Action.MODEL_VIEW: "Read and download models and label sets",
        Action.MODEL_CHANGE: "Import, rename, point to and delete models",
        Action.EVALUATION_VIEW: "Read evaluations",
        Action.EVALUATION_CHANGE: "Delete evaluations",
    },
    "Chat": {
        Action.CHAT_USE: "Talk with models, also by the OpenAI-compatible API",
    },
    "Judging": {
        Action.QUEUE_VIEW: "See queues and their instructions",
        Action.QUEUE_CHANGE: "Make, fill, change and close queues",
        Action.ITEM_JUDGE: "Take items and judge them",
        Action.ITEM_REVIEW: "Read items with their scores and all judgements",
        Action.ITEM_DECIDE: "Adjudicate, plant control items, withdraw items",
    },
    "Team": {
        Action.TEAM_VIEW: "See who is in the team",
        Action.TEAM_MANAGE: "Invite and remove members",
        Action.TEAM_OWN: "Change the team's settings",
        Action.AUDIT_VIEW: "Read the audit log",
        Action.TOKEN_OWN: "Manage one's own tokens",
        Action.WEBHOOK_MANAGE: "Manage webhooks",
        Action.ENDPOINT_MANAGE: "Manage remote engines",
    },
}
"""Group, action, what it allows."""

_PLACES = {action: (group, words) for group, found in WORDS.items() for action, words in found.items()}


def in_words(action: str) -> str:
    """What an action allows; one that is not known any more, as it is written."""
    return _PLACES.get(Action(action), ("", action))[1] if action in set(Action) else action


def grouped(actions: Iterable[Action]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Choices of a form: the actions by group, in the order above; one without words is the last group's."""
    wanted = set(actions)
    groups = [
        (group, [(action.value, words) for action, words in found.items() if action in wanted])
        for group, found in WORDS.items()
    ]
    others = [(action.value, action.value) for action in sorted(wanted - set(_PLACES))]
    return [(group, choices) for group, choices in [*groups, ("Other", others)] if choices]
