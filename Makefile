# firstcome: every command a person needs. `make` alone explains them.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# The product is built without cgo: one static file a role.
GO_BUILD := CGO_ENABLED=0 go build -trimpath

.PHONY: help
help:
	@printf '%s\n' \
	  'firstcome issues a limited number of coupons to whoever asks first.' \
	  '' \
	  'Try it (needs Go 1.26 and nothing else):' \
	  '  make demo             everything in one process; 20,000 users storm 1,000 coupons, then the verdict' \
	  '                        ARGS=--exit ends after the verdict, SEED=7 makes other coupons and users' \
	  '  make run              the same stack without the storm, on http://127.0.0.1:8080, data in ./data' \
	  '  make token            a JWT for it: make token ROLE=admin USER_ID=alice' \
	  '' \
	  'The real stack (Docker, or Java 17 and Maven; the first time takes a minute or more):' \
	  '  make services         Kafka, Redis and MySQL on this machine (DB=mariadb for MariaDB, VIA=docker|packages)' \
	  '  make up               these, and the roles as processes: API=2 CONSUMERS=2, API_PORT=8080 for a fixed port' \
	  '  make down             stops roles and servers; what they keep stays under .run' \
	  '  make services-down    stops the servers' \
	  '' \
	  'Work on it:' \
	  '  make build            bin/api, bin/consumer, bin/batch, bin/standalone' \
	  '  make test             everything that needs no server (with the race detector where a C compiler is)' \
	  '  make test-real        the conformance and end-to-end tests on the servers of make services' \
	  '  make lint             golangci-lint at a pinned version, shellcheck where it is installed' \
	  '  make sabotage         breaks a copy in small ways and prints which test catches which: FAST=1, ONLY=cap-off-by-one' \
	  '  make fuzz             every fuzz target for FUZZTIME=10s each' \
	  '  make bench            measures firstcome beside what it stands on, on the servers of make services: under 15 minutes,' \
	  '                        QUICK=1 under 3; ARGS="-only claim,empty -rounds 3" chooses' \
	  '  make bench-compare    OLD=a.json NEW=b.json: which ratios became worse; fails if one did' \
	  '  make chaos            kills, stops, cuts and empties everything while clients claim, and judges what is left:' \
	  '                        FAULTS=80, SEED=7 repeats a run, KEEP=1 keeps its folder (needs the packages of make services)' \
	  '  make lab              the ways that everybody tries first, side by side with firstcome: table and chart' \
	  '  make k6               the load scripts of bench/k6 against what make up started: SCRIPT="stages constant spike"' \
	  '  make spec             checks the model of the protocol with TLC (Java 17, Maven; minutes)' \
	  '  make clean            removes bin, .tools and .run; keeps ./data'

.PHONY: build
build: check-go
	@$(GO_BUILD) -o bin/ ./api/cmd/api ./consumer/cmd/consumer ./batch/cmd/batch ./standalone/cmd/standalone

# One program each, for the targets that need only that one. The Go command knows what is up to date.
.PHONY: bin/batch bin/standalone
bin/batch bin/standalone: bin/%: check-go
	@$(GO_BUILD) -o $@ ./$*/cmd/$*

.PHONY: check-go
check-go:
	@scripts/check-go.sh

.PHONY: demo run token
demo: bin/standalone
	@bin/standalone demo $(if $(SEED),--seed $(SEED)) $(ARGS)

# With batch, which looks into it from outside: README, "Look for yourself".
run: bin/standalone bin/batch
	@exec bin/standalone run $(ARGS)

token: bin/standalone
	@bin/standalone token --role '$(or $(ROLE),user)' --user '$(or $(USER_ID),alice)'

.PHONY: services services-down up down
services: bin/batch
	@DB='$(DB)' VIA='$(VIA)' scripts/services.sh

services-down:
	@scripts/services-down.sh

up: build
	@DB='$(DB)' VIA='$(VIA)' API='$(API)' CONSUMERS='$(CONSUMERS)' API_PORT='$(API_PORT)' scripts/up.sh

down:
	@scripts/down.sh

.PHONY: test test-real chaos sabotage fuzz bench bench-compare lab k6 lint spec clean
test:
	@scripts/test.sh $(ARGS)

test-real:
	@DBS='$(DBS)' scripts/test-real.sh $(ARGS)

sabotage: check-go
	@ONLY='$(ONLY)' FAST='$(FAST)' scripts/sabotage.sh

fuzz: check-go
	@ONLY='$(ONLY)' FUZZTIME='$(FUZZTIME)' scripts/fuzz.sh

chaos: build
	@FAULTS='$(FAULTS)' SEED='$(SEED)' KEEP='$(KEEP)' REPORT='$(REPORT)' scripts/chaos.sh $(ARGS)

bench: build
	@QUICK='$(QUICK)' scripts/bench.sh $(ARGS)

bench-compare: check-go
	@go build -o bin/ ./bench/cmd/bench && bin/bench compare '$(OLD)' '$(NEW)'

lab: check-go
	@scripts/lab.sh $(ARGS)

k6: check-go
	@SCRIPT='$(SCRIPT)' PLACES='$(PLACES)' scripts/k6.sh $(ARGS)

lint:
	@scripts/lint.sh $(ARGS)

spec:
	@docs/spec/check.sh $(ARGS)

clean:
	@scripts/clean.sh
