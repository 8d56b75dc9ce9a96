"""The forms of the language: one class each, with its keys, their schema, its documentation, the least number of
layers that it has, and what it becomes.

A block is the user's own form: `block.Block` holds the same of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from graphc.spec.forms.base import Form
from graphc.spec.forms.branches import Branches
from graphc.spec.forms.group import Group
from graphc.spec.forms.repeat import Repeat
from graphc.spec.forms.residual import Residual
from graphc.spec.forms.stack import Stack

FORMS: Mapping[str, Form] = {form.kind: form for form in (Group(), Repeat(), Stack(), Branches(), Residual())}
