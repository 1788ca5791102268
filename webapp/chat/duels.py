"""Two models side by side: the same questions to both, votes on their answers, and the ranking that follows.

Each side is a conversation of its own, so that either model reads only its own answers. In a blind duel the sides are
drawn by lot, and nothing that is sent says which model is which until somebody has voted.
"""

import secrets
from dataclasses import dataclass
from uuid import UUID

from django.core.cache import cache
from django.db import IntegrityError, transaction
from django.db.models import Count, QuerySet
from django.db.models.functions import Now
from django.http import Http404

from meds3core.config.chat import ChatConfig
from meds3core.errors import ContextOverflow
from meds3core.evaluation.preference import Ranking, Vote, ranking
from webapp.accounts.actors import Actor
from webapp.accounts.models import Team, User
from webapp.chat import services
from webapp.chat.models import OPEN, Conversation, Duel, DuelVote, Message, State
from webapp.chat.services import ChatError
from webapp.chat.showing import Shown, thread_of
from webapp.chat.texts import titled
from webapp.registry.models import Endpoint, ModelVersion

MOST_VOTES = 20_000
"""The newest of a team, which its ranking is made of."""
RANKING_SECONDS = 24 * 3600
"""For how long a ranking is kept that nobody voted on since."""

HALVES = {
    DuelVote.Verdict.LEFT: 1.0,
    DuelVote.Verdict.RIGHT: 0.0,
    DuelVote.Verdict.GOOD: 0.5,
    DuelVote.Verdict.BAD: 0.5,
}
"""What the left one gets of a vote."""


@dataclass(frozen=True)
class Side:
    """A model, or a remote engine, that is set against another one."""

    policy: ModelVersion | None = None
    endpoint: Endpoint | None = None

    @property
    def key(self) -> str:
        """Its name for ever."""
        return f"model:{self.policy.pk}" if self.policy else f"remote:{self.endpoint.pk}" if self.endpoint else ""


# --- writes --------------------------------------------------------------------------------------------------------


def duel_create(
    *,
    actor: Actor,
    team: Team,
    first: Side,
    second: Side,
    scorer: ModelVersion | None = None,
    config: ChatConfig | None = None,
    blind: bool = True,
) -> Duel:
    """Set two models against each other. Raises `ChatError` for one model twice, or one that cannot do it."""
    if first.key == second.key:
        raise ChatError("Choose two different models.")
    sides = [first, second]
    if blind and secrets.randbelow(2):
        sides.reverse()
    with transaction.atomic():
        left, right = (
            services.conversation_create(
                actor=actor,
                team=team,
                policy=side.policy,
                endpoint=side.endpoint,
                scorer=scorer,
                config=config,
                door=Conversation.Door.DUEL,
            )
            for side in sides
        )
        return Duel.objects.create(team=team, owner=actor.user, left=left, right=right, blind=blind)


def duel_ask(*, duel: Duel, text: str) -> tuple[Message, Message]:
    """Ask both. Raises `ChatError` and `ContextOverflow`; then neither was asked."""
    sides = [(side, _leaf(side)) for side in (duel.left, duel.right)]
    try:
        kept = [services.turn_check(conversation=side, text=text, parent=leaf) for side, leaf in sides]
    except ContextOverflow:
        if duel.hides:  # whose context it is would tell them apart
            raise ContextOverflow("This is too long for one of the two. Shorten it.") from None
        raise
    with transaction.atomic():
        left, right = (services.turn_put(conversation=side, text=kept[0], parent=leaf) for side, leaf in sides)
        if not duel.title:
            Duel.objects.filter(pk=duel.pk).update(title=titled(kept[0]))
    return left, right


def duel_stop(*, duel: Duel) -> None:
    """Have both end where they are."""
    for message in Message.objects.filter(conversation__in=(duel.left_id, duel.right_id), state__in=OPEN):
        services.turn_stop(message=message)


def duel_vote(*, actor: Actor, duel: Duel, turn: int, verdict: str) -> DuelVote:
    """Say which answer to a question was better; a blind duel's models are named by it.

    A vote stands. Raises `ChatError`.
    """
    if verdict not in DuelVote.Verdict.values:
        raise ChatError("Say which answer is better.")
    rounds = rounds_of(duel)
    if not 0 <= turn < len(rounds) or not rounds[turn].is_over:
        raise ChatError("Both answers must be there before one can vote.")
    if rounds[turn].vote is not None:
        raise ChatError("You have voted on these answers.")
    if not rounds[turn].is_whole:
        raise ChatError("One of the two answers was stopped or could not be given, which says nothing of the models.")
    left, right = rounds[turn].left.message, rounds[turn].right.message
    try:
        with transaction.atomic():
            made = DuelVote.objects.create(
                team_id=duel.team_id,
                duel=duel,
                group=duel.pk,
                voter=actor.user,
                turn=turn,
                left=_key(left),
                right=_key(right),
                left_name=left.model_name,
                right_name=right.model_name,
                verdict=verdict,
                blind=duel.hides,
            )
            Duel.objects.filter(pk=duel.pk, named=None).update(named=Now())
    except IntegrityError:
        raise ChatError("You have voted on these answers.") from None
    return made


