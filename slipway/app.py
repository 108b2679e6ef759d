"""`slipway`: train, promote, serve and watch models from one command line."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from contracts.errors import PlatformError
from slipway import context, output
from slipway.commands import ab, explain, keys, replay, traffic_split

app = typer.Typer(
    name="slipway",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="From a training script to a monitored service, and back.\n\n"
    "[dim]slipway train loan && slipway promote loan && slipway serve[/dim]",
)

app.add_typer(keys.app, name="keys")
app.command("traffic-split", epilog="Example: slipway traffic-split loan challenger=10%")(
    traffic_split.traffic_split
)
app.add_typer(replay.app)
app.add_typer(ab.app)
app.add_typer(explain.app)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Model = Annotated[str, typer.Argument(help="A model's name.", metavar="MODEL")]
Because = Annotated[str, typer.Option(help="Why, for the history.")]
Url = Annotated[str, typer.Option(help="Where the service answers.")]
Key = Annotated[str, typer.Option(help="An API key, where the service wants one.")]
LOCAL = "http://127.0.0.1:3000"


@app.command(epilog="Example: slipway train loan iris    or    slipway train --all")
def train(
    recipes: Annotated[list[str] | None, typer.Argument(help="Names of recipes.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Train every recipe.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the split and of the model.")] = 0,
    json: Json = False,
) -> None:
    """Train recipes, certify them and register their versions."""
    from training.recipe import load_recipe, recipe_names
    from training.run import train_recipe

    names = recipe_names() if every else recipes or []
    if not names:
        raise typer.BadParameter(f"name a recipe ({', '.join(recipe_names())}) or say --all")
    trained = []
    for name in names:
        if not json:
            output.say(f"training {name} ...")
        trained.append(train_recipe(load_recipe(name), context.store(), seed=seed))
    if json:
        output.as_json(trained)
    else:
        output.table("Registered", context.TRAINED_COLUMNS, map(context.trained_row, trained))


@app.command(epilog='Example: slipway promote loan --version 7 --because "better on 2026 data"')
def promote(
    model: Model,
    version: Annotated[int | None, typer.Option(help="Default: the newest.")] = None,
    because: Because = "",
    force: Annotated[bool, typer.Option(help="Past the gate; needs --because.")] = False,
    window: Annotated[
        str, typer.Option("--replay", help="Replay so much of Production's traffic: 7d.")
    ] = "",
    max_flips: Annotated[
        str, typer.Option(help="Most decisions that may be others in it: 2%.")
    ] = "",
    json: Json = False,
) -> None:
    """Make a version the Production version, if it passes the gate."""
    demand = replay.demand_of(model, window, max_flips)
    promotion = context.promote(model, version, because=because, force=force, demand=demand)
    context.show_promotion(promotion, json_wanted=json)


@app.command(epilog="Example: slipway rollback loan    or    slipway rollback loan --to 3")
def rollback(
    model: Model,
    to: Annotated[int | None, typer.Option(help="Default: the one before.")] = None,
    because: Because = "",
    json: Json = False,
) -> None:
    """Make an earlier Production version the Production version again."""
    from registry.promote import rollback as roll_back

    promotion = roll_back(context.store(), model, to=to, actor=context.actor(), because=because)
    context.show_promotion(promotion, json_wanted=json)


@app.command(epilog="Example: slipway pull && bentoml build")
def pull(json: Json = False) -> None:
    """Fetch and verify the Production versions for the service and for `bentoml build`."""
    from registry.pull import pull_all
    from registry.trial import service_trial

    trial = service_trial(context.registry_settings().trial_timeout_s)
    result = pull_all(context.store(), context.layout(), trial)
    if json:
        output.as_json(result)
        return
    for pointer in result.pulled:
        output.say(f"{pointer.name} version {pointer.version}  {pointer.bento_tag}")
    for refusal in result.refused:
        output.say(f"[red]refused[/red] {refusal}")


@app.command(epilog="Example: slipway follow    (bentoml serve in a checkout does it itself)")
def follow() -> None:
    """Follow Production: keep the pointers below var/models where the registry's aliases are."""
    from registry.__main__ import follow as follow_production

    follow_production(context.registry_settings())


@app.command(epilog="Example: slipway status --url http://127.0.0.1:3000")
def status(url: Url = LOCAL, key: Key = "", json: Json = False) -> None:
    """Tell what is Production, what is pointed at here, and what the service answers with."""
    from slipway.commands.status import states

    found = states(context.store(), context.layout(), url, key)
    if json:
        output.as_json(found)
    else:
        output.table("Status", context.STATE_COLUMNS, map(context.state_row, found))
        context.show_beside(found)


