"""Workloads of one name in two namespaces: what is known of one is not said of the other."""

from __future__ import annotations

from pytest_prodcheck.evidence.kubernetes.rolling_updates import rolled_in_all_orders
from pytest_prodcheck.evidence.kubernetes.rollout_steps import Demand
from pytest_prodcheck.evidence.kubernetes.scheduling import Surroundings


def test_another_scheduler_is_the_doubt_of_one_alone() -> None:
    shop = Demand("deployment/shop", "shop", 1, pod={"schedulerName": "volcano"})
    other = Demand("deployment/shop", "other", 1)
    for demands in ([shop, other], [other, shop]):
        doubts = [each.doubt for each in rolled_in_all_orders(demands, Surroundings((), ()))]
        assert sum("volcano" in each for each in doubts) == 1, doubts
