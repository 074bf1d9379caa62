"""What people write to have a cluster watched."""

import pytest

from dlmsite.observing.naming import NAME, NamingProblem, Wanted, read_observe, read_parts


@pytest.mark.parametrize(
    ("text", "wanted", "targets"),
    [
        ("10.0.0.5:9333", Wanted("10.0.0.5-9333", ("10.0.0.5:9333",)), ("10.0.0.5:19333",)),
        ("prod=m1:9333,m2:9333", Wanted("prod", ("m1:9333", "m2:9333")), ("m1:19333", "m2:19333")),
        ("m1:9333/blue", Wanted("m1-9333-blue", ("m1:9333",), "blue"), ("m1:19333",)),
        ("m1:9333.29333", Wanted("m1-9333", ("m1:9333.29333",)), ("m1:29333",)),
        (" http://m1:9333/ ", Wanted("m1-9333", ("m1:9333",)), ("m1:19333",)),
        ("[::1]:9333", Wanted("1-9333", ("[::1]:9333",)), ("[::1]:19333",)),
        ("m1:9333, m1:9333,", Wanted("m1-9333", ("m1:9333",)), ("m1:19333",)),
    ],
)
def test_an_address_in_each_way_seaweedfs_writes_it_is_understood(
    text: str, wanted: Wanted, targets: tuple[str, ...]
) -> None:
    assert read_observe(text) == wanted
    assert wanted.targets == targets
    assert NAME.fullmatch(wanted.name)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "say where a master listens"),
        ("prod=", "say where a master listens"),
        ("m1", "write HOST:PORT with its HTTP port"),
        ("m1:99999", "write HOST:PORT with its HTTP port"),
        ("m1:60000", "write HOST:PORT"),  # gRPC would be above the last port
        ("https://m1:9333", "TLS is not spoken here"),
        ("dnssrv+_grpc._tcp.master", "DNS SRV records are not looked up"),
        ("a b=m1:9333", "cannot name a cluster"),
        ("../x=m1:9333", "cannot name a cluster"),
        (",".join(f"m{i}:9333" for i in range(17)), "at most 16 masters"),
        ("m1:9333/" + "g" * 200, "a filer group has at most"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_could(text: str, why: str) -> None:
    with pytest.raises(NamingProblem, match=why):
        read_observe(text)


def test_what_is_shown_of_nonsense_is_short() -> None:
    with pytest.raises(NamingProblem) as told:
        read_parts("", "x" * 5_000, "")
    assert len(str(told.value)) < 400
