"""Rows as Acronis lists them, made by chance, and a plain reading of the vendor's list: filter, sort, cut."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

NO_DATE = "0001-01-01T00:00:00"
NO_ID = "00000000-0000-0000-0000-000000000000"

Row = dict[str, Any]

#: JSON whose amounts keep their digits.
encode = msgspec.json.Encoder(decimal_format="number").encode


def guid(chance: random.Random) -> str:
    text = f"{chance.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def make(seed: int, count: int, customers: int = 4) -> list[Row]:
    """Rows with many ties: few customers, days, batches and amounts."""
    chance = random.Random(seed)
    names = ["cstmr_001", "Ärger & Söhne", "apple", "Banana", "zebra", "CSTMR_001"]
    people = [(guid(chance), names[index % len(names)]) for index in range(customers)]
    return [_row(chance, index, *chance.choice(people)) for index in range(count)]


def _row(chance: random.Random, index: int, customer: str, name: str) -> Row:
    day = f"2024-{chance.randint(9, 12):02d}-{chance.randint(1, 3):02d}"
    paid, exported = chance.random() < 0.4, chance.random() < 0.3
    batch = str(chance.choice([1, 2, 3, 10, 20, 100]))
    return {
        "Id": guid(chance),
        "Tenant": NO_ID,
        "Customer": customer,
        "CustomerName": name,
        "BillingEntityName": chance.choice(["Default billing entity", "Other", "other"]),
        "CreationDate": f"{day}T07:55:09.3546699+00:00",
        "ScheduledAt": chance.choice([NO_DATE, f"{day}T00:00:00"]),
        "SendByEmail": chance.random() < 0.5,
        "InvoiceNumber": f"{batch}-{day.replace('-', '')}-0-11111-{index + 1}{chance.choice(['', 'a', 'A'])}",
        "BatchNumber": batch,
        "Exported": exported,
        "ExportedDate": f"{day}T10:00:00.0000001+00:00" if exported else f"{NO_DATE}+00:00",
        "PaymentSent": chance.random() < 0.5,
        "PaymentStatus": paid,
        "InvoicedBy": chance.choice([None, "Partner Administrator", "ann"]),
        "InvoicerDeleted": chance.random() < 0.2,
        "PaymentType": chance.choice([3, 3, 1]),
        "PaymentDate": f"{day}T12:30:00" if paid and chance.random() < 0.8 else NO_DATE,
        "Incasso": chance.random() < 0.5,
        "Total": Decimal(chance.choice(["0.00", "18.90", "100.16", "123.75", "123.75", "-5.00", "1000000.01"])),
        "InvoiceXml": None,
        "InvoiceQueueId": NO_ID,
        "InvoiceQueueStatus": 0,
        "InvoiceQueueLastUpdateTime": NO_DATE,
        "InvoiceQueueErrorCount": 0,
        "InvoiceQueueErrorMessage": None,
        "InvoiceQueueExternalInvoiceStatus": 0,
        "IsConsolidateBillingStructure": chance.random() < 0.5,
        "PaymentMethod": chance.choice([None, "card"]) if paid else None,
    }


def as_file(rows: Sequence[Row]) -> bytes:
    """A saved answer that holds the rows."""
    return encode({"Invoices": list(rows), "Paging": {}, "Batches": []})


# What each SortColumn sorts by, in both spellings.
SORTS: dict[str, Callable[[Row], Any]] = {
    "CustomerName": lambda row: row["CustomerName"].casefold(),
    "BatchNumber": lambda row: int(row["BatchNumber"]),
    "CreationDate": lambda row: row["CreationDate"],
    "ScheduleAt": lambda row: row["ScheduledAt"],
    "ScheduledAt": lambda row: row["ScheduledAt"],
    "DeliveryMethod": lambda row: row["SendByEmail"],
    "EmailSent": lambda row: row["SendByEmail"],
    "SendByEmail": lambda row: row["SendByEmail"],
    "PaymentConfirmed": lambda row: row["PaymentStatus"],
    "PaymentStatus": lambda row: row["PaymentStatus"],
    "PaidDate": lambda row: row["PaymentDate"],
    "PaymentDate": lambda row: row["PaymentDate"],
    "InvoicedBy": lambda row: row["InvoicedBy"] or "",
    "ExportDate": lambda row: row["ExportedDate"],
    "ExportedDate": lambda row: row["ExportedDate"],
    "Exported": lambda row: row["Exported"],
    "InvoiceNumber": lambda row: row["InvoiceNumber"].casefold(),
    "BilledFor": lambda row: row["BillingEntityName"],
    "BillingEntityName": lambda row: row["BillingEntityName"],
    "PaymentMethod": lambda row: row["PaymentMethod"] or "",
    "InvoiceTotal": lambda row: row["Total"],
    "Total": lambda row: row["Total"],
}

_FILTERS = (
    ("SendByEmail", "DeliveryMethod", "DeliveryMethodByEmail", "DeliveryMethodByPost"),
    ("PaymentSent", "PaymentSent", "PaymentSentSent", "PaymentSentNotSent"),
    ("PaymentStatus", "PaymentStatus", "PaymentStatusConfirmed", "PaymentStatusNotConfirmed"),
    ("Exported", "ShowExported", "", ""),
)


def answer(rows: Sequence[Row], query: Mapping[str, Any]) -> dict[str, Any]:
    """What the vendor's list says, by the contract's words, one after the other."""
    found = [row for row in rows if _passes(row, rows, query)]
    found.sort(key=lambda row: row["CreationDate"])
    key = SORTS[query.get("SortColumn", "CustomerName")]
    found.sort(key=key, reverse=False)
    if query.get("SortDirection", "Asc").lower() == "desc":
        groups: dict[Any, list[Row]] = {}
        for row in found:
            groups.setdefault(key(row), []).append(row)
        found = [row for value in reversed(list(groups)) for row in groups[value]]
    size = query.get("PageSize", 0)
    start = (max(query.get("Page", 0), 1) - 1) * size
    page = found[start : start + size] if size else found
    lengths = Counter(row["BatchNumber"] for row in found)
    return {
        "Invoices": page,
        "Paging": {
            "AmountTotalItems": len(rows),
            "AmountRecordsFound": len(found),
            "AmountOfPages": -(-len(found) // size) if size else 0,
        },
        "Batches": [
            {"BatchNumber": batch, "BatchLength": lengths[batch]} for batch in dict.fromkeys(row["BatchNumber"] for row in page)
        ],
    }


def _passes(row: Row, rows: Sequence[Row], query: Mapping[str, Any]) -> bool:
    for field, single, yes, no in _FILTERS:
        if query.get(single) is not None and row[field] is not query[single]:
            return False
        if query.get(yes, False) is not query.get(no, False) and row[field] is not query.get(yes, False):
            return False
    customer, number = query.get("Customer"), query.get("InvoiceNumber")
    if customer and customer != NO_ID and row["Customer"] != customer.lower():
        return False
    if not number:
        return True
    mine, wanted = row["InvoiceNumber"].casefold(), number.casefold()
    exact = any(each["InvoiceNumber"].casefold() == wanted for each in rows)
    return mine == wanted if exact else wanted in mine
