"""Three processes are started, then joined; each greets somebody by name."""

from multiprocessing import Process


def greet(name):
    print(f"Hello, {name}!")


if __name__ == "__main__":
    children = [Process(target=greet, args=(name,)) for name in ("Ada", "Grace", "Alan")]
    for child in children:
        child.start()
    for child in children:
        child.join()
    print("Everybody has been greeted")
