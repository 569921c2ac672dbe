"""Which texts are instants, in a booking, in a filter and in a window."""

import pytest

from tests.app.bookings.bookings_api import BOOKINGS, POINTS, BookingsApi
from tests.app.bookings.clock_changes import AUTUMN, book
from tests.contract.problems import faulty_members, problem

OFFSETS = {
    "+14:00": f"{AUTUMN}T20:00:00+14:00",
    "-12:00": "2026-10-24T18:00:00-12:00",
    "+05:45": f"{AUTUMN}T11:45:00+05:45",
    "-00:00": f"{AUTUMN}T06:00:00-00:00",
    "small letters": f"{AUTUMN}t06:00:00z",
}
NO_INSTANTS = {
    "leap second": "2026-10-24T23:59:60Z",
    "leap second with an offset": f"{AUTUMN}T00:59:60+01:00",
    "hour 24": f"{AUTUMN}T24:00:00Z",
    "minute 60": f"{AUTUMN}T02:60:00+01:00",
    "29 February": "2027-02-29T12:00:00Z",
    "an offset of a day": f"{AUTUMN}T02:30:00+24:00",
    "an offset of 60 minutes": f"{AUTUMN}T02:30:00+01:60",
    "an offset without a colon": f"{AUTUMN}T02:30:00+0100",
    "the name of a zone": f"{AUTUMN}T02:30:00[Europe/Berlin]",
    "no offset": f"{AUTUMN}T02:30:00",
    "year 0": "0000-01-01T00:00:00Z",
    "the first instant": "0001-01-01T00:00:00Z",
    "before the first instant": "0001-01-01T00:00:00+14:00",
    "the last instant": "9999-12-31T23:59:59.999999Z",
    "past the last instant": "9999-12-31T23:59:59-12:00",
    "year 10000": "10000-01-01T00:00:00Z",
}


@pytest.mark.parametrize("text", OFFSETS.values(), ids=OFFSETS)
def test_every_offset_is_taken(network: BookingsApi, point: int, text: str) -> None:
    """All of these are six o'clock UTC, in a body and in a query."""
    answer = book(network, point, (text, f"{AUTUMN}T07:00:00Z"))
    assert (answer.status_code, answer.json()["start_time"]) == (201, f"{AUTUMN}T06:00:00Z")
    problem(book(network, point, (f"{AUTUMN}T06:55:00Z", f"{AUTUMN}T08:00:00Z")), 409, "slot_taken")
    query: dict[str, str | int] = {"charge_point_id": point, "start_time": text}
    assert network.client.get(BOOKINGS, params=query, headers=network.driver).json()["total"] == 1


@pytest.mark.parametrize("text", NO_INSTANTS.values(), ids=NO_INSTANTS)
def test_what_is_no_instant_is_refused_everywhere(network: BookingsApi, point: int, text: str) -> None:
    """The error names the member, and the format or the bounds."""
    end = f"{AUTUMN}T04:00:00Z"
    body = {"charge_point_id": point, "start_time": text, "end_time": end}
    path = f"{POINTS}/{point}/availability"
    for answer, member in (
        (network.client.post(BOOKINGS, json=body, headers=network.driver), "start_time"),
        (network.client.get(BOOKINGS, params={"start_time__lt": text}, headers=network.driver), "start_time__lt"),
        (network.client.get(path, params={"start": text, "end": end}), "start"),
    ):
        (fault,) = problem(answer, 422, "invalid_input")["errors"]
        assert fault["loc"][1] == member
        assert any(words in fault["msg"] for words in ("RFC 3339", "0001-01-02T00:00:00Z", "year", "day value"))
    assert network.count(point) == 0


def test_the_outermost_instants_are_asked_for_in_vain(network: BookingsApi, point: int) -> None:
    """Filters and windows accept them. A booking does not."""
    first, last = "0001-01-03T00:00:00Z", "9999-12-29T00:00:00Z"
    query: dict[str, str | int] = {"charge_point_id": point, "start_time__gt": first, "start_time__lt": last}
    assert network.client.get(BOOKINGS, params=query, headers=network.driver).json()["total"] == 0
    window = {"start": "9999-12-28T00:00:00Z", "end": last}
    free = network.client.get(f"{POINTS}/{point}/availability", params=window).json()
    assert free == {"items": [{"start_time": window["start"], "end_time": last}]}
    for start, end, member in (
        (first, "0001-01-03T01:00:00Z", "start_time"),
        ("9999-12-28T23:00:00Z", last, "start_time"),
    ):
        body = {"charge_point_id": point, "start_time": start, "end_time": end}
        answer = network.client.post(BOOKINGS, json=body, headers=network.driver)
        assert faulty_members(answer) == {member}
