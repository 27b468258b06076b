SHELL := /usr/bin/env bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
IMAGE     ?= ghcr.io/gatehouse-auth/gatehouse:$(VERSION)
PLATFORMS ?=
ARCHITECTURES ?=
STATE_DIR ?= $(or $(XDG_STATE_HOME),$(HOME)/.local/state)/gatehouse/samples
RUN_FLAGS ?=
# A library of Kubernetes brings grpc, which the service does not use. Its trace pages would keep the
# linker from dropping unused code, a fifth of the binary.
TAGS      ?= grpcnotrace
FUZZTIME  ?= 20s
BENCH     ?= .
BENCH_ARGS ?=
SIZES     ?= 1000,10000,100000

CLI_PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
CLI_URL   ?= https://github.com/gatehouse-auth/gatehouse/releases/download/$(VERSION)
CHART_REGISTRY ?= ghcr.io/gatehouse-auth/charts
KUSTOMIZATION ?= config/default
IMAGE_PLATFORMS ?= linux/amd64 linux/arm64
# The time of the commit, so that the same commit gives the same image.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

# Helm and krew accept only semantic versions: v1.2.3 becomes 1.2.3, and a commit sorts before all of them.
CHART_VERSION = $(if $(filter v%,$(VERSION)),$(VERSION:v%=%),0.0.0-g$(VERSION))

# Slow builds are outside the tree, so that a fresh clone finds them.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/gatehouse
# The folder's name includes the pinned versions, so a changed pin uses another folder and no tool in
# it is out of date.
TOOLS := $(CACHE)/tools-$(shell cat hack/tools/go.sum hack/tools/lint/go.sum | cksum | cut -d' ' -f1)-$(shell go env GOVERSION)

CONTROLLER_GEN := $(TOOLS)/controller-gen
KUSTOMIZE      := $(TOOLS)/kustomize
BENCHSTAT      := $(TOOLS)/benchstat
GOLANGCI_LINT  := $(TOOLS)/golangci-lint

BUILD = CGO_ENABLED=0 go build -tags '$(TAGS)' -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'

GORELEASER = go run github.com/goreleaser/goreleaser/v2@$(shell go -C hack/goreleaser list -m -f '{{.Version}}' github.com/goreleaser/goreleaser/v2)

# Only the race detector needs a C compiler.
CC_FOUND := $(shell command -v "$$(go env CC)")
RACE     := $(if $(CC_FOUND),-race)

##@ Start here

.PHONY: help
help: ## Print this help
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Start the service for this machine alone with the sample users, at https://localhost:8443 (RUN_FLAGS)
	bin/gatehouse serve --manifests config/samples --state-dir $(STATE_DIR) --log-format text \
	  --bind-address localhost:8443 --health-probe-bind-address localhost:8081 --metrics-bind-address localhost:8080 \
	  --print-curl jeanjackson@example.com:Lantern-Orchard-27-Violet $(RUN_FLAGS)

.PHONY: test
test: ## Run every test, also against a real API server (the first run builds one: about ten minutes)
	$(if $(RACE),,@echo "no C compiler found: testing without the race detector")
	assets=$$(hack/envtest/build.sh | tail -n 1); \
	KUBEBUILDER_ASSETS="$$assets" go test $(RACE) -shuffle=on -timeout 20m ./...
	$(MAKE) test-timing test-verify test-bench test-chart test-observability test-gitops test-argocd test-krew test-image test-release test-docs test-openapi

##@ Develop

.PHONY: build
build: ## Compile bin/gatehouse: static and reproducible
	$(if $(wildcard bin/gatehouse),,@echo "compiling; with an empty Go cache this takes a few minutes")
	$(BUILD) -o bin/gatehouse .

.PHONY: test-fast
test-fast: ## Run the tests that need no API server
	env -u KUBEBUILDER_ASSETS go test -short -shuffle=on ./...

.PHONY: test-timing
test-timing: ## Test that no refusal can be told from another by the time it takes, without the race detector
	go test -count=1 -run 'SameTime|CannotBeTimed' ./internal/authn

.PHONY: test-verify
test-verify: ## Test the package for other services, its examples, against the real service
	go -C verify test -count=1 -shuffle=on ./...
	go -C verify/examples/grpc test -count=1 ./...
	go -C test/verify test $(RACE) -count=1 -shuffle=on ./...

.PHONY: test-bench
test-bench: ## Test what the measuring commands share
	go -C hack/bench test -count=1 -shuffle=on ./...

.PHONY: test-chart
test-chart: ## Compare the Helm chart with config/, and install it on a real API server with Helm
	assets=$$(hack/envtest/build.sh | tail -n 1); KUBEBUILDER_ASSETS="$$assets" go -C hack/chart test -count=1 -shuffle=on ./...

