# make image builds the same image without a container engine, from hack/image, which has the files beside
# the binary too. A test holds the two against each other.
#
# The compiler runs on the platform of the builder, whatever platform the image is for.
# Its version is exact, because another compiler gives other bytes.
FROM --platform=$BUILDPLATFORM golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    go -C hack/image run . rootfs /rootfs
# The build tag is the same as in the Makefile.
ARG TARGETOS TARGETARCH VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -tags grpcnotrace -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" -o /gatehouse .

FROM scratch
ARG VERSION=dev
LABEL org.opencontainers.image.title="Gatehouse" \
      org.opencontainers.image.description="An authentication service whose users are declared as Kubernetes resources" \
      org.opencontainers.image.source="https://github.com/gatehouse-auth/gatehouse" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
COPY --from=build /rootfs/etc/ /etc/
COPY --from=build --chown=65532:65532 /rootfs/home/ /home/
COPY --from=build /gatehouse /gatehouse
ENV PATH=/
EXPOSE 8080 8081 8443
USER 65532:65532
ENTRYPOINT ["/gatehouse"]
CMD ["serve"]
