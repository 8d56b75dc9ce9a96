"""How work is shared between threads and processes, and why that is right. This page holds the rules; the modules keep
them.

    communicator    what ranks may ask of each other: `Communicator`; a world of one; `Shard`
    threads         ranks in threads of this process: `ThreadGroup`
    processes       ranks in processes: `ProcessGroup`
    world           processes that run one command together, on one host or several: `World`
    mpi             a world of MPI's processes: `MpiWorld`
    distributed     ranks in the processes of a world: `WorldCommunicator`
    ordered_sums    sums of arrays over a world, block by block, in the order of shards: `OrderedSums`
    encoding        values as bytes, without pickles
    pool            processes that do one job after the other, without ranks: `WorkerPool`, which makes batches
    worker          a process of a group or a pool: `WorkerProcess` as its parent sees it, `Worker` as it sees itself
    prefetch        a thread that makes things ahead, where there are no processes
    shared_memory   values from one process to others (`SharedChannel`), arrays for all of them (`SharedArena`)
    waiting         how long to spin, to sleep, and until a worker is given up
    blas            one thread for BLAS

Arrays of any shape and dtype go from one rank to another as they are; those that are summed have one of each.

A collective call, or collective, is one that every rank makes, and that no rank returns from before all have come to
it: `all_gather`, and what stands on it. Shared values are double buffered: each channel is two buffers, used in turn.

A batch is cut into shards, one a rank. Ranks make the same calls in the same order; which ones follows from the command
and the world size, never from values. Values are added in the order of ranks. So the number of shards fixes the bits,
and it does not matter whether ranks are threads, processes, or take turns in one thread.


Who writes what, and when others may read it
============================================

Each piece of memory has one writer at a time. In a `ProcessGroup`:

    memory                  written by      read by         from                        until
    ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
    commands[current],      rank 0          workers         told[rank], raised twice    the next command is done
    current
    channels[rank][buffer]  that rank       other ranks     posted[rank][other]         the reader's next collective,
                                                                                        or its done
    results[rank]           that worker     rank 0          done[rank]                  the next command is given
    a shared buffer         each rank its   rank 0          their next collective,      rank 0 lets go of it
                            own region                      or done
    variables               rank 0          workers         told[rank], raised twice    the command is done

Who takes a semaphore sees all that was written before it was raised. A command is done when rank 0 has taken `done` of
all workers that it told. One step of training, which is two commands:

    rank 0                                              a worker
    ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
    raises told: a command will come                    wakes, and waits for the second
    writes "forward" and the inputs into one buffer
    raises told: there it is                            reads it; its inputs are views of the buffer
    its own shard           ◄─── collectives ───►       its shard; what it keeps for backward may be those views
                                                        writes its values into results, raises done
    takes done, copies what is in results
    raises told, writes "backward" and the gradients
    into the other buffer, raises told                  reads that; the first buffer is as it was
    its own shard           ◄─── collectives ───►       its shard, and lets go of what it kept
                                                        writes gradients into results, raises done
    takes done, adds what is in results to its own
    changes the variables                               waits, and reads nothing
    raises told, writes "forward" into the first buffer, …

So commands have two buffers: what a layer holds from one, forward, lasts to the end of the next, backward. A batch of
fewer examples than shards has fewer ranks; the other workers are not told, and sleep on.

In a `ThreadWorld` there is one barrier in place of semaphores, and a board of values in place of channels: others read
a rank's own array, not a copy. So a rank must leave what it has given to a collective as it is until its next one has
returned, or the work is done; processes would not show the error. The line on shared buffers holds as it stands; there
are no commands, and the caller changes variables when all ranks are done.

In a `World` nothing is shared. All processes run the whole program: each has the variables, makes its own rows of a
batch, runs its own shards, and gets outputs, targets and sums of gradients of all by messages; what it computes from
these (losses, metrics, new variables) has the same bits in each. A message is read into memory of the reader's own; an
array that is sent stays as it is until it is through. Only the first process writes files, hears signals and speaks;
the others learn from it whether to stop, after each step.

In a `WorkerPool` a job names the memory that the worker is to write, a slot. It is the worker's from the job to its
answer, and the reader's from then on; both are messages. The parent may send a job while the worker sends an answer:
both are short (`LONGEST_MESSAGE`), so neither ever waits for the other to read. What is longer lies beside the slot,
written before the job is sent: the rows of a batch.

Two buffers are enough for channels. A rank writes into buffer m mod 2 at its collective m. It comes to m + 2 by way of
m + 1, where it has waited for every other rank's post, and a rank posts at m + 1 only when it has done with what it
read at m. With one buffer the quicker rank would write over what the slower one still reads. Numbers m go on from
forward to backward and begin anew with the next batch, which rank 0 gives when all workers have done the last.

No rank waits for one that does not come. In a collective it waits for ranks that come to the same one, since all make
the same calls, or that have left the run by an error, which ends the run for all: a thread breaks the barrier, a
process is seen to be gone. At the end rank 0 waits for `done`, and looks at all workers, since the one that it waits
for may be waiting for another. In a pool there are no collectives: a worker waits for its parent, and the parent for
any of them. What is alive and hangs is given up after a while, if it is a process (below); for a thread the others
wait. In a world each process asks again and again whether messages have come, and gives up what has sent no sign of
life for `mpi.SILENCE`; an error of one process ends all (`graphc.cli.ranks`).


A worker's states
=================

                 fork              ready             command or job              collective call
    (parent) ──────────► STARTING ───────► WAITING ──────────────────► WORKING ◄────────────► COLLECTIVE
                                              ▲                           │
                                              └──────── REPORTING ◄───────┘

Only ranks make collective calls. What a worker does in each state, and when it ends once its parent has closed the
pipe or is gone (until then it goes on):

    state         what the worker does                              a rank ends               one of a pool ends
    ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
    STARTING      closes what the fork has copied                   at its next wait          at its next wait
    WAITING       waits for a command or job                        within `LOOK_AROUND`      at once
    WORKING       writes its own memory, its channels, its region   at its next collective    when it reports
                  of shared buffers; in a pool, its job's slot      or wait
    COLLECTIVE    has written its value, waits for the others       within `LOOK_AROUND`
    REPORTING     writes its answer, and then says so               at its next wait          when it reports

A rank's death is noticed, in any state, within `LOOK_AROUND` while rank 0 waits for any worker, in a collective or
for `done`, and else when it next does. A pool's parent notices one at once while it waits for answers, and else when it
next asks for answers or sends that worker a job.

In every state:

- SIGINT and SIGTERM do nothing: a terminal sends them to the whole group, and the parent decides. The parent holds them
  back over the fork (`system.stop_signals_held`), and so they are held back in the worker, until it ignores them
  (`system.ignore_stop_signals`, the first thing in STARTING). The parent's own come after the fork; then the worker is
  there, and is ended.
- An error of graphc or one of Python's own goes up the pipe as it is, another, or one that cannot be sent, as a
  RuntimeError with its traceback; then the worker ends. The parent raises it.
- A death without one (SIGKILL, a crash, no memory) is a MachineError that names the worker, its pid, how it ended and
  what it was doing: G521 of a rank, G520 of a maker of batches, with the example that it was at.
- One that is there and gives no answer (SIGSTOP, a file system that does not come back) is named likewise when the
  parent has waited for `ANSWER_TIMEOUT`, not counting the time in which it was stopped itself.
- The parent ends a worker in one way: it closes the pipe, kills the process and waits for it. There is nothing to lose:
  results lie in shared memory or have been sent, and files are the parent's to write.
- After an error or a death, an exception in the parent (Ctrl-C too) within a call of the group or pool, such as `run`,
  or the end of the program, all workers of the group or pool are ended before anybody hears of it. No group goes on
  with ranks that are out of step. Between calls an exception does nothing to them.
- If the parent is killed, workers end by themselves: the other end of a pipe is open there only, since what is forked
  later closes its copies. Shared memory has no name and goes with the last process.

`tests/parallel` puts delays, kills, errors and signals into every state, through `Worker.enter`, and lets what ranks
have gathered end when they gather again.
"""
