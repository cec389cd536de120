"""`active_children` lists the children that still run."""

from multiprocessing import Event, Process, active_children


def wait_for(bell):
    bell.wait()


if __name__ == "__main__":
    bell = Event()
    for name in ("Huey", "Dewey", "Louie"):
        Process(target=wait_for, args=(bell,), name=name).start()
    print("at work:", sorted(child.name for child in active_children()))

    bell.set()
    for child in active_children():
        child.join()
    print("at work:", active_children())
