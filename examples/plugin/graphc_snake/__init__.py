"""A layer kind, `snake`, and a data source, `boards`, for graphc."""
