"""Results of `apply_async` are waited for, but no longer than a second."""

import time
from multiprocessing import Pool, TimeoutError


def square(n):
    return n * n


if __name__ == "__main__":
    with Pool(2) as pool:
        result = pool.apply_async(square, (12,))
        # Workers may take longer to start, on a busy machine.
        result.wait()
        print(result.get(timeout=1))

        too_slow = pool.apply_async(time.sleep, (60,))
        try:
            too_slow.get(timeout=1)
        except TimeoutError:
            print("not ready after a second")
