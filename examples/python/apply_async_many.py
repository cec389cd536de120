"""Twenty-five tasks are handed out at once; their results are collected in a list."""

from multiprocessing import Pool


def square(n):
    return n * n


if __name__ == "__main__":
    with Pool(4) as pool:
        pending = [pool.apply_async(square, (n,)) for n in range(25)]
        print([result.get() for result in pending])
