"""`churn`: the command line. Exit 0 is done, 2 the input is at fault, 1 anything else."""

from __future__ import annotations

import sys

import typer

from churn.domain.errors import UserError
from local import screen
from local.commands import (
    contract,
    data,
    demo,
    features,
    keys,
    models,
    notices,
    outcomes,
    pipeline,
    predict,
    privacy,
    rollout,
    run,
    serve,
    simulate,
)

# Typer carries a Click of its own and exports this much of it: what was typed is at fault.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    help="Customer churn from a table to a served prediction. Start with `churn demo`.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("demo")(demo.demo)
app.add_typer(data.app, name="data")
app.add_typer(contract.app, name="contract")
app.add_typer(run.app, name="run")
app.add_typer(pipeline.app, name="pipeline")
app.command("simulate")(simulate.simulate)
app.command("serve")(serve.serve)
app.command("predict")(predict.predict)
app.add_typer(features.app, name="features")
app.add_typer(models.app, name="models")
app.add_typer(outcomes.app, name="outcomes")
app.add_typer(rollout.app, name="rollout")
app.add_typer(notices.app, name="notices")
app.add_typer(keys.app, name="keys")
app.add_typer(privacy.app, name="privacy")


def main() -> None:
    """The entry point: runs the command, and turns what went wrong into one message and an exit code."""
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    try:
        result = app(arguments, standalone_mode=False)
    except _UsageError as error:
        told: str = error.format_message()  # type: ignore[attr-defined]
        return _failed(UserError(told, remedy="--help shows what there is"), 2, arguments) if told else 2
    except UserError as error:
        return _failed(error, 2, arguments)
    except (typer.Abort, KeyboardInterrupt):
        screen.tell("stopped")
        return 130
    except Exception as error:  # noqa: BLE001 - the last place where a person can be told anything
        return _failed(error, 1, arguments)
    return result if isinstance(result, int) else 0


def _failed(error: Exception, code: int, arguments: list[str]) -> int:
    screen.fail(error, as_json="--json" in arguments and "predict" not in arguments)
    return code


if __name__ == "__main__":
    main()
