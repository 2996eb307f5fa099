"""Champions in MLflow's registry: one registered model a group, the alias ``champion``, a version a promotion.

The order of a promotion is what a kill may interrupt: run and model, version, alias, then data/champion.json. Until
the alias is set the old champion is in force everywhere; after it the registry is right and ``agree`` mends the file.
Judging happens under the store's lock, so that several promotions at once are judged one after the other. mlflow is
imported inside the functions (it takes 4 s).
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import forecasting.tracking_store as base
from forecasting import __version__, champion, champion_file, clock, store, tracking, tracking_client, workflow
from forecasting.backtest_files import Result
from forecasting.champion import Verdict
from forecasting.champion_file import Champion
from forecasting.errors import ForecastingError
from forecasting.tracking_sheet import finished_at, without_password

ALIAS = "champion"
EXPERIMENT = "champions"
PREFIX = "tradecast-"
DONE = "was champion"
PATHS = 2000
"""As many as `tradecast forecast` draws."""
SCRIPT = Path(__file__).with_name("served_model.py")


@dataclass(frozen=True)
class Promoted:
    """The champion that a promotion made, none if it was refused; not ``new`` where it was that very one before."""

    verdict: Verdict
    champion: Champion | None = None
    new: bool = False


@dataclass(frozen=True)
class Past:
    """A version in the registry; ``promoted`` is empty if the promotion was interrupted before the alias was set."""

    group: str
    version: int
    model: str
    promoted: str
    backtest: str
    vintage: str
    why: str
    forced: str
    in_force: bool


def exists(uri: str | None = None) -> bool:
    """Whether there is a store at all: a file that is not there is not made by asking."""
    file = base.database_file(base.tracking_uri(uri))
    return file is None or base.is_there(file)


# --- Reading ---------------------------------------------------------------------------------------------


def agree(uri: str | None = None) -> tuple[dict[str, Champion], tuple[str, ...]]:
    """The champions of the registry, and what had to be mended in champion.json for it to say the same."""
    address = base.tracking_uri(uri)
    with tracking_client.session(address) as client:
        return _agree(client, address)


def _agree(client: Any, uri: str) -> tuple[dict[str, Champion], tuple[str, ...]]:
    registered, heard_of, here = *_champions(client, uri), _store_name(uri)
    try:
        said, mended = champion_file.read(), []
    except ForecastingError:
        said, mended = {}, [f"{champion_file.FILE} could not be read."]
    # What was registered in another store is not ours to judge.
    foreign = {group: one for group, one in said.items() if one.store != here}
    # Nor is one of whose group the store has never heard: it is another store than the one that was written to.
    unheard = {group: one for group, one in said.items() if group not in foreign and group not in heard_of}
    foreign |= unheard
    own = {group: one for group, one in said.items() if group not in foreign}
    wanted = {group: one for group, one in registered.items() if group not in foreign}
    for group in sorted({*own, *wanted}):
        if own.get(group) != wanted.get(group):
            mended.append(f"{group}: {champion_file.FILE} said {_name(own.get(group))}, the registry says "
                          f"{_name(wanted.get(group))}; mended.")  # fmt: skip
    if mended:
        champion_file.write({**foreign, **wanted})
    mended += [
        f"{group}: {champion_file.FILE} says {_name(one)}, of which {here} knows nothing; kept. Was the store lost?"
        for group, one in unheard.items()
    ]
    return {**foreign, **wanted}, tuple(mended)


def _name(one: Champion | None) -> str:
    return f"{one.model} (version {one.version})" if one else "nobody"


def _champions(client: Any, uri: str) -> tuple[dict[str, Champion], set[str]]:
    """Champions by group, and every group that has a registered model."""
    found, heard_of = {}, set()
    for model in client.search_registered_models(filter_string=f"name LIKE '{PREFIX}%'", max_results=1000):
        number, group = dict(model.aliases).get(ALIAS), model.name.removeprefix(PREFIX)
        heard_of.add(group)
        if number is not None:
            version = client.get_model_version(model.name, number)
            _mark_done(client, version)
            found[group] = _champion(group, version, uri)
    return found, heard_of


def _mark_done(client: Any, version: Any) -> None:
    """A version that bore the alias once stays one that did, also if the promotion was killed right after."""
    if DONE not in version.tags:
        client.set_model_version_tag(version.name, version.version, DONE, "yes")


def _champion(group: str, version: Any, uri: str) -> Champion:
    tags = version.tags
    return Champion(
        group=group,
        model=tags.get("model", "unknown"),
        settings=json.loads(tags.get("settings", "{}")),
        version=int(version.version),
        promoted=tags.get("promoted", ""),
        backtest=tags.get("backtest", ""),
        vintage=tags.get("vintage", ""),
        why=tags.get("why", ""),
        store=_store_name(uri),
        forced=tags.get("forced", ""),
        skill=float(tags["skill"]) if "skill" in tags else None,
    )


def history(uri: str | None = None, group: str = "") -> list[Past]:
    """Every version of every group, the newest first."""
    with tracking_client.session(base.tracking_uri(uri)) as client:
        found = []
        for model in client.search_registered_models(filter_string=f"name LIKE '{PREFIX}%'", max_results=1000):
            own = model.name.removeprefix(PREFIX)
            if group and own != group:
                continue
            number = dict(model.aliases).get(ALIAS)
            for one in client.search_model_versions(f"name = '{model.name}'"):
                in_force = str(one.version) == str(number)
                found.append(_past(own, one, in_force))
    return sorted(found, key=lambda one: (one.group, -one.version))


def _past(group: str, version: Any, in_force: bool) -> Past:
    tags = version.tags
    took = DONE in tags or in_force
    return Past(
        group, int(version.version), tags.get("model", ""), tags.get("promoted", "") if took else "",
        tags.get("backtest", ""), tags.get("vintage", ""), tags.get("why", ""), tags.get("forced", ""), in_force,
    )  # fmt: skip


def _store_name(uri: str) -> str:
    """The store in a file that is shared: no password, no folder of this machine."""
    file = base.database_file(uri)
    if file is None:
        return without_password(uri)
    root = base.project()
    resolved = file.absolute()
    return str(resolved.relative_to(root)) if resolved.is_relative_to(root) else f"{file.name} outside the project"


# --- Promoting -------------------------------------------------------------------------------------------


def promote(result: Result, group: str, label: str = "", uri: str | None = None, force: str = "") -> Promoted:
    """Make the best model of a backtest (or the one named) champion of a group if it earned it, or by ``force``.

    ``force`` is the reason of who overrules; the conditions that failed are recorded beside it.
    """
    address = base.tracking_uri(uri)
    with tracking_client.session(address) as client:
        return _promote(client, address, result, group, label, force)


def _promote(client: Any, uri: str, result: Result, group: str, label: str, force: str) -> Promoted:
    present = _agree(client, uri)[0].get(group)
    verdict = champion.choose(result, group, present, label)
    if not verdict.passed and not force:
        return Promoted(verdict)
    dataset = workflow.load()
    tags = _tags(verdict, dataset, tracking_client.cleaner()(force) if not verdict.passed else "")
    if present and _same_evidence(client, present, tags, _store_name(uri)):
        return Promoted(verdict, present)
    made = _register(client, uri, result, verdict, dataset, tags)
    champion_file.write({**champion_file.read(), group: made})
    return Promoted(verdict, made, new=True)


def _tags(verdict: Verdict, dataset: workflow.Dataset, forced: str) -> dict[str, str]:
    """All that a champion is rebuilt and justified from; what is not known is left out."""
    tags = {
        "model": verdict.model,
        "label": verdict.label,
        "settings": json.dumps(dict(verdict.settings), sort_keys=True),
        "backtest": verdict.backtest,
        "table": verdict.digest,
        "kind": verdict.kind,
        "vintage": str(dataset.panel.cutoff),
        "data": dataset.panel.digest(),
        "tradecast": __version__,
        "why": verdict.why if not forced else f"failed: {verdict.refusals}; held: {verdict.why}",
        "promoted": clock.now().isoformat(timespec="seconds"),
    }
    tags |= {name: f"{value:.4g}" for name, value in verdict.numbers.items()}
    return tags | ({"forced": forced} if forced else {})


def _same_evidence(client: Any, present: Champion, tags: Mapping[str, str], here: str) -> bool:
    """Promoted already, by the same table on the same data."""
    if present.store != here:
        return False
    evidence = ("model", "settings", "table", "data", "tradecast")
    return any(
        all(version.tags.get(one) == tags[one] for one in evidence)
        for version in client.search_model_versions(f"name = '{PREFIX}{present.group}'")
        if int(version.version) == present.version
    )


def _register(
    client: Any, uri: str, result: Result, verdict: Verdict, dataset: workflow.Dataset, tags: Mapping[str, str]
) -> Champion:
    name = PREFIX + verdict.group
    experiment = tracking_client.experiment_id(client, uri, EXPERIMENT)
    version = _interrupted(client, name, tags)
    _clear_half_written(client, experiment, version.run_id if version else "")
    version = version or _new_version(client, name, experiment, result, verdict, dataset, tags)
    _put_in_force(client, version)
    return _champion(verdict.group, version, uri)


def _interrupted(client: Any, name: str, tags: Mapping[str, str]) -> Any:
    """The version that a killed promotion of the same model on the same evidence left, whole but not in force; or none.

    A new one in its place would leave a number that never was in force.
    """
    when = ("promoted", DONE)
    wanted = {one: cell for one, cell in _short(tags).items() if one not in when}
    for one in client.search_model_versions(f"name = '{name}'"):
        if DONE not in one.tags and {key: cell for key, cell in one.tags.items() if key not in when} == wanted:
            return one
    return None


def _new_version(
    client: Any, name: str, experiment: str, result: Result, verdict: Verdict, dataset: workflow.Dataset,
    tags: Mapping[str, str],
) -> Any:  # fmt: skip
    """A run, its model and a version of it, not yet in force."""
    note = _note(verdict, tags)
    run = client.create_run(
        experiment, run_name=f"{verdict.group} {verdict.label} {tags['vintage']}",
        tags={**_short(tags), "group": verdict.group, "mlflow.note.content": note},
    ).info.run_id  # fmt: skip
    number, place = _log_model(client, experiment, run, verdict, dataset, tags)
    _log_numbers(client, run, number, result, verdict)
    _describe(client, name, verdict.group)
    return client.create_model_version(name, place, run_id=run, tags=_short(tags), description=note, model_id=number)


def _put_in_force(client: Any, version: Any) -> None:
    """What comes after a version is registered; done again it changes nothing."""
    (model,) = client.get_run(version.run_id).outputs.model_outputs
    # MLflow's own register_model links the model's page to the version so; without it they do not know one another.
    client.set_logged_model_tags(model.model_id, {"mlflow.modelVersions": _linked(version)})
    client.set_terminated(version.run_id, "FINISHED")
    client.set_registered_model_alias(version.name, ALIAS, version.version)
    _mark_done(client, version)


def _linked(version: Any) -> str:
    return json.dumps([{"name": version.name, "version": int(version.version)}])


def _short(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: value[: tracking_client.LONGEST_TAG] for name, value in tags.items()}


def _clear_half_written(client: Any, experiment: str, but: str) -> None:
    """Runs (``but`` one) and their models that a killed promotion left; nobody else writes now."""
    found = client.search_runs([experiment], filter_string="attributes.status = 'RUNNING'")
    begun = {run.info.run_id for run in found} - {but}
    for model in client.search_logged_models([experiment]):  # a filter by status finds nothing in 3.17
        if model.status == "PENDING" or model.source_run_id in begun:
            client.delete_logged_model(model.model_id)
    for run in begun:  # last: a run that is gone would not lead to its model again
        client.delete_run(run)


def _note(verdict: Verdict, tags: Mapping[str, str]) -> str:
    lines = [
        f"**{verdict.label}** as champion of **{verdict.group}**, on {verdict.basis}; figures up to {tags['vintage']}.",
        *(f"- {'passed' if one.passed else '**failed**'}: {one.words}" for one in verdict.checks),
        *(f"- {one}" for one in verdict.remarks),
    ]
    if "forced" in tags:
        lines.append(f"\n**By force**, because: {tags['forced']}")
    return "\n".join([lines[0], "", *lines[1:]])


def _describe(client: Any, name: str, group: str) -> None:
    """The registered model, made if it is not there."""
    from mlflow.exceptions import MlflowException

    text = (
        f"Monthly forecasts of {group}.* with intervals, by the model that won on backtests. Load "
        f"`models:/{name}@{ALIAS}` with `mlflow.pyfunc.load_model` and ask `predict(None, params={{'horizon': 6}})`; "
        "each version says why it was promoted."
    )
    with contextlib.suppress(MlflowException):  # it is there
        client.create_registered_model(name, tags={"group": group}, description=text)


# --- The model -------------------------------------------------------------------------------------------


def _log_model(
    client: Any, experiment: str, run: str, verdict: Verdict, dataset: workflow.Dataset, tags: Mapping[str, str]
) -> tuple[str, str]:
    """Id and place of the logged model, made from files: MLflow's own log_model would keep this machine's paths."""
    from mlflow.entities import LoggedModelOutput

    name = f"{verdict.group}-{verdict.label}".translate(str.maketrans(" +()", "____"))
    params = {one: str(cell) for one, cell in verdict.settings.items()}
    made = client.create_logged_model(experiment, name, run, {"group": verdict.group}, params, "tradecast")
    with tempfile.TemporaryDirectory(prefix="tradecast-") as folder:
        target = Path(folder, "model")
        save(target, spec_of(verdict, dataset, tags), dataset, made.model_id)
        client.log_model_artifacts(made.model_id, str(target))
    client.log_outputs(run, [LoggedModelOutput(made.model_id, 0)])
    client.finalize_logged_model(made.model_id, "READY")
    return str(made.model_id), str(made.artifact_location)


def spec_of(verdict: Verdict, dataset: workflow.Dataset, tags: Mapping[str, str]) -> dict[str, Any]:
    """What the model is rebuilt from, beside the figures."""
    shown = [one for one in dataset.catalogue if dataset.catalogue[one].headline]
    return {
        "tradecast": __version__,
        "group": verdict.group,
        "model": verdict.model,
        "settings": dict(verdict.settings),
        "paths": PATHS,
        "series": [one for one in shown if champion_file.group_of(one) == verdict.group],
        "data": {"vintage": str(dataset.panel.cutoff), "digest": dataset.panel.digest()},
        "backtest": {"name": verdict.backtest, "table": verdict.digest},
        "promoted": tags["promoted"],
    }


def save(target: Path, spec: Mapping[str, Any], dataset: workflow.Dataset, model_id: str | None = None) -> None:
    """A model folder that MLflow loads: our script, the settings, the figures; no path of this machine in it."""
    import mlflow
    from mlflow.models import Model

    from forecasting.served_model import CATALOGUE, KEPT, OBSERVATIONS, SPEC

    with tempfile.TemporaryDirectory(prefix="tradecast-") as folder:
        parts = {"spec": SPEC, "observations": OBSERVATIONS, "catalogue": CATALOGUE}
        Path(folder, SPEC).write_text(json.dumps(spec, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        # What a forecast rests on: rates and prices of the store are in no catalogue file and would move the cutoff.
        panel = dataset.observations["series"].isin(dataset.panel.series)
        panel &= dataset.observations["month"] <= dataset.panel.cutoff
        store.write_table(dataset.observations.loc[panel, list(KEPT)], Path(folder, OBSERVATIONS))
        Path(folder, CATALOGUE).write_bytes((store.data_folder() / CATALOGUE).read_bytes())
        mlflow.pyfunc.save_model(
            target,
            python_model=str(SCRIPT),
            artifacts={name: str(Path(folder, file)) for name, file in parts.items()},
            signature=signature(),
            input_example=(pd.DataFrame(), {"horizon": 4, "coverages": [80, 95], "series": list(spec["series"][:1])}),
            pip_requirements=[f"tradecast=={__version__}", f"mlflow=={mlflow.__version__}"],
            mlflow_model=Model(model_id=model_id),
        )
    _without_paths(target)


def _without_paths(target: Path) -> None:
    """MLflow writes down where it found the files; it needs only their names to load them."""
    from mlflow.models import Model

    model = Model.load(str(target))
    flavor = model.flavors["python_function"]
    flavor["model_code_path"] = Path(flavor["model_code_path"]).name
    for one in flavor["artifacts"].values():
        one["uri"] = Path(one["uri"]).name
    model.save(str(target / "MLmodel"))


def signature() -> Any:
    """Typed parameters and the columns that come back; there is no input table."""
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, ParamSchema, ParamSpec, Schema

    from forecasting.forecast import FORECAST_COLUMNS, QUANTILE_COLUMNS
    from forecasting.served_model import PARAMS

    numbers = {"step": "long", "observed_months": "long", "mean": "double", **dict.fromkeys(QUANTILE_COLUMNS, "double")}
    columns = [
        ColSpec(numbers.get(one, "string"), one, required=one not in QUANTILE_COLUMNS or one == "q50")
        for one in FORECAST_COLUMNS
    ]
    asked = [
        ParamSpec(name, kind, default, shape=(-1,) if isinstance(default, list) else None)
        for name, (kind, default) in PARAMS.items()
    ]
    return ModelSignature(inputs=None, outputs=Schema(columns), params=ParamSchema(asked))


def _log_numbers(client: Any, run: str, number: str, result: Result, verdict: Verdict) -> None:
    """What it was judged by, with the model and the data of the backtest: MLflow's page of models sorts by these."""
    from mlflow.entities import DatasetInput, InputTag, Metric

    data = tracking.dataset_of(result)
    client.log_inputs(run, [DatasetInput(data, [InputTag("mlflow.data.context", "backtest")])])
    when = finished_at(result)
    where = {"model_id": number, "dataset_name": data.name, "dataset_digest": data.digest}
    client.log_batch(run, metrics=[Metric(name, value, when, 0, **where) for name, value in verdict.numbers.items()])
