#!/usr/bin/env bash
# count-tests.sh FILE...: reads what `go test -json` wrote and prints one line, "N passed, N failed, N skipped". A
# package that failed without a failing test (it did not build, it panicked, it ran out of time) counts as one failure.
set -euo pipefail

awk '
  function field(name,   at, rest) {
    at = index($0, "\"" name "\":\"")
    if (at == 0) return ""
    rest = substr($0, at + length(name) + 4)
    return substr(rest, 1, index(rest, "\"") - 1)
  }
  # The text of an Output may look like anything: only lines that end something are read, and those have none.
  !/"Action":"(pass|fail|skip)"/ || /"Action":"output"/ { next }
  {
    action = field("Action"); package = field("Package"); test = field("Test")
    if (test != "") {
      count[action]++
      if (action == "fail") blamed[FILENAME, package] = 1
    } else if (action == "fail") failed[FILENAME, package] = 1
  }
  END {
    for (key in failed) if (!(key in blamed)) count["fail"]++
    printf "%d passed, %d failed, %d skipped\n", count["pass"], count["fail"], count["skip"]
  }
' "$@"
