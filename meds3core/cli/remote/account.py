"""Which server `meds3 jobs` talks to and by which token: kept in the user's own configuration folder, mode 0600."""

import os
import stat
from pathlib import Path

import typer
from pydantic import Field, ValidationError

from meds3core.errors import ConfigError
from meds3core.types.record import Record

URL_VARIABLE = "MEDS3_SERVER"
TOKEN_VARIABLE = "MEDS3_TOKEN"


class Account(Record):
    """A server, a token of it, and the team that the token reaches."""

    url: str = Field(min_length=8)
    token: str = Field(min_length=1)
    team: str = ""


def account_file() -> Path:
    """Where it is kept."""
    return Path(typer.get_app_dir("meds3")) / "server.json"


def account_store(account: Account) -> Path:
    """Keep it, readable by this user only from the first byte on; gives the file."""
    path = account_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(account.model_dump_json())
    draft.replace(path)
    return path


def account_forget() -> bool:
    """Remove it; says whether there was one."""
    path = account_file()
    existed = path.exists()
    path.unlink(missing_ok=True)
    return existed


def account_known() -> Account:
    """The kept one, or what `MEDS3_SERVER` and `MEDS3_TOKEN` say. Raises `ConfigError`."""
    url, token = os.environ.get(URL_VARIABLE, ""), os.environ.get(TOKEN_VARIABLE, "")
    if url and token:
        return Account(url=url.rstrip("/"), token=token)
    path = account_file()
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigError(f"{path} can be read by other users of this machine. Mend it: chmod 600 {path}")
        return Account.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError("You are not signed in to a server. Do so first: meds3 login https://…") from None
    except (OSError, ValidationError):
        raise ConfigError(f"{path} cannot be read. Sign in anew: meds3 login https://…") from None
