"""Processes that work for another: answers, errors, and an end that is noticed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import wait

import pytest

from billsmith.units.errors import Invalid, Unavailable
from billsmith.workflows.processes import Processes

_begun: list[int] = []


def begin(number: int) -> None:
    _begun.append(number)


def twice(number: int) -> tuple[int, list[int], int]:
    print("what is printed is no answer")
    return 2 * number, _begun, os.getpid()


def refuse(what: str) -> None:
    raise Invalid(f"not {what}", code="test.refused", where="what")


def die(_: None) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def loaded(name: str) -> bool:
    return name in sys.modules


@pytest.fixture
def processes() -> Iterator[Processes]:
    made = Processes(2, begin, 7)
    yield made
    made.close()


def test_work_is_done_elsewhere_by_processes_that_have_begun(processes: Processes) -> None:
    futures = [processes.submit(twice, number) for number in range(20)]
    wait(futures)
    found = [future.result() for future in futures]
    assert [each[0] for each in found] == list(range(0, 40, 2))
    assert all(each[1] == [7] for each in found)
    assert os.getpid() not in {each[2] for each in found}
    assert len({each[2] for each in found}) <= 2


def test_what_the_caller_has_loaded_is_not_loaded_there(processes: Processes) -> None:
    assert loaded("pytest")
    assert not processes.submit(loaded, "sqlalchemy").result()


def test_an_error_is_raised_where_the_answer_is_waited_for(processes: Processes) -> None:
    with pytest.raises(Invalid) as caught:
        processes.submit(refuse, "this").result()
    assert (caught.value.message, caught.value.code, caught.value.where) == ("not this", "test.refused", "what")
    assert processes.submit(twice, 1).result()[0] == 2


def test_a_process_that_is_killed_is_told_of(processes: Processes) -> None:
    with pytest.raises(Unavailable) as caught:
        processes.submit(die, None).result()
    assert caught.value.code == "process.ended"


def test_they_end_with_whoever_started_them(processes: Processes) -> None:
    pid = processes.submit(twice, 1).result()[2]
    processes.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
