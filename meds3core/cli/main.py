"""`meds3`: every job from the command line, without the web application; and the jobs of a server, by its API.

Thin callers of the same functions that the workers call. What the user can mend goes to stderr in one message and
exits with 2; nothing is printed half-way through a file.
"""

import os
import sys

# Before torch is imported anywhere: with spinning threads, a second busy process costs most of the speed on few cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import typer
from pydantic import ValidationError
from rich.console import Console

from meds3core.cli import judgements, labels, prm, questions, sample, sandbox, trees
from meds3core.cli.evaluate import compare, evaluate
from meds3core.cli.evolve import evolve
from meds3core.cli.extensions import add_commands
from meds3core.cli.remote import annotate, jobs
from meds3core.cli.remote.login import login, logout
from meds3core.cli.search import search
from meds3core.cli.train import train
from meds3core.cli.verify import verify
from meds3core.errors import Meds3Error

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="MedS3: a small language model learns to reason about medicine, from its own search trees.",
)
app.add_typer(questions.app, name="questions", help="Check question files and draw samples from them.")
app.command()(verify)
app.command()(search)
app.add_typer(trees.app, name="trees", help="Look at search trees, report on them, convert them.")
app.add_typer(labels.app, name="labels", help="Make training data from search trees, and look at it.")
app.add_typer(judgements.app, name="judgements", help="What people said of steps: compare, convert, make labels.")
app.command()(train)
app.command()(evaluate)
app.command()(compare)
app.command()(evolve)
app.add_typer(sample.app, name="sample", help="Draw answers from a policy, and score them with a reward model.")
app.add_typer(prm.app, name="prm", help="Score search trees with a process reward model.")
app.add_typer(sandbox.app, name="sandbox", help="The synthetic clinic: questions, a step checker, a policy.")
app.command()(login)
app.command()(logout)
app.add_typer(jobs.app, name="jobs", help="Jobs of a MedS3 Studio server: submit, list, watch, steer.")
app.add_typer(annotate.app, name="annotate", help="Judge steps on a server: simulated people, to try it out.")
add_commands(app)


def main() -> None:
    """Entry point: errors made for people become one message and their exit code."""
    try:
        # Without its standalone mode click hands the code of an Exit back instead of exiting with it.
        code = app(standalone_mode=False)
    except Meds3Error as error:
        _complain(str(error))
        sys.exit(error.exit_code)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, issue['loc'])) or 'settings'}: {issue['msg']}" for issue in error.errors()]
        _complain("\n".join(problems))
        sys.exit(2)
    except typer.Abort:
        sys.exit(130)
    except Exception as error:
        # Click's own usage errors know how to show themselves.
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        sys.exit(getattr(error, "exit_code", 2))
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str) -> None:
    Console(stderr=True, soft_wrap=True, highlight=False).print(f"error: {message}", markup=False, style="red")


if __name__ == "__main__":
    main()