.PHONY: test-observability
test-observability: ## Compare the alerts, the dashboard and their documentation with the metrics of the service
	go -C test/observability test -count=1 -shuffle=on ./...

.PHONY: test-gitops
test-gitops: ## Test what Flux and kubectl make of Users on a real API server, the examples and the admission rules
	assets=$$(hack/envtest/build.sh | tail -n 1); KUBEBUILDER_ASSETS="$$assets" go -C test/gitops test -count=1 -shuffle=on ./...

.PHONY: test-argocd
test-argocd: ## Test what Argo CD's engine makes of Users on a real API server
	assets=$$(hack/envtest/build.sh | tail -n 1); KUBEBUILDER_ASSETS="$$assets" go -C test/argocd test -count=1 -shuffle=on ./...

.PHONY: test-oldest
test-oldest: ## Run the tests that need an API server on the oldest Kubernetes (the first run builds one: about ten minutes)
	assets=$$(KUBERNETES=oldest hack/envtest/build.sh | tail -n 1); export KUBEBUILDER_ASSETS="$$assets"; \
	go test -count=1 -shuffle=on -timeout 30m ./api/... ./controllers/... ./cmd/... ./test/integration ./test/upgrade && \
	go -C hack/chart test -count=1 ./... && go -C test/gitops test -count=1 ./... && go -C test/argocd test -count=1 ./...

.PHONY: test-krew
test-krew: ## Build the archive of the plugin for this machine, and let krew validate and install it
	go -C hack/krew test -count=1 -shuffle=on ./...

.PHONY: test-image
test-image: ## Test that the image is that of the Dockerfile, has the same bytes each time, and can be pushed
	go -C hack/image test -count=1 -shuffle=on ./...

.PHONY: test-release
test-release: ## Test the configuration of goreleaser
	go -C hack/goreleaser test -count=1 -shuffle=on ./...

.PHONY: test-foreign
test-foreign: ## Run other projects' programs with the configurations in docs/ (the first run builds them: half an hour)
	assets=$$(hack/envtest/build.sh | tail -n 1); programs=$$(test/foreign/install.sh | tail -n 1); \
	KUBEBUILDER_ASSETS="$$assets" FOREIGN_PROGRAMS="$$programs" go -C test/foreign test -count=1 -shuffle=on ./...

.PHONY: e2e
e2e: ## Test IMAGE on the cluster of KUBECONFIG; without IMAGE, build the images and load them into kind (LOAD_ARCHIVE)
	hack/e2e.sh $(if $(findstring command line,$(origin IMAGE)),$(IMAGE))

.PHONY: e2e-report
e2e-report: ## Run e2e and write the measurements into docs/reliability.md
	E2E_REPORT=$(CURDIR)/docs/reliability.md hack/e2e.sh $(if $(findstring command line,$(origin IMAGE)),$(IMAGE))

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (20s)
	hack/fuzz.sh $(FUZZTIME)

.PHONY: fuzz-long
fuzz-long: ## Run each fuzz target for an hour; what it finds interesting stays in Go's cache, for the next run
	hack/fuzz.sh 1h

.PHONY: bench
bench: build ## Measure the service against what this machine allows, and write docs/benchmarks.md (eight minutes; BENCH_ARGS)
	go -C hack/bench build -o $(CURDIR)/bin/bench .
	bin/bench run -gatehouse bin/gatehouse -report docs/benchmarks.md $(BENCH_ARGS)

.PHONY: bench-code
bench-code: $(BENCHSTAT) ## Run the Go benchmarks that match BENCH, six times each, and summarise them
	mkdir -p bin
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count 6 ./... | tee bin/bench.txt
	$(BENCHSTAT) bin/bench.txt

.PHONY: bench-scale
bench-scale: build ## Measure start-up, memory and changes by number of users; with SIZES=1000,10000 print only
	go -C hack/bench build -o $(CURDIR)/bin/bench .
	assets=$$(hack/envtest/build.sh | tail -n 1); \
	bin/bench scale -assets "$$assets" -sizes '$(SIZES)' $(if $(filter file,$(origin SIZES)),-docs docs)

.PHONY: conformance
conformance: build ## Run the conformance runner in CONFORMANCE_DIR against the binary
	hack/conformance.sh bin/gatehouse $(or $(CONFORMANCE_DIR),$(error set CONFORMANCE_DIR to the folder of the conformance cases))

##@ Keep it clean

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## Format the Go code and sort its imports
	$(GOLANGCI_LINT) fmt

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Run the linters, which also enforce the law of imports
	$(GOLANGCI_LINT) run
	for module in verify verify/examples/grpc test/verify test/e2e/client hack/bench hack/chart hack/goreleaser hack/image hack/krew hack/site test/observability test/gitops test/argocd test/argocd/autoscaling test/openapi test/foreign; do (cd $$module && $(GOLANGCI_LINT) run); done
	go tool -modfile=hack/tools/actions/go.mod actionlint -shellcheck= -pyflakes=

