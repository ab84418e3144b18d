"""Errors: one tree, figures in attributes, sentences in str()."""

import pickle
import re
from pathlib import Path

import pytest

import exporter
from exporter import errors

TREE = {
    "ExporterError": Exception,
    "ConfigError": exporter.ExporterError,
    "SourceError": exporter.ExporterError,
    "CredentialsError": exporter.SourceError,
    "ApiError": exporter.SourceError,
    "CursorError": exporter.ApiError,
    "ContractError": exporter.SourceError,
    "RetriesExhausted": exporter.SourceError,
    "SinkError": exporter.ExporterError,
    "CheckpointError": exporter.ExporterError,
}


def test_error_classes_match_the_documented_tree() -> None:
    """Every error has its place, and there is no other."""
    found = {name: kind.__base__ for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert found == TREE
    assert set(re.findall(r"\w*Error\b|RetriesExhausted", errors.__doc__ or "")) == set(TREE)


@pytest.mark.parametrize("name", TREE)
def test_error_classes_are_public(name: str) -> None:
    """Every error can be caught by a name of the package itself."""
    assert getattr(exporter, name) is getattr(errors, name)
    assert name in exporter.__all__


@pytest.mark.parametrize("kind", [errors.SourceError, errors.CredentialsError, errors.ApiError, errors.ContractError])
def test_api_error_has_its_attributes(kind: type[errors.SourceError]) -> None:
    """Status, code and request id are attributes; without an answer they are None."""
    error = kind("what happened", status=404, code="not_found", request_id="r-1")
    assert (str(error), error.status, error.code, error.request_id) == ("what happened", 404, "not_found", "r-1")
    bare = kind("what happened")
    assert (bare.status, bare.code, bare.request_id) == (None, None, None)


def test_exhausted_retries_carry_what_they_cost() -> None:
    """Attempts and waiting time, besides what the last answer was."""
    error = errors.RetriesExhausted("gave up", attempts=20, waited_s=81.5, status=503, request_id="r-1")
    assert (str(error), error.attempts, error.waited_s) == ("gave up", 20, 81.5)
    assert (error.status, error.code, error.request_id) == (503, None, "r-1")


@pytest.mark.parametrize("kind", [errors.SinkError, errors.CheckpointError])
def test_destination_error_has_its_path(kind: type[errors.SinkError | errors.CheckpointError]) -> None:
    """The path is that of the file meant, None for a stream."""
    assert kind("full", path=Path("x.part")).path == Path("x.part")
    assert kind("full").path is None


def test_errors_travel_between_processes() -> None:
    """An error that is pickled, as by a pool of processes, keeps its sentence and figures."""
    error = errors.RetriesExhausted("gave up", attempts=3, waited_s=1.5, status=502, code="c", request_id="r")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), vars(again)) == (str(error), vars(error))
    sink = pickle.loads(pickle.dumps(errors.SinkError("full", path=Path("x"))))
    assert (str(sink), sink.path) == ("full", Path("x"))
