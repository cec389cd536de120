"""A process dies while it holds the lock; the next one is told, and all go on.

With the standard library this program would wait for ever.
"""

import os
import signal

import millpond


def die_with_lock(lock, account):
    with lock:
        account.value -= 100  # the other half of the transfer will not happen
        os.kill(os.getpid(), signal.SIGKILL)


def main():
    lock = millpond.Lock()
    account = millpond.RawValue("i", 500)
    process = millpond.Process(target=die_with_lock, args=(lock, account))
    process.start()
    process.join()
    try:
        lock.acquire()
    except millpond.OwnerDied as death:
        print(f"signal {-death.exitcode} while it held the lock; the account has {account.value}")
        account.value = 500
    with lock:
        print(f"the lock works, and the account has {account.value}")


if __name__ == "__main__":
    main()
