"""Nan is no timeout for what waits for messages."""

from importlib import import_module

from subject import context, mp, show

nan = float("nan")


def name_of(call):
    """Return the error's name: the words may be others."""
    try:
        return call()
    except Exception as error:
        return type(error).__name__


def main():
    wait = import_module(f"{mp.__name__}.connection").wait
    reader, writer = context.Pipe(duplex=False)
    show("poll", lambda: name_of(lambda: reader.poll(nan)))
    show("wait", lambda: name_of(lambda: wait([reader], nan)))
    show("wait for nothing", lambda: name_of(lambda: wait([], nan)))
    writer.send(1)
    show("poll, ready", lambda: name_of(lambda: reader.poll(nan)))
    show("wait, ready", lambda: name_of(lambda: wait([reader], nan)))
    show("received", lambda: reader.recv())
    for kind in (context.Queue, context.JoinableQueue):
        queue = kind()
        show("get", lambda: name_of(lambda: queue.get(timeout=nan)))
        queue.put(1)
        wait([queue._reader])
        show("get, ready", lambda: name_of(lambda: queue.get(True, nan)))
        show("_poll", lambda: name_of(lambda: queue._poll(nan)))
        show("got", lambda: queue.get())
        show("put", lambda: name_of(lambda: queue.put(2, timeout=nan)))
        show("got", lambda: queue.get())
    with context.Pool(1) as pool:
        worker = pool._pool[0]
        show("join of a worker", lambda: name_of(lambda: worker.join(nan)))
        result = pool.apply_async(abs, (-1,))
        result.wait()
        show("get of what is there", lambda: result.get(nan))
    over = context.Event()
    process = context.Process(target=over.wait)
    process.start()
    show("join", lambda: name_of(lambda: process.join(nan)))
    over.set()
    process.join()


if __name__ == "__main__":
    main()