.PHONY: vulncheck
vulncheck: ## Fail if the code calls anything with a known vulnerability; asks https://vuln.go.dev
	go tool -modfile=hack/tools/vuln/go.mod govulncheck ./...

.PHONY: generate
generate: $(CONTROLLER_GEN) ## Generate the deep copies and apply configurations of the API types, and the reference of resources, chart and commands
	$(CONTROLLER_GEN) object:headerFile=hack/boilerplate.go.txt paths=./api/v1alpha1
	$(CONTROLLER_GEN) applyconfiguration:headerFile=hack/boilerplate.go.txt paths=./api/v1alpha1
	go run ./hack/clidocs markdown docs/cli
	go tool -modfile=hack/tools/docs/go.mod crd-ref-docs --source-path=api --config=hack/tools/docs/crd-ref-docs.yaml \
	  --renderer=markdown --output-path=docs/resources.md --log-level=WARN
	go tool -modfile=hack/tools/docs/go.mod helm-docs --chart-search-root=charts --log-level=warning \
	  --template-files=hack/tools/docs/chart-values.md.gotmpl --output-file=../../docs/chart-values.md

.PHONY: man
man: ## Write dist/man, the man pages of gatehouse and kubectl gatehouse
	go run ./hack/clidocs man dist/man

.PHONY: manifests
manifests: $(CONTROLLER_GEN) ## Generate the CRDs and the roles from the markers in the code
	$(CONTROLLER_GEN) crd paths=./api/... output:crd:dir=config/crd/bases
	$(CONTROLLER_GEN) rbac:roleName=gatehouse paths=./... output:rbac:dir=config/rbac

.PHONY: chart
chart: ## Generate the templates of the Helm chart from config/
	go -C hack/chart run . $(CURDIR)/config $(CURDIR)/charts/gatehouse/templates

.PHONY: crd-baseline
crd-baseline: ## After a release: let later sources be compared with the CRDs of this one
	go run ./test/upgrade/freeze test/upgrade/testdata

.PHONY: docs
docs: ## Write dist/docs, the documentation site, and check its links and pages (the first run builds Hugo)
	CGO_ENABLED=0 go -C hack/site tool hugo build --source $(CURDIR)/site --destination $(CURDIR)/dist/docs --cleanDestinationDir --noBuildLock --quiet --panicOnWarning
	go -C hack/site run . $(CURDIR) $(CURDIR)/dist/docs

.PHONY: docs-serve
docs-serve: ## Serve the documentation at http://localhost:1313 and follow changes of the files
	CGO_ENABLED=0 go -C hack/site tool hugo server --source $(CURDIR)/site --noBuildLock

.PHONY: test-docs
test-docs: docs ## Build the documentation site, and test the check of its links
	go -C hack/site test $(RACE) -count=1 -shuffle=on .

.PHONY: test-openapi
test-openapi: ## Provoke each answer of docs/openapi.yaml, and compare
	go -C test/openapi test $(RACE) -count=1 -shuffle=on ./...

.PHONY: tidy
tidy: ## Tidy the go.mod of every module
	git ls-files '*go.mod' | xargs -n 1 dirname | xargs -I{} go -C {} mod tidy

.PHONY: verify
verify: generate manifests chart fmt tidy ## Fail unless all generated files are current and committed
	@changed=$$(git status --porcelain); \
	if [ -n "$$changed" ]; then \
	  echo "These files are not committed, or differ from the output of make generate, manifests, chart, fmt and tidy:"; \
	  echo "$$changed"; git --no-pager diff --stat; \
	  echo "Commit them and run make verify again."; exit 1; \
	fi >&2
	@echo "All generated files are current and committed."

##@ Ship

