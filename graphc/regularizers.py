"""Penalties on weights, added to the training loss."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from graphc.documented import Documented


class Regularizer(Documented):
    """`l1 * sum(|w|) + l2 * sum(w**2) / 2`: TF-Slim's l1_l2, with its halved square."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True, title="regularizer"
    )

    l1: float = Field(default=0.0, ge=0)
    """Factor of the sum of absolute values."""
    l2: float = Field(default=0.0, ge=0)
    """Factor of half the sum of squares."""
