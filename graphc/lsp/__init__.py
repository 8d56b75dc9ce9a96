"""The language server: what graphc knows of a spec or a recipe, shown while it is written.

`Documents` (documents.py) holds the texts that an editor has open. A text becomes an `Analysis` (analysis.py): the
errors and warnings of `graphc check`, and a plan of all that is known. Each feature is a file with a function of a
document and a position, and returns types of its own (types.py), so that none of them needs the protocol's library;
`server.py` alone speaks the protocol, by pygls.

Positions are those of the text: line and column count from 0, in characters. The protocol's UTF-16 columns are made
in `server.py`.
"""
