"""A script that uses the client of openapi-python-client for the calls of a bookseller's day. mypy checks every call.

Run: python day.py URL ADMIN_EMAIL ADMIN_PASSWORD. It needs the generated package on its path, and ends with an
AssertionError for an unexpected response.
"""

import json
import sys
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from rowhouse_client import AuthenticatedClient, Client
from rowhouse_client.api.auth import login
from rowhouse_client.api.books import (
    create_book,
    create_books,
    delete_book,
    delete_books,
    get_book,
    list_books,
    update_book,
    update_books,
)
from rowhouse_client.api.categories import create_category, delete_category
from rowhouse_client.api.users import create_user, read_me
from rowhouse_client.models import (
    BookBatchUpdate,
    BookCreate,
    BookPublic,
    BookUpdate,
    CategoryCreate,
    CategoryPublic,
    GetBookFieldsItem,
    ListBooksSortItem,
    LoginForm,
    PageBookPublic,
    Problem,
    TokenPair,
    UserCreate,
    UserPublic,
)
from rowhouse_client.types import Response

Answered = TypeVar("Answered")


def separate_by_commas(request: httpx.Request) -> None:
    """Lists in a query are separated by commas (`explode: false`); this generator repeats the parameter instead."""
    parameters = request.url.params
    if parameters:
        joined = {name: ",".join(parameters.get_list(name)) for name in parameters}
        request.url = request.url.copy_with(params=joined)


OPTIONS: Any = {"raise_on_unexpected_status": True, "httpx_args": {"event_hooks": {"request": [separate_by_commas]}}}


def of_kind(kind: type[Answered], answer: Response[Any], *, status: int) -> Answered:
    """What a call answered, which must have this status and be of this type."""
    assert answer.status_code == status, (answer.status_code, answer.content)
    assert isinstance(answer.parsed, kind), answer.parsed
    return answer.parsed


def refused(answer: Response[Any], status: int, code: str) -> Problem:
    """The problem that a call answered."""
    problem = of_kind(Problem, answer, status=status)
    assert (problem.status, problem.code) == (status, code), problem
    assert problem.detail
    return problem


def sign_in(anybody: Client, url: str, email: str, password: str) -> AuthenticatedClient:
    """A client with the account's token; one that sees an undocumented status raises."""
    refused(login.sync_detailed(client=anybody, body=LoginForm(email, "wrong")), 401, "wrong_credentials")
    tokens = of_kind(TokenPair, login.sync_detailed(client=anybody, body=LoginForm(email, password)), status=200)
    return AuthenticatedClient(url, tokens.access_token, **OPTIONS)


def sign_up(anybody: Client, url: str) -> AuthenticatedClient:
    """A client of a new account; an address is taken once."""
    body = UserCreate(email=f"{uuid4().hex}@example.com", password="correct-horse", full_name="Bastian")
    account = of_kind(UserPublic, create_user.sync_detailed(client=anybody, body=body), status=201)
    assert account.full_name == "Bastian"
    refused(create_user.sync_detailed(client=anybody, body=body), 409, "duplicate")
    return sign_in(anybody, url, body.email, body.password)


def open_shop(seller: AuthenticatedClient) -> int:
    """A new category."""
    body = CategoryCreate(name=uuid4().hex)
    category = of_kind(CategoryPublic, create_category.sync_detailed(client=seller, body=body), status=201)
    return int(category.id)


def new_book(category: int, **members: Any) -> BookCreate:
    """A book as it is sent."""
    return BookCreate(title=uuid4().hex, author="Michael Ende", category_id=category, **members)