.PHONY: image
image: ## Build the image IMAGE for IMAGE_PLATFORMS into dist/, with SBOMs, without a container engine
	for platform in $(IMAGE_PLATFORMS); do \
	  folder=bin/image/$${platform/\//_}; \
	  GOOS=$${platform%/*} GOARCH=$${platform#*/} $(BUILD) -o $$folder/gatehouse .; \
	  hack/sbom.sh $(VERSION) $$folder/gatehouse $$folder/gatehouse.cdx.json; \
	done
	go -C hack/image run . build -from $(CURDIR)/bin/image -name $(IMAGE) -version $(VERSION) \
	  -created $(SOURCE_DATE_EPOCH) -out $(CURDIR)/dist $(IMAGE_PLATFORMS)

.PHONY: image-push
image-push: ## Push the image of make image as IMAGE, with the credentials of docker login
	go -C hack/image run . push $(CURDIR)/dist/image $(IMAGE)

.PHONY: docker-build
docker-build: ## Build the same image with docker; set PLATFORMS=linux/amd64,linux/arm64 for several platforms
	docker build $(if $(PLATFORMS),--platform $(PLATFORMS)) --build-arg VERSION=$(VERSION) --tag $(IMAGE) .

.PHONY: reproducible
reproducible: ## Fail unless builds in two folders give the same binary and image (for ARCHITECTURES, such as "amd64 arm64")
	hack/reproducible.sh $(VERSION) $(ARCHITECTURES)

.PHONY: cli-archives
cli-archives: ## Write dist/*.tar.gz, dist/*.zip and dist/SHA256SUMS, the command line for CLI_PLATFORMS: static and reproducible
	go run ./hack/archives build $(VERSION) dist $(CLI_PLATFORMS)

.PHONY: krew
krew: cli-archives ## Write dist/gatehouse.yaml, the manifest for krew, with archives below CLI_URL
	go run ./hack/archives krew v$(CHART_VERSION) dist $(CLI_URL)

.PHONY: sbom
sbom: build ## Write dist/gatehouse.cdx.json, the modules in the binary with their licences
	mkdir -p dist
	hack/sbom.sh $(VERSION) bin/gatehouse dist/gatehouse.cdx.json

.PHONY: package-chart
package-chart: ## Write dist/gatehouse-*.tgz, the Helm chart of VERSION
	@# The package has the times of the files, which differ from clone to clone.
	rm -rf bin/chart
	mkdir -p dist bin
	cp -R charts/gatehouse bin/chart
	TZ=UTC find bin/chart -exec touch -t 198001010000 {} +
	go -C hack/chart tool helm package $(CURDIR)/bin/chart --destination $(CURDIR)/dist \
	  --version $(CHART_VERSION) --app-version $(VERSION)

.PHONY: build-installer
build-installer: $(KUSTOMIZE) ## Write dist/install.yaml, all objects that a cluster needs, with IMAGE
	mkdir -p dist
	hack/with-image.sh $(KUSTOMIZE) $(IMAGE) config/default >dist/install.yaml

.PHONY: release-files
release-files: $(KUSTOMIZE) ## Write everything that a release of VERSION has into dist/, which is emptied first
	rm -rf dist
	$(MAKE) krew image sbom package-chart
	$(MAKE) build-installer IMAGE=$(IMAGE)@$$(cat dist/image.digest)
	$(KUSTOMIZE) build config/crd >dist/crds.yaml

.PHONY: release-check
release-check: ## Let goreleaser check its configuration (the first run builds it, which takes long)
	$(GORELEASER) check

.PHONY: release-snapshot
release-snapshot: ## Make a release on this machine alone, without signatures: dist/, and checksums in bin/goreleaser
	$(GORELEASER) release --snapshot --clean --skip sign

.PHONY: release
release: ## Draft the release of the tag VERSION on GitHub; the workflow of releases runs it (docs/release.md)
	mkdir -p bin
	hack/release-notes.sh $(VERSION) >bin/release-notes.md
	$(GORELEASER) release --clean --release-notes bin/release-notes.md

.PHONY: chart-push
chart-push: ## Push the chart of make package-chart to CHART_REGISTRY, with the credentials of docker login (HELM_FLAGS)
	go -C hack/chart tool helm push $(CURDIR)/dist/gatehouse-$(CHART_VERSION).tgz oci://$(CHART_REGISTRY) $(HELM_FLAGS)

.PHONY: install
install: $(KUSTOMIZE) ## Install the CRDs in the current cluster
	$(KUSTOMIZE) build config/crd | kubectl apply --server-side -f -

.PHONY: deploy
deploy: $(KUSTOMIZE) ## Install the folder KUSTOMIZATION (config/default) in the current cluster, with IMAGE
	hack/with-image.sh $(KUSTOMIZE) $(IMAGE) $(KUSTOMIZATION) | kubectl apply --server-side -f -

.PHONY: undeploy
undeploy: $(KUSTOMIZE) ## Remove the service; Users, Tokens, keys and their namespaces stay
	$(KUSTOMIZE) build config/manager | kubectl delete --ignore-not-found -f -
	$(KUSTOMIZE) build config/rbac | kubectl delete --ignore-not-found -f -

$(CONTROLLER_GEN) $(KUSTOMIZE) $(BENCHSTAT) &:
	GOBIN=$(TOOLS) go -C hack/tools install tool

$(GOLANGCI_LINT):
	@echo "building golangci-lint; with an empty Go cache this takes a few minutes"
	GOBIN=$(TOOLS) go -C hack/tools/lint install tool
