"""A pool with one worker for each processor."""

from multiprocessing import Pool, cpu_count


def count_letters(word):
    return len(word)


if __name__ == "__main__":
    words = "the quick brown fox jumps over the lazy dog".split()
    with Pool(processes=cpu_count()) as pool:
        lengths = pool.map(count_letters, words)
    print(f"{cpu_count()} processors counted {sum(lengths)} letters in {len(words)} words")
