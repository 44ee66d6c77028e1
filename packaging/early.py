"""What the frozen program does first, before PyInstaller's own start-up code, which takes longer than a quick command."""

import os
import sys

from pyimod02_importers import pyz_archive


def restore(environ, before):
    """Take the loader's traces out of the environment, which children inherit: their libraries are their own.

    `before` is the environment as this process got it: the loader also drops VIRTUAL_ENV from the other.
    """
    for name in [name for name in environ if name.startswith("_PYI_")]:
        del environ[name]
    for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FRAMEWORK_PATH"):
        own = environ.pop(f"{name}_ORIG", None)
        if own is not None:
            environ[name] = own
        elif environ.get(name) == sys._MEIPASS:
            del environ[name]
    if "VIRTUAL_ENV" in before:
        environ.setdefault("VIRTUAL_ENV", before["VIRTUAL_ENV"])


def as_begun():
    """The environment with which this process began, where the system tells it."""
    try:
        with open("/proc/self/environ", "rb") as file:
            lines = os.fsdecode(file.read()).split("\0")
    except OSError:
        return {}
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


# Where systems keep the authorities that TLS trusts, in one file.
AUTHORITIES = (
    "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
)  # fmt: skip


class Trusting:
    """Has `ssl` find this system's authorities, when it is imported: the library knows where those of its builder lie."""

    def find_spec(self, name, path=None, target=None):
        if name != "ssl":
            return None
        sys.meta_path.remove(self)
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name)
        load = spec.loader.exec_module

        def loaded(module):
            load(module)
            usual = module.get_default_verify_paths()
            found = next((file for file in AUTHORITIES if os.path.exists(file)), None)
            if found and not (usual.cafile or usual.capath):
                module.SSLContext.set_default_verify_paths = lambda context: context.load_verify_locations(found)

        spec.loader.exec_module = loaded
        return spec


class Noted:
    """Writes down what is imported from now on (the self-test asks for it); finds nothing itself."""

    def __init__(self, folder):
        self._file = os.open(os.path.join(folder, str(os.getpid())), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def find_spec(self, name, path=None, target=None):
        os.write(self._file, f"{name}\n".encode())


restore(os.environ, as_begun())
if os.path.exists("/proc/self/exe"):  # which is this program also when another has taken its place
    pyz_archive._filename = "/proc/self/exe"
sys.meta_path.insert(0, Trusting())
if "SYNAPSE_NOTE_IMPORTS" in os.environ:
    sys.meta_path.insert(0, Noted(os.environ["SYNAPSE_NOTE_IMPORTS"]))

from synapse.__main__ import early  # noqa: E402

early()
