"""Structure found in a flat net: residuals and branches, blocks with parameters, repeats.

`sections` cuts a net where one value is all that goes on, and finds what stands side by side between two cuts; `blocks`
makes one block of what is written alike in several places; `repeats` folds what stands several times in a row; `text`
writes it. Whole residuals and branches become blocks first, then rows of equal ones are folded, and only then rows of
layers become blocks: the other way round texts get shorter, and nobody can read them.
"""
