"""The only writer of protobufs."""
