"""A pool tells its state and its size."""

from multiprocessing import Pool

if __name__ == "__main__":
    pool = Pool(60)
    print(pool)
    pool.close()
    print(pool)
    pool.join()
