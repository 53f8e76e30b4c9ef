# Shared by .ci/run and .ci/nightly: steps, and the tools they need.

TARGET="${CARGO_TARGET_DIR:-$PWD/target}"
TOOLS="$TARGET/ci"
mkdir -p "$TOOLS"

# Whole builds profit nothing from incremental compilation.
if [[ ${CI:-} ]]; then export CARGO_INCREMENTAL=0; fi

current="start"
trap 'echo "FAILED in step: $current" >&2' ERR

# step HEADING COMMAND…: runs the command and says how long it took.
step() {
  current=$1
  shift
  printf '\n== %s\n' "$current"
  local from=$SECONDS
  "$@"
  printf -- '-- %s: %d s\n' "$current" "$((SECONDS - from))"
}

# cargo_tool CRATE VERSION: installs a cargo subcommand unless that version is there. Built quickly rather than to run fast.
cargo_tool() {
  local name=$1 version=$2
  "$name" --version 2>/dev/null | grep -qF "$version" && return
  CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
    CARGO_PROFILE_RELEASE_DEBUG=false CARGO_TARGET_DIR="$TOOLS/build" \
    cargo install --quiet --locked "$name@$version"
  rm -rf "$TOOLS/build"
}

# Makes $PYTHON, with the package `cryptography` and nothing else.
python_tools() {
  PYTHON="$TOOLS/venv/bin/python3"
  "$PYTHON" -c 'import cryptography' 2>/dev/null && return
  # On Debian and Ubuntu, venv is a package of its own.
  python3 -m venv "$TOOLS/venv" || { apt-get update -q && apt-get install -qy python3-venv && python3 -m venv "$TOOLS/venv"; }
  "$PYTHON" -m pip install --quiet --disable-pip-version-check 'cryptography>=42,<100'
}

# Makes $BUF. The npm package carries the program.
buf_tool() {
  local version=1.75.0
  BUF="$TOOLS/node/node_modules/.bin/buf"
  [[ $("$BUF" --version 2>/dev/null) == "$version" ]] ||
    npm install --prefix "$TOOLS/node" --no-save --no-audit --no-fund --loglevel=error "@bufbuild/buf@$version"
}

# The targets of fuzz/.
fuzz_targets() { sed -n 's/^path = "targets\/\(.*\)\.rs"$/\1/p' fuzz/Cargo.toml; }

# fuzz SECONDS: each target for so long, from its committed corpus. What is found new stays in $TARGET, out of the tree. The
# code has no unsafe, so no sanitizer is worth its time. cargo-fuzz wants nightly's flags.
fuzz() {
  local toolchain=() target
  if rustup toolchain list 2>/dev/null | grep -q '^nightly'; then
    toolchain=(+nightly)
  else
    export RUSTC_BOOTSTRAP=1
  fi
  for target in $(fuzz_targets); do
    mkdir -p "$TARGET/fuzz-found/$target"
    cargo "${toolchain[@]}" fuzz run --sanitizer none --target-dir "$TARGET/fuzz" "$target" \
      "$TARGET/fuzz-found/$target" "fuzz/corpus/$target" \
      -- -max_total_time="$1" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 -verbosity=0
  done
  unset RUSTC_BOOTSTRAP
}
