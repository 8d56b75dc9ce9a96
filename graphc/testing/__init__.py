"""What a layer kind or a data source of your own is held to, as functions for your tests.

    from graphc.testing import Case, check_layer, check_source

    def test_my_kind():
        check_layer(Case(MyKind(alpha=2), ((8, 8, 3),)))

They raise an AssertionError that says what differs. graphc holds its own kinds to the same ones.
"""

from __future__ import annotations

from graphc.testing.case import Case
from graphc.testing.layer import check_gradients, check_layer, check_shapes, check_values
from graphc.testing.reach import check_reach
from graphc.testing.source import check_source

__all__ = ["Case", "check_gradients", "check_layer", "check_reach", "check_shapes", "check_source", "check_values"]