@transaction.atomic
def duel_delete(*, actor: Actor, duel: Duel) -> None:
    """Forget it with all that was said; votes, which hold no text, stay."""
    for side in (duel.left, duel.right):
        services.conversation_delete(actor=actor, conversation=side)


def _leaf(side: Conversation) -> Message | None:
    side.refresh_from_db(fields=["leaf"])
    return side.leaf


def _key(message: Message) -> str:
    return f"model:{message.policy_id}" if message.policy_id else f"remote:{message.endpoint_id}"


# --- reads ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Round:
    """One question, both answers, and what was said of them."""

    turn: int
    question: Message
    left: Shown
    right: Shown
    vote: DuelVote | None

    @property
    def sides(self) -> tuple[tuple[str, Shown], tuple[str, Shown]]:
        """Both answers by the name of their side."""
        return ("left", self.left), ("right", self.right)

    @property
    def is_over(self) -> bool:
        """Whether both answers are there."""
        return not self.left.is_open and not self.right.is_open

    @property
    def is_whole(self) -> bool:
        """Whether both were given to their end: only then a vote tells of the models."""
        answers = (self.left.message, self.right.message)
        return all(each.state == State.DONE and each.text.strip() for each in answers)


def duels_for(*, user: User, team: Team) -> QuerySet[Duel]:
    """The person's own, newest first."""
    rows = Duel.objects.filter(team=team, owner=user)
    return rows.select_related("left__policy", "left__endpoint", "right__policy", "right__endpoint").order_by("-pk")


def duel_for(*, user: User, team: Team, duel_id: UUID) -> Duel:
    """One of them. Raises `Http404`."""
    rows = duels_for(user=user, team=team).select_related("left__team", "right__team", "left__scorer", "right__scorer")
    found = rows.filter(pk=duel_id).first()
    if found is None:
        raise Http404("There is no such comparison, or it is somebody else's.")
    return found


def rounds_of(duel: Duel) -> list[Round]:
    """All that was asked in a duel, the first question first."""
    left, right = (thread_of(side) for side in (_fresh(duel.left), _fresh(duel.right)))
    votes = {vote.turn: vote for vote in DuelVote.objects.filter(group=duel.pk)}
    return [
        Round(turn, left[2 * turn].message, left[2 * turn + 1], right[2 * turn + 1], votes.get(turn))
        for turn in range(min(len(left), len(right)) // 2)
    ]


def _fresh(side: Conversation) -> Conversation:
    side.refresh_from_db(fields=["leaf"])
    return side


def ranking_of(*, team: Team, blind_only: bool) -> Ranking:
    """The team's models by what people voted, of the newest `MOST_VOTES`. Models keep their last name.

    Computed once for the votes there are: a vote is never changed, only its voter can be forgotten.
    """
    rows = DuelVote.objects.filter(team=team)
    if blind_only:
        rows = rows.filter(blind=True)
    newest = rows.order_by("-pk").values_list("pk", flat=True).first()
    if newest is None:
        return Ranking()
    votes = rows.aggregate(votes=Count("pk"), named=Count("voter"))
    key = f"chat-ranking:{team.pk}:{blind_only:d}:{newest}:{votes['votes']}:{votes['named']}"
    kept = cache.get(key)
    if kept is not None:
        return Ranking.model_validate_json(kept)
    found = _ranked(rows)
    cache.set(key, found.model_dump_json(), RANKING_SECONDS)
    return found


def _ranked(rows: QuerySet[DuelVote]) -> Ranking:
    columns = ("left", "right", "left_name", "right_name", "verdict", "voter", "group")
    votes, names = [], {}
    for left, right, left_name, right_name, verdict, voter, group in rows.order_by("-pk").values_list(*columns)[
        :MOST_VOTES
    ]:
        names.setdefault(left, left_name)
        names.setdefault(right, right_name)
        # Whose account was deleted is nobody any more: their comparisons stand each for itself.
        votes.append(Vote(left, right, HALVES[DuelVote.Verdict(verdict)], voter or group, group))
    found = ranking(votes)
    models = tuple(each.model_copy(update={"name": names[each.name]}) for each in found.models)
    return found.model_copy(update={"models": models})
