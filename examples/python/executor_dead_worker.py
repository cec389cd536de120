"""A worker that is killed costs one future; the executor and all other futures go on."""

import os
import signal
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool

from millpond import ProcessPoolExecutor


def square(number):
    if number == 13:
        # As the kernel does it to a process that takes too much memory.
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


if __name__ == "__main__":
    squares = {}
    with ProcessPoolExecutor(max_workers=2) as executor:
        numbers = {executor.submit(square, number): number for number in range(20)}
        for future in as_completed(numbers):
            try:
                squares[numbers[future]] = future.result()
            except BrokenProcessPool as error:
                # With the standard library's executor, everything that was not done ends here.
                print(
                    f"no square of {numbers[future]}: {type(error).__name__}, {error.signal.name}"
                )
        print(f"{len(squares)} squares, the largest is {max(squares.values())}")
        print(f"and on it goes: {executor.submit(square, 21).result()}")