@app.command(epilog="Example: slipway serve --port 3001 --workers 2")
def serve(
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 3000,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    workers: Annotated[int, typer.Option(help="Worker processes.")] = 1,
    json: Json = False,
) -> None:
    """Pull the Production models and serve them: `bentoml serve` with a checked port."""
    from slipway.service_process import become_server

    become_server(host, port, workers, announce=None if json else output.say)


@app.command(epilog="Example: slipway traffic loan --rows 5000 --drifted")
def traffic(
    model: Model,
    rows: Annotated[int, typer.Option(min=1, help="How many requests.")] = 2000,
    drifted: Annotated[bool, typer.Option(help="Unlike the training data.")] = False,
    connections: Annotated[int, typer.Option(min=1, help="Clients at once.")] = 16,
    seed: Annotated[int, typer.Option(help="Seed of the rows.")] = 1,
    url: Url = LOCAL,
    key: Key = "",
    json: Json = False,
) -> None:
    """Send rows like the recipe's data to a running service, and time the answers."""
    result = context.send(
        url, model, rows, drifted=drifted, connections=connections, seed=seed, key=key
    )
    if json:
        output.as_json(result)
    else:
        output.table("Traffic", context.LOAD_COLUMNS, [context.load_row(model, result)])


@app.command(epilog="Example: slipway labels truth.csv --model loan")
def labels(
    file: Annotated[Path, typer.Argument(help="CSV or JSON lines: prediction_id, truth, time.")],
    model: Annotated[str, typer.Option(help="Whose predictions they are of.")],
    json: Json = False,
) -> None:
    """Take what turned out to be true, all of a file or nothing."""
    added = context.add_labels(file, model)
    if json:
        output.as_json(added)
    else:
        output.say(f"{added.rows} labels of {model} are in {added.path}")


@app.command(epilog="Example: slipway compact loan --keep-days 90")
def compact(
    model: Model,
    keep_days: Annotated[
        int, typer.Option(min=0, help="Older traffic and labels go; 0: none.")
    ] = 0,
    json: Json = False,
) -> None:
    """Turn the traffic of past days, and labels, into Parquet; running it again is harmless."""
    from monitoring.labels.compaction import compact_labels
    from monitoring.traffic.compaction import compact_traffic

    now = datetime.now(UTC)
    done = {
        "traffic": compact_traffic(context.layout(), model, now=now, keep_days=keep_days),
        "labels": compact_labels(context.layout(), model, now=now, keep_days=keep_days),
    }
    if json:
        output.as_json(done)
        return
    for what, compaction in done.items():
        output.fields(what, compaction)


@app.command(epilog="Example: slipway monitor loan --since 24h    or    --every 15m")
def monitor(
    model: Model,
    since: Annotated[str, typer.Option(help="How far back: 30m, 24h, 7d.")] = "24h",
    start: Annotated[str, typer.Option(help="Instead of --since: RFC 3339.")] = "",
    end: Annotated[str, typer.Option(help="Default: now.")] = "",
    version: Annotated[int | None, typer.Option(help="Default: the one served.")] = None,
    every: Annotated[str, typer.Option(help="Go on, window by window: 15m, 1h, 1d.")] = "",
    retrain: Annotated[
        bool, typer.Option(help="With --every: train anew and promote, where a verdict calls.")
    ] = False,
    workspace: Annotated[
        bool, typer.Option(help="Put it where `evidently ui` finds it, too: var/evidently.")
    ] = False,
    segment: Annotated[
        list[str] | None, typer.Option(help="Take drift apart by it; default: the recipe's.")
    ] = None,
    json: Json = False,
) -> None:
    """Judge a window of traffic against the model's reference, and draw the report."""
    from slipway.durations import window_of

    if retrain and not every:
        raise typer.BadParameter("--retrain: expected --every with it, got none")
    if every:
        context.keep_judging(
            model, every, segments=segment, json_wanted=json, retrain=retrain, workspace=workspace
        )
        return
    now = datetime.now(UTC)
    first, last = window_of(since, start, end, now)
    verdict = context.judge(
        model, first, last, now, version=version, segments=segment, workspace=workspace
    )
    context.tell_unsent(model)
    if json:
        output.as_json(verdict)
        return
    output.say(verdict.sentence)
    if verdict.decision == "no_traffic":
        output.say(f"looked in {context.layout().traffic(model)}; see docs/verdict.md")
    if verdict.findings:
        output.table("Columns", context.FINDING_COLUMNS, map(context.finding_row, verdict.findings))
    for fault in verdict.quality:
        output.say(f"[yellow]{fault.fault}[/yellow] {fault.column}: {fault.detail}")
    output.say(f"report: {verdict.report}")
    if workspace:
        place = context.layout().evidently
        output.say(f"snapshot: evidently ui --workspace {place}", soft_wrap=True)


