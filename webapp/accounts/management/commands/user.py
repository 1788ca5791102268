"""`meds3 user …`: make people, let them back in, make operators. For whoever has a shell on the machine."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import reverse

from webapp.accounts.actors import Actor
from webapp.accounts.audit import AccountError
from webapp.accounts.links import one_time_link_create
from webapp.accounts.models import Door, OneTimeLink, User
from webapp.accounts.selectors import user_by_name
from webapp.accounts.services import user_create, user_operator_set, user_second_factor_end

COMMAND = Actor(None, Door.COMMAND)


class Command(BaseCommand):
    """People of this instance."""

    help = "Make people, let them back in, make operators."

    def add_arguments(self, parser: CommandParser) -> None:
        """`create`, `reset` and `operator`."""
        chosen = parser.add_subparsers(dest="what", required=True, metavar="create|reset|operator")
        create = chosen.add_parser("create", help="Make a person; prints a link to set their password.")
        create.add_argument("username")
        create.add_argument("--email", default="")
        create.add_argument("--name", default="", help="Their name, as they write it.")
        create.add_argument("--operator", action="store_true", help="They run this instance.")
        reset = chosen.add_parser("reset", help="Print a link to set a new password; it works once, for a day.")
        reset.add_argument("username")
        reset.add_argument("--second-factor", action="store_true", help="Also take their lost second factor away.")
        operator = chosen.add_parser("operator", help="Make somebody an operator of this instance.")
        operator.add_argument("username")
        operator.add_argument("--end", action="store_true", help="Not an operator any more.")

    def handle(self, *args: Any, what: str, **options: Any) -> None:
        """One of the three."""
        try:
            getattr(self, f"_{what}")(**options)
        except AccountError as error:
            raise CommandError(str(error)) from error

    def _create(self, username: str, email: str, name: str, operator: bool, **_: Any) -> None:
        user = user_create(actor=COMMAND, username=username, email=email, name=name, is_operator=operator)
        self._print_link(user)

    def _reset(self, username: str, second_factor: bool, **_: Any) -> None:
        user = _known(username)
        if second_factor:
            user_second_factor_end(actor=COMMAND, user=user)
        self._print_link(user)

    def _operator(self, username: str, end: bool, **_: Any) -> None:
        user = _known(username)
        user_operator_set(actor=COMMAND, user=user, is_operator=not end)
        self.stdout.write(f"{user.username} is {'no operator any more' if end else 'an operator now'}.")

    def _print_link(self, user: User) -> None:
        secret = one_time_link_create(actor=COMMAND, user=user, purpose=OneTimeLink.Purpose.RESET)
        self.stdout.write(f"Give this link to {user.username}. It sets a password, once, within a day:")
        self.stdout.write(f"{settings.PUBLIC_URL}{reverse('new-password')}#{secret}")


def _known(username: str) -> User:
    user = user_by_name(username=username)
    if user is None:
        raise CommandError(f"There is no person called {username}.")
    return user
