"""Errors, sorted by who must act: the user, us, or nobody because the work was cancelled.

Every class has a stable `code`. A message says what is wrong, where, and what to do; it carries row and field
names, never the content of a question.
"""


class Meds3Error(Exception):
    """Root of all errors raised on purpose."""

    code = "error"
    exit_code = 1


class UserError(Meds3Error):
    """The user can mend it: bad input, conflicting settings, a missing file. Exit code 2 on the command line."""

    code = "user-error"
    exit_code = 2


class QuestionFileError(UserError):
    """A question file cannot be read as a whole or has bad rows."""

    code = "question-file"


class ConfigError(UserError):
    """Two settings conflict, or a setting does not fit its input."""

    code = "config"


class PolicyError(UserError):
    """A model folder is not usable: no weights, pickled weights, remote code, no tokenizer."""

    code = "policy"


class ContextOverflow(UserError):
    """A prompt does not fit the model's context. Recorded for its question; the search goes on."""

    code = "context-overflow"


class MissingExtra(UserError):
    """An optional dependency is not installed; the message names the extra."""

    code = "missing-extra"


class AppError(Meds3Error):
    """Our fault or the machine's: to be reported, worth a retry."""

    code = "app-error"


class EngineError(AppError):
    """An engine failed on one request; its neighbours are unharmed."""

    code = "engine"

    @classmethod
    def because(cls, words: str, error: Exception | None) -> "EngineError":
        """With what it comes of, whose frames are let go: they hold what was computed with."""
        made = cls(words)
        made.__cause__ = error.with_traceback(None) if error is not None else None
        return made


class Cancelled(Meds3Error):
    """The work was cancelled; nobody needs to act."""

    code = "cancelled"
    exit_code = 130
