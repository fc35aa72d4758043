"""Lists of invoices: the fast way gives what the plain one gives, whatever was written in between."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billsmith.invoicing.model import InvoiceKind
from billsmith.storage import invoice_lists, invoice_writing
from billsmith.storage.database import Database, sqlite_url
from billsmith.storage.invoice_lists import EVERYTHING, Criteria, InvoiceList, Sort, VendorField
from billsmith.storage.lists import indexes, ranks
from billsmith.storage.lists.order import COVERED
from tests.storage import plain_lists as plain
from tests.storage.lists import FILTERS, Lists, small_buckets

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 40)),
        st.tuples(st.just("change"), st.integers(1, 8)),
        st.tuples(st.just("read"), st.integers(0, 3)),
    ),
    min_size=2,
    max_size=6,
)


def every_way(lists: Lists) -> Iterator[tuple[InvoiceList, Sort, bool, Criteria]]:
    return itertools.product(lists.lists, Sort, (False, True), FILTERS)


def assert_same_page(database: Database, of: InvoiceList, sort: Sort, descending: bool, which: Criteria, at: int) -> None:
    """One page, fast and plain, in one snapshot."""
    with database.read() as connection:
        fast = invoice_lists.page(connection, of, sort=sort, descending=descending, criteria=which, offset=at, limit=7)
        slow = plain.page(connection, of, sort=sort, descending=descending, criteria=which, offset=at, limit=7)
    assert fast == slow, (of, sort, descending, which.flags, at)


@pytest.fixture
def lists(database: Database) -> Lists:
    return Lists(small_buckets(database), seed=1)


def test_every_order_filter_and_offset_is_as_the_plain_way_says(lists: Lists) -> None:
    lists.add(90)
    for of, sort, descending, which in every_way(lists):
        for offset in (1, 45, 83):
            assert_same_page(lists.database, of, sort, descending, which, offset)
        lists.database.ranks.wait()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS, seed=st.integers(0, 2**32), offset=st.integers(0, 90))
def test_whatever_is_written_between_two_reads(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]], seed: int, offset: int
) -> None:
    database = Database(sqlite_url(tmp_path_factory.mktemp("lists")), synchronous="OFF")
    check_steps(Lists(small_buckets(database), seed), steps, offset)
    database.close()


def check_steps(lists: Lists, steps: list[tuple[str, int]], offset: int) -> None:
    for what, number in steps:
        if what == "add":
            lists.add(number)
        elif what == "change":
            lists.change(number)
        else:
            lists.database.ranks.wait()
            for of, sort, descending, which in itertools.islice(every_way(lists), number, None, 5):
                assert_same_page(lists.database, of, sort, descending, which, offset)


@pytest.mark.parametrize("seed", range(3))
def test_writes_between_reads_on_each_engine(lists: Lists, seed: int) -> None:
    lists.dice.seed(seed)
    check_steps(lists, [("add", 60), ("read", seed), ("change", 9), ("read", 1), ("add", 30), ("change", 5), ("read", 2)], 17)


def test_pages_tile_exactly(lists: Lists) -> None:
    lists.add(60)
    for of, sort, descending, which in itertools.product(lists.lists, Sort, (False, True), FILTERS[:2]):
        with lists.database.read() as connection:
            pages = [
                invoice_lists.page(connection, of, sort=sort, descending=descending, criteria=which, offset=at, limit=13)
                for at in range(0, 65, 13)
            ]
            seqs = [row.seq for page in pages for row in page]
            assert len(seqs) == len(set(seqs)) == invoice_lists.count(connection, of, which)


def test_several_processes_patch_each_for_itself(lists: Lists) -> None:
    url = lists.database.url.render_as_string(hide_password=False)
    others = [small_buckets(Database(url)) for _ in range(2)]
    try:
        for _ in range(6):
            lists.add(11)
            lists.change(3)
            for each in (lists.database, *others):
                for sort in (Sort.CUSTOMER_NAME, Sort.PAID, Sort.CREATED):
                    assert_same_page(each, lists.lists[0], sort, True, FILTERS[1], 5)
    finally:
        for other in others:
            other.close()


def test_a_reader_with_an_older_snapshot_sees_its_own(lists: Lists) -> None:
    """The buckets know more than this reader may see: they are taken back to its version."""
    lists.add(50)
    of = lists.lists[0]
    assert_same_page(lists.database, of, Sort.CUSTOMER_NAME, False, FILTERS[1], 9)
    lists.database.ranks.wait()
    with lists.database.read() as connection:
        before = plain.page(connection, of, sort=Sort.CUSTOMER_NAME, criteria=FILTERS[1], offset=9, limit=7)
        lists.add(30)
        lists.change(20)
        assert_same_page(lists.database, of, Sort.CUSTOMER_NAME, False, FILTERS[1], 9)
        lists.database.ranks.wait()
        after = invoice_lists.page(connection, of, sort=Sort.CUSTOMER_NAME, criteria=FILTERS[1], offset=9, limit=7)
        assert after == before


def test_readers_and_writers_at_once(lists: Lists) -> None:
    lists.add(60)
    stop = threading.Event()
    failures: list[BaseException] = []

    def read(sort: Sort) -> None:
        try:
            while not stop.is_set():
                for offset in (0, 20, 55):
                    assert_same_page(lists.database, lists.lists[0], sort, offset == 20, FILTERS[2], offset)
        except BaseException as failure:
            failures.append(failure)

    readers = [threading.Thread(target=read, args=(sort,)) for sort in (Sort.CUSTOMER_NAME, Sort.NUMBER, Sort.EXPORTED)]
    for reader in readers:
        reader.start()
    for _ in range(25):
        lists.add(3)
        lists.change(2)
    stop.set()
    for reader in readers:
        reader.join()
    assert failures == []


def test_too_far_behind_begins_anew(lists: Lists, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "_MOST_CHANGES", 10)
    lists.add(20)
    assert_same_page(lists.database, lists.lists[0], Sort.NUMBER, False, EVERYTHING, 3)
    lists.add(40)
    assert_same_page(lists.database, lists.lists[0], Sort.NUMBER, False, EVERYTHING, 33)


def test_buckets_are_made_and_cut(lists: Lists) -> None:
    """Or all the tests above would compare the plain way with itself."""
    lists.add(100)
    keys = (lists.lists[0], Sort.CREATED)
    assert_same_page(lists.database, *keys, False, EVERYTHING, 0)
    lists.database.ranks.wait()
    assert len(lists.database.ranks._known[keys].bounds) >= 100 // (2 * lists.database.ranks.size)


def test_wrong_ranks_are_seen(lists: Lists) -> None:
    """Negative control: with a change left out, the comparison fails."""
    lists.add(80)
    of = lists.lists[0]
    assert_same_page(lists.database, of, Sort.CREATED, False, FILTERS[1], 0)
    lists.database.ranks.wait()
    known = lists.database.ranks._known[of, Sort.CREATED]
    known.apply([ranks.Change(known.version + 1, 2, 4, (0, 0))])
    known.version -= 1
    with pytest.raises(AssertionError):
        assert_same_page(lists.database, of, Sort.CREATED, False, FILTERS[1], 9)


@pytest.mark.parametrize("descending", [False, True])
def test_a_walk_gives_the_whole_list_in_order(lists: Lists, descending: bool) -> None:
    lists.add(70)
    for of, sort, which in itertools.product(lists.lists, Sort, FILTERS[:3]):
        for offset, limit in ((0, None), (17, 20), (300, None)):
            with lists.database.read() as connection:
                expected = plain.page(
                    connection, of, sort=sort, descending=descending, criteria=which, offset=offset, limit=1000
                )[: 1000 if limit is None else limit]
            pieces = list(
                invoice_lists.walk(
                    lists.database,
                    of,
                    sort=sort,
                    descending=descending,
                    criteria=which,
                    offset=offset,
                    limit=limit,
                    step=6,
                )
            )
            assert [row for piece in pieces for row in piece] == expected, (of, sort, offset)
            assert all(1 <= len(piece) <= 6 for piece in pieces)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", [Sort.CUSTOMER_NAME, Sort.CREATED, Sort.NUMBER, Sort.PERIOD, Sort.TOTAL])
def test_a_walk_sees_each_row_once_while_others_write(lists: Lists, sort: Sort, descending: bool) -> None:
    lists.add(60)
    of = lists.lists[0]
    there = set(range(1, lists.made + 1))
    seen: Counter[int] = Counter()
    for piece in invoice_lists.walk(lists.database, of, sort=sort, descending=descending, step=4):
        seen.update(row.seq for row in piece)
        lists.add(2)
        lists.change(1)
    assert seen == Counter(there)


def test_counts_are_as_counted(lists: Lists) -> None:
    lists.add(80)
    lists.change(20)
    one, two = (account.seq for account in lists.customers)
    more = [
        Criteria(recipient_seq=one),
        Criteria(recipient_seq=two, flags=FILTERS[1].flags),
        Criteria(issuer_seq=lists.partner.seq),
        Criteria(number="A-1"),
        Criteria(number="a-1", flags=FILTERS[2].flags),
        Criteria(number="SS"),
        Criteria(number="none"),
        Criteria(number_part="-1"),
        Criteria(number_part="%"),
        Criteria(number_part="N-", recipient_seq=two),
        Criteria(recipient_near_seq=lists.partner.seq),
        Criteria(recipient_near_seq=two, flags=FILTERS[1].flags),
        Criteria(not_issuer_seq=lists.partner.seq),
        Criteria(not_issuer_seq=one),
        Criteria(vendor_field=VendorField(vendor="v", name="type", text="x")),
        Criteria(vendor_field=VendorField(vendor="v", name="type", text="x", kinds=frozenset({InvoiceKind.INVOICE}))),
    ]
    with lists.database.read() as connection:
        for of, which in itertools.product(lists.lists, (*FILTERS, *more)):
            assert invoice_lists.count(connection, of, which) == plain.count(connection, of, which), which
            fast = invoice_lists.page(connection, of, sort=Sort.CUSTOMER_NAME, criteria=which, offset=2, limit=9)
            assert fast == plain.page(connection, of, sort=Sort.CUSTOMER_NAME, criteria=which, offset=2, limit=9)


def test_a_page_inside_a_write_sees_the_write(lists: Lists) -> None:
    lists.add(30)
    of = lists.lists[0]
    assert_same_page(lists.database, of, Sort.CREATED, False, EVERYTHING, 0)
    with contextlib.suppress(ZeroDivisionError), lists.database.write() as connection:
        invoice_writing.add(connection, [lists.draw()])
        assert len(invoice_lists.page(connection, of, sort=Sort.CREATED, limit=100)) == 31
        raise ZeroDivisionError
    assert_same_page(lists.database, of, Sort.CREATED, False, EVERYTHING, 25)


def test_long_lists_are_cut_before_the_first_caller_comes(lists: Lists) -> None:
    lists.add(90)
    fresh = Database(lists.database.url.render_as_string(hide_password=False))
    with contextlib.closing(small_buckets(fresh)) as restarted:
        restarted.ranks.prepare(60)
        prepared = {(of, sort) for of, sort in restarted.ranks._known}
        assert {(of.role, sort) for of, sort in prepared} == set(COVERED)
        assert all(ranks.too_big() is None and len(ranks.bounds) > 1 for ranks in restarted.ranks._known.values())
