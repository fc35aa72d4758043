"""P4, P5, P7: programs that bill the same at once, usage in DuckDB, which one of them owns while the others ask it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from billsmith.storage.database import Database, sqlite_url
from billsmith.storage.verify import verify
from billsmith.usage.duckdb.owner import SharedStore
from tests.support.billing import Company
from tests.support.house import House

PROGRAMS, CUSTOMERS = 4, 12


def test_each_invoice_once_whoever_owns_the_usage(tmp_path: Path) -> None:
    usage = SharedStore(tmp_path)
    company = Company(House(Database(sqlite_url(tmp_path))), usage=usage)
    for number in range(CUSTOMERS):
        name = f"customer-{number:02d}"
        company.subscribe(name)
        company.use(name, "2026-09-10T00:00:00Z", str(100 + number))
    usage.close()
    command = [sys.executable, "-m", "billsmith", "bill", "--period", "2026-09", "--at", "2026-10-02", "--json"]
    environment = {**os.environ, "BILLSMITH_HOME": str(tmp_path)}
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(PROGRAMS)]
    told = [json.loads(program.communicate(timeout=120)[0]) for program in running]
    assert [program.returncode for program in running] == [0] * PROGRAMS, told

    made = company.invoices()
    assert [each.number for each in made] == [f"INV-2026-{number:06d}" for number in range(1, CUSTOMERS + 1)]
    assert [each.customer_name for each in made] == sorted(company.customers)
    # two base fees of 30.00 (one in advance), a seat, 100 calls at 0.10, the others at 0.05; with 20 % VAT
    assert [each.total_minor for each in made] == [(6000 + 500 + 1000 + 5 * number) * 6 // 5 for number in range(CUSTOMERS)]
    assert verify(company.database).problems == []
    company.database.close()
