"""A model as a picture: Plan ─blocks→ Block… ─structure→ Series ─layout→ boxes ─svg→ text."""