def keep_a_book(seller: AuthenticatedClient, customer: AuthenticatedClient, category: int) -> None:
    """Created once however often it is sent; changed by who has read it last; deleted."""
    body, key = new_book(category, price=12.5), uuid4().hex
    created = create_book.sync_detailed(client=seller, body=body, idempotency_key=key)
    book, tag = of_kind(BookPublic, created, status=201), created.headers["ETag"]
    assert (book.price, book.stock, created.headers["Location"]) == (12.5, 0, f"/api/v1/books/{book.id}")
    again = create_book.sync_detailed(client=seller, body=body, idempotency_key=key)
    assert of_kind(BookPublic, again, status=201) == book
    assert again.headers["Idempotent-Replayed"] == "true"
    reused = create_book.sync_detailed(client=seller, body=new_book(category, price=1), idempotency_key=key)
    assert refused(reused, 422, "invalid_input").errors

    refused(create_book.sync_detailed(client=seller, body=body), 409, "duplicate")
    refused(create_book.sync_detailed(client=customer, body=body), 403, "permission_denied")
    refused(create_book.sync_detailed(client=seller, body=new_book(2**31 - 1, price=1)), 409, "reference_not_found")

    found = get_book.sync_detailed(book.id, client=customer, if_none_match=tag)
    assert (found.status_code, found.parsed, found.content) == (304, None, b"")
    changed = update_book.sync_detailed(book.id, client=seller, body=BookUpdate(price="13.00"), if_match=tag)
    assert of_kind(BookPublic, changed, status=200).price == 13
    refused(update_book.sync_detailed(book.id, client=seller, body=BookUpdate(price=1), if_match=tag), 412, "stale")
    refused(update_book.sync_detailed(book.id, client=seller, body=BookUpdate()), 400, "empty_update")
    wrong = update_book.sync_detailed(book.id, client=seller, body=BookUpdate(price=-1))
    assert [fault.loc for fault in refused(wrong, 422, "invalid_input").errors or []] == [["body", "price"]]

    refused(delete_book.sync_detailed(book.id, client=seller, if_match=tag), 412, "stale")
    assert delete_book.sync_detailed(book.id, client=seller, if_match=changed.headers["ETag"]).status_code == 204
    refused(get_book.sync_detailed(book.id, client=customer), 404, "not_found")


def browse(seller: AuthenticatedClient, customer: Client, category: int) -> None:
    """Many at once, then pages of them: filtered, sorted, by number and by cursor."""
    bodies = [new_book(category, price=price) for price in range(1, 6)]
    books = of_kind(list, create_books.sync_detailed(client=seller, body=bodies), status=201)
    ids = [book.id for book in books]
    order = [ListBooksSortItem.PRICE_DESCENDING, ListBooksSortItem.TITLE]
    first = list_books.sync_detailed(client=customer, id_in=ids, price_lte=4, sort=order, size=2)
    page = of_kind(PageBookPublic, first, status=200)
    assert ([book.price for book in page.items], page.total, page.page, page.pages) == ([4, 3], 4, 1, 2)
    assert isinstance(page.next_cursor, str)
    second = of_kind(PageBookPublic, list_books.sync_detailed(client=customer, cursor=page.next_cursor), status=200)
    assert ([book.price for book in second.items], second.total, second.next_cursor) == ([2, 1], None, None)
    branches = json.dumps([{"price": 1}, {"price__gte": 4, "title": bodies[4].title}])
    either = of_kind(PageBookPublic, list_books.sync_detailed(client=customer, id_in=ids, any_=branches), status=200)
    assert [book.price for book in either.items] == [1, 5]
    everything = of_kind(PageBookPublic, list_books.sync_detailed(client=customer), status=200)
    assert (everything.page, everything.size) == (1, 50)
    refused(list_books.sync_detailed(client=customer, page=1, skip=1), 422, "invalid_input")

    narrow = get_book.sync_detailed(ids[0], client=customer, fields=[GetBookFieldsItem.ID, GetBookFieldsItem.TITLE])
    assert narrow.parsed is not None
    assert narrow.parsed.to_dict() == {"id": ids[0], "title": bodies[0].title}

    changes = [BookBatchUpdate(id=each, stock=7) for each in ids]
    changed = of_kind(list, update_books.sync_detailed(client=seller, body=changes), status=200)
    assert [book.stock for book in changed] == [7] * len(ids)
    refused(delete_category.sync_detailed(category, client=seller), 409, "still_referenced")
    assert delete_books.sync_detailed(client=seller, ids=ids).status_code == 204
    refused(delete_books.sync_detailed(client=seller, ids=ids), 404, "not_found")
    assert delete_category.sync_detailed(category, client=seller).status_code == 204


def main(url: str, email: str, password: str) -> None:
    """The whole day."""
    with AuthenticatedClient(url, "forged", **OPTIONS) as forger:
        refused(read_me.sync_detailed(client=forger), 401, "not_authenticated")
    with (
        Client(url, **OPTIONS) as anybody,
        sign_in(anybody, url, email, password) as seller,
        sign_up(anybody, url) as customer,
    ):
        assert of_kind(UserPublic, read_me.sync_detailed(client=seller), status=200).email == email
        category = open_shop(seller)
        keep_a_book(seller, customer, category)
        browse(seller, anybody, category)


if __name__ == "__main__":
    main(*sys.argv[1:4])
