"""The routes of carts and orders: adding to a cart, and ordering."""

from typing import Annotated, Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from app.orders import service
from app.orders.models import CartItem, Order
from app.orders.service import CartItemCRUD, OrderCRUD
from rowhouse import (
    LOCATED,
    REPLAYED,
    TAGGED,
    CallerDep,
    Router,
    Row,
    SessionDep,
    create_schema,
    crud_of,
    location_of,
    problem_responses,
    public_schema,
)

CartItemCreate, CartItemPublic = create_schema(CartItem, owner="user_id"), public_schema(CartItem)
OrderPublic = public_schema(Order, extra_fields=OrderCRUD.extra_fields)
CartItemsDep = Annotated[CartItemCRUD, crud_of(CartItem)]
OrdersDep = Annotated[OrderCRUD, crud_of(Order)]
CREATED = {"headers": {**LOCATED, **TAGGED, **REPLAYED}}
ADDED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The cart had the book already; its quantity has grown.",
        "model": CartItemPublic,
        "headers": {**TAGGED, **REPLAYED},
    },
    201: CREATED,
    **problem_responses(409),
}
PLACED: dict[int | str, dict[str, Any]] = {201: CREATED, **problem_responses(400, 413)}

cart_items = Router(prefix="/cart-items", tags=["cart-items"])
orders = Router(prefix="/orders", tags=["orders"])


@cart_items.post("", status_code=201, response_model=CartItemPublic, responses=ADDED)
def create_cart_item(
    body: CartItemCreate,  # type: ignore[valid-type]  # made at run time
    caller: CallerDep,
    crud: CartItemsDep,
    session: SessionDep,
    request: Request,
    response: Response,
) -> Row:
    """Add copies of a book to your cart. If the cart has the book already, its quantity grows."""
    values: BaseModel = body
    item, is_new = service.add_to_cart(session, caller.id, **values.__dict__)
    if is_new:
        response.headers["Location"] = location_of(request, item["id"])
    else:
        response.status_code = 200
    response.headers["ETag"] = crud.version(item)
    return item


@orders.post("", status_code=201, response_model=OrderPublic, responses=PLACED)
def create_order(caller: CallerDep, crud: OrdersDep, session: SessionDep, request: Request, response: Response) -> Row:
    """Order everything in your cart at the present prices, and empty the cart. Takes no body."""
    row = service.place_order(session, caller.id)
    response.headers["Location"] = location_of(request, row["id"])
    response.headers["ETag"] = crud.version(row)
    return row
