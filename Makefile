SHELL := /usr/bin/env bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
IMAGE     ?= ghcr.io/gatehouse-auth/gatehouse:$(VERSION)
PLATFORMS ?=
ARCHITECTURES ?=
STATE_DIR ?= .gatehouse
# grpc comes with a library of Kubernetes and is not used here; its pages of traces would keep the linker from leaving out what
# nobody calls, a fifth of the binary.
TAGS      ?= grpcnotrace
FUZZTIME  ?= 20s
BENCH     ?= .
BENCH_ARGS ?=
SIZES     ?= 1000,10000,100000

# Helm takes semantic versions only: v1.2.3 is 1.2.3, and a commit is before all of them.
CHART_VERSION = $(if $(filter v%,$(VERSION)),$(VERSION:v%=%),0.0.0-g$(VERSION))

# Slow builds are kept outside the tree, so that a fresh clone finds them.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/gatehouse
# The pinned versions are part of the folder's name: a changed pin is another folder, and nothing in it grows old.
TOOLS := $(CACHE)/tools-$(shell cat hack/tools/go.sum hack/tools/lint/go.sum | cksum | cut -d' ' -f1)-$(shell go env GOVERSION)

CONTROLLER_GEN := $(TOOLS)/controller-gen
KUSTOMIZE      := $(TOOLS)/kustomize
BENCHSTAT      := $(TOOLS)/benchstat
GOLANGCI_LINT  := $(TOOLS)/golangci-lint

# The race detector needs a C compiler; everything else here does without.
CC_FOUND := $(shell command -v "$$(go env CC)")
RACE     := $(if $(CC_FOUND),-race)

##@ Start here

.PHONY: help
help: ## Print these lines
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Start the service on this machine with the sample users, at https://localhost:8443
	bin/gatehouse serve --manifests config/samples --state-dir $(STATE_DIR) --log-format text \
	  --print-curl jeanjackson@example.com:Lantern-Orchard-27-Violet

.PHONY: test
test: ## Run every test, against a real API server too (the first time it builds one: about ten minutes)
	$(if $(RACE),,@echo "no C compiler found: testing without the race detector")
	assets=$$(hack/envtest/build.sh | tail -n 1); \
	KUBEBUILDER_ASSETS="$$assets" go test $(RACE) -shuffle=on -timeout 20m ./...
	$(MAKE) test-chart test-observability

##@ Develop

.PHONY: build
build: ## Compile bin/gatehouse: static, and the same bytes from the same source
	$(if $(wildcard bin/gatehouse),,@echo "compiling; from an empty Go cache this takes a few minutes")
	CGO_ENABLED=0 go build -tags '$(TAGS)' -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' -o bin/gatehouse .

.PHONY: test-fast
test-fast: ## Run the tests that need no API server
	env -u KUBEBUILDER_ASSETS go test -short -shuffle=on ./...

.PHONY: test-chart
test-chart: ## Compare the Helm chart with config/, and install it on a real API server by the real Helm
	assets=$$(hack/envtest/build.sh | tail -n 1); KUBEBUILDER_ASSETS="$$assets" go -C hack/chart test -count=1 -shuffle=on ./...

.PHONY: test-observability
test-observability: ## Compare the alerts, the dashboard and their documents with the metrics of the service
	go -C test/observability test -count=1 -shuffle=on ./...

.PHONY: e2e
e2e: ## Test IMAGE on the cluster of KUBECONFIG; with kind, the images are built and loaded
	hack/e2e.sh $(if $(findstring command line,$(origin IMAGE)),$(IMAGE))

.PHONY: e2e-report
e2e-report: ## The same, and write what was measured into docs/reliability.md
	E2E_REPORT=$(CURDIR)/docs/reliability.md hack/e2e.sh $(if $(findstring command line,$(origin IMAGE)),$(IMAGE))

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (20s)
	hack/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: build ## Measure the service against what this machine allows, and write docs/benchmarks.md (six minutes; BENCH_ARGS)
	go build -o bin/bench ./hack/bench
	bin/bench -gatehouse bin/gatehouse -report docs/benchmarks.md $(BENCH_ARGS)

.PHONY: bench-code
bench-code: $(BENCHSTAT) ## Run the Go benchmarks that match BENCH, six times each, and summarise them
	mkdir -p bin
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count 6 ./... | tee bin/bench.txt
	$(BENCHSTAT) bin/bench.txt

.PHONY: bench-scale
bench-scale: build ## Measure start-up, memory and changes by number of users; with SIZES=1000,10000 only print
	assets=$$(hack/envtest/build.sh | tail -n 1); \
	go run ./hack/benchscale -assets "$$assets" -sizes '$(SIZES)' $(if $(filter file,$(origin SIZES)),-docs docs)

