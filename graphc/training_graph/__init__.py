"""The training step as ONNX: tensors whose arithmetic makes nodes, and the gradients that several layer kinds share.

A layer states its backward in nodes beside its forward (`emit_training`), as `forward` states it in NumPy. Tensors are
float32 of fixed shapes, with the batch: images N C H W, volumes N C D H W, all else channels last.
"""
