"""The only writer of protobufs. In files floats have the dtype float32, whole numbers int64."""
