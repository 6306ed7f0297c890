"""`churn rollout`: two versions at once, and which of them stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from local import screen
from local.commands.options import AsJson, AsOf

if TYPE_CHECKING:
    from local.rollout.acting import Done

app = typer.Typer(help="Champion and challenger: who gets which customers, and who stays.", no_args_is_help=True)

Model = Annotated[str, typer.Option("--model", help="The model's name.")]


@app.command()
def status(model: Model = "telco", as_json: AsJson = False) -> None:
    """Who answers whom, since when, and what rollout has done before."""
    from local.rollout import showing

    found = showing.status(model)
    if as_json:
        screen.document(found)
    else:
        showing.show_status(found)


@app.command()
def start(
    version: Annotated[int, typer.Argument(help="A registered version.")],
    share: Annotated[float, typer.Option("--share", help="The share of the customers that it gets, up to 1.")] = 0.1,
    shadow: Annotated[bool, typer.Option("--shadow", help="It scores copies; the champion answers.")] = False,
    model: Model = "telco",
    as_json: AsJson = False,
) -> None:
    """Give a version a share of the customers; or the challenger of now another share."""
    import os

    from churn.stores.settings import Settings
    from local.rollout import acting

    wanted = acting.Wanted(version, share, "shadow" if shadow else "split")
    _show(acting.start(Settings.load().prepare(), os.environ, model, wanted), as_json=as_json)


@app.command()
def stop(model: Model = "telco", as_json: AsJson = False) -> None:
    """Take the challenger out; the champion answers everybody."""
    import os

    from churn.stores.settings import Settings
    from local.rollout import acting

    _show(acting.stop(Settings.load().prepare(), os.environ, model), as_json=as_json)


@app.command()
def back(model: Model = "telco", as_json: AsJson = False) -> None:
    """Put the champion's predecessor in charge again; a challenger leaves."""
    import os

    from churn.stores.settings import Settings
    from local.rollout import acting

    _show(acting.back(Settings.load().prepare(), os.environ, model), as_json=as_json)


@app.command()
def decide(
    model: Model = "telco",
    apply: Annotated[bool, typer.Option("--apply", help="Do it, by writing the traffic document.")] = False,
    as_of: AsOf = "",
    as_json: AsJson = False,
) -> None:
    """Promote, wait, or roll back: by errors and latency from Prometheus, and by outcomes from the log.

    It may be asked at any time and as often as you like: the test of profit is made for that."""
    import os

    from churn.stores.settings import Settings
    from components.monitor_assemble.times import moment
    from local.rollout import acting, judging, showing

    settings = Settings.load().prepare()
    judged = judging.judge(settings, os.environ, model, moment(as_of) if as_of else None)
    done = acting.apply(settings, os.environ, judged) if apply else None
    if as_json:
        screen.document(showing.decision(judged, done))
    else:
        showing.show_decision(judged, done)


@app.command()
def watch(
    model: Model = "telco",
    every: Annotated[float, typer.Option("--every", help="Seconds between two looks.")] = 10.0,
    standby: Annotated[bool, typer.Option("--standby", help="While another process watches, wait for it.")] = False,
) -> None:
    """Watch new champions and challengers until stopped; roll back at once what exceeds its bounds."""
    import os
    import signal
    import threading

    from churn.stores.settings import Settings
    from local.rollout.watching import Watch

    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    Watch(Settings.load().prepare(), os.environ, model, every, screen.tell).run(ended, standby=standby)


def _show(done: Done, *, as_json: bool) -> None:
    from local.rollout import showing

    if as_json:
        screen.document(done)
    else:
        showing.show_done(done)
