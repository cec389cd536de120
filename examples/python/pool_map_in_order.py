"""A pool of four maps functions over a range; the results come in the order of the inputs."""

from multiprocessing import Pool


def square(n):
    return n * n


def cube(n):
    return n**3


def double(n):
    return 2 * n


if __name__ == "__main__":
    with Pool(4) as pool:
        print("squares:", pool.map(square, range(10)))
        print("cubes:  ", pool.map(cube, range(10)))
        print("doubles:", pool.map(double, range(10)))
