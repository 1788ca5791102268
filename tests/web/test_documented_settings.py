"""Every setting that the environment can give stands in the documentation, and the table names none that is gone."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
READ = re.compile(r"""env(?:\.\w+)?\(\s*["'](MEDS3_\w+)["']""")
ELSEWHERE = {"MEDS3_HOME", "MEDS3_HOST_NAME", "MEDS3_WORKER_NAME"}
"""Read by other means, too."""


def test_settings_and_their_table_agree():
    files = (ROOT / "webapp" / "config").rglob("*.py")
    read = {name for file in files for name in READ.findall(file.read_text(encoding="utf-8"))}
    table = set(re.findall(r"`(MEDS3_[A-Z_]+)`", _text("operations.md").partition("## Settings")[2]))
    signing_in = set(re.findall(r"MEDS3_(?:OIDC|SAML|LDAP|SSO)_\w+", _text("install.md")))
    assert read - table - signing_in == set()
    assert table - read - ELSEWHERE == set()


def _text(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")
