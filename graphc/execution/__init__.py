"""Running a plan on arrays. Training, validation, prediction, `verify` and the report all come this way.

A `Plan` (`graphc.graph`) is the graph of layers with every shape and variable. The files, from the top: `network`
shares a batch out to ranks; `plan` says what runs for one rank and runs it; `fusion` says which layers run as one,
`fused` how; `operation` is what either of them is to the plan; `tape` is the backward pass; `remote` is what the other
ranks' processes are told. What ranks share, and who waits for whom, is told in `graphc.parallel`. Inputs and variables
have one dtype, float32 or float64, and so have values and gradients.

To a reader of PyTorch: a `Network` is what DistributedDataParallel is to a module, with ranks that live in one training
run. A `Tape` is the graph that autograd keeps, but nothing is traced: which operations run is known before the first
batch, and a layer's backward is the closure beside its `forward`. `Tape.backward(retain=True)` is `retain_graph`.

What happens in one training step, a batch of 64 in two shards, each in a process of its own (the engine is
`graphc.train.numpy_engine`):

0.  Once, before: the engine makes a `Network` of the plan. The network makes an `ExecutionPlan` (which variables
    learn, which values have gradients) and, in `place`, moves the variables to memory that processes share. `start`
    forks a process for rank 1; it has the same execution plan, and waits. Rank 0 is the process that trains. Batches
    are made ahead in a thread of rank 0's process, or, with `workers` in the recipe, in processes that are no ranks
    (`graphc.data.feeder`).
1.  The engine calls `network.forward(params, inputs, training=True, step, keep)`: the values wanted are the outputs
    and `keep`, what losses look at.
2.  The network has its `RemoteExecution` tell rank 1: a semaphore wakes the process, and the command, the inputs of the
    whole batch and what is wanted are written to shared memory. Variables are there already. Examples 0 to 31 are rank
    0's shard, 32 to 63 rank 1's; each takes its own.
3.  Both ranks call `ExecutionPlan.run` with their shard. The plan looks up the schedule for the values wanted, which
    each process made at its first step: `fuse` has found which layers run as one; each operation knows its variables,
    which of its inputs nobody reads after it, whether it may write over its input, and whether gradients will come back
    to it.
4.  For each operation of the schedule, in order: the inputs are taken from the tape's values and, if this was their
    last reader, dropped; the operation's `forward(context, variables, *inputs)` answers with its output, the closure
    that is its backward, and new values of moving averages. The output goes to the tape's values if somebody reads it,
    the closure to the tape's record. Memory is taken from the plan's workspace (`graphc.workspace`: free blocks by
    size; ranks in threads share one, each process has its own), and goes back there when the last reference to an array
    ends: dropping values is what keeps memory low.
5.  Where a layer needs the whole batch (batch norm's mean), it calls `context.all_gather`: each rank shows the others
    its sums and waits for theirs, and all add them in the order of ranks, so all have the same bits. A large dense
    layer gathers its inputs, and each rank multiplies them with its own rows of the weights (`graphc.kernels.dense`).
    Every rank makes the same collective calls in the same order, since all run the same schedule. A gradient that ranks
    make together, each its rows of it, they write into a `context.shared_buffer`, which is rank 0's.
6.  Each rank has a `Tape`. Rank 1 writes its values to shared memory and keeps its tape; the network puts the values
    together, rank 0's examples first: that is the `ForwardResult` that the engine gets. Moving averages are rank 0's:
    the other's are the same.
7.  In rank 0 the losses (`graphc.train.loss_terms`) make a gradient of each output, [64, ...], and the engine calls
    `ForwardResult.backward`. The gradients go to rank 1 as the inputs did; both ranks call `Tape.backward`, which takes
    the shard's examples of them. Layers that made collective calls forward make them backward too, by the same
    communicator.
8.  The tape goes through its record from the end: each closure gets the gradient of its output, [32, ...], and answers
    with those of its inputs, which are added to what other readers of the same value have sent, and those of its
    variables, which are summed over the rank's examples. The closure is dropped, and with it what it held. No gradient
    is made towards images, nor below the last variable that learns.
9.  Rank 1's gradients of variables come back through shared memory, and the network adds them to rank 0's, in place, by
    threads of rank 0's process (`Network.parallel_for`). That of a large dense layer is rank 0's alone, and of all
    examples already: the array that all have written in, or, where the optimizer can use it, a `FactoredGradient` of
    the two matrices whose product it is, which NumPy takes for an array. The number of shards fixes the bits; whether
    ranks are threads, processes, or take turns in one thread does not.
10. In rank 0 the engine clips, and the optimizer, by the same threads, changes the variables where they lie. Rank 1
    sees the new ones in its next step: it reads no variable between its answer to one command and the next.

Where ranks are threads the same happens without messages: they see the same arrays. Inference is 1 to 6 without
records. If anything goes wrong in a rank, its error comes out of `forward` or `backward`, and the processes end.
"""
