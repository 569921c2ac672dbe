"""A server is killed during a race.

Acknowledged writes are stored, nothing is half done, and the other server responds at once. The clients of the other
server use the rows that the killed server had locked, and measure every response.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx2

from app.main import create_app
from rowhouse.auth.models import User
from tests.app.concurrency.slots import Slots
from tests.app.concurrency.store import Store, empty_cart, put
from tests.concurrency.clients import CLIENTS, Headers, TimedClient, log_in, sign_up
from tests.concurrency.killed_server import killed_amid
from tests.concurrency.servers import Server, serve
from tests.concurrency.sessions import Sessions, refresh
from tests.concurrency.tables import Tables, columns_of
from tests.conftest import PASSWORD, unique

PLENTY = 100_000
UNDER_WAY = CLIENTS  # what each client had sent when the server died may have been done, or not
Row = dict[str, Any]


def test_bookings_survive(victim: Server, slots: Slots, race_url: str) -> None:
    """Sixteen drivers' wishes, each second one a batch over two charge points.

    No batch is half, and a new server books on.
    """
    points = slots.add_point(), slots.add_point()

    def book(client: httpx2.Client, number: int) -> Iterator[list[Row]]:
        for slot in range(2000):
            wishes = [slots.wish(point, slot, number) for point in points]
            answer = client.post("/bookings/batch", json=wishes, headers=slots.driver)
            assert answer.status_code in (201, 409), answer.text
            if answer.is_success:
                yield answer.json()

    told = [batch for batches in killed_amid(victim, book) for batch in batches]
    stored = slots.stored(*points)
    assert {row["id"] for batch in told for row in batch} <= stored.keys()
    starts = Counter(start for _, start, _ in stored.values())
    assert set(starts.values()) == {len(points)}
    assert len(told) <= len(starts) <= len(told) + UNDER_WAY
    assert slots.overlaps(*points) == 0
    assert slots.send(0, "POST", "/bookings", slots.wish(points[0], len(starts) + UNDER_WAY)).status_code == 201
    with serve(race_url, application=create_app) as (restarted,), TimedClient(restarted) as client:
        body = slots.wish(points[1], len(starts) + UNDER_WAY)
        assert client.post("/bookings", json=body, headers=slots.driver).status_code == 201
        taken = client.post("/bookings", json=body, headers=slots.driver)
        assert taken.json()["code"] == "slot_taken"


def test_moved_bookings_survive(victim: Server, slots: Slots) -> None:
    """Sixteen bookings are moved over and over, from one charge point to the other.

    Each is where it was said to be, or one step on.
    """
    points = slots.add_point(), slots.add_point()
    ids = [slots.add_booking(points[0], slot) for slot in range(CLIENTS)]

    def move(client: httpx2.Client, number: int) -> Iterator[int]:
        for turn in range(1, PLENTY):
            body = {"charge_point_id": points[turn % 2], **slots.times(number, turn % 25)}
            answer = client.patch(f"/bookings/{ids[number]}", json=body, headers=slots.driver)
            assert answer.status_code == 200, answer.text
            yield turn

    told = [turns[-1] if turns else 0 for turns in killed_amid(victim, move)]
    stored = slots.stored(*points)
    for number, turn in enumerate(told):
        places = [(points[step % 2], slots.start(number, step % 25), "PENDING") for step in (turn, turn + 1)]
        assert stored[ids[number]] in places
    assert len(stored) == slots.live(*points) == CLIENTS
    again = [slots.send(number, "PATCH", f"/bookings/{ids[number]}", slots.times(40 + number)) for number in (0, 1)]
    assert [answer.status_code for answer in again] == [200, 200]


def test_steps_survive(victim: Server, slots: Slots) -> None:
    """Sixteen bookings at one charge point are confirmed and cancelled, and made anew.

    Each stands where it was told to, or one step on.
    """
    point = slots.add_point()
    ids = [slots.add_booking(point, slot) for slot in range(CLIENTS)]

    def live(client: httpx2.Client, number: int) -> Iterator[tuple[int, str]]:
        booking = ids[number]
        while True:
            for step, headers in (("confirm", slots.admin), ("cancel", slots.driver)):
                answer = client.post(f"/bookings/{booking}/{step}", headers=headers)
                assert answer.status_code == 200, answer.text
                yield booking, answer.json()["status"]
            made = client.post("/bookings", json=slots.wish(point, number), headers=slots.driver)
            assert made.status_code == 201, made.text
            booking = made.json()["id"]
            yield booking, "PENDING"

    told = dict.fromkeys(ids, "PENDING")
    told |= {booking: state for states in killed_amid(victim, live) for booking, state in states}
    assert set(told.values()) != {"PENDING"}  # some step was acknowledged before the server died
    stored, one_on = slots.stored(point), {"PENDING": "CONFIRMED", "CONFIRMED": "CANCELLED"}
    for booking, state in told.items():
        assert stored[booking][2] in (state, one_on.get(state))
    assert len(told) <= len(stored) <= len(told) + UNDER_WAY
    assert slots.overlaps(point) == 0
    held = [booking for booking, (_, _, state) in stored.items() if state != "CANCELLED"]
    cancelled = [slots.send(turn, "POST", f"/bookings/{booking}/cancel") for turn, booking in enumerate(held)]
    # A cancel that was under way may have been committed after `held` was read.
    assert {answer.status_code for answer in cancelled} <= {200, 409}
    assert {state for _, _, state in slots.stored(point).values()} == {"CANCELLED"}
    again = [slots.send(slot, "POST", "/bookings", slots.wish(point, slot)) for slot in range(CLIENTS)]
    assert {answer.status_code for answer in again} == {201}
    assert slots.live(point) == CLIENTS


def test_orders_survive(victim: Server, clients: list[httpx2.Client], buyers: list[Headers], store: Store) -> None:
    """Every acknowledged order is stored as it was returned; every order is whole; no copy is lost.

    Everybody buys three books of a ring, in an order of his own: some wait for each other, others are somewhere else in
    their order.
    """
    books = [store.add_book(PLENTY, f"{number}.33") for number in range(CLIENTS)]
    for me in buyers:
        empty_cart(clients[0], me)

    def buy(client: httpx2.Client, number: int) -> Iterator[Row]:
        me, mine = buyers[number], [books[(number + step) % CLIENTS] for step in range(3)]
        while True:
            for book in mine[:: -1 if number % 2 else 1]:
                put(client, me, book)
            answer = client.post("/orders", headers=me)
            assert answer.status_code == 201, answer.text
            yield answer.json()

    for me, told in zip(buyers, killed_amid(victim, buy), strict=True):
        for order in told:
            assert clients[0].get(f"/orders/{order['id']}", headers=me).json() == order
    assert store.half_orders() == []
    assert [store.stock(book) + store.sold(book) for book in books] == [PLENTY] * CLIENTS
    put(clients[1], buyers[0], books[0])
    assert clients[0].post("/orders", headers=buyers[0]).status_code == 201


def test_taken_stock_and_a_shared_cart_survive(
    victim: Server, clients: list[httpx2.Client], buyers: list[Headers], store: Store
) -> None:
    """Half take a copy from the shelf, half put one into the same cart.

    No number is told twice, and none is forgotten.
    """
    shelved, wanted, me = store.add_book(PLENTY), store.add_book(PLENTY), buyers[0]
    empty_cart(clients[0], me)

    def take_or_put(client: httpx2.Client, number: int) -> Iterator[tuple[bool, int]]:
        while True:
            if number % 2:
                answer = client.post(f"/books/{shelved}/stock", json={"quantity": 1}, headers=store.admin)
            else:
                answer = client.post("/cart-items", json={"book_id": wanted, "quantity": 1}, headers=me)
            assert answer.is_success, answer.text
            yield bool(number % 2), answer.json()["stock" if number % 2 else "quantity"]

    told = [answer for answers in killed_amid(victim, take_or_put) for answer in answers]
    taken = [PLENTY - left for from_shelf, left in told if from_shelf]
    added = [quantity for from_shelf, quantity in told if not from_shelf]
    in_cart = clients[0].get("/cart-items", params={"book_id": wanted}, headers=me).json()["items"]
    for numbers, now in ((taken, PLENTY - store.stock(shelved)), (added, sum(item["quantity"] for item in in_cart))):
        assert len(set(numbers)) == len(numbers) <= now <= len(numbers) + UNDER_WAY // 2
        assert max(numbers, default=0) <= now
    assert len(in_cart) <= 1
    left = clients[1].post(f"/books/{shelved}/stock", json={"quantity": 1}, headers=store.admin).json()["stock"]
    assert left == store.stock(shelved)
    put(clients[0], me, wanted)


def test_sessions_survive(victim: Server, clients: list[httpx2.Client], tables: Tables) -> None:
    """Sixteen clients refresh from pair to pair.

    The last one that each was told serves on, and every spent one has one successor.
    """
    email = f"{unique('refresher')}@example.com"
    body = {"email": email, "password": PASSWORD, "full_name": "Refresher"}
    assert clients[0].post("/users", json=body).status_code == 201
    first = [str(log_in(clients[0], email)["refresh_token"]) for _ in range(CLIENTS)]

    def go_on(client: httpx2.Client, number: int) -> Iterator[str]:
        token = first[number]
        while True:
            answer = refresh(client, token)
            assert answer.status_code == 200, answer.text
            token = answer.json()["refresh_token"]
            yield token

    by_client, sessions = killed_amid(victim, go_on), Sessions(tables)
    for begun, told in zip(first, by_client, strict=True):
        assert (sessions.unspent(begun), sessions.revoked(begun)) == (1, 0)
        assert len(told) + 1 <= sessions.size(begun) <= len(told) + 2
        assert refresh(clients[len(told) % 2], [begun, *told][-1]).status_code == 200


def test_accounts_survive(victim: Server, clients: list[httpx2.Client], tables: Tables) -> None:
    """Two by two they sign up with the same addresses.

    Whoever was told of an account can sign in, and an address is one account.
    """
    name = unique("newcomer")

    def join(client: httpx2.Client, number: int) -> Iterator[str]:
        for turn in range(PLENTY):
            email = f"{name}-{number // 2}-{turn}@example.com"
            body = {"email": email, "password": PASSWORD, "full_name": "Newcomer"}
            answer = client.post("/users", json=body)
            assert answer.status_code in (201, 409), answer.text
            if answer.is_success:
                yield email

    told = [email for emails in killed_amid(victim, join) for email in emails]
    assert len(set(told)) == len(told)
    for position, email in enumerate(told):
        log_in(clients[position % 2], email)
    stored = tables.count(columns_of(User).email.startswith(name))
    assert len(told) <= stored <= len(told) + UNDER_WAY
    sign_up(clients[0], "driver")
