#!/usr/bin/env bash
# Says whether the server's types and the client are what openapi.yaml gives today: generates them anew, by the pinned
# generator, beside the ones that are there. About 10 s; needs the generator's module (downloaded once).
source "$(dirname "$0")/lib/base.sh"
source "$root/scripts/lib/tools.sh"
need_go

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
for folder in internal/contract client; do
  generate=$(sed -n 's|^//go:generate ||p' "$root/api/$folder/doc.go")
  file=$(sed -n 's/^output: //p' "$root/api/$folder/oapi.yaml")
  mkdir -p "$work/$folder"
  # The document's path is relative to the folder; the output goes to where the command runs.
  cp "$root/api/$folder/oapi.yaml" "$work/$folder/"
  cp "$root/api/openapi.yaml" "$work/"
  command=${generate/go run/}
  package=${command%% -config*}
  (cd "$root/api" && GOBIN=$work/bin GOWORK=off go install "${package// /}") || exit 1
  (cd "$work/$folder" && "$work/bin/oapi-codegen" -config oapi.yaml "$work/openapi.yaml") || exit 1
  cmp -s "$work/$folder/$file" "$root/api/$folder/$file" || {
    say "api/$folder/$file is not what openapi.yaml gives: run \`go generate ./...\` in api"
    failed=1
  }
done
exit $failed
