"""The forms of a whole file: what may name other files, one class each.

They are keys of a document, not entries of its layers: a `Form` expands with names, scopes and a current layer, and
these are merged before any of that exists. They add no layers of their own, so they have no lower bound either; the
layers of a base are counted where those of the spec are.
"""

from __future__ import annotations

from collections.abc import Mapping

from graphc.spec.file_forms.base import FileForm
from graphc.spec.file_forms.extends import Extends
from graphc.spec.file_forms.include import Include

FILE_FORMS: Mapping[str, FileForm] = {form.key: form for form in (Extends(), Include())}
"""In the order in which they are merged: what is included lies over what is extended, the spec over both."""