@app.command(epilog="Example: slipway retrain loan --because <verdict id> --promote")
def retrain(
    model: Model,
    because: Annotated[str, typer.Option(help="A verdict's id or path, schedule, or words.")],
    promote: Annotated[bool, typer.Option(help="Promote it, if the gate says so.")] = False,
    force: Annotated[bool, typer.Option(help="Though nothing calls for it; recorded.")] = False,
    json: Json = False,
) -> None:
    """Train a challenger on labelled traffic of late, with the newest of it as the exam."""
    from slipway.commands.retrain import retrain as train_anew

    retraining = train_anew(model, because, promote_wanted=promote, force=force)
    if json:
        output.as_json(retraining)
    else:
        output.say(retraining.sentence, markup=False, soft_wrap=True)


@app.command(epilog='Example: slipway accept loan <verdict id> --because "sale, as every July"')
def accept(
    model: Model,
    verdict: Annotated[str, typer.Argument(help="A verdict's id.", metavar="VERDICT_ID")],
    because: Annotated[str, typer.Option(help="Why it is usual.")],
    json: Json = False,
) -> None:
    """Call a flagged window usual: limits are learned from it as from an undrifted one."""
    acceptance = context.accept(model, verdict, because)
    if json:
        output.as_json(acceptance)
    else:
        output.say(f"{verdict} is usual, says {acceptance.who}: {acceptance.why}")


@app.command(epilog="Example: slipway versions loan")
def versions(
    model: Annotated[str | None, typer.Argument(help="Default: every model.")] = None,
    json: Json = False,
) -> None:
    """List registered versions, and which one is Production."""
    from registry.listing import versions as registered

    found = registered(context.store(), model)
    if json:
        output.as_json(found)
    else:
        output.table("Versions", context.VERSION_COLUMNS, map(context.version_row, found))


@app.command(epilog="Example: slipway history loan")
def history(model: Model, json: Json = False) -> None:
    """Tell what was Production when, who made it so, and why."""
    from registry.history import history as events

    store = context.store()
    found = events(store, model)
    if json:
        output.as_json(found)
        return
    output.table(f"History of {model}", context.EVENT_COLUMNS, map(context.event_row, found))
    runs = {version.version: version.run_id for version in store.versions.of(model)}
    for event in found:
        if event.decision and event.to_version in runs:
            place = f"decision/{event.decision}.html of run {runs[event.to_version]}"
            output.say(f"version {event.to_version}: {place}", soft_wrap=True)


@app.command(epilog="Example: slipway doctor --repair")
def doctor(
    repair: Annotated[bool, typer.Option(help="Clean what was found.")] = False,
    json: Json = False,
) -> None:
    """Find what killed runs leave behind, and with --repair clean it."""
    from registry import doctor as surgery

    ailments = surgery.examine(context.store(), context.layout())
    done = surgery.repair(context.store(), context.layout(), ailments) if repair else []
    if json:
        output.as_json({"ailments": ailments, "repaired": done})
        return
    for ailment in ailments:
        output.say(f"[yellow]{ailment.kind}[/yellow] {ailment.subject}: {ailment.detail}")
    for line in done:
        output.say(f"[green]repaired[/green] {line}")
    if not ailments:
        output.say("healthy: nothing is left behind")


@app.command(epilog="Example: slipway demo --port 3001")
def demo(
    port: Annotated[int, typer.Option(help="The port of the service.")] = 3000,
    rows: Annotated[int, typer.Option(min=500, help="Requests per model and window.")] = 2000,
    json: Json = False,
) -> None:
    """Run the whole loop: train, promote, serve, traffic, drift report."""
    from slipway.commands.demo import run_demo

    run_demo(Path.cwd(), port=port, rows=rows, json_wanted=json)


def main() -> None:
    """Run the command line; an error that a person can act on ends without a traceback."""
    try:
        app()
    except PlatformError as error:
        output.failure(error, json_wanted="--json" in sys.argv)
        sys.exit(error.exit_code)
