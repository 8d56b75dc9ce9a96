"""How work is shared between threads and processes, and why that is right. This page holds the rules; the modules keep
them.

    communicator    what ranks may ask of each other: `Communicator`; a world of one; `Shard`
    threads         ranks in threads of this process: `ThreadGroup`
    processes       ranks in processes: `ProcessGroup`
    pool            processes that do one job after the other, without ranks: `WorkerPool`, which makes batches
    worker          a process of a group or a pool: `WorkerProcess` as its parent sees it, `Worker` as it sees itself
    prefetch        a thread that makes things ahead, where there are no processes
    shared_memory   values from one process to others (`SharedChannel`), arrays for all of them (`SharedArena`)
    waiting, blas   how long who waits waits; one thread for BLAS

Arrays of any shape and dtype go from one rank to another as they are; those that are summed have one of each.

A batch is cut into shards, one a rank. Ranks make the same calls in the same order; which ones follows from the command
and the world size, never from values. Values are added in the order of ranks. So the number of shards fixes the bits,
and it does not matter whether ranks are threads, processes, or take turns in one thread.


Who writes what, and when others may read it
============================================

Each piece of memory has one writer at a time. In a `ProcessGroup`:

    memory                  written by      read by         from                        until
    ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
    orders[turn], turn      rank 0          workers         told[rank], raised twice    the next command has ended
    channels[rank][box]     that rank       other ranks     posted[rank][other]         the reader's next meeting
    results[rank]           that worker     rank 0          done[rank]                  the next command is given
    a shared buffer         each rank its   rank 0          their next meeting          rank 0 lets go of it
                            own region
    variables               rank 0          workers         told[rank], raised twice    the command has ended

Who takes a semaphore sees all that was written before it was raised. In a `ThreadWorld` there is one barrier in place
of semaphores and a board of values in place of channels; the lines on channels and shared buffers hold as they stand.
In a `WorkerPool` a slot is the worker's from the job to its answer, and the reader's from then on; both are messages.

Two boxes are enough. A rank writes into box m mod 2 at its meeting m. It comes to meeting m + 2 by way of m + 1, where
it has waited for every other rank's post, and a rank posts at m + 1 only when it has done with what it read at m. With
one box the quicker rank would write over what the slower one still reads. Commands are no exception: rank 0 gives the
next one when all workers have done the last. Orders have two boxes because a layer may hold on to its inputs from one
command, forward, to the end of the next, backward.

Nobody waits for ever. A rank waits only for ranks that come to the same meeting, or that have left the run by an error,
which ends the run for all: a thread breaks the barrier, a process is seen to be gone. Rank 0 waits for `done` after
its own share, in which it may have been waited for. A job waits for nothing but its worker.


A worker's states
=================

                 fork              work               collective call
    (parent) ──────────► STARTING ──────► WAITING ──────────► WORKING ◄──────────► MEETING
                                             ▲                   │
                                             └──── REPORTING ◄───┘

    state         what the worker does                           closed pipe, parent gone      its death is noticed
    ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
    STARTING      closes what the fork has copied                ends when it waits            at the next command
    WAITING       waits for a command or job                     ends within `LOOK_AROUND`     at the next command
    WORKING       writes to its own memory and slots only        ends when it waits or meets   while others wait for it
    MEETING       has written its value, waits for the others    ends within `LOOK_AROUND`     while others wait for it
    REPORTING     writes its answer, and then says so            ends when it waits            while others wait for it

In every state:

- SIGINT and SIGTERM do nothing: a terminal sends them to the whole group, and the parent decides. They are held back
  over the fork until the worker ignores them.
- An error goes up the pipe as it is, if it can be sent, and the worker ends. The parent raises it.
- A death without one (SIGKILL, a crash, no memory) is a MachineError that names the worker, its pid, how it ended and
  what it was doing: G521 of a rank, G520 of a maker of batches, with the example that it was at.
- One that is there and gives no answer (SIGSTOP, a file system that does not come back) is named likewise when the
  parent has waited for `ANSWER_TIMEOUT`, not counting the time in which it was stopped itself.
- The parent ends a worker in one way: it closes the pipe, kills the process and waits for it. There is nothing to lose:
  results lie in shared memory or have been sent, and files are the parent's to write.
- After an error or a death, an exception in rank 0 (Ctrl-C too), or the end of the program, all workers of the group or
  pool are ended before anybody hears of it. No group goes on with ranks that are out of step.
- If the parent is killed, workers end by themselves: the other end of a pipe is open there only, since what is forked
  later closes its copies. Shared memory has no name and goes with the last process.

`tests/parallel` puts delays, kills, errors and signals into every state, through `Worker.enter`, and lets what ranks
have gathered end when they gather again.
"""
