"""How a variable starts. (Completed below.)"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Initializer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
