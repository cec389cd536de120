"""What each interpreter that has millpond in its site-packages calls when it starts.

`millpond_install.start` names it for Python 3.15 and newer, `millpond_install.pth` for older ones.
Every start of Python pays for this module, so it imports nothing unless it is asked to.
"""

import os


def start() -> None:
    """Install millpond where the environment variable `MILLPOND_INSTALL` is `1` or `once`."""
    if os.environ.get("MILLPOND_INSTALL") in ("1", "once"):
        from millpond._install.startup import install_as_asked

        install_as_asked()
