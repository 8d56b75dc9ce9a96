"""TensorFlow's checkpoints, read without TensorFlow: `v1` (one file) and `v2` (an index, and data in shards).

Both are a LevelDB `table` of protobuf `messages`, whose bytes have masked CRC-32C checksums, which are kept here: a
damaged file is known before its bytes are believed.
"""
