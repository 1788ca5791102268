"""Where the bundled policy lies."""

from pathlib import Path


def policy_folder() -> Path:
    """The folder of the tiny base policy that ships with the package; it may not be written to."""
    return Path(__file__).parent / "policy"
