"""The part of the self-test that runs inside the built program: `synapse _inside WHAT`, or this file by an interpreter."""

import importlib
import json
import multiprocessing
import pkgutil
import re
import sys
import warnings

# Not for a program without a screen, or for trying the interpreter itself.
LEFT_OUT = {"antigravity", "idlelib", "test", "this", "tkinter", "_tkinter", "turtle", "turtledemo"}
ASIDE = re.compile(r"tests?\Z|test_|_test|__main__|idle_test|windows|win32|winreg|msvc|_msi|cygwin|bcpp")


def library():
    """Which modules of the standard library can be imported here, and which cannot."""
    there, missing, waiting = [], {}, sorted(sys.stdlib_module_names - LEFT_OUT)
    while waiting:
        name = waiting.pop(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                module = importlib.import_module(name)
        except ImportError as error:
            missing[name] = str(error)
            continue
        there.append(name)
        for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
            if not ASIDE.search(found.name):
                waiting.append(f"{name}.{found.name}")
    return {"there": there, "missing": missing}


def _square(number):
    return number * number


def processes():
    """What children by each of multiprocessing's ways answer."""
    found = {}
    for way in multiprocessing.get_all_start_methods():
        with multiprocessing.get_context(way).Pool(2) as pool:
            found[way] = pool.map(_square, range(5))
    return found


def certificates():
    """How many authorities TLS knows by default."""
    import ssl

    return {"loaded": len(ssl.create_default_context().get_ca_certs()), "usual": ssl.get_default_verify_paths()}


def pip():
    """pip, as it lies beside the program: `synapse _pip WORDS`."""
    import runpy

    sys.argv = ["pip", *sys.argv[2:]]
    runpy.run_module("pip", run_name="__main__", alter_sys=True)


def main():
    found = {"library": library, "processes": processes, "certificates": certificates}[sys.argv[-1]]()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
