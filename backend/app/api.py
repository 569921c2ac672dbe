"""The registry of the API: one line for each entity, in URL order."""

from app.accounts import DRIVER, Role
from app.bookings.models import Booking, ChargePoint, Vehicle
from app.bookings.routes import charge_points
from app.bookings.service import BOOKING_STEPS, BookingCRUD
from app.catalog.models import Book, Category, Review
from app.catalog.routes import books
from app.catalog.service import BookCRUD
from app.orders.models import CartItem, Order
from app.orders.routes import cart_items, orders
from app.orders.service import ORDER_STEPS, CartItemCRUD, OrderCRUD
from rowhouse import ADMIN, ANYONE, Registry, include_accounts

registry = Registry("/api/v1")
register, include = registry.register, registry.include

include_accounts(registry, roles=(Role.DRIVER,), sign_up=(Role.USER, Role.DRIVER))
register(
    Book,
    read=ANYONE,
    write=ADMIN,
    search=("title", "author"),
    crud=BookCRUD,
    soft_delete=True,
    exact_count_limit=10_000,
)
include(books)
register(Booking, owner="driver_id", write=DRIVER, crud=BookingCRUD, steps=BOOKING_STEPS)
register(CartItem, owner="user_id", crud=CartItemCRUD)
include(cart_items)
register(Category, read=ANYONE, write=ADMIN, search=("name",))
register(ChargePoint, read=ANYONE, write=ADMIN, search=("code", "name"), history=True)
include(charge_points)
register(Order, owner="customer_id", operations=("list", "get"), crud=OrderCRUD, steps=ORDER_STEPS)
include(orders)
register(Review, read=ANYONE, owner="author_id", search=("comment",), exact_count_limit=10_000)
register(Vehicle, owner="driver_id", write=DRIVER, search=("plate",), soft_delete=True, history=True)
