"""A queue's `_reader` is one object, by which selectors and `wait` know it."""

import gc
import selectors
import weakref
from importlib import import_module

from subject import context, mp, show

wait = import_module(f"{mp.__name__}.connection").wait


def look(kind):
    queue = kind()
    show("one object", lambda: (queue._reader is queue._reader, queue._writer is queue._writer))
    show("two queues", lambda: kind()._reader == queue._reader)
    queue.put("item")
    ready = wait([queue._reader], 60)
    show("waited for", lambda: (len(ready), ready[0] is queue._reader, queue._reader in ready))
    with selectors.DefaultSelector() as selector:
        selector.register(queue._reader, selectors.EVENT_READ, "data")
        [(key, _)] = selector.select(60)
        show("selected", lambda: (key.fileobj is queue._reader, key.data))
        show("known", lambda: selector.get_key(queue._reader).data)
        selector.unregister(queue._reader)
    show("in a table", lambda: {queue._reader: "queue"}[queue._reader])
    show("taken", queue.get)
    return weakref.ref(queue)


def main():
    for kind in (context.Queue, context.SimpleQueue, context.JoinableQueue):
        gone = look(kind)
        gc.collect()
        print("gone", gone() is None)


if __name__ == "__main__":
    main()
