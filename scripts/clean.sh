#!/usr/bin/env bash
# make clean: removes what was built and what make services and make up keep. Not ./data, which is yours, and not the
# downloaded servers in the user's cache folder.
source "$(dirname "$0")/lib/base.sh"

"$root/scripts/down.sh"
rm -rf "${root:?}/bin" "${root:?}/.tools" "${run:?}"
rm -f "$root/coverage" "$root"/*.out
say "removed bin, .tools and .run"
[ ! -d "$root/data" ] || say "kept ./data (the data of make run): remove it yourself if you mean it"
[ ! -d "$cache" ] || say "kept $cache (downloaded servers, used by every checkout)"
