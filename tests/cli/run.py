"""The program, run: in a process of its own, or in this one where that makes no difference."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from billsmith.cli.app import run
from billsmith.storage.database import Database, sqlite_url
from billsmith.usage.store import UsageStore
from billsmith.workflows.usage_store import Usage


@dataclass(frozen=True)
class Ran:
    """What a run left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value on standard output."""
        return json.loads(self.out)


class Program:
    """The command line over one store, in this process."""

    def __init__(self, home: Path, database_url: str, patch: pytest.MonkeyPatch) -> None:
        self.home = home
        self.database_url = database_url
        self.patch = patch
        for name in [name for name in os.environ if name.startswith("BILLSMITH_")]:
            patch.delenv(name)
        patch.setenv("BILLSMITH_HOME", str(home))
        if database_url:
            patch.setenv("BILLSMITH_DATABASE_URL", database_url)

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Ran:
        """Run one command."""
        out, err = io.StringIO(), io.StringIO()
        with self.patch.context() as patched, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patched.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            try:
                code = run(arguments)
            except SystemExit as error:  # --help and --version end the process
                code = int(error.code or 0)
        return Ran(code, out.getvalue(), err.getvalue())

    @contextlib.contextmanager
    def usage(self) -> Iterator[UsageStore]:
        """The usage store, as the program opens it."""
        database = Database(self.database_url or sqlite_url(self.home))
        usage = Usage(database)
        try:
            yield usage.store
        finally:
            usage.close()
            database.close()

    def json(self, *arguments: str, stdin: bytes = b"") -> Any:
        """Run one command that must succeed, for its JSON."""
        ran = self(*arguments, "--json", stdin=stdin)
        assert ran.code == 0, ran.err
        return ran.json


def in_process(arguments: Sequence[str], **environment: str) -> Ran:
    """The real program in a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BILLSMITH_")}
    done = subprocess.run(
        [sys.executable, "-m", "billsmith", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**clean, **environment},
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)
