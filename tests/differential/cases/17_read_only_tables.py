"""Tables whose columns are read-only at the sender can be changed by the receiver."""
# methods: fork spawn
# needs: numpy pandas pyarrow

import numpy as np
import pandas as pd
import pyarrow as pa
from subject import context, show


def change(a):
    a[0] = 42
    return a.flags.writeable, a[0], a[-1]


def sort(a):
    a[::-1].sort()
    return a[0], a[-1]


def change_frame(df):
    df.iloc[0, 0] = 42
    df["b"] *= 2
    df.loc[1, "a"] = -1
    return df.iloc[0, 0], df["a"].iloc[1], df["b"].iloc[-1], df["a"].sum()


def change_column(df):
    column = df["a"].to_numpy()
    return column.flags.writeable, df["a"].sum()


def describe_arrow(table):
    buffers = [b for c in table.columns for part in c.chunks for b in part.buffers() if b]
    return table.num_rows, [b.is_mutable for b in buffers], table["a"].to_pylist()[-2:]


def describe_buffer(buffer):
    return buffer.is_mutable, buffer.size, memoryview(buffer).readonly, buffer.to_pybytes()[:3]


def frame(n):
    return pd.DataFrame(
        {"a": np.arange(n) * 1.0, "b": np.arange(n) * 1.0, "c": ["x", "y"] * (n // 2)}
    )


def table(n):
    return pa.table({"a": np.arange(n) * 1.0, "b": np.arange(n) * 1.0})


def take(source, sink):
    while (received := source.get()) is not None:
        sink.put(change_frame(received) if isinstance(received, pd.DataFrame) else change(received))


def main():
    source, sink = context.Queue(), context.Queue()
    with context.Pool(1) as pool:
        child = context.Process(target=take, args=(source, sink), daemon=True)
        child.start()
        for n in (10, 1000, 6000, 100_000):
            df, arrow = frame(n), table(n)
            cases = {
                "to_numpy()": (change, df["a"].to_numpy()),
                "values": (sort, df["a"].values),
                "frame": (change_frame, df),
                "frame's column": (change_column, df),
                "frame from arrow": (change_frame, arrow.to_pandas()),
                "arrow to_numpy()": (change, pa.array(np.arange(n)).to_numpy()),
                "table": (describe_arrow, arrow),
                "slice of a table": (describe_arrow, arrow.slice(3, n // 2)),
                "buffer": (describe_buffer, pa.py_buffer(bytes(8 * n))),
                "mutable buffer": (describe_buffer, pa.py_buffer(bytearray(8 * n))),
                "allocated buffer": (describe_buffer, pa.array(np.ones(n)).buffers()[1]),
            }
            for name, (function, value) in cases.items():
                show(f"{n} {name}", lambda f=function, v=value: pool.apply(f, (v,)))
                show(f"{n} {name}, item", lambda f=function, v=value: pool.map(f, [v]))
            for function in (frame, table):
                tell = change_frame if function is frame else describe_arrow
                show(
                    f"{n} {function.__name__}, result",
                    lambda f=function, t=tell: t(pool.apply(f, (n,))),
                )
            for value in (df, df["a"].to_numpy()):
                source.put(value)
                show(f"{n} {type(value).__name__} through a queue", sink.get)
        source.put(None)
        child.join()


if __name__ == "__main__":
    main()
