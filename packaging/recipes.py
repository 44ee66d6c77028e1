"""Writes homebrew/ and scoop/ from one place, packaging/released.json: the version, where it is, and the sums of its files.

    python packaging/recipes.py                 write them anew
    python packaging/recipes.py --files FOLDER  take version and sums from a release's files first

The last job of a release does the second. Before the first release there are no sums: the recipes then hold zeros, with
which neither Homebrew nor Scoop installs anything.
"""

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA = ROOT / "packaging" / "released.json"
SYSTEMS = ("macos-arm64", "macos-x86_64", "linux-arm64", "linux-x86_64")
NOTHING = "0" * 64
SHIM = "synapse.ps1"
SAID = "Team of command-line coding agents that talk and keep off each other's files"

FORMULA = """\
# Made by packaging/recipes.py from packaging/released.json.
class SynapseHub < Formula
  desc "{said}"
  homepage "{home}"
  version "{version}"
  license "MIT"

  preserve_rpath # its libraries are found as they lie: there is no room in them for longer names

  on_macos do
    on_arm do
      url "{macos-arm64}"
      sha256 "{macos-arm64.sum}"
    end
    on_intel do
      url "{macos-x86_64}"
      sha256 "{macos-x86_64.sum}"
    end
  end

  on_linux do
    on_arm do
      url "{linux-arm64}"
      sha256 "{linux-arm64.sum}"
    end
    on_intel do
      url "{linux-x86_64}"
      sha256 "{linux-x86_64.sum}"
    end
  end

  def install
    libexec.install Dir["*"]
    bin.install_symlink libexec/"synapse"
  end

  def caveats
    <<~EOS
      The hub starts by itself when it is needed; `brew services start synapse-hub` keeps one running.
      After an upgrade: `synapse restart`. End your agents before one: brew takes away what they were started from.
    EOS
  end

  service do
    run [opt_bin/"synapse", "serve"]
    keep_alive crashed: true
    log_path var/"log/synapse-hub.log"
    error_log_path var/"log/synapse-hub.log"
  end

  test do
    ENV["SYNAPSE_DATA"] = testpath/"data"
    ENV["SYNAPSE_PORT"] = free_port.to_s
    assert_match version.to_s, shell_output("#{bin}/synapse --version")
    system bin/"synapse", "memory", "save", "brew", "works"
    assert_match "works", shell_output("#{bin}/synapse memory show brew")
    system bin/"synapse", "serve", "--stop"
  end
end
"""


def formula(data: dict) -> str:
    """The Homebrew formula."""
    values = {"said": SAID, "home": data["from"], "version": data["version"]}
    for system in SYSTEMS:
        file = f"synapse-{data['version']}-{system}.tar.gz"
        values |= {system: address(data, file), f"{system}.sum": data["sums"].get(file) or NOTHING}
    return re.sub(r"(?<!#){([\w.-]+)}", lambda found: values[found[1]], FORMULA)


def manifest(data: dict, shim: bytes) -> str:
    """The Scoop manifest: the one file for WSL, and the script by which Windows calls it."""
    version, home = data["version"], data["from"]

    def files(system: str, number: str) -> dict:
        file = f"synapse-{number}-{system}"
        return {
            "url": [
                f"{home}/releases/download/v{number}/{file}#/synapse-linux",
                f"{home}/releases/download/v{number}/{SHIM}",
            ]
        }

    def sums(system: str) -> dict:
        return {"hash": [data["sums"].get(f"synapse-{version}-{system}") or NOTHING, hashlib.sha256(shim).hexdigest()]}

    found = {
        "version": version,
        "description": f"{SAID}. Runs inside WSL.",
        "homepage": home,
        "license": "MIT",
        "notes": [
            "synapse runs inside WSL, in your default distribution: your agents and projects are there, too.",
            "The hub starts by itself when it is needed. After an upgrade: synapse restart",
        ],
        "architecture": {
            "64bit": files("linux-x86_64", version) | sums("linux-x86_64"),
            "arm64": files("linux-arm64", version) | sums("linux-arm64"),
        },
        "pre_install": [
            "if (-not (Get-Command wsl.exe -ErrorAction SilentlyContinue)) {",
            "    throw 'synapse runs inside WSL, and wsl.exe is not here: run `wsl --install`, then try again.'",
            "}",
        ],
        "bin": [[SHIM, "synapse"]],
        "checkver": {"github": home},
        "autoupdate": {
            "architecture": {"64bit": files("linux-x86_64", "$version"), "arm64": files("linux-arm64", "$version")},
            "hash": {"url": "$url.sha256"},
        },
    }
    return json.dumps(found, indent=4) + "\n"


def address(data: dict, file: str) -> str:
    return f"{data['from']}/releases/download/v{data['version']}/{file}"


def of_release(folder: Path) -> dict:
    """The data of a release's files; ValueError when one is missing or its sum is another."""
    data = json.loads(DATA.read_text())
    source = (ROOT / "synapse" / "__init__.py").read_text()
    version = re.search(r'^__version__ = "(.+)"$', source, re.M)[1]
    names = [f"synapse-{version}-{system}.tar.gz" for system in SYSTEMS]
    names += [f"synapse-{version}-{system}" for system in SYSTEMS if system.startswith("linux")]
    sums = {}
    for name in sorted(names):
        told = (folder / f"{name}.sha256").read_text().split()[0]
        sums[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        if told != sums[name]:
            raise ValueError(f"{name} is not what {name}.sha256 says")
    return data | {"version": version, "sums": sums}


def written(data: dict) -> dict[Path, str]:
    """Every file that is made, with its text."""
    return {
        ROOT / "homebrew" / "synapse-hub.rb": formula(data),
        ROOT / "scoop" / "synapse.json": manifest(data, (ROOT / "scoop" / SHIM).read_bytes()),
    }


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--files", type=Path, help="the folder with a release's files")
    given = options.parse_args()
    try:
        data = of_release(given.files) if given.files else json.loads(DATA.read_text())
    except (OSError, ValueError) as error:
        print(f"recipes: {error}", file=sys.stderr)
        return 1
    DATA.write_text(json.dumps(data, indent=2) + "\n")
    for path, text in written(data).items():
        path.write_text(text)
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