.PHONY: conformance
conformance: build ## Run the conformance runner in CONFORMANCE_DIR against the binary
	hack/conformance.sh bin/gatehouse $(or $(CONFORMANCE_DIR),$(error set CONFORMANCE_DIR to the folder of the conformance cases))

##@ Keep it clean

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## Format the Go code and sort its imports
	$(GOLANGCI_LINT) fmt

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Run the linters, which also hold the law of imports
	$(GOLANGCI_LINT) run
	for module in hack/chart test/observability; do (cd $$module && $(GOLANGCI_LINT) run); done

.PHONY: generate
generate: $(CONTROLLER_GEN) ## Write the deep copies of the API types
	$(CONTROLLER_GEN) object:headerFile=hack/boilerplate.go.txt paths=./api/...

.PHONY: manifests
manifests: $(CONTROLLER_GEN) ## Write the CRDs and the role from the markers in the code
	$(CONTROLLER_GEN) crd paths=./api/... output:crd:dir=config/crd/bases
	$(CONTROLLER_GEN) rbac:roleName=gatehouse paths=./... output:rbac:dir=config/rbac

.PHONY: chart
chart: ## Write the templates of the Helm chart from config/
	go -C hack/chart run . $(CURDIR)/config $(CURDIR)/charts/gatehouse/templates

.PHONY: tidy
tidy: ## Tidy the go.mod of every module
	git ls-files '*go.mod' | xargs -n 1 dirname | xargs -I{} go -C {} mod tidy

.PHONY: verify
verify: generate manifests chart fmt tidy ## Fail unless everything generated is current and committed
	@changed=$$(git status --porcelain); \
	if [ -n "$$changed" ]; then \
	  echo "These files are not committed, or differ from what make generate, manifests, chart, fmt and tidy write:"; \
	  echo "$$changed"; git --no-pager diff --stat; \
	  echo "Commit them and run make verify again."; exit 1; \
	fi >&2
	@echo "Everything generated is current and committed."

##@ Ship

.PHONY: docker-build
docker-build: ## Build the image IMAGE; with PLATFORMS=linux/amd64,linux/arm64 for several machines
	docker build $(if $(PLATFORMS),--platform $(PLATFORMS)) --build-arg VERSION=$(VERSION) --tag $(IMAGE) .

.PHONY: reproducible
reproducible: ## Fail unless the binary is the same, byte for byte, from two folders (for ARCHITECTURES, such as "amd64 arm64")
	hack/reproducible.sh $(VERSION) $(ARCHITECTURES)

.PHONY: sbom
sbom: build ## Write dist/gatehouse.cdx.json, which modules the binary is made of, with their licences
	mkdir -p dist
	go tool -modfile=hack/tools/sbom/go.mod cyclonedx-gomod bin -json -licenses -std -version $(VERSION) \
	  -output dist/gatehouse.cdx.json bin/gatehouse

.PHONY: package-chart
package-chart: ## Write dist/gatehouse-*.tgz, the Helm chart with VERSION
	mkdir -p dist
	go -C hack/chart tool helm package $(CURDIR)/charts/gatehouse --destination $(CURDIR)/dist \
	  --version $(CHART_VERSION) --app-version $(VERSION)

.PHONY: build-installer
build-installer: $(KUSTOMIZE) ## Write dist/install.yaml, everything a cluster needs, with IMAGE
	mkdir -p dist
	hack/with-image.sh $(KUSTOMIZE) $(IMAGE) config/default >dist/install.yaml

.PHONY: install
install: $(KUSTOMIZE) ## Give the current cluster the CRDs
	$(KUSTOMIZE) build config/crd | kubectl apply --server-side -f -

.PHONY: deploy
deploy: $(KUSTOMIZE) ## Give the current cluster everything, with IMAGE
	hack/with-image.sh $(KUSTOMIZE) $(IMAGE) config/default | kubectl apply --server-side -f -

.PHONY: undeploy
undeploy: $(KUSTOMIZE) ## Take the service away; Users, Tokens, keys and their namespaces stay
	$(KUSTOMIZE) build config/manager | kubectl delete --ignore-not-found -f -
	$(KUSTOMIZE) build config/rbac | kubectl delete --ignore-not-found -f -

$(CONTROLLER_GEN) $(KUSTOMIZE) $(BENCHSTAT) &:
	GOBIN=$(TOOLS) go -C hack/tools install tool

$(GOLANGCI_LINT):
	@echo "building golangci-lint; from an empty Go cache this takes a few minutes"
	GOBIN=$(TOOLS) go -C hack/tools/lint install tool
