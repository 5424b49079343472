"""The shop's orders in PostgreSQL."""

from __future__ import annotations

import threading
from typing import Any

Line = tuple[str, int, int]  # sku, count, price in cents

PLACE = "insert into orders (customer, total) values (%s, %s) returning id"
PLACE_LINE = "insert into order_lines (order_id, sku, count, price) values (%s, %s, %s, %s)"
PAY = "insert into payments (order_id, amount, method) values (%s, %s, %s)"
FIND = "select id, customer, state, total from orders where id = %s"
CANCEL = "update orders set state = 'cancelled' where id = %s and state = 'placed' returning id"


class OrdersUnavailable(Exception):
    """The database did not do it."""


class Orders:
    """Reads and writes orders over one connection, made anew when it broke."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._connection: Any = None
        self._lock = threading.Lock()

    def place(self, customer: str, lines: list[Line], payment: str) -> int:
        """Writes an order with its lines and payment in one transaction; returns its number."""
        total = sum(count * price for _, count, price in lines)

        def work(cursor: Any) -> int:
            (number,) = cursor.execute(PLACE, (customer, total)).fetchone()
            cursor.executemany(PLACE_LINE, [(number, *line) for line in lines])
            cursor.execute(PAY, (number, total, payment))
            return int(number)

        return int(self._in_transaction(work))

    def find(self, number: int) -> dict[str, object] | None:
        """One order, or None."""
        row = self._in_transaction(lambda cursor: cursor.execute(FIND, (number,)).fetchone())
        return dict(zip(("order", "customer", "state", "total"), row, strict=True)) if row else None

    def cancel(self, number: int) -> bool:
        """Cancels a placed order; False where it was not in that state."""
        return bool(self._in_transaction(lambda cursor: cursor.execute(CANCEL, (number,)).fetchone()))

    def _in_transaction(self, work: Any) -> Any:
        """Runs work in a transaction; once more over a new connection when an idle one turned out to be broken."""
        import psycopg

        with self._lock:
            for attempt in (1, 2):
                kept = self._connection is not None
                try:
                    if self._connection is None:
                        self._connection = psycopg.connect(self._conninfo, connect_timeout=2, application_name="shop")
                    with self._connection.transaction(), self._connection.cursor() as cursor:
                        return work(cursor)
                except psycopg.OperationalError as error:
                    self._close_connection()
                    if not kept or attempt == 2:
                        raise OrdersUnavailable(str(error)) from error
                except psycopg.Error as error:
                    self._close_connection()
                    raise OrdersUnavailable(str(error)) from error
        raise AssertionError("unreachable")

    def _close_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
