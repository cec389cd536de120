"""A pool that nobody closes does not keep the program from ending."""

from multiprocessing import Pool


def shout(word):
    return word.upper() + "!"


if __name__ == "__main__":
    pool = Pool(2)
    print(pool.map(shout, ["tidy", "anyway"]))
