"""The store of a run: late writers are refused, whoever still believes."""

from lockcore.testing.chaos.store import Store, StoreClient
from lockcore.testing.register import check_writes


async def test_who_was_overtaken_neither_reads_nor_writes() -> None:
    store = Store()
    await store.start()
    client = StoreClient(store.target)
    assert await client.read("k", 5) == 0
    assert await client.write("a", "k", 5, 0) == 1
    assert await client.read("k", 6) == 1
    assert await client.write("a", "k", 5, 1) == 0
    assert await client.read("k", 5) is None
    assert await client.write("b", "k", 6, 1) == 2
    await client.close()
    await store.close()
    assert [(w.client, w.version) for w in store.registers.writes] == [("a", 1), ("a", 0), ("b", 2)]
    assert check_writes(store.registers.writes) == []


async def test_two_holders_of_one_generation_are_seen_by_what_they_write() -> None:
    """The guard cannot tell them apart, so the judge has to."""
    store = Store()
    await store.start()
    one, other = StoreClient(store.target), StoreClient(store.target)
    bases = [await one.read("k", 5), await other.read("k", 5)]
    await one.write("a", "k", 5, bases[0] or 0)
    await other.write("b", "k", 5, bases[1] or 0)
    await one.close()
    await other.close()
    await store.close()
    assert [v.rule for v in check_writes(store.registers.writes)] == ["I10"]
