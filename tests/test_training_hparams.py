"""A search as TensorBoard's own HParams plugin reads it."""

import pytest
from tensorboard import context
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

from mammo_tf import cases
from mammo_tf.training import hparams

DOMAINS = {
    "kernel": hparams.Discrete([1, 3, 5]),
    "padding": hparams.Discrete(["same", "valid"]),
    "rate": hparams.RealInterval(1e-5, 1e-2),
}
TRIALS = (
    ({"kernel": 3, "padding": "same", "rate": 1e-3}, {"val_auc": 0.75, "val_loss": 0.5}),
    ({"kernel": 5, "padding": "valid", "rate": 1e-4}, {"val_auc": 0.875, "val_loss": 0.25}),
    ({"kernel": 3, "padding": "same", "rate": 1e-3}, {"val_auc": 0.5, "val_loss": float("nan")}),
)


def table(folder):
    """What the tab shows: (experiment, rows by name)."""
    runs = plugin_event_multiplexer.EventMultiplexer()
    runs.AddRunsFromDirectory(str(folder))
    runs.Reload()
    provider = data_provider.MultiplexerDataProvider(runs, str(folder))
    plugin = backend_context.Context(base_plugin.TBContext(data_provider=provider, multiplexer=runs))
    ctx = context.RequestContext()
    experiment = plugin.experiment_from_metadata(ctx, "", True, plugin.hparams_metadata(ctx, ""), [])
    columns = [api_pb2.ColParams(hparam=info.name) for info in experiment.hparam_infos]
    columns += [api_pb2.ColParams(metric=info.name) for info in experiment.metric_infos]
    asked = api_pb2.ListSessionGroupsRequest(start_index=0, slice_size=99, col_params=columns)
    asked.allowed_statuses.extend(
        [api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING, api_pb2.STATUS_UNKNOWN]
    )
    found = list_session_groups.Handler(ctx, plugin, "", asked).run()
    return experiment, {group.name: group for group in found.session_groups}


@pytest.fixture
def search(tmp_path):
    hparams.write_search(tmp_path, DOMAINS, ["val_auc", "val_loss"])
    for number, (values, metrics) in enumerate(TRIALS, start=1):
        hparams.write_trial(tmp_path / f"trial-{number}", values, metrics)
    return tmp_path


def test_the_search_has_its_domains_and_metrics(search):
    experiment, _ = table(search)
    kernel, padding, rate = experiment.hparam_infos
    assert list(kernel.domain_discrete) == [1, 3, 5] and kernel.name == "kernel"
    assert list(padding.domain_discrete) == ["same", "valid"]
    assert (rate.domain_interval.min_value, rate.domain_interval.max_value) == (1e-5, 1e-2)
    assert [info.name.tag for info in experiment.metric_infos] == ["val_auc", "val_loss"]


def test_each_trial_is_a_row_with_its_metrics(search):
    _, rows = table(search)
    assert [name[:8] for name in rows] == ["trial-1 ", "trial-2 ", "trial-3 "]
    for row, (values, metrics) in zip(rows.values(), TRIALS, strict=True):
        shown = {name: value.number_value or value.string_value for name, value in row.hparams.items()}
        assert shown == values
        found = {value.name.tag: value.value for value in row.metric_values}
        assert found == {name: value for name, value in metrics.items() if value == value}
    statuses = [row.sessions[0].status for row in rows.values()]
    assert statuses == [api_pb2.STATUS_SUCCESS, api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE]


def test_written_again_a_log_replaces_the_old_one(search):
    hparams.write_trial(search / "trial-1", TRIALS[0][0], {"val_auc": 1.0, "val_loss": 0.0})
    hparams.write_search(search, {"kernel": hparams.IntInterval(1, 7), **DOMAINS}, ["val_auc"])
    experiment, rows = table(search)
    assert len(experiment.metric_infos) == 1 and len(rows) == 3
    assert [value.value for value in rows[hparams.row_name(search / "trial-1")].metric_values] == [1.0]


def test_trials_of_the_same_name_in_two_searches_stay_two(search):
    hparams.write_trial(search / "other/trial-1", TRIALS[1][0], {"val_auc": 1.0})
    rows = table(search)[1]
    assert len(rows) == 4 and all(len(row.sessions) == 1 for row in rows.values())


@pytest.mark.parametrize(
    ("values", "metrics", "message"),
    [
        ({"pool": None}, {"val_auc": 0.5}, "trial: pool must be a str, int, float or bool, found None"),
        ({}, {"val_auc": 0.5}, "trial: hyper-parameters and metrics are needed, found"),
        ({"pool": 2}, {}, "trial: hyper-parameters and metrics are needed, found"),
    ],
)
def test_what_cannot_be_shown_is_refused(values, metrics, message, tmp_path):
    with pytest.raises(cases.MammoError, match=message):
        hparams.write_trial(tmp_path, values, metrics)


def test_a_search_needs_domains_and_metrics(tmp_path):
    with pytest.raises(cases.MammoError, match="search: hyper-parameters and metrics are needed"):
        hparams.write_search(tmp_path, DOMAINS, [])
