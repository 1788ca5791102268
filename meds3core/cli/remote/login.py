"""`meds3 login` and `meds3 logout`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from meds3core.cli.remote.account import Account, account_forget, account_store
from meds3core.cli.remote.server import Server, own_version, speaks_like_us
from meds3core.cli.running import talking_console
from meds3core.errors import ConfigError


def login(
    url: Annotated[str, typer.Argument(help="Address of the server, e.g. https://studio.ward.example")],
    token_file: Annotated[
        Path | None, typer.Option(help="File that holds the token, '-' for standard input; otherwise you are asked.")
    ] = None,
) -> None:
    """Sign in to a MedS3 Studio server with an API token (page 'API tokens' of your team)."""
    console = talking_console()
    account = Account(url=url.rstrip("/"), token=_token(token_file))
    with Server(account) as server:
        if server.is_in_clear:
            console.print(f"Careful: {url} is not encrypted; whoever is on the way can read the token.", style="yellow")
        me = server.me()
    teams = me["teams"]
    if not teams:
        raise ConfigError("The token reaches no team. Make one on the page API tokens of your team.")
    team = teams[0]
    path = account_store(account.model_copy(update={"team": team["slug"]}))
    if not speaks_like_us(str(me.get("version", "0"))):
        console.print(
            f"Careful: the server is version {me.get('version', 'unknown')}, this command {own_version()}. Use the "
            "same version on both.",
            style="yellow",
        )
    console.print(f"Signed in as {me['username']} to the team {team['name']} ({team['slug']}), as {team['role']}.")
    console.print(f"Kept in {path}; forget it with: meds3 logout")


def logout() -> None:
    """Forget the server and its token. The token itself works until you revoke it on its page."""
    told = "Forgotten." if account_forget() else "You were not signed in."
    talking_console().print(f"{told} A token that nobody needs any more is revoked on the page API tokens.")


def _token(token_file: Path | None) -> str:
    if token_file is None:
        if not sys.stdin.isatty():
            raise ConfigError(
                "Nobody can be asked for the token here. Name a file: --token-file FILE (or - for stdin)."
            )
        text = str(typer.prompt("Token", hide_input=True, err=True))
    elif str(token_file) == "-":
        text = sys.stdin.read()
    else:
        try:
            text = token_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise ConfigError(f"{token_file} cannot be read.") from None
    text = text.strip()
    # Anything else would be sent to the server as a header, whatever it was that lay in the clipboard.
    if not text.startswith("meds3_") or not text.isascii() or any(sign.isspace() for sign in text):
        raise ConfigError("This is no token: it begins with meds3_ and is one word.")
    return text
