"""All that the shop offers, and all that faults change about it."""

from __future__ import annotations

from pytest_prodcheck.demo.shop import (
    access_faults,
    answer_faults,
    checkout,
    exposure_faults,
    header_faults,
    login_page,
    pages,
    performance_faults,
)
from pytest_prodcheck.demo.shop.changes import Changes
from pytest_prodcheck.demo.shop.routing import Routes

ROUTES = Routes(pages.ROUTES, login_page.ROUTES, checkout.ROUTES)
CHANGES = Changes(
    access_faults.CHANGES,
    answer_faults.CHANGES,
    exposure_faults.CHANGES,
    header_faults.CHANGES,
    performance_faults.CHANGES,
)
