# Made by packaging/recipes.py from packaging/released.json.
class SynapseHub < Formula
  desc "Team of command-line coding agents that talk and keep off each other's files"
  homepage "https://github.com/synapse-hub/synapse"
  version "0.1.0"
  license "MIT"

  preserve_rpath # its libraries are found as they lie: there is no room in them for longer names

  on_macos do
    on_arm do
      url "https://github.com/synapse-hub/synapse/releases/download/v0.1.0/synapse-0.1.0-macos-arm64.tar.gz"
      sha256 "0000000000000000000000000000000000000000000000000000000000000000"
    end
    on_intel do
      url "https://github.com/synapse-hub/synapse/releases/download/v0.1.0/synapse-0.1.0-macos-x86_64.tar.gz"
      sha256 "0000000000000000000000000000000000000000000000000000000000000000"
    end
  end

  on_linux do
    on_arm do
      url "https://github.com/synapse-hub/synapse/releases/download/v0.1.0/synapse-0.1.0-linux-arm64.tar.gz"
      sha256 "0000000000000000000000000000000000000000000000000000000000000000"
    end
    on_intel do
      url "https://github.com/synapse-hub/synapse/releases/download/v0.1.0/synapse-0.1.0-linux-x86_64.tar.gz"
      sha256 "0000000000000000000000000000000000000000000000000000000000000000"
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
