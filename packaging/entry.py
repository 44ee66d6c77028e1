"""The frozen program's script: `synapse`, and what only our own processes ask of it."""

import multiprocessing
import sys

multiprocessing.freeze_support()  # first: else a child of it would be another `synapse`, and hang

if sys.argv[1:2] == ["_inside"]:
    from inside import main
elif sys.argv[1:2] == ["_pip"]:
    from inside import pip as main
else:
    from synapse.__main__ import main

main()
