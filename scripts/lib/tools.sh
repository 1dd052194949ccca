# shellcheck shell=bash
# The Go toolchain, and the tools that the project installs for itself at pinned versions. Sourced.

golangci_lint_version=v2.15.0
gotestsum_version=v1.13.0
tools=$root/.tools/bin

# need_go: go.work asks for Go 1.26. A Go from 1.21 on may fetch that by itself; then `go env` already speaks for it.
need_go() {
  have go || die "there is no go here" "install Go 1.26 or later: https://go.dev/doc/install"
  local version minor
  version=$(cd "$root" && go env GOVERSION 2>/dev/null) || version=
  minor=$(printf '%s' "$version" | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
  [ -n "$version" ] && { [ -z "$minor" ] || [ "$minor" -ge 26 ]; } && return 0
  die "firstcome needs Go 1.26 or later; $(command -v go) is $(GOTOOLCHAIN=local go version 2>/dev/null | awk '{ print $3 }' || echo older)" \
    "install a newer one: https://go.dev/doc/install" \
    "or let a Go from 1.21 on fetch it: unset GOTOOLCHAIN (it is $(GOTOOLCHAIN='' go env GOTOOLCHAIN 2>/dev/null || echo unknown))"
}

# need_tool NAME PACKAGE VERSION HOW-LONG: installs a Go program into .tools/bin unless this version, built by this Go,
# is there already. A linter built by an older Go refuses newer code.
need_tool() {
  local name=$1 package=$2 version=$3 stamp log began=$SECONDS
  stamp=$tools/.$name-$version-$(cd "$root" && go env GOVERSION)
  [ ! -f "$stamp" ] || [ ! -x "$tools/$name" ] || return 0
  mkdir -p "$tools" "$run/log"
  log=$run/log/$name-install.log
  say "installing $name $version into .tools/bin ($4) …"
  if ! (cd "$tools" && GOBIN=$tools GOFLAGS='' CGO_ENABLED=0 go install "$package@$version") >"$log" 2>&1; then
    tail -n 12 "$log" | sed 's/^/    | /' >&2
    die "$name $version could not be installed" "is the Go module proxy reachable? The whole output: $log"
  fi
  rm -f "$tools/.$name-"*
  touch "$stamp"
  say "installed in $((SECONDS - began)) s"
}

need_golangci_lint() {
  need_tool golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint "$golangci_lint_version" "a minute or two, once"
}

need_gotestsum() { need_tool gotestsum gotest.tools/gotestsum "$gotestsum_version" "seconds, once"; }

# race_flag: -race, where cgo and a C compiler are there, because it needs both.
race_flag() {
  local cc
  cc=$(cd "$root" && go env CC)
  [ "$(cd "$root" && go env CGO_ENABLED)" != 1 ] || ! have "${cc%% *}" || echo -race
}

# module_patterns: the workspace's modules that hold Go files, as ./core/... and so on.
module_patterns() {
  (cd "$root" && go list -m -f '{{.Dir}}') | while read -r dir; do
    [ -z "$(find "$dir" -name '*.go' -print -quit)" ] || echo "./${dir#"$root"/}/..."
  done
}

# run_tests NAME ARGS...: go test with a line a package and the whole output of what failed; what every test did is kept
# in .run/test/NAME.json for count-tests.
run_tests() {
  local name=$1 json=$run/test/$1.json
  shift
  need_gotestsum
  mkdir -p "$run/test"
  (cd "$root" && "$tools/gotestsum" --format pkgname --format-hide-empty-pkg --jsonfile "$json" -- "$@")
}
